"""Benchmarks that ask which of two replies is the likelier.

The summed log-likelihood favours short replies and the mean over tokens long ones, so benchmarks of
replies show both. Leaves out: where the pairs come from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.evaluate.benchmark import Metric, Progress, in_batches
from whyfirst.evaluate.item import ItemResult, unscored
from whyfirst.evaluate.likeliest import picked
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Loglikelihood


def both_ways(name: str, title: str, replies: str, given: str) -> tuple[Metric, Metric]:
    """The metrics of pairs of replies: by the log-likelihood summed over tokens, and per token.

    Args:
        replies: whose which reply should be the likelier one ("pairs whose chosen reply").
        given: what the replies follow on.
    """
    summed, mean = (
        Metric(
            f"{name}_{end}", f"{title} ({how})",
            f"Share of {replies} has a higher log-likelihood {said}, end token not counted; a tie "
            "is unscored.",
            happened=("better reply likelier", "worse reply likelier"), chance=0.5,
        )
        for end, how, said in (
            ("sum", "summed", f"given {given}, summed over tokens"),
            ("mean", "per token", f"per token given {given}"),
        )
    )  # fmt: skip
    return summed, mean


@dataclass(frozen=True)
class Pair:
    """A better and a worse reply to one text; `about` holds further fields of its records.

    `unusable` says why it can't be scored.
    """

    id: str
    prompt: str
    better: str = ""
    worse: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    unusable: str | None = None


@dataclass(frozen=True)
class Likelier:
    """Is the better reply the likelier one: by the sum over tokens, and per token.

    Args:
        summed, mean: the two metrics' names.
        names: what to call the replies in the record, the better one first.
    """

    pairs: Sequence[Pair]
    summed: Metric
    mean: Metric
    names: tuple[str, str]

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [pair.prompt for pair in self.pairs if pair.unusable is None]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        found = [
            unscored(pair.id, metric.name, pair.unusable, **pair.about)
            for pair in self.pairs
            if pair.unusable is not None
            for metric in (self.summed, self.mean)
        ]
        pairs = [pair for pair in self.pairs if pair.unusable is None]
        asked = [(pair.prompt, [pair.better, pair.worse]) for pair in pairs]
        for pair, two in zip(pairs, in_batches(asked, model.loglikelihood, progress), strict=True):
            found += self.score(pair, two)
        return found

    def score(self, pair: Pair, answers: Sequence[Loglikelihood]) -> list[ItemResult]:
        """One pair's records under both metrics."""
        # Both numbers with their lengths, since the two metrics may disagree over just that.
        shown = "; ".join(
            f"{name} {answer.logprob:.3f} over {answer.tokens} tokens"
            for name, answer in zip(self.names, answers, strict=True)
        )
        more = {"response": shown, "target": self.names[0], **pair.about}
        # An empty reply has log-likelihood 0 and would win by the sum.
        # Its mean is told by `picked` already; here it is the sum that would be fooled.
        empty = any(answer.problem is None and answer.tokens == 0 for answer in answers)
        mean = picked(pair.id, self.mean.name, answers, per_token=True, **more)
        if empty:
            return [unscored(pair.id, self.summed.name, str(mean.reason), **more), mean]
        return [picked(pair.id, self.summed.name, answers, **more), mean]
