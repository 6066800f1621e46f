"""What a model's training and use costs: operations, bytes, hours. Arithmetic only, nothing is run.

Operations follow Kaplan et al. 2020 (arXiv 2001.08361, section 2.1): 2 a parameter and token
forward, 4 backward, over the parameters that a token is multiplied with, and PaLM's attention term
(Chowdhery et al. 2022, arXiv 2204.02311, appendix B). With low-rank adapters (Hu et al. 2021, arXiv
2106.09685) no gradient of the frozen weights is computed: 2 backward. Activation memory is
Korthikanti et al.'s estimate (2022, arXiv 2205.05198, equation 2) without the attention map, which
fused attention doesn't keep. Leaves out: communication, fragmentation, quantised weights, and what
a study asks for (estimate.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.files import read_json
from whyfirst.models.limits import limits_of

# Share of a GPU's peak that training reaches; well-tuned runs report 0.3 to 0.5 (PaLM: 0.46).
UTILISATION = 0.35
_KNOWN = Path(__file__).with_name("known_models.yaml")
_GPUS = Path(__file__).with_name("gpus.yaml")
# AdamW keeps two float32 moments for each trained parameter.
_OPTIMIZER_BYTES = 8
_FLOAT = 4


@dataclass(frozen=True)
class Shape:
    """A causal language model's size.

    Attributes:
        parameters: all of them, tied weights once.
        multiplied: those a token is multiplied with: all but an input embedding of its own.
        layers, hidden: depth and width.
        attention: width of the attention (heads x head size); `kv`: of its keys alone.
        vocabulary: rows of the output layer.
        linear: (name, inputs, outputs) of every linear layer but the output layer.
        context: positions, None without a limit.
    """

    parameters: int
    multiplied: int
    layers: int
    hidden: int
    attention: int
    kv: int
    vocabulary: int
    linear: tuple[tuple[str, int, int], ...]
    context: int | None

    def adapter(self, rank: int, targets: str | tuple[str, ...]) -> int:
        """Parameters of low-rank adapters on the targeted layers: rank x (inputs + outputs)."""
        chosen = [
            (inputs, outputs)
            for name, inputs, outputs in self.linear
            if targets == "all-linear" or name.endswith(tuple(targets))
        ]
        return sum(rank * (inputs + outputs) for inputs, outputs in chosen)


def read_shape(config: Mapping[str, Any]) -> Shape:
    """The size of the model that a ``config.json`` describes; no weights are made.

    Raises:
        ConfigError: transformers doesn't know the architecture.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    fields = {name: value for name, value in config.items() if name != "model_type"}
    try:
        described = AutoConfig.for_model(str(config.get("model_type")), **fields)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(described)
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"config.json: no causal language model to count: {error}") from error
    head, inputs = model.get_output_embeddings(), model.get_input_embeddings()
    parameters = sum(weights.numel() for weights in model.parameters())
    tied = head is not None and head.weight is inputs.weight
    text = described.get_text_config()
    heads = int(text.num_attention_heads)
    size = int(getattr(text, "head_dim", None) or text.hidden_size // heads)
    return Shape(
        parameters=parameters,
        multiplied=parameters - (0 if tied else inputs.weight.numel()),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        attention=heads * size,
        kv=int(getattr(text, "num_key_value_heads", None) or heads) * size,
        vocabulary=int(text.vocab_size),
        linear=tuple(
            (name, module.in_features, module.out_features)
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.Linear) and module is not head
        ),
        context=limits_of(described.to_dict()).positions,
    )


@cache
def known_models() -> dict[str, dict[str, Any]]:
    """Configs of models that are only named here, by Hub id."""
    import yaml

    found: dict[str, dict[str, Any]] = yaml.safe_load(_KNOWN.read_text(encoding="utf-8"))
    return found


def model_config(place: str, revision: str | None = None) -> dict[str, Any]:
    """The config of a model folder or a Hub id, without fetching anything.

    Raises:
        UserError: neither in the folder, nor in the Hub's cache, nor in the table of known models.
    """
    file = Path(place) / "config.json"
    if not file.is_file() and not Path(place).exists():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(place, "config.json", revision=revision)
        file = Path(cached) if isinstance(cached, str) else file
    if file.is_file():
        config: dict[str, Any] = read_json(file)
        return config
    if place in known_models():
        return known_models()[place]
    raise UserError(
        f"{place}: its config.json is neither here nor in the Hub's cache, and its size isn't in "
        f"the table ({', '.join(known_models())}); fetch the config, or give a local folder "
        "with --model"
    )


