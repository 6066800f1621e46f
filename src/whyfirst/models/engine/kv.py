"""Keys and values of tokens already computed, in the shapes transformers' attention asks for.

`lend` gives many lines one beginning without storing their copies; `Room` keeps a batch's keys and
values where a new token is written and nothing is moved (a `DynamicCache` copies everything at
each token). Both suit layers that attend to all earlier tokens; `only_plain_layers` finds out.
Leaves out: sliding windows, recurrent states, quantised caches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

_AHEAD = 64  # tokens of room made at a time


@dataclass(frozen=True)
class KeysValues:
    """Keys and values (1, heads, T, dim) of each layer, for one sequence of T tokens."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]

    @property
    def length(self) -> int:
        """T."""
        return int(self.layers[0][0].shape[2])

    @property
    def bytes(self) -> int:
        """Memory they take."""
        return sum(t.numel() * t.element_size() for layer in self.layers for t in layer)

    def first(self, tokens: int) -> "KeysValues":
        """Those of the first `tokens` tokens, over the same memory."""
        return KeysValues([(k[:, :, :tokens], v[:, :, :tokens]) for k, v in self.layers])

    def equal(self, other: "KeysValues") -> bool:
        """Whether every number is the same."""
        pairs = zip(self.layers, other.layers, strict=True)
        return all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pairs)


def only_plain_layers(model: Any) -> bool:
    """Whether each layer's cache is of the plain kind: all earlier tokens, nothing else."""
    # Layers that read another layer's keys have none that could be lent or moved.
    if getattr(model.config.get_text_config(), "num_kv_shared_layers", None):
        return False
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) is DynamicLayer for layer in layers)


def token_bytes(model: Any, repeated: bool) -> int:
    """Memory that one token's keys and values take in one layer.

    Args:
        repeated: once for each query head, as most kernels want them while they run; else as
            stored, where query heads may share them.
    """
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    stored = getattr(config, "num_key_value_heads", None) or heads
    return int(2 * (heads if repeated else stored) * size * model.dtype.itemsize)


def room_bytes(model: Any) -> int:
    """Memory that a batch's keys and values may take.

    On an accelerator a share of what is free, elsewhere half of what the weights take: a small
    model is hardly faster with more, and a large one needs many lines for each pass over its
    weights.
    """
    if model.device.type == "cuda":
        return int(0.4 * torch.cuda.mem_get_info(model.device)[0])
    # A pass over the weights costs the same for one line as for many.
    weights = sum(int(w.numel() * w.element_size()) for w in model.parameters())
    return max(2**28, weights // 2)


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer of a cache whose queries see all of its columns and have no limit."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Keys a query can see, and where they start."""
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        """No maximum."""
        return -1


class _Lent(_Layer):
    """One layer of a lent beginning; forgets what it is given."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        super().__init__()
        self.keys, self.values, self.is_initialized = keys, values, True

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing is reserved."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The beginning's states, then the given ones, for each line: two (B, H, P + T, D)."""
        lines = len(key_states)
        keys, values = self.keys.expand(lines, -1, -1, -1), self.values.expand(lines, -1, -1, -1)
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)

    def get_seq_length(self) -> int:
        """P, whatever was computed after the beginning."""
        return int(self.keys.shape[2])


def lend(beginning: KeysValues) -> Cache:
    """A cache under which any number of lines continue `beginning`, in one forward."""
    return Cache(layers=[_Lent(keys, values) for keys, values in beginning.layers])


class _RoomLayer(_Layer):
    """One layer of a `Room`: reads and writes the lines and columns that the room shows."""

    def __init__(self, room: "Room", number: int) -> None:
        super().__init__()
        self.room, self.number = room, number

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Reserve the room's lines and columns, and some columns more."""
        self.keys, self.values = self._reserved(key_states), self._reserved(value_states)
        self.is_initialized = True

    def _reserved(self, like: torch.Tensor) -> torch.Tensor:
        _, heads, new, size = like.shape
        # Zeros and not whatever lies in memory: a masked NaN would still be a NaN.
        return like.new_zeros(self.room.lines, heads, self.room.end + new + _AHEAD, size)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write the states behind what the room shows, and return it with them."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        room, new = self.room, key_states.shape[2]
        # Grown by a step of columns at a time: each growth copies everything.
        if room.end + new > self.keys.shape[2]:
            self.rearrange(range(room.lines), room.lines, room.end + new, 0)
        lines = self.keys[room.first : room.last], self.values[room.first : room.last]
        beginning = room.beginning
        for states, given, kind in zip(lines, (key_states, value_states), (0, 1), strict=True):
            states[:, :, room.end : room.end + new] = given
            if beginning is not None:
                states[:, :, room.start : room.end] = beginning.layers[self.number][kind]
        keys, values = (states[:, :, room.start : room.end + new] for states in lines)
        return keys, values

    def rearrange(self, kept: Sequence[int], lines: int, columns: int, shift: int) -> None:
        """Make room for `lines` lines; the `kept` ones come first, moved right by `shift`."""
        # Columns that all lines have left empty fall off at the left.
        old = max(0, -shift)
        for name in ("keys", "values"):
            states = getattr(self, name)
            wide = states.new_zeros(lines, states.shape[1], columns + _AHEAD, states.shape[3])
            end = min(states.shape[2], columns - shift)
            wide[: len(kept), :, old + shift : end + shift] = states[list(kept), :, old:end]
            setattr(self, name, wide)

    def get_seq_length(self) -> int:
        """Columns that the room shows."""
        return self.room.end - self.room.start


class Room(Cache):  # type: ignore[misc]
    """Keys and values of a batch: `lines` lines, of which a forward sees what `show` said.

    A forward writes behind the column `end`; to continue those lines, move it on by hand.
    """

    def __init__(self, layers: int) -> None:
        self.lines = self.first = self.last = self.start = self.end = 0
        self.beginning: KeysValues | None = None
        super().__init__(layers=[_RoomLayer(self, number) for number in range(layers)])

    def show(
        self, first: int, last: int, start: int, end: int, beginning: KeysValues | None = None
    ) -> None:
        """Let the next forward see lines `first` to `last` and columns `start` to `end`.

        Args:
            beginning: written into those columns, of each of those lines, beforehand.
        """
        self.first, self.last, self.start, self.end = first, last, start, end
        self.beginning = beginning

    def rearrange(self, kept: Sequence[int], lines: int, columns: int, shift: int) -> None:
        """Room for `lines` lines; the `kept` ones come first, moved right by `shift` columns."""
        self.lines = lines
        for layer in self.layers:
            if layer.is_initialized:
                layer.rearrange(kept, lines, columns, shift)

    def repeat(self, originals: Sequence[int], copies: slice) -> None:
        """Fill the lines `copies` with what the lines `originals` hold."""
        for layer in self.layers:
            layer.keys[copies] = layer.keys[list(originals)]
            layer.values[copies] = layer.values[list(originals)]
