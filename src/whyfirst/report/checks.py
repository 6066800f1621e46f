"""What makes a headline believable or not: the questions a reader would ask next, answered.

Each check says what was found and takes a tone that the report and the terminal mark with a sign
and a word, never by colour alone. Leaves out: the headline (`answer.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from whyfirst.report import links, words
from whyfirst.report.schema import Benchmark, Cell, Contrast, Recall, Results
from whyfirst.report.words import Tone

#: a loss (fraction) that a reader would want excluded, and from which training has broken something
MUCH = 0.1
#: a judge's kappa from which its verdicts need no caution (Landis and Koch 1977: "almost perfect")
TRUSTED = 0.8


@dataclass(frozen=True)
class Check:
    """One reason to believe or doubt the headline."""

    question: str
    tone: Tone
    text: str


def checks_of(results: Results, contrast: Contrast) -> list[Check]:
    """Every check that the results allow, the most telling first."""
    found = (
        _acts(results, contrast),
        _against_base(results),
        _reasons(results, contrast),
        _two_sided(results),
        _learned(results, contrast),
        _noise(results, contrast),
        _registered(results),
        _matched(results),
        _unscored(results, contrast),
        _alone(results),
        _judged(results),
        _probed(results),
    )
    return [check for check in found if check is not None]


def beside(results: Results, benchmark: str) -> str | None:
    """The measured benchmark that another names as misleading without, so that a model that refuses
    everything shows."""
    named = results.benchmarks[benchmark].beside if benchmark in results.benchmarks else []
    return next((name for name in named if name in results.benchmarks), None)


def _acts(results: Results, headline: Contrast) -> Check | None:
    question = "Does the model still act?"
    name = beside(results, headline.benchmark)
    if name is None or headline.kind == "interaction":
        return None
    benchmark = results.benchmarks[name]
    same = [
        c for c in results.contrasts
        if c.kind == "difference" and (c.a, c.b, c.benchmark) == (headline.a, headline.b, name)
    ]  # fmt: skip
    found = next((c for c in same if c.cell == headline.cell), same[0] if same else None)
    cell = found.cell if found else headline.cell
    text = f"{benchmark.title} ({words.cell_words(cell)}): "
    if found is None or found.difference is None:
        values = {arm: words.cell_of(results, arm, name, cell) for arm in (headline.a, headline.b)}
        text += ", ".join(
            f"{arm} {words.amount(value.value if value else None, benchmark)}"
            for arm, value in values.items()
        )
        return Check(question, "caution", f"{text}; not compared in this study.")
    text += words.each_arm(results, found)
    spread = words.difference_interval(found, benchmark)
    text += f", {words.difference(found.difference, benchmark)}"
    text += f"{words.difference_unit(benchmark)} ({spread})"
    where = words.direction(found)
    if where == _worse(benchmark):
        return Check(question, "bad", f"It acts less. {text}: part of a gain may be plain refusal.")
    if where in ("lower", "higher"):
        if words.direction(headline) == _worse(results.benchmarks[headline.benchmark]):
            lost = words.lower_first(results.benchmarks[headline.benchmark].title)
            return Check(question, "caution", f"It acts more, and {lost} is worse: part of it may "
                         f"be plain compliance. {text}.")  # fmt: skip
        return Check(question, "good", f"Yes, and more than before. {text}.")
    if where == "unknown":
        return Check(question, "caution", f"{text}; too few data to tell.")
    stuck = words.cannot_move(results, found)
    if stuck:
        if headline.a in base_losses(results, name):
            return Check(question, "bad", f"No more than {headline.b} does: {stuck}. {text}.")
        return Check(question, "plain", f"No difference could show: {stuck}. {text}.")
    power = f"; {_would_be_found(found, benchmark)}" if _has_power(found) else ""
    if headline.a in base_losses(results, name):
        return Check(question, "bad", f"As little as {headline.b}, and both less than the base. "
                     f"{text}.")  # fmt: skip
    most = found.low if benchmark.higher_is_better else -(found.high or 0.0)
    if most is not None and most < -MUCH:
        return Check(question, "caution", "No detectable loss, but the interval does not exclude "
                     f"a large one. {text}{power}.")  # fmt: skip
    return Check(question, "good", f"No detectable loss. {text}{power}.")


def _worse(benchmark: Benchmark) -> str:
    return "lower" if benchmark.higher_is_better else "higher"


def _has_power(contrast: Contrast) -> bool:
    """One training run says nothing of what another would have shown."""
    return contrast.mde is not None and contrast.unit == "seeds"


def _would_be_found(contrast: Contrast, benchmark: Benchmark) -> str:
    limit = 2.0 if contrast.kind == "interaction" else 1.0
    if contrast.mde is not None and contrast.mde >= limit:
        return f"no possible difference would have been found with 80{words.SPACE}% power"
    size = words.difference(contrast.mde, benchmark).lstrip("+")
    unit = words.difference_unit(benchmark)
    return f"a true difference of {size}{unit} would have been found with 80{words.SPACE}% power"


def _reasons(results: Results, headline: Contrast) -> Check | None:
    """The method against each control, on the headline's benchmark and cell."""
    controls = [
        c for c in results.contrasts
        if c.kind == "difference" and c.a == headline.a and c.b != headline.b
        and (c.benchmark, c.cell) == (headline.benchmark, headline.cell)
        and c.b not in ("base", "explain_only", "explain_other_first")
    ]  # fmt: skip
    if not controls or headline.kind == "interaction":
        return None
    benchmark = results.benchmarks[headline.benchmark]
    want = "higher" if benchmark.higher_is_better else "lower"
    parts, beaten = [], 0
    for c in controls:
        told = c.p_adjusted is None or c.p_adjusted <= 0.05
        held = told and words.direction(c) == want
        worse = told and words.direction(c) not in (want, "none", "unknown")
        beaten += held
        gap = words.difference(c.difference, benchmark)
        spread = words.difference_interval(c, benchmark)
        verdict = "" if held else ", detectably worse" if worse else ", not detectable"
        parts.append(f"{c.b} {gap} ({spread}{verdict})")
    tone: Tone = "good" if beaten == len(controls) else "caution" if beaten else "bad"
    share = {0: "none", len(controls): "all"}.get(beaten, str(beaten))
    lead = (
        f"{headline.a} does better than {share} of {words.plural(len(controls), 'control')} "
        "(after Holm's correction). "
    )
    return Check("Is it the reasons, and not just more training?", tone,
                 f"{lead}Against {'; '.join(parts)}.")  # fmt: skip


