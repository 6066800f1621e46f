"""The writing loop: cells are dealt, asked for, filtered and written down, batch after batch.

The loop is a function of the answers: what has been answered lies in ``answers.jsonl``, row by row
as it arrives, and a run that was killed is played again from there, asking only for what is
missing. A probe and a pilot are the first batches of the full run. Leaves out: controls
(`controls.py`) and what the corpus is worth (`audit.py`).
"""

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
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

    def refuse_none(self) -> None:
        """Refuse to write for ever.

        Raises:
            UserError: neither tokens nor documents are given.
        """
        if self.tokens is None and self.documents is None:
            raise UserError("say how much to write: tokens or documents")

    def full(self, progress: Progress) -> bool:
        """Whether enough is kept."""
        tokens = self.tokens is not None and progress.tokens >= self.tokens
        return tokens or (self.documents is not None and progress.kept >= self.documents)

    def batch_size(self, batch: int, progress: Progress) -> int:
        """The scheduled size, or what is still needed at the yield so far."""
        # From what was kept and the limits of the full run only: a probe and a resumed run then
        # ask for the same batches.
        size = BATCHES[min(batch, len(BATCHES) - 1)]
        needed: list[float] = []
        if self.documents is not None:
            needed.append(self.documents - progress.kept)
        if self.tokens is not None and progress.kept:
            mean = progress.tokens / progress.kept
            needed.append((self.tokens - progress.tokens) / mean)
        if not needed or not progress.kept:
            return size
        return max(1, min(size, round(min(needed) / progress.rate + 0.5)))


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
            "id": self.id, "cell": self.cell.id, **self.document.row(),
            "upheld": self.cell.upheld, "subdomain": self.cell.subdomain, "idea": self.cell.idea,
            "prompt_sha": self.prompt_sha, "created": self.created, "tokens": self.tokens,
            "words": len(lexicon.words(self.document.text)),
            "asserted": self.asserted, "attributed": self.attributed,
        }  # fmt: skip


@dataclass(frozen=True)
class Desk:
    """What every corpus of a folder is written with."""

    constitution: Constitution
    teacher: Teacher
    folder: Path
    limits: Limits
    count_tokens: CountTokens

    def record(self, request: Request, answer: Answer, created: str) -> Record:
        """A kept answer as a record, with its scores."""
        cell = request.cell
        document = Explanation(
            answer.text, answer.value or cell.value, answer.behaviour or cell.behaviour,
            teacher=self.teacher.name, corpus=request.corpus, grounds=answer.grounds, **cell.frame,
        )  # fmt: skip
        return Record(
            request.id, cell, document, self.teacher.prompt_sha(request), created,
            self.count_tokens(answer.text),
            # Of the explained value, in every corpus: the neutral one should have neither.
            asserted=lexicon.asserts(answer.text, cell.behaviour),
            attributed=lexicon.attributes(answer.text, self.constitution.value(cell.value)),
        )  # fmt: skip

    def stop_if_broken(self, outcomes: Sequence[bool], filters: Filters) -> None:
        """Stop when a whole first batch, or most of the last answers, were no use.

        Args:
            outcomes: whether each answer so far could be kept.

        Raises:
            TeacherStopped: names what was rejected and how often.
        """
        window = outcomes[-JUDGED_CALLS:]
        # A first batch of eight without one document is a wrong prompt or a wrong model, at any
        # yield.
        hopeless = len(outcomes) >= BATCHES[0] and not any(outcomes)
        enough = sum(window) >= self.limits.min_yield * len(window)
        if not hopeless and (len(outcomes) < JUDGED_CALLS or enough):
            return
        reasons = ", ".join(f"{name} {n}" for name, n in filters.rejected.reasons.most_common(3))
        raise TeacherStopped(
            f"teacher {self.teacher.name!r}: {sum(window)} of the last {len(window)} answers could "
            f"be kept (rejected in all: {reasons}); stopped before more is spent. The answers are "
            "kept; change the teacher or the plan, or lower the yield at which a run stops"
        )


