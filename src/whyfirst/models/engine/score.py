"""Log-likelihoods of continuations, computing every shared token once.

The continuations of one prompt form a tree in one line of a batch (`trie`); what several prompts
begin with is run once and lent to every line (`beginnings`); only positions that predict a scored
token reach the output layer. Models whose attention can't be told so (sliding windows, recurrent
layers, position read from the mask) are scored one continuation a line; `packs_exactly` finds
out. Leaves out: tokenising (see `local`).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from whyfirst.models.engine import beginnings, trie
from whyfirst.models.engine.batching import batches
from whyfirst.models.engine.beginnings import Group
from whyfirst.models.engine.kv import KeysValues, lend, room_bytes, token_bytes

Request = tuple[Sequence[int], Sequence[Sequence[int]]]

_ROW_TOKENS = 512  # a line's continuations; masks grow with the square of it
_LOGIT_NUMBERS = 2**22  # logits held at once where the output layer can be run in parts
_WHOLE_LOGIT_NUMBERS = 2**25  # and where it can't (128 MiB in float32)


@torch.inference_mode()
def score(
    model: Any, requests: Sequence[Request], batch_tokens: int, packed: bool
) -> list[list[float]]:
    """Summed log-probability of each continuation of each request.

    Args:
        requests: (prompt ids, continuations' ids), neither ever empty.
        batch_tokens: most tokens computed at once, padding included.
        packed: share computation within and between requests (see `packs_exactly`).
    """
    pieces = _pieces(requests, packed)
    prompts = [prompt for prompt, _, _ in pieces]
    groups = beginnings.plan(prompts) if packed else [Group((), None, [*range(len(pieces))])]
    flat = np.full(sum(len(continuations) for _, continuations in requests), np.nan)
    outputs = sum(len(tokens) for _, continuations, _ in pieces for tokens in continuations)
    vocabulary = model.config.get_text_config().vocab_size
    in_parts = outputs * vocabulary > _WHOLE_LOGIT_NUMBERS and _output_layer_is_last(model)
    for group, states in beginnings.computed(model, groups):
        skip = len(group.beginning)
        rows = [
            trie.build(prompt[skip:], continuations, places)
            for prompt, continuations, places in (pieces[number] for number in group.members)
        ]
        sizes = [len(row.tokens) for row in rows]
        limit = _most_rows(model, rows, skip, in_parts)
        for batch in batches(sizes, batch_tokens, limit, full_enough=limit):
            _score_rows(model, [rows[index] for index in batch], states, in_parts, flat)
    in_order = iter(flat.tolist())
    return [[next(in_order) for _ in continuations] for _, continuations in requests]


@torch.inference_mode()
def packs_exactly(model: Any) -> bool:
    """Whether packed scoring gives this model's one-by-one scores; costs a few tiny forwards."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "attention_chunk_size", None):
        return False
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return False
    # Rotations that depend on how long the longest line is: a beginning alone turns otherwise.
    rope = str(getattr(config, "rope_parameters", None))
    if "'dynamic'" in rope or "'longrope'" in rope:
        return False
    # Any tokens; the smallest vocabularies have fewer than the numbers here.
    top = config.vocab_size - 1
    beginning = [1 + i * 7919 % top for i in range(16)]
    first = ([*beginning, 1 % top], [[2 % top, 3 % top, 4 % top], [2 % top, 6 % top], [5 % top]])
    second = ([*beginning, 7 % top, 8 % top], [[9 % top], [4 % top, 2 % top, 9 % top]])
    try:
        states = beginnings.run(model, beginning)
        together = np.full(5, np.nan)
        rows = [
            trie.build(prompt[16:], continuations, places)
            for (prompt, continuations), places in ((first, (0, 1, 2)), (second, (3, 4)))
        ]
        _score_rows(model, rows, states, False, together)
        alone = np.concatenate(score(model, [first, second], 4096, packed=False))
    except (ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError, IndexError):
        return False
    # Half precision rounds the two ways of computing differently.
    difference = np.abs(together - alone).max()
    return bool(difference < (1e-4 if model.dtype == torch.float32 else 0.1))


def _pieces(
    requests: Sequence[Request], packed: bool
) -> list[tuple[tuple[int, ...], list[Sequence[int]], list[int]]]:
    """What one line each has: (prompt, continuations, their places in the result)."""
    wanted: dict[Any, tuple[tuple[int, ...], list[tuple[tuple[int, ...], int]]]] = {}
    place = 0
    for prompt, continuations in requests:
        own = tuple(prompt)
        for tokens in continuations:
            # A line each where a model can't keep continuations apart.
            key = own if packed else place
            wanted.setdefault(key, (own, []))[1].append((tuple(tokens), place))
            place += 1
    pieces = []
    for prompt, all_of_it in wanted.values():
        size = _ROW_TOKENS + 1
        for tokens, at in sorted(all_of_it):
            size += len(tokens)
            if size > _ROW_TOKENS:  # cut where a line would get too long
                pieces.append((prompt, list[Sequence[int]](), list[int]()))
                size = len(tokens)
            pieces[-1][1].append(tokens)
            pieces[-1][2].append(at)
    return pieces


def _most_rows(model: Any, rows: Sequence[trie.Row], past: int, in_parts: bool) -> int:
    """How many lines may be computed at once for the sake of memory."""
    limit = len(rows)
    # Kernels repeat a lent beginning for every line while they run.
    if past:
        longest = past + max(len(row.tokens) for row in rows)
        limit = min(limit, room_bytes(model) // (longest * token_bytes(model, repeated=True)))
    if not in_parts:
        outputs = max(len(set(row.predictors)) for row in rows)
        vocabulary = model.config.get_text_config().vocab_size
        limit = min(limit, _WHOLE_LOGIT_NUMBERS // (outputs * vocabulary))
    return max(1, limit)


def _score_rows(
    model: Any, rows: Sequence[trie.Row], states: KeysValues | None, in_parts: bool, into: Any
) -> None:
    """One forward; each continuation's sum goes to its place of `into`."""
    width = max(len(row.tokens) for row in rows)
    past = states.length if states is not None else 0
    ids, positions, ends = np.zeros((3, len(rows), width), dtype=np.int64)
    for line, row in enumerate(rows):
        size = len(row.tokens)
        ids[line, :size], ends[line, :size] = row.tokens, row.ends
        positions[line, :size] = row.depths
    extra: dict[str, Any] = {"use_cache": False}
    # A lone continuation needs no mask: padding lies behind it, where causal attention can't see.
    if states is not None or any(row.branches for row in rows):
        on_device = torch.from_numpy(ends).to(model.device)
        extra["attention_mask"] = trie.mask(on_device, past, model.dtype)
        extra["position_ids"] = torch.from_numpy(positions + past).to(model.device)
    if states is not None:
        extra |= {"past_key_values": lend(states), "use_cache": True}
    extra["input_ids"] = torch.from_numpy(ids).to(model.device)
    predictors = np.concatenate(
        [np.asarray(row.predictors) + line * width for line, row in enumerate(rows)]
    )
    targets = np.concatenate([row.targets for row in rows])
    # Of all lines in one row, in the order of `paths`.
    values = _logprobs(model, extra, predictors, targets, in_parts)
    first = 0
    for row in rows:
        for path, place in zip(row.paths, row.places, strict=True):
            into[place] = values[first + np.asarray(path)].sum()
        first += len(row.targets)


def _logprobs(
    model: Any, inputs: dict[str, Any], predictors: Any, targets: Any, in_parts: bool
) -> Any:
    """Log-probability (E,) of each target at the flat position that predicts it, in float64.

    Args:
        predictors: (E,), ascending.
        in_parts: run the output layer apart from the model and in slices; else all that is needed
            at once, within the model, so that what the model does to its logits applies.
    """
    # Several continuations may be predicted at one position: its logits are computed once.
    places, edges = np.unique(predictors, return_inverse=True)
    head = model.get_output_embeddings()
    needed: list[torch.Tensor] = []

    def only_needed(_: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        where = torch.from_numpy(places).to(given[0].device)
        needed.append(given[0].flatten(0, 1)[where])
        return (needed[0][None, :1] if in_parts else needed[0][None],)

    hook = head.register_forward_pre_hook(only_needed)
    try:
        output = model(**inputs)
    finally:
        hook.remove()
    # Slices that stay in a CPU's caches and in memory that is reused: 2 to 3 times faster.
    step = max(1, (_LOGIT_NUMBERS if in_parts else 2**20) // output.logits.shape[-1])
    values = np.empty(len(targets))
    for start in range(0, len(places), step):
        part = slice(start, start + step)
        logits = head(needed[0][part]) if in_parts else output.logits[0, part]
        low, high = np.searchsorted(edges, (start, start + step))
        at = torch.from_numpy(edges[low:high] - start).to(logits.device)
        wanted = torch.from_numpy(targets[low:high]).to(logits.device)
        table = torch.log_softmax(logits.float(), dim=-1)
        values[low:high] = table[at, wanted].cpu().numpy()
    return values


def _output_layer_is_last(model: Any) -> bool:
    """Whether the logits are what the output layer gives: not capped, scaled or cut after it."""
    given: list[torch.Tensor] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda *a: given.append(a[2]))
    try:
        ids = torch.zeros(1, 1, dtype=torch.long, device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits
    finally:
        hook.remove()
    return len(given) == 1 and given[0].dtype == logits.dtype and torch.equal(given[0], logits)
