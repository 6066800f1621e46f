"""Registration: freezing what a study will do before it is done, and reporting what changed.

A registration file beside the study file holds everything that decides the results (arms, stages,
corpora, data hashes, seeds, benchmarks, contrasts, the primary contrast with its test, versions of
the code of stages and benchmarks), the date, and a hash over both. An amendment stands behind it
with its own date, its reason and a hash that holds the one before: none but the last can be taken
out unseen. Leaves out: proof of time beyond these dates; publish the hash for it.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json, sha256_json, write_json
from whyfirst.config.strict import decisive
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.probe.record import PROBES
from whyfirst.report.parts import Amendment, Look, Registration
from whyfirst.study.config import NONE
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.store import Store
from whyfirst.study.execute.upkeep import looks, note_look, note_study
from whyfirst.study.execute.upkeep import registration_path as registration_path
from whyfirst.study.nodes import KINDS
from whyfirst.study.plan import Plan, build_plan
from whyfirst.train.kinds import KINDS as STAGES

TEST = {
    "pairs": "by item within each seed that both arms have; an item unscored in either is left out",
    "estimate": "mean over seeds, each with equal weight, of the mean paired difference over items",
    "random": "seeds and topics, crossed",
    "strata": "split x group: an item that has both belongs to the stratum split/group, every "
    "other item to one further stratum; topics vary within strata only, where each stratum has two "
    "topics and a score from every seed, and else over the whole cell",
    "variance": "crossed random-effects ANOVA: seeds + topics - what both count",
    "degrees_of_freedom": "Satterthwaite's, with the seed term counted (S + 3) / (S - 1) times",
    "statistic": "Student's t, two-sided, with its 95 % interval",
    "multiplicity": "Holm over all contrasts of the study",
    "alpha": 0.05,
    "code": "whyfirst.stats.statistics.contrast and interaction",
}
#: what of it is otherwise where each seed is a world of its own
WORLDS_TEST = {
    "pairs": "by item within each world that both arms have; an item unscored in either is left "
    "out",
    "estimate": "mean over worlds, each with equal weight, of the mean paired difference",
    "random": "worlds; topics and subjects are each world's own",
    "strata": "none",
    "variance": "of the worlds' mean differences, over their number",
    "degrees_of_freedom": "worlds - 1",
    "exact": "sign-flip over the worlds' mean differences, beside it",
}
PRIMARY_ONLY = "Holm over the primary contrasts; secondary ones are shown uncorrected"
_CHANGES = 8  # shown of a plan that was registered otherwise


def frozen_plan(plan: Plan) -> dict[str, Any]:
    """Everything that decides a study's results, as JSON-able data without a date."""
    study = plan.study
    content: dict[str, Any] = decisive(study)
    headline = next((c for c in study.contrasts if c.name == study.headline), None)
    content["primary"] = decisive(headline) if headline else None
    content["test"] = TEST | (WORLDS_TEST if study.drawn else {})
    if study.primary:
        content["primaries"] = list(study.primary)
        content["test"]["multiplicity"] = PRIMARY_ONLY
    # Of the code that can change a result, of the kinds and benchmarks in use.
    kinds = {node.kind for node in plan.nodes}
    stages = {use.train.kind for use in study.stages.values()}
    benchmarks = {use.benchmark for use in plan.evaluations}
    content["versions"] = {
        "kinds": {name: KINDS[name].version for name in sorted(kinds) if KINDS[name].version},
        "stages": {name: STAGES.get(name).version for name in sorted(stages)},
        "benchmarks": {name: benchmark_named(name).version for name in sorted(benchmarks)},
    }
    # A plan without any is what it was before there were any.
    if study.probe:
        probes = {name: PROBES.get(name).version for name in sorted(study.probe.probes)}
        content["versions"]["probes"] = probes
    nulls = {name: use.nulls for name, use in study.benchmarks.items() if use.nulls}
    content |= {"nulls": nulls} if nulls else {}
    content["seeds"] = {arm: list(study.given_seeds(arm)) for arm in study.arms}
    # Content hashes of files outside the study; library versions are the report's, not the plan's.
    content["data"] = dict(sorted(plan.outside.items()))
    return content


