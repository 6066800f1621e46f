"""A task with a known optimum: four questions, eight words, one word best for each.

The payoff of a response is that of its first word: 1 for the question's best word, 0.5 for the
word after it, 0 for any other. The best policy gets exactly 1; a uniform one about 0.1.
"""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from whyfirst.train.rewards import REWARDS

QUESTIONS = [f"q{i}" for i in range(4)]
WORDS = [f"a{i}" for i in range(8)]
MAX_NEW_TOKENS = 2
"""A word and the end of text."""


def payoff(question: str, word: str) -> float:
    """What `word` earns as the answer to `question`."""
    if word not in WORDS:
        return 0.0
    best = 3 * QUESTIONS.index(question.strip()) + 1
    return {0: 1.0, 1: 0.5}.get((WORDS.index(word) - best) % len(WORDS), 0.0)


if "bandit" not in REWARDS.names():

    @REWARDS.enter("bandit")
    def bandit(
        prompts: list[str], completions: list[str], completion_ids: list[list[int]], **columns: Any
    ) -> list[float | None]:
        """The payoff of the response's first word."""
        return [
            payoff(prompt, (said.split() or [""])[0])
            for prompt, said in zip(prompts, completions, strict=True)
        ]


def make_task(folder: Path, seed: int = 0) -> tuple[Path, Path]:
    """A random model of 17 words and the prompt file; (model folder, JSONL)."""
    names = ["<pad>", "<unk>", "<eos>", "<bos>", *QUESTIONS, *WORDS]
    inner = Tokenizer(
        models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="<unk>")
    )
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    )
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(names),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=16,
            initializer_range=0.05,
            bos_token_id=None,
            eos_token_id=2,
            pad_token_id=0,
        )
    )
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": q}) + "\n" for q in QUESTIONS * 4))
    return folder / "base", prompts


def value(model_dir: Path) -> float:
    """Expected payoff of a model's policy, exactly: from the probabilities of its first word."""
    model = AutoModelForCausalLM.from_pretrained(model_dir).eval()
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    total = 0.0
    for question in QUESTIONS:
        with torch.no_grad():
            logits = model(torch.tensor([tokenizer(question)["input_ids"]])).logits[0, -1]
        for word, p in zip(
            WORDS, logits.softmax(-1)[tokenizer.convert_tokens_to_ids(WORDS)].tolist(), strict=True
        ):
            total += p * payoff(question, word) / len(QUESTIONS)
    return total
