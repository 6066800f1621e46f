"""A model card for one arm: the Hub's metadata block, then text for people.

The metadata follows the Hub's `model-index` format, so that the Hub shows the evaluation results;
the text says what the arm is for and what its numbers can't show. Leaves out: uploading, and a
licence that the base model's folder doesn't state.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from whyfirst.config.errors import UserError
from whyfirst.config.text import safe_text
from whyfirst.report import words
from whyfirst.report.answer import answer
from whyfirst.report.schema import Arm, Results
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
    metadata = yaml.safe_dump(
        _metadata(results, arm), sort_keys=False, allow_unicode=False, width=1000
    )
    return f"---\n{metadata}---\n\n{_body(results, arm)}"


def _metadata(results: Results, arm: str) -> dict[str, Any]:
    spec = results.arms[arm]
    rows = []
    for name, cells in spec.benchmarks.items():
        cell = cells.get("*/*")
        if cell is None or cell.value is None:
            continue
        benchmark = results.benchmarks[name]
        rows.append({
            "task": {"type": "text-generation"},
            "dataset": {"type": f"whyfirst/{_slug(results.study.name)}",
                        "name": safe_text(results.study.title)},
            "metrics": [{"type": name, "name": safe_text(benchmark.title), "value": cell.value,
                         "args": {"version": benchmark.version, "low": cell.low,
                                  "high": cell.high, "items": cell.n, "seeds": cell.n_seeds,
                                  "unscored": cell.unscored}}],
        })  # fmt: skip
    card: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["whyfirst", *spec.stages],
    }
    if results.study.base_model:
        card["base_model"] = results.study.base_model
    if results.study.licence:
        card["license"] = results.study.licence
    if rows:
        card["model-index"] = [{"name": f"{_slug(results.study.name)}-{arm}", "results": rows}]
    return card


def _body(results: Results, arm: str) -> str:
    spec = results.arms[arm]
    parts = [
        f"# {_plain(results.study.title)}: `{_code(arm)}`",
        _plain(spec.description),
        f"Stages: {' → '.join(f'`{_code(stage)}`' for stage in spec.stages) or 'none'}. "
        f"Seeds: {seeds_in_words(results.seeds.get(arm, [])) or 'none'}. "
        f"Value explained: {_plain(results.study.value)}."
        + (f" Base model: {_plain(results.study.ran)}." if results.study.ran else "")
        + (
            f" Licence of the base model: {_plain(results.study.licence)}."
            if results.study.licence
            else ""
        ),
        "## Evaluation",
        _evaluation(results, spec),
        "## Data",
        _data(results, arm),
        "## The study's answer",
        f"**{_plain(answer(results).title)}.** {_plain(answer(results).sentence)}",
        "## Limits",
        "\n".join(f"- {_plain(limit)}" for limit in _limits(results)),
        "## Reproduce",
        _fenced(results.command),
        "Versions: "
        + ", ".join(f"{_plain(name)} {_plain(text)}" for name, text in results.versions.items())
        + f". Study file `{_code(results.study.file)}`, sha256 `{results.study.file_sha256}`.",
    ]
    return "\n\n".join(parts) + "\n"


def _evaluation(results: Results, spec: Arm) -> str:
    lines = ["| benchmark | value | 95 % interval | items | unscored |", "|---|---|---|---|---|"]
    for name, cells in spec.benchmarks.items():
        benchmark, cell = results.benchmarks[name], cells.get("*/*")
        if cell is not None:
            lines.append(
                f"| {_plain(benchmark.title)}: {_plain(benchmark.definition)} "
                f"| {words.amount(cell.value, benchmark)} "
                f"| {words.interval(cell.low, cell.high, benchmark)} | {cell.n} | {cell.unscored} |"
            )
    return "\n".join(lines) if len(lines) > 2 else "This arm was not evaluated."


def _data(results: Results, arm: str) -> str:
    """What the arm was trained on as far as it is recorded, and what it was asked."""
    lines = [
        f"- Trained, stage `{_code(row.stage)}`: corpus `{_code(row.corpus)}`, "
        f"{row.documents:,} documents, {row.tokens:,} tokens, {row.updates:,} updates."
        for row in results.matching
        if row.arm == arm
    ]
    for name in results.arms[arm].stages:
        stage = results.stages.get(name)
        if stage is not None:
            lines.append(
                f"- Stage `{_code(name)}`: {_plain(stage.kind)} on corpus `{_code(stage.corpus)}` "
                f"(`{_code(json.dumps(stage.source, ensure_ascii=False))}`), settings "
                f"`{_code(json.dumps(stage.settings, ensure_ascii=False))}`."
            )
    lines.append(
        f"- Every stage and corpus is named in the study file `{_code(results.study.file)}`."
    )
    for name in results.arms[arm].benchmarks:
        one = results.benchmarks[name]
        told = [f"version {one.version}"]
        told += [f"data: {one.source}"] if one.source else []
        told += [f"licence: {one.licence}"] if one.licence else []
        told += [f"judged by {', '.join(one.judges)}"] if one.judges else []
        told += [f"chat template {', '.join(one.chat_templates)}"] if one.chat_templates else []
        lines.append(f"- {_plain(one.title)} (`{_code(name)}`): {_plain('; '.join(told))}.")
    return "\n".join(lines)


def _limits(results: Results) -> list[str]:
    limits = [
        "A research model of one arm of a comparison, made to be compared; not for deployment.",
        "Numbers hold for this study's items, framings and seeds, and say nothing of other ones.",
    ]
    if results.study.world is not None:
        limits.append("The world of the study is invented: no number here is about real requests.")
    if not results.registration.registered:
        limits.append("The study was not registered: read its results as exploratory.")
    limits += [
        f"Verdicts of {name} were never measured against people's: they are taken as they are."
        for name, row in results.judges.items()
        if row.kappa is None
    ]
    return limits + list(results.notes)


def _slug(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "study"


def _plain(text: str) -> str:
    """Text that markdown neither formats nor turns into HTML, on one line."""
    line = " ".join(safe_text(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~])", r"\\\1", line)


def _code(text: str) -> str:
    """Text inside one pair of backticks."""
    return " ".join(safe_text(text).split()).replace("`", "'").replace("|", "/")


def _fenced(text: str) -> str:
    """A code block whose fence is longer than any inside it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}bash\n{safe_text(text)}\n{fence}"
