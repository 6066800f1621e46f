"""What a study decides by, and what of it can't move: the rows behind its first sentence.

A study that names its primary contrasts leads with them, each beside what a new world would show;
what a kind of subject does alike in every arm is found in the data and said, since it takes part in
every average and can change none. Leaves out: layout, and any number that is not in the results.
"""

from dataclasses import dataclass

from whyfirst.report import words
from whyfirst.report.parts import KindRow
from whyfirst.report.schema import Contrast, Results

#: a share this near to 0 or 1 in every arm leaves a contrast nothing to move
STUCK = 0.01
#: units from which an exact test can reach p = 0.05: 2^(1-6) = 0.031
FEWEST = 6


@dataclass(frozen=True)
class Decided:
    """A primary contrast in words; `kinds`: (kind, both arms, difference or why none)."""

    contrast: Contrast
    verdict: str
    difference: str
    tests: str
    new: str
    above: str
    spread: str
    kinds: list[tuple[str, str, str]]


def primaries(results: Results) -> list[Contrast]:
    """The contrasts the study decides by; none where it doesn't name them."""
    return [c for c in results.contrasts if c.role == "primary"]


def decided(results: Results) -> list[Decided]:
    """A row for each primary contrast, in the study's order."""
    rows = []
    for c in primaries(results):
        benchmark = results.benchmarks[c.benchmark]
        gap = words.difference_words(c.difference, benchmark)
        interval = words.difference_interval(c, benchmark)
        tests = f"{words.p_text(c.p_adjusted)} after Holm, exact test {words.p_text(c.exact_p)}"
        new = above = spread = "n/a"
        if c.worlds is not None:
            w = c.worlds
            new = words.difference_range(w.new_low, w.new_high, benchmark)
            above = f"{w.above} of {c.n_seeds}"
            # How far worlds lie apart, and how much of it is only the draw within them.
            seen, within, between = (
                words.difference(sd, benchmark).lstrip("+")
                for sd in (w.sd, w.within_sd, w.between_sd)
            )
            spread = f"sd {seen}: worlds {between}, who and what is asked in them {within}"
            if w.within_sd >= w.sd:
                what = "who and what is asked in a world"
                spread = f"sd {seen}, no more than {what} gives ({within})"
        kinds = [_kind(results, c, row) for row in c.by_kind]
        rows.append(Decided(c, verdict(c), f"{gap} ({interval})", tests, new, above, spread, kinds))
    return rows


def verdict(contrast: Contrast) -> str:
    """What a primary contrast came to, in a word or two."""
    where = words.direction(contrast)
    if where in ("higher", "lower") and words.undone(contrast):
        return "not after correction"
    if where in ("higher", "lower") and too_few(contrast):
        return f"{where}, in too few worlds to tell"
    return words.WAYS.get(where, where)


def too_few(contrast: Contrast) -> bool:
    """Whether so few worlds agree by luck more often than one time in twenty."""
    return contrast.unit == "worlds" and contrast.n_seeds < FEWEST


def title(results: Results) -> tuple[str, words.Tone] | None:
    """What the primary contrasts came to together; None where the study names none of one arm."""
    found = primaries(results)
    if len(found) < 2 or len({c.a for c in found}) > 1:
        return None
    said: dict[str, list[str]] = {
        "Better": [], "Worse": [], "Higher": [], "Lower": [], "No detectable difference": [],
        "Too few data": [],
    }  # fmt: skip
    for c in found:
        where, benchmark = words.direction(c), results.benchmarks[c.benchmark]
        how = "Worse" if where == benchmark.worse else "Better"
        if benchmark.good == "neither":
            how = where.capitalize()  # which is neither better nor worse
        if where == "unknown" or c.p_adjusted is None:
            how = "Too few data"
        elif c.p_adjusted > 0.05:
            how = "No detectable difference"
        said[how].append(c.title)
    text = ". ".join(f"{how}: {'; '.join(titles)}" for how, titles in said.items() if titles)
    tones: tuple[tuple[str, words.Tone], ...] = (
        ("Worse", "bad"), ("No detectable difference", "caution"), ("Too few data", "caution"),
        ("Higher", "plain"), ("Lower", "plain"), ("Better", "good"),
    )  # fmt: skip
    tone = next(tone for how, tone in tones if said[how])
    if any(too_few(c) for c in found):
        count = found[0].n_seeds
        counted = {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five"}.get(count, str(count))
        return f"{counted} worlds, no conclusion. {text}", "caution"
    return text, tone


def stuck(results: Results, cell: str, kind: str) -> str:
    """Where subjects of a kind stand on a cell in every trained arm, if they all stand at an end of
    the scale: "0 % in 'Refused', 100 % in 'Helped'"; empty where an arm could still differ."""
    base = words.base_arm(results)
    told = []
    for table in (t for t in results.kinds if t.cell == cell and kind in t.kinds):
        shown = [c.value for arm, c in table.kinds[kind].items() if arm != base]
        values = [value for value in shown if value is not None]
        if not values or len(values) < len(shown) or max(values) - min(values) > STUCK:
            return ""
        if abs(values[0] - round(values[0])) <= STUCK:
            title_ = results.benchmarks[table.benchmark].title
            told.append(f"{100 * round(values[0])} % in “{title_}”")
    return words.listed(told) if told else ""


def _kind(results: Results, contrast: Contrast, row: KindRow) -> tuple[str, str, str]:
    benchmark = results.benchmarks[contrast.benchmark]
    both = f"{words.amount(row.a, benchmark)} and {words.amount(row.b, benchmark)}"
    if why := stuck(results, contrast.cell, row.kind):
        return row.kind, both, f"cannot move: every trained arm has {why}"
    interval = words.difference_range(row.low, row.high, benchmark)
    return row.kind, both, f"{words.difference_words(row.difference, benchmark)} ({interval})"


def cannot_move(results: Results) -> list[str]:
    """A sentence for each part of the 2 x 2 in which a kind of subject does one thing in all arms,
    with how much of the average that holds still."""
    kinds = sorted({kind for table in results.kinds for kind in table.kinds})
    part = "half" if len(kinds) == 2 else f"1/{len(kinds)}"
    labels = {cell: label for label, cell in words.axes_cells(results).items()}
    return [
        f"{words.capital(labels.get(cell, words.cell_words(cell)))}: with a {kind} every trained "
        f"arm has {why}, so {part} of each average there cannot move"
        for cell in dict.fromkeys(table.cell for table in results.kinds)
        for kind in kinds
        if (why := stuck(results, cell, kind))
    ]
