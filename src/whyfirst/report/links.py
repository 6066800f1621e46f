"""Does the method's reading go with its conduct, and do arms without explanations show it too?

Leaves out: how the correlations were computed (`probe.record`), and the page (`probes.py`).
"""

from dataclasses import dataclass

from whyfirst.probe.record import WITHOUT
from whyfirst.report import words
from whyfirst.report.parts import ProbeMeasure, ProbeRow
from whyfirst.report.schema import Results

_WITHOUT = ("base", "direct", *WITHOUT)  # of results that don't say which arms read no reasons


@dataclass(frozen=True)
class MethodLink:
    """One reading's link to conduct in the method's arm.

    Args:
        mine: the correlation in the method's arm.
        alike: those of arms without explanations that lie on the same side of 0 as well.
        others: those of the rest of them, as far as they were measured.
    """

    mine: ProbeMeasure
    alike: list[ProbeMeasure]
    others: list[ProbeMeasure]

    @property
    def measured(self) -> bool:
        """Whether the method's correlation has an interval."""
        return measured(self.mine)

    @property
    def shown(self) -> bool:
        """Whether the method's interval leaves out 0."""
        return sign(self.mine) != 0


def method_links(probe: ProbeRow) -> list[MethodLink]:
    """Every reading of a probe that the method's arm has."""
    readings, without = [], probe.without or _WITHOUT
    for mine in probe.behaviour:
        if mine.arm == probe.method:
            # Only the same reading at the same place: others would always find one that agrees.
            rest = [m for m in probe.behaviour if m.arm in without and m.at == mine.at]
            alike = [m for m in rest if sign(mine) and sign(m) == sign(mine)]
            others = [m for m in rest if m not in alike and measured(m)]
            readings.append(MethodLink(mine, alike, others))
    return readings


def measured(measure: ProbeMeasure) -> bool:
    """Whether there is an interval: without one it is not known to be none either."""
    return measure.low is not None and measure.high is not None


def sign(measure: ProbeMeasure) -> int:
    """1 or -1 where the interval lies on one side of 0, else 0."""
    if measure.low is None or measure.high is None:
        return 0
    return int(measure.low > 0) - int(measure.high < 0)


def said(measure: ProbeMeasure) -> str:
    """Value and interval."""
    if measure.value is None:
        return "not measured"
    return f"{signed(measure.value)} ({interval(measure)})"


def where(measure: ProbeMeasure) -> str:
    """At which layer, framing, family, ... a measure was taken."""
    return ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in measure.at.items())


def signed(value: float | None) -> str:
    """A number with two decimals and a true minus sign; "n/a" where there is none."""
    return "n/a" if value is None else f"{value:.2f}".replace("-", words.MINUS)


def interval(measure: ProbeMeasure) -> str:
    """Both limits, or that there are none."""
    if measure.low is None or measure.high is None:
        return "no interval"
    return f"{signed(measure.low)} to {signed(measure.high)}"


def in_words(link: MethodLink) -> str:
    """What a reader must know before crediting the explanations."""
    mine = f"The link of {link.mine.arm}" + (f" at {where(link.mine)}" if link.mine.at else "")
    if not link.measured:
        return f"{mine} could not be measured{f': {link.mine.note}' if link.mine.note else ''}."
    mine += f" ({said(link.mine)})"
    if not link.shown:
        return f"{mine} can't be told from none."
    named = ", ".join(f"{m.arm} ({said(m)})" for m in link.alike or link.others)
    if link.alike:
        return (
            f"{mine} shows without explanations too: {named}. So it isn't the explanations that "
            "bring it about."
        )
    if link.others:
        return (
            f"{mine} could not be told from none in the arms without explanations: {named}. That "
            "one interval holds 0 and another doesn't is no difference between arms."
        )
    return f"{mine} has no arm without explanations beside it that could tell what brings it about."


def first_screen(results: Results) -> str | None:
    """The probes in two sentences; None where nothing was probed or the method wasn't."""
    readings = [link for probe in results.probes for link in method_links(probe)]
    if not readings:
        return None
    known = [link for link in readings if link.measured]
    shown = [link for link in known if link.shown]
    shared = sum(bool(link.alike) for link in shown)
    text = f"{words.plural(len(results.probes), 'probe')}, {words.plural(len(readings), 'reading')}"
    arm = readings[0].mine.arm
    if not known:
        return f"{text}: none could be held against what {arm} refuses. See Inside."
    if known != readings:
        text += f", of which {len(known)} could be held against conduct"
    text += f": what {arm} refuses goes with {len(shown) or 'none'} of them."
    if shown:
        text += f" Arms without explanations show {shared or 'none'} of these links too."
    return f"{text} See Inside."
