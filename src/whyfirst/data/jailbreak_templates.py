"""Jailbreak templates: texts with a slot for a request, and suffixes that follow one.

Two published layouts: ``name, prompt`` with the slot ``[INSERT PROMPT HERE]`` (Self-Reminder,
Xie et al. 2023), and ``jail_id, jail_prompt`` put after a prompt (llm-values-pct, Röttger et al.
2024). A template without its slot can't carry a request: it is returned as unusable with the
reason. Leaves out: filling other marks by guess.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from whyfirst.data.published import csv_rows, distinct, field, found_files, refuse_columns

SLOT = "[INSERT PROMPT HERE]"
_FILES = ("jailbreak_prompts.csv", "jailbreaks.csv")
# Told by its columns: a suffix has no slot, so a text alone can't say which it is.
_SUFFIX_COLUMNS = ("jail_id", "jail_prompt")


@dataclass(frozen=True)
class Template:
    """One framing.

    Args:
        name: as published.
        text: with `SLOT` in it, or a suffix.
        problem: why it can't be used; None otherwise.
        suffix: it follows the request and has no slot.
    """

    name: str
    text: str
    problem: str | None = None
    suffix: bool = False

    def fill(self, request: str) -> str:
        """The request in its slot, or before the suffix.

        Raises:
            ValueError: the template has a problem.
        """
        if self.problem is not None:
            raise ValueError(f"template {self.name!r}: {self.problem}")
        return f"{request}\n\n{self.text}" if self.suffix else self.text.replace(SLOT, request)


def read_templates(path: Path) -> list[Template]:
    """Read one file, or the published files of a folder at any depth; none is no error there.

    Raises:
        DataError: an unknown layout, an empty name, or one name twice.
    """
    files = [path] if path.is_file() else found_files(path, _FILES)
    return distinct(
        (file, number, f"template {row.name!r}", row)
        for file in files
        for number, row in _read(file)
    )


def _read(file: Path) -> Iterator[tuple[int, Template]]:
    rows = csv_rows(file, [], "jailbreak", "template")
    suffix = set(_SUFFIX_COLUMNS) <= set(rows[0][1])
    columns = _SUFFIX_COLUMNS if suffix else ("name", "prompt")
    refuse_columns(file, list(rows[0][1]), columns, "jailbreak")
    for number, row in rows:
        text, problem = row[columns[1]].strip(), None
        if not text:
            problem = "the template is empty"
        elif not suffix and SLOT not in text:
            problem = f"the template has no slot {SLOT}"
        yield number, Template(field(file, number, row, columns[0]), text, problem, suffix)
