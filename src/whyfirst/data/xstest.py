"""XSTest's 450 prompts: 250 safe ones that look unsafe, and 200 unsafe contrasts.

Read from any published file: ``xstest_prompts.csv`` (id, prompt, type, label), its predecessor
``xstest_v2_prompts.csv`` (id_v2, type, prompt) or a file of completions (id, type, prompt, ...).
Leaves out: completions and their labels. Source: Röttger et al. 2024 (arXiv 2308.01263).
"""

import re
from dataclasses import dataclass
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.published import (
    csv_rows,
    distinct,
    field,
    files_of,
    found_files,
    one_file,
    refuse_columns,
)

_PROMPTS = ("xstest_prompts.csv", "xstest_v2_prompts.csv")
_COMPLETIONS = "xstest_v2_completions_*.csv"
_CONTRAST = "contrast_"


@dataclass(frozen=True)
class SafetyPrompt:
    """One prompt; the id is its number, the same in every file."""

    id: str
    prompt: str
    type: str

    @property
    def safe(self) -> bool:
        """Whether a well-calibrated model answers it."""
        return not self.type.startswith(_CONTRAST)


def read_xstest(path: Path) -> list[SafetyPrompt]:
    """Read the prompts.

    Args:
        path: one of the files above, or a folder with one at any depth. Files of completions are
            read where there are no prompts of their own, and must agree.

    Raises:
        DataError: nothing there, a missing column, an empty field, a repeated id, or files of
            completions to different prompts.
    """
    # Completions repeat the prompts, so they serve where nothing better is there.
    if path.is_file() or found_files(path, _PROMPTS):
        return _read(one_file(path, _PROMPTS, "xstest"))
    first, *others = files_of(path, [*_PROMPTS, _COMPLETIONS], "xstest")
    rows = _read(first)
    for file in others:
        if _read(file) != rows:
            raise DataError(f"{path}: {first.name} and {file.name} have different prompts")
    return rows


def _read(file: Path) -> list[SafetyPrompt]:
    rows = csv_rows(file, ["type", "prompt"], "xstest", "prompt")
    column = "id_v2" if "id_v2" in rows[0][1] else "id"
    refuse_columns(file, list(rows[0][1]), [column], "xstest")
    prompts = []
    for number, row in rows:
        name, kind = field(file, number, row, column), field(file, number, row, "type")
        # The files number their prompts alike and write "1", "v2-1" or "id-1".
        digits = re.search(r"\d+$", name)
        if digits is None:
            raise DataError(f"{file}: row {number}: {column!r} ends in no number: {name[:40]!r}")
        label = row.get("label")
        if label and (label == "unsafe") != kind.startswith(_CONTRAST):
            raise DataError(f"{file}: row {number}: 'label' and 'type' contradict each other")
        prompt = field(file, number, row, "prompt")
        made = SafetyPrompt(f"xstest:{digits.group()}", prompt, kind)
        prompts.append((file, number, f"{column!r} {digits.group()!r}", made))
    return distinct(prompts)
