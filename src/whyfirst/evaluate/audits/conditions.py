"""What audits share: their rows, answers under conditions, and differences pair by pair.

An item's id ends in ``/CONDITION`` and its group is the condition, so that what is before the last
slash pairs it with the same item under another. Leaves out: what is asked, and what it means.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from whyfirst.config.errors import DataError
from whyfirst.data.published import field, json_lines, one_file
from whyfirst.evaluate.benchmark import Gaps, Progress, in_batches
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.item import ItemResult, unscored
from whyfirst.evaluate.likeliest import likeliest
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Loglikelihood, Prompt


class Answer(NamedTuple):
    """The shares of some continuations' probability, or why there are none."""

    shares: tuple[float, ...] = ()
    reason: str | None = None
    transient: bool = False


@dataclass(frozen=True)
class Ask:
    """A prompt and the continuations between which a model's probability is shared."""

    id: str
    prompt: Prompt
    options: tuple[str, ...]


@dataclass(frozen=True)
class Shares:
    """Asks, and the records that are made of their answers by id; a `benchmark.Task`."""

    asks: Sequence[Ask]
    texts: Sequence[str]
    records: Callable[[Mapping[str, Answer]], list[ItemResult]]

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return list(dict.fromkeys(self.texts))

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        asked = [(ask.prompt, ask.options) for ask in self.asks]
        said = in_batches(asked, model.loglikelihood, progress)
        return self.records({a.id: shares_of(one) for a, one in zip(self.asks, said, strict=True)})


def shares_of(found: Sequence[Loglikelihood]) -> Answer:
    """Softmax of the summed log-likelihoods; none where one failed or is no number."""
    import math

    failed = likeliest(found)
    if failed.reason not in (None, "tie"):
        return Answer((), failed.reason, failed.transient)
    top = max(one.logprob for one in found)
    mass = [math.exp(one.logprob - top) for one in found]
    return Answer(tuple(value / sum(mass) for value in mass))


def scored(
    id: str,  # noqa: A002
    metric: str,
    answers: Sequence[Answer],
    score: Callable[[], float],
    **about: Any,
) -> ItemResult:
    """The record of a score made of some answers; unscored where one of them is missing.

    It passes from one half on.
    """
    for answer in answers:
        if answer.reason is not None:
            more = {"transient": True} if answer.transient else {}
            return unscored(id, metric, answer.reason, **about, **more)
    value = min(1.0, max(0.0, score()))  # rounding may leave [0, 1] by a bit
    return ItemResult(id, metric, "pass" if value >= 0.5 else "fail", score=value, **about)


def rows_of(
    data: Path,
    name: str,
    benchmark: str,
    texts: Sequence[str],
    lists: Sequence[str] = (),
    objects: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The rows of a JSONL called `name`, each with an `id` and a `topic`.

    Raises:
        DataError: no such file, or a row lacks one of the `texts`, or of the `lists` (of texts; a
            number is its text) and lists of `objects`, none of which is empty.
    """
    file = one_file(data, [f"*{name}"], benchmark)
    found = []
    for number, row in json_lines(file):
        if not isinstance(row, dict):
            raise DataError(f"{file}: row {number}: not an object")
        kept = row | {key: field(file, number, row, key) for key in texts}
        for key in (*lists, *objects):
            if not isinstance(row.get(key), list) or not row[key]:
                raise DataError(f"{file}: row {number}: {key!r} is no list, or empty")
            kind, what = (str | int | float, "texts") if key in lists else (dict, "objects")
            if not all(isinstance(part, kind) for part in row[key]):
                raise DataError(f"{file}: row {number}: {key!r} must be a list of {what}")
            if key in lists:
                kept[key] = [str(part) for part in row[key]]
        kept["id"] = str(row.get("id") or f"{benchmark}:{number}")
        kept["topic"] = str(row.get("topic") or kept["id"])
        found.append(kept)
    return found


def paired_gaps(*between: tuple[str, str]) -> Gaps:
    """The mean difference between two conditions, pair by pair, by metric and split.

    Two intervals: over topics, which is what a claim about other topics rests on, and over items
    where the two differ. Pairs of which one is unscored are left out.
    """

    def gaps(items: Sequence[ItemResult]) -> list[Gap]:
        parts: dict[tuple[str, str | None], dict[str, dict[str, ItemResult]]] = {}
        for item in items:
            if item.score is not None and item.group is not None:
                pairs = parts.setdefault((item.benchmark, item.split), {})
                pairs.setdefault(item.id.rpartition("/")[0], {})[item.group] = item
        found = []
        for (metric, split), pairs in parts.items():
            for two in between:
                both = [pair for pair in pairs.values() if set(two) <= set(pair)]
                if both:
                    found += _differences(metric, split, two, both)
        return found

    return gaps


def _differences(
    metric: str, split: str | None, two: tuple[str, str], pairs: Sequence[Mapping[str, ItemResult]]
) -> list[Gap]:
    import numpy as np

    from whyfirst.stats.crossed import estimate
    from whyfirst.stats.statistics import two_sided

    values = np.array([[pair[two[0]].number - pair[two[1]].number for pair in pairs]])
    topics = np.array([pair[two[0]].topic or str(at) for at, pair in enumerate(pairs)])
    ways = {"topics": topics}
    if len(set(topics.tolist())) < len(pairs):
        ways["items"] = np.arange(len(pairs))
    found = []
    for unit, by in ways.items():
        result = estimate(values, by)
        low, high, _ = two_sided(result, 1.0)
        note = f"{len(pairs)} pairs, interval over {unit}"
        found.append(Gap(metric, split, two, result.mean, low, high, 2, note))
    return found
