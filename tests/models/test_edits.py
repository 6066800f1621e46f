"""Edits and surgeries of published systems: identities, hand-computed values, a truth table."""

import itertools
import json
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from tiny_models import build_tiny

from whyfirst.config.errors import UserError
from whyfirst.config.room import Use
from whyfirst.models.edits import EDITS, SURGERIES
from whyfirst.models.edits.activation_reasoning import reasoned, threshold
from whyfirst.models.edits.recover_alignment import recover_alignment
from whyfirst.models.edits.repe import directions
from whyfirst.models.edits.restoring import direction, eligible, largest, misaligned
from whyfirst.models.edits.rules import chain, parse
from whyfirst.models.edits.trade_off import fit
from whyfirst.models.hooks import reading
from whyfirst.models.local import LocalModel


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(build_tiny("llama", tmp_path_factory.mktemp("edits")), device="cpu")


def lines(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


def edit(model: LocalModel, name: str, **options: Any) -> Any:
    return EDITS.make(Use.model_validate({"name": name, **options}))(model)


def stream(model: LocalModel, layer: int = 1) -> torch.Tensor:
    ids = torch.tensor(model.encode_prompts(["may I borrow"]))
    with torch.no_grad(), reading(model.model) as states:
        model.model(input_ids=ids)
    return states[layer][0]


PAIRS = [
    {"towards": "may I borrow the lantern", "away_from": "others walk that road"},
    {"towards": "why does it sing", "away_from": "the water boils"},
    {"towards": "Yes, if you bring it back", "away_from": "numbers 3.14159"},
]


@pytest.mark.parametrize("reader", ["means", "pca"])
def test_representation_is_pushed_otherwise(tiny: LocalModel, tmp_path: Path, reader: str) -> None:
    pairs = lines(tmp_path, "pairs", PAIRS)
    before = stream(tiny)
    options: dict[str, Any] = {"pairs": pairs, "layers": [1], "reader": reader}
    with edit(tiny, "repe", coefficient=0.0, **options):
        assert torch.equal(stream(tiny), before)
    with edit(tiny, "repe", coefficient=3.0, **options):
        moved = stream(tiny) - before
    assert torch.equal(stream(tiny), before)  # no hook is left
    assert torch.allclose(moved.norm(dim=-1), torch.tensor(3.0), atol=1e-5)
    found = directions(tiny, Path(pairs), (1,), reader)[1]
    assert torch.allclose(moved, (3 * found).expand_as(moved), atol=1e-5)


def test_first_component_of_equal_differences_is_no_mean(tiny: LocalModel, tmp_path: Path) -> None:
    pairs = Path(lines(tmp_path, "pairs", PAIRS[:1] * 3))
    means, pca = (directions(tiny, pairs, (0,), reader)[0] for reader in ("means", "pca"))
    assert torch.allclose(means, pca, atol=1e-4)
    same = lines(tmp_path, "same", [{"towards": "may", "away_from": "may"}])
    with pytest.raises(UserError, match="don't differ after layer 0"):
        directions(tiny, Path(same), (0,), "means")
    with (
        pytest.raises(UserError, match="no layer 7: the model has layers 0 to 1"),
        edit(tiny, "repe", pairs=str(pairs), layers=[7], coefficient=1.0),
    ):
        pass


def test_coefficient_is_elsewhere_than_where_margins_meet(tiny: LocalModel, tmp_path: Path) -> None:
    sweep = (0.5, 1.0, 2.0)
    found = fit(sweep, [3 * r for r in sweep], [0.5 * r**2 for r in sweep])
    assert (found.slope, found.curvature, found.best) == pytest.approx((3, 0.5, 3))
    with pytest.raises(UserError, match="no coefficient is best"):
        _ = fit(sweep, [-r for r in sweep], [r**2 for r in sweep]).best
    pairs = lines(tmp_path, "pairs", PAIRS)
    with (
        pytest.raises(UserError, match="coefficient: give it, or `preferences`"),
        edit(tiny, "repe", pairs=pairs, layers=[1]),
    ):
        pass


@pytest.mark.parametrize("idle", ["preferences", "demonstrations", "sweep"])
def test_a_sweep_beside_a_coefficient_is_never_made(
    tiny: LocalModel, tmp_path: Path, idle: str
) -> None:
    """Files that aren't there were taken, since nobody read them."""
    given: dict[str, Any] = {idle: [7.0] if idle == "sweep" else str(tmp_path / "not_there")}
    pairs = lines(tmp_path, "pairs", PAIRS)
    with (
        pytest.raises(UserError, match=f"{idle}: has no effect beside `coefficient`"),
        edit(tiny, "repe", pairs=pairs, layers=[1], coefficient=1.0, **given),
    ):
        pass


def test_loss_of_a_random_direction_is_not_quadratic() -> None:
    torch.manual_seed(0)
    logits = torch.randn(64, dtype=torch.float64)
    logits[0] = 12.0  # the paper's case: one token dominates
    reads = torch.randn(200_000, 64, dtype=torch.float64)
    reads = torch.cat([reads, -reads])  # random directions, each with its opposite

    def loss(r: float) -> float:
        return float((logits.softmax(0)[0] - (logits + r * reads).softmax(1)[:, 0]).mean())

    assert loss(0.002) / loss(0.001) == pytest.approx(4, abs=1e-3)


NAMES = "abcdef"


def test_chaining_differs_from_the_truth_table() -> None:
    draw = Random(0)
    for _ in range(60):
        texts = []
        for _ in range(draw.randint(1, 6)):
            given = draw.sample(NAMES, draw.randint(1, 3))
            texts.append(f"{' & '.join(given)} -> {draw.choice(NAMES)}")
        rules = [parse(text) for text in texts]
        detected = {name: draw.random() < 0.4 for name in NAMES}
        # The least model: what holds in every assignment that has the facts and keeps the rules.
        models = []
        for bits in itertools.product([False, True], repeat=len(NAMES)):
            world = dict(zip(NAMES, bits, strict=True))
            facts = all(world[n] for n in NAMES if detected[n])
            if facts and all(world[r.then] or not all(map(world.get, r.given)) for r in rules):
                models.append(world)
        least = {name: all(world[name] for world in models) for name in NAMES}
        assert chain(rules, detected) == least
        tensors = {name: torch.tensor([value]) for name, value in detected.items()}
        assert {n: bool(v) for n, v in chain(rules, tensors).items()} == least


def test_not_asks_what_follows() -> None:
    rules = [parse("a -> b"), parse("a & !b -> c"), parse("a & !d -> e")]
    found = chain(rules, {"a": True, "d": True})
    assert found == {"a": True, "b": True, "c": True, "d": True, "e": False}
    with pytest.raises(UserError, match="'a or b' is no rule"):
        parse("a or b")


def test_stream_moves_by_another_length_than_alpha() -> None:
    stream = torch.randn(2, 5, 8)
    stream[..., 0] = torch.tensor([2.0, -2, 2, -2, 2])
    axis = torch.eye(8)
    detectors = {"a": (axis[0], 0.0), "b": (axis[1], 1e9)}
    moved = reasoned(stream, detectors, [parse("a -> b")], {"b": 1.0}, 0.5) - stream
    length = stream.norm(dim=-1)
    on = stream[..., 0] > 0
    assert torch.allclose(moved.norm(dim=-1), torch.where(on, 0.5 * length, 0.0), atol=1e-5)
    assert torch.allclose(moved[on][:, 1], 0.5 * length[on], atol=1e-5)
    # Without the rule nothing follows, and no bit changes.
    assert torch.equal(reasoned(stream, detectors, [], {"b": 1.0}, 0.5), stream)


def test_threshold_is_no_best_cut() -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, 5.0, 6.0])
    assert threshold(scores, torch.tensor([False, False, True, True, True])) == 1.5
    assert threshold(torch.tensor([1.0, 1.0]), torch.tensor([True, False])) == 1.0


