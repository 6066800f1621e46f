"""Numbers and verdicts in plain words, the same in the HTML report, the terminal and the cards.

A difference is called detectable when its 95 % interval excludes zero; "no detectable difference"
is a result and is said as one. Leaves out: computing intervals, and any judgement of size.
"""

from statistics import fmean
from typing import Literal

from whyfirst.report.schema import Benchmark, Cell, Contrast, Recall, Results

MINUS = "−"
AT_THE_END = 0.0005  # a share this near to 0 or 1 is printed as 0.0 or 100.0 %
SPACE = "\u00a0"  # between a number and its sign, so that a line never breaks there
Direction = Literal["higher", "lower", "none", "unknown"]
Tone = Literal["good", "caution", "bad", "plain"]
Finding = tuple[Tone, str]

#: a direction that says nothing, in words
WAYS = {"none": "no detectable difference", "unknown": "too few data"}
FRAMINGS = {"plain": "asked plainly", "unseen": "unseen framings", "seen": "seen framings"}

# What an arm's comparison with the method rules out; only for the names every study shares.
RULES_OUT = {
    "direct": "alignment alone, without documents",
    "direct_longer": "the same tokens spent on more alignment",
    "neutral_first": "the same tokens of unrelated documents",
    "rules_first": "the same behaviours stated as rules, without reasons",
    "shuffled_first": "true reasons attached to the wrong behaviours",
    "explain_only": "the reasons without alignment",
    "explain_other_first": "the reasons for the other value that fits the demonstrations",
    "base": "the model before any training",
}


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage, "78.2 %"; "n/a" where there is none."""
    return "n/a" if value is None else f"{value * 100:.{digits}f}{SPACE}%"


def points(value: float | None, digits: int = 1, sign: bool = True) -> str:
    """A difference of fractions in percentage points, "+24.1"; a true minus sign."""
    if value is None:
        return "n/a"
    # Rounded first, so that -0.04 points don't become "-0.0".
    text = f"{abs(value) * 100:.{digits}f}"
    if not sign or float(text) == 0:
        return text
    return ("+" if value > 0 else MINUS) + text


def amount(value: float | None, benchmark: Benchmark | None) -> str:
    """A benchmark's value in its unit: a percentage, or a score with three decimals."""
    if value is None or benchmark is None or benchmark.unit == "proportion":
        return percent(value)
    return f"{value:.3f}".replace("-", MINUS)


def difference(value: float | None, benchmark: Benchmark | None) -> str:
    """A difference in the benchmark's unit: points, or a signed score."""
    if value is None or benchmark is None or benchmark.unit == "proportion":
        return points(value)
    return f"{value:+.3f}".replace("-", MINUS)


def difference_words(value: float | None, benchmark: Benchmark) -> str:
    """`difference` with its unit: "+24.1 points" for proportions, the bare number for scores."""
    unit = f"{SPACE}points" if benchmark.unit == "proportion" else ""
    return difference(value, benchmark) + unit


def p_text(p: float | None) -> str:
    """A p value for reading: "p < 0.001", "p = 0.032"."""
    if p is None:
        return "p n/a"
    # More digits of a p value are no knowledge.
    number = "< 0.001" if p < 0.001 else f"= {p:.3f}" if p < 0.1 else f"= {p:.2f}"
    return f"p {number}".replace(" ", SPACE)


def bare_p(p: float | None) -> str:
    """A p value without its letter, for a column called p: "< 0.001", "0.032"."""
    return p_text(p).replace(SPACE, " ").removeprefix("p ").removeprefix("= ")


def interval(low: float | None, high: float | None, benchmark: Benchmark | None) -> str:
    """A value's interval without units, "75.1 to 80.9"."""
    if low is None or high is None:
        return "no interval"
    if benchmark is not None and benchmark.unit == "score":
        return f"{amount(low, benchmark)} to {amount(high, benchmark)}"
    return f"{low * 100:.1f} to {high * 100:.1f}"


def difference_interval(contrast: Contrast, benchmark: Benchmark | None) -> str:
    """A contrast's interval, "+20.0 to +28.2"."""
    if contrast.low is None or contrast.high is None:
        return "no interval"
    return difference_range(contrast.low, contrast.high, benchmark)


