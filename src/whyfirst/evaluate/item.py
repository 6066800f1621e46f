"""What is asked, and the record every score is kept in.

A response that can't be scored is "unscored" with a reason, never a pass or a fail. Leaves out:
statistics over the records.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from whyfirst.config.errors import DataError, UserError, did_you_mean
from whyfirst.models.base import Prompt

Outcome = Literal["pass", "fail", "unscored"]
T = TypeVar("T")


@dataclass(frozen=True)
class Item:
    """One thing to ask.

    Args:
        id: the same in every arm and seed.
        prompt: what the model is sent.
        request: what is asked in plain words (without the framing put round it), for scorers.
        about: further fields of its `ItemResult`.
        language: ISO 639-1 code of the expected response.
        correct, incorrect: reference answers, for scorers that compare with them.
        evidence: passages that the response should rest on, for scorers that compare with them.
        unaskable: why it can't be asked; it is unscored then, and the model never sees it.
    """

    id: str
    prompt: Prompt
    request: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"
    correct: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    unaskable: str | None = None


@dataclass(frozen=True)
class ItemResult:
    """One item's score under one metric.

    Args:
        id: the item, the same in every arm and seed.
        benchmark: the metric's name.
        verdict: pass, fail or unscored.
        reason: why it is unscored; None otherwise.
        score: a number in [0, 1]; for a plain pass/fail metric 1 or 0; None if unscored.
        prompt, response, target: texts to show; None where the data's text must not be copied.
        split, framing, topic, value, group: what a report groups by; None where it doesn't apply.
        judge: name and version of the scorer that gave the verdict (``rules/1``); None where the
            benchmark's own rule did.
        offensive: True where the request or the response is offensive by design, so that a report
            shows it collapsed; None otherwise.
        transient: True where the reason may be gone when the same is asked again (a server that is
            down), so that the evaluation isn't final; None otherwise.
        raw: what a judge model replied that could not be read; None otherwise.
    """

    id: str
    benchmark: str
    verdict: Outcome
    reason: str | None = None
    score: float | None = None
    prompt: str | None = None
    response: str | None = None
    target: str | None = None
    split: str | None = None
    framing: str | None = None
    topic: str | None = None
    value: str | None = None
    group: str | None = None
    judge: str | None = None
    offensive: bool | None = None
    transient: bool | None = None
    raw: str | None = None

    def __post_init__(self) -> None:
        try:
            check_verdict(self.verdict, self.reason, self.score)
        except ValueError as error:
            raise ValueError(f"{self.id}: {error}") from None

    @property
    def number(self) -> float:
        """The score, NaN if unscored."""
        return math.nan if self.score is None else self.score

    def to_json(self) -> dict[str, Any]:
        """All fields, as JSON types; few items have a judge's reply to them."""
        # Not `asdict`, which copies deeply: a plan makes 100,000 of them, and no field is nested.
        return {n: v for n, v in vars(self).items() if n != "raw" or v is not None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "ItemResult":
        """The inverse of `to_json`.

        Raises:
            DataError: a field is unknown, missing or out of range.
        """
        # A field of a newer version may change what the record says, so it isn't passed over.
        unknown = set(row) - {field.name for field in fields(cls)}
        if unknown:
            raise DataError(f"item result: unknown field {min(unknown)!r}")
        try:
            return cls(**row)
        except (TypeError, ValueError) as error:
            raise DataError(f"item result: {error}") from error


def explained(reason: str | None, raw: str | None) -> str | None:
    """Why something is unscored, with what the judge replied beside it where that is known."""
    return reason if raw is None else f"{reason}. The judge's reply: {raw.strip() or '(empty)'}"


def check_verdict(outcome: str, reason: str | None, score: float | None) -> None:
    """Raise ValueError where outcome, reason and score contradict each other."""
    if outcome not in ("pass", "fail", "unscored"):
        raise ValueError(f"no such verdict: {outcome!r}")
    if (outcome == "unscored") != bool(reason):
        raise ValueError("unscored needs a reason, and nothing else has one")
    if (outcome == "unscored") != (score is None):
        raise ValueError("unscored has no score, and everything else has one")
    # Every average rests on this; a score of 5 out of 5 would pass every later check.
    if score is not None and not 0 <= score <= 1:  # NaN fails too
        raise ValueError(f"the score {score} is not in [0, 1]")


def judged(id: str, benchmark: str, passed: bool, **more: Any) -> ItemResult:  # noqa: A002
    """A pass (score 1) or a fail (score 0)."""
    return ItemResult(id, benchmark, "pass" if passed else "fail", score=float(passed), **more)


def unscored(
    id: str,  # noqa: A002
    benchmark: str,
    reason: str,
    *,
    transient: bool | None = None,
    **more: Any,
) -> ItemResult:
    """An item that could not be scored, and why."""
    # A reason that stays says nothing of it: few records have the field, and those are asked again.
    return ItemResult(id, benchmark, "unscored", reason, transient=transient or None, **more)


def limited(items: Sequence[T], limit: int | None, id_of: Callable[[T], str]) -> list[T]:
    """At most `limit` items, those with the lowest hash of their id, in the given order.

    By hash, so that a file sorted by topic isn't cut to its first topics, and independent of any
    seed, so that every arm answers the same items.
    """
    if limit is None or limit >= len(items):
        return list(items)
    # Ranked by hash and given in the file's order, so that a smaller limit is a part of a larger
    # one.
    ranked = sorted(items, key=lambda item: hashlib.sha256(id_of(item).encode()).digest())
    kept = {id_of(item) for item in ranked[:limit]}
    return [item for item in items if id_of(item) in kept]


def chosen(given: Sequence[str] | None, known: Sequence[str], what: str) -> tuple[str, ...]:
    """`given` if every name in it is known, and all of `known` for None.

    Raises:
        UserError: a name is unknown; gives the nearest one.
    """
    if given is None:
        return tuple(known)
    for name in given:
        if name not in known:
            raise UserError(
                f"no {what} {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})"
            )
    # Named twice is asked once: every item would else stand in the records twice.
    return tuple(dict.fromkeys(given))
