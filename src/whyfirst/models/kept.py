"""A local model whose answers are kept as they are given, so that work cut short is not done twice.

An endpoint keeps its own (`endpoint`). Leaves out: log-likelihoods, which are passed on.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from whyfirst.config.files import sha256_json
from whyfirst.models.base import GREEDY, Completion, LanguageModel, Loglikelihood, Prompt, Sampling
from whyfirst.models.replies import ReplyStore


def replies_file(folder: Path, model: LanguageModel) -> Path:
    """Where a store's folder of replies keeps a model's."""
    return folder / f"replies-{model.fingerprint[:16]}.jsonl"


class KeptModel:
    """A model and the file of what it has answered; a problem is no answer and is asked again.

    Args:
        at_once: prompts asked before their answers are on the disk: what a kill can cost.
    """

    def __init__(self, model: LanguageModel, file: Path, at_once: int = 8) -> None:
        self.model, self._at_once = model, at_once
        self._store = ReplyStore(file)
        self.fingerprint, self.chat_template = model.fingerprint, model.chat_template

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; asks only for what isn't kept."""
        shown = [p if isinstance(p, str) else [asdict(turn) for turn in p] for p in prompts]
        keys = [sha256_json([self.fingerprint, one, n, asdict(sampling)]) for one in shown]
        answers: dict[str, list[Completion]] = {}
        for key in set(keys):
            if (row := self._store.get(key)) is not None:
                answers[key] = [Completion(text, bool(end)) for text, end in row["completions"]]
        missing = {k: p for k, p in zip(keys, prompts, strict=True) if k not in answers}
        for start in range(0, len(missing), self._at_once):
            some = dict(list(missing.items())[start : start + self._at_once])
            for key, given in zip(
                some, self.model.generate(list(some.values()), n, sampling), strict=True
            ):
                answers[key] = given
                if not any(completion.problem for completion in given):
                    self._store.put(key, completions=[[c.text, c.finished] for c in given])
        return [answers[key] for key in keys]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """The model's."""
        return self.model.loglikelihood(requests)