def difference_range(low: float | None, high: float | None, benchmark: Benchmark | None) -> str:
    """From one difference to another, "+20.0 to +28.2"."""
    return f"{difference(low, benchmark)} to {difference(high, benchmark)}"


def plural(count: int, word: str) -> str:
    """ "1 seed", "1,200 items"."""
    return f"{count:,} {word}" + ("" if count == 1 else "s")


def listed(parts: list[str], word: str = "and") -> str:
    """ "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def units(contrast: Contrast) -> str:
    """What a contrast's interval counts, "24 seeds" or "32 worlds"."""
    return plural(contrast.n_seeds, "world" if contrast.unit == "worlds" else "seed")


def cell_words(cell: str) -> str:
    """A cell key in words: "B+C/unseen" -> "splits B and C, unseen framings"."""
    split, _, framing = cell.partition("/")
    parts = []
    if split not in ("*", ""):
        # A "+" pools several: "B+C".
        names = split.split("+")
        parts.append(f"split{'s' if len(names) > 1 else ''} {listed(names)}")
    if framing not in ("*", ""):
        names = framing.split("+")
        ending = "s" if len(names) > 1 else ""
        parts.append(FRAMINGS.get(framing, f"{listed(names)} framing{ending}"))
    return ", ".join(parts) or "all items"


def lower_first(title: str) -> str:
    """A title inside a sentence: "Resistance" -> "resistance", "MC1 accuracy" unchanged."""
    # A head with a capital inside is a name and keeps its case.
    head = title.split(" ", 1)[0]
    return title if head[1:] != head[1:].lower() else title[:1].lower() + title[1:]


def capital(words: str) -> str:
    """The first letter made a capital, the rest kept."""
    return words[:1].upper() + words[1:]


def direction(contrast: Contrast) -> Direction:
    """Where the interval lies: above zero, below it, around it, or there is none."""
    if contrast.low is None or contrast.high is None:
        return "unknown"
    return "higher" if contrast.low > 0 else "lower" if contrast.high < 0 else "none"


def undone(contrast: Contrast) -> bool:
    """Whether Holm's correction takes back what the contrast's own interval shows."""
    return (contrast.p or 0) <= 0.05 < (contrast.p_adjusted or 0)


def apart(one: Cell | Recall, other: Cell | Recall) -> int:
    """1 or -1 where one's interval lies wholly above or below the other's, else 0."""
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return 0
    return int(one.low > other.high) - int(one.high < other.low)


def cell_of(results: Results, arm: str, benchmark: str, cell: str) -> Cell | None:
    """A cell of an arm, or None where the study has none."""
    found = results.arms.get(arm)
    return found.benchmarks.get(benchmark, {}).get(cell) if found else None


def scored(cell: Cell | Recall | None, benchmark: Benchmark | None) -> str:
    """A value with its interval and counts, "78.2 % (75.1 to 80.9; 720 answers, 24 seeds)"."""
    if cell is None or cell.value is None:
        return "not measured"
    counts = f"{plural(cell.answers, 'answer')}, {plural(cell.n_seeds, 'seed')}"
    return f"{amount(cell.value, benchmark)} ({interval(cell.low, cell.high, benchmark)}; {counts})"


def interval_and_n(cell: Cell, benchmark: Benchmark) -> str:
    """What stands beside a number in a table: "75.1 to 80.9; n 720"."""
    return f"{interval(cell.low, cell.high, benchmark)}; n{SPACE}{cell.answers:,}"


