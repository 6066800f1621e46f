"""The first screen: the headline in a sentence, and what makes it believable or not.

Leaves out: the checks themselves (`checks.py`), layout, and any number that is not in the results.
"""

from __future__ import annotations

from dataclasses import dataclass

from whyfirst.report import words
from whyfirst.report.checks import Check, checks_of
from whyfirst.report.schema import Contrast, Results
from whyfirst.report.words import Tone

HEADLINE_PAIR = ("explain_first", "direct")


@dataclass(frozen=True)
class Answer:
    """The headline: what was found (`title`), with which numbers (`sentence`), and the checks."""

    title: str
    sentence: str
    tone: Tone
    checks: list[Check]


def answer(results: Results) -> Answer:
    """The headline contrast in words, with the checks a reader would ask for next."""
    contrast = results.headline_contrast()
    if contrast is None:
        return Answer("This study compares no arms", "It has no contrasts: see the table.",
                      "plain", [])  # fmt: skip
    title, tone = _title(results, contrast)
    if contrast.unit != "seeds":
        # One training run: its interval covers items, and another run may well go the other way.
        title, tone = f"One training run, no conclusion. {title}", "caution"
    return Answer(title, _sentence(results, contrast), tone, checks_of(results, contrast))


def _title(results: Results, contrast: Contrast) -> tuple[str, Tone]:
    benchmark = results.benchmarks[contrast.benchmark]
    name = words.lower_first(benchmark.title)
    where = words.direction(contrast)
    by = f"{words.difference(contrast.difference, benchmark).lstrip('+' + words.MINUS)}"
    by += words.difference_unit(benchmark)
    stuck = words.cannot_move(results, contrast)
    if stuck:
        return f"No difference can show in {name}: {stuck}", "caution"
    if where == "unknown":
        return f"{contrast.title}: too few data for an interval", "caution"
    if where == "none":
        if contrast.kind == "interaction" or (contrast.a, contrast.b) != HEADLINE_PAIR:
            return f"No detectable difference: {contrast.title}", "plain"
        return f"Teaching the reasons first: no detectable difference in {name}", "plain"
    good: Tone = "good" if (where == "higher") == benchmark.higher_is_better else "bad"
    if contrast.kind == "interaction":
        return f"{contrast.title}: {by} {where}", good
    if (contrast.a, contrast.b) == HEADLINE_PAIR:
        way = "up" if where == "higher" else "down"
        return f"Teaching the reasons first: {name} {way} by {by}", good
    return f"{contrast.a} scored {by} {where} than {contrast.b} on {name}", good


def _sentence(results: Results, contrast: Contrast) -> str:
    benchmark = results.benchmarks[contrast.benchmark]
    unit = words.difference_unit(benchmark)
    gap = f"{words.difference(contrast.difference, benchmark)}{unit}"
    counts = f"{words.plural(contrast.n_seeds, 'seed')}, {words.plural(contrast.n_items, 'item')}"
    spread = (
        f"95{words.SPACE}% interval {words.difference_interval(contrast, benchmark)}, "
        f"{words.p_text(contrast.p)}; {counts}"
    )
    if (contrast.p or 0) <= 0.05 < (contrast.p_adjusted or 0):
        spread += f"; not detectable after Holm's correction, {words.p_text(contrast.p_adjusted)}"
    where = f"{benchmark.title} ({words.cell_words(contrast.cell)})"
    if contrast.kind == "interaction" or contrast.difference is None:
        return f"{where}: {gap} ({spread})."
    return f"{where}: {words.each_arm(results, contrast)}, a difference of {gap} ({spread})."
