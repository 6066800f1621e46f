"""Benchmarks of log-likelihoods, above all which of two replies is the likelier.

The summed log-likelihood favours short replies and the mean over tokens long ones, so benchmarks of
replies show both. Leaves out: where the pairs come from.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.evaluate.benchmark import Metric, Progress, in_batches
from whyfirst.evaluate.item import ItemResult, unscored
from whyfirst.evaluate.likeliest import picked
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Loglikelihood, Prompt


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
class Likelihoods:
    """Continuations whose log-likelihoods are asked and read without a scorer; a `benchmark.Task`.

    Args:
        prompts: the texts that training documents must not contain.
        asked: (prompt, continuations) each.
        read: the records, from what was answered, in the order asked.
        at_once: how many are asked in one call.
    """

    prompts: list[str]
    asked: Sequence[tuple[Prompt, Sequence[str]]]
    read: Callable[[Sequence[Sequence[Loglikelihood]]], list[ItemResult]]
    at_once: int = 256

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`."""
        return self.read(in_batches(self.asked, model.loglikelihood, progress, self.at_once))


def likelier(
    pairs: Sequence[Pair], metrics: tuple[Metric, Metric], names: tuple[str, str]
) -> Likelihoods:
    """Is the better reply the likelier one: by the sum over tokens, and per token.

    Args:
        metrics: the two of `both_ways`.
        names: what to call the replies in the record, the better one first.
    """
    usable = [pair for pair in pairs if pair.unusable is None]

    def read(answers: Sequence[Sequence[Loglikelihood]]) -> list[ItemResult]:
        found = [
            unscored(pair.id, metric.name, pair.unusable, **pair.about)
            for pair in pairs
            if pair.unusable is not None
            for metric in metrics
        ]
        for pair, two in zip(usable, answers, strict=True):
            # Both numbers with their lengths: the two metrics may disagree over just that.
            shown = "; ".join(
                f"{name} {one.logprob:.3f} over {one.tokens} tokens"
                for name, one in zip(names, two, strict=True)
            )
            more = {"response": shown, "target": names[0], **pair.about}
            summed, mean = (
                picked(pair.id, metric.name, two, per_token=metric is metrics[1], **more)
                for metric in metrics
            )
            # An empty reply has log-likelihood 0 and would win by the sum; its mean is told by
            # `picked` already.
            if any(one.problem is None and one.tokens == 0 for one in two):
                summed = unscored(pair.id, metrics[0].name, str(mean.reason), **more)
            found += [summed, mean]
        return found

    asked = [(pair.prompt, (pair.better, pair.worse)) for pair in usable]
    return Likelihoods([pair.prompt for pair in usable], asked, read)
