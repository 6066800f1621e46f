"""Registration: freezing what a study will do before it is done, and reporting what changed.

A registration file beside the study file holds everything that decides the results (arms, stages,
corpora, data hashes, seeds, benchmarks, contrasts, the primary contrast with its test), the date,
and a hash over both. Leaves out: proof of time beyond that date; publish the hash for it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whyfirst.config import output_fields
from whyfirst.errors import UserError
from whyfirst.files import read_json, sha256_json, write_json
from whyfirst.report.schema import Registration
from whyfirst.study.plan import Plan, build_plan
from whyfirst.study.store import Store

TEST = (
    "paired by item within seed; seeds and topics as crossed random samples; two-sided t test and "
    "95 % interval on the crossed variance; Holm over all contrasts of the study"
)
ALPHA = 0.05


def registration_path(file: Path) -> Path:
    """Where a study file's registration is."""
    return file.with_name(f"{file.stem}.registration.json")


def frozen_plan(plan: Plan) -> dict[str, Any]:
    """Everything that decides a study's results, as JSON-able data without a date."""
    study = plan.study
    content = output_fields(study)
    primary = next((c for c in study.contrasts if c.name == study.headline), None)
    content["primary"] = output_fields(primary) if primary else None
    content["test"] = {"method": TEST, "alpha": ALPHA}
    content["seeds"] = {arm: list(study.seeds_of(arm)) for arm in study.arms}
    # Content hashes of files outside the study; library versions are the report's, not the plan's.
    content["data"] = dict(sorted(plan.outside.items()))
    return content


def register(file: Path) -> Path:
    """Freeze a study's plan beside its file; returns the registration's path.

    Raises:
        UserError: a registration with other content is there already.
    """
    content, path = frozen_plan(build_plan(file)), registration_path(file)
    if path.exists():
        if sha256_json(_record(path)["plan"]) == sha256_json(content):
            return path
        raise UserError(
            f"{path}: this study is registered already, and its plan has changed since; results "
            "will list the deviations. To register the new plan instead, give the study a new "
            "name and file, or remove the registration if nothing was run yet"
        )
    record = {"registered_at": datetime.now(UTC).isoformat(timespec="seconds"), "plan": content}
    write_json(path, record | {"sha256": sha256_json(record)})
    return path


def _record(path: Path) -> dict[str, Any]:
    """A registration file's content.

    Raises:
        UserError: it can't be read, or its hash does not fit its plan and date.
    """
    record = read_json(path)
    names = ("registered_at", "plan")
    if not isinstance(record, dict) or not {*names, "sha256"} <= set(record):
        raise UserError(f"{path}: not a registration; restore it, or remove it and register anew")
    if sha256_json({name: record[name] for name in names}) != record["sha256"]:
        raise UserError(f"{path}: the registration was edited: its hash does not fit its content")
    return record


def registration(plan: Plan, store: Store) -> Registration:
    """Whether the study was registered before its first result, and what deviates since."""
    path = registration_path(plan.file)
    if not path.exists():
        return Registration(
            registered=False, before_first_result=None, sha256=None, file=None, primary=None,
            deviations=[],
        )  # fmt: skip
    record = _record(path)
    at = datetime.fromisoformat(record["registered_at"]).timestamp()
    first = _first_result(plan, store)
    return Registration(
        registered=True,
        before_first_result=None if first is None else at <= first,
        sha256=record["sha256"],
        file=path.name,
        primary=(record["plan"].get("primary") or {}).get("name"),
        deviations=sorted(_differences(record["plan"], frozen_plan(plan), "")),
    )


def _first_result(plan: Plan, store: Store) -> float | None:
    """When the first evaluation of the plan was complete (seconds since 1970)."""
    markers = [
        store.folder(*node.key) / "COMPLETE.json"
        for node in plan.nodes
        if node.kind == "evaluation"
    ]
    times = [path.stat().st_mtime for path in markers if path.exists()]
    return min(times, default=None)


def _differences(old: Any, new: Any, at: str) -> list[str]:
    """Where two plans differ, a line each: ``arms.direct: ... -> ...``."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted({*old, *new}):
            place = f"{at}.{key}" if at else str(key)
            if key not in old:
                found.append(f"{place}: added")
            elif key not in new:
                found.append(f"{place}: removed")
            else:
                found += _differences(old[key], new[key], place)
        return found
    if old == new:
        return []
    return [f"{at}: registered {old!r}, run with {new!r}"]
