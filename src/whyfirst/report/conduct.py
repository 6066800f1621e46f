"""Checks of what the models do: do they act, did training break them, do the reasons matter?

Each function is the finding of one question (`checks.QUESTIONS`), None where the results don't
allow it. Leaves out: how the study was made (`soundness.py`).
"""

from collections.abc import Sequence

from whyfirst.report import words
from whyfirst.report.schema import BEFORE, Benchmark, Cell, Contrast, Results
from whyfirst.report.words import Finding, Tone
from whyfirst.stats.statistics import holm

#: a gain (fraction, or nats a token) from which the first stage has taught something to use
MUCH = 0.1


def beside(results: Results, benchmark: str) -> str | None:
    """The measured benchmark that another names as misleading without, so that a model that refuses
    everything shows."""
    return next(iter(measured_beside(results, benchmark)), None)


def measured_beside(results: Results, benchmark: str) -> list[str]:
    """All of them, in the order they are named."""
    named = results.benchmarks[benchmark].beside if benchmark in results.benchmarks else []
    return [name for name in named if name in results.benchmarks]


def _acting(results: Results, headline: Contrast) -> tuple[str, Contrast | None] | None:
    """The metric beside the headline's that says whether the model acts, and its contrast."""
    acting = [n for n in measured_beside(results, headline.benchmark) if results.benchmarks[n].acts]
    same = [
        c for c in results.contrasts
        if c.kind == "difference" and (c.a, c.b) == (headline.a, headline.b)
        and c.benchmark in acting
    ]  # fmt: skip
    # Best on the headline's own items; where the study doesn't compare those, on any others.
    contrast = next((c for c in same if c.cell == headline.cell), same[0] if same else None)
    if contrast is not None:
        return contrast.benchmark, contrast
    return (acting[0], None) if acting else None


def acts(results: Results, headline: Contrast) -> Finding | None:
    """Does the model still act?"""
    found = _acting(results, headline)
    if found is None or headline.kind == "interaction":
        return None
    name, contrast = found
    benchmark = results.benchmarks[name]
    less = "lower" if benchmark.acts == "higher" else "higher"
    cell = contrast.cell if contrast else headline.cell
    text = f"{benchmark.title} ({words.cell_words(cell)}): "
    if contrast is None or contrast.difference is None:
        arms = [(arm, words.cell_of(results, arm, name, cell)) for arm in (headline.a, headline.b)]
        own = (f"{arm} {words.amount(c.value if c else None, benchmark)}" for arm, c in arms)
        return "caution", f"{text}{', '.join(own)}; not compared in this study."
    text += words.each_arm(results, contrast)
    text += f", {words.difference_words(contrast.difference, benchmark)}"
    text += f" ({words.difference_interval(contrast, benchmark)})"
    where = words.direction(contrast)
    if where == less:
        return "bad", f"It acts less. {text}: part of a gain may be plain refusal."
    if where in ("lower", "higher"):
        main = results.benchmarks[headline.benchmark]
        # The mirror of the case above: a model that does everything asked acts more, too.
        if words.direction(headline) == main.worse:
            lost = words.lower_first(main.title)
            return "caution", (
                f"It acts more, and {lost} is worse: part of it may be plain compliance. {text}."
            )
        return "good", f"Yes, and more than before. {text}."
    if where == "unknown":
        return "caution", f"{text}; too few data to tell."
    # From here on no difference shows; two arms that broke alike don't differ either.
    broken = headline.a in base_losses(results, name)
    if stuck := words.cannot_move(results, contrast):
        if broken:
            return "bad", f"No more than {headline.b} does: {stuck}. {text}."
        return "plain", f"No difference could show: {stuck}. {text}."
    if broken:
        return "bad", f"As little as {headline.b}, and both less than the base. {text}."
    power = words.power_words(contrast, benchmark)
    text += f"; {power}." if power else "."
    most = contrast.low if less == "lower" else -(contrast.high or 0.0)
    if most is not None and most < -benchmark.much:
        return "caution", (
            f"No detectable loss, but the interval does not exclude a large one. {text}"
        )
    return "good", f"No detectable loss. {text}"


