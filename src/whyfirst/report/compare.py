"""Two studies side by side: what each answered, where they differ, and what differed between them.

A difference between studies is shown with both intervals and never tested: nothing was randomised
between them, and only their settings, listed below, say what may explain it. Leaves out: pairing
items across studies.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whyfirst.config.errors import StoreError
from whyfirst.config.files import atomic_write
from whyfirst.report import views, words
from whyfirst.report.answer import Answer, answer
from whyfirst.report.figures import forest_axis, forest_limits, forest_row
from whyfirst.report.html import SIGNS, environment, policy, shipped
from whyfirst.report.palette import arm_styles
from whyfirst.report.schema import Benchmark, Contrast, Results


@dataclass(frozen=True)
class Pair:
    """One number of both studies in words; "not measured" where one has none."""

    arm: str
    one: str
    two: str
    apart: bool


@dataclass(frozen=True)
class ContrastPair:
    """One contrast that both studies make."""

    title: str
    where: str
    plots: tuple[Markup, Markup]
    texts: tuple[str, str]
    reading: str


@dataclass(frozen=True)
class Setting:
    """Something that is not the same in both studies."""

    name: str
    one: str
    two: str


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
    safe = "".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in name) or "other"
    path = out / "report" / f"compare-{safe}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path.parent}: the report's folder can't be made ({error.strerror}); choose another"
        ) from None
    atomic_write(path, comparison_html(one, two))
    return path


def comparison_html(one: Results, two: Results) -> str:
    """The comparison as one HTML document without scripts."""
    return (
        environment()
        .get_template("compare.html.j2")
        .render(policy=policy(), css=Markup(shipped("style.css")), **comparison(one, two))
    )


def comparison(one: Results, two: Results) -> dict[str, Any]:
    """Everything the page shows, as plain data."""
    styles = arm_styles([*one.arms, *(arm for arm in two.arms if arm not in one.arms)])
    answers: list[Answer] = [answer(one), answer(two)]
    return {
        "studies": (one, two),
        "answers": answers,
        "signs": SIGNS,
        "icons": views.icons(styles),
        "tables": [(benchmark.title, pairs) for benchmark, pairs in _tables(one, two)],
        "contrasts": _contrasts(one, two),
        "axis": _axis(one, two),
        "settings": _settings(one, two),
        "only": [_only(one, two), _only(two, one)],
        "caution": _caution(one, two),
    }


def _tables(one: Results, two: Results) -> list[tuple[Benchmark, list[Pair]]]:
    found = []
    for name, benchmark in one.benchmarks.items():
        other = two.benchmarks.get(name)
        if other is None or other.unit != benchmark.unit:
            continue
        pairs = []
        for arm in one.arms:
            left, right = (words.cell_of(study, arm, name, "*/*") for study in (one, two))
            if left is None or right is None or arm not in two.arms:
                continue
            apart = (
                left.low is not None and left.high is not None
                and right.low is not None and right.high is not None
                and (left.low > right.high or right.low > left.high)
            )  # fmt: skip
            pairs.append(
                Pair(arm, words.scored(left, benchmark), words.scored(right, benchmark), apart)
            )
        if pairs:
            found.append((benchmark, pairs))
    return found


def _shared(one: Results, two: Results) -> list[tuple[Contrast, Contrast]]:
    """Contrasts of the same arms, benchmark and cell, the first study's headline first."""
    others = {_key(contrast): contrast for contrast in two.contrasts}
    mine = sorted(one.contrasts, key=lambda contrast: contrast.name != one.headline)
    return [(c, others[_key(c)]) for c in mine if _key(c) in others]


def _key(contrast: Contrast) -> tuple[str, ...]:
    return contrast.kind, contrast.a, contrast.b, contrast.benchmark, contrast.cell


def _contrasts(one: Results, two: Results) -> list[ContrastPair]:
    shared = _shared(one, two)
    styles = arm_styles([*one.arms, *two.arms])
    limits = forest_limits([contrast for pair in shared for contrast in pair])
    rows = []
    for left, right in shared:
        benchmark = one.benchmarks[left.benchmark]
        style = styles.get(left.a, views.NEUTRAL) if left.kind == "difference" else views.NEUTRAL
        texts = [
            f"{words.difference(c.difference, benchmark)} "
            f"({words.difference_interval(c, benchmark)}; {words.plural(c.n_seeds, 'seed')})"
            for c in (left, right)
        ]
        rows.append(
            ContrastPair(
                left.title, f"{benchmark.title}, {words.cell_words(left.cell)}",
                (forest_row(left, limits, style), forest_row(right, limits, style)),
                (texts[0], texts[1]), _reading(left, right),
            )
        )  # fmt: skip
    return rows


def _reading(left: Contrast, right: Contrast) -> str:
    """Whether both studies say the same of a contrast."""
    ways = words.direction(left), words.direction(right)
    if "unknown" in ways:
        return "too few data"
    if ways[0] == ways[1]:
        return "no detectable difference in either" if ways[0] == "none" else f"both {ways[0]}"
    if "none" in ways:
        return "detectable in one only"
    return "opposite"


def _axis(one: Results, two: Results) -> Markup | None:
    shared = _shared(one, two)
    if not shared:
        return None
    return forest_axis(forest_limits([contrast for pair in shared for contrast in pair]))


def _only(one: Results, two: Results) -> list[str]:
    """What the first has and the second hasn't."""
    arms = [f"arm {arm}" for arm in one.arms if arm not in two.arms]
    return arms + [b.title for name, b in one.benchmarks.items() if name not in two.benchmarks]


def _settings(one: Results, two: Results) -> list[Setting]:
    facts = [dict(_facts(study)) for study in (one, two)]
    names = dict.fromkeys([*facts[0], *facts[1]])
    rows = [Setting(name, facts[0].get(name, "none"), facts[1].get(name, "none")) for name in names]
    return [row for row in rows if row.one != row.two]


def _facts(study: Results) -> list[tuple[str, str]]:
    """What may explain a difference between two studies, in words."""
    about = study.study
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


def _caution(one: Results, two: Results) -> str:
    """Why two numbers of one name may not be of one thing; "" where nothing is known to differ."""
    differ = [
        b.title for name, b in one.benchmarks.items()
        if name in two.benchmarks and two.benchmarks[name].version != b.version
    ]  # fmt: skip
    if differ:
        return f"Scored by another version: {', '.join(differ)}. Their numbers aren't comparable."
    return ""
