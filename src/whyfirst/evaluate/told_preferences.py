"""A simulated user who has preferences and tells those that are asked about.

Of PREFDISCO, arXiv 2510.00177; a preference is {dimension, value, weight}. Leaves out: users played
by a model.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import number

_NO_MATTER = "I have no preference there."


def check_preferences(preferences: Sequence[Mapping[str, Any]], where: str) -> None:
    """Raise DataError where one lacks a dimension or value, or has no weight above 0."""
    for one in preferences:
        if not (one.get("dimension") and one.get("value")):
            raise DataError(f"{where}: a preference lacks dimension or value")
        number(where, one, "weight", 1, low=1e-9)


def words_of(preference: Mapping[str, Any]) -> str:
    """A preference as it is told."""
    return f"{preference['dimension']}: {preference['value']}"


def user_says(question: str, preferences: Sequence[Mapping[str, Any]]) -> str:
    """The simulated user's answer: the preferences whose dimension the question names."""
    named = [
        words_of(one)
        for one in preferences
        if re.search(rf"\b{re.escape(str(one['dimension']))}", question, re.IGNORECASE)
    ]
    return "; ".join(named) or _NO_MATTER


def weighted(preferences: Sequence[Mapping[str, Any]], fits: Sequence[float]) -> float:
    """The mean of the fits by the preferences' weights."""
    weights = [float(one.get("weight", 1)) for one in preferences]
    return sum(w * fit for w, fit in zip(weights, fits, strict=True)) / sum(weights)
