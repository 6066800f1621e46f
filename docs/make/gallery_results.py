"""What the galleries' committed reports say of each method, for the results column of methods.md.

A contrast tells of the methods that its first arm uses and its second does not; where both use the
same ones with other options, of the first arm's decodings and edits. Leaves out: benchmarks and
audits, whose results are of models and not of methods.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from whyfirst.report import words
from whyfirst.report.schema import Benchmark

REPORTS = Path(__file__).parents[1] / "reports"
Method = tuple[str, str]
"""The room, as methods.py calls it, and the name."""


def results() -> dict[Method, str]:
    """A cell for each method that a gallery has compared with something."""
    told: dict[Method, list[str]] = defaultdict(list)
    for path in sorted(REPORTS.glob("gallery-*/results.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        by_method: dict[Method, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for contrast in report["contrasts"]:
            if contrast["kind"] != "difference" or contrast["difference"] is None:
                continue
            for method in apart(report, contrast["a"], contrast["b"]):
                by_method[method][f"{contrast['a']} − {contrast['b']}"].append(
                    _said(contrast, report["benchmarks"][contrast["benchmark"]])
                )
        link = f"[{path.parent.name}](reports/{path.parent.name}/index.html)"
        for method, arms in by_method.items():
            if len(arms) > 2:  # a table of its own, which is the report
                told[method].append(f"{link}: {len(arms)} comparisons")
                continue
            said = (f"{pair}: " + ", ".join(found[:2]) for pair, found in arms.items())
            told[method].append(f"{link}: " + "; ".join(said))
    return {method: "; ".join(said) for method, said in told.items()}


def apart(report: Mapping[str, Any], a: str, b: str) -> set[Method]:
    """The methods that a difference of two arms tells of."""
    first, second = (set(_uses(report, report["arms"][arm])) for arm in (a, b))
    return first - second or {use for use in first if use[0] in ("decodings", "edits")}


def _uses(report: Mapping[str, Any], arm: Mapping[str, Any]) -> Iterator[Method]:
    yield from (("edits", name) for name in arm["edits"])
    yield from (("decodings", name) for name in arm["decoding"])
    for name in arm["stages"]:
        stage = report["stages"][name]
        source, settings = stage["source"], stage["settings"]
        yield "kinds", stage["kind"]
        if source:
            yield "corpora", source["name"]
        named = [("transforms", use) for use in source.get("transforms", ())]
        named += [("rewards", use) for use in settings.get("rewards", ())]
        single = {
            "selectors": source.get("select"), "objectives": settings.get("objective"),
            "surgeries": settings.get("surgery"),
        }  # fmt: skip
        named += [(room, use) for room, use in single.items() if use]
        yield from ((room, use["name"]) for room, use in named)


def _said(contrast: Mapping[str, Any], benchmark: Mapping[str, Any]) -> str:
    """A difference in the benchmark's unit, points or its own, with its interval."""
    row = Benchmark.model_validate(benchmark)
    value, low, high = (
        "–" if contrast[key] is None else words.difference(contrast[key], row)
        for key in ("difference", "low", "high")
    )
    return f"{contrast['benchmark']} {value} ({low} to {high})"
