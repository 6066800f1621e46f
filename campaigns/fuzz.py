"""Give every reader of outside data thousands of files that are not as they should be.

    python campaigns/fuzz.py --count 10000 --seed 1 --folder fuzz

Each input is an example of `parsers`, one file of it changed (`mutations`), read in a fork
(`guard`). It must be read, or refused with a message: no traceback, no hang over 10 seconds, not
over 1 GiB, no file written outside its folder, no host asked for. What fails is kept as a folder;
the tally is kept, and the same command goes on with it. Leaves out: inputs that are only slow.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import zygote
from examples import examples
from guard import outcome
from mutations import mutated
from parsers import Parser, with_benchmarks
from studies import assets
from tally import Tally, is_over, options

import whyfirst

GOOD = ("read", "refused")
SMALL = 20_000


def prepare(parser: Parser, seed: str, source: Path, place: Path) -> str:
    """Write one input; the file that was changed, empty where the example stands as it is."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    wanted = {name.split("/")[0] for name in parser.files}
    # Templates and adapters are of a model, studies read rows.
    wanted |= {"model"} if wanted & {"adapter", "own.jinja"} else set()
    wanted |= {"texts.jsonl", "pairs.jsonl", "endpoint.yaml", "store", "least.yaml"}
    for name in wanted:
        if (source / name).is_dir():
            shutil.copytree(source / name, place / name)
        elif (source / name).exists():
            shutil.copy(source / name, place / name)
    if seed == "0":
        return ""
    rng = random.Random(seed)
    changed = rng.choice(list(parser.files))
    path = place / changed
    path.write_bytes(mutated(path.read_bytes(), parser.files[changed], rng))
    return changed


def wanted(parsers: dict[str, Parser], count: int) -> list[tuple[str, int]]:
    """(parser, number) of so many inputs, by the parsers' shares, in turn."""
    total = sum(parser.share for parser in parsers.values())
    rows = [
        (number / parser.share, name, number)
        for name, parser in parsers.items()
        for number in range(1, round(count * parser.share / total) + 2)
    ]
    return [(name, number) for _, name, number in sorted(rows)][:count]


def save(parser: Parser, name: str, place: Path, kept: Path) -> None:
    """Keep what failed: small files as one JSON file, as tests/campaigns/saved has them."""
    files = {f: (place / f).read_bytes().decode("latin-1") for f in parser.files}
    kept.parent.mkdir(exist_ok=True)
    if sum(map(len, files.values())) < SMALL:
        row = {"parser": name, "files": files}
        kept.with_suffix(".json").write_text(json.dumps(row, indent=1) + "\n")
    else:
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(place, kept)


def main(arguments: list[str]) -> int:
    """Try inputs that aren't in the tally; 1 where something happened that must not."""
    parser = options(__doc__ or "", "fuzz", 10_000, "inputs in all")
    parser.add_argument("--only", action="append", help="a parser; again for more")
    given = parser.parse_args(arguments)
    folder: Path = given.folder.absolute()
    # A fork reads alone, and asks nobody.
    os.environ |= {"HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    zygote.warm(folder, assets(folder / "assets"))
    # What a reader imports when it is used, each fork would import again.
    for module in pkgutil.walk_packages(whyfirst.__path__, "whyfirst."):
        if not module.name.endswith("__main__"):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)
    source = examples(folder / "examples")
    parsers = with_benchmarks()
    tally = Tally(folder / "tally.jsonl")
    for name in given.only or parsers:
        if name not in parsers:
            raise SystemExit(f"no parser {name!r}; there are: {', '.join(parsers)}")
        prepare(parsers[name], "0", source, folder / "input")
        kind, said = outcome(lambda: parsers[name].read(folder / "input"), folder / "input")  # noqa: B023
        if kind != "read":
            print(f"{name}: its example is not read: {kind}: {said[-600:]}", flush=True)
    done, found = tally.done(), Counter(trial["kind"] for trial in tally)
    todo = [(n, k) for n, k in wanted(parsers, given.count) if not given.only or n in given.only]
    for name, number in todo:
        seed = f"{given.seed}/{name}/{number}"
        if seed in done:
            continue
        if is_over(given.until):
            break
        place, began = folder / "input", time.monotonic()
        file = prepare(parsers[name], seed, source, place)
        kind, said = outcome(lambda: parsers[name].read(place), place)  # noqa: B023
        found[kind] += 1
        tally.add({"trial": seed, "parser": name, "file": file, "kind": kind,
                   "said": said[-1500:] if kind not in GOOD else "",
                   "seconds": round(time.monotonic() - began, 2)})  # fmt: skip
        if kind not in GOOD:
            last = said.strip().splitlines()[-1][:200] if said.strip() else ""
            print(f"{seed} ({file}): {kind}: {last}", flush=True)
            save(parsers[name], name, place, folder / "bad" / seed.replace("/", "-"))
    print(json.dumps({"inputs": sum(found.values()), **found}))
    return int(any(kind not in GOOD for kind in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
