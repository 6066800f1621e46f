"""From examples to the tensors of one forward pass.

Two layouts that give the same loss and gradients up to rounding: `packed` lays several examples
in one line, each with positions from 0 (transformers 5 then builds a mask that keeps them apart),
and wastes little on padding; `padded` gives each its own line, for architectures where packing
does not keep examples apart (`loss.packing_is_exact` finds out). Only positions that predict a
trained token are marked in `keep`. Leaves out: padding-free layouts that need a flash kernel.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from whyfirst.train.encode import Example
from whyfirst.train.plan import pack

SHORTEST_LINE = 64
"""Tokens; on a CPU shorter lines waste padding and longer ones attention (docs/training.md)."""


def lines_of(examples: Sequence[Example], *, packed: bool) -> list[tuple[int, ...]]:
    """Which examples stand in each line, in their order."""
    # A line each: where a model lets packed examples see each other.
    if not packed:
        return [(i,) for i in range(len(examples))]
    lengths = [len(example.ids) for example in examples]
    # Best fit wants the long ones first; ties keep their order, or equal runs would differ.
    longest_first = sorted(range(len(examples)), key=lambda i: -lengths[i])
    return pack(lengths, longest_first, max(max(lengths), min(SHORTEST_LINE, sum(lengths))))


def lay_out(
    examples: Sequence[Example], pad_id: int, *, packed: bool
) -> dict[str, torch.Tensor | None]:
    """Tensors of one forward pass.

    Returns:
        input_ids (L, T); position_ids (L, T) when packed, attention_mask (L, T) when padded;
        keep (L, T) bool: the position predicts a trained token; labels (N,): those N tokens, in
        the order of `keep`.
    """
    lengths = [len(example.ids) for example in examples]
    lines = lines_of(examples, packed=packed)
    width = max(sum(lengths[i] for i in line) for line in lines)
    ids = torch.full((len(lines), width), pad_id)
    positions = torch.arange(width).repeat(len(lines), 1)
    filled = torch.zeros((len(lines), width), dtype=torch.long)
    keep = torch.zeros((len(lines), width), dtype=torch.bool)
    for row, line in enumerate(lines):
        start = 0
        for index in line:
            example, end = examples[index], start + lengths[index]
            ids[row, start:end] = torch.tensor(example.ids)
            positions[row, start:] -= positions[row, start].clone()
            # Position t predicts token t + 1: one before the first trained token, to one before the
            # last.
            keep[row, start + max(example.masked, 1) - 1 : end - 1] = True
            filled[row, start:end] = 1
            start = end
        if start < width:
            positions[row, start:] -= positions[row, start].clone()
    # The last column wraps round, and is never kept.
    following = torch.roll(ids, -1, dims=1)
    return {
        "input_ids": ids,
        "position_ids": positions if packed else None,
        "attention_mask": None if packed else filled,
        "keep": keep,
        "labels": following[keep],
    }


class SlotData(torch.utils.data.Dataset[tuple[list[Example], int]]):
    """One item a forward pass: its examples, and the trained tokens of the whole update."""

    def __init__(self, examples: Sequence[Example], slots: list[list[int]], per_update: int):
        self._examples, self._slots = examples, slots
        # Of the whole update, so that its parts add up to one mean over tokens.
        self._totals = [
            sum(examples[i].trained for slot in slots[first : first + per_update] for i in slot)
            for first in range(0, len(slots), per_update)
        ]
        self._per_update = per_update

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, at: int) -> tuple[list[Example], int]:
        return [self._examples[i] for i in self._slots[at]], self._totals[at // self._per_update]


def slot_collator(
    pad_id: int, *, packed: bool
) -> Callable[[list[tuple[list[Example], int]]], dict[str, Any]]:
    """A Trainer collator for `SlotData`: adds `total`, the trained tokens of the whole update."""

    def collate(items: list[tuple[list[Example], int]]) -> dict[str, Any]:
        [(examples, total)] = items
        tensors = lay_out(examples, pad_id, packed=packed)
        return {**{k: v for k, v in tensors.items() if v is not None}, "total": total}

    return collate
