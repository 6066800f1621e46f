"""Writes README's first table, and the report in docs/reports/, from a finished study of worlds.

``python docs/make/worlds_table.py runs/hearth-worlds`` takes the run's results as they came out:
the block of README between its two markers is written anew, results and page are copied. Without an
argument README is made again from docs/reports/hearth-worlds, which a test does too. Leaves out:
any sentence of judgement; what stands outside the markers is written by people.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from whyfirst.report import decisive, words
from whyfirst.report.schema import Results, load_results
from whyfirst.report.unit import MANIFEST, PAGE_FILE, RESULTS_FILE

ROOT = Path(__file__).parents[2]
BEGIN, END = "<!-- worlds: made by docs/make/worlds_table.py -->", "<!-- worlds: end -->"
KEPT = ROOT / "docs" / "reports" / "hearth-worlds"


def block(results: Results) -> str:
    """What stands between README's markers: the answer, what it rests on, the 2 x 2 in short."""
    found = decisive.title(results)
    title = found[0] if found else results.study.title
    about = f"Run on {results.study.ran}. " if results.study.ran else ""
    still = [f"- {sentence}." for sentence in decisive.cannot_move(results)]
    parts = [
        f"**{title}.**",
        f"{about}{_where(results)}",
        "\n".join(_primaries(results)),
        "\n".join(_arms(results)),
        "\n".join(still),
        _registered(results),
    ]
    return "\n\n".join(part for part in parts if part)


def _where(results: Results) -> str:
    contrast = results.headline_contrast()
    if contrast is None:
        return ""
    labels = {cell: label for label, cell in words.axes_cells(results).items()}
    metric = results.benchmarks[contrast.benchmark]
    place = labels.get(contrast.cell, words.cell_words(contrast.cell))
    return (
        f"{words.units(contrast)}, one number each; “{metric.title}”, {place} "
        f"({metric.definition}); p after Holm's correction over these contrasts."
    )


def _primaries(results: Results) -> Iterator[str]:
    yield "| contrast | difference (95 %) | p | worlds above 0 | a new world (95 %) |"
    yield "|---|---|---|---|---|"
    for row in decisive.decided(results):
        c = row.contrast
        yield (
            f"| {c.title} (`{c.a}` − `{c.b}`) | {row.difference} | {row.tests} | {row.above} | "
            f"{row.new} |"
        )


def _arms(results: Results) -> Iterator[str]:
    """Every arm on every part of the 2 x 2: the headline's metric, and those beside it."""
    place = words.headline_place(results)
    if place is None:
        return
    metrics = [place[0], *results.benchmarks[place[0]].beside]
    cells = words.axes_cells(results)
    titles = " / ".join(results.benchmarks[name].title.lower() for name in metrics)
    yield f"In %, {titles}; n answers to the first:"
    yield ""
    yield f"| arm | {' | '.join(cells)} |"
    yield f"|---|{'---|' * len(cells)}"
    place_of = next(iter(cells.values()))
    seeds = {arm: c.n_seeds if (c := words.cell_of(results, arm, metrics[0], place_of)) else 0
             for arm in results.arms}  # fmt: skip
    for arm in results.arms:
        # Arms of fewer worlds are points of a dose curve, which the report draws.
        if seeds[arm] < max(seeds.values()):
            continue
        columns = []
        for cell in cells.values():
            found = [words.cell_of(results, arm, metric, cell) for metric in metrics]
            values = [words.percent(c.value if c else None).split(words.SPACE)[0] for c in found]
            n = f"{found[0].n - found[0].unscored:,}" if found[0] else "0"
            columns.append(f"{' / '.join(values)} (n {n})")
        yield f"| `{arm}` | {' | '.join(columns)} |"


def _registered(results: Results) -> str:
    registration = results.registration
    if not registration.registered:
        return "This study was not registered."
    parts = [f"Registered (sha256 `{(registration.sha256 or '')[:12]}…`)"]
    if not registration.before_first_result:
        parts.append("parts of it were in the store then")
    for one in registration.amendments:
        looked = f"after {one.looks} looks" if one.looks else "before any result was looked at"
        parts.append(f"amended {one.at[:10]} {looked}")
    count = len(registration.deviations)
    parts.append(words.plural(count, "deviation") if count else "no deviation")
    return "; ".join(parts) + "."


def written(readme: str, results: Results) -> str:
    """README with its block made anew; refuses one without the markers."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md lacks {BEGIN} or {END}")
    return f"{before}{BEGIN}\n{block(results)}\n{END}{after}"


def main(run: Path | None) -> None:
    """Copy a run's report, if one is given, and write README's block from what is kept."""
    if run is not None:
        KEPT.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(run / "report" / RESULTS_FILE, KEPT / RESULTS_FILE)
        page = (run / "report" / PAGE_FILE).read_text(encoding="utf-8")
        # Beside each other in docs/reports the reports lie one folder nearer than runs do.
        page = re.sub(r'"\.\./\.\./([a-z0-9-]+)/report/index\.html"', r'"../\1/index.html"', page)
        (KEPT / PAGE_FILE).write_text(page, encoding="utf-8")
        (KEPT / MANIFEST).unlink(missing_ok=True)  # it vouches for items too, which stay behind
    readme = ROOT / "README.md"
    results = load_results(KEPT / RESULTS_FILE)
    readme.write_text(written(readme.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
