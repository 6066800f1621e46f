"""The lines of text that are being continued together, one token a step.

`PackedLines` takes new prompts into the places of those that ended, reads a beginning that
prompts share once and equal prompts once; `PlainLines` is for models whose cache can't be
rearranged (sliding windows, recurrent states): a batch starts and ends together. Leaves out: which
token comes next and when a text ends (`decode`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any, Protocol

import numpy as np
import torch
from transformers import DynamicCache

from whyfirst.models.engine.kv import KeysValues, Room


@dataclass(frozen=True)
class Piece:
    """Prompts to be read in one forward.

    Args:
        beginning: keys and values of the tokens they all begin with, or None.
        prompts: the tokens after those, at least one each; all different.
        rows: of each prompt, the numbers of the rows that start with it, at least one.
    """

    beginning: KeysValues | None
    prompts: list[Sequence[int]]
    rows: list[list[int]]

    @property
    def lines(self) -> int:
        """Lines it will take."""
        return sum(map(len, self.rows))

    @property
    def columns(self) -> int:
        """Columns it will take, padding between beginning and prompt included."""
        return (self.beginning.length if self.beginning else 0) + max(map(len, self.prompts))

    def cut(self, lines: int, tokens: int) -> tuple["Piece | None", "Piece | None"]:
        """Its first prompts, on at most so many lines, and the others.

        Args:
            tokens: most of them to read at once, the first prompt being the longest; a prompt
                that is longer still is read alone.
        """
        most = max(1, tokens // len(self.prompts[0]))
        ends = islice(accumulate(map(len, self.rows)), most)
        fitting = sum(end <= lines for end in ends)
        parts = [
            Piece(self.beginning, self.prompts[part], self.rows[part]) if self.rows[part] else None
            for part in (slice(fitting), slice(fitting, None))
        ]
        return parts[0], parts[1]


class Lines(Protocol):
    """`rows` has the number of the row on each line."""

    rows: list[int]
    refills: bool

    def replace(self, kept: Sequence[int], pieces: Sequence[Piece]) -> torch.Tensor:
        """Keep these lines, in order, and append those of `pieces`.

        Returns:
            Logits (new lines, V) of the appended lines' first tokens.
        """
        ...

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) after one more token (B,) on each line."""
        ...


