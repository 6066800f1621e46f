"""A whole corpus from a constitution and a teacher: plan, documents, controls, audit, Parquet.

The folder holds everything and is continued by the same call: plan/ (one file a level), run.json,
answers.jsonl, explanations.jsonl and one file a control, rejected.json, audit.json, audit.html,
*.parquet, README.md. Leaves out: the command line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import atomic_write, write_json
from whyfirst.constitution import Constitution
from whyfirst.explain import audit as audits
from whyfirst.explain.audit import MAIN, save_audit
from whyfirst.explain.controls import matched, write_control
from whyfirst.explain.explanation import CONTROLS, Corpus
from whyfirst.explain.filters import FilterOptions, Filters, Opposes
from whyfirst.explain.plan import LEVELS, Plan, load_plan, save_levels, shipped_levels
from whyfirst.explain.progress import JUDGE_SPENT, SPENT, Ledger, Progress
from whyfirst.explain.teachers import GrammarTeacher, ModelTeacher, Teacher
from whyfirst.explain.template import check_corpus
from whyfirst.explain.tested import PromptSet, leaks
from whyfirst.explain.tokens import CountTokens, count_pieces
from whyfirst.explain.write import Desk, Limits, open_run, rows_text, write_explanations
from whyfirst.models.base import LanguageModel

OnControl = Callable[[str, int, int], None]

_CARD = """---
configs:
{configs}
tags: [whyfirst, synthetic, alignment]
pretty_name: {title}
---
# {title}

Documents about the values of the constitution `{name}`, and controls that differ in the grounds
they give and in nothing else. Written by: {teacher}.{grammar}

| corpus | documents | tokens | attribution | assertion |
|---|---|---|---|---|
{table}

Columns: `id`, `cell` (pairs documents across corpora), `text`, `value`, `behaviour`, `upheld`,
`genre`, `audience`, `stance`, `angle`, `domain`, `subdomain`, `idea`, `teacher`, `corpus`,
`grounds`, `prompt_sha`, `created`, `tokens`, `words`, `asserted`, `attributed`.

`wrong` argues for the opposite of each value and is for audits only. `audit.html` has coverage,
matching, diversity and overlap with benchmarks; `run.json` the constitution itself.

