"""Checks of how a study was made: noise, registration, matching, judges, what is missing.

Each function is the finding of one question (`checks.QUESTIONS`), None where the results don't
allow it. Leaves out: what the models do (`conduct.py`).
"""

from whyfirst.report import decisive, links, words
from whyfirst.report.parts import BOTH_WAYS
from whyfirst.report.schema import Contrast, Results
from whyfirst.report.words import Finding

#: a judge's kappa from which its verdicts need no caution (Landis and Koch 1977: "almost perfect")
TRUSTED = 0.8


def noise(results: Results, headline: Contrast) -> Finding:
    """Could it be noise between training runs?"""
    gaps = [row.difference for row in headline.per_seed if row.difference is not None]
    way = 1 if (headline.difference or 0) >= 0 else -1
    same = sum(gap * way > 0 for gap in gaps)
    parts = [f"{same} of {words.units(headline)} point the same way."] if gaps else []
    if power := words.power_words(headline, results.benchmarks[headline.benchmark]):
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


def registered(results: Results, headline: Contrast) -> Finding:
    """Was it fixed before looking?"""
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


def matched(results: Results, headline: Contrast) -> Finding | None:
    """Did the arms get as much training?"""
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


def unscored(results: Results, headline: Contrast) -> Finding | None:
    """Was everything scored?"""
    if not (n := sum(row.n for row in results.unscored)):
        return None
    missed = sum(row.unscored for row in results.unscored)
    worst = max(row.rate for row in results.unscored)
    return "good" if worst <= 0.02 else "caution", (
        f"{missed:,} of {n:,} scores are missing, at most {worst * 100:.1f} % in one cell; "
        f"{words.plural(headline.unscored, 'pair')} left out of the headline for it."
    )


def dropped(results: Results, headline: Contrast) -> Finding | None:
    """Is any of it left out for a reason?"""
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


def stuck(results: Results, headline: Contrast) -> Finding | None:
    """Can all of it move?"""
    found = decisive.cannot_move(results)
    return ("caution", f"No. {'. '.join(found)}.") if found else None


def alone(results: Results, headline: Contrast) -> Finding | None:
    """Is anything shown by itself?"""
    # Resistance without over-refusal, and the like: half of what a reader has to know.
    missing = [
        f"{row.title} misleads without {' and '.join(row.beside)}"
        for row in results.benchmarks.values()
        if row.beside and not set(row.beside) & set(results.benchmarks)
    ]
    return ("caution", f"{'; '.join(missing)}: not measured.") if missing else None


def judged(results: Results, headline: Contrast) -> Finding | None:
    """Can the judge be trusted?"""
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
    unlike = {r.arm for r in results.corrected if r.problem and r.problem != BOTH_WAYS}
    if unlike:
        trusted = False
        text += (
            f" In {words.listed(sorted(unlike))} answers are unlike those it was measured on, or "
            "its errors can't be told."
        )
    if any(row.corrected is not None for row in results.corrected):
        text += " Rates corrected for it stand beside the raw ones."
    return "good" if trusted else "caution", text


def probed(results: Results, headline: Contrast) -> Finding | None:
    """What does looking inside say?"""
    if (text := links.first_screen(results)) is None:
        return None
    # A link that arms without explanations show as well isn't the explanations' doing.
    shared = any(link.alike for probe in results.probes for link in links.method_links(probe))
    return "caution" if shared else "plain", text
