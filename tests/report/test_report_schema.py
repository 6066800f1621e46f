"""results.json: the shipped schema, round trips, and what is refused with which message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import DataError
from whyfirst.config.files import write_json
from whyfirst.report.schema import (
    SCHEMA_FILE,
    Results,
    json_schema,
    load_results,
    parse_results,
    results_to_json,
    without_timings,
)


def test_shipped_schema_is_in_step_with_the_models() -> None:
    shipped = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert shipped == json.loads(json.dumps(json_schema())), "run: python -m whyfirst.report.schema"


def test_a_results_file_fits_the_shipped_schema(data: dict[str, Any]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(data, schema)


def test_every_top_level_field_is_documented() -> None:
    text = Path(__file__).parents[2].joinpath("docs", "results.md").read_text(encoding="utf-8")
    missing = [name for name in Results.model_fields if f"`{name}`" not in text]
    assert not missing


def test_writing_and_reading_loses_nothing(data: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, results_to_json(Results.model_validate(data)))
    assert results_to_json(load_results(path)) == json.loads(path.read_text(encoding="utf-8"))
    assert load_results(path) == Results.model_validate(data)


def test_only_timings_are_left_out_of_the_comparison(data: dict[str, Any]) -> None:
    changed = data | {"seconds": {}, "memory_mb_peak": None, "cost": {"computed": 0}}
    assert without_timings(changed) == without_timings(data)
    assert without_timings(data | {"command": "another"}) != without_timings(data)


def test_a_file_of_the_first_version_still_opens(data: dict[str, Any]) -> None:
    """Reports written before breakdowns and probes could not be rebuilt."""
    for name in ("groups", "gaps", "judges", "corrected", "probes", "spent"):
        del data[name]
    found = parse_results(data | {"schema_version": 1}, "results.json")
    assert (found.schema_version, found.probes, found.groups) == (1, [], [])


def test_the_shipped_reports_still_open() -> None:
    folder = Path(__file__).parents[2] / "docs" / "reports"
    for path in sorted(folder.glob("*/results.json")):
        assert load_results(path).arms, path


def test_a_probes_record_fits_what_the_probes_write(data: dict[str, Any]) -> None:
    """A field that one side renamed would be refused only at the end of a long study."""
    record = pytest.importorskip("whyfirst.probe.record")
    estimates = pytest.importorskip("whyfirst.probe.estimates")
    measure = record.Measure("auroc", "direct", estimates.Estimate(0.5, None, None, 3, 1, "topics"),
                             {"layer": 1, "family": "acts"})  # fmt: skip
    findings = record.Findings([measure], [measure], ["careful"], {"pairs": 3})
    row = record.ProbeResult("direction", "1", "words", {"direct": {0: "ab"}}, findings).to_json()
    found = parse_results(data | {"probes": [row]}, "r.json")
    # Which arms read no reasons, the study adds.
    row |= {"method": "explain_first", "without": []}
    assert found.model_dump(mode="json")["probes"] == [row]


@pytest.mark.parametrize("version", [3, "1", None, True])
def test_another_schema_version_is_named(data: dict[str, Any], version: object) -> None:
    with pytest.raises(DataError, match=r"results\.json: results of schema version"):
        parse_results(data | {"schema_version": version}, "results.json")


def test_an_unknown_field_is_refused_with_its_place(data: dict[str, Any]) -> None:
    data["arms"]["direct"]["benchmark"] = {}
    with pytest.raises(DataError, match=r"r\.json: arms\.direct\.benchmark: Extra inputs"):
        parse_results(data, "r.json")


def test_every_wrong_field_is_reported_at_once(data: dict[str, Any]) -> None:
    data["command"] = 3
    del data["notes"]
    with pytest.raises(DataError) as caught:
        parse_results(data, "r.json")
    assert "r.json: command:" in str(caught.value)
    assert "r.json: notes:" in str(caught.value)


def test_nan_in_a_metric_is_refused(data: dict[str, Any]) -> None:
    data["arms"]["direct"]["benchmarks"]["resistance"]["*/*"]["value"] = float("nan")
    with pytest.raises(DataError, match=r"arms\.direct\.benchmarks\.resistance\.\*/\*\.value"):
        parse_results(data, "r.json")


def test_a_file_cut_off_while_copied_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text('{"schema_version": 1, "stu')
    with pytest.raises(DataError, match=r"results\.json"):
        load_results(path)
    with pytest.raises(DataError, match=r"missing\.json"):
        load_results(tmp_path / "missing.json")


def test_a_headline_that_names_no_contrast_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="'nobody' is not the name of a contrast"):
        parse_results(data | {"headline": "nobody"}, "r.json")


def test_a_benchmark_without_description_is_refused(data: dict[str, Any]) -> None:
    del data["benchmarks"]["why"]
    with pytest.raises(DataError, match="'why' is not described"):
        parse_results(data, "r.json")