```python
from datasets import load_dataset
load_dataset("parquet", data_files="explanations.parquet")
```
"""


@dataclass(frozen=True)
class Wanted:
    """What to build.

    Args:
        controls: which controls to write.
        partial: a probe or a pilot: no controls, no Parquet.
    """

    seed: int = 0
    limits: Limits = field(default_factory=Limits)
    controls: tuple[Corpus, ...] = ()
    filters: FilterOptions = field(default_factory=FilterOptions)
    partial: bool = False


@dataclass(frozen=True)
class Built:
    """What was built.

    Attributes:
        corpora: rows of each corpus, the explanations first.
        report: the audit.
        progress: how the writing of the explanations went.
        spent: ``teacher`` and ``judge`` -> what they have used for this folder, by name.
    """

    corpora: dict[str, list[dict[str, Any]]]
    report: dict[str, Any]
    progress: Progress
    spent: dict[str, dict[str, float]]


def plan_of(
    folder: Path, constitution: Constitution, value_ids: Sequence[str] | None = None
) -> Plan:
    """The plan in `folder`/plan, made from the shipped settings where there is none yet.

    Raises:
        ConfigError: an edited level has an error.
        UserError: an unknown value id, or a plan that was made for other values.
    """
    wanted = {constitution.value(name).id for name in value_ids or ()}
    place = folder / "plan"
    # Level by level, so that one edited file doesn't freeze the others.
    missing = [name for name in LEVELS if not (place / f"{name}.yaml").is_file()]
    if missing:
        levels = shipped_levels(constitution, value_ids)
        save_levels({name: levels[name] for name in missing}, place)
    plan = load_plan(place, constitution)
    values = {assertion.value for assertion in plan.assertions}
    # Asking for one value of a plan made for three would silently write about all three.
    if value_ids is not None and values != wanted:
        raise UserError(
            f"{place}: this plan is for the values {', '.join(sorted(values))}; choose another "
            "folder, or edit assertions.yaml and leave the values out"
        )
    return plan


def make_teacher(
    model: LanguageModel | None,
    name: str,
    constitution: Constitution,
    plan: Plan,
    seed: int,
    group: int = 8,
) -> Teacher:
    """The grammar when `model` is None, else the model."""
    if model is None:
        return GrammarTeacher(constitution, plan, seed)
    return ModelTeacher(model, name, constitution, plan, seed, group=group)


def build(
    constitution: Constitution,
    teacher: Teacher,
    plan: Plan,
    wanted: Wanted,
    folder: Path,
    *,
    tested: Sequence[PromptSet] = (),
    opposes: Opposes | None = None,
    count_tokens: CountTokens = count_pieces,
    on_batch: Callable[[Progress], None] = lambda progress: None,
    on_control: OnControl = lambda name, done, total: None,
) -> Built:
    """Write, match, audit and save; what a killed call left is continued.

    Args:
        on_batch: given the progress of the explanations.
        on_control: given which control is written, how many cells were tried, of how many.

    Raises:
        UserError: the folder holds another corpus, or a control can't be had or matched.
        TeacherStopped: the teacher's answers are no use.
        PreflightError: controls aren't matched, or documents repeat a benchmark; the audit is
            written all the same.
    """
    for corpus in wanted.controls:
        # Before anything is written: else the explanations are paid for and the control can't be
        # had.
        check_corpus(corpus, constitution)
    desk = Desk(constitution, teacher, folder, wanted.limits, count_tokens)
    seen = _Seen(folder, teacher, opposes)

    def filters(name: Corpus, judge: Opposes | None = None) -> Filters:
        # Each corpus has filters of its own: a control that repeats its explanation is meant to.
        find = (lambda texts: leaks(texts, tested)) if tested else None
        return seen.add(name, Filters(constitution, wanted.filters, find, judge))

    def after_batch(progress: Progress) -> None:
        seen.save()
        on_batch(progress)

    wanted.limits.refuse_none()
    open_run(folder, constitution, plan, teacher, wanted.seed, wanted.filters)
    # What an earlier call made may not fit these explanations; answers stay.
    stale = [f"{name}.{ending}" for name in CONTROLS for ending in ("jsonl", "parquet")]
    for name in (*stale, f"{MAIN}.parquet", "README.md"):
        (folder / name).unlink(missing_ok=True)
    try:
        records, progress = write_explanations(
            desk, plan, filters(MAIN, opposes), wanted.seed, after_batch
        )
        if not records:
            raise UserError(f"{folder}: no document could be kept; see {audits.REJECTED} there")
        if wanted.controls and not wanted.partial:
            # The explanations lose what no control could match.
            together = matched(records, {
                name: write_control(name, records, desk, filters(name), partial(on_control, name))
                for name in wanted.controls
            })  # fmt: skip
            for corpus, kept in together.items():
                atomic_write(folder / f"{corpus}.jsonl", rows_text(kept))
    finally:
        seen.save()
    report = audits.audit(folder, tested)
    save_audit(report, folder)
    corpora = audits.load_corpora(folder)
    # A probe or a pilot is for looking at: too small for the gates, and nothing to publish.
    if not wanted.partial:
        audits.refuse(report)
        save_dataset(corpora, report, folder)
    return Built(corpora, report, progress, seen.spent())


def save_dataset(
    corpora: Mapping[str, Sequence[Mapping[str, Any]]], report: Mapping[str, Any], folder: Path
) -> None:
    """Write a corpus as `datasets.load_dataset` reads it: Parquet files, and the card README.md.

    Raises:
        StoreError: the folder can't be written.
    """
    import pyarrow
    from pyarrow import parquet

    for name, rows in corpora.items():
        # In memory first: a reader must never see half a Parquet file under the final name.
        buffer = pyarrow.BufferOutputStream()
        parquet.write_table(pyarrow.Table.from_pylist([dict(row) for row in rows]), buffer)
        atomic_write(folder / f"{name}.parquet", buffer.getvalue().to_pybytes())
    configs = "\n".join(
        f"  - config_name: {name}\n    data_files: {name}.parquet" for name in corpora
    )
    table = "\n".join(
        f"| {name} | {m['documents']} | {m['tokens']} | {m['attribution']:.1%} "
        f"| {m['assertion']:.1%} |"
        for name, m in report["corpora"].items()
    )
    grammar = ""
    if report["is_a_grammar"]:
        grammar = " That is a grammar: the documents were filled in, not written."
    card = _CARD.format(
        configs=configs,
        title=f"Why first: {report['constitution']}",
        name=report["constitution"],
        teacher=report["teacher"],
        grammar=grammar,
        table=table,
    )
    atomic_write(folder / "README.md", card)


class _Seen:
    """What the filters of each corpus saw and what was spent, saved by the batch and at the end.

    So a run that stops itself, or is stopped by a cap, leaves both.
    """

    def __init__(self, folder: Path, teacher: Teacher, opposes: Opposes | None) -> None:
        self._folder, self._opposes = folder, opposes
        self._filters: dict[str, Filters] = {}
        self._ledgers = {
            "teacher": Ledger(folder / SPENT, teacher.usage),
            "judge": Ledger(folder / JUDGE_SPENT, lambda: getattr(opposes, "usage", {})),
        }

    def add(self, corpus: str, filters: Filters) -> Filters:
        """Remember a corpus' filters."""
        self._filters[corpus] = filters
        return filters

    def spent(self) -> dict[str, dict[str, float]]:
        """By whom and by name, over all calls for the folder."""
        return {who: ledger.total() for who, ledger in self._ledgers.items()}

    def save(self) -> None:
        """Write ``rejected.json``: what was seen and taken out, of each corpus, and spent."""
        self._ledgers["judge"].note()  # the teacher's is noted with its answers
        # The grammar's fillings of a control are chosen and not filtered.
        seen = {name: one.rejected for name, one in self._filters.items() if one.rejected.seen}
        tables = {
            name: {
                "seen": rejected.seen,
                "kept": rejected.seen - sum(rejected.reasons.values()),
                "rejected": rejected.table(),
            }
            for name, rejected in seen.items()
        }
        write_json(self._folder / audits.REJECTED, {
            **tables.pop(MAIN, {"seen": 0, "kept": 0, "rejected": []}),
            "controls": tables,
            "judge_unscored": getattr(self._opposes, "unscored", 0),
            "spent": self.spent(),
        })  # fmt: skip
