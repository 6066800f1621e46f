"""The residual stream at the last token of many texts, in bounded memory.

Rows go through the model batched by length and padded on the right; what a row gives doesn't
depend on its batch (to float rounding). They are streamed to safetensors shards and read back one
layer at a time. Leaves out: what is done with them, and positions other than the last token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import atomic_write, read_json, write_json
from whyfirst.models.base import Prompt
from whyfirst.models.engine.batching import batches
from whyfirst.models.hooks import reading
from whyfirst.probe.pairs import Request

if TYPE_CHECKING:
    import torch

    from whyfirst.models.local import LocalModel

Floats = npt.NDArray[np.float64]

#: numbers held before a shard is written: 64 MiB of float32
SHARD_NUMBERS = 2**24
_INDEX = "activations.json"


@dataclass(frozen=True)
class Activations:
    """What `capture` wrote.

    Args:
        folder: where the shards are.
        rows: how many texts.
        layers: how many layers.
        width: numbers a layer gives for a text (D).
        shards: file names, each with the tensors ``rows`` (R,) and ``layer.K`` (R, D), float32.
    """

    folder: Path
    rows: int
    layers: int
    width: int
    shards: tuple[str, ...]

    def layer(self, number: int) -> Floats:
        """(rows, width) after layer `number`, in the order of the texts, float64.

        Raises:
            DataError: a shard is missing or unreadable.
        """
        from safetensors import SafetensorError, safe_open

        # NaN where no shard has a row: a hole shows in every figure rather than passing for zeros.
        result = np.full((self.rows, self.width), np.nan)
        for name in self.shards:
            try:
                with safe_open(self.folder / name, framework="np") as shard:
                    result[shard.get_tensor("rows")] = shard.get_tensor(f"layer.{number}")
            except (OSError, SafetensorError) as error:
                raise DataError(f"{self.folder / name}: can't be read: {error}") from error
        return result


def opened(folder: Path) -> Activations:
    """Activations that an earlier `capture` wrote into `folder`.

    Raises:
        DataError: there are none, or the index can't be read.
    """
    about = read_json(folder / _INDEX)
    try:
        return Activations(
            folder, about["rows"], about["layers"], about["width"], tuple(about["shards"])
        )
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / _INDEX}: not an index of activations: {error}") from error


def tokens_of(model: LocalModel, prompts: Sequence[Prompt]) -> list[list[int]]:
    """Token ids of each prompt as the model would get them, at least one.

    Raises:
        UserError: a prompt is longer than the model's context.
    """
    encoded = model.encode_prompts(prompts)
    return [_fitting(model, ids, number) for number, ids in enumerate(encoded)]


def asked_tokens(
    model: LocalModel, requests: Sequence[Request]
) -> tuple[list[list[int]], list[int], list[int]]:
    """Where each request's refusal and help part: the tokens up to there, and the next of each.

    Raises:
        UserError: a prompt doesn't fit, or one answer begins with the whole of the other.
    """
    from whyfirst.models.engine.beginnings import common_length

    wholes = model.encode_wholes([(r.prompt, [r.refuse, r.help]) for r in requests])
    rows: list[list[int]] = []
    refuse: list[int] = []
    help_: list[int] = []
    for request, a, b in zip(requests, wholes[0::2], wholes[1::2], strict=True):
        # The answers are encoded with the prompt: a tokenizer may merge across the seam, so the
        # first token that differs is found and not computed from the answers alone.
        shared = common_length(a, b)
        if shared in (len(a), len(b)):
            raise UserError(
                f"request {request.id}: one of its answers begins with the whole of the other, so "
                "no token tells them apart; give others as `refuse` and `help`"
            )
        rows.append(_fitting(model, a[:shared], len(rows)))
        refuse.append(a[shared])
        help_.append(b[shared])
    return rows, refuse, help_


def _fitting(model: LocalModel, ids: list[int], number: int) -> list[int]:
    """The tokens, at least one."""
    if len(ids) > model.context:
        raise UserError(
            f"probe text {number + 1} has {len(ids)} tokens, more than the model's context "
            f"({model.context}); leave it out or shorten it"
        )
    # A model can't be run on no token; the end token says the least.
    return ids or [min(model.end_tokens, default=0)]


def padded(
    rows: Sequence[Sequence[int]], device: Any
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Inputs of a forward over rows padded on the right, and each row's last position (B,)."""
    import torch

    longest = max(map(len, rows))
    # On the right: positions then start at 0 in every row, as they do when a model answers.
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    ends = torch.tensor([len(row) - 1 for row in rows], device=device)
    return {"input_ids": ids.to(device), "attention_mask": mask.to(device)}, ends


