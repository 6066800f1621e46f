"""Groups, gaps and judges from item records: orientation, effective numbers, what has no card."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.files import write_jsonl
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.correction import AgreementCard, corrected_rate, shipped_card
from whyfirst.report.gather import corrected_row, declared, effective_n, gather
from whyfirst.report.parts import Cell
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import wilson
from whyfirst.study.results.table import read_tables, summarise

CARD = AgreementCard("rules", "1", "refused", "made up", (), 90, 5, 10, 95, 0)


def cell(passes: int, n: int) -> Cell:
    share = wilson(passes, n)
    return Cell(value=share.value, low=share.low, high=share.high, n=n, unscored=0, n_seeds=1,
                worst=share.value, best=share.value)  # fmt: skip


def of_scores(scores: Scores) -> Cell:
    known = [value for value in scores.values.tolist() if value == value]
    return cell(round(sum(known)), len(known))


@settings(deadline=None)
@given(st.integers(1, 5_000), st.data())
def test_wilsons_interval_gives_its_n_back(n: int, data: st.DataObject) -> None:
    one = cell(data.draw(st.integers(0, n)), n).model_copy(update={"n": 10**9})
    assert effective_n(one) == pytest.approx(n, rel=1e-4)


def test_a_cell_without_interval_is_worth_one_item() -> None:
    assert effective_n(cell(3, 9).model_copy(update={"low": None})) == 1.0


def test_a_rate_is_corrected_as_counts_are() -> None:
    row = corrected_row("direct", "jailbreak", "rules/1", cell(60, 100), CARD)
    wanted = corrected_rate(60, 40, 0, CARD).rate
    assert row.corrected is not None
    assert row.raw == 0.6, "the rate as judged stays beside it"
    assert row.corrected.value == pytest.approx(wanted.value)
    assert row.corrected.low == pytest.approx(wanted.low, abs=1e-6)


def test_a_metric_that_passes_on_no_is_turned_round() -> None:
    """Under-refusal was corrected as if it were refusal."""
    row = corrected_row(
        "direct", "xstest_under_refusal", "rules/1", cell(40, 100), CARD, opposite=True
    )
    straight = corrected_rate(60, 40, 0, CARD).rate
    assert row.corrected is not None
    assert row.corrected.value == pytest.approx(1 - straight.value)
    assert row.corrected.low <= row.corrected.value <= row.corrected.high


def test_a_judge_no_better_than_chance_corrects_nothing() -> None:
    useless = AgreementCard("x", "1", "refused", "", (), 50, 50, 50, 50, 0)
    row = corrected_row("direct", "jailbreak", "x/1", cell(60, 100), useless)
    assert row.corrected is None
    assert "no information" in row.problem


def test_groups_judges_and_company_are_gathered(tmp_path: Path) -> None:
    def item(n: int, metric: str, group: str) -> dict[str, Any]:
        return {"id": f"{metric}{n}", "benchmark": metric, "score": float(n % 2), "group": group,
                "verdict": "pass" if n % 2 else "fail", "judge": "rules/1"}  # fmt: skip

    rows = [item(n, metric, "ab"[n % 4 > 1]) for n in range(20)
            for metric in ("xstest_over_refusal", "xstest_under_refusal")]  # fmt: skip
    write_jsonl(tmp_path / "i", rows)
    found = gather([("direct", 0, tmp_path / "i")], ["xstest"], of_scores)
    assert [(table.benchmark, table.by) for table in found.groups] == [
        ("xstest_over_refusal", "group"), ("xstest_under_refusal", "group")
    ]  # fmt: skip
    assert found.groups[0].arms["direct"]["a"].n == 10
    over = benchmark_named("xstest").metrics[0]
    assert declared(benchmark_named("xstest"), over)["beside"] == ["xstest_under_refusal"]
    assert found.judges["rules/1"].n == 1350
    assert {row.benchmark for row in found.corrected} == {
        "xstest_over_refusal", "xstest_under_refusal"
    }  # fmt: skip


@pytest.mark.parametrize("worlds", [False, True])
def test_a_rate_is_corrected_over_another_interval_than_its_cell_s(
    tmp_path: Path, worlds: bool
) -> None:
    """Strata that the design fixes, and worlds, were taken as random topics of every seed."""
    files = []
    for seed in range(3):
        rows = [{"id": f"{n}", "benchmark": "xstest_under_refusal", "topic": f"{n // 2}",
                 "split": "s", "group": "ab"[n > 15], "judge": "rules/2",
                 "score": float(n > 15 - seed), "response": " ".join(["no"] * 60),
                 "verdict": "pass" if n > 15 - seed else "fail"} for n in range(32)]  # fmt: skip
        write_jsonl(tmp_path / f"{seed}", rows)
        files.append(("direct", seed, tmp_path / f"{seed}"))
    table = read_tables([file[1:] for file in files], worlds)["xstest_under_refusal"]
    wanted = summarise(table.whole)
    loose = summarise(replace(table.whole, strata=None, worlds=False))
    assert loose.high is not None and wanted.high is not None
    assert abs(loose.high - wanted.high) > 0.01
    found = gather(files, ["xstest"], summarise, worlds)
    [row] = found.corrected
    card = shipped_card("rules", "2")
    assert card is not None
    direct = corrected_row("direct", row.benchmark, "rules/2", wanted, card, opposite=True)
    assert row.corrected is not None and row.corrected == direct.corrected


def test_a_rate_whose_items_pass_on_either_verdict_is_corrected(tmp_path: Path) -> None:
    """The judge's errors cancel between the two halves; corrected, no reading leant to one."""
    rows = [{"id": f"{half}{n}", "benchmark": "readings_decides", "split": half, "judge": "rules/1",
             "verdict": "pass" if half == "part_a" else "fail",
             "score": float(half == "part_a"), "response": " ".join(["no"] * 60)}
            for half in ("part_a", "part_b") for n in range(10)]  # fmt: skip
    write_jsonl(tmp_path / "i", rows)
    [row] = gather([("direct", 0, tmp_path / "i")], ["readings"], of_scores).corrected
    assert row.corrected is None and "either verdict" in row.problem


def test_answers_unlike_those_a_judge_was_measured_on_are_corrected(tmp_path: Path) -> None:
    rows = [{"id": str(n), "benchmark": "xstest_over_refusal", "judge": "rules/2", "score": 1.0,
             "verdict": "pass", "response": "No."} for n in range(10)]  # fmt: skip
    write_jsonl(tmp_path / "i", rows)
    [row] = gather([("direct", 0, tmp_path / "i")], ["xstest"], of_scores).corrected
    assert row.corrected is None and "shorter than what the agreement was" in row.problem


def test_a_judge_without_a_card_is_shown_as_unmeasured(tmp_path: Path) -> None:
    row = {"id": "a", "benchmark": "jailbreak", "verdict": "pass", "score": 1.0,
           "judge": "rubric:mine/3"}  # fmt: skip
    write_jsonl(tmp_path / "i", [row])
    found = gather([("direct", 0, tmp_path / "i")], ["jailbreak"], of_scores)
    assert found.judges["rubric:mine/3"].kappa is None
    assert found.corrected == []
