"""Llamas with random weights whose tokens are words: what is only timed needs no sense."""

from pathlib import Path
from typing import Any


def make(folder: Path, words: int, **shape: Any) -> int:
    """Save one with its tokenizer; returns its parameters.

    Args:
        words: the vocabulary's size, with <pad>, <unk> and <eos>.
        shape: of `LlamaConfig`.
    """
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "<unk>": 1, "<eos>": 2} | {f"w{i}": i for i in range(3, words)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=words, tie_word_embeddings=True, bos_token_id=None, eos_token_id=2,
        pad_token_id=0, **shape,
    ))  # fmt: skip
    model.save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters())
