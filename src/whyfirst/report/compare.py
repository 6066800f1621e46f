"""Two studies side by side: what each answered, where they differ, and what differed between them.

A difference between studies is shown with both intervals and never tested: nothing was randomised
between them, and only their settings, listed below, say what may explain it. Leaves out: pairing
items across studies.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whyfirst.config.files import atomic_write
from whyfirst.report import views, words
from whyfirst.report.answer import answer
from whyfirst.report.figures import Unit, forest_axis, forest_limits, forest_row
from whyfirst.report.html import SIGNS, page
from whyfirst.report.schema import Contrast, Results
from whyfirst.report.svg import arm_styles


@dataclass(frozen=True)
class Pair:
    """What both studies say of one thing (an arm's number, a setting), in words."""

    name: str
    one: str
    two: str
    apart: bool = True


@dataclass(frozen=True)
class ContrastPair:
    """One contrast that both studies make."""

    title: str
    where: str
    plots: list[Markup]
    texts: list[str]
    reading: str
    unit: Unit


def render_comparison(one: Results, two: Results, out: Path, name: str) -> Path:
    """Write the comparison of two studies.

    Args:
        one: the study whose folder `out` is.
        two: the study beside it.
        out: the first run's folder; the page goes to `out/report/compare-NAME.html`.
        name: of the second run, for the file's name.

    Returns:
        The written file.

    Raises:
        StoreError: the folder can't be written.
    """
    # The name comes from a folder that anybody may have called anything.
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name) or "other"
    path = out / "report" / f"compare-{safe}.html"
    atomic_write(path, comparison_html(one, two))
    return path


def comparison_html(one: Results, two: Results) -> str:
    """The comparison as one HTML document without scripts."""
    return page("compare.html.j2", **comparison(one, two))


def comparison(one: Results, two: Results) -> dict[str, Any]:
    """Everything the page shows, as plain data."""
    styles = arm_styles([*one.arms, *two.arms])
    key = ("kind", "a", "b", "benchmark", "cell")
    others = {tuple(getattr(c, part) for part in key): c for c in two.contrasts}
    # The first study's headline first.
    mine = sorted(one.contrasts, key=lambda contrast: contrast.name != one.headline)
    keyed = [(c, tuple(getattr(c, part) for part in key)) for c in mine]
    shared = [
        (c, others[place]) for c, place in keyed
        if place in others and _same_unit(one, two, c.benchmark)
    ]  # fmt: skip
    # Points and scores have no scale in common.
    by_unit: dict[Unit, list[Contrast]] = {}
    for pair in shared:
        by_unit.setdefault(one.benchmarks[pair[0].benchmark].unit, []).extend(pair)
    limits = {unit: forest_limits(found) for unit, found in by_unit.items()}
    facts = [dict(_facts(study)) for study in (one, two)]
    settings = [
        Pair(name, facts[0].get(name, "none"), facts[1].get(name, "none"))
        for name in dict.fromkeys([*facts[0], *facts[1]])
    ]
    # Two numbers of one name may not be of one thing.
    both = [(b, two.benchmarks[n]) for n, b in one.benchmarks.items() if n in two.benchmarks]
    rescored = [left.title for left, right in both if left.version != right.version]
    caution = f"Scored by another version: {', '.join(rescored)}. Their numbers aren't comparable."
    return {
        "studies": (one, two),
        "answers": [answer(one), answer(two)],
        "signs": SIGNS,
        "icons": views.icons(styles),
        "tables": list(_tables(one, two)),
        "contrasts": [_contrast(one, pair, limits, styles) for pair in shared],
        "axes": {unit: forest_axis(limits[unit], unit) for unit in limits},
        "settings": [row for row in settings if row.one != row.two],
        "only": [_only(one, two), _only(two, one)],
        "caution": caution if rescored else "",
    }


def _tables(one: Results, two: Results) -> Iterator[tuple[str, list[Pair]]]:
    """Benchmark's title and its arms, of what both studies have in one unit."""
    for name, benchmark in one.benchmarks.items():
        if not _same_unit(one, two, name):
            continue
        pairs = []
        for arm in one.arms:
            left, right = (words.cell_of(study, arm, name, "*/*") for study in (one, two))
            if left is not None and right is not None:
                first, second = (words.scored(cell, benchmark) for cell in (left, right))
                pairs.append(Pair(arm, first, second, words.apart(left, right) != 0))
        if pairs:
            yield benchmark.title, pairs


def _same_unit(one: Results, two: Results, name: str) -> bool:
    """A share and a score under one name can't stand in one row, nor on one scale."""
    other = two.benchmarks.get(name)
    return other is not None and other.unit == one.benchmarks[name].unit


def _contrast(
    one: Results, pair: tuple[Contrast, Contrast], limits: Mapping[Unit, tuple[float, float]],
    styles: views.Styles,
) -> ContrastPair:  # fmt: skip
    left = pair[0]
    benchmark = one.benchmarks[left.benchmark]
    style = styles.get(left.a, views.NEUTRAL) if left.kind == "difference" else views.NEUTRAL
    texts = [
        f"{words.difference(c.difference, benchmark)} "
        f"({words.difference_interval(c, benchmark)}; {words.units(c)})"
        for c in pair
    ]
    # Whether both studies say the same of it.
    ways = {words.direction(contrast) for contrast in pair}
    way = words.direction(left)
    if "unknown" in ways:
        reading = "too few data"
    elif len(ways) == 1:
        reading = "no detectable difference in either" if way == "none" else f"both {way}"
    else:
        reading = "detectable in one only" if "none" in ways else "opposite"
    where = f"{benchmark.title}, {words.cell_words(left.cell)}"
    plots = [forest_row(c, limits[benchmark.unit], style, benchmark) for c in pair]
    return ContrastPair(left.title, where, plots, texts, reading, benchmark.unit)


def _only(one: Results, two: Results) -> list[str]:
    """What the first has and the second hasn't."""
    arms = [f"arm {arm}" for arm in one.arms if arm not in two.arms]
    return arms + [b.title for name, b in one.benchmarks.items() if name not in two.benchmarks]


def _facts(study: Results) -> list[tuple[str, str]]:
    """What may explain a difference between two studies, in words."""
    about = study.study
    # What differs is shown and nothing else, so everything recorded may be listed.
    rows = [("command", study.command), ("study file", about.file),
            ("study file, sha256", about.file_sha256[:16]), ("value explained", about.value),
            ("other value", about.other_value or "none")]  # fmt: skip
    rows += [(f"world, {k.replace('_', ' ')}", str(v)) for k, v in (about.world or {}).items()]
    rows += [(f"changed by the command: {k}", v) for k, v in about.overrides.items()]
    rows += [(f"version of {k}", v) for k, v in study.versions.items()]
    rows += [(f"stages of {k}", " → ".join(v.stages) or "none") for k, v in study.arms.items()]
    rows += [(f"seeds of {k}", views.seeds_in_words(v) or "none") for k, v in study.seeds.items()]
    rows += [(f"tokens of {r.arm}/{r.stage}", f"{r.tokens:,}") for r in study.matching]
    rows += [(f"version of {b.title}", b.version) for b in study.benchmarks.values()]
    rows += [(f"judges of {b.title}", ", ".join(b.judges) or "none")
             for b in study.benchmarks.values()]  # fmt: skip
    rows += [("registered", "yes" if study.registration.registered else "no")]
    return rows
