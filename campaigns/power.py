"""Cut the power at any moment of a study, and complete it from what was on the disk.

    python campaigns/power.py --count 0 --folder power

A run is recorded, call by call (`disk`). After a cut the disk has what was flushed, and of the rest
any beginning: so for every moment, and every beginning of the unflushed calls before it, the files
are made as they would be found. The same command must complete the study from each, with the bytes
of the run that nobody cut. Files count as flushed by their own fsync, names by their folder's, as
POSIX says and no more. The tally is kept. Leaves out: disks that acknowledge a flush and don't do
it, and the unflushed calls in another order.
"""

import json
import os
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import disk
from disk import Change
from faults import Bench, bench_of
from studies import FILES
from tally import Tally, options

State = dict[str, bytes | None]
"""Path -> content, None for a folder."""


def flushed(changes: Sequence[Change]) -> list[int]:
    """For each change, the place of the call that made it durable; past the end where none did."""
    never = len(changes)
    durable = [never] * never
    waiting: dict[str, list[int]] = {}
    lacking: dict[int, int] = {}
    for place, change in enumerate(changes):
        if change.op == "F":
            for earlier in waiting.pop(change.path, ()):
                lacking[earlier] -= 1
                if not lacking[earlier]:
                    durable[earlier] = place
            continue
        if change.op in "WT":
            needs = {change.path}
        else:
            needs = {str(Path(name).parent) for name in (change.path, change.other) if name}
        lacking[place] = len(needs)
        for name in needs:
            waiting.setdefault(name, []).append(place)
        if change.op == "R":
            # What was written under the old name is flushed under the new one.
            moved = [n for n in waiting if n == change.path or n.startswith(change.path + "/")]
            for name in moved:
                held = waiting.pop(name)
                waiting.setdefault(change.other + name[len(change.path) :], []).extend(held)
    return durable


def replay(changes: Iterable[Change]) -> State:
    """The files after these calls."""
    contents: dict[int, bytearray] = {}
    names: dict[str, int | None] = {}
    for number, change in enumerate(changes):
        match change.op:
            case "C":
                names[change.path] = number
                contents[number] = bytearray()
            case "M":
                names.setdefault(change.path, None)
            case "T" | "W":
                # Its name may not have reached the disk: then its content can't be found either.
                inode = names.get(change.path)
                if inode is not None and change.op == "T":
                    del contents[inode][change.at :]
                elif inode is not None:
                    file, end = contents[inode], change.at + len(change.data)
                    file.extend(bytes(max(0, end - len(file))))
                    file[change.at : end] = change.data
            case "R":
                for name in [n for n in names if f"{n}/".startswith(f"{change.path}/")]:
                    names[change.other + name[len(change.path) :]] = names.pop(name)
            case "U":
                names.pop(change.path, None)
    # A file whose folder isn't there isn't there either.
    found: State = {}
    for name, inode in sorted(names.items()):
        found[name] = None if inode is None else bytes(contents[inode])
    return found


def states(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    """What reached the disk before each cut, every state once, with its name."""
    durable, seen = flushed(changes), set()
    for cut in range(len(changes) + 1):
        there = [place for place in range(cut) if changes[place].op != "F"]
        loose = [place for place in there if durable[place] >= cut]
        for kept in range(len(loose) + 1):
            lost = set(loose[kept:])
            key = tuple(place for place in there if place not in lost)
            if key not in seen:
                seen.add(key)
                yield f"{cut}.{kept}", [changes[place] for place in key]


def lay(state: State) -> None:
    """Write a state's files."""
    for name, content in state.items():
        path = Path(name)
        if content is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def recorded(bench: Bench, log: Path) -> list[Change]:
    """The calls of one whole run, kept in `log` for the next command."""
    if not log.exists():
        new = log.with_suffix(".new")
        bench.fresh()
        record = os.open(new, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
        bench.run(record=record)
        disk.arm(bench.place)  # this process itself must not write to what it closes
        os.close(record)
        new.replace(log)
    return [change for change in disk.changes(log) if "/trial/o" in change.path
            or "/trial/s" in change.path]  # fmt: skip


def after(bench: Bench, kept: Sequence[Change]) -> Iterator[str]:
    """What is wrong with the study that is completed from these calls' files."""
    bench.fresh()
    lay(replay(kept))
    yield from bench.complete()


def main(arguments: list[str]) -> int:
    """Complete the study from states that aren't in the tally; 1 where one went wrong."""
    parser = options(__doc__ or "", "power", 0, "states in all; 0: every one")
    parser.add_argument("--study", choices=sorted(FILES), default="least")
    given = parser.parse_args(arguments)
    bench = bench_of(given)
    changes = recorded(bench, given.folder.absolute() / "changes")
    # Else every state would differ from what this code leaves, and tell nothing.
    if problems := list(after(bench, changes)):
        raise SystemExit(
            f"{given.folder}: the run recorded there isn't this code's ({problems[0]}); give "
            "another folder"
        )
    every = list(states(changes))
    random.Random(given.seed).shuffle(every)
    print(json.dumps({"changes": len(changes), "states": len(every)}), flush=True)
    todo = {name: partial(after, bench, kept) for name, kept in every[: given.count or None]}
    return Tally(given.folder.absolute() / "tally.jsonl").judge(todo, given.until)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
