"""Log-likelihoods of continuations, computing every shared token once.

The continuations of one prompt lie side by side in one row, `[prompt | c1 | c2 | ...]`, with a
mask under which each sees the prompt and itself; a beginning that all prompts share (a few-shot
preamble) is run once and its key-value cache lent to every batch. Models whose attention can't be
told so (sliding windows, recurrent layers, position read from the mask) are scored one
continuation a row; `packs_exactly` finds out. Leaves out: tokenising (see `local`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from whyfirst.models.batching import batches

_ROW_TOKENS = 512  # a row's continuations; masks grow with the square of it
_LOGIT_NUMBERS = 2**25  # logits held at once (128 MiB in float32)
_WORTH_SHARING = 16  # tokens of a common beginning


@dataclass(frozen=True)
class Row:
    """One line of a batch: a prompt and the continuations scored with it.

    Args:
        prompt: token ids, at least one, without the shared beginning.
        continuations: token ids of each, at least one token each.
        places: where each continuation's result goes.
    """

    prompt: tuple[int, ...]
    continuations: tuple[tuple[int, ...], ...]
    places: tuple[int, ...]

    @property
    def size(self) -> int:
        """Tokens the model must read: all but the last of each continuation."""
        return len(self.prompt) + sum(len(tokens) - 1 for tokens in self.continuations)

    @property
    def scored(self) -> int:
        """Tokens that are scored."""
        return sum(map(len, self.continuations))


def score(
    model: Any,
    requests: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]],
    batch_tokens: int,
    packed: bool,
) -> list[list[float]]:
    """Summed log-probability of each continuation of each request.

    Args:
        requests: (prompt ids, continuations' ids), neither ever empty.
        batch_tokens: most tokens computed at once, padding included.
        packed: share computation within and between requests (see `packs_exactly`).
    """
    shared = _common_beginning([prompt for prompt, _ in requests]) if packed else ()
    cache = _run_beginning(model, shared) if shared else None
    rows = _rows(requests, len(shared), packed)
    flat = np.full(sum(len(continuations) for _, continuations in requests), np.nan)
    sizes = [row.size for row in rows]
    vocabulary = model.config.get_text_config().vocab_size
    widest = max((row.scored for row in rows), default=1)
    max_rows = max(1, _LOGIT_NUMBERS // (widest * vocabulary))
    for batch in batches(sizes, batch_tokens, max_rows, full_enough=max_rows):
        chosen = [rows[index] for index in batch]
        for row, values in zip(chosen, _score_rows(model, chosen, cache), strict=True):
            flat[list(row.places)] = values
    in_order = iter(flat.tolist())
    return [[next(in_order) for _ in continuations] for _, continuations in requests]


def packs_exactly(model: Any) -> bool:
    """Whether packed scoring gives this model's one-by-one scores; costs three tiny forwards."""
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"} or getattr(config, "attention_chunk_size", None):
        return False
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        return False
    top = config.vocab_size - 1
    beginning = [1 + i * 7919 % top for i in range(_WORTH_SHARING)]
    requests = [
        ([*beginning, 1 % top], [[2 % top, 3 % top, 4 % top], [5 % top, 6 % top]]),
        ([*beginning, 7 % top, 8 % top], [[9 % top], [4 % top, 2 % top, 9 % top]]),
    ]
    try:
        together = score(model, requests, 4096, packed=True)
    except (ValueError, TypeError, RuntimeError, AttributeError, NotImplementedError, IndexError):
        return False
    alone = score(model, requests, 4096, packed=False)
    difference = np.abs(np.concatenate(together) - np.concatenate(alone)).max()
    return bool(difference < (1e-4 if model.dtype == torch.float32 else 0.1))


def _common_beginning(prompts: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Longest shared prefix that leaves each prompt a token of its own, or () if not worth it."""
    if len(prompts) < 2:
        return ()
    first, last = tuple(min(map(tuple, prompts))), tuple(max(map(tuple, prompts)))
    pairs = zip(first, last, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    length = min(same, min(len(prompt) for prompt in prompts) - 1)
    return first[:length] if length >= _WORTH_SHARING else ()


def _run_beginning(model: Any, tokens: tuple[int, ...]) -> Any:
    cache = DynamicCache()
    ids = torch.tensor([tokens], dtype=torch.long, device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    return cache


def _rows(
    requests: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], skip: int, packed: bool
) -> list[Row]:
    rows: list[Row] = []
    place = 0
    for prompt, continuations in requests:
        own = tuple(prompt[skip:])
        waiting: list[tuple[int, ...]] = []
        for tokens in map(tuple, continuations):
            full = waiting and (not packed or sum(map(len, waiting)) + len(tokens) > _ROW_TOKENS)
            if full:
                rows.append(Row(own, tuple(waiting), tuple(range(place - len(waiting), place))))
                waiting = []
            waiting.append(tokens)
            place += 1
        rows.append(Row(own, tuple(waiting), tuple(range(place - len(waiting), place))))
    return rows


def _score_rows(model: Any, rows: Sequence[Row], cache: Any | None) -> list[list[float]]:
    """One forward; layout of a line: [prompt | c1 | c2 | ... | padding]."""
    width = max(row.size for row in rows)
    past = cache.get_seq_length() if cache is not None else 0
    ids = np.zeros((len(rows), width), dtype=np.int64)
    positions = np.zeros_like(ids)
    segments = np.full_like(ids, -1)  # 0 is the prompt, 1... the continuations, -1 padding
    for line, row in enumerate(rows):
        _lay_out(row, past, ids[line], positions[line], segments[line])
    extra: dict[str, Any] = {"use_cache": False}
    # A lone continuation needs no mask: padding lies behind it, where causal attention can't see.
    if cache is not None or any(len(row.continuations) > 1 for row in rows):
        extra["attention_mask"] = _mask(segments, past, model.dtype, model.device)
        extra["position_ids"] = torch.from_numpy(positions).to(model.device)
    if cache is not None:
        extra |= {"past_key_values": _lend(cache, len(rows)), "use_cache": True}
    where, targets, owner = _targets(rows, width)
    place = torch.tensor(where, device=model.device)

    def only_needed(_: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        return (inputs[0].flatten(0, 1)[place][None],)

    # Only positions that predict a scored token reach the output layer, which is most of the
    # arithmetic of a small model; what a model does to its logits after it still applies.
    hook = model.get_output_embeddings().register_forward_pre_hook(only_needed)
    try:
        output = model(input_ids=torch.from_numpy(ids).to(model.device), **extra)
    finally:
        hook.remove()
    logprobs = _logprobs(output.logits[0], torch.tensor(targets, device=model.device))
    sums = iter(np.bincount(owner, weights=logprobs.double().cpu().numpy()).tolist())
    return [[next(sums) for _ in row.continuations] for row in rows]


def _lay_out(row: Row, past: int, ids: Any, positions: Any, segments: Any) -> None:
    at = len(row.prompt)
    after = past + at
    ids[:at] = row.prompt
    positions[:at] = np.arange(past, after)
    segments[:at] = 0
    for number, tokens in enumerate(row.continuations, start=1):
        end = at + len(tokens) - 1
        ids[at:end] = tokens[:-1]
        positions[at:end] = np.arange(after, after + len(tokens) - 1)
        segments[at:end] = number
        at = end


def _targets(rows: Sequence[Row], width: int) -> tuple[list[int], list[int], list[int]]:
    """For each scored token: the flat position that predicts it, its id, its continuation."""
    where: list[int] = []
    targets: list[int] = []
    owner: list[int] = []
    count = 0
    for line, row in enumerate(rows):
        prompt_end = line * width + len(row.prompt)
        at = prompt_end
        for tokens in row.continuations:
            # The first token is predicted by the prompt's last position, wherever it lies.
            where += [prompt_end - 1, *range(at, at + len(tokens) - 1)]
            targets += tokens
            owner += [count] * len(tokens)
            at += len(tokens) - 1
            count += 1
    return where, targets, owner


def _mask(segments: Any, past: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Additive mask (B, 1, Q, past + Q): the beginning, the prompt and one's own segment."""
    width = segments.shape[1]
    own = torch.from_numpy(segments).to(device)
    key, query = own[:, None, :], own[:, :, None]
    hidden = (key != 0) & (key != query)
    hidden |= torch.ones(width, width, dtype=torch.bool, device=device).triu(1)
    mask = torch.zeros(len(own), 1, width, past + width, dtype=dtype, device=device)
    mask[:, 0, :, past:].masked_fill_(hidden, torch.finfo(dtype).min)
    return mask


def _lend(cache: Any | None, lines: int) -> Any | None:
    """A cache of `lines` lines over the same memory; the model's own `cat` makes the copy."""
    if cache is None:
        return None
    return DynamicCache(
        [
            (layer.keys.expand(lines, -1, -1, -1), layer.values.expand(lines, -1, -1, -1))
            for layer in cache.layers
        ]
    )


def _logprobs(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Log-probability (N,) of `targets` under `logits` (N, V), in float32."""
    # Chunks that stay in the CPU's caches and in memory that is reused: 2 to 3 times faster.
    step = max(1, 2**20 // logits.shape[-1])
    parts = [
        torch.nn.functional.cross_entropy(some.float(), wanted, reduction="none")
        for some, wanted in zip(torch.split(logits, step), torch.split(targets, step), strict=True)
    ]
    return -torch.cat(parts)
