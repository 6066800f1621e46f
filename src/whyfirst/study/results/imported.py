"""Scores that another tool gave an arm, joined to a study's results.

`report/imported.json` beside results.json keeps every imported item, so that arms which come in
one by one are paired all the same. What is joined is named ``inspect:...`` or ``lm-eval:...``; it
has the intervals, pairs and Holm's adjustment of the study's own, in a family of its own, since
the study's plan didn't name it. Leaves out: reading the files (interop/), and the
texts of items (the tool that made the file shows them).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from whyfirst.config.errors import DataError, UserError, did_you_mean
from whyfirst.config.files import read_json, write_json
from whyfirst.config.strict import StrictModel
from whyfirst.report import schema
from whyfirst.stats import statistics
from whyfirst.stats.scores import Scores, paired, shared_seeds
from whyfirst.study.results.table import Table, measured, summarise, unscored_row

FILE = "imported.json"
PREFIXES = ("inspect:", "lm-eval:")
_NOTE = "Imported: "


class Total(StrictModel):
    """A result of which only the mean is known; `stderr` is the other tool's."""

    value: float = Field(ge=0, le=1)
    stderr: float | None
    n: int = Field(ge=0)


class Import(StrictModel):
    """One metric of one arm and seed.

    Attributes:
        settings: what has to be equal in every arm for a comparison (the task's version and
            arguments).
        items: (id, topic, score or None, reason where unscored); empty where only a total is known.
    """

    name: str
    title: str
    definition: str
    version: str
    unit: Literal["proportion", "score"]
    higher_is_better: bool
    source: str
    settings: str
    items: list[tuple[str, str, float | None, str | None]]
    total: Total | None = None
    arm: str = ""
    seed: int = 0


def parse_target(text: str, results: schema.Results) -> tuple[str, int, Path]:
    """(arm, seed, file) of ``ARM=FILE`` or ``ARM:SEED=FILE``.

    Raises:
        UserError: another form, no such arm or seed, no such file, or several seeds and none named.
    """
    target, equals, file = text.partition("=")
    if not equals or not file:
        raise UserError(f"--import-log {text}: write it ARM=FILE, or ARM:SEED=FILE")
    arm, colon, number = target.partition(":")
    results.arm(arm, "--import-log: ")
    seeds = results.seeds.get(arm, [])
    if not colon and len(seeds) != 1:
        raise UserError(
            f"--import-log {text}: arm {arm!r} was trained with the seeds "
            f"{', '.join(map(str, seeds))}; say whose log it is: {arm}:{seeds[0]}={file}"
        )
    if colon and number not in map(str, seeds):
        raise UserError(
            f"--import-log: arm {arm!r} has no seed {number!r} (seeds: "
            f"{', '.join(map(str, seeds))})"
        )
    if not Path(file).exists():
        raise UserError(f"--import-log: no such file: {file}")
    return arm, int(number) if colon else seeds[0], Path(file)


def load(folder: Path) -> list[Import]:
    """What was imported beside a results.json before.

    Raises:
        DataError: the file can't be read or doesn't fit.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        return [Import.model_validate(row) for row in read_json(path)]
    except (ValidationError, TypeError) as error:
        raise DataError(f"{path}: not what whyfirst keeps of imports; remove it and import again "
                        f"({str(error).splitlines()[0]})") from error  # fmt: skip


def add(kept: Sequence[Import], new: Iterable[Import]) -> list[Import]:
    """Both; an arm's seed has one result of a metric, the newest."""
    found = {(one.name, one.arm, one.seed): one for one in (*kept, *new)}
    return [found[key] for key in sorted(found)]


def save(folder: Path, imports: Sequence[Import]) -> None:
    """Keep imports beside results.json."""
    write_json(folder / FILE, [one.model_dump(mode="json") for one in imports])


def lower_is_better(imports: Sequence[Import], names: Iterable[str]) -> list[Import]:
    """`imports` with the metrics named so turned.

    Args:
        names: whole, or without what stands before a ":" or "/" (the tool, the task's package).

    Raises:
        UserError: none is called that.
    """
    known = {one.name for one in imports}
    turned: set[str] = set()
    for name in names:
        found = {full for full in known if full == name or full.endswith((f":{name}", f"/{name}"))}
        if not found:
            raise UserError(
                f"--lower-is-better: nothing imported is called {name!r}"
                f"{did_you_mean(name, known)} (imported: {', '.join(sorted(known)) or 'nothing'})"
            )
        turned |= found
    return [
        one.model_copy(update={"higher_is_better": False}) if one.name in turned else one
        for one in imports
    ]


