"""The HTML report: one self-contained file that asks the network for nothing.

Every string passes `safe_text` and jinja2's autoescape; the page's policy (first in its head)
allows the one style sheet by its hash, and no script but the item browser's own, by its hash, where
the run's items are at hand. The same results always give the same bytes. Leaves out: computing.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from whyfirst.config.files import atomic_write
from whyfirst.config.text import duration, pages, safe_text
from whyfirst.report import curves, decisive, figures, links, probes, views, words
from whyfirst.report.answer import answer
from whyfirst.report.conduct import beside
from whyfirst.report.items import load_items
from whyfirst.report.schema import Benchmark, Example, Results
from whyfirst.report.svg import arm_styles
from whyfirst.report.unit import ITEMS_FILE

TEXT_LIMIT = 1_500  # characters of one prompt or response
EXAMPLE_LIMIT = 60
FINGERPRINT_LIMIT = 3_000
SIGNS = {"good": ("✓", "supports"), "caution": ("!", "caution"), "bad": ("✕", "against"),
         "plain": ("·", "neutral")}  # fmt: skip
#: of a node's name, its seed, the draw of its world and the side of that
_DRAW = re.compile(r"(?<![^/])seed\d+/|(?<=^base):\d+|~\d+")
#: of an example whose metric isn't told: a pass is a pass
_UNKNOWN = Benchmark(title="", definition="", version="", higher_is_better=True, unit="proportion")


def render_report(results: Results, out: Path) -> Path:
    """Write the report, with the item browser where `out/report/items.json` is.

    Args:
        results: what to show.
        out: the run's folder; the report goes to `out/report/index.html`.

    Returns:
        The written file.

    Raises:
        StoreError: the folder can't be written.
        DataError: the items beside the results are torn, or of another run.
    """
    path = out / "report" / "index.html"
    # Items of another run would be shown under these numbers: refused before anything is written.
    items = load_items(path.with_name(ITEMS_FILE), results)
    atomic_write(path, report_html(results, items))
    return path


def report_html(results: Results, items: Mapping[str, Any] | None = None) -> str:
    """The report as one HTML document; `items` (`items.collect_items`) make it browsable."""
    browser: dict[str, Any] = {}
    script = None
    if items is not None:
        script = shipped("browser.js")
        about = _about(results, items)
        # Both hold no "<", so neither can end its element. Names stand here and not in attributes,
        # where what makes them safe to print would break them as JSON.
        text = json.dumps(
            {**items, "about": about}, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        for sign in "<>&\u2028\u2029":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        browser = {"items_json": Markup(text), "script": Markup(script),
                   "many_seeds": about["many"]}  # fmt: skip
    return page("report.html.j2", script, items=items, **_context(results), **browser)


def page(template: str, script: str | None = None, /, **context: Any) -> str:
    """A template as a page under its policy: its own style sheet, one script, and nothing else."""
    css = shipped("style.css")
    allowed = {"style-src": css} | ({} if script is None else {"script-src": script})
    hashes = "".join(
        f"{kind} 'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'; "
        for kind, text in allowed.items()
    )
    policy = f"default-src 'none'; {hashes}img-src data:; base-uri 'none'; form-action 'none'"
    # The style sheet ships with the program and holds no data; it must stay unescaped.
    return environment().get_template(template).render(policy=policy, css=Markup(css), **context)


def _about(results: Results, items: Mapping[str, Any]) -> dict[str, Any]:
    """What the item browser's script must know of metrics and arms."""
    contrast = results.headline_contrast()
    pair = (contrast.a, contrast.b) if contrast else ()
    arms = list(results.arms)
    return {
        "metrics": [
            {
                "title": safe_text(row.title),
                "happened": [safe_text(word) for word in reversed(row.happened)],
                "good": {"fail": 0, "pass": 1, "neither": -1}[row.good],
            }
            for row in (results.benchmarks[name] for name in items["metrics"])
        ],
        "arms": [safe_text(arm) for arm in arms],
        "pair": [arms.index(arm) for arm in pair if arm in arms],
        "many": any(len(seeds) > 1 for seeds in results.seeds.values()),
    }


def shipped(name: str) -> str:
    """A file of the templates' folder, as it is."""
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """The templates' environment: escapes everything, and refuses a name that isn't there."""
    made = pages("whyfirst.report")
    said: tuple[Callable[..., str], ...] = (
        words.capital, words.lower_first, words.percent, words.points, words.cell_words,
        words.difference, words.difference_words, words.difference_interval, words.bare_p,
        words.amount, words.recall_amount, words.recall_limits,
        links.said, links.signed, links.where, duration,
    )  # fmt: skip
    made.filters.update({word.__name__: word for word in said})
    made.filters.update(
        shorten=lambda text, limit=TEXT_LIMIT: words.shorten(text, limit),
        answers=lambda count: words.plural(count, "answer"),
        seeds=views.seeds_in_words,
        reading_limits=links.interval,
    )
    for word in (words.happened, words.recall_title, words.cell_of, words.interval, words.scored):
        made.globals[word.__name__] = word
    return made


