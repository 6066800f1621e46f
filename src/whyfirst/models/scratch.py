"""A new tiny model: a byte-level BPE tokenizer trained on given texts, and random weights.

For experiments on real data that must run on a laptop in minutes. The same texts, configuration
and seed give the same bytes. Leaves out: training the model (the stages do) and architectures
other than Llama's.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.strict import StrictModel, affects_output
from whyfirst.models.chat import template_text
from whyfirst.models.folder import no_progress_bars

END, PAD = "<|end|>", "<|pad|>"


class ScratchConfig(StrictModel):
    """Shape of a from-scratch model; about `vocab_size * hidden_size` plus
    `layers * (4 * hidden_size**2 + 3 * hidden_size * intermediate_size)` parameters."""

    architecture: Literal["llama"] = affects_output("llama")
    hidden_size: int = affects_output(128, ge=8)
    layers: int = affects_output(4, ge=1)
    heads: int = affects_output(4, ge=1)
    intermediate_size: int = affects_output(344, ge=8)
    vocab_size: int = affects_output(4096, ge=258)  # 256 bytes and two special tokens
    max_length: int = affects_output(512, ge=8)

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}"
            )
        return self


def build_scratch(config: ScratchConfig, texts: Iterable[str], out_dir: Path, seed: int) -> int:
    """Train the tokenizer on `texts`, initialise the model, save both in the Hub's layout.

    A vocabulary smaller than asked for (few texts) shrinks the model's too.

    Returns:
        The number of parameters.

    Raises:
        DataError: no text at all.
        StoreError: the folder can't be written.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = train_tokenizer(config, texts)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        num_key_value_heads=config.heads,
        max_position_embeddings=config.max_length,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    # What the caller draws afterwards stays the same, whether a model was built or not.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(shape)
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with no_progress_bars():
            model.save_pretrained(out_dir)
            tokenizer.save_pretrained(out_dir)
    except OSError as error:
        raise StoreError(f"{out_dir}: can't be written: {error.strerror or error}") from error
    return sum(weights.numel() for weights in model.parameters())


def train_tokenizer(config: ScratchConfig, texts: Iterable[str]) -> Any:
    """A byte-level BPE tokenizer with the `plain` chat template.

    Raises:
        DataError: no text at all.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    empty = True

    def checked() -> Iterable[str]:
        nonlocal empty
        for text in texts:
            empty = empty and not text
            yield text

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=config.vocab_size,
        special_tokens=[END, PAD],
        # All 256 bytes, or a text with a new one could not be written.
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(checked(), trainer)
    if empty:
        raise DataError("a from-scratch tokenizer needs texts to train on; there were none")
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        model_max_length=config.max_length,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = template_text("plain", fast)
    return fast
