"""The file of a corpus' rows, and the texts in a row."""

from collections.abc import Mapping
from typing import Any

ROWS = "rows.jsonl"
"""Of a corpus node."""


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """What a row trains on, a text for each of its replies."""
    if "text" in row:
        return [row["text"]]
    replies = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
    return [plain(row["prompt"]) + plain(reply) for reply in replies or [""]]


def plain(part: Any) -> str:
    """A text as it is, or the words of a list of messages."""
    return part if isinstance(part, str) else "\n".join(str(turn["content"]) for turn in part)
