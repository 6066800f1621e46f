"""The scoring engine: every number as computed alone, and nothing computed twice."""

from typing import Any

import numpy as np
import pytest
import torch
from engine_models import PACKED, UNPACKED, VOCABULARY, Reading, alone, model_of, new_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from whyfirst.models.engine import beginnings, score, trie
from whyfirst.models.engine.kv import lend

token = st.integers(2, 6)  # few, so that sequences often begin alike
words = st.lists(token, min_size=1, max_size=8)
Requests = list[tuple[list[int], list[list[int]]]]


@st.composite
def requests(draw: st.DrawFn) -> Requests:
    """Prompts after none, one or two long beginnings (one inside the other), padded or not."""
    outer = draw(st.lists(token, min_size=20, max_size=40))
    inner = outer + draw(st.lists(token, min_size=16, max_size=30))
    equal_lengths = draw(st.booleans())
    result: Requests = []
    for _ in range(draw(st.integers(1, 6))):
        tail = [3, 4] if equal_lengths else draw(words)
        prompt = draw(st.sampled_from([[], outer, inner])) + tail
        result.append((prompt, draw(st.lists(words, min_size=1, max_size=4))))
    return result


def largest_difference(model: Any, wanted: Requests, found: list[list[float]]) -> float:
    return max(
        abs(value - alone(model, prompt, continuation))
        for (prompt, continuations), values in zip(wanted, found, strict=True)
        for continuation, value in zip(continuations, values, strict=True)
    )


@pytest.mark.parametrize("name", [*PACKED, *UNPACKED])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted=requests(), batch_tokens=st.sampled_from([1, 90, 4096]), worth=st.integers(0, 60))
def test_each_score_is_what_the_sequence_gets_alone(
    name: str, monkeypatch: Any, wanted: Requests, batch_tokens: int, worth: int
) -> None:
    model = model_of(name)
    monkeypatch.setattr(beginnings, "_WORTH", worth)  # so that a few prompts are worth sharing
    found = score.score(model, wanted, batch_tokens, packed=name in PACKED)
    assert largest_difference(model, wanted, found) <= 1e-4


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", [*PACKED, *UNPACKED])
def test_which_models_are_packed(name: str, attention: str) -> None:
    assert score.packs_exactly(model_of(name, attention)) == (name in PACKED)


@pytest.mark.parametrize("kind", ["linear", "dynamic"])
def test_rotations_that_depend_on_the_length_are_not_packed(kind: str) -> None:
    """A probe of a few tokens can't notice them: they change at the context's original length."""
    from tiny_models import config_of
    from transformers import LlamaForCausalLM

    config = config_of("llama", VOCABULARY)
    config.rope_parameters = {"rope_type": kind, "factor": 2.0, "rope_theta": 1e4}
    assert score.packs_exactly(LlamaForCausalLM(config).eval()) == (kind == "linear")