def test_reasoning_in_a_model_leaves_something_behind(tiny: LocalModel, tmp_path: Path) -> None:
    rows = [{"text": "may I borrow", "concepts": ["ask"]}, {"text": "others walk", "concepts": []}]
    options: dict[str, Any] = {"examples": lines(tmp_path, "x", rows), "layer": 1}
    before = stream(tiny)
    with edit(tiny, "activation_reasoning", **options, rules=["ask -> ask"], steer={"ask": 1.0}):
        moved = stream(tiny) - before
    # Its own last token is what the concept was read from.
    assert float(moved[-1].norm() / before[-1].norm()) == pytest.approx(0.5, abs=1e-5)
    assert torch.equal(stream(tiny), before)
    with (
        pytest.raises(UserError, match="no example has the concept other"),
        edit(tiny, "activation_reasoning", **options, rules=["other -> ask"], steer={"ask": 1.0}),
    ):
        pass


def test_a_concept_without_a_direction_is_never_seen(tiny: LocalModel, tmp_path: Path) -> None:
    rows = [{"text": "may I borrow", "concepts": ["ask"]}, {"text": "may I borrow", "concepts": []}]
    options = {"layer": 1, "rules": ["ask -> ask"], "steer": {"ask": 1.0}}
    with (
        pytest.raises(UserError, match="'ask' has no direction: its texts don't differ"),
        edit(tiny, "activation_reasoning", examples=lines(tmp_path, "x", rows), **options),
    ):
        pass


def test_nothing_measured_is_a_coefficient() -> None:
    with pytest.raises(UserError, match="no coefficient is best"):
        _ = fit([1.0, 2.0], [float("nan"), 1.0], [1.0, 4.0]).best


# -- surgeries -----------------------------------------------------------------------------------

ROWS = [
    {"prompt": "may I borrow the lantern", "harmful": True},
    {"prompt": "why does it sing", "harmful": True},
    {"prompt": "the water", "harmful": False, "completion": " boils and walk"},
]


@pytest.fixture
def two(tmp_path: Path) -> tuple[Any, Any, Any]:
    """A tuned model, the aligned one it came from, and their tokenizer."""
    aligned = LocalModel(build_tiny("llama", tmp_path), device="cpu")
    tuned = LocalModel(tmp_path, device="cpu").model
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in tuned.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return tuned, aligned.model, aligned.tokenizer


