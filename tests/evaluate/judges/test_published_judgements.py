"""Published judgements come out at the published counts, with the code that counts everywhere.

The joint tables hold how often each (label, verdict, verdict of the other order mapped back) occurs
in the published files, so the counting is tested where the files are not.
"""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from bench_data import DATA
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.evaluate.judges import TURNED, Preference, Winner
from whyfirst.evaluate.judges import discretion as d
from whyfirst.evaluate.judges.protocols import Judged, Said, bpde, same_winner, two_games
from whyfirst.evaluate.judges.published import REPRODUCTIONS, Figure

AUTO_J = {
    (0, 0, 0): 376, (0, 0, 1): 15, (0, 0, 2): 2, (0, 1, 0): 41, (0, 1, 1): 69, (0, 1, 2): 4,
    (0, 2, 0): 5, (0, 2, 1): 3, (0, 2, 2): 5, (1, 0, 0): 58, (1, 0, 1): 14, (1, 0, 2): 3,
    (1, 1, 0): 35, (1, 1, 1): 370, (1, 1, 2): 6, (1, 2, 0): 1, (1, 2, 1): 6, (1, 2, 2): 6,
    (2, 0, 0): 124, (2, 0, 1): 26, (2, 0, 2): 4, (2, 1, 0): 45, (2, 1, 1): 134, (2, 1, 2): 9,
    (2, 2, 0): 9, (2, 2, 1): 3, (2, 2, 2): 19,
}  # fmt: skip
# JudgeBench: o1-mini in Arena-Hard's prompt, and the Skywork-Reward-Gemma-2-27B reward model.
O1_MINI = {
    (0, 0, 0): 111, (0, 0, 1): 29, (0, 0, 2): 4, (0, 1, 0): 14, (0, 1, 1): 22, (0, 2, 0): 7,
    (0, 2, 1): 4, (0, 2, 2): 2, (1, 0, 0): 10, (1, 0, 1): 29, (1, 1, 0): 4, (1, 1, 1): 92,
    (1, 1, 2): 8, (1, 2, 0): 3, (1, 2, 1): 8, (1, 2, 2): 3,
}  # fmt: skip
SKYWORK = {(0, 0, 0): 120, (0, 1, 0): 3, (0, 1, 1): 70, (1, 0, 0): 52, (1, 1, 1): 105}
NAMES: tuple[Winner, ...] = ("a", "b", "tie")
FOLDERS = {"faireval": "faireval", "auto_j": "auto-j", "discretion": "alignment-discretion",
           "judgebench": "judgebench"}  # fmt: skip


def rows(table: dict[tuple[int, int, int], int]) -> list[Judged]:
    return [
        Judged(*(NAMES[place] for place in cell)) for cell, n in table.items() for _ in range(n)
    ]


def test_auto_js_table_gives_the_published_counts() -> None:
    found = rows(AUTO_J)
    assert len(found) == 1392
    assert sum(row.agrees for row in found) == 765
    assert sum(row.consistent for row in found) == 1161
    assert sum(row.forward == row.label for row in found) == 835


def test_judgebenchs_tables_give_the_published_counts() -> None:
    found = rows(O1_MINI)
    assert len(found) == 350 and sum(row.correct for row in found) == 230
    assert sum(not row.consistent for row in found) == 110
    assert sum(row.correct for row in rows(SKYWORK)) == 225
    first = [Judged(row.label, "a", "b") for row in found]
    assert sum(row.forward == row.label for row in first) == 193
    assert not any(row.correct for row in first)


@pytest.mark.data
@pytest.mark.parametrize("name", REPRODUCTIONS.names())
def test_every_published_count_is_ours(name: str) -> None:
    folder = DATA / FOLDERS[name]
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    figures = REPRODUCTIONS.make(Use.model_validate({"name": name, "data": str(folder)}))
    assert {f.what: f.ours for f in figures if not f.missing} == {
        f.what: f.published for f in figures if not f.missing
    }
    for figure in figures:
        if figure.missing:
            continue
        assert figure.over_items is not None
        assert figure.over_items.low <= figure.ours / len(figure.flags) <= figure.over_items.high


