"""What audits share: their rows, what is asked of them, and records made of the answers.

An item's id ends in ``/CONDITION`` and its group is the condition, so that what is before the last
slash pairs it with the same item under another (`gaps.paired_gaps`). Leaves out: what is asked, and
what it means.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from whyfirst.config.errors import DataError
from whyfirst.data.published import field, json_lines, one_file
from whyfirst.evaluate.benchmark import Progress, in_batches
from whyfirst.evaluate.item import Item, ItemResult, judged, unscored
from whyfirst.evaluate.likeliest import likeliest
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import Chat, Completion, LanguageModel, Loglikelihood, Prompt, Sampling
from whyfirst.models.said import answer

R = TypeVar("R")
_ROUNDING = 1e-6


class Answer(NamedTuple):
    """The shares of some continuations' probability, or why there are none."""

    shares: tuple[float, ...] = ()
    reason: str | None = None
    transient: bool = False


@dataclass(frozen=True)
class Ask:
    """A prompt and the continuations between which a model's probability is shared.

    Raises:
        DataError: one of them begins another, so that its probability holds the other's.
    """

    id: str
    prompt: Prompt
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        # In order, what one begins follows it.
        for one, other in pairwise(sorted(self.options)):
            if other.startswith(one):
                raise DataError(
                    f"{self.id}: {one!r} begins {other!r}, so that a model's choice between them "
                    "can't be told by probabilities; give them words of which none begins another"
                )


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


def by_rows(
    rows: Sequence[R], asks: Callable[[R], Iterable[Ask]],
    read: Callable[[R, Sequence[Answer]], Iterable[ItemResult]], text: Callable[[R], str],
) -> Shares:  # fmt: skip
    """A task that asks something of each row, and reads its records off the answers in order.

    Args:
        text: of a row, what training documents must not contain.
    """
    of_rows = [(row, list(asks(row))) for row in rows]

    def records(answers: Mapping[str, Answer]) -> list[ItemResult]:
        return [
            record for row, mine in of_rows for record in read(row, [answers[a.id] for a in mine])
        ]

    return Shares(
        [ask for _, mine in of_rows for ask in mine], [text(row) for row in rows], records
    )


@dataclass(frozen=True)
class Drawn:
    """Rows of which each is answered several times at temperature 1; a `benchmark.Task`.

    Args:
        column: of a row, what is asked.
        ask: the prompt of a row.
        read: the records of a row and its samples; the model may be asked more.
    """

    rows: Sequence[dict[str, Any]]
    column: str
    ask: Callable[[dict[str, Any]], Chat]
    read: Callable[[LanguageModel, dict[str, Any], Sequence[Completion]], Iterable[ItemResult]]
    samples: int
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [row[self.column] for row in self.rows]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        sampling = Sampling(max_new_tokens=self.max_new_tokens, temperature=1.0)
        drawn = in_batches(
            [self.ask(row) for row in self.rows],
            lambda some: model.generate(some, n=self.samples, sampling=sampling),
            progress,
        )
        each = zip(self.rows, drawn, strict=True)
        return [record for row, given in each for record in self.read(model, row, given)]


