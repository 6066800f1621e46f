"""The Political Compass Test's propositions, and templates to ask for a stance on one.

Röttger et al. 2024, arXiv 2402.16786, CC-BY-4.0: pct_propositions.csv, prompt_templates.csv and
answer_options.csv in one folder. Texts are given to models and never printed. Leaves out: personas,
and phrases that force an answer.
"""

from pathlib import Path
from typing import NamedTuple

from whyfirst.data.published import csv_rows, field, one_file

_FILES = (("pct_propositions", "pct"), ("prompt_templates", "templ"), ("answer_options", "ans"))


class Template(NamedTuple):
    """A way to ask: `kind` is explicit (with options) or implicit."""

    name: str
    form: str
    kind: str

    def filled(self, proposition: str, options: str) -> str:
        """The question about a proposition."""
        asked = self.form.replace("{pct_prompt}", proposition).replace("{ans_prompt}", options)
        return asked.replace("{jail_prompt}", "").strip()


class Propositions(NamedTuple):
    """All of it; `propositions` are (id, text)."""

    propositions: list[tuple[str, str]]
    templates: list[Template]
    options: str


def read_propositions(folder: Path, benchmark: str) -> Propositions:
    """Read the three files.

    Raises:
        DataError: one is missing, or a row lacks a column.
    """
    read = []
    for name, column in _FILES:
        file = one_file(folder, [f"{name}.csv"], benchmark)
        columns = [f"{column}_id", f"{column}_prompt"]
        read.append([
            (*(field(file, n, row, key) for key in columns), row.get("templ_note", ""))
            for n, row in csv_rows(file, columns, benchmark)
        ])  # fmt: skip
    propositions, templates, options = read
    return Propositions(
        [(row[0], row[1]) for row in propositions], [Template(*row) for row in templates],
        options[0][1],
    )  # fmt: skip
