"""What a model's config says of its sizes: the one reader, whatever the architecture calls them.

Read from ``config.json`` (or a config object's ``to_dict``), without torch. Leaves out: what a
tokenizer is set to, and limits that are none (ALiBi's ``seq_length``, a sliding window).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

UNLIMITED = 2**31
"""Positions of a model whose config sets no limit."""
_NESTED = ("text_config", "language_config", "llm_config", "decoder")
_POSITIONS = (
    "max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx",
    "context_length", "max_target_positions",
)  # fmt: skip
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "decoder_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "dim")
# Their positions start after the padding token's index (fairseq's encoders).
_SHIFTED = ("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet")


@dataclass(frozen=True)
class ModelLimits:
    """Sizes of a model, None where its config doesn't say.

    Args:
        positions: most tokens of one sequence.
        vocabulary: rows of its embedding.
        at_least: parameters that a model of these sizes has at the least: embedding, one feed
            forward, a vector a layer and expert; a bound, not a count.
    """

    positions: int | None
    vocabulary: int | None
    at_least: int

    def exceed(self, stored: int) -> bool:
        """Whether the model has more parameters than the numbers its weights hold."""
        # A twentieth more: an embedding may be padded when it is loaded.
        return self.at_least > 1.05 * stored + 1e6


def limits_of(config: Any) -> ModelLimits:
    """The sizes in a config, a mapping; anything that isn't a positive whole number is unsaid."""
    text = config if isinstance(config, Mapping) else {}
    # The text part of a model of several modes; its sizes go before those round it.
    for name in _NESTED:
        if isinstance(text.get(name), Mapping):
            text = {**text, **text[name]}
    positions = _first(text, _POSITIONS)
    if positions is not None and text.get("model_type") in _SHIFTED:
        padding = text.get("pad_token_id")
        positions -= (padding if isinstance(padding, int) else 1) + 1
    vocabulary, hidden = _first(text, ("vocab_size",)), _first(text, _HIDDEN) or 1
    embedded = _first(text, ("word_embed_proj_dim", "embedding_size")) or hidden
    experts = _first(text, ("num_experts", "num_local_experts", "n_routed_experts")) or 0
    at_least = (
        (vocabulary or 0) * embedded
        + (_first(text, ("intermediate_size",)) or 0) * hidden
        + ((_first(text, _LAYERS) or 0) + experts) * hidden
    )
    return ModelLimits(positions, vocabulary, at_least)


def context_of(config: Any) -> int:
    """Most tokens of one sequence of a loaded model's config; `UNLIMITED` where it sets none."""
    return limits_of(config.to_dict()).positions or UNLIMITED


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = config.get(name)
        # Configs name sizes that are off as null, 0 or -1.
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None
