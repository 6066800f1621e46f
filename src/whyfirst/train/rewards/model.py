"""The reward of a trained reward model: the number it gives to prompt and response together.

Leaves out: training one (the `reward` stage), and models with more than one output.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.rewards import REWARDS, text


@REWARDS.enter(REWARD_MODEL, needs="the model of a `reward` stage")
def reward_model(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    finished: list[bool],
    *,
    folder: str,
    batch_size: int = 64,
    **columns: Any,
) -> list[float | None]:
    """r(x, y) of a sequence-classification model."""
    from whyfirst.train.encode import encode_exchange

    model, tokenizer = load(folder)
    sequences = [
        encode_exchange(tokenizer, prompt, text(said), ended, written)
        for prompt, said, ended, written in zip(
            prompts, completions, finished, columns.get("format", repeat(None)), strict=False
        )
    ]
    return list(score(model, tokenizer.pad_token_id, sequences, batch_size))


def score(
    model: Any, pad_id: int, sequences: list[list[int]], batch_size: int, types: Any = None
) -> list[float]:
    """The model's one output for each sequence of token ids; `types` as in `batched`."""

    def read(inputs: dict[str, Any], lengths: list[int]) -> Any:
        return model(**inputs, use_cache=False).logits[:, 0]

    return batched(model, pad_id, sequences, batch_size, read, types)


def batched(
    model: Any, pad_id: int, sequences: Sequence[list[int]], batch_size: int,
    read: Callable[[dict[str, Any], list[int]], Any], types: Sequence[list[int]] | None = None,
) -> list[float]:  # fmt: skip
    """A number for each sequence of token ids, computed longest first, without gradient.

    Args:
        read: the numbers (B,) of padded inputs (B, T) and their lengths.
        types: which text each token is of, where the model reads that of pairs.
    """
    import torch

    device = next(model.parameters()).device
    order = sorted(range(len(sequences)), key=lambda at: -len(sequences[at]))
    found = [0.0] * len(sequences)
    training = model.training
    model.eval()
    try:
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            lengths = [len(sequences[at]) for at in chosen]
            ids = torch.full((len(chosen), lengths[0]), pad_id)
            mask, kinds = torch.zeros_like(ids), torch.zeros_like(ids)
            for row, at in enumerate(chosen):
                ids[row, : lengths[row]] = torch.tensor(sequences[at])
                mask[row, : lengths[row]] = 1
                if types is not None:
                    kinds[row, : lengths[row]] = torch.tensor(types[at])
            inputs = {"input_ids": ids.to(device), "attention_mask": mask.to(device)}
            if types is not None:
                inputs["token_type_ids"] = kinds.to(device)
            with torch.no_grad():
                values = read(inputs, lengths).float().tolist()
            for at, value in zip(chosen, values, strict=True):
                found[at] = value
    finally:
        model.train(training)
    return found


@lru_cache(maxsize=2)
def load(path: str) -> tuple[Any, Any]:
    """A reward model and its tokenizer from a local folder; no code from the folder is run.

    Raises:
        UserError: the folder holds another kind of model, or its files are broken.
    """
    import torch

    from whyfirst.config.files import read_json
    from whyfirst.models.folder import boundary, check_weights
    from whyfirst.models.loading import config_of, dropout_off, open_weights, scorer_class
    from whyfirst.train.weights import load_tokenizer

    names = read_json(_config(path)).get("architectures") or [""]
    if not names[0].endswith("ForSequenceClassification"):
        raise ConfigError(
            f"{path}: {names[0] or 'the model'} is no reward model; give the output of a `reward` "
            "stage"
        )
    folder = _config(path).parent
    check_weights(folder)
    config = config_of(folder)
    dropout_off(config)  # it only scores, and a critic that begins as it has none either
    model = open_weights(scorer_class(config), folder, config=config, dtype=torch.float32)
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is not None:
        model.to(device)
    with boundary(folder, "the reward model"):  # some configs only turn out to be nonsense here
        score(model.eval().requires_grad_(False), 0, [[0]], 1)
    return model, load_tokenizer(folder)


def _config(path: str) -> Path:
    return Path(path) / "config.json"
