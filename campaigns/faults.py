"""Let the n-th open, read, write, flush or rename of a study fail, for every n and every reason.

    python campaigns/faults.py --count 0 --folder faults

Each trial runs a reduced study in an empty store with one fault (or all from the n-th on), as the
disk would give it to any library (`disk`). The command must end with one clear message, or well;
the store must verify; and the same command, without the fault, must end with the same bytes as if
nothing had been. The tally is kept, and the same command goes on with it. Leaves out: what a power
cut loses (`power`).
"""

import argparse
import errno
import json
import os
import random
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import disk
import zygote
from command import contents, left_over
from studies import FILES, assets, lay_out
from tally import Tally, options

FAULTS = {
    "create": ("ENOSPC", "EDQUOT", "EROFS", "EIO", "ESTALE"),
    "write": ("ENOSPC", "short", "EDQUOT", "EIO", "EFBIG"),
    "sync": ("EIO", "ENOSPC", "EDQUOT", "ESTALE"),
    "rename": ("ENOSPC", "EIO", "EROFS", "EDQUOT", "ESTALE"),
    "open": ("EIO", "ESTALE", "EACCES"),
    "read": ("EIO", "ESTALE"),
}
LASTING = ("ENOSPC", "EROFS", "EIO")
MOST_S = 120.0


class Bench:
    """A reduced study in a folder, run in forks: with a fault, checked, and completed.

    Attributes:
        contents: what it holds when nothing was done to it.
        calls: how many calls of each class it makes.
    """

    def __init__(self, study: str, folder: Path) -> None:
        self.study, self.place, self.said = study, folder / "trial", folder / "said.txt"
        self.fresh()
        if self.run(modules=folder / "modules.txt") != 0:
            raise SystemExit(f"{study}: doesn't even run without a fault:\n{self.words()}")
        self.calls = disk.counts()
        zygote.warm(folder)
        self.contents = contents(self.place / "store", self.place / "out")

    def fresh(self) -> None:
        """Nothing but the study's files."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.file = lay_out(self.study, self.place / "study")

    def run(
        self,
        kind: str | None = None,
        first: int = 0,
        last: int | None = None,
        fault: str = "",
        record: int = -1,
        modules: Path | None = None,
    ) -> int | None:
        """The study's command with a fault (`disk.arm`); its exit code."""
        return zygote.run(
            ["study", "run", str(self.file), "--store", str(self.place / "store"),
             "--out", str(self.place / "out"), "--workers", "1"],
            self.place, self.said, MOST_S, modules=modules,
            before=lambda: disk.arm(self.place, kind, first, last, fault, record),
        )  # fmt: skip

    def words(self) -> str:
        """What the last command printed."""
        return self.said.read_text(errors="replace")

    def complete(self) -> Iterator[str]:
        """What is wrong with the store now, and with what the same command makes of it."""
        store, out = self.place / "store", self.place / "out"
        if (store / "STORE.json").exists():
            arguments = ["store", "verify", "--store", str(store)]
            code = zygote.run(arguments, self.place, self.said, before=lambda: disk.arm(self.place))
            if code != 0:
                yield f"store verify says {code}: {self.words()[-600:]}"
        if (code := self.run()) != 0:
            yield f"the same command doesn't complete it ({code}): {self.words()[-1500:]}"
            return
        now = contents(store, out)
        for name in sorted(self.contents.keys() | now.keys()):
            if now.get(name) != self.contents.get(name):
                yield f"differs: {name}"
        yield from (f"left: {what}" for what in left_over(store, [out]))

    def trial(self, kind: str, fault: str, number: int, lasting: bool) -> Iterator[str]:
        """What is wrong after this fault; nothing where all is well."""
        self.fresh()
        code = self.run(kind, number, 2**40 if lasting else number, fault)
        words = self.words()
        if code is None:
            yield "hangs"
        elif code not in (0, 2):
            yield f"ends with {code}: {words[-1500:]}"
        elif "Traceback" in words:
            yield f"a traceback: {words[-1500:]}"
        elif code == 2:
            reason = "" if fault == "short" else os.strerror(getattr(errno, fault))
            # safetensors takes every refusal for a missing file.
            named = reason in words or "the disk refuses it" in words
            if ("\n" + words).count("\nerror: ") != 1 or not named:
                yield f"not clear: {words[-600:]}"
        yield from self.complete()


def trials(calls: dict[str, int]) -> Iterator[tuple[str, str, int, bool]]:
    """Every call with every reason; of some that write, the reason lasts from there on."""
    for round_ in range(max(map(len, FAULTS.values()))):
        for kind, reasons in FAULTS.items():
            for number in range(1, calls[kind] + 1):
                if round_ < len(reasons):
                    yield kind, reasons[(number + round_) % len(reasons)], number, False
                if round_ == 0 and kind in ("create", "write", "sync") and number % 3 == 1:
                    yield kind, LASTING[number // 3 % len(LASTING)], number, True


def bench_of(given: argparse.Namespace) -> Bench:
    """The bench of a command's options, ready."""
    folder = given.folder.absolute()
    disk.loaded(folder)
    zygote.warm(folder, assets(folder / "assets"))
    return Bench(given.study, folder)


def main(arguments: list[str]) -> int:
    """Run trials that aren't in the tally; 1 where one of them found something wrong."""
    parser = options(__doc__ or "", "faults", 0, "trials in all; 0: every one")
    parser.add_argument("--study", choices=sorted(FILES), default="least")
    given = parser.parse_args(arguments)
    bench = bench_of(given)
    every = list(trials(bench.calls))
    random.Random(given.seed).shuffle(every)
    print(json.dumps({"calls": bench.calls, "faults": len(every)}), flush=True)
    todo = {
        f"{given.study}/{kind}/{fault}/{number}{'+' * lasting}":
            partial(bench.trial, kind, fault, number, lasting)
        for kind, fault, number, lasting in every[: given.count or None]
    }  # fmt: skip
    return Tally(given.folder.absolute() / "tally.jsonl").judge(todo, given.until)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