def base_losses(results: Results, benchmark: str) -> dict[str, Cell]:
    """Trained arms that are worse than the untrained one by `MUCH` or more with intervals apart:
    arm -> its cell over all items. A benchmark with a value that means "neither" has no worse."""
    base = words.base_arm(results)
    row = results.benchmarks[benchmark]
    before = words.cell_of(results, base, benchmark, "*/*") if base else None
    if before is None or row.chance is not None:
        return {}
    lost = {}
    for arm in results.arms:
        after = words.cell_of(results, arm, benchmark, "*/*")
        if arm != base and after is not None and _much_worse(after, before, row):
            lost[arm] = after
    return lost


def _much_worse(after: Cell, before: Cell, benchmark: Benchmark) -> bool:
    if after.value is None or before.value is None:
        return False
    if None in (after.low, after.high, before.low, before.high):
        return False
    way = 1 if benchmark.higher_is_better else -1
    gap = way * (before.value - after.value)
    ends = (before.low, after.high) if way > 0 else (after.low, before.high)
    return gap >= MUCH and (ends[0] or 0.0) > (ends[1] or 0.0)


def _against_base(results: Results) -> Check | None:
    """Two arms that broke alike show no difference: each is held against the untrained one."""
    question = "Did training break anything?"
    base = words.base_arm(results)
    trained = [arm for arm in results.arms if arm != base]
    if base is None or not trained:
        return None
    parts = []
    for name, benchmark in results.benchmarks.items():
        lost = base_losses(results, name)
        before = words.cell_of(results, base, name, "*/*")
        if not lost or before is None:
            continue
        values = [cell.value or 0.0 for cell in lost.values()]
        if len(lost) == len(trained) > 1:
            low, high = words.amount(min(values), benchmark), words.amount(max(values), benchmark)
            told = f"{low} to {high} in every trained arm"
        else:
            told = ", ".join(f"{words.amount(cell.value, benchmark)} in {arm}"
                             for arm, cell in lost.items())  # fmt: skip
        parts.append(
            f"{benchmark.title}: {words.amount(before.value, benchmark)} in {base}, {told}"
        )
    if parts:
        return Check(question, "bad", f"Far worse than before training. {'; '.join(parts)}.")
    points = f"{MUCH * 100:.0f} points"
    return Check(question, "good", f"No arm is worse than {base} by {points} or more, beyond the "
                 "intervals, on anything measured.")  # fmt: skip


