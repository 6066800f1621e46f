"""Decoding many rows together: each gets what it gets alone, and nothing is read twice."""

from typing import Any

import pytest
import torch
from engine_models import PACKED, UNPACKED, VOCABULARY, Reading, greedy_alone, model_of, new_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyfirst.models.base import Sampling
from whyfirst.models.engine import beginnings, decode, kv
from whyfirst.models.engine.lines import PackedLines

tokens = st.integers(2, VOCABULARY - 1)


@st.composite
def rows(draw: st.DrawFn) -> list[list[int]]:
    """Prompts of equal or mixed length, some with a long beginning in common, some the same."""
    beginning = draw(st.lists(tokens, min_size=18, max_size=40))
    equal_lengths = draw(st.booleans())
    found: list[list[int]] = []
    for _ in range(draw(st.integers(1, 7))):
        tail = draw(st.lists(tokens, min_size=4 if equal_lengths else 1, max_size=4))
        found.append(beginning + tail if draw(st.booleans()) else tail)
    return found + found[: draw(st.integers(0, 2))]


@pytest.mark.parametrize("name", [*PACKED, *UNPACKED])
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    prompts=rows(),
    limits=st.lists(st.integers(1, 8), min_size=9, max_size=9),
    ends=st.frozensets(tokens, max_size=12),
    most=st.integers(1, 9),
    batch_tokens=st.sampled_from([1, 60, 4096]),
    ahead=st.integers(0, 3),
)
def test_each_row_continues_as_it_does_alone(
    name: str,
    monkeypatch: Any,
    prompts: list[list[int]],
    limits: list[int],
    ends: frozenset[int],
    most: int,
    batch_tokens: int,
    ahead: int,
) -> None:
    """Rows leave and enter at different times, and room has to be made again and again."""
    monkeypatch.setattr(beginnings, "_WORTH", 20)
    monkeypatch.setattr(decode, "_MOST_LINES", most)
    monkeypatch.setattr(kv, "_AHEAD", ahead)
    model = model_of(name)
    limits = limits[: len(prompts)]
    found = decode.decode(model, prompts, limits, ends, decode.greedy, batch_tokens=batch_tokens)
    for prompt, limit, row in zip(prompts, limits, found, strict=True):
        assert (row.tokens, row.finished) == greedy_alone(model, prompt, limit, ends)


def test_a_beginning_and_equal_prompts_are_read_once() -> None:
    model = new_model("llama")
    beginning = [2 + i % 40 for i in range(60)]
    prompts = [[*beginning, 2 + i % 40, 3] for i in range(40)]
    with Reading(model) as reading:
        decode.decode(model, [*prompts, *prompts], [1] * 80, frozenset(), decode.greedy)
    assert reading.tokens == 60 + 40 * 2


def test_a_row_that_ends_makes_place_for_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """One row of 30 tokens beside 20 rows of 3: not one batch after another."""
    monkeypatch.setattr(decode, "_MOST_LINES", 4)
    model = model_of("phi")
    prompts = [[2 + i, 3, 4 + i] for i in range(21)]
    limits = [30, *[3] * 20]
    with Reading(model) as reading:
        found = decode.decode(model, prompts, limits, frozenset(), decode.greedy)
    assert [len(row.tokens) for row in found] == limits
    # The long row's 29 steps carry all the short ones, three at a time; entering is a forward.
    assert reading.forwards == 29 + 1 + 6


def test_a_stop_ends_a_row_and_is_kept_in_its_tokens() -> None:
    model = model_of("gpt_neox")
    prompts = [[2, 3], [4, 5, 6]]
    free = decode.decode(model, prompts, [6, 6], frozenset(), decode.greedy)
    wanted = free[0].tokens[:2]
    found = decode.decode(
        model, prompts, [6, 6], frozenset(), decode.greedy, lambda new: new == wanted
    )
    assert (found[0].tokens, found[0].finished) == (wanted, True)
    assert found[1] == free[1]


def test_draws_belong_to_the_row_and_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is under way, and whenever the row entered."""
    model = model_of("llama")
    sampling = Sampling(max_new_tokens=6, temperature=1.0, top_p=0.9, seed=4)
    prompts = [[2 + i % 5, 3, *[4] * (i % 3)] for i in range(12)]
    names = [str(i) for i in range(12)]
    ends = frozenset(range(2, 20))
    alone = [
        decode.decode(model, [prompt], [6], ends, decode.sampler(sampling, [name]))[0]
        for prompt, name in zip(prompts, names, strict=True)
    ]
    for most in (1, 3, 12):
        monkeypatch.setattr(decode, "_MOST_LINES", most)
        choose = decode.sampler(sampling, names)
        assert decode.decode(model, prompts, [6] * 12, ends, choose) == alone
    assert len({tuple(row.tokens) for row in alone}) > 6


def test_lines_are_limited_by_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of("qwen2")  # 2 layers, keys and values of one head of 16: 256 bytes a token
    assert kv.token_bytes(model, repeated=False) == 128
    assert kv.token_bytes(model, repeated=True) == 256
    monkeypatch.setattr(decode, "room_bytes", lambda _: 3 * (10 + 5) * 256)
    assert decode._fitting(model)(10 + 5) == 3
    assert decode._fitting(model)(5 + 5) == 4, "shorter ones, more of them"
    assert decode._fitting(model)(1000) == 1, "one row runs however long it is"


@pytest.mark.parametrize("limits", [[6] * 14, [6, 1] * 7])
def test_no_more_lines_are_under_way_than_their_columns_leave_room_for(
    monkeypatch: pytest.MonkeyPatch, limits: list[int]
) -> None:
    """Longest first: the short ones at the end run side by side, and nobody is forgotten."""
    model = model_of("qwen2")
    monkeypatch.setattr(decode, "room_bytes", lambda _: 40 * 256)
    prompts = [[2 + i, *[3] * (i % 10)] for i in range(10)] + [[7, 8]] * 4
    seen: list[tuple[int, int]] = []
    step = PackedLines.step

    def watched(lines: PackedLines, tokens: torch.Tensor) -> torch.Tensor:
        seen.append((len(lines.rows), lines._room.end))
        return step(lines, tokens)

    monkeypatch.setattr(PackedLines, "step", watched)
    found = decode.decode(model, prompts, limits, frozenset(), decode.greedy)
    assert [len(row.tokens) for row in found] == limits
    assert all(lines * (columns + 1) <= 40 or lines == 1 for lines, columns in seen)
    assert max(lines for lines, _ in seen) >= 3
    for prompt, limit, row in zip(prompts, limits, found, strict=True):
        assert row.tokens == greedy_alone(model, prompt, limit, frozenset())[0]


def test_nothing_to_do_is_done_at_once() -> None:
    assert decode.decode(model_of("llama"), [], [], frozenset(), decode.greedy) == []


def test_room_is_reserved_ahead_and_not_moved_at_each_token() -> None:
    model = model_of("llama")
    room = kv.Room(2)
    room.rearrange([], 1, 3, 3)
    room.show(0, 1, 0, 0)
    model(input_ids=torch.tensor([[2, 3, 4]]), past_key_values=room, use_cache=True)
    where = room.layers[0].keys.data_ptr()
    for token in range(5, 35):
        room.end += 1 if token > 5 else 3
        model(input_ids=torch.tensor([[token]]), past_key_values=room, use_cache=True)
    assert room.layers[0].keys.data_ptr() == where
    assert room.layers[0].keys.shape[2] < 3 + 2 * kv._AHEAD
