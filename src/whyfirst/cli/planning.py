"""`whyfirst plan` (and `whyfirst study plan`): what a study takes and what it can find.

Leaves out: the counting (study/cost/).
"""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from whyfirst.cli.options import AsJson, StudyOptions, store_at
from whyfirst.cli.output import command, print_json, say, scaled, table, warn
from whyfirst.config.text import duration

if TYPE_CHECKING:
    from whyfirst.study.cost.estimate import Estimate, PlanDescription, PowerRow
    from whyfirst.study.cost.parts import Asked, Calls


@command
def plan(study: StudyOptions, as_json: AsJson = False) -> None:
    """Show what a study takes (tokens, operations, memory, hours, calls) and what it can find."""
    from whyfirst.study.cost.estimate import cost_json, describe_plan, estimate
    from whyfirst.study.cost.timing import seconds_left
    from whyfirst.study.execute.pool import default_workers, machine_words
    from whyfirst.study.plan import build_plan

    # The plan that a run would make, so that nothing is counted by another rule.
    resolved, place = build_plan(study.path, study.overrides), store_at(study.store)
    description = describe_plan(resolved, place)
    cost = estimate(resolved, place)
    workers = default_workers()
    # From what like parts took here, so that it is this machine's time and not a data sheet's.
    left = seconds_left(resolved, place, workers, cost)
    if as_json:
        print_json(asdict(description) | {"cost": cost_json(cost), "seconds_left": left})
        return
    say(description.study + study.overrides.words, style="bold")
    expected = {row.name: row.updates for row in description.stages}
    expected |= {row.name: row.updates for row in cost.work if row.updates is not None}
    show_stages(description, expected)
    known = "not known before the first parts ran" if left is None else f"about {duration(left)}"
    hours = "" if left is None else f" ({left / 3600:,.2f} hours)"
    say(f"time left on this machine ({machine_words()}; {workers} workers): {known}{hours}")
    show_cost(cost)
    if cost.problem is None:
        show_disk(cost, place.root)
    few = [
        f"{row.name} (about {row.updates})" for row in cost.work
        if row.updates is not None and row.left
        and row.updates < resolved.study.stages[row.name].train.min_updates
    ]  # fmt: skip
    if few:
        # Of what will be written only the tokens are known, so the stage has the last word.
        warn(
            f"stages.{', '.join(few)}: fewer weight updates than min_updates, to be refused when "
            "they start; use more tokens or epochs, or a smaller batch_size (or lower it knowingly)"
        )
    for said in (*description.told, *description.repeats, *description.left_out):
        warn(said)
    if description.power:
        show_power(description)


def show_stages(description: "PlanDescription", expected: Mapping[str, int | None]) -> None:
    """Print the arms' seeds and how many parts of each kind there are.

    Args:
        expected: stage -> weight updates, of those given in epochs too.
    """

    # Arms nearly always have the same number of seeds: those that differ are named.
    usual = Counter(description.seeds.values()).most_common(1)[0][0]
    others = [f"{arm} {count}" for arm, count in description.seeds.items() if count != usual]
    more = f" (but {', '.join(others)})" if others else ""
    say(f"{len(description.seeds)} arms, {usual} seeds each{more}\n")
    rows = description.stages
    titles = ["work", "name", "parts", "in the store", "updates each", "time, one core"]
    # Before anything was ever timed here the last column would be empty.
    timed = any(row.seconds is not None for row in rows)
    table(titles if timed else titles[:-1], [
        (row.kind, row.name, row.nodes, row.complete,
         expected.get(row.name) if row.kind == "stage" else None,
         *([] if row.seconds is None else [duration(row.seconds)]))
        for row in rows
    ], "llr")  # fmt: skip
    total, done = sum(row.nodes for row in rows), sum(row.complete for row in rows)
    say(f"together {total} parts ({done} in the store)")


