"""Packed lines, selected positions and the loss: the same numbers as the model alone gives."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.train.collate import lay_out
from whyfirst.train.encode import Example
from whyfirst.train.loss import mean_token_loss, packing_is_exact, select_positions
from whyfirst.train.weights import load_model


def _examples() -> list[Example]:
    draw = torch.Generator().manual_seed(3)
    made = []
    for length, masked in [(5, 0), (30, 10), (1, 0), (12, 3), (40, 39), (7, 6), (22, 0)]:
        ids = torch.randint(6, 90, (length,), generator=draw).tolist()
        made.append(Example(ids, masked, length, "documents"))
    return made


def test_a_packed_line_by_hand() -> None:
    examples = [Example([10, 11, 12], 2, 3, "d"), Example([20, 21, 22, 23], 0, 4, "d")]
    tensors = lay_out(examples, 0, packed=True)
    assert tensors["attention_mask"] is None
    assert tensors["input_ids"].tolist() == [[20, 21, 22, 23, 10, 11, 12]]
    assert tensors["position_ids"].tolist() == [[0, 1, 2, 3, 0, 1, 2]]
    # Position p predicts p + 1: 20..22 predict 21..23; of the second only 12 is trained.
    assert tensors["keep"].tolist() == [[True, True, True, False, False, True, False]]
    assert tensors["labels"].tolist() == [21, 22, 23, 12]


def test_padding_restarts_positions() -> None:
    tensors = lay_out(
        [Example([9] * 50, 0, 50, "d"), Example([8] * 40, 0, 40, "d")], 0, packed=True
    )
    assert tensors["input_ids"].shape == (2, 50)
    assert tensors["position_ids"][1].tolist() == [*range(40), *range(10)]


@given(st.lists(st.tuples(st.integers(1, 70), st.integers(0, 70)), min_size=1, max_size=20))
def test_a_layout_trains_other_tokens(shapes: list[tuple[int, int]]) -> None:
    examples = [
        Example([100 * n + i for i in range(length)], min(masked, length), length, "d")
        for n, (length, masked) in enumerate(shapes, 1)
    ]
    packed, padded = (lay_out(examples, 0, packed=p) for p in (True, False))
    wanted = sorted(t for e in examples for t in e.ids[max(e.masked, 1) :])
    assert sorted(packed["labels"].tolist()) == sorted(padded["labels"].tolist()) == wanted
    before = packed["input_ids"][packed["keep"]]
    assert (packed["labels"] - before == 1).all()


@pytest.mark.parametrize("name", ["llama", "phi"])
def test_packed_documents_see_each_other(bases: dict[str, Path], name: str) -> None:
    model = load_model(bases[name]).eval()
    examples = [e for e in _examples() if len(e.ids) > 1]
    tensors = lay_out(examples, 0, packed=True)
    ids, positions = tensors["input_ids"], tensors["position_ids"]
    with torch.no_grad():
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        for example in examples:
            row, start = _find(ids, example.ids)
            alone = model(input_ids=torch.tensor([example.ids]), use_cache=False).logits[0]
            packed = logits[row, start : start + len(example.ids)]
            torch.testing.assert_close(packed, alone, atol=2e-5, rtol=1e-4)
    assert packing_is_exact(model, 0)


def _find(ids: torch.Tensor, wanted: list[int]) -> tuple[int, int]:
    windows = ids.unfold(1, len(wanted), 1)
    [(row, start), *_] = (windows == torch.tensor(wanted)).all(-1).nonzero().tolist()
    return row, start


def test_an_architecture_without_positions_is_packed(bases: dict[str, Path]) -> None:
    assert not packing_is_exact(load_model(bases["bloom"]), 0)


@pytest.mark.parametrize("name", ["llama", "phi", "bloom"])
def test_loss_and_gradients_differ_from_the_models_own(bases: dict[str, Path], name: str) -> None:
    """Reference: the model's loss example by example, summed and divided by trained tokens."""
    examples = [e for e in _examples() if e.trained]
    total = sum(e.trained for e in examples)
    reference = load_model(bases[name]).eval()
    summed = torch.tensor(0.0)
    for example in examples:
        labels = torch.tensor([[-100] * example.masked + example.ids[example.masked :]])
        own = reference(input_ids=torch.tensor([example.ids]), labels=labels).loss
        summed = summed + own * example.trained
    (summed / total).backward()

    for packed in (False,) if name == "bloom" else (False, True):
        model = load_model(bases[name]).eval()
        loss_of = mean_token_loss(select_positions(model), lambda value: pytest.fail(str(value)))
        tensors = {k: v for k, v in lay_out(examples, 0, packed=packed).items() if v is not None}
        labels = tensors.pop("labels")
        loss = loss_of(model(**tensors, total=total), labels)
        loss.backward()
        torch.testing.assert_close(loss, summed / total, atol=1e-5, rtol=1e-5)
        for mine, theirs in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad, atol=1e-5, rtol=1e-3)


def test_logits_are_computed_for_masked_positions(bases: dict[str, Path]) -> None:
    model = load_model(bases["llama"])
    select_positions(model)
    tensors = lay_out(_examples(), 0, packed=True)
    keep = tensors["keep"]
    logits = model(
        input_ids=tensors["input_ids"], position_ids=tensors["position_ids"], keep=keep, total=1
    ).logits
    assert logits.shape == (int(keep.sum()), 96)
