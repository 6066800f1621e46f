"""Inference-time methods, by name: functions from a language model to a better one.

A decoding is ``(model: LanguageModel, *, options) -> LanguageModel``, entered with
``@DECODINGS.enter(name, ...)`` in a file of its own here. With a budget of nothing it is the model
it wraps, and what it answers depends on no batching. Its model's calls and tokens are counted
(`budget`), so that it can be set beside its base at equal cost. Log-likelihoods are the wrapped
model's: a method changes what is said, not how likely a given text is.

What a runner gives, to those that ask for it by a keyword-only parameter of that name:

- `judge_model`: a `LanguageModel` that judges, plans or refines; where none is given, the wrapped
  one does;
- `score`: ``(reward's name, prompts, texts) -> numbers or None``, a reward of a study by its name;
- `embed`: texts -> array (n, d).

A fact, ``likelihoods``: whether with its options it asks its model for those of replies.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from whyfirst.config.room import Room
from whyfirst.models.base import LanguageModel, Prompt

AtLeast0 = Annotated[int, Field(ge=0)]
AtLeast1 = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0)]
Score = Callable[[str, Sequence[Prompt], Sequence[str]], list[float | None]]

DECODINGS: Room[LanguageModel] = Room(
    "decodings", __name__, context=("judge_model", "score", "embed")
)
