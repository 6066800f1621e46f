"""Generating tokens for one batch: greedy or sampled, with the key-value cache.

A loop of our own: `transformers.generate` costs a few milliseconds of bookkeeping a step, which is
most of the time for a model of a million parameters, and it keeps computing rows that have ended.
Leaves out: beam search, penalties, speculative decoding, text (see `local`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from whyfirst.models.base import Sampling

# (logits of the lines (B, V), number of the row behind each line, step) -> tokens (B,)
Choose = Callable[[torch.Tensor, list[int], int], torch.Tensor]


@dataclass
class Decoded:
    """Tokens of one row, without the end token; `finished` if it ended by itself."""

    tokens: list[int]
    finished: bool = False


def decode_batch(
    model: Any,
    rows: Sequence[Sequence[int]],
    limits: Sequence[int],
    end_tokens: frozenset[int],
    choose: Choose,
    stopped: Callable[[list[int]], bool] | None = None,
) -> list[Decoded]:
    """Continue every row until an end token, `stopped(tokens)` or its limit.

    Args:
        rows: token ids of each prompt, at least one token each; padded on the left if unequal.
        limits: most new tokens for each row, at least 1.
    """
    result = [Decoded([]) for _ in rows]
    ids, mask = pad_left(rows, model.device)
    positions = None if mask is None else (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    alive, running = list(range(len(rows))), set(range(len(rows)))
    for step in range(max(limits)):
        extra = {} if mask is None else {"attention_mask": mask, "position_ids": positions}
        output = model(
            input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra
        )
        tokens = choose(output.logits[:, -1], alive, step)
        for row, token in zip(alive, tokens.tolist(), strict=True):
            if row in running:
                _take(result[row], token, limits[row], end_tokens, stopped, row, running)
        if not running:
            break
        lines = [line for line, row in enumerate(alive) if row in running]
        if 4 * len(lines) <= 3 * len(alive):  # moving the cache costs about one step
            chosen = torch.tensor(lines, device=ids.device)
            cache.batch_select_indices(chosen)
            tokens, alive = tokens[chosen], [alive[line] for line in lines]
            if mask is not None and positions is not None:
                mask, positions = mask[chosen], positions[chosen]
        ids = tokens[:, None]
        if mask is not None and positions is not None:
            mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
            positions = positions[:, -1:] + 1
    return result


def _take(
    into: Decoded,
    token: int,
    limit: int,
    end_tokens: frozenset[int],
    stopped: Callable[[list[int]], bool] | None,
    row: int,
    running: set[int],
) -> None:
    if token in end_tokens:
        into.finished = True
    else:
        into.tokens.append(token)
        into.finished = stopped is not None and stopped(into.tokens)
    if into.finished or len(into.tokens) >= limit:
        running.discard(row)


def pad_left(
    rows: Sequence[Sequence[int]], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Token ids (B, longest), and a 0/1 mask of the same shape, or None where nothing is padded.

    Without a mask the attention kernel takes its fast causal path.
    """
    width = max(len(row) for row in rows)
    if all(len(row) == width for row in rows):
        return torch.tensor(rows, dtype=torch.long, device=device), None
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for line, row in enumerate(rows):
        ids[line, width - len(row) :] = row
        mask[line, width - len(row) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def greedy(logits: torch.Tensor, alive: list[int], step: int) -> torch.Tensor:
    """The most likely token of each line; the lowest id among equals."""
    return logits.argmax(-1)


def sampler(sampling: Sampling, names: Sequence[str]) -> Choose:
    """A `Choose` that samples with temperature and top-p.

    Args:
        names: one a row; with `sampling.seed` it decides the row's draws, whatever the batch.
    """
    draws = np.stack([_uniforms(sampling, name) for name in names])

    def choose(logits: torch.Tensor, alive: list[int], step: int) -> torch.Tensor:
        uniform = torch.from_numpy(draws[alive, step]).to(logits.device)
        return pick(logits, uniform, sampling.temperature, sampling.top_p)

    return choose


def pick(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """Invert the cumulative distribution, most likely token first.

    Args:
        logits: (B, V).
        uniform: (B,) numbers in [0, 1).

    Returns:
        (B,) token ids.
    """
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    cumulative = ordered.cumsum(-1)
    kept = cumulative - ordered < top_p  # always keeps the first
    total = torch.where(kept, ordered, 0.0).sum(-1)
    place = (cumulative <= (uniform * total)[:, None]).sum(-1)
    place = torch.minimum(place, kept.sum(-1) - 1)  # rounding at the far end
    return tokens.gather(-1, place[:, None])[:, 0]


def _uniforms(sampling: Sampling, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    digest = hashlib.sha256(f"{sampling.seed}\n{name}".encode("utf-8", "backslashreplace")).digest()
    return np.random.default_rng(list(digest)).random(sampling.max_new_tokens)
