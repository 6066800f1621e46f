"""Items beside results: whose answers are kept, what is hidden, and which files are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_synthetic import synthetic_items

from whyfirst.config.errors import DataError
from whyfirst.config.files import write_jsonl
from whyfirst.report import items as module
from whyfirst.report.html import render_report
from whyfirst.report.items import collect_items, load_items, write_items
from whyfirst.report.schema import Results


def row(name: str, verdict: str, **more: Any) -> dict[str, Any]:
    reason = {"reason": "unclear"} if verdict == "unscored" else {}
    return {"id": name, "benchmark": "resistance", "verdict": verdict} | reason | more


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, int, Path]]:
    """Two arms, two seeds, two items."""
    made = []
    for arm, verdicts in (("direct", ("fail", "pass")), ("explain_first", ("pass", "pass"))):
        for seed, verdict in enumerate(verdicts):
            path = tmp_path / f"{arm}{seed}.jsonl"
            write_jsonl(path, [
                row("a", verdict, prompt="p", response=f"said in {seed}", framing="plain"),
                row("b", "unscored", prompt="q", response="said in 0", split="A", raw="Hm <b>."),
            ])  # fmt: skip
            made.append((arm, seed, path))
    return made


def test_answers_are_of_the_lowest_seed_and_counts_of_all(
    results: Results, files: list[tuple[str, int, Path]]
) -> None:
    data = collect_items(reversed(files), results)
    arm = data["arms"].index("direct")
    first, second = data["items"]
    assert [first[0], second[0]] == ["a", "b"]
    verdict, text, reason, passes, scored = first[6][arm]
    assert (verdict, data["texts"][text], reason, passes, scored) == (0, "said in 0", -1, 1, 2)
    verdict, _, reason, passes, scored = second[6][arm]
    assert (verdict, data["reasons"][reason], passes, scored) == (
        2, "unclear. The judge's reply: Hm <b>.", 0, 0
    )  # fmt: skip
    assert first[6][data["arms"].index("base")] == 0, "an arm that was not asked"
    assert data["labels"]["framing"] == ["plain"]
    assert first[4] == [-1, 0, -1, -1, -1]
    assert len(data["texts"]) == len(set(data["texts"]))


def test_the_order_of_files_changes_nothing(
    results: Results, files: list[tuple[str, int, Path]]
) -> None:
    assert collect_items(files, results) == collect_items(files[::-1], results)


@pytest.mark.parametrize(
    ("metric", "said", "hidden"),
    [("resistance", None, 0), ("resistance", True, 1), ("jailbreak", None, 0),
     ("jailbreak", False, 0)],
)  # fmt: skip
def test_an_item_is_offensive_where_its_record_says_so_and_not_by_its_name(
    data: dict[str, Any], tmp_path: Path, metric: str, said: bool | None, hidden: int
) -> None:
    data["benchmarks"]["jailbreak"] = data["benchmarks"]["why"]
    write_jsonl(tmp_path / "i.jsonl", [row("a", "pass", offensive=said) | {"benchmark": metric}])
    found = collect_items([("direct", 0, tmp_path / "i.jsonl")], Results.model_validate(data))
    assert found["items"][0][5] == hidden


def test_controls_become_visible_and_a_megabyte_is_cut(results: Results, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "i.jsonl", [row("a", "pass", prompt="\x1b[2J\u202e" + "x" * 1_000_000)])
    found = collect_items([("direct", 0, tmp_path / "i.jsonl")], results)
    text = found["texts"][0]
    assert text.startswith("\\x1b[2J\\u202e")
    assert "more characters]" in text
    assert len(text) < 2_000


def test_too_many_items_are_cut_alike_whatever_their_order(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ITEM_LIMIT", 5)
    rows = [row(str(n), "pass") for n in range(12)]
    for name, order in (("one", rows), ("two", rows[::-1])):
        write_jsonl(tmp_path / name, order)
    one, two = (collect_items([("direct", 0, tmp_path / n)], results) for n in ("one", "two"))
    assert one == two
    assert (len(one["items"]), one["total"]) == (5, 12)


def test_texts_are_cut_until_they_fit(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TEXT_BUDGET", 3_000)
    write_jsonl(tmp_path / "i", [row(str(n), "pass", prompt=f"{n}" * 900) for n in range(9)])
    assert collect_items([("direct", 0, tmp_path / "i")], results)["text_limit"] == 300


def test_a_report_has_the_browser_where_items_are(
    results: Results, files: list[tuple[str, int, Path]], tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert "items-data" not in render_report(results, out).read_text()
    write_items(collect_items(files, results), out / "report" / "results.json")
    assert "items-data" in render_report(results, out).read_text()


@pytest.mark.parametrize(
    ("change", "said"),
    [({"run": "0" * 64}, "of another run"), ({"items_version": 2}, "version 2"),
     ({"arms": ["direct"]}, "its arms are not those")],
)  # fmt: skip
def test_items_that_do_not_belong_are_refused(
    results: Results, files: list[tuple[str, int, Path]], tmp_path: Path,
    change: dict[str, Any], said: str,
) -> None:  # fmt: skip
    path = write_items(collect_items(files, results), tmp_path / "results.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=said):
        load_items(path, results)


def test_torn_items_are_named(results: Results, tmp_path: Path) -> None:
    (tmp_path / "items.json").write_text('{"items_version": 1, "run')
    with pytest.raises(DataError, match=r"items\.json"):
        load_items(tmp_path / "items.json", results)
    assert load_items(tmp_path / "none.json", results) is None


def _set(path: tuple[Any, ...], value: Any) -> Any:
    def change(data: dict[str, Any]) -> None:
        place: Any = data
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [_set(("texts",), {"0": "x"}), _set(("texts", 0), 5), _set(("items",), {}),
     _set(("items", 0), "row"), _set(("items", 0, 1), 99), _set(("items", 0, 2), 10**6),
     _set(("items", 0, 4), [0]), _set(("items", 0, 6), [0]),
     _set(("items", 0, 6, 0), [7, 0, 0, 0, 0]),
     _set(("items", 0, 6, 0), [1, 0, 0, None, 0]), _set(("labels",), []),
     _set(("labels", "topic"), None), _set(("metrics",), ["another"]), _set(("seed",), "<b>"),
     _set(("total",), None), _set(("arms",), ["x"])],
)  # fmt: skip
def test_items_unlike_ours_are_refused_by_name(
    data: dict[str, Any], tmp_path: Path, change: Any
) -> None:
    """A hand-made items.json ended in a traceback, or in a browser that shows nothing."""
    items = synthetic_items(data)
    change(items)
    write_items(items, tmp_path / "results.json")
    with pytest.raises(DataError, match=r"items\.json: .*remove the file"):
        load_items(tmp_path / "items.json", Results.model_validate(data))
