"""The headline for a terminal: the answer, its checks and the arms, as one rich renderable.

Every string passes `safe_text` and is printed as text, never as rich markup. Leaves out: examples
and figures, which are in the HTML report.
"""

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whyfirst.config.text import safe_text, table_of
from whyfirst.report import words
from whyfirst.report.answer import answer
from whyfirst.report.conduct import beside
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
    body = Text().append(safe_text(found.title) + "\n", style=f"bold {colour}")
    about = f"Run on {results.study.ran}. " if results.study.ran else ""
    body.append(safe_text(about + found.sentence))
    checks = Table.grid(padding=(0, 1))
    for check in found.checks:
        sign, colour = SIGNS[check.tone]
        line = Text(f"{safe_text(check.question)} ", style="bold")
        line.append(safe_text(check.text), style="not bold")
        checks.add_row(Text(sign, style=f"bold {colour}"), line)
    parts: list[RenderableType] = [
        *(Text(safe_text(f"note: {note}"), style="yellow") for note in results.notes),
        Panel(body, title=Text(safe_text(results.study.title)), title_align="left"),
        checks,
    ]
    # Most studies have no edits, comparisons or axes: an empty table is no finding.
    compared = table_of(
        ("comparison", "win rate", "95 % interval", "reading", "position bias", "judge"),
        ((c.comparison.title, c.rate, c.limits, c.reading, c.bias, c.comparison.judge)
         for c in comparisons(results)), "lr",
    )  # fmt: skip
    used = table_of(("edits and decoding", "calls", "answers alone", "tokens", "answers alone"), (
        (arm, *(f"{n:,}" for n in (u.calls, u.base_calls, u.tokens, u.base_tokens)))
        for arm, spec in results.arms.items() if (u := spec.used)
    ), "lr")  # fmt: skip
    for table in (_arms(results), _square(results), compared, used):
        if table.row_count:
            parts += [Text(""), table]
    return Group(*parts)


def _square(results: Results) -> Table:
    """The headline's benchmark on its two axes, what it is read beside after the stroke."""
    contrast, cells = results.headline_contrast(), words.axes_cells(results)
    if contrast is None or not cells:
        return table_of((), ())
    other = beside(results, contrast.benchmark)
    metrics = [contrast.benchmark] + ([other] if other else [])
    rows = []
    for arm in results.arms:
        row = [arm]
        for place in cells.values():
            found = {metric: words.cell_of(results, arm, metric, place) for metric in metrics}
            # Each in its own unit: what a share is read beside may be a score.
            row.append(" / ".join(words.amount(cell.value if cell else None, results.benchmarks[m])
                                  for m, cell in found.items()))  # fmt: skip
        rows.append(row)
    title = " / ".join(results.benchmarks[name].title for name in metrics)
    return table_of([title, *cells], rows, "lr")


def _arms(results: Results) -> Table:
    """Arms down, benchmarks across: values with intervals, and n."""
    shown, pair = columns(results), results.headline_contrast()
    rows = []
    for arm in results.arms:
        weight = "bold" if pair and arm in (pair.a, pair.b) else ""
        row = [Text(safe_text(arm), style=weight)]
        for column in shown:
            cell = words.cell_of(results, arm, column.benchmark, column.cell)
            benchmark = results.benchmarks[column.benchmark]
            entry = Text("-", style="dim")
            if cell is not None:
                entry = Text(words.amount(cell.value, benchmark), style=weight)
                entry.append(f" {words.interval_and_n(cell, benchmark)}", style="dim")
            row.append(entry)
        rows.append(row)
    whole = (c.title if c.cell == "*/*" else f"{c.title} ({c.where})" for c in shown)
    table = table_of(("arm", *whole), rows, "lr")
    table.columns[0].no_wrap = True
    return table