class Journal:
    """A folder's answers: read once, then added to as they arrive."""

    def __init__(self, folder: Path, teacher: Teacher) -> None:
        self._path = folder / ANSWERS
        self._teacher = teacher
        self.ledger = Ledger(folder / SPENT, teacher.usage)
        self._known: dict[str, tuple[Answer, str]] = {}
        if self._path.is_file():
            for row in read_jsonl(self._path, allow_torn_tail=True):
                answer = Answer(**{field.name: row[field.name] for field in fields(Answer)})
                known = replace(answer, grounds=tuple(answer.grounds))
                self._known[row["id"]] = known, row["created"]
        self.asked = 0
        # What a kept document cost is reckoned from these alone.
        self.new: set[str] = set()  # requests answered by this process
        self._now = datetime.now(UTC).isoformat(timespec="seconds")

    def collect(self, requests: Sequence[Request]) -> list[tuple[Request, Answer, str]]:
        """(request, answer, when) for each, in the requests' order; asks for what isn't known.

        Raises:
            UserError: none of several requests was answered; what was is on disk.
        """
        missing = [request for request in requests if request.id not in self._known]
        problem, wanted = "", len(missing)
        try:
            for tries_left in reversed(range(_TRIES)):
                left: list[Request] = []
                for request, answer in self._teacher.answers(missing) if missing else ():
                    self.asked += 1
                    if answer.problem is not None and tries_left:
                        left.append(request)
                        problem = answer.problem
                    else:
                        self._keep(request, answer)
                # A whole batch without one answer is a teacher that is down; a few are lost.
                if len(left) == wanted >= BATCHES[0]:
                    raise TeacherStopped(
                        f"teacher {self._teacher.name!r}: none of {len(left)} requests was "
                        f"answered ({problem}); nothing was lost, the same command continues"
                    )
                missing = left
        finally:
            self.ledger.note()
        return [(request, *self._known[request.id]) for request in requests]

    def _keep(self, request: Request, answer: Answer) -> None:
        self.new.add(request.id)
        if not self._teacher.free:
            self._now = datetime.now(UTC).isoformat(timespec="seconds")
            row = {"id": request.id, **asdict(answer), "created": self._now}
            append_jsonl(self._path, row)
        # The grammar gives the same answer for nothing, so its answers are kept in memory only.
        self._known[request.id] = answer, self._now


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
    # The answers in the folder were given to other questions if any of these differs.
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
    desk: Desk,
    plan: Plan,
    filters: Filters,
    seed: int,
    on_batch: Callable[[Progress], None] = lambda progress: None,
) -> tuple[list[Record], Progress]:
    """Write explanations until a limit is reached; ``explanations.jsonl`` grows by the batch.

    Raises:
        TeacherStopped: the yield is broken, or nothing was answered.
        UserError: no limit was given.
    """
    limits = desk.limits
    limits.refuse_none()
    path = desk.folder / "explanations.jsonl"
    atomic_write(path, "")  # it is written again from the answers, a torn line and all
    dealer = Dealer(plan, desk.constitution, seed)
    journal = Journal(desk.folder, desk.teacher)
    records: list[Record] = []
    progress = Progress()
    outcomes: list[bool] = []
    batch = 0
    most = math.inf if limits.calls is None else limits.calls
    while progress.calls < most and not limits.full(progress):
        cells = dealer.deal(limits.batch_size(batch, progress))
        answered = journal.collect([Request(cell) for cell in cells])
        reasons = filters.judge([(request, answer) for request, answer, _ in answered])
        new: list[Record] = []
        for (request, answer, created), reason in zip(answered, reasons, strict=True):
            # Also for answers that no longer count: what is dealt next must not depend on the
            # limit.
            dealer.settle(request.cell, kept=reason is None)
            # A rejected cell comes back later, behind those that were never tried.
            outcomes.append(reason is None)
            progress.calls += 1
            if reason is None and not limits.full(progress):
                record = desk.record(request, answer, created)
                new.append(record)
                progress.kept += 1
                progress.kept_now += request.id in journal.new
                progress.tokens += record.tokens
        # Flushed once: a torn end is no loss, since the file is made from the answers.
        with path.open("a", encoding="utf-8") as handle:
            handle.write(rows_text(new))
            handle.flush()
            os.fsync(handle.fileno())
        records += new
        # After the rows are on disk: a caller that stops at a cap loses nothing it was told of.
        progress.spent_now, progress.asked_now = journal.ledger.now(), journal.asked
        on_batch(replace(progress))
        if not limits.full(progress):
            desk.stop_if_broken(outcomes, filters)
        batch += 1
    return records, progress


def rows_text(records: Sequence[Record]) -> str:
    """The lines of a corpus file."""
    lines = (json.dumps(r.row(), ensure_ascii=False, sort_keys=True) + "\n" for r in records)
    return "".join(lines)
