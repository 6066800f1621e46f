"""Kill a study again and again, at any moment and in every way, and look what became of it.

    python campaigns/storm.py --count 1000 --seed 1 --folder storm

A trial takes a reduced study, 1 to 3 commands on one store, and harms them (`harms`) until enough
is done; then the study is completed. It must be what it is without harm, byte for byte; nothing
that was finished may have been computed again, and nothing may be left: no process, no temporary
file, no lock. The tally is kept, and the same command goes on with it. Leaves out: other machines.
"""

import json
import random
import resource
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import zygote
from command import (
    MARKER,
    Command,
    adopt,
    contents,
    descendants,
    end_all,
    finished,
    in_work,
    left_over,
)
from endpoint import Endpoint
from harms import HARMS, await_moment, server_trouble
from studies import FILES, assets, lay_out
from tally import Tally, is_over, options

MOST_S = 600.0  # a command that takes longer hangs
ENDS = {0, 2, 130, 143, -2, -9, -15}  # finished; parts failed; ended by a signal
MOMENTS = ("any", "any", "any", "any", "marker", "marker", "weights", "report")
IMPORTS_S = 8.0  # of CPU, where a command is started as a user does


class Reference:
    """A study that nobody harmed: its folder, what it holds, and which part is of which kind."""

    def __init__(self, name: str, folder: Path, server: Endpoint) -> None:
        self.name, self.store, self.out = name, folder / "store", folder / "out"
        file = lay_out(name, folder, server.port)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = Command(file, self.store, self.out, real=False)
        if command.wait(MOST_S) != 0:
            raise SystemExit(f"{name}: doesn't even run unharmed:\n{command.said()}")
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.cpu_seconds = now.ru_utime + now.ru_stime - before.ru_utime - before.ru_stime
        self.contents = contents(self.store, self.out)
        self.kinds: dict[str, str] = {}
        self.depends: dict[str, set[str]] = {}
        self.shed: set[str] = set()
        for path in self.store.glob(f"[!a.]*/*/{MARKER}"):
            marker = json.loads(path.read_text())
            stage = marker["payload"].get("config", {}).get("train", {}).get("kind")
            stage = stage or marker["payload"].get("train", {}).get("kind")
            self.kinds[marker["fingerprint"]] = f"stage {stage}" if stage else marker["kind"]
            self.depends[marker["fingerprint"]] = set(marker["inputs"].values())
            if marker.get("removed"):
                self.shed.add(marker["fingerprint"])

    def copied(self, store: Path, rng: random.Random) -> None:
        """Some of its results in another store, each with all it depends on: a study half done."""
        store.mkdir(parents=True)
        # With everything there only the report is to be written, which takes no worker.
        most = rng.choice([0, 0, 4, 4, 8, len(self.depends)])
        lacking = set(rng.sample(sorted(self.depends), min(most, len(self.depends))))
        while more := {name for name, needs in self.depends.items() if needs & lacking} - lacking:
            lacking |= more
        # Weights that `keep: last` removed would have to be trained again.
        for name in self.shed:
            if any(name in needs for other, needs in self.depends.items() if other in lacking):
                lacking.add(name)
        if len(lacking) == len(self.depends):
            return
        shutil.copy(self.store / "STORE.json", store)
        for path in self.store.glob(f"[!a.]*/*/{MARKER}"):
            if path.parent.name not in lacking:
                shutil.copytree(path.parent, store / path.parent.relative_to(self.store))


