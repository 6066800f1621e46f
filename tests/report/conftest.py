"""Fixtures of the report's tests: the made-up results, whole and as decoded JSON."""

from __future__ import annotations

from typing import Any

import pytest
from report_synthetic import synthetic_results

from whyfirst.report.schema import Results


@pytest.fixture
def data() -> dict[str, Any]:
    """A fresh copy of the made-up results.json, free to change."""
    return synthetic_results()


@pytest.fixture
def results(data: dict[str, Any]) -> Results:
    """The made-up results as a model."""
    return Results.model_validate(data)
