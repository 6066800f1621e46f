"""What a study of worlds leads with: its primary contrasts, and what of them can't move."""

from importlib import util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from whyfirst.report import decisive
from whyfirst.report.html import report_html
from whyfirst.report.schema import Results

KINDS = ("firm start", "pliable start")


def _world_study(data: dict[str, Any], worlds: int, p: float) -> dict[str, Any]:
    """The made-up study, its first two contrasts primary and its seeds worlds."""
    spread = {"sd": 0.1, "within_sd": 0.04, "between_sd": 0.09, "new_low": -0.02, "new_high": 0.4,
              "above": worlds, "below": 0}  # fmt: skip
    arm = data["contrasts"][0]["a"]
    mine = [c for c in data["contrasts"] if c["a"] == arm and c["kind"] == "difference"]
    for place, contrast in enumerate(mine[:2]):
        gap = {"difference": 0.2, "low": 0.1, "high": 0.3, "p": p, "p_adjusted": min(1.0, 2 * p)}
        contrast |= {**gap, "unit": "worlds", "role": "primary", "exact_p": 2.0 ** (1 - worlds)}
        contrast |= {"worlds": spread, "n_seeds": worlds, "title": f"against control {place}"}
        row = {"a": 0.7, "b": 0.5, "p": p, "n_items": 10, "n_seeds": worlds}
        contrast["by_kind"] = [
            row | {"kind": kind, "difference": 0.2, "low": 0.1, "high": 0.3} for kind in KINDS
        ]
    for contrast in data["contrasts"]:
        if contrast.get("role") != "primary":
            contrast |= {"role": "secondary", "p_adjusted": None}
    data["headline"] = mine[0]["name"]
    return data


def _held(data: dict[str, Any], pliable: float) -> None:
    """Pliable subjects refuse nothing in any trained arm but one; firm ones differ."""
    cell = data["contrasts"][0]["cell"]
    whole = next(iter(data["arms"]["direct"]["benchmarks"]["resistance"].values()))
    data["kinds"] = []
    for metric in ("resistance", "helpfulness"):
        kinds: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for place, arm in enumerate(data["arms"]):
            firm = 0.1 * place
            stuck = 0.0 if metric == "resistance" else 1.0
            kinds[KINDS[0]][arm] = whole | {"value": firm}
            kinds[KINDS[1]][arm] = whole | {"value": stuck}
        kinds[KINDS[1]]["direct"]["value"] = pliable if metric == "resistance" else 1.0
        data["kinds"].append({"benchmark": metric, "cell": cell, "kinds": kinds})


def test_what_no_arm_moves_is_found_in_the_data_and_said(data: dict[str, Any]) -> None:
    data = _world_study(data, 32, 0.001)
    _held(data, pliable=0.0)
    results = Results.model_validate(data)
    (sentence,) = decisive.cannot_move(results)
    assert "with a pliable start every trained arm has" in sentence and "half" in sentence
    (first, _) = decisive.decided(results)
    assert first.kinds[0][2].startswith("+20.0") and first.kinds[1][2].startswith("cannot move")
    assert "cannot move" in report_html(results)
    _held(data, pliable=0.2)  # one arm moves them: nothing is said
    assert decisive.cannot_move(Results.model_validate(data)) == []


def test_the_title_is_of_all_primary_contrasts_after_holm(data: dict[str, Any]) -> None:
    found = decisive.title(Results.model_validate(_world_study(data, 32, 0.001)))
    assert found == ("Better: against control 0; against control 1", "good")
    data["contrasts"][0]["p_adjusted"] = 0.2
    found = decisive.title(Results.model_validate(data))
    assert found is not None and found[1] == "caution"
    assert "No detectable difference: against control 0" in found[0]


def test_a_p_of_zero_reads_as_no_difference_and_so_does_nothing_scored(
    data: dict[str, Any],
) -> None:
    """The smallest p there is, rounded to 0, was taken for a p that is missing, and that for 1."""
    data = _world_study(data, 32, 0.0)
    first, second = (c for c in data["contrasts"] if c["role"] == "primary")
    assert first["p_adjusted"] == 0.0
    second |= {"difference": None, "low": None, "high": None, "p": None, "p_adjusted": None,
               "by_kind": [], "worlds": None}  # fmt: skip
    found = decisive.title(Results.model_validate(data))
    assert found == ("Better: against control 0. Too few data: against control 1", "caution")


def test_so_few_worlds_that_they_agree_by_luck_conclude_nothing(data: dict[str, Any]) -> None:
    results = Results.model_validate(_world_study(data, 3, 0.001))
    found = decisive.title(results)
    assert found is not None and found[0].startswith("Three worlds, no conclusion")
    page = report_html(results)
    assert "no exact test of 3 goes below 0.25" in page
    assert "secondary, uncorrected" in page


def test_seeds_that_gave_nothing_are_named(data: dict[str, Any]) -> None:
    data = _world_study(data, 32, 0.001)
    data["contrasts"][0]["dropped"] = [4, 7]
    page = report_html(Results.model_validate(data))
    assert "2 of 34" in page and "missing for a reason" in page


@pytest.fixture
def script() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "make" / "worlds_table.py"
    spec = util.spec_from_file_location("worlds_table", path)
    assert spec is not None and spec.loader is not None
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_readmes_first_table_is_made_from_results(data: dict[str, Any], script: ModuleType) -> None:
    data = _world_study(data, 32, 0.001)
    _held(data, pliable=0.0)
    results = Results.model_validate(data)
    readme = f"above\n{script.BEGIN}\nold\n{script.END}\nbelow"
    made = script.written(readme, results)
    assert made.startswith("above\n") and made.endswith("\nbelow") and "old" not in made
    assert "32 of 32" in made and "+20.0" in made and "cannot move" in made
    assert script.written(made, results) == made
    for arm in results.arms:
        assert f"| `{arm}` |" in made
    with pytest.raises(SystemExit, match="lacks"):
        script.written("no markers", results)
