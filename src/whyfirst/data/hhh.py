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
    by_name,
    examples,
    field,
    found_files,
    json_lines,
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
        ours = path.name.endswith(".json") or _category(path) is not None
        return list(_read_category(path) if ours else _read_paper(path))
    files = [f for category in CATEGORIES for f in found_files(path, [f"{category}/task.json"])]
    labelled = [r for f in by_name(path, files, _category).values() for r in _read_category(f)]
    if labelled and not found_files(path, [_PAPER]):
        return labelled
    paper = one_file(path, [_PAPER, "hhh_alignment/*/task.json"], "hhh")
    # The paper's file has no categories, and most of its comparisons are BIG-bench's as well.
    known = {_key(row): row.category for row in labelled}
    return [replace(r, category=known.get(_key(r), UNLABELLED)) for r in _read_paper(paper)]


def _key(row: Comparison) -> tuple[str, ...]:
    """The replies' letters and digits: the copies differ in quotation marks and white space."""
    return tuple(re.sub(r"\W+", "", text.lower()) for text in (row.better, row.worse))


def _category(file: Path) -> str | None:
    """The category a BIG-bench file or its folder is named after."""
    names = (file.name.split(".")[0], file.parent.name)
    return next((name for name in names if name in CATEGORIES), None)


def _read_paper(file: Path) -> list[Comparison]:
    rows = []
    for number, row in json_lines(file):
        for name in ("text_correct", "text_incorrect"):
            if not isinstance(row.get(name), str):
                raise DataError(
                    f"{file}: row {number}: {name!r} is missing or is no text"
                    f"{other_benchmark(file, 'hhh')}"
                )
        right, wrong = row["text_correct"], row["text_incorrect"]
        cut = right.rfind(_REPLY) + len(_REPLY)
        # What stands before the last reply is the prompt, and must be one for both.
        if cut < len(_REPLY) or wrong[:cut] != right[:cut] or _REPLY in wrong[cut:]:
            raise DataError(f"{file}: row {number}: the two texts are no replies to one dialogue")
        rows.append(Comparison(f"hhh:{number}", right[:cut], right[cut:], wrong[cut:], UNLABELLED))
    if not rows:
        raise DataError(f"{file}: holds no comparison")
    return rows


def _read_category(file: Path) -> Iterator[Comparison]:
    category = _category(file)
    if category is None:
        raise DataError(
            f"{file}: neither the file nor its folder is named after a category "
            f"({', '.join(CATEGORIES)}){other_benchmark(file, 'hhh')}"
        )
    for number, row in examples(file, "hhh", "comparison"):
        scores, targets = row.get("target_scores"), row.get("targets")
        if isinstance(targets, dict):  # the copy on the Hub has two lists in place of a table
            lists: list[Any] = [targets.get(name) for name in ("choices", "labels")]
            if all(isinstance(each, list) for each in lists) and len(lists[0]) == len(lists[1]):
                scores = dict(zip(*lists, strict=True))
        if not isinstance(scores, dict) or sorted(scores.values()) != [0, 1]:
            raise DataError(
                f"{file}: row {number}: 'target_scores' is not one right and one wrong reply"
            )
        better, worse = (text.strip() for text in sorted(scores, key=lambda text: -scores[text]))
        if not better or not worse:
            raise DataError(f"{file}: row {number}: a reply is empty")
        prompt = f"\n\nHuman: {field(file, number, row, 'input')}{_REPLY}"
        yield Comparison(f"hhh:{category}:{number}", prompt, f" {better}", f" {worse}", category)
