"""The HTML report: one self-contained file that asks the network for nothing.

Every string passes `safe_text` and jinja2's autoescape; the page's policy (first in its head)
allows the one style sheet by its hash, and no script but the item browser's own, by its hash, where
the run's items are at hand. The same results always give the same bytes. Leaves out: computing.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from whyfirst.config.errors import StoreError
from whyfirst.config.files import atomic_write
from whyfirst.config.text import safe_text
from whyfirst.report import breakdowns, curves, figures, probes, views, words
from whyfirst.report.answer import answer
from whyfirst.report.checks import beside
from whyfirst.report.items import load_items
from whyfirst.report.palette import ArmStyle, arm_styles
from whyfirst.report.schema import Benchmark, Example, Results
from whyfirst.report.unit import ITEMS_FILE

TEXT_LIMIT = 1_500  # characters of one prompt or response
EXAMPLE_LIMIT = 60
FINGERPRINT_LIMIT = 3_000
SIGNS = {"good": ("✓", "supports"), "caution": ("!", "caution"), "bad": ("✕", "against"),
         "plain": ("·", "neutral")}  # fmt: skip


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
    items = load_items(path.with_name(ITEMS_FILE), results)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{path.parent}: the report's folder can't be made ({error.strerror}); "
            "choose another folder or make room for it"
        ) from None
    atomic_write(path, report_html(results, items))
    return path


def report_html(results: Results, items: Mapping[str, Any] | None = None) -> str:
    """The report as one HTML document; `items` (`items.collect_items`) make it browsable."""
    script = shipped("browser.js") if items is not None else None
    template = environment().get_template("report.html.j2")
    # The style sheet ships with the program and holds no data; it must stay unescaped.
    return template.render(
        policy=policy(script), css=Markup(shipped("style.css")), items=items,
        **_context(results), **(_browser(results, items, script) if items and script else {}),
    )  # fmt: skip


def policy(script: str | None = None) -> str:
    """What the page may do: its own style sheet, one script by its hash, and nothing else."""
    allowed = f" script-src {_hashed(script)};" if script is not None else ""
    return (
        f"default-src 'none'; style-src {_hashed(shipped('style.css'))};{allowed} img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _browser(results: Results, items: Mapping[str, Any], script: str) -> dict[str, Any]:
    """What the item browser's template needs."""
    contrast = results.headline_contrast()
    arms = list(results.arms)
    about = {
        "metrics": [
            {
                "title": safe_text(one.title),
                "happened": [safe_text(one.happened[1]), safe_text(one.happened[0])],
                "good": int(one.good == "pass"),
            }
            for one in (results.benchmarks[name] for name in items["metrics"])
        ],
        "arms": [safe_text(arm) for arm in arms],
        "pair": [arms.index(arm) for arm in (contrast.a, contrast.b) if arm in arms]
        if contrast
        else [],
        "many": any(len(seeds) > 1 for seeds in results.seeds.values()),
    }
    return {
        # Both hold no "<", so neither can end its element. Names stand here and not in attributes,
        # where what makes them safe to print would break them as JSON.
        "items_json": Markup(_inert_json({**items, "about": about})),
        "script": Markup(script),
        "many_seeds": about["many"],
    }


def _inert_json(data: Mapping[str, Any]) -> str:
    """JSON without a character that HTML could read as markup, whoever wrote its strings."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def shipped(name: str) -> str:
    """A file of the templates' folder, as it is."""
    return Path(__file__).with_name("templates").joinpath(name).read_text(encoding="utf-8")


