"""Inference-time methods, by name: functions from a language model to a better one.

A decoding is ``(model: LanguageModel, *, options) -> LanguageModel``, entered with
``@DECODINGS.enter(name, ...)`` in a file of its own here. With a budget of one it is the model it
wraps, and what it answers depends on no batching. Its model's calls and tokens are counted
(`whyfirst.models.decoding.budget`), so that it can be set beside its base at equal cost.
"""

from whyfirst.config.room import Room
from whyfirst.models.base import LanguageModel

DECODINGS: Room[LanguageModel] = Room("decodings", __name__, context=("judge_model", "embed"))
