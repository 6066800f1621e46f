"""Which rows each weight update sees, decided before training from the seed alone.

The order depends on the seed and on the number of rows of a file, never on their text or on the
arm: two arms with as many rows see them in the same order, and replay rows come in the same order
in every arm. Leaves out: reading and tokenising (encode), tensors (collate).
"""

import bisect
import hashlib
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whyfirst.train.config_base import Stage

SEEN = "seen.json"
"""In a stage's folder: `lines` of the main file that it was trained on, where that isn't all."""
_ROUNDING = 1e-9
"""Of a product of floats: keeps 0.3 * 10 from becoming 2, and 40 / (8 * (1 - 0.8)) from 26."""


@dataclass(frozen=True)
class Plan:
    """`updates[u]` lists the rows of update u; a row is a tuple of indices into the examples."""

    updates: list[list[tuple[int, ...]]]
    rows: int
    """Rows one epoch has (of the main file, without replay)."""

    def slots(self, per_update: int) -> list[list[int]]:
        """Example indices of each forward pass: every update cut into `per_update` even parts."""
        return [
            [index for row in update[part::per_update] for index in row]
            for update in self.updates
            for part in range(per_update)
        ]

    @property
    def order(self) -> list[int]:
        """Example indices in the order of updates, where each row is one example."""
        return [index for update in self.updates for (index,) in update]

    def of(self, indices: Sequence[int]) -> "Plan":
        """The same plan for some of the examples: index i becomes `indices[i]`."""
        chosen = [[tuple(indices[i] for i in row) for row in update] for update in self.updates]
        return Plan(chosen, self.rows)


def updates_of(epochs: float | None, rows: float, per_update: float) -> int:
    """Updates in which so many epochs of some rows are seen, the last one filled up; None: 0."""
    return math.ceil((epochs or 0.0) * rows / per_update - _ROUNDING)


def make_plan(
    config: Stage,
    lengths: Sequence[int],
    replay_lengths: Sequence[int],
    seed: int,
) -> Plan:
    """Lay out all updates of a stage.

    Args:
        lengths: tokens of each example of the main file (documents, demonstrations or pairs).
        replay_lengths: the same for replay; their indices follow the main file's.
    """
    packing, share = getattr(config, "packing", False), getattr(config, "replay", 0.0)
    main = _rows(lengths, 0, config.max_length, packing, f"{seed}/main")
    replay = _rows(replay_lengths, len(lengths), config.max_length, packing, f"{seed}/replay")
    # Of a batch only this much is new; the rest is replay.
    per_update = config.batch_size * (1 - share)
    updates = config.updates or updates_of(config.epochs, len(main), per_update)
    mains, replays = _endless(main, f"{seed}/main"), _endless(replay, f"{seed}/replay")
    planned = []
    for update in range(updates):
        # By difference of the two totals, so that rounding never adds up.
        count = _replayed(update + 1, config.batch_size, share) - _replayed(
            update, config.batch_size, share
        )
        planned.append(
            list(itertools.islice(mains, config.batch_size - count))
            + list(itertools.islice(replays, count))
        )
    return Plan(planned, len(main))


def make_prompt_plan(config: Stage, prompts: int, seed: int) -> Plan:
    """Lay out the prompts of a stage that generates: one entry of `updates` a generation.

    Args:
        prompts: how many there are to train on. An epoch is one generation for each of them.
    """
    each, uses = getattr(config, "group_size", 1), getattr(config, "iterations", 1)
    per_generation = config.batch_size // each
    updates = config.updates or uses * updates_of(config.epochs, prompts, per_generation)
    rows = _endless([(index,) for index in range(prompts)], f"{seed}/main")
    # The last generation may be used fewer times than the others.
    generations = math.ceil(updates / uses)
    return Plan([list(itertools.islice(rows, per_generation)) for _ in range(generations)], prompts)


def held_out(prompts: Sequence[str], share: float) -> list[bool]:
    """Which prompts are kept out of training: `share` of them by hash, equal ones alike."""

    def draw(prompt: str) -> float:
        # A text of its own before the prompt: a split of the data by the same hash is another
        # split.
        digest = hashlib.sha256(f"held out\n{prompt}".encode("utf-8", "backslashreplace")).digest()
        return int.from_bytes(digest[:8]) / 2**64

    return [draw(prompt) < share for prompt in prompts]


def pack(lengths: Sequence[int], order: Sequence[int], capacity: int) -> list[tuple[int, ...]]:
    """Best-fit packing: put each sequence, taken in `order`, into the fullest row it fits in.

    Returns:
        Rows as tuples of indices; no row holds more than `capacity` tokens unless one sequence
        alone does.
    """
    rows: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, row), sorted
    for index in order:
        # The tightest gap that it fits in; -1 sorts before every row of the same room.
        at = bisect.bisect_left(room, (lengths[index], -1))
        if at < len(room):
            free, row = room.pop(at)
            rows[row].append(index)
        else:
            free, row = capacity, len(rows)
            rows.append([index])
        left = free - lengths[index]
        if left > 0:
            bisect.insort(room, (left, row))
    return [tuple(row) for row in rows]


def _rows(
    lengths: Sequence[int], offset: int, capacity: int, packing: bool, seed: str
) -> list[tuple[int, ...]]:
    # A row is an example then, and its index shifted behind the main file's.
    if not packing:
        return [(offset + index,) for index in range(len(lengths))]
    order = list(range(len(lengths)))
    random.Random(f"{seed}/pack").shuffle(order)
    return [tuple(offset + i for i in row) for row in pack(lengths, order, capacity)]


def _endless(rows: list[tuple[int, ...]], seed: str) -> Iterator[tuple[int, ...]]:
    """Epoch after epoch, each in its own order; batches run on over the end of an epoch."""
    for epoch in itertools.count():
        if not rows:
            return
        order = list(rows)
        # A shuffle by the number of rows alone, so that arms with as many rows see them alike.
        random.Random(f"{seed}/{epoch}").shuffle(order)
        yield from order


def _replayed(updates: int, batch_size: int, share: float) -> int:
    """Replay rows in the first `updates` batches: the share is kept to within one row."""
    return math.floor(updates * batch_size * share + _ROUNDING)
