"""Beam search over partial answers, token by token, on a local model.

All partial answers of a search have one length, so that their keys and values lie in one cache: a
step feeds each of them one token, and what a look-ahead fed beyond it is cut off again. No token of
a partial answer is read twice (`Found.fed` counts). Leaves out: length penalties, and search over
whole blocks of text, which works on any model (`deal`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

Value = Callable[[Sequence[Sequence[int]]], Sequence[float]]
"""Token sequences of (partial) answers -> how good they are, in nats."""


@dataclass(frozen=True)
class Found:
    """The best answer of a search.

    Attributes:
        tokens: of the answer, its end token left out.
        logp: of the tokens, the end token's included where it ended.
        finished: it ended by itself.
        fed: tokens the model read, those of the prompt and of look-aheads included.
    """

    tokens: tuple[int, ...]
    logp: float
    finished: bool
    fed: int


@dataclass
class _Beam:
    tokens: list[int]
    logp: float
    value: float


@torch.inference_mode()
def beam_search(
    model: Any,
    prompt: Sequence[int],
    ends: frozenset[int],
    *,
    beams: int,
    branch: int,
    most: int,
    look_ahead: int = 0,
    value: Value | None = None,
    stopped: Callable[[list[int]], bool] | None = None,
) -> Found:
    """The answer with the highest log-probability plus value.

    Args:
        model: a causal decoder of transformers.
        ends: tokens that end an answer.
        beams: partial answers kept at each step.
        branch: next tokens tried for each.
        most: tokens of an answer at most.
        look_ahead: tokens that each candidate goes on for, greedily, before it is valued.
        value: added to the log-probability; None is plain beam search.
        stopped: whether an answer ends with these tokens, an end token apart.
    """
    device = next(model.parameters()).device
    cache = DynamicCache()
    logits = _read(model, torch.tensor([list(prompt)], device=device), cache)
    fed, alive = len(prompt), [_Beam([], 0.0, 0.0)]
    done: list[_Beam] = []
    for _ in range(most):
        top = logits.float().log_softmax(-1).topk(min(branch, logits.shape[-1]), dim=-1)
        candidates: list[tuple[int, int, float]] = []  # row, token, log-probability of the whole
        for row, beam in enumerate(alive):
            for logp, token in zip(
                top.values[row].tolist(), top.indices[row].tolist(), strict=True
            ):
                candidates.append((row, token, beam.logp + logp))
        open_ones = []
        for row, token, logp in candidates:
            tokens = [*alive[row].tokens, token]
            if token not in ends and not (stopped and stopped(tokens)):
                open_ones.append((row, token, logp))
                continue
            ended = _Beam(alive[row].tokens if token in ends else tokens, logp, 0.0)
            ended.value = logp + (value([ended.tokens])[0] if value else 0.0)
            done.append(ended)
        if not open_ones:
            break
        if value is not None:
            open_ones, logits, cache, more = _valued(
                model, alive, open_ones, cache, beams, look_ahead, ends, value
            )
            fed += more
        else:
            open_ones = sorted(open_ones, key=lambda c: -c[2])[:beams]
            rows = torch.tensor([c[0] for c in open_ones], device=device)
            cache.batch_select_indices(rows)
            logits = _read(model, _column(open_ones, device), cache)
            fed += len(open_ones)
        alive = [_Beam([*alive[row].tokens, token], logp, logp) for row, token, logp in open_ones]
        best_done = max((beam.value for beam in done), default=-float("inf"))
        # Log-probabilities only fall; with a value of unknown size the search goes to its end.
        if value is None and best_done >= max(beam.logp for beam in alive):
            break
    if not done:
        values = value([beam.tokens for beam in alive]) if value else [0.0] * len(alive)
        for beam, extra in zip(alive, values, strict=True):
            beam.value = beam.logp + extra
    best = max(done or alive, key=lambda beam: beam.value)
    return Found(tuple(best.tokens), best.logp, bool(done), fed)


def _valued(
    model: Any,
    alive: Sequence[_Beam],
    candidates: Sequence[tuple[int, int, float]],
    cache: DynamicCache,
    beams: int,
    look_ahead: int,
    ends: frozenset[int],
    value: Value,
) -> tuple[list[tuple[int, int, float]], Tensor, DynamicCache, int]:
    """The best candidates by log-probability and the value of where each leads."""
    device = next(model.parameters()).device
    cache.batch_select_indices(torch.tensor([c[0] for c in candidates], device=device))
    first = logits = _read(model, _column(candidates, device), cache)
    fed = len(candidates)
    ahead: list[list[int]] = [[*alive[row].tokens, token] for row, token, _ in candidates]
    over = [False] * len(candidates)
    for _ in range(look_ahead):
        tokens = logits.argmax(-1)
        for place, token in enumerate(tokens.tolist()):
            over[place] |= token in ends
            if not over[place]:
                ahead[place].append(token)
        logits = _read(model, tokens[:, None], cache)
        fed += len(candidates)
    if look_ahead:
        cache.crop(-look_ahead)  # what was only looked at is no part of an answer
    scores = [c[2] + v for c, v in zip(candidates, value(ahead), strict=True)]
    kept = sorted(range(len(candidates)), key=lambda place: -scores[place])[:beams]
    rows = torch.tensor(kept, device=device)
    cache.batch_select_indices(rows)
    return [candidates[place] for place in kept], first[rows], cache, fed


def _column(candidates: Sequence[tuple[int, int, float]], device: Any) -> Tensor:
    return torch.tensor([[token] for _, token, _ in candidates], device=device)


def _read(model: Any, ids: Tensor, cache: DynamicCache) -> Tensor:
    """Logits after the last token of each row, shape (B, V); the cache grows by the rows."""
    out = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    logits: Tensor = out.logits[:, -1]
    return logits