def _context(results: Results) -> dict[str, Any]:
    styles = arm_styles(results.arms)
    headline = results.headline_contrast()
    style = styles.get(headline.a, views.NEUTRAL) if headline else views.NEUTRAL
    drawn = headline is not None and headline.per_seed and headline.difference is not None
    place = words.headline_place(results)
    return {
        "results": results,
        "study": results.study,
        "answer": answer(results),
        "signs": SIGNS,
        "icons": views.icons(styles),
        "headline": headline,
        "square": views.square(results, styles),
        "square_tables": views.square_tables(results, styles),
        "decided": decisive.decided(results),
        "held_still": decisive.cannot_move(results),
        "headline_panel": views.headline_panel(results, styles),
        "pair": [arm for arm in ((headline.b, headline.a) if headline else ())
                 if arm in results.arms],
        "left_out": views.unmeasured(results),
        "comparisons": views.comparisons(results),
        "used": {arm: spec.used for arm, spec in results.arms.items() if spec.used},
        "beside": results.benchmarks.get(beside(results, place[0]) or "") if place else None,
        "main": results.benchmarks[place[0]] if place else None,
        "seed_strip": figures.seed_histogram(
            headline, style, results.benchmarks[headline.benchmark]
        ) if headline and drawn else None,
        "tables": [
            (part, {arm: [views.table_cell(results, styles, arm, column) for column in part]
                    for arm in results.arms})
            for part in views.batches(views.columns(results))
        ],
        "breakdowns": curves.breakdowns(results),
        "probes": probes.sections(results, styles),
        "rules_out": words.RULES_OUT,
        "forest": views.forest(results, styles),
        "split_panels": views.split_panels(results, styles),
        "framing_panels": views.framing_panels(results, styles),
        "recall_metrics": {m: row for rows in results.recall.values() for m, row in rows.items()},
        "loss": curves.loss_panels(results, styles),
        "checkpoints": curves.measured_panels(results, styles, results.curves.checkpoints,
                                              "updates of the last stage"),
        "doses": [
            (heading, curves.measured_panels(
                results, styles, [p for p in results.curves.dose if p.of == of], axis))
            for of, axis, heading in curves.DOSES
        ],
        "examples": [_example(results, e) for e in results.examples[:EXAMPLE_LIMIT]],
        "examples_left_out": max(0, len(results.examples) - EXAMPLE_LIMIT),
        "fingerprints": sorted(results.fingerprints.items())[:FINGERPRINT_LIMIT],
        "stage_seconds": stage_seconds(results.seconds),
    }  # fmt: skip


def _example(results: Results, example: Example) -> dict[str, Any]:
    """An example with what its closed line shows; real prompts stay inside until asked for."""
    verdicts = [response.verdict for response in example.responses.values()]
    pair = results.headline_contrast()
    shown = [arm for arm in (pair.a, pair.b) if arm in example.responses] if pair else []
    benchmark = results.benchmarks.get(example.benchmark) or _UNKNOWN
    # An older file doesn't say which of its prompts are offensive: those of real data stay closed.
    unsaid = "offensive" not in example.model_fields_set and results.study.world is None
    hidden = example.offensive or unsaid
    return {
        "example": example,
        "summary": "" if hidden else words.shorten(example.prompt, 110),
        "tally": f"{verdicts.count('pass')} of {len(verdicts)} {benchmark.happened[0]}",
        "benchmark": benchmark,
        "wants": example.wants
        or ("" if benchmark.good == "neither" else words.happened(benchmark, benchmark.good)),
        "pair": [(arm, example.responses[arm].verdict) for arm in shown],
        "tags": [tag for tag in (example.split and f"split {example.split}", example.framing,
                                 example.group) if tag],
    }  # fmt: skip


def stage_seconds(seconds: Mapping[str, float]) -> list[tuple[str, float, int]]:
    """Seconds summed over seeds, worlds and sides: (node without them, seconds, nodes), longest
    first."""
    groups: dict[str, list[float]] = {}
    for node, value in seconds.items():
        # Seeds of one stage take alike; a line for each would bury the slow stage.
        groups.setdefault(_DRAW.sub("", node), []).append(value)
    rows = [(name, sum(values), len(values)) for name, values in groups.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))
