"""The file of a corpus' rows."""

ROWS = "rows.jsonl"
"""Of a corpus node."""