@dataclass(frozen=True)
class Registered:
    """A study's registration.

    Attributes:
        path: the file.
        at: when it was registered (ISO 8601, UTC).
        sha256: its hash.
        new: whether it was written now; else it was there, with the same plan.
        amended: whether an amendment was written now, to a plan registered before.
        results: how many evaluations of this plan the store already held: above 0, the study was
            not registered before its first result, and reports will say so.
        looks: how often results of it had been put together.
    """

    path: Path
    at: str
    sha256: str
    new: bool
    amended: bool
    results: int
    looks: int


def register(file: Path, store: Store, amend: str | None = None) -> Registered:
    """Freeze a study's plan beside its file.

    Args:
        store: where results are looked for that exist already.
        amend: why a plan registered before is replaced by the present one.

    Raises:
        UserError: a registration with other content is there already and no reason is given; says
            what differs. Or there is nothing to amend.
    """
    plan = build_plan(file)
    content, path = frozen_plan(plan), registration_path(file)
    now, new = datetime.now(UTC).isoformat(timespec="seconds"), not path.exists()
    if new and amend is not None:
        raise UserError(f"{path}: nothing to amend: the study isn't registered yet")
    if new:
        fresh = {"registered_at": now, "plan": content}
        write_json(path, fresh | {"sha256": sha256_json(fresh)})
    record = read_registration(path)
    last = _last(record)
    changed = bool(_deviations(last["plan"], content))
    if amend is not None and not changed:
        raise UserError(f"{path}: nothing to amend: the study's plan is what was registered")
    results, looked = sum(1 for _ in _results(plan, store)), len(looks(store, plan.study.study))
    if changed and amend is not None:
        told = {"at": now, "reason": amend, "plan": content, "results": results, "looks": looked}
        # Hashed together with the hash of what it amends: none can be taken out unseen.
        sha = sha256_json(told | {"amends": last["sha256"]})
        record["amendments"] = [*record.get("amendments", ()), told | {"sha256": sha}]
        write_json(path, record)
        last = _last(record)
    elif changed:
        changes = _deviations(last["plan"], content)
        shown = "\n".join(f"  {line}" for line in changes[:_CHANGES])
        more = f"\n  and {len(changes) - _CHANGES} more" if len(changes) > _CHANGES else ""
        raise UserError(
            f"{path}: this study is registered already (on {record['registered_at']}), and its "
            f"plan has changed since:\n{shown}{more}\nResults will list the deviations. To "
            "register the new plan instead, give the study a new name and file, say why it "
            "changed with --amend REASON, or remove the registration if nothing was run yet"
        )
    # Noted as the study's, so that clearing up leaves them.
    if results:
        keys = [node.key for node in plan.nodes]
        note_study(store, plan.study.study, file, keys, running=False)
    at = last.get("at", record["registered_at"])
    return Registered(path, at, last["sha256"], new, changed, results, looked)


def _last(record: Mapping[str, Any]) -> dict[str, Any]:
    """What was registered last: the record itself, or its last amendment."""
    every: list[dict[str, Any]] = [dict(record), *record.get("amendments", ())]
    return every[-1]


