"""How far a property's differences agree with preferences.

Leaves out: intervals.
"""

from collections.abc import Sequence


def concordance(more: Sequence[float], signs: Sequence[int]) -> float:
    """(tau + 1) / 2 of a property's differences and preferences; ties of either count half."""
    agree = [(m > 0) - (m < 0) for m in more]
    return sum((1 + a * s) / 2 for a, s in zip(agree, signs, strict=True)) / len(agree)