def _two_sided(results: Results) -> Check | None:
    """Two corpora, the same ambiguous demonstrations: each arm should lean its own way."""
    arms = ("explain_first", "explain_other_first")
    name = next((n for n, row in results.benchmarks.items() if row.chance is not None
                 and all(words.cell_of(results, arm, n, "*/*") for arm in arms)), "")  # fmt: skip
    one, other = (words.cell_of(results, arm, name, "*/*") for arm in arms)
    if one is None or other is None or one.low is None or other.high is None:
        return None
    benchmark = results.benchmarks[name]
    middle = benchmark.chance or 0.5
    text = (
        f"{benchmark.title}: {arms[0]} {words.scored(one, benchmark)}, {arms[1]} "
        f"{words.scored(other, benchmark)}; {words.percent(middle, 0)} would be neither."
    )
    question = "Do the reasons taught decide the outcome?"
    paired = next((c for c in results.contrasts if (c.a, c.b, c.benchmark) == (*arms, name)), None)
    if paired is not None:
        gap = words.difference(paired.difference, benchmark)
        text += f" Paired: {gap} ({words.difference_interval(paired, benchmark)})."
    # Paired by item and seed where the study asks for it: two arms' own intervals are too wide.
    apart = paired.low > 0 if paired and paired.low is not None else one.low > other.high
    if max(one.n_seeds, other.n_seeds) == 1:
        return Check(question, "caution", f"One training run of each tells little. {text}")
    if apart and one.low > middle > other.high:
        return Check(question, "good", f"Yes, each leans towards what it was taught. {text}")
    if apart:
        side = words.percent(middle, 0)
        return Check(question, "caution", f"They part, but not surely to either side of {side}. "
                     f"{text}")  # fmt: skip
    if paired is not None and paired.high is not None and paired.high < 0:
        return Check(question, "bad", f"They part the wrong way round. {text}")
    if paired is not None and paired.high is not None and paired.high > MUCH:
        return Check(question, "plain", f"Not detectably; a difference is not excluded. {text}")
    return Check(question, "bad", f"No: they don't part. {text}")


def _learned(results: Results, headline: Contrast) -> Check | None:
    """What the first stage taught: without it, "no effect" only means "not learned"."""
    question = "Did the first stage teach anything?"
    base = words.base_arm(results)
    own, before = results.recall.get(headline.a), results.recall.get(base or "", {})
    if not own:
        return None
    parts, learned = [], 0
    for name, row in own.items():
        text = f"{words.recall_title(name, row)} {words.recall_amount(row)}"
        was = before.get(name)
        if was is not None:
            learned += _learnt(row, was)
            text += f" ({words.recall_amount(was)} in {base})"
        parts.append(text)
    told = f"{headline.a} after it: {'; '.join(parts)}."
    if not before:
        return Check(question, "caution", f"Not known: no untrained arm was asked. {told}")
    if learned:
        return Check(question, "good", f"Yes. {told}")
    return Check(question, "caution", f"Not detectably: there was nothing to use later. {told}")


def _learnt(after: Recall, before: Recall) -> bool:
    ends = (after.low, before.high) if after.higher_is_better else (before.low, after.high)
    return ends[0] is not None and ends[1] is not None and ends[0] > ends[1]