def read_registration(path: Path) -> dict[str, Any]:
    """A registration file's content.

    Raises:
        UserError: it can't be read, or its hash does not fit its plan and date.
    """
    record = read_json(path)
    names = ("registered_at", "plan")
    if not isinstance(record, dict) or not {*names, "sha256"} <= set(record):
        raise UserError(f"{path}: not a registration; restore it, or remove it and register anew")
    whole = sha256_json({name: record[name] for name in names}) == record["sha256"]
    before = record["sha256"]
    for one in record.get("amendments", ()):
        said = {name: value for name, value in one.items() if name != "sha256"}
        whole &= sha256_json(said | {"amends": before}) == one["sha256"]
        before = one["sha256"]
    if not whole:
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
    record, current = read_registration(path), frozen_plan(plan)
    at = datetime.fromisoformat(record["registered_at"]).timestamp()
    first = min((marker.stat().st_mtime for marker in _results(plan, store)), default=None)
    frozen, before, amendments = _last(record)["plan"], record["plan"], []
    for one in record.get("amendments", ()):
        told = {name: one[name] for name in ("at", "reason", "sha256", "results", "looks")}
        amendments.append(Amendment(**told, changes=_deviations(before, one["plan"])))
        before = one["plan"]
    # The contrasts it decides by.
    primary = frozen.get("primaries") or [(frozen.get("primary") or {}).get("name")]
    # When results of fewer seeds than now were put together.
    seeds = {arm: len(plan.study.seeds_of(arm)) for arm in plan.study.arms}
    interim = [
        Look(at=look["at"], seeds=look["seeds"]) for look in looks(store, plan.study.study)
        if any(look["seeds"].get(arm, 0) < count for arm, count in seeds.items())
    ]  # fmt: skip
    return Registration(
        registered=True,
        before_first_result=None if first is None else at <= first,
        sha256=record["sha256"],
        file=path.name,
        primary=", ".join(filter(None, primary)) or None,
        deviations=_deviations(frozen, current),
        amendments=amendments,
        looks=interim,
    )


def note_results(plan: Plan, store: Store) -> None:
    """Note that results of a registered study are put together: who has them has looked.

    Whatever the command changes in the study, evaluations of its own plan may be among those shown.
    """
    if not registration_path(plan.file).exists():
        return
    own = plan
    if plan.overrides != NONE:
        # A file that can't be planned as it stands has no other evaluations than these.
        with contextlib.suppress(UserError):
            own = build_plan(plan.file)
    keys = {node.key for node in own.nodes}
    shown = {
        (use.arm, use.seed) for use in plan.evaluations
        if plan.by_id[use.node].key in keys and use.step is None and not use.seam
    }  # fmt: skip
    counts = Counter(arm for arm, _ in shown)
    # A comparison takes two arms; the base alone is the same under any training.
    if own is plan or len(counts) > 1:
        note_look(store, own.study.study, {a: counts[a] for a in plan.study.arms if counts[a]})


def _deviations(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Where a plan differs from the registered one, a line each.

    That more or fewer seeds are run than registered is said once, under ``seeds``: the data of a
    seed that only one of them has are no difference.
    """
    seeds = [{f"seed{seed}" for several in plan.get("seeds", {}).values() for seed in several}
             for plan in (old, new)]  # fmt: skip
    both = seeds[0] & seeds[1]
    before, after = (
        {**plan, "data": {
            name: sha for name, sha in plan.get("data", {}).items()
            if not name.startswith("seed") or name.partition("/")[0] in both
        }}
        for plan in (old, new)
    )  # fmt: skip
    found = sorted(_differences(before, after, ""))
    # Where the code of a test lies is no part of it: a module that moves decides nothing.
    return [line for line in found if not line.startswith("test.code:")]


def _results(plan: Plan, store: Store) -> Iterator[Path]:
    """The markers of the plan's evaluations that are there."""
    for node in plan.nodes:
        marker = store.folder(*node.key) / MARKER
        if node.kind == "evaluation" and marker.exists():
            yield marker


def _differences(old: Any, new: Any, at: str) -> Iterator[str]:
    """Where two plans differ, a line each: ``arms.direct: ... -> ...``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            place = f"{at}.{key}" if at else str(key)
            if key in old and key in new:
                yield from _differences(old[key], new[key], place)
            else:
                yield f"{place}: {'added' if key in new else 'removed'}"
    elif old != new:
        yield f"{at}: registered {_brief(old)}, run with {_brief(new)}"


def _brief(value: Any) -> str:
    """A value on one line; many seeds as their number and range."""
    is_seeds = isinstance(value, list) and len(value) > 3 and all(type(v) is int for v in value)
    if is_seeds and value == list(range(value[0], value[-1] + 1)):
        return f"{len(value)} ({value[0]} to {value[-1]})"
    return repr(value)
