"""What the page says of a link between reading and conduct, given what the other arms show."""

from __future__ import annotations

from typing import Any

from whyfirst.report.probes import sections
from whyfirst.report.schema import Results
from whyfirst.report.svg import arm_styles


def cautions(data: dict[str, Any], **intervals: tuple[float, float]) -> str:
    """The page's words on the probe with these intervals of the links, by arm."""
    for row in data["probes"][0]["behaviour"]:
        row["low"], row["high"] = intervals[row["arm"]]
        row["value"] = sum(intervals[row["arm"]]) / 2
    results = Results.model_validate(data)
    return " ".join(sections(results, arm_styles(results.arms))[0].cautions)


NONE, LINK = (-0.2, 0.2), (0.1, 0.6)


def test_a_link_that_controls_show_is_credited_to_explanations(data: dict[str, Any]) -> None:
    """The direct arm was never asked, though it saw no explanations either."""
    said = cautions(data, base=NONE, direct=LINK, explain_first=LINK, neutral_first=NONE)
    assert "shows without explanations too: direct (0.35 (0.10 to 0.60))" in said
    assert "it isn't the explanations" in said and "neutral_first (" not in said
    said = cautions(data, base=NONE, direct=NONE, explain_first=LINK, neutral_first=LINK)
    assert "too: neutral_first (0.35 (0.10 to 0.60))" in said


def test_a_link_of_the_other_sign_counts_as_the_same(data: dict[str, Any]) -> None:
    said = cautions(data, base=NONE, direct=NONE, explain_first=LINK, neutral_first=(-0.6, -0.1))
    assert "isn't the explanations" not in said
    assert "is no difference between arms" in said


def test_without_a_link_of_the_method_there_is_nothing_to_credit(data: dict[str, Any]) -> None:
    assert cautions(data, base=NONE, direct=LINK, explain_first=NONE, neutral_first=LINK) == ""