def base_losses(results: Results, benchmark: str, surely: bool = True) -> dict[str, Cell]:
    """Trained arms that are worse than the untrained one by the benchmark's `much`, with intervals
    apart if it is to be sure: arm -> its cell over all items. A benchmark of two readings, or one
    that only describes, has no worse."""
    base = words.base_arm(results)
    row = results.benchmarks[benchmark]
    before = words.cell_of(results, base, benchmark, "*/*") if base else None
    describes = row.readings is not None or row.good == "neither"
    if before is None or before.value is None or describes:
        return {}
    way = 1 if row.higher_is_better else -1
    lost = {}
    for arm in results.arms:
        after = words.cell_of(results, arm, benchmark, "*/*")
        if arm == base or after is None or after.value is None:
            continue
        sure = words.apart(after, before) == -way
        if way * (before.value - after.value) >= row.much and (sure or not surely):
            lost[arm] = after
    return lost


def against_base(results: Results, headline: Contrast) -> Finding | None:
    """Did training break anything?"""
    # Two arms that broke alike show no difference: each is held against the untrained one.
    base = words.base_arm(results)
    trained = [arm for arm in results.arms if arm != base]
    if base is None or not trained:
        return None
    if told := _losses(results, base, len(trained), surely=True):
        return "bad", f"Far worse than before training. {told}."
    if told := _losses(results, base, len(trained), surely=False):
        return "caution", f"Perhaps: worse, but with intervals that overlap. {told}."
    usual = Benchmark.model_fields["much"].default
    others = [
        f"; {words.lower_first(row.title)}: by {row.much:g}" for row in results.benchmarks.values()
        if row.much != usual
    ]  # fmt: skip
    most = f"{usual * 100:.0f} points or more"
    text = f"No arm is worse than {base} by {most} on anything measured{''.join(others)}."
    if unknown := _without_value(results, base, trained):
        return "caution", f"{text} Not all is: nothing could be scored of {unknown}."
    return "good", text


def _without_value(results: Results, base: str, trained: Sequence[str]) -> str:
    """What has a value in the base and none in trained arms: "Title in arm, arm; ..."."""
    parts = []
    for name, benchmark in results.benchmarks.items():
        cells = {arm: words.cell_of(results, arm, name, "*/*") for arm in (base, *trained)}
        if (was := cells.pop(base)) is None or was.value is None:
            continue
        lost = [arm for arm, cell in cells.items() if cell is not None and cell.value is None]
        parts += [f"{benchmark.title} in {', '.join(lost)}"] if lost else []
    return "; ".join(parts)


def _losses(results: Results, base: str, trained: int, surely: bool) -> str:
    parts = []
    for name, benchmark in results.benchmarks.items():
        if not (lost := base_losses(results, name, surely)):
            continue
        was = words.amount(results.arm(base).benchmarks[name]["*/*"].value, benchmark)
        values = {arm: cell.value or 0.0 for arm, cell in lost.items()}
        told = ", ".join(f"{words.amount(v, benchmark)} in {arm}" for arm, v in values.items())
        if len(lost) == trained > 1:
            ends = (words.amount(end(values.values()), benchmark) for end in (min, max))
            told = f"{' to '.join(ends)} in every trained arm"
        parts.append(f"{benchmark.title}: {was} in {base}, {told}")
    return "; ".join(parts)


def reasons(results: Results, headline: Contrast) -> Finding | None:
    """Is it the reasons, and not just more training?"""
    # The method against each control, on the headline's benchmark and cell.
    controls = [
        c for c in results.contrasts
        if c.kind == "difference" and c.a == headline.a and c.b != headline.b
        and (c.benchmark, c.cell) == (headline.benchmark, headline.cell)
        and c.b not in ("base", "explain_other_first")
        # An arm that read the same documents is no control of them.
        and not {c.a, c.b} - results.arms.keys()
        and results.arms[c.b].stages[:1] != results.arms[c.a].stages[:1]
    ]  # fmt: skip
    if not controls or headline.kind == "interaction":
        return None
    benchmark = results.benchmarks[headline.benchmark]
    if benchmark.good == "neither":
        return None
    # These controls are one question: corrected over them, and as the study corrects them.
    known = [c.p for c in controls if c.p is not None]
    corrected = len(known) == len(controls)
    adjusted = holm(known) if corrected else [0.0] * len(controls)
    parts, beaten = [], 0
    for c, p in zip(controls, adjusted, strict=True):
        told = max(p, c.p_adjusted or 0.0) <= 0.05
        worse = told and words.direction(c) == benchmark.worse
        held = told and not worse and words.direction(c) in ("higher", "lower")
        beaten += held
        gap = words.difference(c.difference, benchmark)
        spread = words.difference_interval(c, benchmark)
        verdict = "" if held else ", detectably worse" if worse else ", not detectable"
        parts.append(f"{c.b} {gap} ({spread}{verdict})")
    share = {0: "none", len(controls): "all"}.get(beaten, str(beaten))
    tone: Tone = "good" if beaten == len(controls) else "caution" if beaten else "bad"
    how = "after Holm's correction" if corrected else "uncorrected"
    text = (
        f"{headline.a} does better than {share} of {words.plural(len(controls), 'control')} "
        f"({how}). Against {'; '.join(parts)}."
    )
    alone = {c.unit for c in controls} & {"topics", "items"}
    if alone and tone == "good":
        tone, text = "caution", f"{text} One training run: another may say otherwise."
    return tone, text


