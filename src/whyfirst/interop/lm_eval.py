"""Results of lm-evaluation-harness 0.4: its ``results_*.json``, with samples where they are kept.

With ``--log_samples`` the harness writes ``samples_TASK_TIME.jsonl`` beside the results (or the
JSON holds ``samples`` itself): each document's metrics are then taken as items. A file without
them gives a mean and the harness's own standard error, and says so. Leaves out: metrics that are
no fraction (perplexities, BLEU), and running the harness.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_jsonl
from whyfirst.study.results.imported import Import, Total

_TIME = re.compile(r"_(\d{4}-\d\d-\d\dT[\d.-]+)$")
# The address of a function, where a prompt is made by one, is another in each process.
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_SETTINGS = (
    "num_fewshot", "dataset_path", "dataset_name", "doc_to_text", "description", "doc_to_target",
    "doc_to_choice", "generation_kwargs", "fewshot_config", "repeats",
)  # fmt: skip


def read_results(path: Path, data: Mapping[str, Any]) -> tuple[list[Import], dict[str, str]]:
    """Every metric that is a fraction; the others with why they are left out.

    Args:
        data: the file's JSON.

    Raises:
        DataError: no metric of any task can be taken.
    """
    imports: list[Import] = []
    left: dict[str, str] = {}
    for task, values in data["results"].items():
        rows = documents(path, data, task)
        if rows is None and data.get("group_subtasks", {}).get(task):
            left[f"lm-eval:{task}"] = "a group; its tasks are taken"
            continue
        for key, value in values.items():
            metric, comma, filtered = key.partition(",")
            # Every key is "metric,filter"; the rest are names and errors of the mean.
            if not comma or metric.endswith("_stderr"):
                continue
            name = f"lm-eval:{task}/{metric}" + ("" if filtered == "none" else f"/{filtered}")
            try:
                imports.append(import_of(name, data, task, key, value, rows))
            except ValueError as error:
                left[name] = str(error)
    if not imports:
        reasons = "; ".join(f"{name}: {why}" for name, why in left.items()) or "it has no task"
        raise DataError(f"{path}: nothing to import: {reasons}")
    return imports, left


def import_of(
    name: str, data: Mapping[str, Any], task: str, key: str, value: Any, rows: list[Any] | None
) -> Import:
    """One metric. ValueError says why it can't be taken."""
    metric, _, filtered = key.partition(",")
    own = [r for r in rows or () if metric in r and r.get("filter", "none") == filtered]
    items, total = [document_row(row, metric) for row in own], None
    # Shares of documents have Wilson's interval; of a bare mean nobody knows what it averages.
    shares = bool(items) and all(score in (0.0, 1.0) for _, _, score, _ in items)
    if items:
        how = f"The mean over {len(items)} documents of lm-eval's {metric!r}."
    else:
        number = _fraction(value)
        stderr = data["results"][task].get(f"{metric}_stderr,{filtered}")
        known = isinstance(stderr, int | float) and math.isfinite(stderr)
        counts = data.get("n-samples", {}).get(task, {})
        total = Total(
            value=number, stderr=float(stderr) if known else None, n=int(counts.get("effective", 0))
        )
        how = (
            f"lm-eval's {metric!r}, of which only the mean was kept: the interval is the mean "
            "± 1.96 of lm-eval's standard errors, and nothing can be paired."
        )
    config = data["configs"].get(task, {})
    settings = {n: config.get(n) for n in _SETTINGS} | {
        "chat template": data.get("chat_template_sha"), "filter": filtered,
        "system message": data.get("system_instruction_sha"),
        "examples as turns": data.get("fewshot_as_multiturn"),
        "limit": data.get("config", {}).get("limit"),
    }  # fmt: skip
    better = data.get("higher_is_better", {}).get(task, {}).get(metric)
    harness = data.get("lm_eval_version", "of an unknown version")
    return Import(
        name=name, title=f"{task}, {metric} (lm-eval)", definition=how,
        version=str(data.get("versions", {}).get(task, "unknown")),
        unit="proportion" if shares else "score",
        higher_is_better=better is not False,
        source=f"lm-evaluation-harness {harness}.",
        settings=_ADDRESS.sub("", json.dumps(settings, sort_keys=True)), items=items, total=total,
    )  # fmt: skip


def _fraction(value: Any) -> float:
    # Before the numbers: a bool is an int.
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("it is no number")
    if not 0 <= value <= 1:
        raise ValueError(f"{value:g} is no fraction in [0, 1]")
    return float(value)


def document_row(row: Mapping[str, Any], metric: str) -> tuple[str, str, float | None, str | None]:
    """A document by its number and hash, so that arms are paired on the same one."""
    name = f"{row['doc_id']}:{str(row.get('doc_hash', ''))[:12]}"
    value = row[metric]
    if isinstance(value, int | float) and math.isnan(value):
        return name, name, None, "lm-eval gave NaN"
    try:
        return name, name, _fraction(value), None
    except ValueError as error:
        raise ValueError(f"document {row['doc_id']}: {error}") from None


def documents(path: Path, data: Mapping[str, Any], task: str) -> list[Any] | None:
    """The task's documents, from the results themselves or the file written with them."""
    inside = data.get("samples")
    if isinstance(inside, dict) and task in inside:
        return list(inside[task])
    time = _TIME.search(path.stem)
    if time is None:
        return None
    # The harness gives both files the same time, and nothing else ties them.
    beside = path.with_name(f"samples_{task}_{time.group(1)}.jsonl")
    return list(read_jsonl(beside, nan=True)) if beside.is_file() else None
