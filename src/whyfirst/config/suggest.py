"""The nearest name to a mistaken one."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, options: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest option, or an empty string."""
    # 0.6 is difflib's own bound: below it suggestions are more often a puzzle than a help.
    nearest = difflib.get_close_matches(str(name), [str(o) for o in options], n=1, cutoff=0.6)
    return f"; did you mean {nearest[0]!r}?" if nearest else ""
