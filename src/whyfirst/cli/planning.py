"""`whyfirst plan` (and `whyfirst study plan`): what a study takes and what it can find.

Leaves out: the counting (study/describe.py, study/estimate.py).
"""

import shutil
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.text import Text

from whyfirst.cli.output import Justify, print_json, say, standard, table, warn
from whyfirst.report.html import duration
from whyfirst.study.cost.describe import PlanDescription, PowerRow, StageRow, describe_plan
from whyfirst.study.cost.estimate import Estimate, Machine, cost_json, estimate
from whyfirst.study.cost.parts import Asked, Calls, Work
from whyfirst.study.cost.timing import seconds_left
from whyfirst.study.execute.pool import default_workers, machine_words
from whyfirst.study.execute.store import Store
from whyfirst.study.overrides import NONE, Overrides
from whyfirst.study.plan import build_plan
from whyfirst.study.run import default_store

_SPREADS = {
    "study": "",
    "headline": "the spread measured on the headline's metric and cell",
    "default": "a default spread",
}


def plan(
    file: Path,
    *,
    store: Path | None,
    as_json: bool,
    overrides: Overrides = NONE,
    utilisation: float,
    gpus: tuple[str, ...] = (),
) -> None:
    """Print what a study will take and what it can find, before anything is spent.

    Raises:
        UserError: a mistake in the study or its data, or a device that isn't in the table.
    """
    resolved, place = build_plan(file, overrides), Store(store or default_store())
    description = describe_plan(resolved, place)
    found = estimate(resolved, place, utilisation=utilisation, devices=gpus)
    workers = default_workers()
    left = seconds_left(resolved, place, workers)
    if as_json:
        print_json(asdict(description) | {"cost": cost_json(found), "seconds_left": left})
        return
    standard().print(Text(description.study + overrides.words, style="bold"))
    _print_stages(description)
    known = "not known before the first parts ran" if left is None else f"about {duration(left)}"
    hours = "" if left is None else f" ({left / 3600:,.2f} hours)"
    say(f"time left on this machine ({machine_words()}; {workers} workers): {known}{hours}")
    _print_cost(found)
    _print_disk(found, place.root)
    for said in description.repeats:
        warn(said)
    if description.power:
        _print_power(description)


def _print_stages(description: PlanDescription) -> None:
    numbers = Counter(description.seeds.values())
    usual = numbers.most_common(1)[0][0]
    others = [f"{arm} {count}" for arm, count in description.seeds.items() if count != usual]
    say(
        f"{len(description.seeds)} arms, {usual} seeds each"
        + (f" (but {', '.join(others)})" if others else "")
    )
    say("")
    rows = description.stages
    seconds = [row.seconds for row in rows if row.seconds is not None]
    time: list[tuple[str, Justify]] = [("time, one core", "right")] if seconds else []
    columns: list[tuple[str, Justify]] = [
        ("work", "left"), ("name", "left"), ("parts", "right"), ("in the store", "right"),
        ("updates each", "right"),
    ]  # fmt: skip
    table([*columns, *time], [_stage_cells(row) for row in rows])
    total, done = sum(row.nodes for row in rows), sum(row.complete for row in rows)
    say(f"together {total} parts ({done} in the store)")


def _stage_cells(row: StageRow) -> tuple[object, ...]:
    cells = (row.kind, row.name, row.nodes, row.complete, row.updates)
    return cells if row.seconds is None else (*cells, duration(row.seconds))


def _print_cost(found: Estimate) -> None:
    say("")
    if found.problem is not None:
        warn(f"no tokens, operations or memory: {found.problem}")
    else:
        say(f"{found.model}: {found.parameters:,} parameters")
        parts = list(dict.fromkeys(part for row in found.work for part in row.memory))
        table(
            [("what is left", "left"), ("name", "left"), ("parts", "right"),
             ("tokens each", "right"), ("operations each", "right"), ("disk each", "right"),
             ("peak memory", "right"),
             *((part, "right") for part in parts)],
            [_work_cells(row, parts) for row in found.work],
        )  # fmt: skip
        say(f"left to do: {_count(found.tokens_left)} tokens, {found.flops_left:.2e} operations")
        say("")
        table(
            [("device", "left"), ("hours", "right"), ("memory", "left")],
            [_machine_cells(row) for row in found.machines],
        )
        say(f"hours at {found.utilisation:.0%} of the peak (--utilisation), one device")
        for line in found.assumptions:
            say(line, style="dim")
    if found.calls:
        _print_calls(found.calls)
    if found.teachers:
        _print_teachers(found.teachers)


