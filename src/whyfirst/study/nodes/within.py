"""A model within an arm's decoding methods, with what they are given: a judge, rewards by name.

Leaves out: the methods (models/decoding/), and edits, which are put round the loaded model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.room import Use
from whyfirst.models.base import LanguageModel, Prompt
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.budget import Budget, Counted
from whyfirst.models.embed import embedder
from whyfirst.train.rewards import REWARDS


def within_decoding(
    payload: Mapping[str, Any], loaded: LanguageModel, judge: LanguageModel | None, budget: Budget
) -> Counted:
    """The model within an arm's decoding methods, counted by role.

    "answers" is what the benchmark asks and gets, as plain decoding would take it; "model" and
    "judge" are what it takes. Without a method nothing but calls is counted.
    """
    if "decoding" not in payload and "edits" not in payload:
        return budget.counting(loaded, "answers")
    tokenizer = getattr(loaded, "tokenizer", None)
    model: LanguageModel = budget.counting(loaded, "model", tokenizer)
    context: dict[str, Any] = {"score": partial(_score, tokenizer), "embed": embedder()}
    if judge is not None:
        given = getattr(judge, "tokenizer", None)
        context["judge_model"] = budget.counting(judge, "judge", given)
    for use in payload.get("decoding", ()):
        model = DECODINGS.make(Use(**use), **context)(model)
        budget.methods.append((use["name"], model))
    return budget.counting(model, "answers", tokenizer)


class _NoTokens(Sequence[Any]):
    """Tokens of responses that come without any; a reward that counts them must not count none."""

    def __getitem__(self, place: object) -> Any:
        raise UserError(
            "a reward that counts tokens can't score responses of a model whose tokenizer isn't "
            "here (at an endpoint): choose a reward of the text alone, or a local model"
        )

    def __len__(self) -> int:
        return int(self[0])


def _score(
    tokenizer: Any, name: str, prompts: Sequence[Prompt], texts: Sequence[str]
) -> list[float | None]:
    """A reward's scores of responses; see `whyfirst.models.decoding`."""
    asked = [p if isinstance(p, str) else [asdict(turn) for turn in p] for p in prompts]
    ids: Sequence[Any] = _NoTokens()
    if tokenizer is not None:  # with the end that each of them came to
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        ids = [[*tokenizer.encode(text, add_special_tokens=False), *end] for text in texts]
    return REWARDS.get(name).function(
        prompts=asked, completions=list(texts), completion_ids=ids, finished=[True] * len(texts),
    )  # fmt: skip