def _noise(results: Results, contrast: Contrast) -> Check:
    benchmark = results.benchmarks[contrast.benchmark]
    gaps = [row.difference for row in contrast.per_seed if row.difference is not None]
    way = 1 if (contrast.difference or 0) >= 0 else -1
    same = sum(gap * way > 0 for gap in gaps)
    parts = [f"{same} of {words.plural(len(gaps), 'seed')} point the same way."] if gaps else []
    if _has_power(contrast):
        parts.append(f"{words.capital(_would_be_found(contrast, benchmark))}.")
    text = " ".join(parts)
    question = "Could it be noise between training runs?"
    if contrast.unit != "seeds":
        return Check(question, "caution", f"One seed only: the interval covers {contrast.unit} and "
                     f"not training runs, which vary more. {text}")  # fmt: skip
    found = words.direction(contrast) in ("higher", "lower")
    return Check(question, "good" if found else "plain", f"Seeds are the unit. {text}")


def _registered(results: Results) -> Check:
    question = "Was it fixed before looking?"
    registration = results.registration
    if not registration.registered:
        return Check(question, "caution", "This study was not registered: read it as exploratory.")
    if registration.before_first_result is False:
        return Check(question, "bad", "It was registered after its first result.")
    when = "before its first result" if registration.before_first_result else "(time unknown)"
    count = len(registration.deviations)
    found = f"{words.plural(count, 'deviation')} from the plan (see Registration)"
    deviations = found if count else "no deviation from the plan"
    return Check(question, "caution" if count else "good", f"Registered {when}; {deviations}.")


def _matched(results: Results) -> Check | None:
    if len({row.stage for row in results.matching}) < 2:
        return None  # one first stage for all: nothing that could differ
    off = [row for row in results.matching if not row.ok]
    question = "Did the arms get as much training?"
    if off:
        names = ", ".join(f"{row.arm}/{row.stage}" for row in off)
        return Check(question, "bad", f"Not matched: {names}. See the match table.")
    furthest = max(abs(row.ratio_tokens - 1) for row in results.matching)
    return Check(question, "good", "Yes, first stage against first stage: as many weight updates, "
                 f"and tokens within {furthest * 100:.2f}{words.SPACE}%.")  # fmt: skip


def _unscored(results: Results, contrast: Contrast) -> Check | None:
    n = sum(row.n for row in results.unscored)
    missed = sum(row.unscored for row in results.unscored)
    if not n:
        return None
    worst = max((row.rate for row in results.unscored), default=0.0)
    text = f"{missed:,} of {n:,} answers were unscored, at most {worst * 100:.1f} % in one cell"
    left = words.plural(contrast.unscored, "pair")
    text += f"; {left} left out of the headline for it."
    tone: Tone = "good" if worst <= 0.02 else "caution"
    return Check("Was everything scored?", tone, text)


def _alone(results: Results) -> Check | None:
    """Resistance without over-refusal, and the like: half of what a reader has to know."""
    missing = [
        f"{one.title} misleads without {' and '.join(one.beside)}"
        for one in results.benchmarks.values()
        if one.beside and not set(one.beside) & set(results.benchmarks)
    ]
    if not missing:
        return None
    return Check("Is anything shown by itself?", "caution", f"{'; '.join(missing)}: not measured.")


def _judged(results: Results) -> Check | None:
    if not results.judges:
        return None
    question = "Can the judge be trusted?"
    parts: list[str] = []
    trusted = True
    for name, row in results.judges.items():
        if row.kappa is None:
            parts.append(f"Judge {name} was never measured against people here")
            trusted = False
        else:
            spread = f"{row.kappa.low:.2f} to {row.kappa.high:.2f}, {row.n:,} responses"
            parts.append(
                f"Judge {name} agrees with people at kappa {row.kappa.value:.2f} ({spread})"
            )
            trusted &= row.kappa.low >= TRUSTED
    text = f"{'; '.join(parts)}."
    if any(row.corrected is not None for row in results.corrected):
        text += " Rates corrected for it stand beside the raw ones."
    return Check(question, "good" if trusted else "caution", text)


def _probed(results: Results) -> Check | None:
    """Whether readings go with conduct, and whether it can be the explanations."""
    text = links.first_screen(results)
    if text is None:
        return None
    shared = any(link.alike for probe in results.probes for link in links.method_links(probe))
    return Check("What does looking inside say?", "caution" if shared else "plain", text)