def _print_disk(found: Estimate, store: Path) -> None:
    """What the store will hold more, and whether there is room."""
    if found.problem is not None:
        return
    there = next(folder for folder in (store, *store.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    say(
        f"disk: {_size(found.disk_left)} more in the store, {_size(free)} free (`keep: last` sheds "
        "weights between an arm's stages at the end)"
    )
    if found.disk_left > free:
        warn(f"{there}: the disk has too little room; free some, or give another --store")


def _work_cells(row: Work, parts: list[str]) -> tuple[object, ...]:
    memory = (_size(row.memory.get(part)) for part in parts)
    numbers = (_count(row.tokens), f"{row.flops:.2e}", _size(row.disk), _size(row.peak))
    return row.kind, row.name, f"{row.left} of {row.nodes}", *numbers, *memory


def _machine_cells(row: Machine) -> tuple[object, ...]:
    fits = {None: "unknown", True: "fits", False: "does not fit one device"}[row.fits]
    hours = "unknown" if row.hours is None else f"{row.hours:,.2f}"
    return row.name, "under 0.01" if hours == "0.00" else hours, fits


def _print_calls(calls: tuple[Calls, ...]) -> None:
    say("")
    table(
        [("judged", "left"), ("judges", "left"), ("asks", "left"), ("calls", "right"),
         ("tokens in", "right"), ("tokens out, at most", "right"), ("price, at most", "right")],
        [
            (row.benchmark, ", ".join(row.judges), row.model, f"{row.calls:,}",
             _count(row.tokens_in), _count(row.tokens_out), _price(row.price))
            for row in calls
        ],
    )  # fmt: skip
    unpriced = sum(row.price is None for row in calls)
    total = sum(row.price for row in calls if row.price is not None)
    if unpriced:
        warn(
            f"{unpriced} of {len(calls)} rows are unpriced (give the judge model price_in and "
            f"price_out); the others come to {total:,.2f} at most"
        )
    else:
        say(f"together {total:,.2f} at most, in the currency of the prices given")


def _print_teachers(teachers: tuple[Asked, ...]) -> None:
    say("")
    table(
        [("written", "left"), ("by", "left"), ("asks", "left"), ("calls", "right"),
         ("tokens in", "right"), ("tokens out", "right"), ("price", "right")],
        [(row.written, row.role, row.model, f"{row.calls:,}", _count(row.tokens_in),
          _count(row.tokens_out), _price(row.price)) for row in teachers],
    )  # fmt: skip
    say(
        "if every answer is kept and as long as it was asked to be; rejected answers and hidden "
        "reasoning come on top (the model's max_cost is the bound)",
        style="dim",
    )


def _price(value: float | None) -> str:
    return "unpriced" if value is None else f"{value:,.2f}"


def _count(value: float) -> str:
    """1234567 as 1.2M."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.1f}{letter}"
    return f"{value:.0f}"


def _size(value: float | None) -> str | None:
    """Bytes as GB (10^9), MB where there is less than one."""
    if value is None:
        return None
    return f"{value / 1e9:,.1f} GB" if value >= 1e9 else f"{value / 1e6:,.1f} MB"


def _print_power(description: PlanDescription) -> None:
    say("")
    table(
        [("contrast", "left"), ("arms", "left"), ("seeds", "right"), ("topics", "right"),
         ("items", "right"), ("detectable (80 %)", "right"), ("interval", "right"),
         ("seeds for ±5", "right")],
        [_power_cells(row) for row in description.power],
    )  # fmt: skip
    say(f"assuming the spread of: {description.assumptions}")
    borrowed = [row.contrast for row in description.power if row.spread == "headline"]
    if borrowed:
        say(f"{', '.join(borrowed)}: {_SPREADS['headline']} is assumed here too", style="dim")
    if any(row.n_seeds < 2 for row in description.power):
        say("one seed says nothing about training runs, so it detects nothing", style="dim")


def _power_cells(row: PowerRow) -> tuple[object, ...]:
    most = 1.0 if len(row.arms) == 2 else 2.0

    def points(value: float | None) -> str | None:
        if value is None:
            return None
        return "nothing" if value >= most else f"±{100 * value:.1f} points"

    arms = " - ".join(row.arms) if len(row.arms) == 2 else ", ".join(row.arms)
    sizes = (row.n_seeds, row.n_topics, row.n_items)
    spreads = (points(row.mde), points(row.half_width), row.seeds_for_5_points)
    return row.contrast, arms, *sizes, *spreads
