"""Token sequences that begin alike: which beginnings to compute once, and keeping the results.

A few-shot preamble, a system message or a jailbreak template is read once for all prompts that
begin with it, beginnings inside beginnings included, and the outermost one is kept for the next
call. Leaves out: what is computed after a beginning (`score`, `decode`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from transformers import DynamicCache

from whyfirst.models.engine.kv import KeysValues

_SHORTEST = 16  # tokens of a beginning
_WORTH = 512  # tokens it must save: a beginning costs a run of its own and splits batches
_KEEP_BYTES = 2**28  # of keys and values kept between calls


@dataclass
class Group:
    """Prompts that begin alike.

    Args:
        beginning: their shared tokens; shorter than each of them.
        parent: number of the group whose beginning this one's starts with, or None.
        members: numbers of the prompts that belong to no group inside this one.
    """

    beginning: tuple[int, ...]
    parent: int | None
    members: list[int]


def common_length(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences begin with in common."""
    for place, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return place
    return min(len(a), len(b))


def plan(prompts: Sequence[Sequence[int]]) -> list[Group]:
    """Which beginnings to compute once; parents come before their children, depth first.

    The first group has whatever fits no other. Prompts have at least one token.
    """
    arrays = [np.asarray(prompt, dtype=">u4") for prompt in prompts]
    # Big-endian bytes sort as the numbers do, so that prompts which begin alike lie together.
    order = sorted(range(len(prompts)), key=lambda number: arrays[number].tobytes())
    shared = np.zeros(len(prompts), dtype=np.int64)  # with the one before, in this order
    for place in range(1, len(order)):
        a, b = arrays[order[place - 1]], arrays[order[place]]
        # One short of the shorter prompt at most: each keeps a token of its own to be read.
        most = min(len(a), len(b)) - 1
        different = np.flatnonzero(a[:most] != b[:most])
        shared[place] = different[0] if len(different) else most
    groups = [Group((), None, [])]
    waiting = [(0, len(order), 0)]
    while waiting:
        low, high, parent = waiting.pop()
        used, inner = len(groups[parent].beginning), shared[low + 1 : high]
        # What it can save at most; below that, looking further down saves nothing either.
        if high - low < 2 or (high - low - 1) * (inner.max() - used) < _WORTH:
            groups[parent].members += order[low:high]
            continue
        length = int(inner.min())
        if length - used >= _SHORTEST and (high - low - 1) * (length - used) >= _WORTH:
            groups.append(Group(tuple(prompts[order[low]][:length]), parent, []))
            parent = len(groups) - 1
        cuts = [low, *(low + 1 + np.flatnonzero(inner == length)).tolist(), high]
        # Last first, since the stack turns the order round: groups come out depth first.
        waiting += [(a, b, parent) for a, b in zip(cuts[-2::-1], cuts[:0:-1], strict=True)]
    return groups


def computed(model: Any, groups: Sequence[Group]) -> Iterator[tuple[Group, KeysValues | None]]:
    """Each group with its beginning's keys and values (None where it has no beginning).

    Only those of the group's ancestors are held at a time; a beginning that all other groups are
    inside of is kept for the next call.
    """
    held: dict[int, KeysValues] = {}
    # With several outermost ones there is no telling which the next call will want.
    only_outermost = sum(group.parent == 0 for group in groups) == 1
    for number, group in enumerate(groups):
        ancestors, parent = set(), group.parent
        while parent is not None:
            ancestors.add(parent)
            parent = groups[parent].parent
        held = {n: states for n, states in held.items() if n in ancestors}
        if group.parent == 0 and only_outermost:
            held[number] = _remembered(model, group.beginning)
        elif group.parent is not None:
            held[number] = run(model, group.beginning, held.get(group.parent))
        if group.members:
            yield group, held.get(number)


def run(model: Any, tokens: Sequence[int], inside: KeysValues | None = None) -> KeysValues:
    """Keys and values of `tokens`, of which `inside` has the first ones already."""
    done = inside.length if inside is not None else 0
    cache = DynamicCache(None if inside is None else list(inside.layers))
    ids = torch.tensor([list(tokens[done:])], dtype=torch.long, device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return KeysValues([(layer.keys, layer.values) for layer in cache.layers])


@dataclass(frozen=True)
class _Kept:
    """A beginning and how to tell that the model would still compute it so.

    Args:
        states: keys and values of all its tokens, the last of which was run alone.
        stamp: see `_stamp`.
    """

    tokens: tuple[int, ...]
    states: KeysValues
    stamp: list[tuple[int, int]]


_kept: WeakKeyDictionary[Any, _Kept] = WeakKeyDictionary()


def _remembered(model: Any, tokens: tuple[int, ...]) -> KeysValues:
    """`run(model, tokens)`, starting from what the last call left if that still holds."""
    old = _kept.pop(model, None)
    if old is not None:
        # The same parameters unwritten, and the last token comes out the same to the bit: that
        # catches what leaves no trace on the parameters, hooks and adapters switched on or off.
        again = old.stamp == _stamp(model) and run(
            model, old.tokens, old.states.first(len(old.tokens) - 1)
        )
        old = old if again and again.equal(old.states) else None
    same = common_length(old.tokens, tokens) if old is not None else 0
    if old is not None and same == len(old.tokens):
        _kept[model] = old
        return run(model, tokens, old.states) if same < len(tokens) else old.states
    # What two calls share, the third probably shares as well: keep that much and no more.
    kept = tokens[:same] if same >= _SHORTEST else tokens
    states = run(model, kept, run(model, kept[:-1]))
    if states.bytes <= _KEEP_BYTES:
        _kept[model] = _Kept(kept, states, _stamp(model))
    return run(model, tokens, states) if len(kept) < len(tokens) else states


def _stamp(model: Any) -> list[tuple[int, int]]:
    return [
        (weights.data_ptr(), 0 if weights.is_inference() else weights._version)
        for weights in model.parameters()
    ]
