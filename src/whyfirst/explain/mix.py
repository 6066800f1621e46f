"""Replay: a share of other text mixed into stage 1, by tokens, streaming and deterministic.

Rows are read line by line and written line by line, so that memory doesn't grow with the files.
Which replay rows are taken depends on the seed and on their line numbers alone. Leaves out:
shuffling (the trainer's), and reading anything but JSONL.
"""

import contextlib
import secrets
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.bounded import read_lines
from whyfirst.config.errors import ConfigError, DataError, StoreError
from whyfirst.config.files import parse_row, replacing
from whyfirst.explain.tokens import CountTokens

_RANGE = 2**32
_PASSES = 40
_TEXT_KEYS = ("text", "prompt", "completion", "chosen", "messages")


@dataclass(frozen=True)
class Mixed:
    """What went into a mixture: rows and tokens of both kinds, and how often replay was read."""

    documents: int
    document_tokens: int
    replay: int
    replay_tokens: int
    passes: int

    @property
    def share(self) -> float:
        """Replay's share of all tokens."""
        return self.replay_tokens / max(1, self.document_tokens + self.replay_tokens)


def mix(
    documents: Path, replay: Path, out: Path, share: float, seed: int, count_tokens: CountTokens
) -> Mixed:
    """Write all rows of `documents` with replay rows spread evenly between them.

    Args:
        share: of all tokens, in [0, 1), that are to be replay's; reached to within one replay row.

    Raises:
        ConfigError: the share is out of range, or out is one of the inputs.
        DataError: a row can't be read (its number), or replay is too small for the share.
        StoreError: the output can't be written.
    """
    if not 0 <= share < 1:
        raise ConfigError(f"the share of replay must lie in [0, 1), not {share}")
    if out.resolve() in (documents.resolve(), replay.resolve()):
        raise ConfigError(f"{out}: is one of the inputs; choose another file for the mixture")
    # Read twice and never held: a corpus may be larger than memory.
    total = sum(count_tokens(text_of(row, documents, n)) for n, row, _ in rows_of(documents))
    budget = round(total * share / (1 - share))
    # The chosen rows go to a file first: they are not known to suffice before they are found.
    chosen = out.with_name(f".{out.name[:40]}.{secrets.token_hex(8)}.replay")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        taken, tokens, passes = _choose(replay, chosen, budget, seed, count_tokens)
        if tokens < budget:
            raise DataError(
                f"{replay}: {tokens} tokens in all, and a share of {share:.0%} needs {budget}; "
                "lower the share or give more text"
            )
        count = done = given = 0
        with replacing(out) as handle, chosen.open("rb") as kept:
            for number, row, line in rows_of(documents):
                handle.write(line)
                count += 1
                done += count_tokens(text_of(row, documents, number))
                # In proportion: replay is never ahead of its share by more than a row.
                while given * total < done * tokens and (extra := kept.readline()):
                    handle.write(extra)
                    given += count_tokens(text_of(parse_row(chosen, count, extra), chosen, count))
            handle.writelines(kept)
    except OSError as error:
        raise StoreError(f"{out}: can't be written: {error.strerror or error}") from error
    finally:
        # What kept it from being made keeps it from being removed, and has been told.
        with contextlib.suppress(OSError):
            chosen.unlink(missing_ok=True)
    return Mixed(count, total, taken, tokens, passes)


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any], bytes]]:
    """(line number, row, the row's line) of a JSONL file, one after the other.

    Raises:
        DataError: the file or a row can't be read.
    """
    for number, line in read_lines(path):
        yield number, parse_row(path, number, line), line.rstrip(b"\r") + b"\n"


def text_of(row: Mapping[str, Any], path: Path, number: int) -> str:
    """All text of a row: ``text``, or prompt and completion, as texts or as messages.

    Raises:
        DataError: none of the known columns is there.
    """
    parts = [row[key] for key in _TEXT_KEYS if key in row]
    if not parts:
        raise DataError(f"{path}: row {number}: none of the columns {', '.join(_TEXT_KEYS)}")
    return "".join(
        "\n".join(str(m.get("content", "")) for m in part if isinstance(m, Mapping))
        if isinstance(part, list)
        else str(part)
        for part in parts
    )


def _choose(
    replay: Path, chosen: Path, budget: int, seed: int, count_tokens: CountTokens
) -> tuple[int, int, int]:
    """Copy replay rows to `chosen` until the budget is met: (rows, tokens, passes).

    A row's luck is a hash of the seed and its number. Each pass takes the rows whose luck lies in
    the next range, so that none is taken twice; the first range is what the first rows say is
    needed, and later ones add a quarter of it.
    """
    taken = tokens = passes = size = sampled = 0
    # What the budget needs, judged by the first 200 rows.
    for number, row, line in rows_of(replay):
        size, sampled = size + len(line), sampled + count_tokens(text_of(row, replay, number))
        if number >= 200:
            break
    if not sampled:
        raise DataError(f"{replay}: no rows")
    # What is packed tells no size of what is in it.
    whole = replay.stat().st_size
    if replay.suffix == ".gz":
        whole = sum(len(line) + 1 for _, line in read_lines(replay))
    estimate = whole / size * sampled
    low, high = 0, max(1, min(_RANGE, round(_RANGE * budget / estimate)))
    with chosen.open("wb") as handle:
        while tokens < budget and low < _RANGE and passes < _PASSES:
            passes += 1
            for number, line in read_lines(replay):
                # By its line number, so that a row's luck doesn't depend on what was read before
                # it.
                luck = zlib.crc32(f"{seed}/{number}".encode())
                if not low <= luck < high:
                    continue
                row = parse_row(replay, number, line)
                taken, tokens = taken + 1, tokens + count_tokens(text_of(row, replay, number))
                handle.write(line.rstrip(b"\r") + b"\n")
                if tokens >= budget:
                    break
            # The estimate was from the file's beginning, which may have shorter rows than the
            # rest.
            low, high = high, min(_RANGE, high + max(1, high // 4))
    return taken, tokens, passes