def test_a_count_that_differs_ends_with_1_and_a_broken_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "review_gpt35_vicuna-13b_human.txt").write_text("CHATGPT\nTIE\n")
    command = ["judge", "reproduce", "faireval", "--data", str(tmp_path)]
    told = CliRunner().invoke(app, [*command, "--json"])
    assert told.exit_code == 1
    assert [one["ours"] for one in json.loads(told.stdout)["figures"]] == [1, 1, 0]
    (tmp_path / "review_gpt35_vicuna-13b_human.txt").write_text("CHATGPT\nMAYBE\n")
    with pytest.raises(DataError, match="row 2: not one of CHATGPT, TIE, VICUNA13B"):
        REPRODUCTIONS.make(Use.model_validate({"name": "faireval", "data": str(tmp_path)}))


def test_topics_widen_an_interval_where_items_of_one_topic_agree() -> None:
    """Items of one scenario are no independent draws."""
    flags = [topic < 5 for topic in range(10) for _ in range(20)]
    topics = [str(topic) for topic in range(10) for _ in range(20)]
    figure = Figure("x", 100, flags, topics)
    assert figure.over_items is not None and figure.over_topics is not None
    assert figure.over_items.value == figure.over_topics.value == 0.5
    assert figure.over_topics.low < figure.over_items.low - 0.1


def test_right_and_a_tie_is_right_and_right_and_wrong_is_not() -> None:
    assert Judged("a", "a", "tie").correct and Judged("a", None, "a").correct
    assert not Judged("a", "a", "b").correct and not Judged("a", "tie", "tie").correct


@given(st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.sampled_from([*NAMES, None]))))
def test_a_judge_that_reads_slots_is_never_correct(given_: list[tuple[Winner, Said]]) -> None:
    """Always naming one slot says two different things of the responses."""
    for label, said in given_:
        back = None if said is None else TURNED[said]
        assert not Judged(label, said, back).correct
        assert two_games(said, back) == "tie"


def test_entropy_of_verdicts_by_hand() -> None:
    assert bpde(["a"] * 3 + ["b"] * 3) == pytest.approx(math.log(2))
    assert bpde(["a"] * 6) == bpde([]) == 0
    assert bpde(["a", "b", "tie"]) == pytest.approx(math.log(3))


def test_ratings_and_rankings_agree_where_the_winner_is_one() -> None:
    rated = [Preference("a"), Preference("tie"), Preference("a"), Preference(None, "why")]
    ranked = [Preference("a"), Preference("tie"), Preference("b"), Preference("a")]
    assert same_winner(rated, ranked) == [True, True, False, None]


def test_kinds_of_pairs_by_hand() -> None:
    assert [d.sign_of(*p) for p in ((0.3, 0.1, 0.6), (0.3, 0.1, 0.2), (0.1, 0.5, 0.4))] == [
        0,
        1,
        -1,
    ]
    assert d.kind_of([0, 0]) == "indifference"
    assert d.kind_of([1, 0, -1]) == "conflict" and d.kind_of([0, -1, -1]) == "consensus"
    assert d.arbitrary([0, -1], 1) is True and d.arbitrary([0, -1], -1) is False
    assert d.arbitrary([1, -1], 1) is None and d.arbitrary([1, 0], 0) is None


def test_a_judge_that_obeys_an_order_of_principles_shows_it() -> None:
    """Of four principles the first never loses and the last never wins."""
    order = [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    signs = [[1 if p == i else -1 if p == j else 0 for p in range(4)] for i, j in order]
    found = d.priorities(d.supremacy(signs, [1] * 6))
    # 0 never loses; without it 1 never does: the strengths of an order kept strictly are infinite.
    assert list(found) == [math.inf, math.inf, -math.inf, -math.inf]
    upset = d.supremacy([*signs, [0, -1, 1, 0]], [1] * 7)
    assert d.priorities(upset)[1] == d.priorities(upset)[2] == 0.0
    ranks = [4.0, 3.0, 2.0, 1.0]
    assert d.discrepancy(ranks, ranks) == 0 and d.discrepancy(ranks, ranks[::-1]) == 1


def test_three_wins_of_four_are_ln_3_apart() -> None:
    found = d.priorities(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert found[0] - found[1] == pytest.approx(math.log(3))
    assert np.isnan(d.priorities(np.zeros((2, 2)))).all()


def test_tau_b_counts_ties_of_one_side() -> None:
    # Three pairs: (1, 2) tied on one side, two concordant: tau-b = 2 / sqrt(2 * 3).
    assert d.discrepancy([1, 1, 2], [1, 2, 3]) == pytest.approx((1 - 2 / math.sqrt(6)) / 2)
