"""What ends a response in the stages that generate is what ends it in an evaluation."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from whyfirst.config.files import read_jsonl, write_jsonl
from whyfirst.models.base import Sampling, asked
from whyfirst.models.local import LocalModel
from whyfirst.train.config import GRPOStage, PPOStage, SFTStage
from whyfirst.train.run import run_stage

TURN = ["<|im_start|>", "<|im_end|>"]


def _bytes(special: bool) -> Any:
    """A tokenizer whose end of text isn't what ends a turn, which may be a token or words."""
    names = ["<|endoftext|>", "<pad>", *(TURN if special else [])]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: place for place, text in enumerate([*names, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(names)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=names[0], pad_token=names[1],
        additional_special_tokens=names[2:],
    )  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["words", "token"])
def answerer(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A model that learnt to answer "yes" in ChatML, and its prompts."""
    folder, tokenizer = tmp_path_factory.mktemp("answerer"), _bytes(request.param)
    torch.manual_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer), bos_token_id=None, eos_token_id=tokenizer.eos_token_id,
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=256,
    )  # fmt: skip
    LlamaForCausalLM(shape).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    rows = [{"prompt": f"q{n % 7}", "completion": "yes", "answer": "yes"} for n in range(40)]
    write_jsonl(folder / "rows.jsonl", rows)
    config = SFTStage(batch_size=8, updates=60, learning_rate=2e-2, chat_template="chatml")
    run_stage(config, folder / "base", {"demonstrations": folder / "rows.jsonl"}, folder / "sft", 1)
    return folder / "sft" / "model", folder / "rows.jsonl"


@pytest.mark.parametrize("kind", [GRPOStage, PPOStage])
def test_a_reward_reads_what_ends_the_turn_as_part_of_the_answer(
    answerer: tuple[Path, Path], tmp_path: Path, kind: Any
) -> None:
    """A policy that is always right earned nothing, and never counted as finished."""
    model, prompts = answerer
    local = LocalModel(model, "float32")
    [[said]] = local.generate([asked("q1")], sampling=Sampling(max_new_tokens=40))
    assert (said.text, said.finished) == ("yes", True)
    more: dict[str, Any] = {"group_size": 4} if kind is GRPOStage else {"minibatch_size": 8}
    config = kind(
        batch_size=8, updates=10, max_length=120, max_new_tokens=40, learning_rate=1e-7,
        rewards=({"name": "exact_match"},), **more,
    )  # fmt: skip
    run_stage(config, model, {"prompts": prompts}, tmp_path / "out", 1)
    # Drawn at temperature 1, so that a few of them go wrong.
    first = read_jsonl(tmp_path / "out" / "log.jsonl")[0]
    assert first["reward/exact_match"] > 0.7
    assert first["finished"] > 0.7