def two_sided(results: Results, headline: Contrast) -> Finding | None:
    """Do the reasons taught decide the outcome?"""
    # Two corpora, the same ambiguous demonstrations: each arm should lean its own way.
    arms = ("explain_first", "explain_other_first")
    name = next((n for n, row in results.benchmarks.items() if row.readings is not None
                 and all(words.cell_of(results, arm, n, "*/*") for arm in arms)), "")  # fmt: skip
    one, other = (words.cell_of(results, arm, name, "*/*") for arm in arms)
    if one is None or other is None or one.low is None or other.high is None:
        return None
    benchmark = results.benchmarks[name]
    middle = benchmark.chance or 0.5
    side = words.percent(middle, 0)
    text = (
        f"{benchmark.title}: {arms[0]} {words.scored(one, benchmark)}, {arms[1]} "
        f"{words.scored(other, benchmark)}; {side} would be neither."
    )
    paired = next(
        (c for c in results.contrasts
         if (c.a, c.b, c.benchmark, c.cell, c.kind) == (*arms, name, "*/*", "difference")), None,
    )  # fmt: skip
    most = paired.high if paired else None
    if paired is not None:
        gap = words.difference(paired.difference, benchmark)
        text += f" Paired: {gap} ({words.difference_interval(paired, benchmark)})."
    # Paired by item and seed where the study asks for it: two arms' own intervals are too wide.
    part = paired.low > 0 if paired and paired.low is not None else one.low > other.high
    if max(one.n_seeds, other.n_seeds) == 1:
        return "caution", f"One training run of each tells little. {text}"
    if part and one.low > middle > other.high:
        return "good", f"Yes, each leans towards what it was taught. {text}"
    if part:
        return "caution", f"They part, but not surely to either side of {side}. {text}"
    if most is not None and most < 0:
        return "bad", f"They part the wrong way round. {text}"
    if most is None or most > benchmark.much:
        return "plain", f"Not detectably; a difference is not excluded. {text}"
    return "bad", f"No: they don't part. {text}"


def learned(results: Results, headline: Contrast) -> Finding | None:
    """Did the first stage teach anything?"""
    # What the first stage taught: without it, "no effect" only means "not learned".
    base = words.base_arm(results)
    after, before = results.recall.get(headline.a), results.recall.get(base or "", {})
    if not after:
        return None
    parts, gains, learned, compared = [], [], False, False
    for name, row in after.items():
        if name.endswith(BEFORE):
            continue
        text = f"{words.recall_title(name, row)} {words.recall_amount(row)}"
        way = 1 if row.higher_is_better else -1
        if was := before.get(name, after.get(name + BEFORE)):
            text += f" ({words.recall_amount(was)} in {base or 'the base'})"
            compared = True
            # Older results have no gain, and two intervals apart say as much.
            learned |= words.apart(row, was) == way
        if row.gain is not None:
            gains.append(sorted((way * row.gain.low, way * row.gain.high)))
        parts.append(text)
    told = f"{headline.a} after it: {'; '.join(parts)}."
    if not compared:
        return "caution", f"Not known: no untrained arm was asked. {told}"
    if learned or any(low > 0 for low, _ in gains):
        return "good", f"Yes. {told}"
    if gains and all(high < MUCH for _, high in gains):
        return "caution", f"No: there was next to nothing to use later. {told}"
    return "caution", f"Can't tell: neither nothing nor much is excluded. {told}"