def joined(results: schema.Results, imports: Sequence[Import]) -> schema.Results:
    """The results with everything imported; what an earlier call joined is replaced.

    Raises:
        DataError: a metric was measured with other settings in another arm.
    """
    data: dict[str, Any] = json.loads(results.model_dump_json())
    for part in (data, *data["arms"].values()):
        kept = {k: v for k, v in part["benchmarks"].items() if not k.startswith(PREFIXES)}
        part["benchmarks"] = kept
    for key in ("contrasts", "unscored"):
        data[key] = [row for row in data[key] if not row["benchmark"].startswith(PREFIXES)]
    data["notes"] = [note for note in data["notes"] if not note.startswith(_NOTE)]
    pairs = list(dict.fromkeys(
        (c.a, c.b) for c in results.contrasts
        if c.kind == "difference" and not c.benchmark.startswith(PREFIXES)
    ))  # fmt: skip
    contrasts: list[dict[str, Any]] = []
    for name in sorted({one.name for one in imports}):
        of_it = [one for one in imports if one.name == name]
        _refuse_unlike(of_it)
        first, arms = of_it[0], [arm for arm in data["arms"] if any(o.arm == arm for o in of_it)]
        if not arms:
            continue
        about = {"title", "definition", "version", "higher_is_better", "unit", "source"}
        data["benchmarks"][name] = first.model_dump(include=about)
        scores: dict[str, Scores] = {}
        for arm in arms:
            lone = results.lone(arm)
            of_arm, table = [one for one in of_it if one.arm == arm], Table(lone=lone)
            for one in of_arm[:1] if lone else of_arm:
                for item, topic, score, reason in one.items:
                    row = {"id": item, "topic": topic, "score": score, "reason": reason}
                    table.add(one.seed, row)
            rows = table.scores("*/*", {})
            cell = _mean(of_arm[0]) if rows is None else summarise(rows).model_dump(mode="json")
            data["arms"][arm]["benchmarks"][name] = {"*/*": cell}
            if rows is not None:
                scores[arm] = rows
                data["unscored"].append(unscored_row(arm, name, table).model_dump(mode="json"))
        for a, b in pairs:
            shared = a in scores and b in scores and shared_seeds([scores[a], scores[b]])
            of = f"{name}: {a} - {b}"
            both = paired([scores[a], scores[b]], of) if shared else None
            if both is not None and both.comparable:  # some item is scored in both arms
                found = measured(statistics.compare(both, of))
                contrasts.append({
                    "name": of, "title": f"{first.title}: {a} minus {b}", "kind": "difference",
                    "a": a, "b": b, "benchmark": name, "cell": "*/*", "p_adjusted": found["p"],
                    **found,
                })  # fmt: skip
        said = " ".join(dict.fromkeys(one.source for one in of_it))
        data["notes"].append(f"{_NOTE}{first.title}, for {', '.join(arms)}. {said}")
    if contrasts:
        adjusted = statistics.holm([row["p"] for row in contrasts])
        for row, p in zip(contrasts, adjusted, strict=True):
            row["p_adjusted"] = p
        data["contrasts"] += contrasts
        data["notes"].append(
            f"{_NOTE}their {len(contrasts)} comparisons were not in the study's plan; their p is "
            "adjusted among themselves, and the study's own p values are as they were."
        )
    return schema.parse_results(data, "imported results")


def _refuse_unlike(imports: Sequence[Import]) -> None:
    """Refuse one metric measured with other settings in another arm, and seeds without items."""
    first = imports[0]
    for one in imports:
        if (one.version, one.settings) != (first.version, first.settings):
            raise DataError(
                f"{first.name}: arm {first.arm!r} was measured with version {first.version}, "
                f"{first.settings}, and arm {one.arm!r} with version {one.version}, "
                f"{one.settings}; these don't compare: run one of them again"
            )
        if one.total and sum(other.arm == one.arm for other in imports) > 1:
            raise DataError(
                f"{first.name}: several seeds of arm {one.arm!r} need the score of each item, and "
                "a file has only their mean; run lm-eval again with --log_samples"
            )


def _mean(one: Import) -> dict[str, Any]:
    """The cell of a result of which only the mean is known."""
    total = one.total
    assert total is not None
    half = None if total.stderr is None else statistics.Z * total.stderr
    return {
        "value": total.value,
        "low": None if half is None else max(0.0, total.value - half),
        "high": None if half is None else min(1.0, total.value + half),
        "n": total.n, "unscored": 0, "n_seeds": 1, "worst": None, "best": None,
    }  # fmt: skip
