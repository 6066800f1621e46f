"""The writing loop: cells are dealt, asked for, filtered and written down, batch after batch.

The loop is a function of the answers: what has been answered lies in ``answers.jsonl``, row by row
as it arrives, and a run that was killed is played again from there, asking only for what is
missing. A probe and a pilot are the first batches of the full run. Leaves out: controls
(`controls.py`) and what the corpus is worth (`audit.py`).
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import (
    append_jsonl,
    atomic_write,
    read_json,
    read_jsonl,
    sha256_json,
    write_json,
)
from whyfirst.config.strict import output_fields
from whyfirst.constitution import Constitution
from whyfirst.explain import lexicon
from whyfirst.explain.cells import Cell, Dealer
from whyfirst.explain.explanation import Explanation
from whyfirst.explain.filters import FilterOptions, Filters
from whyfirst.explain.plan import Plan
from whyfirst.explain.progress import SPENT, Ledger, Progress
from whyfirst.explain.teachers import Answer, Request, Teacher
from whyfirst.explain.tokens import CountTokens

RUN, ANSWERS = "run.json", "answers.jsonl"
#: documents asked for in the first batches, so that the yield is known early; then the last size
BATCHES = (8, 24, 32, 64)
PROBE, PILOT = 8, 64  # calls
MIN_YIELD, JUDGED_CALLS = 0.25, 32
_TRIES = 3


class TeacherStopped(UserError):
    """The teacher's answers aren't worth their price; says what is wrong with them."""


@dataclass(frozen=True)
class Limits:
    """When to stop; None is no limit, one of tokens and documents is needed.

    Args:
        tokens, documents: kept, not asked for.
        calls: answers, kept or not; for probes and pilots.
        min_yield: kept documents a call below which the run stops itself.
    """

    tokens: int | None = None
    documents: int | None = None
    calls: int | None = None
    min_yield: float = MIN_YIELD


@dataclass(frozen=True)
class Record:
    """A kept document with its cell."""

    id: str
    cell: Cell
    document: Explanation
    prompt_sha: str
    created: str
    tokens: int
    asserted: bool
    attributed: bool

    def row(self) -> dict[str, Any]:
        """A row of a corpus file."""
        return {
            "id": self.id,
            "cell": self.cell.id,
            **self.document.row(),
            "upheld": self.cell.upheld,
            "subdomain": self.cell.subdomain,
            "idea": self.cell.idea,
            "prompt_sha": self.prompt_sha,
            "created": self.created,
            "tokens": self.tokens,
            "words": len(lexicon.words(self.document.text)),
            "asserted": self.asserted,
            "attributed": self.attributed,
        }


class Journal:
    """A folder's answers: read once, then added to as they arrive."""

    def __init__(self, folder: Path, teacher: Teacher) -> None:
        self._path = folder / ANSWERS
        self._teacher = teacher
        self.ledger = Ledger(folder / SPENT, teacher.usage)
        self._known: dict[str, Mapping[str, Any]] = {}
        if self._path.is_file():
            rows = read_jsonl(self._path, allow_torn_tail=True)
            self._known = {row["id"]: row for row in rows}
        self.asked = 0
        self.new: set[str] = set()  # requests answered by this process
        self._now = datetime.now(UTC).isoformat(timespec="seconds")

    def collect(self, requests: Sequence[Request]) -> list[tuple[Request, Answer, str]]:
        """(request, answer, when) for each, in the requests' order; asks for what isn't known.

        Raises:
            UserError: none of several requests was answered; what was is on disk.
        """
        try:
            self._ask([request for request in requests if request.id not in self._known])
        finally:
            self.ledger.note()
        return [(request, *self._answer(request)) for request in requests]

    def _ask(self, missing: Sequence[Request]) -> None:
        problem, wanted = "", len(missing)
        for attempt in range(_TRIES):
            if not missing:
                return
            last = attempt == _TRIES - 1
            left: list[Request] = []
            for request, answer in self._teacher.answers(missing):
                self.asked += 1
                if answer.problem is not None and not last:
                    left.append(request)
                    problem = answer.problem
                else:
                    self._keep(request, answer)
            # A whole batch without one answer is a teacher that is down; a few are lost answers.
            if len(left) == wanted >= BATCHES[0]:
                raise TeacherStopped(
                    f"teacher {self._teacher.name!r}: none of {len(left)} requests was answered "
                    f"({problem}); nothing was lost, the same command continues"
                )
            missing = left

    def _keep(self, request: Request, answer: Answer) -> None:
        row = {
            "id": request.id,
            "text": answer.text,
            "finished": answer.finished,
            "problem": answer.problem,
            "grounds": list(answer.grounds),
            "value": answer.value,
            "behaviour": answer.behaviour,
            "created": self._now,
        }
        self._known[request.id] = row
        self.new.add(request.id)
        if not self._teacher.free:
            row["created"] = datetime.now(UTC).isoformat(timespec="seconds")
            append_jsonl(self._path, row)

    def _answer(self, request: Request) -> tuple[Answer, str]:
        row = self._known[request.id]
        answer = Answer(
            text=row["text"],
            finished=row["finished"],
            problem=row["problem"],
            grounds=tuple(row["grounds"]),
            value=row["value"],
            behaviour=row["behaviour"],
        )
        return answer, row["created"]


