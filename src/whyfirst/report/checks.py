"""What makes a headline believable or not: the questions a reader would ask next, answered.

Each check says what was found and takes a tone that the report and the terminal mark with a sign
and a word, never by colour alone. Leaves out: the headline (`answer.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from whyfirst.report import decisive, links, words
from whyfirst.report.schema import BEFORE, Benchmark, Cell, Contrast, Results
from whyfirst.report.words import Tone
from whyfirst.stats.statistics import holm

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


Finding = tuple[Tone, str]
Find = Callable[[Results, Contrast], Finding | None]
#: question -> what answers it (None where the results don't allow it), the most telling first
QUESTIONS: dict[str, Find] = {}


def answers(question: str) -> Callable[[Find], Find]:
    """Decorator: the function answers a question; they are asked in the order of this file."""

    def enter(find: Find) -> Find:
        QUESTIONS[question] = find
        return find

    return enter


def checks_of(results: Results, contrast: Contrast) -> list[Check]:
    """Every check that the results allow, the most telling first."""
    findings = {question: find(results, contrast) for question, find in QUESTIONS.items()}
    return [Check(question, *finding) for question, finding in findings.items() if finding]


def beside(results: Results, benchmark: str) -> str | None:
    """The measured benchmark that another names as misleading without, so that a model that refuses
    everything shows."""
    return next(iter(_beside(results, benchmark)), None)


def _beside(results: Results, benchmark: str) -> list[str]:
    named = results.benchmarks[benchmark].beside if benchmark in results.benchmarks else []
    return [name for name in named if name in results.benchmarks]


def _power(contrast: Contrast, benchmark: Benchmark) -> str:
    """Which difference would have been found; "" where there is nothing to say."""
    # One training run says nothing of what another would have shown.
    if contrast.mde is None or contrast.unit != "seeds":
        return ""
    if contrast.mde >= (2.0 if contrast.kind == "interaction" else 1.0):
        return f"no possible difference would have been found with 80{words.SPACE}% power"
    size = words.difference_words(contrast.mde, benchmark).lstrip("+")
    return f"a true difference of {size} would have been found with 80{words.SPACE}% power"


def _acting(results: Results, headline: Contrast) -> tuple[str, Contrast | None] | None:
    """The metric beside the headline's that says whether the model acts, and its contrast."""
    acting = [n for n in _beside(results, headline.benchmark) if results.benchmarks[n].acts]
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


@answers("Does the model still act?")
def _acts(results: Results, headline: Contrast) -> Finding | None:
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
    power = _power(contrast, benchmark)
    text += f"; {power}." if power else "."
    most = contrast.low if less == "lower" else -(contrast.high or 0.0)
    if most is not None and most < -MUCH:
        return "caution", (
            f"No detectable loss, but the interval does not exclude a large one. {text}"
        )
    return "good", f"No detectable loss. {text}"


def base_losses(results: Results, benchmark: str, surely: bool = True) -> dict[str, Cell]:
    """Trained arms that are worse than the untrained one by `MUCH` or more, with intervals apart if
    it is to be sure: arm -> its cell over all items. A benchmark of two readings, or one that only
    describes, has no worse."""
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
        if way * (before.value - after.value) >= MUCH and (sure or not surely):
            lost[arm] = after
    return lost


@answers("Did training break anything?")
def _against_base(results: Results, headline: Contrast) -> Finding | None:
    # Two arms that broke alike show no difference: each is held against the untrained one.
    base = words.base_arm(results)
    trained = [arm for arm in results.arms if arm != base]
    if base is None or not trained:
        return None
    if told := _losses(results, base, len(trained), surely=True):
        return "bad", f"Far worse than before training. {told}."
    if told := _losses(results, base, len(trained), surely=False):
        return "caution", f"Perhaps: worse, but with intervals that overlap. {told}."
    most = f"{MUCH * 100:.0f} points or more"
    text = f"No arm is worse than {base} by {most} on anything measured."
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


