"""A metric that only describes (a stance) has no good direction, and nothing of it is coloured."""

import re

import pytest

from whyfirst.evaluate.benchmark import Metric, all_benchmarks
from whyfirst.report.answer import title_of
from whyfirst.report.conduct import base_losses
from whyfirst.report.html import report_html
from whyfirst.report.schema import Results


def test_a_stance_is_good_or_bad(results: Results) -> None:
    contrast = results.headline_contrast()
    assert contrast is not None
    name = contrast.benchmark
    assert title_of(results, contrast)[1] == "good"
    row = results.benchmarks[name].model_copy(update={"good": "neither", "chance": None})
    others = {n: b.model_copy(update={"good": "neither"}) for n, b in results.benchmarks.items()}
    shown = [one.model_copy(update={"benchmark": name}) for one in results.examples]
    changed = {"benchmarks": {**others, name: row}, "recall": {}, "examples": shown}
    found = results.model_copy(update=changed)
    assert title_of(found, contrast)[1] == "plain"
    assert base_losses(found, name) == {}
    page = report_html(found)
    assert "neither way is better" in page and "higher is better" not in page
    assert not re.search(r'class="verdict (good|bad)"', page)
    assert re.search(r'class="verdict (good|bad)"', report_html(results))


def test_what_a_metric_hopes_for() -> None:
    assert Metric("m", "M", "Share.").good == "pass"
    assert Metric("m", "M", "Share.", higher_is_better=False).good == "fail"
    assert Metric("m", "M", "Share.", neutral=True).good == "neither"


@pytest.mark.parametrize("begins", ["survey_first_slot", "survey_entropy", "factor_", "own_admits"])
def test_what_only_describes_is_called_far_worse(begins: str) -> None:
    """A bias for a letter, or a liking for length, had a good direction on the page."""
    every = [metric for one in all_benchmarks() for metric in one.metrics]
    found = [metric.good for metric in every if metric.name.startswith(begins)]
    assert found and set(found) == {"neither"}
