"""`whyfirst store ...`: what a store holds, whether it is sound, and clearing up.

Leaves out: what is done (study/execute/upkeep.py).
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyfirst.cli.output import AsJson, command, print_json, say, table, warn

if TYPE_CHECKING:
    from whyfirst.study.execute.store import Store

store_app = typer.Typer(
    help="Look after a store: what it holds, whether it is sound, clearing up.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
StorePath = Annotated[
    Path | None,
    typer.Option("--store", help="The store (default: $WHYFIRST_STORE or ./store)."),
]
Sure = Annotated[bool, typer.Option("--yes", help="Do it; without, it is only said what would go.")]


def _open(given: Path | None) -> "Store":
    from whyfirst.config.errors import UserError
    from whyfirst.study.execute.store import Store
    from whyfirst.study.run import default_store

    store = Store(given or default_store())
    if not store.root.is_dir():
        raise UserError(f"{store.root}: no store there; name it with --store")
    return store


def _bytes(size: int) -> str:
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:,.1f} {unit}"
    return f"{size} B"


@store_app.command("list")
@command
def list_(store: StorePath = None, as_json: AsJson = False) -> None:
    """Show the studies whose results are here, and what no study uses."""
    from whyfirst.study.execute.studies import studies
    from whyfirst.study.execute.upkeep import holdings

    place = _open(store)
    found = {holding.key: holding for holding in holdings(place)}
    uses = list(studies(place))
    used = {key for use in uses for key in use.keys}
    rows = []
    for use in uses:
        here = [found[key] for key in use.keys if key in found]
        done = sum(holding.state == "complete" for holding in here)
        size = sum(holding.size for holding in here)
        rows.append((use.name, done, len(use.keys), size, use.protected, use.file))
    other = [holding for key, holding in found.items() if key not in used]
    names = ("study", "complete", "parts", "bytes", "protected", "file")
    if as_json:
        print_json({
            "studies": [dict(zip(names, row, strict=True)) for row in rows],
            "of_no_study": {"parts": len(other), "bytes": sum(one.size for one in other)},
        })  # fmt: skip
        return
    table(
        [("study", "left"), ("complete", "right"), ("of", "right"), ("size", "right"),
         ("", "left"), ("file", "left")],
        [(name, done, parts, _bytes(size), why, file) for name, done, parts, size, why, file in
         rows],
    )  # fmt: skip
    say("sizes count what several studies share for each of them", style="dim")
    if other:
        say(f"of no study: {len(other)} parts, {_bytes(sum(one.size for one in other))}")


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
    table(
        [("kind", "left"), ("complete", "right"), ("unfinished", "right"), ("size", "right")],
        [*((kind, row["complete"], row["unfinished"], _bytes(row["bytes"]))
           for kind, row in kinds.items()),
         *((name, None, None, _bytes(size)) for name, size in beside.items())],
    )  # fmt: skip
    say(f"together {_bytes(total)}")


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
    sound = sum(holding.state == "complete" for holding in holdings(place))
    if as_json:
        print_json({"sound": sound, "damaged": damaged})
    else:
        for one in damaged:
            warn(f"{one['kind']}/{one['fingerprint']}: {one['problem']}")
        say(f"{sound} results are sound, {len(damaged)} damaged")
    if damaged:
        warn("the studies they belong to compute them anew when they are run again")
        raise typer.Exit(2)


@store_app.command("gc")
@command
def gc(store: StorePath = None, yes: Sure = False, as_json: AsJson = False) -> None:
    """Remove what killed commands left and what was put aside. Never a result."""
    from whyfirst.study.execute.upkeep import collect

    count, size = collect(_open(store), dry=not yes)
    if as_json:
        print_json({"removed": yes, "files": count, "bytes": size})
        return
    done = "removed" if yes else "would be removed (--yes does it)"
    say(f"{count} files and folders, {_bytes(size)}: {done}")


@store_app.command("prune")
@command
def prune_(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="[STUDY]...", help="Names; see `store list`.")
    ] = None,
    unnamed: Annotated[
        bool, typer.Option("--of-no-study", help="Also what no study that ran here uses.")
    ] = False,
    store: StorePath = None,
    yes: Sure = False,
    as_json: AsJson = False,
) -> None:
    """Remove results that only these studies use. Never what a registered or running one needs."""
    from whyfirst.config.errors import UserError
    from whyfirst.study.execute.upkeep import prunable, prune

    if not studies and not unnamed:
        raise UserError("name the studies whose results may go (`whyfirst store list` has them)")
    place, names = _open(store), studies or []
    what = prune if yes else prunable
    gone = what(place, names, unnamed=unnamed)
    size = sum(holding.size for holding in gone)
    if as_json:
        print_json({"removed": yes, "parts": len(gone), "bytes": size})
        return
    done = "removed" if yes else "would be removed (--yes does it)"
    say(f"{len(gone)} parts, {_bytes(size)}: {done}")
