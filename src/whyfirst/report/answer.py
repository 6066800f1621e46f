"""The first screen: the headline in a sentence, and what makes it believable or not.

Leaves out: the checks themselves (`checks.py`), layout, and any number that is not in the results.
"""

from dataclasses import dataclass

from whyfirst.report import decisive, words
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
    title, tone = decisive.title(results) or title_of(results, contrast)
    if contrast.unit in ("topics", "items"):
        # One training run: its interval covers items, and another run may well go the other way.
        title, tone = f"One training run, no conclusion. {title}", "caution"
    benchmark = results.benchmarks[contrast.benchmark]
    spread = (
        f"95{words.SPACE}% interval {words.difference_interval(contrast, benchmark)}, "
        f"{words.p_text(contrast.p)}; {words.units(contrast)}, "
        f"{words.plural(contrast.n_items, 'item')}"
    )
    if words.undone(contrast):
        spread += f"; not detectable after Holm's correction, {words.p_text(contrast.p_adjusted)}"
    gap = words.difference_words(contrast.difference, benchmark)
    if contrast.kind != "interaction" and contrast.difference is not None:
        gap = f"{words.each_arm(results, contrast)}, a difference of {gap}"
    where = f"{benchmark.title} ({words.cell_words(contrast.cell)})"
    return Answer(title, f"{where}: {gap} ({spread}).", tone, checks_of(results, contrast))


def title_of(results: Results, contrast: Contrast) -> tuple[str, Tone]:
    """What a contrast found, in half a sentence, and whether that is what a reader hopes for."""
    benchmark = results.benchmarks[contrast.benchmark]
    name = words.lower_first(benchmark.title)
    where = words.direction(contrast)
    by = words.difference_words(contrast.difference, benchmark).lstrip("+" + words.MINUS)
    is_headline_pair = contrast.kind != "interaction" and (contrast.a, contrast.b) == HEADLINE_PAIR
    # What can't move comes before what didn't: two arms at 100 % are no evidence of no effect.
    if stuck := words.cannot_move(results, contrast):
        return f"No difference can show in {name}: {stuck}", "caution"
    if where == "unknown":
        return f"{contrast.title}: too few data for an interval", "caution"
    if where == "none":
        if is_headline_pair:
            return f"Teaching the reasons first: no detectable difference in {name}", "plain"
        return f"No detectable difference: {contrast.title}", "plain"
    tone: Tone = "good" if (where == "higher") == benchmark.higher_is_better else "bad"
    if benchmark.good == "neither":
        tone = "plain"
    after = ""
    if words.undone(contrast):
        # A title is what people quote, so it takes back what the correction takes back.
        tone, after = "caution", ": not detectable after correction"
    if contrast.kind == "interaction":
        return f"{contrast.title}: {by} {where}{after}", tone
    if is_headline_pair:
        way = "up" if where == "higher" else "down"
        return f"Teaching the reasons first: {name} {way} by {by}{after}", tone
    return f"{contrast.a} scored {by} {where} than {contrast.b} on {name}{after}", tone
