"""`whyfirst store ...`: what a store holds, whether it is sound, and clearing up.

Leaves out: what is done (study/execute/upkeep.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Argument, Option

from whyfirst.cli.options import AsJson, StorePath, group, store_at
from whyfirst.cli.output import command, print_json, say, scaled, table, warn
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.study.execute.store import Store
    from whyfirst.study.execute.upkeep import Holding

store_app = group("Look after a store: what it holds, whether it is sound, clearing up.")
Sure = Annotated[bool, Option("--yes", help="Do it; without, it is only said what would go.")]


def _open(given: Path | None) -> "Store":
    store = store_at(given)
    # An empty listing of a mistyped path would read as "nothing is kept".
    if not store.root.is_dir():
        raise UserError(f"{store.root}: no store there; name it with --store")
    return store


def _size(holdings: "Sequence[Holding]") -> int:
    return sum(holding.size for holding in holdings)


@store_app.command("list")
@command
def list_(store: StorePath = None, as_json: AsJson = False) -> None:
    """Show the studies whose results are here, and what no study uses."""
    from whyfirst.study.execute.upkeep import holdings, studies

    place = _open(store)
    held = {holding.key: holding for holding in holdings(place)}
    uses = list(studies(place))
    rows = []
    for use in uses:
        # A study that was pruned is still one of the store's users, with fewer parts.
        here = [held[key] for key in use.keys if key in held]
        done = sum(holding.state == "complete" for holding in here)
        rows.append((use.name, done, len(use.keys), _size(here), use.protected, use.file))
    # What studies share counts for each, so that "other" is what none of them needs.
    used = {key for use in uses for key in use.keys}
    # Left by a study whose file has changed since: nothing asks for it any more.
    other = [holding for key, holding in held.items() if key not in used]
    if as_json:
        names = ("study", "complete", "parts", "bytes", "protected", "file")
        print_json({
            "studies": [dict(zip(names, row, strict=True)) for row in rows],
            "of_no_study": {"parts": len(other), "bytes": _size(other)},
        })  # fmt: skip
        return
    shown = [(*row[:3], scaled(row[3], "B"), *row[4:]) for row in rows]
    table(("study", "complete", "of", "size", "", "file"), shown, "lrrrll")
    say("sizes count what several studies share for each of them", style="dim")
    if other:
        say(f"of no study: {len(other)} parts, {scaled(_size(other), 'B')}")


@store_app.command("size")
@command
def size_(store: StorePath = None, as_json: AsJson = False) -> None:
    """Show how much each kind of result takes."""
    from whyfirst.study.execute.store import ASIDE, REPLIES
    from whyfirst.study.execute.upkeep import holdings, tree_size

    place = _open(store)
    kinds: dict[str, dict[str, int]] = {}
    for holding in holdings(place):
        row = kinds.setdefault(holding.key[0], {"complete": 0, "unfinished": 0, "bytes": 0})
        row["complete" if holding.state == "complete" else "unfinished"] += 1
        row["bytes"] += holding.size
    beside = {name: tree_size(place.root / name) for name in ("logs", REPLIES, ASIDE)
              if (place.root / name).is_dir()}  # fmt: skip
    total = sum(row["bytes"] for row in kinds.values()) + sum(beside.values())
    if as_json:
        print_json({"kinds": kinds, "beside": beside, "bytes": total})
        return
    rows: list[tuple[object, ...]] = [
        (kind, row["complete"], row["unfinished"], scaled(row["bytes"], "B"))
        for kind, row in kinds.items()
    ]
    rows += [(name, None, None, scaled(size, "B")) for name, size in beside.items()]
    table(("kind", "complete", "unfinished", "size"), rows, "lr")
    say(f"together {scaled(total, 'B')}")


@store_app.command("verify")
@command
def verify_(store: StorePath = None, as_json: AsJson = False) -> None:
    """Hash every file of every result; what is damaged is put aside (exit 2)."""
    from whyfirst.study.execute.upkeep import holdings, verify

    place = _open(store)
    damaged = [
        {"kind": kind, "fingerprint": fingerprint, "problem": problem}
        for (kind, fingerprint), problem in verify(place)
    ]
    # Counted after the look: what was damaged is put aside by then.
    sound = sum(holding.state == "complete" for holding in holdings(place))
    if as_json:
        print_json({"sound": sound, "damaged": damaged})
    else:
        for row in damaged:
            warn(f"{row['kind']}/{row['fingerprint']}: {row['problem']}")
        say(f"{sound} results are sound, {len(damaged)} damaged")
    if damaged:
        warn("the studies they belong to compute them anew when they are run again")
        raise typer.Exit(2)


def _tell_removed(count: int, parts: str, size: int, done: bool) -> None:
    said = "removed" if done else "would be removed (--yes does it)"
    say(f"{count} {parts}, {scaled(size, 'B')}: {said}")


@store_app.command("gc")
@command
def gc(store: StorePath = None, yes: Sure = False, as_json: AsJson = False) -> None:
    """Remove what killed commands left and what was put aside. Never a result."""
    from whyfirst.study.execute.upkeep import collect

    # Dry unless told: what is gone from a store is gone.
    count, size = collect(_open(store), dry=not yes)
    if as_json:
        print_json({"removed": yes, "files": count, "bytes": size})
    else:
        _tell_removed(count, "files and folders", size, yes)


@store_app.command("prune")
@command
def prune_(
    studies: Annotated[
        list[str] | None, Argument(metavar="[STUDY]...", help="Names; see `store list`.")
    ] = None,
    unnamed: Annotated[
        bool, Option("--of-no-study", help="Also what no study that ran here uses.")
    ] = False,
    store: StorePath = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Remove results that only these studies use. Never what a registered or running one needs."""
    from whyfirst.study.execute.upkeep import prunable, prune

    if not studies and not unnamed:
        raise UserError("name the studies whose results may go (`whyfirst store list` has them)")
    gone = (prune if yes else prunable)(_open(store), studies or [], unnamed=unnamed)
    if as_json:
        print_json({"removed": yes, "parts": len(gone), "bytes": _size(gone)})
    else:
        _tell_removed(len(gone), "parts", _size(gone), yes)
