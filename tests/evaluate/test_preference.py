"""Preference accuracy and the record every score is kept in."""

import json
import math
from pathlib import Path

import pytest

from whyfirst.config.errors import DataError, UserError
from whyfirst.data.hh_rlhf import split_by_prompt_hash
from whyfirst.evaluate.benchmark import BENCHMARKS, all_benchmarks, benchmark_named
from whyfirst.evaluate.benchmarks.preference import preference
from whyfirst.evaluate.item import ItemResult, judged, limited, unscored
from whyfirst.models.scripted import ScriptedModel


def _silent(done: int, total: int, what: str) -> None:
    pass


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _run(tmp_path: Path, scores: dict[tuple[str, str], float], **more: object) -> list[ItemResult]:
    prompts = dict.fromkeys(prompt for prompt, _ in scores)
    rows = []
    for prompt in prompts:
        chosen, rejected = (text for p, text in scores if p == prompt)
        rows.append({"prompt": prompt, "chosen": chosen, "rejected": rejected})
    task = preference(data=_write(tmp_path / "pairs.jsonl", rows), **more)  # type: ignore[arg-type]
    return task.run(ScriptedModel(scores=scores), (), _silent)


def test_sum_and_mean_are_told_apart_and_ties_are_unscored(tmp_path: Path) -> None:
    """Scripted tokens are words: a long chosen reply loses by sum and wins by mean."""
    found = _run(
        tmp_path,
        {
            ("p1", "a b c d"): -8.0,  # -2 a token
            ("p1", "z"): -3.0,
            ("p2", "a"): -1.0,
            ("p2", "b"): -1.0,
            ("p3", "a"): -1.0,
            ("p3", "b c"): -4.0,
        },
    )
    shown = [(r.id, r.benchmark, r.verdict, r.reason, r.score) for r in found]
    assert shown == [
        ("pairs.jsonl:1", "preference_sum", "fail", None, 0.0),
        ("pairs.jsonl:1", "preference_mean", "pass", None, 1.0),
        ("pairs.jsonl:2", "preference_sum", "unscored", "tie", None),
        ("pairs.jsonl:2", "preference_mean", "unscored", "tie", None),
        ("pairs.jsonl:3", "preference_sum", "pass", None, 1.0),
        ("pairs.jsonl:3", "preference_mean", "pass", None, 1.0),
    ]


def test_a_reply_the_model_could_not_score_is_no_verdict(tmp_path: Path) -> None:
    found = _run(tmp_path, {("p1", "a"): math.nan, ("p1", "b"): -1.0})
    assert {r.verdict for r in found} == {"unscored"}
    assert {r.reason for r in found} == {"scripted: not a number"}


def test_rows_that_are_no_pair_are_counted_as_unscored(tmp_path: Path) -> None:
    start = "\n\nHuman: hm\n\nAssistant:"
    rows = [
        {"chosen": start + " a", "rejected": start},
        {"chosen": start + " a", "rejected": start + " b"},
    ]
    task = preference(data=_write(tmp_path / "hh.jsonl", rows))
    found = task.run(ScriptedModel(scores=lambda p, t: -len(t) - ord(t[1])), (), _silent)
    assert sorted((r.id, r.verdict) for r in found) == [
        ("hh.jsonl:1", "unscored"),
        ("hh.jsonl:1", "unscored"),
        ("hh.jsonl:2", "pass"),
        ("hh.jsonl:2", "pass"),
    ]


def test_the_records_hold_none_of_the_data_sets_text(tmp_path: Path) -> None:
    found = _run(tmp_path, {("secret prompt", "secret a"): -1.0, ("secret prompt", "secret b"): -2})
    assert "secret" not in json.dumps([r.to_json() for r in found])


def test_only_held_out_prompts_are_scored(tmp_path: Path) -> None:
    scores = {(f"p{i}", text): -float(len(text)) for i in range(40) for text in ("a", "bc")}
    found = _run(tmp_path, scores, held_out=0.5)
    ids = {r.id for r in found}
    rows = [type("Row", (), {"prompt": f"p{i}", "id": f"pairs.jsonl:{i + 1}"}) for i in range(40)]
    _, held = split_by_prompt_hash(rows, 0.5)  # type: ignore[type-var]
    assert ids == {row.id for row in held} and 5 < len(ids) < 35


def test_missing_data_says_what_is_needed() -> None:
    with pytest.raises(UserError, match=r"'preference' needs data: a \.jsonl"):
        benchmark_named("preference").task()


def test_a_limit_takes_the_same_items_for_every_arm_and_grows_by_adding() -> None:
    items = [f"item {i}" for i in range(50)]
    few, more = limited(items, 5, str), limited(items, 20, str)
    assert len(few) == 5 and len(more) == 20 and set(few) <= set(more)
    assert few == [item for item in items if item in few], "the given order is kept"
    assert limited(items, None, str) == limited(items, 99, str) == items
    assert few != items[:5], "a file sorted by topic must not be cut to its first topics"


def test_item_results_survive_json_and_refuse_nonsense() -> None:
    for result in (judged("i", "m", True, topic="t"), unscored("i", "m", "why not")):
        row = json.loads(json.dumps(result.to_json()))
        assert ItemResult.from_json(row) == result
        short = {key: value for key, value in row.items() if value is not None}
        assert ItemResult.from_json(short) == result
    good = judged("i", "m", False).to_json()
    for wrong in ({"verdict": "maybe"}, {"score": 1.5}, {"score": math.nan}, {"extra": 1}):
        with pytest.raises(DataError):
            ItemResult.from_json(good | wrong)
    with pytest.raises(ValueError, match="unscored needs a reason"):
        ItemResult("i", "m", "unscored")
    with pytest.raises(ValueError, match="unscored has no score"):
        ItemResult("i", "m", "unscored", reason="r", score=0.0)
    with pytest.raises(ValueError, match="everything else has one"):
        ItemResult("i", "m", "pass")


def test_an_unscored_number_is_nan_and_never_zero() -> None:
    assert math.isnan(unscored("i", "m", "r").number)
    assert judged("i", "m", False).number == 0.0


def test_benchmarks_are_found_by_name_and_metrics_are_unique() -> None:
    assert {"preference", "truthfulqa"} <= set(BENCHMARKS.names())
    names = [metric.name for found in all_benchmarks() for metric in found.metrics]
    assert len(names) == len(set(names))
    with pytest.raises(UserError, match="did you mean 'preference'"):
        BENCHMARKS.get("preferense")