def test_a_model_that_packing_would_score_wrongly_is_found_out() -> None:
    """A layer that looks at its neighbours' numbers, as recurrent ones do, and says so nowhere."""
    model = new_model("llama")

    def mix(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        return output + output.roll(1, dims=1)

    assert score.packs_exactly(model)
    model.model.layers[0].mlp.register_forward_hook(mix)
    assert not score.packs_exactly(model)


def test_sixteen_bit_scores_stay_near() -> None:
    model = new_model("llama").to(torch.bfloat16)
    assert score.packs_exactly(model)
    wanted: Requests = [([2, 3, 4, 5], [[6, 7], [6, 8, 9]]), ([5] * 30, [[6]])]
    assert largest_difference(model, wanted, score.score(model, wanted, 64, packed=True)) < 0.2


def few_shot(questions: int, seed: int = 0) -> tuple[list[int], Requests]:
    """A preamble, and questions with three answers that have no beginning in common."""
    draw = np.random.default_rng(seed)
    preamble = draw.integers(2, VOCABULARY, 60).tolist()
    wanted: Requests = []
    for number in range(questions):
        prompt = [*preamble, 2 + number % (VOCABULARY - 2), *draw.integers(2, VOCABULARY, 3)]
        answers = [[answer, *draw.integers(2, VOCABULARY, 3)] for answer in (2, 3, 4)]
        wanted.append(([int(t) for t in prompt], [[int(t) for t in a] for a in answers]))
    return preamble, wanted


def test_preamble_and_questions_are_read_once() -> None:
    model = new_model("llama")
    _, wanted = few_shot(40)
    with Reading(model) as reading:
        found = score.score(model, wanted, 256, packed=True)
    # 60 of the preamble, 4 of each question, 3 of each answer (its last token is only predicted).
    assert reading.tokens == 60 + 40 * (4 + 3 * 3)
    assert largest_difference(model, wanted, found) <= 1e-4


def test_a_preamble_is_read_once_for_several_calls() -> None:
    model = new_model("llama")
    _, wanted = few_shot(80)
    score.score(model, wanted[:40], 256, packed=True)
    with Reading(model) as reading:
        found = score.score(model, wanted[40:], 256, packed=True)
    assert reading.tokens == 1 + 40 * (4 + 3 * 3), "one token to see whether it still holds"
    assert largest_difference(model, wanted[40:], found) <= 1e-4


def test_what_three_calls_begin_with_is_read_twice_at_most() -> None:
    """The first call's questions may happen to begin alike for longer than the others' do."""
    model = new_model("llama")
    preamble, wanted = few_shot(120)
    first = [([*preamble, 2, 2, *prompt[60:]], answers) for prompt, answers in wanted[:40]]
    for part in (first, wanted[40:80]):
        score.score(model, part, 256, packed=True)
    with Reading(model) as reading:
        found = score.score(model, wanted[80:], 256, packed=True)
    assert reading.tokens == 1 + 40 * (4 + 3 * 3)
    assert largest_difference(model, wanted[80:], found) <= 1e-4


@pytest.mark.parametrize("change", ["in place", "data", "hook", "replaced"])
def test_a_changed_model_does_not_get_the_old_preamble(change: str) -> None:
    model = new_model("llama")
    _, wanted = few_shot(20)
    score.score(model, wanted, 4096, packed=True)
    layer = model.model.layers[0].self_attn.v_proj
    if change == "in place":
        with torch.no_grad():
            layer.weight.mul_(1.1)
    elif change == "data":
        layer.weight.data = layer.weight * 1.1
    elif change == "hook":
        layer.register_forward_hook(lambda *given: given[2] * 1.1)
    else:
        model.model.layers[0].mlp = model.model.layers[1].mlp
    found = score.score(model, wanted, 4096, packed=True)
    assert largest_difference(model, wanted, found) <= 1e-4


def test_one_question_in_two_requests_is_read_once() -> None:
    model = new_model("llama")
    with Reading(model) as reading:
        found = score.score(model, [([2, 3, 4], [[5]]), ([2, 3, 4], [[6, 7], [5]])], 64, True)
    assert reading.tokens == 3 + 1
    assert found[0][0] == found[1][1]


def test_a_long_prompt_is_read_once_for_more_continuations_than_a_line_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(score, "_ROW_TOKENS", 8)
    model = new_model("phi")
    prompt = [2 + i % 40 for i in range(110)]
    wanted: Requests = [(prompt, [[2 + i, 3, 4 + i, 5] for i in range(12)])]
    with Reading(model) as reading:
        found = score.score(model, wanted, 4096, packed=True)
    assert reading.tokens < 110 + 12 * (1 + 4)
    assert largest_difference(model, wanted, found) <= 1e-4


@pytest.mark.parametrize("name", ["llama", "cohere"])
def test_memory_limits_change_no_score(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few lines at a time, the output layer in slices where it may be (not with scaled logits)."""
    model = model_of(name)
    _, wanted = few_shot(30)
    monkeypatch.setattr(score, "_WHOLE_LOGIT_NUMBERS", 20 * VOCABULARY)
    monkeypatch.setattr(score, "_LOGIT_NUMBERS", 7 * VOCABULARY)
    monkeypatch.setattr(score, "room_bytes", lambda _: 3 * 80 * 2 * 32 * 4)
    assert score._output_layer_is_last(model) == (name == "llama")
    lines: list[int] = []
    inner = score._score_rows
    monkeypatch.setattr(
        score,
        "_score_rows",
        lambda m, rows, *more: (lines.append(len(rows)), inner(m, rows, *more)),
    )
    found = score.score(model, wanted, 4096, packed=True)
    assert max(lines) == {"llama": 3, "cohere": 2}[name]
    assert largest_difference(model, wanted, found) <= 1e-4


def test_a_lent_beginning_leaves_no_copies_behind() -> None:
    model = model_of("llama")
    states = beginnings.run(model, [2, 3, 4, 5])
    cache = lend(states)
    model(input_ids=torch.full((50, 3), 6), past_key_values=cache, use_cache=True)
    assert cache.get_seq_length() == 4
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert held == 2 * 2 * 4 * 16, "2 layers, keys and values, 4 tokens, one head of 16"


def test_the_tree_of_four_continuations() -> None:
    """[1, 2] then 3 4 5 | 3 4 6 7 | 3 | 8: nodes 1 2 3 4 6, worked out by hand."""
    row = trie.build([1, 2], [[3, 4, 5], [3, 4, 6, 7], [3], [8]], [10, 11, 12, 13])
    assert row.tokens == [1, 2, 3, 4, 6]
    assert row.depths == [0, 1, 2, 3, 4]
    assert row.ends == [5, 5, 5, 5, 5] and not row.branches
    scored = list(zip(row.predictors, row.targets, strict=True))
    assert scored == [(1, 3), (1, 8), (2, 4), (3, 5), (3, 6), (4, 7)]
    words_of = {
        place: [row.targets[edge] for edge in path]
        for place, path in zip(row.places, row.paths, strict=True)
    }
    assert words_of == {10: [3, 4, 5], 11: [3, 4, 6, 7], 12: [3], 13: [8]}


def test_a_node_sees_its_ancestors_and_no_cousin() -> None:
    row = trie.build([1], [[2, 3, 9], [4, 5, 9]], [0, 1])
    assert row.tokens == [1, 2, 3, 4, 5] and row.ends == [5, 3, 3, 5, 5] and row.branches
    seen = trie.mask(torch.tensor([[*row.ends, 0]]), past=1, dtype=torch.float32)[0, 0] == 0
    wanted = ["1100000", "1110000", "1111000", "1100100", "1100110"]
    assert ["".join(str(int(x)) for x in line) for line in seen[:5]] == wanted


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=6), st.lists(words, min_size=1, max_size=9))
def test_a_tree_keeps_every_continuation(prompts: list[list[int]], tails: list[list[int]]) -> None:
    prompt = prompts[0]
    row = trie.build(prompt, tails, range(len(tails)))
    assert sorted(row.places) == list(range(len(tails)))
    for path, place in zip(row.paths, row.places, strict=True):
        assert [row.targets[edge] for edge in path] == tails[place]
    prefixes = {tuple(tail[:size]) for tail in tails for size in range(1, len(tail))}
    assert len(row.tokens) == len(prompt) + len(prefixes), "each beginning once"
    assert row.predictors == sorted(row.predictors)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=requests(), worth=st.integers(0, 60))
def test_a_plan_places_each_prompt_once_after_its_own_beginning(
    monkeypatch: Any, wanted: Requests, worth: int
) -> None:
    monkeypatch.setattr(beginnings, "_WORTH", worth)
    prompts = [prompt for prompt, _ in wanted]
    groups = beginnings.plan(prompts)
    assert sorted(m for group in groups for m in group.members) == list(range(len(prompts)))
    for number, group in enumerate(groups):
        for member in group.members:
            assert len(group.beginning) < len(prompts[member])
            assert tuple(prompts[member][: len(group.beginning)]) == group.beginning
        if group.parent is not None:
            assert group.parent < number
            outer = groups[group.parent].beginning
            assert group.beginning[: len(outer)] == outer
            assert len(group.beginning) - len(outer) >= 16


def test_beginnings_inside_beginnings_are_found() -> None:
    system = list(range(100, 150))
    templates = [[*system, *range(200 + 100 * t, 240 + 100 * t)] for t in range(3)]
    prompts = [[*template, 900 + i, 7] for template in templates for i in range(30)]
    groups = beginnings.plan([*prompts, [1, 2]])
    assert [group.beginning for group in groups] == [(), tuple(system), *map(tuple, templates)]
    assert [group.parent for group in groups] == [None, 0, 1, 1, 1]
    assert [len(group.members) for group in groups] == [1, 0, 30, 30, 30]