def open_run(
    folder: Path,
    constitution: Constitution,
    plan: Plan,
    teacher: Teacher,
    seed: int,
    options: FilterOptions,
) -> None:
    """Claim a folder for one corpus.

    Raises:
        UserError: it holds another one; says what differs.
    """
    identity = {
        "constitution": sha256_json(output_fields(constitution)),
        "plan": plan.fingerprint,
        "teacher": teacher.fingerprint,
        "seed": seed,
        "filters": output_fields(options),
    }
    if (folder / RUN).is_file():
        known = read_json(folder / RUN)["identity"]
        other = sorted(name for name in identity if known.get(name) != identity[name])
        if other:
            raise UserError(
                f"{folder}: holds a corpus with another {', '.join(other)}; choose another folder, "
                "or remove this one"
            )
        return
    about = {
        "name": constitution.name,
        "teacher": teacher.name,
        "constitution": constitution.model_dump(),
        "identity": identity,
    }
    write_json(folder / RUN, about)


def write_explanations(
    constitution: Constitution,
    plan: Plan,
    teacher: Teacher,
    filters: Filters,
    folder: Path,
    *,
    seed: int,
    limits: Limits,
    count_tokens: CountTokens,
    on_batch: Callable[[Progress], None] = lambda progress: None,
) -> tuple[list[Record], Progress]:
    """Write explanations until a limit is reached; ``explanations.jsonl`` grows by the batch.

    Raises:
        TeacherStopped: the yield is broken, or nothing was answered.
        UserError: no limit was given.
    """
    if limits.tokens is None and limits.documents is None:
        raise UserError("say how much to write: tokens or documents")
    path = folder / "explanations.jsonl"
    atomic_write(path, "")  # it is written again from the answers, a torn line and all
    dealer = Dealer(plan, constitution, seed)
    journal = Journal(folder, teacher)
    records: list[Record] = []
    progress = Progress()
    outcomes: list[bool] = []
    batch = 0
    while not _reached(progress, limits):
        cells = dealer.deal(_batch_size(batch, progress, limits))
        answered = journal.collect([Request(cell) for cell in cells])
        reasons = filters.judge([(request, answer) for request, answer, _ in answered])
        new: list[Record] = []
        for (request, answer, created), reason in zip(answered, reasons, strict=True):
            dealer.settle(request.cell, kept=reason is None)
            outcomes.append(reason is None)
            progress.calls += 1
            if reason is None and not _full(progress, limits):
                record = make_record(request, answer, created, teacher, constitution, count_tokens)
                new.append(record)
                progress.kept += 1
                progress.kept_now += request.id in journal.new
                progress.tokens += record.tokens
        _append(path, new)
        records += new
        progress.spent_now, progress.asked_now = journal.ledger.now(), journal.asked
        on_batch(replace(progress))
        if not _full(progress, limits):
            stop_if_broken(outcomes, filters, teacher, limits)
        batch += 1
    return records, progress