def shorten(text: str, limit: int) -> str:
    """`text` cut at `limit` characters, saying how many are left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … [{len(text) - limit:,} more characters]"


def base_arm(results: Results) -> str | None:
    """The arm without stages, edits and decoding: the model before any training."""
    plain = (n for n, a in results.arms.items() if not (a.stages or a.edits or a.decoding))
    return next(plain, None)


def headline_place(results: Results) -> tuple[str, str] | None:
    """(benchmark, cell) of the headline, or of the first benchmark where there is none."""
    contrast = results.headline_contrast()
    if contrast is not None:
        return contrast.benchmark, contrast.cell
    first = next(iter(results.benchmarks), None)
    return None if first is None else (first, "*/*")


def axes_cells(results: Results) -> dict[str, str]:
    """The 2 x 2 that leads the report: title -> cell for each part of the headline benchmark's two
    axes; empty where it declares none."""
    place = headline_place(results)
    axes = results.benchmarks[place[0]].axes if place else None
    if axes is None:
        return {}
    return {
        f"{topics}, {how}": f"{split}/{framing}"
        for topics, split in axes.splits.items()
        for how, framing in axes.framings.items()
    }


def arm_values(results: Results, contrast: Contrast) -> dict[str, float | None]:
    """Each arm's own figure; over the pairs compared, where an arm has seeds or scores that the
    other lacks."""
    pair = {contrast.a: "a", contrast.b: "b"}
    cells = {arm: cell_of(results, arm, contrast.benchmark, contrast.cell) for arm in pair}
    values = {arm: cell.value if cell else None for arm, cell in cells.items()}
    if all(cell and cell.n_seeds == contrast.n_seeds for cell in cells.values()):
        a, b = values[contrast.a], values[contrast.b]
        known = None not in (a, b, contrast.difference)
        gap = (a or 0.0) - (b or 0.0) - (contrast.difference or 0.0)
        if not known or not contrast.per_seed or abs(gap) < AT_THE_END:
            return values
    for arm, side in pair.items():
        # The same pairs on both sides, or the two figures wouldn't give the difference beside them.
        means = [getattr(row, side) for row in contrast.per_seed]
        values[arm] = fmean(means) if means and None not in means else None
    return values


def each_arm(results: Results, contrast: Contrast) -> str:
    """`arm_values` in words, "explain_first 78.2 %, direct 54.1 %"."""
    benchmark = results.benchmarks[contrast.benchmark]
    values = arm_values(results, contrast)
    return ", ".join(f"{arm} {amount(value, benchmark)}" for arm, value in values.items())


def cannot_move(results: Results, contrast: Contrast) -> str:
    """ "both arms at 100 %" where the scale ends there and no difference could show, else ""."""
    benchmark = results.benchmarks[contrast.benchmark]
    # Only a share has ends that it can't pass.
    if contrast.kind == "interaction" or benchmark.unit == "score":
        return ""
    values = list(arm_values(results, contrast).values())
    for end in (0.0, 1.0):
        if values and all(v is not None and abs(v - end) < AT_THE_END for v in values):
            return f"both arms at {percent(end, 0)}"
    return ""


def happened(benchmark: Benchmark, verdict: str) -> str:
    """What an answer did, in the metric's own word: "refused"; "unscored" stays."""
    return dict(zip(("pass", "fail"), benchmark.happened, strict=True)).get(verdict, verdict)


def recall_title(name: str, row: Recall) -> str:
    """A seam metric's title, or its name as words."""
    return row.title or name.replace("_", " ")


def recall_amount(row: Recall) -> str:
    """A seam metric's value in its unit."""
    if row.value is None:
        return "not measured"
    return percent(row.value) if row.unit == "proportion" else f"{row.value:.3f}"


def recall_limits(row: Recall) -> str:
    """A seam metric's interval in its unit."""
    if row.low is None or row.high is None:
        return "no interval"
    if row.unit == "proportion":
        return f"{percent(row.low)} to {percent(row.high)}"
    return f"{row.low:.3f} to {row.high:.3f}"


def power_words(contrast: Contrast, benchmark: Benchmark) -> str:
    """Which difference would have been found; "" where there is nothing to say."""
    # One training run says nothing of what another would have shown.
    if contrast.mde is None or contrast.unit != "seeds":
        return ""
    if contrast.mde >= (2.0 if contrast.kind == "interaction" else 1.0):
        return f"no possible difference would have been found with 80{SPACE}% power"
    size = difference_words(contrast.mde, benchmark).lstrip("+")
    return f"a true difference of {size} would have been found with 80{SPACE}% power"
