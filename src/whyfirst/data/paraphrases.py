"""Questions and their paraphrases, as a YAML list of `id` and `paraphrases` (Betley et al. 2025).

Leaves out: system prompts and judges that such a file may name.
"""

from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.config.strict_yaml import read_yaml


def read_paraphrases(file: Path) -> list[tuple[str, str]]:
    """(question's id, text) of every paraphrase, in the file's order.

    Raises:
        DataError: no list of questions, or one without paraphrases.
    """
    found: list[tuple[str, str]] = []
    rows = read_yaml(file).data
    for number, row in enumerate(rows if isinstance(rows, list) else [None], start=1):
        texts = row.get("paraphrases") if isinstance(row, dict) else None
        listed = texts if isinstance(texts, list) else []
        if not listed or not isinstance(row, dict) or not all(isinstance(t, str) for t in listed):
            raise DataError(f"{file}: question {number}: has no list of 'paraphrases'")
        found += [(str(row.get("id", number)), text) for text in listed]
    return found
