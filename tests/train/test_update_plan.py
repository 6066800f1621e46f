"""The plan of updates: counts by hand, and what must hold for every data set and seed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.train.config import ExplainStage, GRPOStage, SFTStage
from whyfirst.train.plan import make_plan, make_prompt_plan, pack


def test_epochs_are_rounded_up_and_every_batch_is_full() -> None:
    plan = make_plan(SFTStage(epochs=1, batch_size=4), [5] * 10, [], seed=0)
    assert [len(update) for update in plan.updates] == [4, 4, 4]
    seen = Counter(i for update in plan.updates for (i,) in update)
    assert sorted(seen.values()) == [1] * 8 + [2] * 2  # 12 places for 10 rows


def test_two_epochs_of_an_exact_fit_show_each_row_twice() -> None:
    plan = make_plan(SFTStage(epochs=2, batch_size=5), [5] * 10, [], seed=0)
    assert len(plan.updates) == 4
    first = [i for update in plan.updates[:2] for (i,) in update]
    second = [i for update in plan.updates[2:] for (i,) in update]
    assert sorted(first) == sorted(second) == list(range(10)) and first != second


@given(
    size=st.integers(1, 64), tenths=st.integers(0, 9), rows=st.integers(1, 400),
    epochs=st.integers(1, 40),
)  # fmt: skip
def test_rounding_makes_one_update_more(size: int, tenths: int, rows: int, epochs: int) -> None:
    """Against whole numbers: new rows of a batch are size * (10 - tenths) / 10."""
    config = ExplainStage(epochs=epochs / 10, batch_size=size, replay=tenths / 10)
    plan = make_plan(config, [5] * rows, [5] * rows if tenths else [], seed=0)
    assert len(plan.updates) == -(-epochs * rows // (size * (10 - tenths)))


def test_rounding_makes_one_generation_more() -> None:
    """0.7 of 10 prompts are 7; in floats 0.7 * 10 / 1 is 7, and 1.1 * 10 a little over 11."""
    reward = ({"name": "length"},)
    for epochs, generations in ((0.7, 7), (1.1, 11), (1.15, 12)):
        config = GRPOStage(epochs=epochs, batch_size=2, group_size=2, rewards=reward)
        assert len(make_prompt_plan(config, 10, 0).updates) == generations


def test_best_fit_by_hand() -> None:
    # 6 opens row 0 (4 free), 5 opens row 1 (5 free), 4 fills row 0, 3 goes to row 1, 9 opens row 2.
    assert pack([6, 5, 4, 3, 9], [0, 1, 2, 3, 4], 10) == [(0, 2), (1, 3), (4,)]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=60), st.randoms())
def test_packing_loses_or_repeats_or_overfills(lengths: list[int], draw: object) -> None:
    order = list(range(len(lengths)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    rows = pack(lengths, order, 16)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 16 or len(row) == 1 for row in rows)


@given(
    st.integers(1, 20), st.floats(0, 0.95), st.integers(1, 30), st.integers(1, 40),
    st.booleans(), st.integers(0, 5),
)  # fmt: skip
def test_replay_share_drifts(
    batch: int, share: float, updates: int, rows: int, packing: bool, seed: int
) -> None:
    config = ExplainStage(
        updates=updates, batch_size=batch, replay=share, packing=packing, max_length=16
    )
    plan = make_plan(config, [7] * rows, [5] * rows, seed)
    assert all(len(update) == batch for update in plan.updates)
    replayed = 0
    for done, update in enumerate(plan.updates, 1):
        replayed += sum(row[0] >= rows for row in update)
        assert abs(replayed - done * batch * share) < 1 + 1e-6


def test_half_of_ten_is_five_in_every_batch() -> None:
    config = ExplainStage(updates=7, batch_size=10, replay=0.5)
    plan = make_plan(config, [5] * 30, [5] * 30, seed=3)
    assert [sum(i >= 30 for (i,) in update) for update in plan.updates] == [5] * 7


def test_arms_see_rows_in_another_order() -> None:
    """Same number of rows and seed: same order, whatever the texts' lengths; replay too."""
    config = ExplainStage(updates=12, batch_size=6, replay=0.5)
    one = make_plan(config, [5] * 40, [9] * 25, seed=2)
    other = make_plan(config, list(range(1, 41)), [9] * 25, seed=2)
    assert one == other
    fewer = make_plan(config, [5] * 30, [9] * 25, seed=2)
    replay = [[i - 40 for (i,) in u if i >= 40] for u in one.updates]
    assert replay == [[i - 30 for (i,) in u if i >= 30] for u in fewer.updates]
    assert one != make_plan(config, [5] * 40, [9] * 25, seed=3)


@pytest.mark.parametrize("passes", [1, 2, 3, 4])
def test_micro_batches_change_what_an_update_sees(passes: int) -> None:
    plan = make_plan(SFTStage(updates=5, batch_size=10), [5] * 37, [], seed=0)
    slots = plan.slots(passes)
    assert len(slots) == 5 * passes
    for number, update in enumerate(plan.updates):
        merged = [i for slot in slots[number * passes : (number + 1) * passes] for i in slot]
        assert sorted(merged) == sorted(i for (i,) in update)