def capture(
    model: LocalModel,
    prompts: Sequence[Prompt],
    folder: Path,
    shard_numbers: int = SHARD_NUMBERS,
) -> Activations:
    """Run every prompt and write the stream after each layer at its last token.

    Args:
        folder: gets the shards and, last, their index.
        shard_numbers: write a shard once this many numbers are held.

    Raises:
        UserError: a prompt doesn't fit, or the model isn't a causal decoder.
    """
    import torch

    rows = tokens_of(model, prompts)
    if not rows:
        raise UserError("no texts to take activations from")
    folder.mkdir(parents=True, exist_ok=True)
    held: list[tuple[list[int], torch.Tensor]] = []  # row numbers, (B, L, D)
    shards: list[str] = []
    numbers, shape = 0, (0, 0)
    with torch.inference_mode(), reading(model.model) as states:
        for batch in batches([len(row) for row in rows], model.batch_tokens, max_rows=256):
            inputs, ends = padded([rows[index] for index in batch], model.model.device)
            model.model(**inputs, use_cache=False)
            # A model spread over devices gives each layer's stream on its own.
            line = torch.arange(len(batch), device=ends.device)
            taken = [states[k][line.to(states[k].device), ends.to(states[k].device)].float().cpu()
                     for k in sorted(states)]  # fmt: skip
            # The hooks fill it anew; kept, every layer of every batch would stay on the device.
            states.clear()
            held.append((batch, torch.stack(taken, dim=1)))
            shape = (len(taken), taken[0].shape[1])
            numbers += held[-1][1].numel()
            if numbers >= shard_numbers:
                shards.append(_write(folder, len(shards), held))
                held, numbers = [], 0
    if held:
        shards.append(_write(folder, len(shards), held))
    found = Activations(folder, len(rows), *shape, tuple(shards))
    about = {"rows": found.rows, "layers": shape[0], "width": shape[1], "shards": shards}
    # Last: a folder without its index was cut short, and is captured anew.
    write_json(folder / _INDEX, about)
    return found


def _write(folder: Path, number: int, held: list[tuple[list[int], torch.Tensor]]) -> str:
    import torch
    from safetensors.numpy import save

    # One layer is read at a time, so each is a tensor of its own within the shard.
    states = torch.cat([part for _, part in held]).numpy()
    order = np.array([row for rows, _ in held for row in rows], dtype=np.int64)
    tensors = {"rows": order}
    tensors |= {f"layer.{k}": np.ascontiguousarray(states[:, k]) for k in range(states.shape[1])}
    name = f"activations-{number:05d}.safetensors"
    atomic_write(folder / name, save(tensors))
    return name


def margins(
    model: LocalModel, rows: Sequence[Sequence[int]], a: Sequence[int], b: Sequence[int]
) -> Floats:
    """logit(a) - logit(b) for the token after each row (R,): the log-odds between the two, in nats.

    Args:
        rows: token ids of prompts.
        a, b: a token id for each row.
    """
    import torch

    result = np.full(len(rows), np.nan)
    with torch.inference_mode():
        for batch in batches([len(row) for row in rows], model.batch_tokens, max_rows=256):
            inputs, ends = padded([rows[index] for index in batch], model.model.device)
            logits = last_logits(model.model, inputs, ends)
            result[batch] = margin_of(logits, [a[i] for i in batch], [b[i] for i in batch])
    return result


def last_logits(model: Any, inputs: dict[str, torch.Tensor], ends: torch.Tensor) -> torch.Tensor:
    """Logits (B, V) at each row's last position; those of other positions are never computed."""
    import torch

    # With a vocabulary of 128,000 the logits of every position are what runs out of memory.
    def only_last(_module: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        state = given[0]
        line = torch.arange(len(state), device=state.device)
        return (state[line, ends.to(state.device)][:, None],)

    hook = model.get_output_embeddings().register_forward_pre_hook(only_last)
    try:
        logits: torch.Tensor = model(**inputs, use_cache=False).logits
    finally:
        hook.remove()
    return logits[:, 0]


def margin_of(logits: torch.Tensor, a: Sequence[int], b: Sequence[int]) -> Floats:
    """logit(a) - logit(b) of each row of (B, V); float64 (B,)."""
    import torch

    line = torch.arange(len(logits), device=logits.device)
    first, second = (torch.tensor(list(t), device=logits.device) for t in (a, b))
    # In double: two large logits of nearly one size are subtracted.
    found: Floats = (logits[line, first].double() - logits[line, second].double()).cpu().numpy()
    return found
