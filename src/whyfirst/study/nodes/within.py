"""A model as an arm answers with it: opened, within its decoding methods and edits, and counted.

Leaves out: the methods (models/decoding/, models/edits/), and what is asked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.room import Use
from whyfirst.explain.teachers import usage_by_name
from whyfirst.models.base import LanguageModel, Prompt
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.budget import Budget, Counted
from whyfirst.models.edits import EDITS
from whyfirst.models.embed import embedder
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.execute.store import REPLIES
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.kind import machine
from whyfirst.train.rewards import REWARDS, columns_of


@dataclass(frozen=True)
class Answering:
    """What answers and judges in one node.

    Attributes:
        model: the arm's, which a benchmark asks.
        judge: the study's `judge_model`; None where nothing of the node asks it.
        named: the two as the payload names them, with what was opened, for what they used.
    """

    model: Counted
    judge: LanguageModel | None
    named: Sequence[tuple[Mapping[str, Any] | None, object]]
    computed_on: Mapping[str, Any]
    budget: Budget

    @property
    def record(self) -> dict[str, Any]:
        """Of `machine.json`: what was computed on, and what it took."""
        took = {"budget": self.budget.to_json(), "fallbacks": self.budget.fallbacks}
        return {**self.computed_on, **took, "spent": spent_by(*self.named)}


def spent_by(*asked: tuple[Mapping[str, Any] | None, object]) -> dict[str, dict[str, Any]]:
    """Name -> what it has used, of models that count it: (as a payload names it, as opened)."""
    return usage_by_name(
        (ModelRef(**named).name, model) for named, model in asked if named is not None
    )


def open_asked(given: Mapping[str, Any] | None, folder: Path) -> LanguageModel | None:
    """A model that a payload names, for a node's `folder`; None where it names none."""
    # Replies of endpoints are paid for: they are kept for every node of the store.
    if given is None:
        return None
    return open_model(ModelRef(**given), cache=folder.parents[1] / REPLIES)


@contextmanager
def answering_as(
    payload: Mapping[str, Any], folders: Sequence[Path], folder: Path
) -> Iterator[Answering]:
    """Open a node's model and its judge; inside, the arm's edits are in force."""
    config = payload["config"]
    computed_on = machine(config) if "device" in config else {}
    given = dict(payload.get("model", {}))
    if "endpoint" not in given:
        step = config.get("step")
        kept = folders[0] / "kept" / f"step-{step}"
        given["path"] = model_folder(folders[0]) if step is None else str(kept)
    loaded, asked = open_asked(given, folder), payload.get("judge_model")
    assert loaded is not None
    judge = open_asked(asked, folder)
    if "device" in config:
        computed_on["dtype"] = str(loaded.model.dtype).removeprefix("torch.")  # type: ignore[attr-defined]
    budget = Budget()
    counted = within_decoding(payload, loaded, judge, budget)
    with ExitStack() as edits:
        for use in payload.get("edits", ()):
            edits.enter_context(EDITS.make(Use(**use))(loaded))
        yield Answering(counted, judge, ((given, loaded), (asked, judge)), computed_on, budget)


def within_decoding(
    payload: Mapping[str, Any], loaded: LanguageModel, judge: LanguageModel | None, budget: Budget
) -> Counted:
    """The model within an arm's decoding methods, counted by role.

    "answers" is what the benchmark asks and gets, one call each; "model", "judge" and "reward" are
    what it takes. Without a method nothing but calls is counted.
    """
    if "decoding" not in payload and "edits" not in payload:
        return budget.counting(loaded, "answers")
    tokenizer = getattr(loaded, "tokenizer", None)
    model: LanguageModel = budget.counting(loaded, "model", tokenizer)
    # A role is only there where something is asked in it.
    scoring = partial(budget.counting, loaded, "reward", tokenizer)
    score = partial(_score, tokenizer, scoring=scoring)
    context: dict[str, Any] = {"score": score, "embed": embedder()}
    if judge is not None:
        its_tokens = getattr(judge, "tokenizer", None)
        context["judge_model"] = budget.counting(judge, "judge", its_tokens)
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
    tokenizer: Any,
    name: str,
    prompts: Sequence[Prompt],
    texts: Sequence[str],
    *,
    scoring: Callable[[], LanguageModel] | None = None,
) -> list[float | None]:
    """A reward's scores of responses; see `whyfirst.models.decoding`.

    Args:
        scoring: gives the model for a reward that reads likelihoods.
    """
    asked = [p if isinstance(p, str) else [asdict(turn) for turn in p] for p in prompts]
    ids: Sequence[Any] = _NoTokens()
    # With the end that each of them came to: some rewards count tokens.
    if tokenizer is not None:
        end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
        ids = [[*tokenizer.encode(text, add_special_tokens=False), *end] for text in texts]
    context = {}
    if scoring is not None and "model" in REWARDS.get(name).context:
        context["model"] = scoring()
    reward = REWARDS.make(name, **context)
    # A text is what the benchmark asked, and no chat.
    return reward(  # type: ignore[no-any-return]
        prompts=asked, completions=list(texts), completion_ids=ids, finished=[True] * len(texts),
        format=["text"] * len(texts),
    )  # fmt: skip


def scores_alone(name: str) -> str | None:
    """Why a reward can't score a response by itself, as decodings have it; None where it can."""
    entry = REWARDS.get(name)
    if columns := columns_of(entry):
        return f"reads the column {columns[0]!r}, and a benchmark's items have none"
    return "is a model of its own, and none is named here" if "folder" in entry.context else None
