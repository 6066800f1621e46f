"""What a stage costs beside a plain training loop, on a model of Hearth's size, one thread.

    python benchmarks/training.py [updates]

Prints CPU seconds of `run_stage` (everything: hashing, tokenising, preflight, model load and save)
and of a plain loop over the same rows in the same order (padded batches, the model's own loss, the
same fused AdamW and clipping; tokenising, load and save included), and their ratio.
"""

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
WORDS, BATCH = 1500, 32

Case = tuple[str, Any, str, list[dict[str, str]]]


def main(updates: int) -> None:
    """Measure explain and sft, twice each, best of two."""
    import torch

    torch.set_num_threads(1)
    from whyfirst.train import adapter

    adapter.quiet_libraries()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_model(folder / "base")
        draw = random.Random(0)
        cases = [_explain(draw, updates), _sft(draw, updates)]
        figures = {}
        _ours(cases[0], folder, -1)  # imports and first-call costs, paid once by a worker
        for case in cases:
            ours = min(_ours(case, folder, i) for i in range(2))
            plain = min(_plain(case, folder) for _ in range(2))
            figures[case[0]] = {
                "stage_s": round(ours[0], 2), "plain_s": round(plain, 2),
                "ratio": round(ours[0] / plain, 3), "outside_updates_s": round(ours[1], 2),
            }  # fmt: skip
            print(case[0], figures[case[0]])
        print(json.dumps({"updates": updates, "batch": BATCH, **figures}))


def _explain(draw: random.Random, updates: int) -> Case:
    from whyfirst.train.config import ExplainStage

    rows = [{"text": _text(draw, draw.randint(20, 40))} for _ in range(2000)]
    config = ExplainStage(updates=updates, batch_size=BATCH, learning_rate=1e-3)
    return "explain", config, "documents", rows


def _sft(draw: random.Random, updates: int) -> Case:
    from whyfirst.train.config import SFTStage

    lengths = [(draw.randint(14, 26), draw.randint(5, 14)) for _ in range(2000)]
    rows = [{"prompt": _text(draw, p), "completion": _text(draw, c)} for p, c in lengths]
    config = SFTStage(updates=updates, batch_size=BATCH, learning_rate=1e-3)
    return "sft", config, "demonstrations", rows


def _make_model(folder: Path) -> None:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    vocabulary = {"<pad>": 0, "<unk>": 1, "<eos>": 2}
    vocabulary |= {f"w{i}": i for i in range(3, WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<eos>", pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=WORDS, hidden_size=128, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=352, max_position_embeddings=256, tie_word_embeddings=True,
        bos_token_id=None, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def _text(draw: random.Random, length: int) -> str:
    return " ".join(f"w{draw.randrange(3, WORDS)}" for _ in range(length))


def _ours(case: Case, folder: Path, i: int) -> Any:
    from whyfirst.files import write_jsonl
    from whyfirst.train.run import run_stage

    name, config, kind, rows = case
    write_jsonl(folder / f"{name}.jsonl", rows)
    marks: list[float] = []
    started = time.process_time()
    run_stage(
        config,
        folder / "base",
        {kind: folder / f"{name}.jsonl"},
        folder / f"out-{name}-{i}",
        0,
        lambda *_: marks.append(time.process_time()),
    )
    ended = time.process_time()
    per_update = (marks[-1] - marks[0]) / max(1, len(marks) - 1)
    # Reports are throttled: the first falls on the first update.
    return ended - started, (marks[0] - started) + (ended - marks[-1]) - min(per_update, 0.1)


def _plain(case: Case, folder: Path) -> float:
    import torch

    from whyfirst.train.adapter import load_model
    from whyfirst.train.plan import make_plan
    from whyfirst.train.run import load_tokenizer

    _, config, _, rows = case
    started = time.process_time()
    tokenizer, model = load_tokenizer(folder / "base"), load_model(folder / "base")
    texts = [" ".join(row.values()) for row in rows]
    prompts = [len(row["prompt"].split()) if "prompt" in row else 0 for row in rows]
    ids = [[*row, tokenizer.eos_token_id] for row in tokenizer(texts)["input_ids"]]
    plan = make_plan(config, [len(row) for row in ids], [], 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    model.train()
    for update in plan.updates:
        chosen = [i for (i,) in update]
        width = max(len(ids[i]) for i in chosen)
        inputs = torch.zeros(len(chosen), width, dtype=torch.long)
        labels = torch.full((len(chosen), width), -100)
        mask = torch.zeros(len(chosen), width, dtype=torch.long)
        for row, i in enumerate(chosen):
            end = len(ids[i])
            inputs[row, :end] = torch.tensor(ids[i])
            labels[row, prompts[i] : end] = inputs[row, prompts[i] : end]
            mask[row, :end] = 1
        model(input_ids=inputs, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder / "plain")
    tokenizer.save_pretrained(folder / "plain")
    return time.process_time() - started


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
