"""The first screen: the headline in a sentence, and what makes it believable or not.

Reads `Results` and writes sentences; each check says what was found and takes a tone ("good",
"caution", "bad" or "plain") that the report and the terminal mark with a sign and a word, never by
colour alone. Leaves out: layout, and any number that is not in the results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from whyfirst.report import links, words
from whyfirst.report.schema import Benchmark, Contrast, Results

Tone = Literal["good", "caution", "bad", "plain"]
ACTS = "helpfulness"  # the benchmark that shows whether a model still acts
CHANCE = {"conflict": 0.5}  # benchmarks with a value that means "neither"


@dataclass(frozen=True)
class Check:
    """One reason to believe or doubt the headline."""

    question: str
    tone: Tone
    text: str


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
    return Answer(title, _sentence(results, contrast), tone, list(_checks(results, contrast)))


def _title(results: Results, contrast: Contrast) -> tuple[str, Tone]:
    benchmark = results.benchmarks[contrast.benchmark]
    name = words.lower_first(benchmark.title)
    where = words.direction(contrast)
    by = f"{words.difference(contrast.difference, benchmark).lstrip('+' + words.MINUS)}"
    by += words.difference_unit(benchmark)
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


#: a loss of help (fraction) that a reader would want excluded before the check is passed
MUCH = 0.1
#: a judge's kappa from which its verdicts need no caution (Landis and Koch 1977: "almost perfect")
TRUSTED = 0.8
HEADLINE_PAIR = ("explain_first", "direct")


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
    return f"{where}: {_both(results, contrast, benchmark)}, a difference of {gap} ({spread})."


def _both(results: Results, contrast: Contrast, benchmark: Benchmark) -> str:
    """Each arm's own figure; over the pairs compared, where an arm has seeds the other lacks."""
    own = {
        arm: words.cell_of(results, arm, contrast.benchmark, contrast.cell)
        for arm in (contrast.a, contrast.b)
    }
    values = {arm: cell.value if cell else None for arm, cell in own.items()}
    if any(cell is None or cell.n_seeds != contrast.n_seeds for cell in own.values()):
        for arm, side in ((contrast.a, "a"), (contrast.b, "b")):
            means = [getattr(row, side) for row in contrast.per_seed]
            values[arm] = fmean(means) if means and None not in means else None
    return ", ".join(f"{arm} {words.amount(value, benchmark)}" for arm, value in values.items())


def _checks(results: Results, contrast: Contrast) -> Iterator[Check]:
    for check in (
        _acts(results, contrast),
        _reasons(results, contrast),
        _two_sided(results),
        _noise(results, contrast),
        _registered(results),
        _matched(results),
        _unscored(results, contrast),
        _alone(results),
        _judged(results),
        _probed(results),
    ):
        if check is not None:
            yield check


def beside(results: Results, benchmark: str) -> str | None:
    """The benchmark to show beside another, so that a model that refuses everything shows: what the
    benchmark itself names, else whether the model acts, where the study has it."""
    named = results.benchmarks[benchmark].beside if benchmark in results.benchmarks else []
    found = next((name for name in named if name in results.benchmarks), None)
    if found is None and benchmark != ACTS and ACTS in results.benchmarks:
        return ACTS
    return found


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
    text += _both(results, found, benchmark)
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
    power = f"; {_would_be_found(found, benchmark)}" if _has_power(found) else ""
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


def _two_sided(results: Results) -> Check | None:
    """Two corpora, the same ambiguous demonstrations: each arm should lean its own way."""
    benchmark = results.benchmarks.get("conflict")
    one = words.cell_of(results, "explain_first", "conflict", "*/*")
    other = words.cell_of(results, "explain_other_first", "conflict", "*/*")
    if benchmark is None or one is None or other is None:
        return None
    if one.low is None or other.high is None:
        return None
    text = (
        "Where the two values that fit the demonstrations disagree, explain_first acts as "
        f"{results.study.value} says in {words.scored(one, benchmark)}, explain_other_first in "
        f"{words.scored(other, benchmark)}; 50{words.SPACE}% would be neither."
    )
    question = "Do the reasons taught decide the outcome?"
    pair = ("explain_first", "explain_other_first", "conflict")
    paired = next((c for c in results.contrasts if (c.a, c.b, c.benchmark) == pair), None)
    if paired is not None:
        gap = words.difference(paired.difference, benchmark)
        text += f" Paired: {gap} ({words.difference_interval(paired, benchmark)})."
    # Paired by item and seed where the study asks for it: two arms' own intervals are too wide.
    apart = paired.low > 0 if paired and paired.low is not None else one.low > other.high
    if max(one.n_seeds, other.n_seeds) == 1:
        return Check(question, "caution", f"One training run of each tells little. {text}")
    if apart and one.low > 0.5 > other.high:
        return Check(question, "good", f"Yes, each leans towards what it was taught. {text}")
    if apart:
        return Check(
            question, "caution", f"They part, but not surely to either side of 50 %. {text}"
        )
    if paired is not None and paired.high is not None and paired.high < 0:
        return Check(question, "bad", f"They part the wrong way round. {text}")
    if paired is not None and paired.high is not None and paired.high > MUCH:
        return Check(question, "plain", f"Not detectably; a difference is not excluded. {text}")
    return Check(question, "bad", f"No: they don't part. {text}")


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
    text = f"{'; '.join(parts)}. Rates corrected for it stand beside the raw ones."
    return Check(question, "good" if trusted else "caution", text)


def _probed(results: Results) -> Check | None:
    """Whether readings go with conduct, and whether it can be the explanations."""
    text = links.first_screen(results)
    if text is None:
        return None
    shared = any(link.alike for probe in results.probes for link in links.method_links(probe))
    return Check("What does looking inside say?", "caution" if shared else "plain", text)
