"""Two arms' responses to the same prompts, put to a judge: a win rate.

The judge asks both orders itself; an answer that changes with the order is a tie, and what that
happens to is the position bias. Prompts without a preference are unscored, with the reason, and
count in no rate. Leaves out: generating the responses, and how a report shows them.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from whyfirst.config.errors import DataError
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import Judge, Pair, Winner
from whyfirst.models.base import Completion
from whyfirst.stats.crossed import Unit
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import Interval, mean_over_seeds

#: Seed -> one response a prompt, in the prompts' order.
Responses = Mapping[int, Sequence[Completion]]
_WORTH: Mapping[Winner, float] = {"a": 1.0, "tie": 0.5, "b": 0.0}


@dataclass(frozen=True)
class Compared:
    """One prompt at one seed.

    Args:
        winner: a, b or tie; None where there is no preference, for the `reason`.
        scores: how good the two are to the judge, where it says so.
        consistent, slot: as a `Preference` has them.
        topic: prompts of one topic are no independent draws.
        judge: name and version, its calibrations included.
        transient: the reason may be gone when the same is asked again.
        raw: what the judge replied, where that could not be read.
    """

    id: str
    seed: int
    winner: Winner | None
    judge: str
    reason: str | None = None
    scores: tuple[float, float] | None = None
    consistent: bool | None = None
    slot: Literal["first", "second"] | None = None
    topic: str | None = None
    transient: bool | None = None
    raw: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields that say something, as JSON types."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Compared":
        """The inverse of `to_json`.

        Raises:
            DataError: a field is unknown, missing or impossible.
        """
        given = dict(row)
        # As for items: what a newer version wrote may mean something else.
        unknown = set(given) - {field.name for field in fields(cls)}
        if unknown:
            raise DataError(f"comparison: unknown field {min(unknown)!r}")
        winner, scores = given.setdefault("winner", None), given.get("scores")
        # A row without winner and reason would count in no rate and be missed by nobody.
        if winner not in (*_WORTH, None) or (winner is None) != bool(given.get("reason")):
            raise DataError(f"comparison: {given.get('id')}: a winner, or a reason for none")
        if scores is not None:
            given["scores"] = (float(scores[0]), float(scores[1]))
        try:
            return cls(**given)
        except TypeError as error:
            raise DataError(f"comparison: {error}") from error


@dataclass(frozen=True)
class Comparison:
    """What a comparison gave, over the prompts and seeds that have a preference.

    Args:
        win_rate: share of prompts that a wins, a tie counting half, with its 95 % interval over
            seeds and prompts; None where nothing has a preference.
        position_bias: how much more often the first response wins than the second, whoever gave
            it: share of prompts decided by the first slot minus by the second, in [-1, 1], among
            those asked in both orders.
        inconsistent: share of the prompts asked in both orders on which the orders disagree.
        unit: what the interval of the win rate generalises over.
    """

    judge: str
    win_rate: Interval | None
    wins: int
    ties: int
    losses: int
    unscored: int
    reasons: dict[str, int]
    position_bias: Interval | None
    inconsistent: Interval | None
    n_prompts: int
    n_seeds: int
    unit: Unit


def compare(items: Sequence[Item], a: Responses, b: Responses, judge: Judge) -> list[Compared]:
    """Put two arms' responses to a judge, prompt by prompt, at every seed that both arms have.

    Args:
        items: the prompts; `request` is what the judge reads.

    Raises:
        DataError: the arms share no seed, or have not one response a prompt.
    """
    # Only at the same seed do two arms differ in their stages alone.
    seeds = sorted(set(a) & set(b))
    if not seeds:
        raise DataError("comparison: the arms share no seed")
    pairs = []
    for seed in seeds:
        if not len(a[seed]) == len(b[seed]) == len(items):
            raise DataError(
                f"comparison: seed {seed}: {len(items)} prompts, {len(a[seed])} responses of a and "
                f"{len(b[seed])} of b"
            )
        pairs += [
            (seed, item, Pair(item.id, item.request, left, right, seed))
            for item, left, right in zip(items, a[seed], b[seed], strict=True)
        ]
    # In one call, so that an endpoint's concurrency is used to the full.
    found = judge.compare([pair for _, _, pair in pairs])
    return [
        Compared(
            item.id, seed, one.winner, f"{judge.name}/{judge.version}", one.reason, one.scores,
            one.consistent, one.slot, item.about.get("topic"), True if one.transient else None,
            one.raw,
        )
        for (seed, item, _), one in zip(pairs, found, strict=True)
    ]  # fmt: skip


def summary(rows: Sequence[Compared]) -> Comparison:
    """The figures of a comparison's rows, of which there is at least one."""
    scored = [row for row in rows if row.winner is not None]
    # Judges that score each response alone see no order and are in no figure about it.
    both = [row for row in rows if row.consistent is not None]
    winners = Counter(row.winner for row in scored)
    bias = None
    if both:
        # As a score: 1 where the first slot decided, 0 where the second did, 1/2 where neither.
        slots = {"first": 1.0, "second": 0.0, None: 0.5}
        mean = _mean([(row, slots[row.slot]) for row in both])
        bias = mean and Interval(*(2.0 * value - 1.0 for value in mean))
    seeds = {row.seed for row in scored}
    topics = {row.topic or row.id for row in scored}
    return Comparison(
        judge=rows[0].judge,
        # Rows without a preference stay in, as missing: seeds are crossed with the prompts.
        win_rate=_mean([(row, row.winner and _WORTH[row.winner]) for row in rows]),
        wins=winners["a"],
        ties=winners["tie"],
        losses=winners["b"],
        unscored=len(rows) - len(scored),
        reasons=dict(sorted(Counter(row.reason for row in rows if row.reason).items())),
        position_bias=bias,
        inconsistent=_mean([(row, float(not row.consistent)) for row in both]),
        n_prompts=len({row.id for row in scored}),
        n_seeds=len(seeds),
        unit="seeds" if len(seeds) > 1 else "topics" if len(topics) > 1 else "items",
    )


def _mean(rows: Sequence[tuple[Compared, float | None]]) -> Interval | None:
    """The mean over seeds and prompts; None where nothing has a value."""
    if all(value is None for _, value in rows):
        return None
    return mean_over_seeds(
        Scores.from_rows((row.seed, row.id, row.topic or row.id, value) for row, value in rows)
    )