def recover(two: tuple[Any, Any, Any], **options: Any) -> Any:
    tuned, aligned, tokenizer = two
    options = {"drop": 1.0, **options}
    return recover_alignment(tuned, aligned, rows=ROWS, tokenizer=tokenizer, **options)


def test_rate_of_nothing_changes_a_weight_and_all_leaves_one(two: Any) -> None:
    tuned, aligned, _ = two
    before = {n: w.clone() for n, w in tuned.state_dict().items()}
    recover(two, rate=0.0, steps=2)
    assert all(torch.equal(w, before[n]) for n, w in tuned.state_dict().items())
    recover(two, rate=1.0, steps=1)
    for name, weight in tuned.named_parameters():
        now, was, there = weight.detach(), before[name], aligned.get_parameter(name)
        if name not in eligible(tuned):
            assert torch.equal(now, was)
        else:
            assert bool(((now == there) | (now == was)).all())
            assert bool((now == there).any())


def test_a_restored_weight_raises_the_loss(two: Any) -> None:
    tuned, aligned, tokenizer = two
    prompts = [tokenizer(row["prompt"])["input_ids"] for row in ROWS[:2]]
    towards = direction(aligned, prompts).detach()
    places = eligible(tuned)
    slopes = misaligned(tuned, prompts, towards, places)
    now = {n: tuned.get_parameter(n).detach() for n in places}
    to = {n: aligned.get_parameter(n).detach() for n in places}
    total = sum(w.numel() for w in now.values())
    masks = largest(slopes, now, to, 50)
    assert sum(int(m.sum()) for m in masks.values()) == 50
    for name, mask in masks.items():
        assert bool((((to[name] - now[name]) * slopes[name])[mask] < 0).all())
    every = largest(slopes, now, to, total)  # more than there are: all that lower the loss
    left = [((to[n] - now[n]) * slopes[n])[~m] for n, m in every.items()]
    assert all(bool((rest >= 0).all()) for rest in left)
    equal = {n: torch.ones_like(w) for n, w in now.items()}
    assert sum(int(m.sum()) for m in largest(equal, now, to, 7).values()) == 7


def test_direction_is_no_nearer_after_each_step(two: Any) -> None:
    tuned, aligned, tokenizer = two
    prompts = [tokenizer(row["prompt"])["input_ids"] for row in ROWS[:2]]
    towards = direction(aligned, prompts).detach()

    def near() -> float:
        return float(torch.cosine_similarity(direction(tuned, prompts), towards, dim=0))

    seen = [near()]
    for _ in range(3):
        recover(two, rate=0.002, steps=1)
        seen.append(near())
    assert all(a < b for a, b in itertools.pairwise(seen))


@pytest.mark.parametrize("warm_up", [1, 5])
def test_the_tasks_floor_is_broken(two: Any, warm_up: int) -> None:
    """With fewer steps than the warm-up the task was never looked at."""
    from whyfirst.models.edits.restoring import Prompts

    tuned, _, tokenizer = two
    with torch.no_grad():  # far from the aligned model, so that going back costs the task
        for weight in tuned.parameters():
            weight += 0.5 * torch.randn_like(weight)
    ids = torch.tensor([tokenizer("the water")["input_ids"]])
    with torch.no_grad():
        more = tuned.generate(ids, max_new_tokens=24, do_sample=False, pad_token_id=1)
    said = tokenizer.decode(more[0, ids.shape[1] :])
    rows = [*ROWS[:2], {"prompt": "the water", "harmful": False, "completion": said}]
    prompts = Prompts(tokenizer, rows)
    before = prompts.accuracy(tuned)
    options: dict[str, Any] = {"rate": 1.0, "steps": 3, "warm_up": warm_up, "drop": 0.0}
    freely = recover_alignment(
        deepcopy(tuned), two[1], rows=rows, tokenizer=tokenizer, **{**options, "drop": 1.0}
    )
    assert prompts.accuracy(freely) < before  # without a floor it would be lost
    recover_alignment(tuned, two[1], rows=rows, tokenizer=tokenizer, **options)
    assert prompts.accuracy(tuned) >= before
    with pytest.raises(UserError, match="row 1: a prompt that is not harmful needs a completion"):
        Prompts(tokenizer, [{"prompt": "x", "harmful": False}])


def test_arithmetic_by_hand(two: Any) -> None:
    tuned, aligned, _ = two
    before = {n: w.detach().clone() for n, w in tuned.named_parameters()}
    SURGERIES.make(Use(name="task_arithmetic", rate=0.0))(tuned, aligned)
    assert all(torch.equal(w, before[n]) for n, w in tuned.named_parameters())
    SURGERIES.make(Use(name="task_arithmetic", rate=0.5))(tuned, aligned)
    for name, weight in tuned.named_parameters():
        torch.testing.assert_close(weight, (before[name] + aligned.get_parameter(name)) / 2)
    SURGERIES.make(Use(name="task_arithmetic", rate=1.0))(tuned, aligned)
    for name, weight in tuned.named_parameters():
        torch.testing.assert_close(weight, aligned.get_parameter(name))
