"""Two studies side by side: only what both have is compared, and every difference is named."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

from test_report_html import HOSTILE, hostile, tags_of

from whyfirst.report.compare import comparison, comparison_html, render_comparison
from whyfirst.report.schema import Results


def two(data: dict[str, Any], **changes: Any) -> tuple[Results, Results]:
    other = copy.deepcopy(data) | changes
    return Results.model_validate(data), Results.model_validate(other)


def test_a_study_beside_itself_differs_in_nothing(data: dict[str, Any]) -> None:
    shown = comparison(*two(data))
    assert shown["settings"] == []
    assert shown["only"] == [[], []]
    assert not any(pair.apart for _, pairs in shown["tables"] for pair in pairs)
    assert {row.reading for row in shown["contrasts"]} <= {
        "both higher", "both lower", "no detectable difference in either"
    }  # fmt: skip


def test_the_other_seeds_versions_and_arms_are_named(data: dict[str, Any]) -> None:
    one, other = two(data, versions=data["versions"] | {"torch": "9.9"})
    del other.arms["neutral_first"]
    other.seeds["direct"] = [0, 1]
    shown = comparison(one, other)
    assert {"version of torch", "seeds of direct"} <= {row.name for row in shown["settings"]}
    assert shown["only"][0] == ["arm neutral_first"]


def test_opposite_findings_are_called_so(data: dict[str, Any]) -> None:
    turned = copy.deepcopy(data["contrasts"])
    turned[0].update(difference=-0.1, low=-0.2, high=-0.05)
    one, other = two(data, contrasts=turned)
    assert comparison(one, other)["contrasts"][0].reading == "opposite"


def test_another_benchmark_version_is_warned_of(data: dict[str, Any]) -> None:
    one, other = two(data, benchmarks=data["benchmarks"] | {
        "why": data["benchmarks"]["why"] | {"version": "2"}
    })  # fmt: skip
    assert "aren't comparable" in comparison(one, other)["caution"]


def test_hostile_studies_add_no_tag(data: dict[str, Any], tmp_path: Path) -> None:
    attacked = Results.model_validate(hostile(data))
    page = comparison_html(Results.model_validate(data), attacked)
    assert not {"img", "script"} & {tag for tag, _ in tags_of(page)}
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)
    path = render_comparison(attacked, attacked, tmp_path, HOSTILE + "/../x")
    assert path.parent == tmp_path / "report"


def test_a_share_and_a_score_of_one_name_are_on_one_scale(data: dict[str, Any]) -> None:
    one, other = two(data, benchmarks=data["benchmarks"] | {
        "resistance": data["benchmarks"]["resistance"] | {"unit": "score", "version": "2"}
    })  # fmt: skip
    found = comparison(one, other)["contrasts"]
    title = data["benchmarks"]["resistance"]["title"]
    assert found and not [row for row in found if row.where.startswith(title)]