def environment() -> Environment:
    """The templates' environment: escapes everything, and refuses a name that isn't there."""
    made = Environment(
        loader=PackageLoader("whyfirst.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters["capital"] = words.capital
    made.filters["lower_first"] = words.lower_first
    made.filters["percent"] = words.percent
    made.filters["points"] = words.points
    made.filters["cell_words"] = words.cell_words
    made.filters["shorten"] = shorten
    made.filters["amount"] = words.recall_amount
    made.filters["limits"] = words.recall_limits
    made.globals["happened"] = words.happened
    made.globals["recall_title"] = words.recall_title
    made.filters["items"] = lambda count: words.plural(count, "item")
    made.filters["seeds"] = views.seeds_in_words
    made.filters["duration"] = duration
    return made


def _finalize(value: Any) -> Any:
    """Controls and bidi overrides become visible in every printed string."""
    return safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def shorten(text: str, limit: int = TEXT_LIMIT) -> str:
    """`text` cut at `limit` characters, saying how many are left out."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … [{len(text) - limit:,} more characters]"


def duration(seconds: float) -> str:
    """Seconds for reading: "48 s", "6 min 12 s", "1 h 03 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def _context(results: Results) -> dict[str, Any]:
    styles = arm_styles(results.arms)
    columns = views.columns(results)
    contrast = results.headline_contrast()
    style = styles.get(contrast.a, views.NEUTRAL) if contrast else views.NEUTRAL
    place = views.headline_place(results)
    return {
        "results": results,
        "study": results.study,
        "answer": answer(results),
        "signs": SIGNS,
        "icons": views.icons(styles),
        "headline": contrast,
        "square": views.square(results, styles),
        "headline_panel": views.headline_panel(results, styles),
        "pair": [arm for arm in ((contrast.b, contrast.a) if contrast else ()) if
                 arm in results.arms],
        "left_out": views.unmeasured(results),
        "comparisons": views.comparisons(results),
        "used": {arm: spec.used for arm, spec in results.arms.items() if spec.used},
        "beside": results.benchmarks.get(beside(results, place[0]) or "") if place else None,
        "main": results.benchmarks[place[0]] if place else None,
        "seed_strip": _seed_strip(results, style),
        "tables": [
            (part, {arm: [views.table_cell(results, styles, arm, column) for column in part]
                    for arm in results.arms})
            for part in views.batches(columns)
        ],
        "breakdowns": breakdowns.breakdowns(results),
        "corrected": breakdowns.corrected(results),
        "probes": probes.sections(results, styles),
        "probe_summary": probes.summary(results),
        "rules_out": words.RULES_OUT,
        "forest": views.forest(results, styles),
        "split_panels": views.split_panels(results, styles),
        "framing_panels": views.framing_panels(results, styles),
        "recall_metrics": {m: one for row in results.recall.values() for m, one in row.items()},
        "loss": curves.loss_panels(results, styles),
        "checkpoints": curves.checkpoint_panels(results, styles),
        "dose": curves.dose_panels(results, styles),
        "examples": [_example(results, e) for e in results.examples[:EXAMPLE_LIMIT]],
        "examples_left_out": max(0, len(results.examples) - EXAMPLE_LIMIT),
        "fingerprints": sorted(results.fingerprints.items())[:FINGERPRINT_LIMIT],
        "stage_seconds": _by_stage(results.seconds),
        "scored": words.scored,
    }  # fmt: skip


def _seed_strip(results: Results, style: ArmStyle) -> Markup | None:
    contrast = results.headline_contrast()
    if contrast is None or not contrast.per_seed or contrast.difference is None:
        return None
    return figures.seed_histogram(contrast, style)


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
        "summary": "" if hidden else shorten(example.prompt, 110),
        "tally": f"{verdicts.count('pass')} of {len(verdicts)} {benchmark.happened[0]}",
        "benchmark": benchmark,
        "wants": example.wants or words.happened(benchmark, benchmark.good),
        "pair": [(arm, example.responses[arm].verdict) for arm in shown],
        "tags": [tag for tag in (example.split and f"split {example.split}", example.framing,
                                 example.group) if tag],
    }  # fmt: skip


#: of an example whose metric isn't told: a pass is a pass
_UNKNOWN = Benchmark(title="", definition="", version="", higher_is_better=True, unit="proportion")


def _by_stage(seconds: dict[str, float]) -> list[tuple[str, float, int]]:
    """Seconds summed over seeds: (node without its seed, seconds, nodes), longest first."""
    groups: dict[str, list[float]] = {}
    for node, value in seconds.items():
        groups.setdefault(node.split("/seed=")[0], []).append(value)
    rows = [(name, sum(values), len(values)) for name, values in groups.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))