@answers("Is it the reasons, and not just more training?")
def _reasons(results: Results, headline: Contrast) -> Finding | None:
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
    tone: words.Tone = "good" if beaten == len(controls) else "caution" if beaten else "bad"
    how = "after Holm's correction" if corrected else "uncorrected"
    text = (
        f"{headline.a} does better than {share} of {words.plural(len(controls), 'control')} "
        f"({how}). Against {'; '.join(parts)}."
    )
    alone = {c.unit for c in controls} & {"topics", "items"}
    if alone and tone == "good":
        tone, text = "caution", f"{text} One training run: another may say otherwise."
    return tone, text


@answers("Do the reasons taught decide the outcome?")
def _two_sided(results: Results, headline: Contrast) -> Finding | None:
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
    if most is None or most > MUCH:
        return "plain", f"Not detectably; a difference is not excluded. {text}"
    return "bad", f"No: they don't part. {text}"


@answers("Did the first stage teach anything?")
def _learned(results: Results, headline: Contrast) -> Finding | None:
    # What the first stage taught: without it, "no effect" only means "not learned".
    base = words.base_arm(results)
    after, before = results.recall.get(headline.a), results.recall.get(base or "", {})
    if not after:
        return None
    parts, learned, compared = [], 0, 0
    for name, row in after.items():
        if name.endswith(BEFORE):
            continue
        text = f"{words.recall_title(name, row)} {words.recall_amount(row)}"
        # A world asks its untrained arm; elsewhere the seam measures the base itself beside it.
        if was := before.get(name, after.get(name + BEFORE)):
            compared += 1
            learned += words.apart(row, was) == (1 if row.higher_is_better else -1)
            text += f" ({words.recall_amount(was)} in {base or 'the base'})"
        parts.append(text)
    told = f"{headline.a} after it: {'; '.join(parts)}."
    if not compared:
        return "caution", f"Not known: no untrained arm was asked. {told}"
    if learned:
        return "good", f"Yes. {told}"
    return "caution", f"Not detectably: there was nothing to use later. {told}"


@answers("Could it be noise between training runs?")
def _noise(results: Results, headline: Contrast) -> Finding:
    gaps = [row.difference for row in headline.per_seed if row.difference is not None]
    way = 1 if (headline.difference or 0) >= 0 else -1
    same = sum(gap * way > 0 for gap in gaps)
    parts = [f"{same} of {words.units(headline)} point the same way."] if gaps else []
    if power := _power(headline, results.benchmarks[headline.benchmark]):
        parts.append(f"{words.capital(power)}.")
    text = " ".join(parts)
    shows = words.direction(headline) in ("higher", "lower")
    if headline.worlds is not None:
        new = headline.worlds
        benchmark = results.benchmarks[headline.benchmark]
        text += (
            f" A new world would lie between {words.difference(new.new_low, benchmark)} and "
            f"{words.difference(new.new_high, benchmark)} (95 times in 100)."
        )
        if decisive.too_few(headline):
            # The least p that turning the signs of so few can give.
            least = 2.0 ** (1 - headline.n_seeds)
            floor = f"no exact test of {headline.n_seeds} goes below {least:.2g}"
            return "caution", f"So few worlds can't tell: {floor}. {text}"
        return "good" if shows else "plain", f"Worlds are the unit. {text}"
    if headline.unit != "seeds":
        return "caution", (
            f"One seed only: the interval covers {headline.unit} and not training runs, which "
            f"vary more. {text}"
        )
    return "good" if shows else "plain", f"Seeds are the unit. {text}"


@answers("Was it fixed before looking?")
def _registered(results: Results, headline: Contrast) -> Finding:
    registration = results.registration
    if not registration.registered:
        return "caution", "This study was not registered: read it as exploratory."
    if registration.before_first_result is False:
        return "bad", "It was registered after its first result."
    when = "before its first result" if registration.before_first_result else "(time unknown)"
    if registration.amendments:
        last = registration.amendments[-1]
        looked = f"after {last.looks} looks" if last.looks else "before any result was looked at"
        when += f", amended on {last.at[:10]} {looked}"
    if registration.looks:
        when += f"; {words.plural(len(registration.looks), 'interim look')} before this report"
    if not registration.deviations:
        # What was amended can't be deviated from; the plan's own look tells which came first.
        seen = any(row.looks or row.results for row in registration.amendments)
        sure = registration.before_first_result and not seen
        late = " made with results at hand" if seen else ""
        plan = f"the plan as amended{late}" if registration.amendments else "the plan"
        return "good" if sure else "caution", f"Registered {when}; no deviation from {plan}."
    deviations = words.plural(len(registration.deviations), "deviation")
    return "caution", f"Registered {when}; {deviations} from the plan (see Registration)."