# -- operations ----------------------------------------------------------------------------


def forward_flops(shape: Shape, tokens: float, row: float) -> float:
    """Of `tokens` tokens in rows of `row`: 2 a multiplied parameter, and attention.

    The attention term is 4 x layers x width x row a token (PaLM's 12, a third of it forward); the
    causal mask saves up to half of it, depending on the kernel.
    """
    return tokens * (2.0 * shape.multiplied + 4.0 * shape.layers * shape.attention * row)


def training_flops(
    shape: Shape, tokens: float, row: float, *, adapter: int = 0, recompute: bool = False
) -> float:
    """Forward and backward: 6 a multiplied parameter and token; 4, and 6 an adapter's, with LoRA.

    Args:
        adapter: trained parameters of low-rank adapters; 0 trains everything.
        recompute: gradient checkpointing runs the forward pass once more.
    """
    factor = 4.0 if adapter else 6.0
    attention = 12.0 * shape.layers * shape.attention * row
    spent = tokens * (factor * shape.multiplied + 6.0 * adapter + attention)
    return spent + (forward_flops(shape, tokens, row) if recompute else 0.0)


# -- memory --------------------------------------------------------------------------------


def training_memory(
    shape: Shape,
    *,
    rows: int,
    row: int,
    half: bool,
    adapter: int = 0,
    frozen_half: bool = False,
    recompute: bool = False,
    reference: bool = False,
) -> dict[str, float]:
    """Bytes by part of training `rows` rows of `row` tokens at once, with AdamW.

    Args:
        half: computes in bfloat16; weights stay float32.
        frozen_half: the frozen weights under adapters are bfloat16.
        reference: a frozen copy of the model is kept (with adapters, the model without them).
    """
    trained = adapter or shape.parameters
    frozen = 2 if frozen_half and adapter else _FLOAT
    parts = {
        "weights": float(shape.parameters * frozen + adapter * _FLOAT),
        "gradients": float(trained * _FLOAT),
        "optimizer": float(trained * _OPTIMIZER_BYTES),
        "activations": activation_bytes(shape, rows, row, half=half, recompute=recompute),
    }
    if reference and not adapter:
        parts["reference copy"] = float(shape.parameters * _FLOAT)
    return parts


def activation_bytes(
    shape: Shape, rows: int, row: int, *, half: bool, recompute: bool = False
) -> float:
    """What the backward pass needs: 34 x width bytes a token and layer in 16 bits, and the logits.

    Recomputing keeps each layer's input (2 x width) and one layer's activations.
    """
    tokens, width = rows * row, 1.0 if half else 2.0
    layer = 34.0 * tokens * shape.hidden * width
    kept = 2.0 * tokens * shape.hidden * width * shape.layers + layer
    # The logits are float32 in any case, and have a gradient of their size.
    logits = 2.0 * _FLOAT * tokens * shape.vocabulary
    return (kept if recompute else layer * shape.layers) + logits


def cache_bytes(shape: Shape, tokens: float, *, half: bool) -> float:
    """Keys and values of `tokens` tokens in every layer."""
    return 2.0 * shape.layers * shape.kv * tokens * (2 if half else _FLOAT)


# -- hours ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gpu:
    """A device: dense peak operations a second and memory in bytes; None where unknown."""

    name: str
    bfloat16: float | None
    float32: float | None
    memory: float | None

    def hours(self, flops: float, *, half: bool) -> float | None:
        """Hours of `flops` at the usual share of the peak, None where the peak is unknown."""
        peak = self.bfloat16 if half else self.float32
        return None if peak is None else flops / (peak * UTILISATION) / 3600.0


@cache
def gpus() -> dict[str, Gpu]:
    """The devices of gpus.yaml by name."""
    import yaml

    scales = {"bfloat16_tflops": 1e12, "float32_tflops": 1e12, "memory_gb": 1e9}
    rows = yaml.safe_load(_GPUS.read_text(encoding="utf-8"))
    return {
        name: Gpu(name, *(row[key] and row[key] * scale for key, scale in scales.items()))
        for name, row in rows.items()
    }
