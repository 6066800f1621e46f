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
from whyfirst.report.answer import Tone, answer
from whyfirst.report.schema import Results
from whyfirst.report.views import columns

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
    return Group(*parts)


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