class PackedLines:
    """Lines in a `Room`; each ends at the last column, and holes are masked."""

    refills = True

    def __init__(self, model: Any) -> None:
        self.rows: list[int] = []
        self._model = model
        self._room = Room(len(DynamicCache(config=model.config).layers))
        self._seen = np.zeros((0, 0), dtype=np.int64)  # (lines, columns): 1 where a token lay
        self._steps = 0  # columns added since, all 1
        self._mask: torch.Tensor | None = None  # both, on the device; None if there's no hole
        self._lengths = torch.zeros(0, 1, dtype=torch.long, device=model.device)

    def replace(self, kept: Sequence[int], pieces: Sequence[Piece]) -> torch.Tensor:
        """See `Lines.replace`."""
        seen = np.pad(self._seen[list(kept)], ((0, 0), (0, self._steps)), constant_values=1)
        # Columns at the left in which no line has a token any more.
        empty = int(seen.any(0).argmax()) if seen.size else seen.shape[1]
        columns = max([seen.shape[1] - empty, *(piece.columns for piece in pieces)])
        # All lines end at the last column, so new, longer ones push the kept ones to the right.
        shift = columns - seen.shape[1]
        # Equal prompts are read once, and their keys and values copied.
        repeated = [
            (line, row)
            for piece, start in zip(pieces, _starts(len(kept), pieces), strict=True)
            for line, rows in enumerate(piece.rows, start=start)
            for row in rows[1:]
        ]
        firsts = [rows[0] for piece in pieces for rows in piece.rows]
        self.rows = [self.rows[line] for line in kept] + firsts + [row for _, row in repeated]
        self._seen = np.zeros((len(self.rows), columns), dtype=np.int64)
        self._seen[: len(kept), max(0, shift) :] = seen[:, max(0, -shift) :]
        self._room.rearrange(kept, len(self.rows), columns, shift)
        logits = [
            self._read(piece, start, columns)
            for piece, start in zip(pieces, _starts(len(kept), pieces), strict=True)
        ]
        if repeated:
            originals = [line for line, _ in repeated]
            unique = len(self.rows) - len(repeated)
            self._room.repeat(originals, slice(unique, len(self.rows)))
            self._seen[unique:] = self._seen[originals]
            found = torch.cat(logits)
            logits = [found, found[[line - len(kept) for line in originals]]]
        # What the steps to come need to know of the lines.
        self._steps = 0
        self._room.show(0, len(self.rows), 0, columns)
        on_device = torch.from_numpy(self._seen).to(self._model.device)
        self._lengths = on_device.sum(-1, keepdim=True)
        self._mask = None if self._seen.all() else on_device
        return torch.cat(logits) if logits else torch.empty(0, 0)

    def _read(self, piece: Piece, first: int, columns: int) -> torch.Tensor:
        """Run a piece's prompts on the lines from `first`."""
        own = max(map(len, piece.prompts))
        past = piece.beginning.length if piece.beginning else 0
        start, end, last = columns - own - past, columns - own, first + len(piece.prompts)
        ids, mask = pad_left(piece.prompts, self._model.device)
        seen = self._seen[first:last]
        # The beginning: all of it is seen by each of these lines.
        seen[:, start:end] = 1
        seen[:, end:] = 1 if mask is None else mask.cpu().numpy()
        extra: dict[str, torch.Tensor] = {}
        if mask is not None:
            mask = torch.from_numpy(seen[:, start:]).to(ids.device)
            places = (mask.cumsum(-1) - 1).clamp(min=0)[:, past:]
            extra = {"attention_mask": mask, "position_ids": places}
        self._room.show(first, last, start, end, piece.beginning)
        return _last_logits(self._model, ids, self._room, extra)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Lines.step`."""
        extra: dict[str, torch.Tensor] = {}
        if self._mask is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
            extra = {"attention_mask": self._mask, "position_ids": self._lengths}
        logits = _last_logits(self._model, tokens[:, None], self._room, extra)
        self._room.end += 1
        self._steps += 1
        self._lengths = self._lengths + 1
        return logits


def _starts(first: int, pieces: Sequence[Piece]) -> list[int]:
    """The line each piece's prompts start on."""
    sizes = [len(piece.prompts) for piece in pieces]
    return [first + sum(sizes[:number]) for number in range(len(pieces))]


class PlainLines:
    """Lines in the cache that transformers makes for the model."""

    refills = False

    def __init__(self, model: Any) -> None:
        self.rows: list[int] = []
        self._model = model
        self._cache: Any = None
        self._mask: torch.Tensor | None = None
        self._positions: torch.Tensor | None = None

    def replace(self, kept: Sequence[int], pieces: Sequence[Piece]) -> torch.Tensor:
        """See `Lines.replace`; new lines only where none is kept, and of one piece."""
        if pieces:
            (piece,) = pieces
            prompts = [p for p, rows in zip(piece.prompts, piece.rows, strict=True) for _ in rows]
            self.rows = [row for rows in piece.rows for row in rows]
            self._cache = DynamicCache(config=self._model.config)
            ids, self._mask = pad_left(prompts, self._model.device)
            self._positions = None
            if self._mask is not None:
                self._positions = (self._mask.cumsum(-1) - 1).clamp(min=0)
            return self._forward(ids)
        chosen = torch.tensor(list(kept), device=self._model.device)
        self.rows = [self.rows[line] for line in kept]
        self._cache.batch_select_indices(chosen)
        if self._mask is not None and self._positions is not None:
            self._mask, self._positions = self._mask[chosen], self._positions[chosen]
        return torch.empty(0, 0)

    def step(self, tokens: torch.Tensor) -> torch.Tensor:
        """See `Lines.step`."""
        if self._mask is not None and self._positions is not None:
            self._mask = torch.cat([self._mask, self._mask.new_ones(len(self._mask), 1)], dim=1)
            self._positions = self._positions[:, -1:] + 1
        return self._forward(tokens[:, None])

    def _forward(self, ids: torch.Tensor) -> torch.Tensor:
        extra: dict[str, Any] = {}
        if self._mask is not None:
            extra = {"attention_mask": self._mask, "position_ids": self._positions}
        return _last_logits(self._model, ids, self._cache, extra)


def _last_logits(model: Any, ids: torch.Tensor, cache: Any, extra: dict[str, Any]) -> torch.Tensor:
    """Logits (B, V) after the last of the tokens (B, T), which the cache takes in."""
    output = model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **extra)
    logits: torch.Tensor = output.logits[:, -1]
    return logits


def pad_left(
    rows: Sequence[Sequence[int]], device: torch.device | str
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Token ids (B, longest), and a 0/1 mask of the same shape, or None where nothing is padded.

    Without a mask the attention kernel takes its fast causal path.
    """
    width = max(len(row) for row in rows)
    if all(len(row) == width for row in rows):
        return torch.tensor([list(row) for row in rows], dtype=torch.long, device=device), None
    ids = np.zeros((len(rows), width), dtype=np.int64)
    mask = np.zeros_like(ids)
    for line, row in enumerate(rows):
        ids[line, width - len(row) :] = row
        mask[line, width - len(row) :] = 1
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)
