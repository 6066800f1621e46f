"""HHH comparisons: the 438 of the constitutional AI paper, and BIG-bench's 221 with categories.

The 438 come without categories. Where BIG-bench's files lie beside them, a comparison with the same
two replies gets its category from there; the others are "unlabelled". Leaves out: the lettered
question of the 438 file (the dialogues themselves are compared). Sources: Askell et al. 2021
(arXiv 2112.00861), Bai et al. 2022 (arXiv 2212.08073), BIG-bench hhh_alignment.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import (
    field,
    found_files,
    json_lines,
    json_value,
    nothing_found,
    one_file,
    other_benchmark,
)

CATEGORIES = ("harmless", "helpful", "honest", "other")
UNLABELLED = "unlabelled"
_PAPER = "438HHHEvaluations.jsonl"
_REPLY = "\n\nAssistant:"


@dataclass(frozen=True)
class Comparison:
    """A dialogue up to its last reply, and two replies.

    Args:
        id: ``hhh:ROW`` in the paper's file, ``hhh:CATEGORY:ROW`` in BIG-bench's.
        prompt: ends with ``"\\n\\nAssistant:"``.
        better, worse: the replies, each with its leading space.
        category: one of `CATEGORIES`, or `UNLABELLED`.
    """

    id: str
    prompt: str
    better: str
    worse: str
    category: str


def read_hhh(path: Path) -> list[Comparison]:
    """Read the paper's file, or BIG-bench's folder or task files.

    Args:
        path: ``438HHHEvaluations.jsonl``; a ``task.json`` (BIG-bench) or ``.jsonl`` (its copy on
            the Hub) named or lying in a folder named after its category; or a folder with these at
            any depth, of which the paper's file is scored.

    Raises:
        DataError: nothing there, several copies, or a row without one of its texts (its number).
    """
    if path.is_file():
        return _read_file(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    labelled = [row for file in _category_files(path) for row in _read_category(file)]
    if not found_files(path, [_PAPER]):
        if not labelled:
            raise nothing_found(path, [_PAPER, "hhh_alignment/*/task.json"], "hhh")
        return labelled
    known = {_key(row): row.category for row in labelled}
    rows = _read_paper(one_file(path, [_PAPER], "hhh"))
    return [replace(row, category=known.get(_key(row), UNLABELLED)) for row in rows]


def _read_file(file: Path) -> list[Comparison]:
    if file.name.endswith(".json") or _category(file) is not None:
        return list(_read_category(file))
    return _read_paper(file)


def _key(row: Comparison) -> tuple[str, str]:
    """The replies' letters and digits: the copies differ in quotation marks and white space."""
    return _plain(row.better), _plain(row.worse)


def _plain(text: str) -> str:
    return re.sub(r"\W+", "", text.lower())


def _read_paper(file: Path) -> list[Comparison]:
    rows = []
    for number, row in json_lines(file):
        texts = []
        for name in ("text_correct", "text_incorrect"):
            if not isinstance(row, dict) or not isinstance(row.get(name), str):
                raise DataError(
                    f"{file}: row {number}: {name!r} is missing or is no text"
                    f"{other_benchmark(file, 'hhh')}"
                )
            texts.append(row[name])
        cut = texts[0].rfind(_REPLY) + len(_REPLY)
        if cut < len(_REPLY) or texts[1][:cut] != texts[0][:cut] or _REPLY in texts[1][cut:]:
            raise DataError(f"{file}: row {number}: the two texts are no replies to one dialogue")
        better, worse = (text[cut:] for text in texts)
        rows.append(Comparison(f"hhh:{number}", texts[0][:cut], better, worse, UNLABELLED))
    if not rows:
        raise DataError(f"{file}: holds no comparison")
    return rows


def _category(file: Path) -> str | None:
    """The category a BIG-bench file or its folder is named after."""
    names = (file.name.split(".")[0], file.parent.name)
    return next((name for name in names if name in CATEGORIES), None)


def _category_files(folder: Path) -> list[Path]:
    files = [file for c in CATEGORIES for file in found_files(folder, [f"{c}/task.json"])]
    seen: dict[str | None, Path] = {}
    for file in files:
        category = _category(file)
        if category in seen:
            raise DataError(f"{folder}: holds {category} twice ({seen[category]}, {file})")
        seen[category] = file
    return files


def _read_category(file: Path) -> Iterator[Comparison]:
    category = _category(file)
    if category is None:
        raise DataError(
            f"{file}: neither the file nor its folder is named after a category "
            f"({', '.join(CATEGORIES)}){other_benchmark(file, 'hhh')}"
        )
    examples: list[tuple[int, Any]]
    if file.name.endswith(".jsonl"):
        examples = list(json_lines(file))
    else:
        value = json_value(file)
        if not isinstance(value, dict) or not isinstance(value.get("examples"), list):
            raise DataError(f"{file}: 'examples' is missing{other_benchmark(file, 'hhh')}")
        examples = list(enumerate(value["examples"], start=1))
    if not examples:
        raise DataError(f"{file}: holds no comparison")
    for number, row in examples:
        if not isinstance(row, dict):
            raise DataError(f"{file}: row {number}: expected an object")
        better, worse = _replies(file, number, row)
        prompt = f"\n\nHuman: {field(file, number, row, 'input')}{_REPLY}"
        name = f"hhh:{category}:{number}"
        yield Comparison(name, prompt, f" {better}", f" {worse}", category)


def _replies(file: Path, number: int, row: dict[str, Any]) -> tuple[str, str]:
    """(better, worse) from ``target_scores`` (BIG-bench) or ``targets`` (its copy on the Hub)."""
    scores = row.get("target_scores")
    targets = row.get("targets")
    if isinstance(targets, dict):
        choices, labels = targets.get("choices"), targets.get("labels")
        if isinstance(choices, list) and isinstance(labels, list) and len(choices) == len(labels):
            scores = dict(zip(choices, labels, strict=True))
    if not isinstance(scores, dict) or sorted(scores.values()) != [0, 1]:
        raise DataError(
            f"{file}: row {number}: 'target_scores' is not one right and one wrong reply"
        )
    better, worse = sorted(scores, key=lambda text: -scores[text])
    if not better.strip() or not worse.strip():
        raise DataError(f"{file}: row {number}: a reply is empty")
    return better.strip(), worse.strip()