@answers("Did the arms get as much training?")
def _matched(results: Results, headline: Contrast) -> Finding | None:
    if len({row.stage for row in results.matching}) < 2:
        return None  # one first stage for all: nothing that could differ
    off = [f"{row.arm}/{row.stage}" for row in results.matching if not row.ok]
    if off:
        return "bad", f"Not matched: {', '.join(off)}. See the match table."
    furthest = max(abs(row.ratio_tokens - 1) for row in results.matching)
    return "good", (
        "Yes, first stage against first stage: as many weight updates, and tokens within "
        f"{furthest * 100:.2f}{words.SPACE}%."
    )


@answers("Was everything scored?")
def _unscored(results: Results, headline: Contrast) -> Finding | None:
    if not (n := sum(row.n for row in results.unscored)):
        return None
    missed = sum(row.unscored for row in results.unscored)
    worst = max(row.rate for row in results.unscored)
    return "good" if worst <= 0.02 else "caution", (
        f"{missed:,} of {n:,} scores are missing, at most {worst * 100:.1f} % in one cell; "
        f"{words.plural(headline.unscored, 'pair')} left out of the headline for it."
    )


@answers("Is any of it left out for a reason?")
def _dropped(results: Results, headline: Contrast) -> Finding | None:
    # A model that breaks gives nothing to score: leaving it out flatters the arm it broke in.
    lost = [c for c in results.contrasts if c.dropped]
    if not lost:
        return None
    noun = "worlds" if headline.unit == "worlds" else "seeds"
    told = "; ".join(f"{c.name}: {len(c.dropped)} of {len(c.dropped) + c.n_seeds}" for c in lost)
    return "caution", (
        f"Yes: {noun} in which an arm gave nothing that could be scored are in no difference, and "
        f"what is missing for a reason may bend it ({told})."
    )


@answers("Can all of it move?")
def _stuck(results: Results, headline: Contrast) -> Finding | None:
    found = decisive.cannot_move(results)
    return ("caution", f"No. {'. '.join(found)}.") if found else None


@answers("Is anything shown by itself?")
def _alone(results: Results, headline: Contrast) -> Finding | None:
    # Resistance without over-refusal, and the like: half of what a reader has to know.
    missing = [
        f"{row.title} misleads without {' and '.join(row.beside)}"
        for row in results.benchmarks.values()
        if row.beside and not set(row.beside) & set(results.benchmarks)
    ]
    return ("caution", f"{'; '.join(missing)}: not measured.") if missing else None


@answers("Can the judge be trusted?")
def _judged(results: Results, headline: Contrast) -> Finding | None:
    if not results.judges:
        return None
    parts = []
    for name, row in results.judges.items():
        said, kappa = "was never measured against people here", row.kappa
        if kappa is not None:
            spread = f"{kappa.low:.2f} to {kappa.high:.2f}, {row.n:,} responses"
            said = f"agrees with people at kappa {kappa.value:.2f} ({spread})"
        parts.append(f"Judge {name} {said}")
    # The interval's lower end: an agreement measured on few responses is not yet one to trust.
    trusted = all(row.kappa and row.kappa.low >= TRUSTED for row in results.judges.values())
    text = f"{'; '.join(parts)}."
    if any(row.corrected is not None for row in results.corrected):
        text += " Rates corrected for it stand beside the raw ones."
    return "good" if trusted else "caution", text


@answers("What does looking inside say?")
def _probed(results: Results, headline: Contrast) -> Finding | None:
    if (text := links.first_screen(results)) is None:
        return None
    # A link that arms without explanations show as well isn't the explanations' doing.
    shared = any(link.alike for probe in results.probes for link in links.method_links(probe))
    return "caution" if shared else "plain", text
