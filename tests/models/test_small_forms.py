"""Small forms: each does what its paper says, on data small enough to see it."""

import math

import pytest
import torch
from scipy.stats import spearmanr
from tiny_models import build_tiny

from whyfirst.models.local import LocalModel
from whyfirst.models.small_forms import curved_contrastive as ccl
from whyfirst.models.small_forms.context_alignment import SegmentMixing, segment_graph
from whyfirst.models.small_forms.contrastive import WordEncoder
from whyfirst.models.small_forms.grif import Grif, info_nce
from whyfirst.models.small_forms.keyword_selector import KeywordSelector
from whyfirst.models.small_forms.label_distributions import distribution, group
from whyfirst.models.small_forms.masked_gates import KINDS, MaskedGates

TURNS = [
    "good morning",
    "how can I help",
    "my lamp is broken",
    "which lamp",
    "the tall one",
    "done",
]


def test_turn_targets_fall_with_distance_and_order_matters() -> None:
    pairs = ccl.turn_pairs(TURNS)
    first = [pair.target for pair in pairs if pair.before == TURNS[0] and pair.target > 0]
    assert first == pytest.approx([1, 0.8, 0.6, 0.4, 0.2])
    reversed_ = [p for p in pairs if TURNS.index(p.before) > TURNS.index(p.after)]
    assert len(reversed_) == len(pairs) / 2 and all(p.target == 0 for p in reversed_)


def test_nearness_in_a_fitted_space_is_turns_to_the_goal() -> None:
    torch.manual_seed(0)
    encoder = WordEncoder()
    assert ccl.train(encoder, [TURNS], updates=800) < 0.01
    near = ccl.similarity(encoder, TURNS[:-1], TURNS[-1])
    assert spearmanr(near, range(5)).statistic == pytest.approx(1)
    (forward,), (backward,) = (
        ccl.similarity(encoder, [a], b) for a, b in ((TURNS[1], TURNS[3]), (TURNS[3], TURNS[1]))
    )
    assert forward > backward + 0.3


def test_info_nce_is_0_for_perfect_pairs_and_ln_n_for_collapsed_ones() -> None:
    assert info_nce(100 * torch.eye(4)).item() == pytest.approx(0, abs=1e-6)
    assert info_nce(torch.zeros(4, 4)).item() == pytest.approx(math.log(4))


def test_grif_leaves_out_the_unlabelled_and_tells_start_from_goal() -> None:
    torch.manual_seed(0)
    model = Grif()
    told = ["open the door", "light the lamp"]
    starts, goals = ["door shut", "lamp out"], ["door open", "lamp burning"]
    more = ([*told, None], [*starts, "x"], [*goals, "y"])
    assert torch.equal(model.alignment(told, starts, goals), model.alignment(*more))
    assert model.alignment([None], ["x"], ["y"]).item() == 0
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        model.alignment(told, starts, goals).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    right = (model.instruction(told) * model.change(starts, goals)).sum(-1)
    swapped = (model.instruction(told) * model.change(goals, starts)).sum(-1)
    assert bool((right > 0.3).all()) and torch.allclose(swapped, -right, atol=1e-5)


def test_segment_graph_runs_from_data_to_prompt_only() -> None:
    edges = segment_graph(["data", "prompt", "data", "prompt"])
    assert edges.tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0.5, 0, 0.5, 0]]


def test_segment_mixing_starts_as_the_identity_and_learns_with_a_frozen_model(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    torch.manual_seed(0)
    model = LocalModel(build_tiny("llama", tmp_path_factory.mktemp("mixing")), device="cpu").model
    ids = torch.randint(0, 50, (1, 12))
    segments, edges = torch.arange(12) // 4, segment_graph(["data", "data", "prompt"])
    mixing = SegmentMixing(model.config.hidden_size)
    plain = model(input_ids=ids).logits
    with mixing.within(model.model.layers[0], segments, edges):
        assert torch.equal(model(input_ids=ids).logits, plain)
    assert torch.equal(model(input_ids=ids).logits, plain)  # the hook is gone
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    optimizer = torch.optim.Adam(mixing.parameters(), lr=5e-2)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        with mixing.within(model.model.layers[0], segments, edges):
            value = model(input_ids=ids, labels=ids).loss
        value.backward()
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < losses[0] - 0.01
    # Tokens of data segments take nothing in.
    with torch.no_grad():
        hidden = torch.randn(1, 12, model.config.hidden_size)
        assert torch.equal(mixing(hidden, segments, edges)[:, :8], hidden[:, :8])


CIRCUIT = torch.tensor([[0, 2], [1, 2], [2, 3], [3, 4], [1, 4], [4, 5]])
GATES = torch.tensor([KINDS.index(k) for k in ("input", "input", "and", "not", "and", "output")])


def test_masked_gates_are_told_back_and_the_encoder_reads_the_whole_circuit() -> None:
    torch.manual_seed(0)
    model = MaskedGates()
    seen: list[torch.Tensor] = []
    model.encoder.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].clone()))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    hidden = torch.tensor([False, False, True, True, False, False])
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        value = model.loss(GATES, CIRCUIT, hidden)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(value.item())
    assert losses[-1] < 0.1 * losses[0]
    assert all(torch.equal(kinds, GATES) for kinds in seen)


def test_the_text_says_what_a_gate_is_where_the_graph_alone_cannot() -> None:
    torch.manual_seed(0)
    model = MaskedGates()
    hidden = torch.tensor([False, False, False, True, False, False])
    texts = {"and": torch.randn(3, 32), "not": torch.randn(3, 32)}
    circuits = {name: GATES.masked_fill(hidden, KINDS.index(name)) for name in texts}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        for name, kinds in circuits.items():
            logits = model.aligned_logits(kinds, CIRCUIT, hidden, texts[name])
            torch.nn.functional.cross_entropy(logits, kinds[hidden]).backward()
        optimizer.step()

    def right(with_text: bool) -> int:
        return sum(
            model.aligned_logits(k, CIRCUIT, hidden, texts[n] if with_text else None).argmax()
            == k[hidden][0]
            for n, k in circuits.items()
        )

    assert right(True) == 2 and right(False) < 2


def test_keyword_selector_learns_what_follows_and_a_neighbour_is_likelier() -> None:
    torch.manual_seed(0)
    selector = KeywordSelector(["cat", "fur", "coat", "sea"], [(0, 1), (1, 2)])
    histories, following = [[[0]], [[0], [1]], [[3]]], [1, 2, 3]
    optimizer = torch.optim.Adam(selector.parameters(), lr=3e-2)
    for _ in range(80):
        optimizer.zero_grad()
        selector.loss(histories, following).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert selector(histories).argmax(1).tolist() == following


def test_people_who_agree_make_a_group_and_people_who_do_not_another() -> None:
    classes = ["cat", "dog"]
    assert distribution(["cat", "cat", None, "dog"], classes) == [0.5, 0.25, 0.25]
    assert group(distribution(["cat"] * 9 + ["dog"], classes)) == "must act"
    assert group(distribution([None] * 5, classes)) == "must abstain"
    assert group(distribution(["cat", "dog"], classes)) == "uncertain"
    with pytest.raises(ValueError, match="no class 'cow'"):
        distribution(["cow"], classes)
