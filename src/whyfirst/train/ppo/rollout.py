"""Episodes: responses the actor writes to prompts, and the tensors a forward pass takes them in.

Every draw depends on the stage's seed and the episode's number alone, so neither the batch, nor the
number of processes, nor a resume changes what is sampled (float rounding aside). Leaves out:
rewards, and generation on a server of its own (vLLM): its log-probabilities are another program's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from whyfirst.config.errors import TrainingStopped
from whyfirst.models.base import Sampling
from whyfirst.models.continuation import Ending
from whyfirst.models.engine import decode


@dataclass(frozen=True)
class Episode:
    """A prompt and the response to it, as token ids; the response includes what ended it.

    `finished` is False where the response was cut off at its limit; `text` is what it says, as an
    evaluation would read it.
    """

    prompt: list[int]
    response: list[int]
    finished: bool
    text: str = ""


def generate(
    actor: Any,
    prompts: Sequence[list[int]],
    names: Sequence[str],
    limit: int,
    endings: Sequence[Ending],
    temperature: float,
    seed: int,
) -> list[Episode]:
    """One sampled response to each prompt, without dropout. Draws no global random number.

    Args:
        names: one an episode; with `seed` it decides the draws.
        limit: most tokens of a response, the end token included.
        endings: what ends the response to each prompt.

    Raises:
        TrainingStopped: the model's logits are not numbers.
    """
    sampling = Sampling(max_new_tokens=limit, temperature=temperature, seed=seed)
    found: dict[int, Episode] = {}
    training = actor.training
    actor.eval()
    try:
        # Together what ends alike: the draws are each name's own.
        for ending in dict.fromkeys(endings):
            places = [place for place, one in enumerate(endings) if one is ending]
            rows = [list(prompts[place]) for place in places]
            sample = decode.sampler(sampling, [names[place] for place in places])
            found |= dict(zip(places, _drawn(actor, rows, limit, ending, sample), strict=True))
    finally:
        actor.train(training)
    return [found[place] for place in range(len(prompts))]


def _drawn(
    actor: Any, prompts: list[list[int]], limit: int, ending: Ending, sample: decode.Choose
) -> list[Episode]:
    drawn: list[list[int]] = [[] for _ in prompts]

    # Decoding drops the end token, and there may be several: note what was drawn.
    def noting(logits: Tensor, numbers: Sequence[int], steps: Sequence[int]) -> Tensor:
        tokens = sample(logits, numbers, steps)
        for row, token in zip(numbers, tokens.tolist(), strict=True):
            drawn[row].append(token)
        return tokens

    limits = [limit] * len(prompts)
    found = decode.decode(actor, prompts, limits, ending.tokens, noting, ending.stopped)
    if problem := next((row.problem for row in found if row.problem), None):
        raise TrainingStopped(problem)
    episodes = []
    for prompt, tokens, row in zip(prompts, drawn, found, strict=True):
        # With the end token where one was drawn: PPO rewards it, and the KL counts it.
        by_token = row.finished and not ending.ends(row.tokens)
        response = tokens[: len(row.tokens) + by_token]
        episodes.append(Episode(prompt, response, row.finished, ending.said(prompt, row.tokens)))
    return episodes


def positions(mask_B_L: Tensor) -> Tensor:
    """Each token's place in its row (B, L), counted from the first token and not the padding."""
    return (mask_B_L.cumsum(-1) - 1).clamp(min=0)


def lay_out(
    episodes: Sequence[Episode], pad_id: int, device: torch.device | str
) -> tuple[Tensor, Tensor, Tensor]:
    """Tensors of one forward pass: prompts padded on the left, responses on the right.

    Every response begins in the same column, P, the longest prompt's length.

    Returns:
        ids_B_L, their attention mask_B_L (1 on tokens), and mask_B_T (1 on response tokens), the
        last T columns of it: L = P + T.
    """
    prompts = [episode.prompt for episode in episodes]
    responses = [episode.response for episode in episodes]
    start, width = max(map(len, prompts)), max(map(len, responses))
    ids_B_L = torch.full((len(episodes), start + width), pad_id)
    mask_B_L = torch.zeros_like(ids_B_L)
    # Prompts end and responses begin in one column, so that a slice has all responses.
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        first, end = start - len(prompt), start + len(response)
        ids_B_L[row, first:end] = torch.tensor(prompt + response)
        mask_B_L[row, first:end] = 1
    return ids_B_L.to(device), mask_B_L.to(device), mask_B_L[:, start:].to(device)