def show_cost(cost: "Estimate") -> None:
    """Print tokens, operations, memory and hours of what is left, and the calls of endpoints."""
    say("")
    if cost.problem is not None:
        warn(f"no tokens, operations or memory: {cost.problem}")
    else:
        say(f"{cost.model}: {cost.parameters:,} parameters")
        # Which parts memory has (weights, gradients, ...) depends on the kinds of stages that are
        # left.
        parts = list(dict.fromkeys(part for row in cost.work for part in row.memory))
        table(
            ("what is left", "name", "parts", "tokens each", "operations each", "disk each",
             "peak memory", *parts),
            [
                (row.kind, row.name, f"{row.left} of {row.nodes}", scaled(row.tokens),
                 f"{row.flops:.2e}", *(scaled(size, "B") if size is not None else None
                   for size in (row.disk, row.peak, *map(row.memory.get, parts))))
                for row in cost.work
            ],
            "llr",
        )  # fmt: skip
        say(f"left to do: {scaled(cost.tokens_left)} tokens, {cost.flops_left:.2e} operations\n")
        fits = {None: "unknown", True: "fits", False: "does not fit one device"}
        machines = []
        for machine in cost.machines:
            # 0.00 hours would read as nothing to do.
            hours = "unknown" if machine.hours is None else f"{machine.hours:,.2f}"
            shown = "under 0.01" if hours == "0.00" else hours
            machines.append((machine.name, shown, fits[machine.fits]))
        table(("device", "hours", "memory"), machines, "lrl")
        say(f"hours at {cost.utilisation:.0%} of the peak, one device")
        for line in cost.assumptions:
            say(line, style="dim")
    if cost.calls:
        show_calls(cost.calls)
    if cost.teachers:
        show_teachers(cost.teachers)


def show_disk(cost: "Estimate", store: Path) -> None:
    """Print what the store will hold more, and whether there is room."""
    # A store that isn't made yet lies on the disk of the nearest folder above it.
    # Free space is the disk's, whichever folder on it is asked.
    there = next(folder for folder in (store, *store.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    say(
        f"disk: {scaled(cost.disk_left, 'B')} more in the store, {scaled(free, 'B')} free "
        "(`keep: last` sheds weights between an arm's stages at the end)"
    )
    if cost.disk_left > free:
        warn(f"{there}: the disk has too little room; free some, or give another --store")


def show_calls(calls: "tuple[Calls, ...]") -> None:
    """Print what judges at endpoints are asked, and its price where prices are given."""
    say("")
    table(("judged", "judges", "asks", "calls", "tokens in", "tokens out, at most",
           "price, at most"), [
        (row.benchmark, ", ".join(row.judges), *_asked(row)) for row in calls
    ], "lllr")  # fmt: skip
    # A total that leaves some out would read as the whole bill.
    unpriced = sum(row.price is None for row in calls)
    total = sum(row.price for row in calls if row.price is not None)
    if unpriced:
        warn(
            f"{unpriced} of {len(calls)} rows are unpriced (give the judge model price_in and "
            f"price_out); the others come to {total:,.2f} at most"
        )
    else:
        say(f"together {total:,.2f} at most, in the currency of the prices given")


def show_teachers(teachers: "tuple[Asked, ...]") -> None:
    """Print what models that write corpora are asked."""
    say("")
    table(("written", "by", "asks", "calls", "tokens in", "tokens out", "price"),
          [(row.written, row.role, *_asked(row)) for row in teachers], "lllr")  # fmt: skip
    say(
        "if every answer is kept and as long as it was asked to be; rejected answers and hidden "
        "reasoning come on top (the model's max_cost is the bound)",
        style="dim",
    )


def _asked(row: "Calls | Asked") -> tuple[str, ...]:
    price = "unpriced" if row.price is None else f"{row.price:,.2f}"
    return row.model, f"{row.calls:,}", scaled(row.tokens_in), scaled(row.tokens_out), price


def show_power(description: "PlanDescription") -> None:
    """Print which difference each contrast could detect, and what that assumes."""

    def cells(row: "PowerRow") -> tuple[object, ...]:
        pair = len(row.arms) == 2
        # Further apart than two shares (or two differences of shares) can lie.
        most = 1.0 if pair else 2.0
        form = "±{:.3f}" if row.unit == "score" else "±{:.1f} points"
        scale = 1.0 if row.unit == "score" else 100.0
        shown = [
            size if size is None else "nothing" if size >= most else form.format(scale * size)
            for size in (row.mde, row.half_width)
        ]
        arms = (" - " if pair else ", ").join(row.arms)
        return (row.contrast, arms, row.n_seeds, row.n_topics, row.n_items, *shown,
                row.seeds_for_5_points)  # fmt: skip

    say("")
    table(("contrast", "arms", "seeds", "topics", "items", "detectable (80 %)", "interval",
           "seeds for ±5"), map(cells, description.power), "llr")  # fmt: skip
    say(f"assuming the spread of: {description.assumptions}")
    # A spread measured elsewhere makes the power of these a guess.
    borrowed = [row.contrast for row in description.power if row.spread == "headline"]
    if borrowed:
        say(
            f"{', '.join(borrowed)}: the spread measured on the headline's metric and cell is "
            "assumed here too",
            style="dim",
        )
    if any(row.n_seeds < 2 for row in description.power):
        say("one seed says nothing about training runs, so it detects nothing", style="dim")