@dataclass(frozen=True)
class Played:
    """A task that is one function of model, scorers and progress; a `benchmark.Task`.

    Args:
        prompts: what training documents must not contain.
    """

    prompts: list[str]
    play: Callable[[LanguageModel, Sequence[Scorer], Progress], list[ItemResult]]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`."""
        return self.play(model, scorers, progress)


def unusable(reply: Completion, *, otherwise: str | None = None) -> Answer:
    """Why a reply says nothing, else `otherwise`; without a reason where it can be used."""
    return Answer((), answer(reply).problem or otherwise, reply.transient)


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
    score: float | Callable[[], float],
    **about: Any,
) -> ItemResult:
    """The record of a score made of some answers; unscored where one of them is missing.

    It passes from one half on.

    Args:
        score: or what computes it, where that takes every answer.
    """
    for given in answers:
        if given.reason is not None:
            return unscored(id, metric, given.reason, transient=given.transient, **about)
    value = score() if callable(score) else score
    # Rounding may leave [0, 1] by a bit; what leaves it by more is refused by the record.
    value = 0.0 if -_ROUNDING < value < 0 else 1.0 if 1 < value < 1 + _ROUNDING else value
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
        DataError: no such file, no row, two rows of one id, or a row lacks one of the `texts`, or
            of the `lists` (of texts; a number is its text) and lists of `objects`, none of which
            is empty.
    """
    file = one_file(data, [f"*{name}"], benchmark)
    found, ids = [], set[str]()
    for number, row in json_lines(file):
        kept = row | {key: field(file, number, row, key) for key in texts}
        for key in (*lists, *objects):
            if not isinstance(row.get(key), list) or not row[key]:
                raise DataError(f"{file}: row {number}: {key!r} is no list, or empty")
            kind, what = (str | int | float, "texts") if key in lists else (dict, "objects")
            if not all(isinstance(part, kind) for part in row[key]):
                raise DataError(f"{file}: row {number}: {key!r} must be a list of {what}")
            if key in lists:
                kept[key] = [str(part) for part in row[key]]
                if not all(text.strip() for text in kept[key]):
                    raise DataError(f"{file}: row {number}: {key!r} holds an empty text")
        kept["id"] = str(row.get("id") or f"{benchmark}:{number}")
        kept["topic"] = str(row.get("topic") or kept["id"])
        # Answers are kept by id: one row would be read by what the other was answered.
        if kept["id"] in ids:
            raise DataError(f"{file}: row {number}: another row has the id {kept['id']!r}")
        ids.add(kept["id"])
        found.append(kept)
    if not found:
        raise DataError(f"{file}: no rows")
    return found


def letters_of(place: object, choices: Sequence[str]) -> tuple[str, ...]:
    """A letter for each of some choices.

    Raises:
        DataError: they aren't 2 to 26 different ones.
    """
    if not 2 <= len(choices) <= 26 or len(set(choices)) < len(choices):
        raise DataError(f"{place}: {len(choices)} choices; 2 to 26 different ones are asked for")
    return tuple(chr(ord("A") + at) for at in range(len(choices)))


def each_scored(
    items: Sequence[Item], metric: str, given: Sequence[Answer], scores: Sequence[float]
) -> list[ItemResult]:
    """A record of each item's score; unscored where its answer says why."""
    each = zip(items, given, scores, strict=True)
    return [scored(i.id, metric, [one], s, **i.about) for i, one, s in each]


def made_of(
    id: str, metric: str, records: Sequence[ItemResult], verdict: Callable[[], bool], **about: Any  # noqa: A002
) -> ItemResult:  # fmt: skip
    """The record of a verdict on some records; unscored where one of them is."""
    for record in records:
        if record.score is None:
            reason = str(record.reason)
            return unscored(id, metric, reason, transient=record.transient, **about)
    return judged(id, metric, verdict(), **about)


def of_parts(
    found: Sequence[ItemResult], metric: str, part: Callable[[ItemResult], str],
    value: Callable[[float], float], about: Sequence[str],
) -> list[ItemResult]:  # fmt: skip
    """A record of each part of some records, from the mean of its scored ones.

    Args:
        part: what a record belongs to: the id of the part's own record.
        about: fields that a part's records have in common.
    """
    parts: dict[str, list[ItemResult]] = {}
    for one in found:
        parts.setdefault(part(one), []).append(one)
    out = []
    for name, rows in parts.items():
        numbers = [row.number for row in rows if row.score is not None]
        missing = [] if numbers else [Answer((), rows[0].reason, bool(rows[0].transient))]
        mean = sum(numbers) / max(1, len(numbers))
        common = {key: getattr(rows[0], key) for key in about}
        out.append(scored(name, metric, missing, lambda m=mean: value(m), **common))  # type: ignore[misc]
    return out
