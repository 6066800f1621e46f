"""What the page says of a link between reading and conduct, given what the other arms show."""

from __future__ import annotations

from typing import Any

from whyfirst.report.html import report_html
from whyfirst.report.links import first_screen
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
    said = cautions(data, base=NONE, direct=LINK, explain_first=NONE, neutral_first=LINK)
    assert said.endswith("can't be told from none.") and "too:" not in said


def test_a_reading_that_was_not_measured_is_called_none(data: dict[str, Any]) -> None:
    """Of three readings, two of which had no item: what is refused "goes with none of them"."""
    probe = data["probes"][0]
    probe["cautions"] = ["explain_first: the link between it and refusal is not distinguishable "
                         "from none."]  # fmt: skip
    mine = next(row for row in probe["behaviour"] if row["arm"] == "explain_first")
    probe["behaviour"].append(mine | {"at": {"layer": 1}})
    mine |= {"value": None, "low": None, "high": None, "n": 0, "note": "no request is about it"}
    for other, told in (
        (probe["behaviour"][-1] | {"low": -0.2, "high": 0.2},
         "2 readings, of which 1 could be held against conduct: what explain_first refuses goes "
         "with none of them. See Inside."),
        (mine | {"at": {"layer": 1}}, "2 readings: none could be held against what explain_first "
         "refuses. See Inside."),
    ):  # fmt: skip
        probe["behaviour"][-1] = other
        results = Results.model_validate(data | {"probes": [probe]})
        assert (first_screen(results) or "").endswith(told)
        (section,) = sections(results, arm_styles(results.arms))
        said = " ".join(section.cautions)
        assert "could not be measured: no request is about it." in said
        assert "not distinguishable" not in said


def test_an_arm_that_was_not_measured_is_said_to_show_no_link(data: dict[str, Any]) -> None:
    for row in data["probes"][0]["behaviour"]:
        row["low"], row["high"] = LINK if row["arm"] == "explain_first" else (None, None)
    (section,) = sections(Results.model_validate(data), arm_styles({}))
    assert section.readings[0].others == []
    assert "has no arm without explanations beside it" in " ".join(section.cautions)


def test_another_method_s_readings_are_called_explain_firsts(data: dict[str, Any]) -> None:
    for probe in data["probes"]:
        probe["method"] = "direct"
    page = report_html(Results.model_validate(data))
    assert "What direct shows, reading by reading" in page
    assert "What explain_first shows" not in page
