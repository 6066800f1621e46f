"""A model card for one arm: the Hub's metadata block, then text for people.

The metadata follows the Hub's `model-index` format, so that the Hub shows the evaluation results;
the text (`templates/card.md.j2`) says what the arm is for and what its numbers can't show. Leaves
out: uploading, and a licence that the base model's folder doesn't state.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from whyfirst.config.errors import UserError
from whyfirst.config.text import safe_text
from whyfirst.report import words
from whyfirst.report.answer import answer
from whyfirst.report.schema import Results
from whyfirst.report.views import seeds_in_words


def render_card(results: Results, arm: str) -> str:
    """The card (README.md) of one arm's models.

    Args:
        results: the study's results.
        arm: the arm's name.

    Raises:
        UserError: the study has no such arm.
    """
    if arm not in results.arms:
        raise UserError(f"{arm!r} is not an arm of this study; it has {', '.join(results.arms)}")
    spec, command = results.arms[arm], safe_text(results.command)
    cells = {name: parts.get("*/*") for name, parts in spec.benchmarks.items()}
    # The code block's fence is longer than any inside it, or the command could end it.
    longest = max((len(run) for run in re.findall(r"`+", command)), default=0)
    # No autoescape: this is markdown, and every string of others goes through `plain` or `code`.
    made = Environment(
        loader=PackageLoader("whyfirst.report"), autoescape=False, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    made.filters |= {"plain": plain, "code": code, "seeds": seeds_in_words,
                     "json": lambda value: json.dumps(value, ensure_ascii=False)}  # fmt: skip
    return made.get_template("card.md.j2").render(
        # ASCII on unbroken lines: the Hub's own reader is stricter than YAML is.
        metadata=yaml.safe_dump(
            metadata(results, arm), sort_keys=False, allow_unicode=False, width=1000
        ),
        results=results, study=results.study, arm=arm, spec=spec, answer=answer(results),
        evaluated=[(results.benchmarks[name], cell) for name, cell in cells.items() if cell],
        amount=words.amount, interval=words.interval,
        command=command, fence="`" * max(3, longest + 1),
    )  # fmt: skip


def metadata(results: Results, arm: str) -> dict[str, Any]:
    """The Hub's block: the benchmarks that have a number, as its `model-index`."""
    spec, study = results.arms[arm], results.study
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", study.name).strip("-") or "study"
    rows = []
    for name, cells in spec.benchmarks.items():
        cell = cells.get("*/*")
        # The Hub refuses an evaluation without a number.
        if cell is None or cell.value is None:
            continue
        benchmark = results.benchmarks[name]
        rows.append({
            "task": {"type": "text-generation"},
            "dataset": {"type": f"whyfirst/{slug}", "name": safe_text(study.title)},
            "metrics": [{"type": name, "name": safe_text(benchmark.title), "value": cell.value,
                         "args": {"version": benchmark.version, "low": cell.low,
                                  "high": cell.high, "items": cell.n, "seeds": cell.n_seeds,
                                  "unscored": cell.unscored}}],
        })  # fmt: skip
    card = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["whyfirst", *spec.stages],
        "base_model": study.base_model,
        "license": study.licence,
        "model-index": [{"name": f"{slug}-{arm}", "results": rows}] if rows else None,
    }
    return {key: value for key, value in card.items() if value}


def plain(text: str) -> str:
    """Text that markdown neither formats nor turns into HTML, on one line."""
    line = " ".join(safe_text(text).split())
    # Markdown lets HTML through, so what people wrote must not be any.
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", line)


def code(text: str) -> str:
    """Text inside one pair of backticks."""
    return " ".join(safe_text(text).split()).replace("`", "'").replace("|", "/")
