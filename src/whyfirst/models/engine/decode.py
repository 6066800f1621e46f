"""Generating tokens: greedy or sampled, many rows together, with the key-value cache.

A loop of our own: `transformers.generate` costs a few milliseconds of bookkeeping and a copy of
the whole cache a step, and keeps computing rows that have ended. Here a row that ends makes place
for the next prompt, and what prompts begin with is read once. Leaves out: beam search, penalties,
speculative decoding, text (see `local`).
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from whyfirst.models.base import Sampling
from whyfirst.models.engine import beginnings
from whyfirst.models.engine.kv import only_plain_layers, room_bytes, token_bytes
from whyfirst.models.engine.lines import Lines, PackedLines, Piece, PlainLines

# (logits of the lines (B, V), number of the row behind each line, its step) -> tokens (B,)
Choose = Callable[[torch.Tensor, Sequence[int], Sequence[int]], torch.Tensor]
Stopped = Callable[[list[int]], bool]

_MOST_LINES = 256  # more are no faster
NOT_A_NUMBER = "the model's logits are not numbers (NaN): are its weights whole?"


@dataclass
class Decoded:
    """Tokens of one row, without the end token; `finished` if it ended by itself.

    `problem` says why the model could not go on.
    """

    tokens: list[int]
    finished: bool = False
    problem: str | None = None


@torch.inference_mode()
def decode(
    model: Any,
    rows: Sequence[Sequence[int]],
    limits: Sequence[int],
    end_tokens: frozenset[int],
    choose: Choose,
    stopped: Stopped | None = None,
    batch_tokens: int = 1024,
) -> list[Decoded]:
    """Continue every row until an end token, `stopped(tokens)` or its limit.

    Args:
        rows: token ids of each prompt, at least one token each.
        limits: most new tokens for each row, at least 1.
        batch_tokens: most prompt tokens read at once, padding included.
    """
    result = [Decoded([]) for _ in rows]
    running = set(range(len(rows)))
    ends = [len(row) + limit for row, limit in zip(rows, limits, strict=True)]

    def take(numbers: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        # A line that has ended is computed until its place is taken; its draw is not used.
        steps = [min(len(result[row].tokens), limits[row] - 1) for row in numbers]
        nan = logits.isnan().any(-1)
        broken = nan.tolist()
        if any(broken):
            # Or no token could be drawn, and the other lines of the batch would stop with it.
            logits = logits.masked_fill(nan[:, None], 0.0)
        tokens = choose(logits, numbers, steps)
        for row, token, bad in zip(numbers, tokens.tolist(), broken, strict=True):
            if row not in running:
                continue
            into = result[row]
            if bad:
                into.problem = NOT_A_NUMBER
            elif token in end_tokens:
                into.finished = True
            else:
                into.tokens.append(token)
                into.finished = stopped is not None and stopped(into.tokens)
            if into.problem or into.finished or len(into.tokens) >= limits[row]:
                running.discard(row)
        return tokens

    packed = only_plain_layers(model)
    lines: Lines = PackedLines(model) if packed else PlainLines(model)
    most = _fitting(model)
    limit = max(limits, default=1)
    # As many copies of one prompt as surely fit: a piece is never cut inside it.
    fewest = most(max(map(len, rows), default=1) + limit)
    waiting = _Waiting(_pieces(model, rows, fewest, packed), limit, batch_tokens)
    tokens = torch.empty(0, dtype=torch.long)
    while True:
        alive = [line for line, row in enumerate(lines.rows) if row in running]
        if 4 * len(alive) <= 3 * len(lines.rows):  # moving the cache costs about one step
            new: list[Piece] = []
            # Plain lines wait until the last of them has ended.
            if lines.refills or not alive:
                columns = max((ends[lines.rows[line]] for line in alive), default=0)
                new = waiting.take(most, len(alive), columns, several=lines.refills)
            if not alive and not new:
                return result
            logits = lines.replace(alive, new)
            tokens = tokens[torch.tensor(alive, dtype=torch.long, device=tokens.device)]
            if new:
                first = take(lines.rows[len(alive) :], logits)
                tokens = torch.cat([tokens.to(first.device), first])
            continue
        tokens = take(lines.rows, lines.step(tokens))


def _fitting(model: Any) -> Callable[[int], int]:
    """How many lines of so many tokens may be under way at once for the sake of memory."""
    layers = model.config.get_text_config().num_hidden_layers
    size, room = layers * token_bytes(model, repeated=False), room_bytes(model)
    return lambda columns: max(1, min(_MOST_LINES, room // (columns * size)))


def _pieces(model: Any, rows: Sequence[Sequence[int]], most: int, packed: bool) -> Iterator[Piece]:
    """All rows by what they begin with, longest first; equal ones as one prompt."""
    prompts: list[tuple[Sequence[int], list[int]]] = [(row, [i]) for i, row in enumerate(rows)]
    groups = [beginnings.Group((), None, [*range(len(prompts))])]
    if packed:
        same: dict[tuple[int, ...], list[int]] = {}
        for number, row in enumerate(rows):
            same.setdefault(tuple(row), []).append(number)
        prompts = [
            (prompt, numbers[start : start + most])
            for prompt, numbers in same.items()
            for start in range(0, len(numbers), most)
        ]
        groups = beginnings.plan([prompt for prompt, _ in prompts])
    for group, states in beginnings.computed(model, groups):
        own = [prompts[number][0][len(group.beginning) :] for number in group.members]
        numbers = [prompts[number][1] for number in group.members]
        order = sorted(range(len(own)), key=lambda i: -len(own[i]))
        yield Piece(states, [own[i] for i in order], [numbers[i] for i in order])


class _Waiting:
    """The prompts that are still to be read, in order; `limit` is the most new tokens of any."""

    def __init__(self, pieces: Iterator[Piece], limit: int, batch_tokens: int) -> None:
        self._pieces, self._limit, self._batch_tokens = pieces, limit, batch_tokens
        self._next = next(pieces, None)

    def take(
        self, most: Callable[[int], int], lines: int, columns: int, several: bool
    ) -> list[Piece]:
        """As many as fit beside so many lines, cut into forwards; only one unless `several`.

        Args:
            most: how many lines of so many columns fit.
            columns: what the lines there need to their ends.
        """
        taken: list[Piece] = []
        while self._next is not None and (several or not taken):
            columns = max(columns, self._next.columns + self._limit)
            now, later = self._next.cut(most(columns) - lines, self._batch_tokens)
            if now is None:
                break
            taken.append(now)
            lines += now.lines
            self._next = later or next(self._pieces, None)
        return taken


def greedy(logits: torch.Tensor, rows: Sequence[int], steps: Sequence[int]) -> torch.Tensor:
    """The most likely token of each line; the lowest id among equals."""
    return logits.argmax(-1)


def sampler(sampling: Sampling, names: Sequence[str]) -> Choose:
    """A `Choose` that samples with temperature and top-p.

    Args:
        names: one a row; with `sampling.seed` it decides the row's draws, whatever the batch.
    """
    texts = (f"{sampling.seed}\n{name}".encode("utf-8", "backslashreplace") for name in names)
    digests = (hashlib.sha256(text).digest() for text in texts)
    draws = np.stack([
        np.random.default_rng(list(digest)).random(sampling.max_new_tokens) for digest in digests
    ])  # fmt: skip

    def choose(logits: torch.Tensor, rows: Sequence[int], steps: Sequence[int]) -> torch.Tensor:
        uniform = torch.from_numpy(draws[list(rows), list(steps)]).to(logits.device)
        return pick(logits, uniform, sampling.temperature, sampling.top_p)

    return choose


def pick(
    logits: torch.Tensor, uniform: torch.Tensor, temperature: float, top_p: float
) -> torch.Tensor:
    """Invert the cumulative distribution: over the tokens by id, or under a `top_p`, which needs
    them in order, most likely first.

    Args:
        logits: (B, V).
        uniform: (B,) numbers in [0, 1).

    Returns:
        (B,) token ids.
    """
    probabilities = torch.softmax(logits.double() / temperature, dim=-1)
    if top_p >= 1:
        cumulative = probabilities.cumsum(-1)
        total = cumulative[:, -1]
        # Under the total, or a product rounded up to it would draw what lies behind every token.
        drawn = torch.minimum(uniform * total, torch.nextafter(total, torch.zeros_like(total)))
        return torch.searchsorted(cumulative, drawn[:, None], right=True)[:, 0]
    ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    cumulative = ordered.cumsum(-1)
    kept = cumulative - ordered < top_p  # always keeps the first
    total = torch.where(kept, ordered, 0.0).sum(-1)
    place = (cumulative <= (uniform * total)[:, None]).sum(-1)
    place = torch.minimum(place, kept.sum(-1) - 1)  # rounding at the far end
    return tokens.gather(-1, place[:, None])[:, 0]