class Trial:
    """One study, harmed and completed.

    Attributes:
        events: what was done, to what, and what was in work then.
        problems: what should not be; empty where all is well.
    """

    def __init__(
        self, name: str, reference: Reference, folder: Path, server: Endpoint, real: bool
    ) -> None:
        self.rng, self.real, self.server = random.Random(name), real, server
        self.name, self.folder, self.reference = name, folder, reference
        self.others = (server.process.pid,)
        self.file = lay_out(reference.name, folder, server.port)
        self.events: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.store = folder / "store"
        self.known: dict[str, str] = {}
        self.commands: list[Command] = []
        self.ended: Counter[str] = Counter()

    def command(self, out: Path) -> Command:
        """The study's command, started."""
        return Command(self.file, self.store, out, self.real)

    def run(self) -> None:
        """Harm it, complete it, and hold it against the reference."""
        self.reference.copied(self.store, self.rng)
        outs = [self.folder / f"out{n}" for n in range(self.rng.choice([1, 1, 1, 2, 2, 3]))]
        self.look()
        try:
            self.commands = [self.command(out) for out in outs]
            for _ in range(self.rng.randint(6, 16)):
                self.harm()
                self.look()
                for place, command in enumerate(self.commands):
                    if command.ended and not self.is_done(command):
                        self.close(command)
                        self.commands[place] = self.command(command.out)
                if all(self.is_done(command) for command in self.commands):
                    break
            self.complete()
            self.judge(outs)
        finally:
            end_all(self.others)

    def harm(self) -> None:
        """One harm to one command, at one moment."""
        running = [command for command in self.commands if not command.ended]
        if not running:
            return
        command, lacking = self.rng.choice(running), len(self.known) < len(self.reference.depends)
        # A moment that can't come any more would be waited for in vain.
        moment = self.rng.choice(MOMENTS if lacking else ("any", "report"))
        left = 1 - len(self.known) / len(self.reference.depends)
        seconds = 0.3 + self.reference.cpu_seconds * left + IMPORTS_S * self.real
        if not await_moment(moment, command, self.store, self.rng, seconds):
            return
        work = sorted({self.reference.kinds.get(f, k) for k, f in in_work(self.store)})
        if self.reference.name == "endpoint" and self.rng.random() < 0.3:
            name, hit = "endpoint in trouble", server_trouble(self.server, self.rng)
        else:
            names = list(HARMS)
            (name,) = self.rng.choices(names, [HARMS[n][1] for n in names])
            hit = HARMS[name][0](command, self.rng)
        if hit:
            report = (command.out / "report").exists() and not work
            self.events.append(
                {"harm": name, "hit": hit, "moment": moment, "commands": len(self.commands),
                 "in_work": work, "report": report}
            )  # fmt: skip
        if name in ("kill parent", "kill group", "TERM", "INT", "stop worker, kill parent"):
            self.await_end(command)

    def await_end(self, command: Command) -> None:
        """It ends soon, and no worker outlives it."""
        if command.wait(60) is None:
            self.problems.append(f"still runs 60 s after {self.events[-1:]}")
            command.process.kill()
        if len(self.commands) == 1:
            end = time.monotonic() + 15
            while descendants(self.others):
                if time.monotonic() > end:
                    self.problems.append(f"a process outlives it: {self.events[-1:]}")
                    return
                time.sleep(0.02)

    def close(self, command: Command) -> None:
        """Look at how a command ended."""
        code, said = command.process.returncode, command.said()
        self.ended[str(code)] += 1
        if code not in ENDS:
            self.problems.append(f"ended with {code}: {said[-1500:]}")
        elif "Traceback" in said:
            self.problems.append(f"a traceback: {said[-2500:]}")

    def look(self) -> None:
        """No result that was finished before has been written again."""
        now = finished(self.store)
        for name, stamp in self.known.items():
            if now.get(name, stamp) != stamp:
                self.problems.append(f"computed again though it was finished: {name}")
            elif name not in now:
                self.problems.append(f"gone though it was finished: {name}")
        self.known = now

    def is_done(self, command: Command) -> bool:
        return command.ended and command.process.returncode == 0

    def complete(self) -> None:
        """Let everything end, then give the same command once more for each that didn't."""
        for place, command in enumerate(self.commands):
            for attempt in range(4):
                if command.wait(MOST_S) is None:
                    self.problems.append("hangs")
                    return
                self.close(command)
                if command.process.returncode == 0:
                    break
                if attempt == 3:
                    self.problems.append(f"can't be completed: {command.said()[-2000:]}")
                    return
                command = self.commands[place] = self.command(command.out)
        self.look()

    def judge(self, outs: list[Path]) -> None:
        """The same bytes, and nothing left."""
        for out in outs:
            try:
                now = contents(self.store, out)
            except OSError as error:
                self.problems.append(f"a file is missing: {error}")
                continue
            names = self.reference.contents.keys() | now.keys()
            other = [n for n in sorted(names) if self.reference.contents.get(n) != now.get(n)]
            self.problems += [f"differs: {name}" for name in other]
        end = time.monotonic() + 10
        while (alive := descendants(self.others)) and time.monotonic() < end:
            time.sleep(0.05)
        self.problems += [f"process {pid} is left" for pid in alive]
        self.problems += [f"left: {what}" for what in left_over(self.store, outs)]


def main(arguments: list[str]) -> int:
    """Run trials until so many events are in the tally; 1 where there are problems."""
    parser = options(__doc__ or "", "storm", 1000, "harms in all, those before too")
    parser.add_argument("--real-every", type=int, default=8, metavar="N",
                        help="every N-th trial starts its commands as a user does, the others fork "
                        "them from a process that has imported everything")  # fmt: skip
    parser.add_argument("--study", choices=sorted(FILES), action="append")
    given = parser.parse_args(arguments)
    folder: Path = given.folder.absolute()
    tally = Tally(folder / "tally.jsonl")
    adopt()
    zygote.warm(folder, assets(folder / "assets"))
    server, references = Endpoint(), dict[str, Reference]()
    number, done = 0, sum(len(trial["events"]) for trial in tally)
    known, bad = tally.done(), sum(bool(trial["problems"]) for trial in tally)
    studies = given.study or sorted(FILES)
    while done < given.count and not is_over(given.until):
        number += 1
        if (name := f"{given.seed}/{number}") in known:
            continue
        study = studies[number % len(studies)]
        if study not in references:
            shutil.rmtree(folder / "reference" / study, ignore_errors=True)
            references[study] = Reference(study, folder / "reference" / study, server)
        place, began = folder / "trial", time.monotonic()
        shutil.rmtree(place, ignore_errors=True)
        trial = Trial(name, references[study], place, server, number % given.real_every == 0)
        trial.run()
        done, bad = done + len(trial.events), bad + bool(trial.problems)
        tally.add(record(trial, time.monotonic() - began))
        if trial.problems:
            # What went wrong is kept to be looked at.
            place.replace(folder / f"bad-{name.replace('/', '-')}")
        print(f"{name} {study}: {len(trial.events)} events, {done} in all; "
              f"{'; '.join(p[:200] for p in trial.problems) or 'well'}", flush=True)  # fmt: skip
    print(json.dumps({"events": done, "bad_trials": bad}))
    return int(bad > 0)


def record(trial: Trial, seconds: float) -> dict[str, Any]:
    """A trial's line in the tally."""
    return {
        "trial": trial.name, "study": trial.reference.name, "real": trial.real,
        "events": trial.events,
        "ended": dict(trial.ended), "problems": trial.problems, "seconds": round(seconds, 1),
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
