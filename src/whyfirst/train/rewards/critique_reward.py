"""The reward of a critic: it criticises the response in words, and its number then is the reward.

Zhang et al. 2025, "MM-RLHF: The Next Step Forward in Multimodal LLM Alignment", text form. Leaves
out: training one (the stage of that name).
"""

from functools import lru_cache
from itertools import repeat
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

from pydantic import Field

from whyfirst.config.errors import ConfigError
from whyfirst.models.base import Sampling
from whyfirst.models.folder import SCORE
from whyfirst.train.rewards import REWARDS, text

Positive = Annotated[int, Field(ge=1)]


@REWARDS.enter(
    "critique_reward",
    paper="Zhang et al. 2025, arXiv 2502.10391",
    needs="the model of a `critique_reward` stage",
    tested="of a critique it is the number of training; several are averaged; batches don't count",
)
def critique_reward(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    folder: str,
    samples: Positive = 1,
    temperature: float = 1.0,
    max_new_tokens: Positive = 128,
    batch_size: Positive = 16,
    **columns: Any,
) -> list[float | None]:
    """Mean of the critic's number after its own critiques of a response.

    Args:
        samples: critiques of each response; one is written greedily, several are drawn (the paper
            found no gain in several).
        temperature: of drawing several.
    """
    from whyfirst.data.asking import as_trained
    from whyfirst.train.critic import ASK, put_to_critic, score
    from whyfirst.train.encode import encode_exchange

    model, vector = load(folder)
    tokenizer, formats = model.tokenizer, columns.get("format") or repeat(None)
    ask = getattr(model.model.config, ASK)
    asked = [
        (put_to_critic(prompt, text(said), ask), written)
        for prompt, said, written in zip(prompts, completions, formats, strict=False)
    ]
    sampling = Sampling(max_new_tokens, temperature if samples > 1 else 0.0)
    critiques = model.generate([as_trained(tokenizer, *one) for one in asked], samples, sampling)
    sequences = [
        # A critique that was cut off is read as it stands, with the end that training gave all.
        encode_exchange(tokenizer, prompt, critique.text, True, written)
        for (prompt, written), row in zip(asked, critiques, strict=True)
        for critique in row
    ]
    numbers = score(model.model, vector, tokenizer.pad_token_id, sequences, batch_size)
    return [fmean(numbers[at : at + samples]) for at in range(0, len(numbers), samples)]


@lru_cache(maxsize=2)
def load(folder: str) -> tuple[Any, Any]:
    """A critic as a `LocalModel`, and the vector (H,) that its number is read by."""
    from safetensors.torch import load_file

    from whyfirst.models.local import LocalModel

    file = Path(folder) / SCORE
    if not file.is_file():
        raise ConfigError(f"{folder}: no critic; give the output of a `critique_reward` stage")
    return LocalModel(file.parent, "float32"), load_file(file)["score"]
