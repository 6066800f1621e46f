"""The headline for a terminal: the answer, its checks and the arms, as one rich renderable.

Every string passes `safe_text` and is printed as text, never as rich markup. Leaves out: examples
and figures, which are in the HTML report.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whyfirst.config.text import safe_text
from whyfirst.report import words
from whyfirst.report.answer import answer
from whyfirst.report.checks import beside
from whyfirst.report.schema import Results
from whyfirst.report.views import columns, comparisons
from whyfirst.report.words import Tone

SIGNS: dict[Tone, tuple[str, str]] = {
    "good": ("✓", "green"),
    "caution": ("!", "yellow"),
    "bad": ("✗", "red"),
    "plain": ("·", "default"),
}


def print_headline(results: Results) -> RenderableType:
    """What the study found, for `console.print`: a panel, the checks and the arms table."""
    found = answer(results)
    _, colour = SIGNS[found.tone]
    body = Text()
    body.append(safe_text(found.title) + "\n", style=f"bold {colour}")
    if results.study.ran:
        body.append(safe_text(f"Run on {results.study.ran}. "))
    body.append(safe_text(found.sentence))
    parts: list[RenderableType] = [
        Text(safe_text(f"note: {note}"), style="yellow") for note in results.notes
    ]
    parts.append(Panel(body, title=Text(safe_text(results.study.title)), title_align="left"))
    checks = Table.grid(padding=(0, 1))
    for check in found.checks:
        sign, colour = SIGNS[check.tone]
        line = Text(f"{safe_text(check.question)} ", style="bold")
        line.append(safe_text(check.text), style="not bold")
        checks.add_row(Text(sign, style=f"bold {colour}"), line)
    parts += [checks, Text(""), _arms(results)]
    for tabled in (_square(results), _comparisons(results), _used(results)):
        if tabled is not None:
            parts += [Text(""), tabled]
    return Group(*parts)


def _table(*titles: str) -> Table:
    """An unruled table; every column but the first to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        table.add_column(Text(safe_text(title)), justify="right" if place else "left")
    return table


def _square(results: Results) -> Table | None:
    """The headline's benchmark on its two axes, what it is read beside after the stroke."""
    contrast = results.headline_contrast()
    main = results.benchmarks[contrast.benchmark] if contrast else None
    if contrast is None or main is None or main.axes is None:
        return None
    name, other = contrast.benchmark, beside(results, contrast.benchmark)
    places = {
        f"{topics}, {how}": f"{split}/{framing}"
        for topics, split in main.axes.splits.items()
        for how, framing in main.axes.framings.items()
    }
    title = main.title + (f" / {results.benchmarks[other].title}" if other else "")
    table = _table(title, *places)
    for arm in results.arms:
        row = [arm]
        for cell in places.values():
            found = [words.cell_of(results, arm, metric, cell) for metric in (name, other or name)]
            told = [words.amount(one.value if one else None, main) for one in found]
            row.append(" / ".join(told) if other else told[0])
        table.add_row(*(Text(safe_text(one)) for one in row))
    return table


def _comparisons(results: Results) -> Table | None:
    rows = comparisons(results)
    if not rows:
        return None
    table = _table("comparison", "win rate", "95 % interval", "reading", "position bias", "judge")
    for row in rows:
        told = (row.comparison.title, row.rate, row.limits, row.reading, row.bias,
                row.comparison.judge)  # fmt: skip
        table.add_row(*(Text(safe_text(one)) for one in told))
    return table


def _used(results: Results) -> Table | None:
    rows = {arm: spec.used for arm, spec in results.arms.items() if spec.used}
    if not rows:
        return None
    table = _table("edits and decoding", "calls", "plain", "tokens", "plain")
    for arm, used in rows.items():
        told = (used.calls, used.base_calls, used.tokens, used.base_tokens)
        table.add_row(Text(safe_text(arm)), *(Text(f"{one:,}") for one in told))
    return table


def _arms(results: Results) -> Table:
    """Arms down, benchmarks across: values with intervals."""
    shown = columns(results)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", no_wrap=True)
    for column in shown:
        title = column.title if column.cell == "*/*" else f"{column.title} ({column.where})"
        table.add_column(Text(safe_text(title)), justify="right")
    pair = results.headline_contrast()
    for arm in results.arms:
        row = [Text(safe_text(arm))]
        for column in shown:
            cell = words.cell_of(results, arm, column.benchmark, column.cell)
            if cell is None:
                row.append(Text("-", style="dim"))
                continue
            benchmark = results.benchmarks[column.benchmark]
            entry = Text(words.amount(cell.value, benchmark))
            entry.append(f" {words.interval(cell.low, cell.high, benchmark)}", style="dim")
            row.append(entry)
        table.add_row(*row, style="bold" if pair and arm in (pair.a, pair.b) else "")
    return table