def make_record(
    request: Request,
    answer: Answer,
    created: str,
    teacher: Teacher,
    constitution: Constitution,
    count_tokens: CountTokens,
) -> Record:
    """A kept answer as a record, with its scores."""
    cell = request.cell
    document = Explanation(
        text=answer.text,
        value=answer.value or cell.value,
        behaviour=answer.behaviour or cell.behaviour,
        genre=cell.genre,
        audience=cell.audience,
        stance=cell.stance,
        angle=cell.angle,
        domain=cell.domain,
        teacher=teacher.name,
        corpus=request.corpus,
        grounds=answer.grounds,
    )
    return Record(
        id=request.id,
        cell=cell,
        document=document,
        prompt_sha=teacher.prompt_sha(request),
        created=created,
        tokens=count_tokens(answer.text),
        # Of the explained value, in every corpus: the neutral one should have neither.
        asserted=lexicon.asserts(answer.text, cell.behaviour),
        attributed=lexicon.attributes(answer.text, constitution.value(cell.value)),
    )


def _reached(progress: Progress, limits: Limits) -> bool:
    enough_calls = limits.calls is not None and progress.calls >= limits.calls
    return enough_calls or _full(progress, limits)


def _full(progress: Progress, limits: Limits) -> bool:
    tokens = limits.tokens is not None and progress.tokens >= limits.tokens
    return tokens or (limits.documents is not None and progress.kept >= limits.documents)


def _batch_size(batch: int, progress: Progress, limits: Limits) -> int:
    """The scheduled size, or what is still needed at the yield so far.

    It depends on what was kept and on the limits of the full run only, so that a probe and a
    resumed run ask for the same batches.
    """
    size = BATCHES[min(batch, len(BATCHES) - 1)]
    needed: list[float] = []
    if limits.documents is not None:
        needed.append(limits.documents - progress.kept)
    if limits.tokens is not None and progress.kept:
        mean = progress.tokens / progress.kept
        needed.append((limits.tokens - progress.tokens) / mean)
    if not needed or not progress.kept:
        return size
    return max(1, min(size, round(min(needed) / progress.rate + 0.5)))


def _append(path: Path, records: Sequence[Record]) -> None:
    """Add rows, flushed once: a torn end is no loss, since the file is made from the answers."""
    lines = (json.dumps(r.row(), ensure_ascii=False, sort_keys=True) + "\n" for r in records)
    with path.open("a", encoding="utf-8") as handle:
        handle.writelines(lines)
        handle.flush()
        os.fsync(handle.fileno())


def stop_if_broken(
    outcomes: Sequence[bool], filters: Filters, teacher: Teacher, limits: Limits
) -> None:
    """Stop when a whole first batch, or most of the last answers, were no use.

    Args:
        outcomes: whether each answer so far could be kept.

    Raises:
        TeacherStopped: names what was rejected and how often.
    """
    window = outcomes[-JUDGED_CALLS:]
    rate = sum(window) / len(window)
    hopeless = len(outcomes) >= BATCHES[0] and not any(outcomes)
    if not hopeless and (len(outcomes) < JUDGED_CALLS or rate >= limits.min_yield):
        return
    reasons = ", ".join(f"{name} {n}" for name, n in filters.rejected.reasons.most_common(3))
    raise TeacherStopped(
        f"teacher {teacher.name!r}: {sum(window)} of the last {len(window)} answers could be kept "
        f"(rejected in all: {reasons}); stopped before more is spent. The answers are kept; change "
        "the teacher or the plan, or lower the yield at which a run stops"
    )
