"""What the engine, the stages and PPO reach beside what a user would write, in one run: on a GPU.

    python benchmarks/gpu.py [--out gpu.json] [--minutes 10]     # offline; needs one CUDA device
    python benchmarks/gpu.py --cpu [--jobs training]             # the smaller one, on this CPU
    python benchmarks/gpu.py --toy                               # seconds on a CPU: does it work?

Llamas with random weights in the shapes of 135M and 1B parameters, bfloat16 (on a CPU float32).
Scoring and greedy generation against `transformers` in padded batches, at the best of a few batch
sizes; a stage of training against a plain loop; each in tokens a second, peak memory (a card's
alone) and share of the device's own peak (a matrix product, measured first: large, on a CPU of the
layers' shapes). Of PPO, the share of its time that goes into responses. What the minutes no longer
suffice for is left out and named. Leaves out: several cards (FSDP spreads a model over those),
quality.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parent / "loops"))
from word_models import make

# hidden, layers, heads, key-value heads, inner: SmolLM2-135M and Llama-3.2-1B
SHAPES = {"135M": (576, 30, 9, 3, 1536), "1B": (2048, 16, 32, 8, 8192)}
TOY = {"toy": (64, 2, 4, 2, 128)}


class Sizes(argparse.Namespace):
    """How much is measured; a toy's are those of a test."""

    vocabulary, context = 32000, 1024
    scored, scored_length = 512, 512
    prompts, prompt_length, new_tokens = 256, 128, 128
    rows, row_length, updates, batch = 640, 512, 20, 16
    ppo_updates, ppo_batch = 4, 32
    batches, dtype, product = (16, 64, 256), "bfloat16", (8192, 8192, 8192)


TOY_SIZES = Sizes(
    vocabulary=300, context=128, scored=8, scored_length=32, prompts=8, prompt_length=12,
    new_tokens=8, rows=40, row_length=32, updates=10, batch=4, ppo_updates=2, ppo_batch=4,
    product=(128, 128, 128),
)  # fmt: skip
CPU_SIZES = Sizes(
    vocabulary=49152, scored=24, scored_length=256, prompts=24, prompt_length=64, new_tokens=64,
    rows=40, row_length=128, updates=10, batch=4, ppo_updates=2, ppo_batch=4,
    batches=(1, 4, 16), dtype="float32", product=(512, 576, 1536),
)  # fmt: skip


def main() -> None:
    """Measure each size in turn, print a line each, and write the table as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--cpu", action="store_true")
    jobs = {"scoring": scoring, "generation": generation, "training": training, "ppo": ppo}
    parser.add_argument("--jobs", nargs="+", choices=[*jobs], default=[*jobs])
    arguments = parser.parse_args()
    if not (arguments.toy or arguments.cpu or torch.cuda.is_available()):
        parser.error("no CUDA device; --cpu measures a CPU, --toy tries the script")
    device = "cuda" if torch.cuda.is_available() and not arguments.cpu else "cpu"
    sizes, shapes = (TOY_SIZES, TOY) if arguments.toy else (Sizes(), SHAPES)
    if arguments.cpu:
        sizes, shapes = CPU_SIZES, {"135M": SHAPES["135M"]}
    end = time.monotonic() + 60 * arguments.minutes
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    most = peak(device, sizes) / 1e12
    figures: dict[str, Any] = {"device": name, "peak_tflops": most}
    with tempfile.TemporaryDirectory() as root:
        for size, shape in shapes.items():
            folder = Path(root) / size
            figures[size] = {"parameters": build(folder, shape, sizes)}
            for job in arguments.jobs:
                if time.monotonic() > end - 30:
                    figures[size][job] = "left out: no time left"
                    continue
                found = jobs[job](folder, sizes, device, figures[size]["parameters"])
                if "tflops" in found:
                    found["share_of_peak"] = round(found["tflops"] / most, 3)
                figures[size][job] = found
                print(size, job, json.dumps(figures[size][job]), flush=True)
            # After every size, so that a card that is taken away leaves what was measured.
            arguments.out.write_text(json.dumps(figures, indent=1))
    print(json.dumps(figures))


def peak(device: str, sizes: Sizes) -> float:
    """Operations a second of a matrix product."""
    rows, inner, columns = sizes.product
    dtype = getattr(torch, sizes.dtype)
    a = torch.randn(rows, inner, device=device, dtype=dtype)
    b = torch.randn(inner, columns, device=device, dtype=dtype)
    times = 20 if device == "cuda" else 200
    for _ in range(2):  # once to warm up
        with clock(device) as spent:
            for _ in range(times):
                a @ b
    return times * 2 * rows * inner * columns / spent["seconds"]


def build(folder: Path, shape: tuple[int, ...], sizes: Sizes) -> int:
    """A Llama of that shape with random weights; returns its parameters."""
    hidden, layers, heads, kv_heads, between = shape
    return make(
        folder, sizes.vocabulary, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=kv_heads, intermediate_size=between,
        max_position_embeddings=sizes.context,
    )  # fmt: skip


def scoring(folder: Path, sizes: Sizes, device: str, parameters: int) -> dict[str, Any]:
    """Log-likelihoods of texts given their first half."""
    from whyfirst.models.local import LocalModel

    draw = random.Random(1)
    rows = [texts(draw, sizes, sizes.scored_length) for _ in range(sizes.scored)]
    half = sizes.scored_length // 2
    requests = [(" ".join(row[:half]), [" " + " ".join(row[half:])]) for row in rows]
    tokens = sizes.scored * sizes.scored_length
    model = LocalModel(folder, dtype=sizes.dtype, device=device)

    def plain(size: int) -> None:
        with torch.inference_mode():
            for batch in batches(model, rows, size, device):
                logits = model.model(**batch).logits.float()
                logp = torch.log_softmax(logits[:, :-1], -1)
                logp.gather(-1, batch["input_ids"][:, 1:, None]).sum().item()

    return compared(
        lambda: model.loglikelihood(requests), plain, tokens, 2 * parameters * tokens, device,
        sizes.batches,
    )  # fmt: skip


def generation(folder: Path, sizes: Sizes, device: str, parameters: int) -> dict[str, Any]:
    """Greedy completions of one length (random weights hardly ever draw the end token)."""
    from whyfirst.models.base import Sampling
    from whyfirst.models.local import LocalModel

    draw = random.Random(2)
    lengths = [draw.randint(sizes.prompt_length // 4, sizes.prompt_length) for _ in
               range(sizes.prompts)]  # fmt: skip
    rows = [texts(draw, sizes, length) for length in lengths]
    prompts = [" ".join(row) for row in rows]
    model = LocalModel(folder, dtype=sizes.dtype, device=device)
    how = {"max_new_tokens": sizes.new_tokens, "min_new_tokens": sizes.new_tokens}

    def plain(size: int) -> None:
        for batch in batches(model, rows, size, device, left=True):
            model.model.generate(**batch, **how, do_sample=False, pad_token_id=0)

    tokens = sizes.prompts * sizes.new_tokens
    sampling = Sampling(sizes.new_tokens)
    return compared(
        lambda: model.generate(prompts, sampling=sampling), plain, tokens,
        2 * parameters * (tokens + sum(lengths)), device, sizes.batches,
    )  # fmt: skip


def training(folder: Path, sizes: Sizes, device: str, parameters: int) -> dict[str, Any]:
    """The first stage on rows of equal length against a plain loop with the same updates."""
    from whyfirst.config.files import write_jsonl
    from whyfirst.train.config import ExplainStage
    from whyfirst.train.run import run_stage

    draw = random.Random(3)
    rows = [texts(draw, sizes, sizes.row_length - 1) for _ in range(sizes.rows)]
    write_jsonl(folder / "rows.jsonl", [{"text": " ".join(row)} for row in rows])
    config = ExplainStage(
        updates=sizes.updates, batch_size=sizes.batch, max_length=sizes.row_length,
        learning_rate=1e-4, dtype=sizes.dtype,
    )  # fmt: skip
    runs = iter(range(9))

    def stage() -> None:
        out = folder / f"stage{next(runs)}"
        run_stage(config, folder, {"documents": folder / "rows.jsonl"}, out, 0)

    def plain(size: int) -> None:
        plain_training(folder, rows, sizes, device)

    tokens = sizes.updates * sizes.batch * sizes.row_length
    return compared(stage, plain, tokens, 6 * parameters * tokens, device, (sizes.batch,))


def plain_training(folder: Path, rows: list[list[str]], sizes: Sizes, device: str) -> None:
    """What a user would write: autocast, fused AdamW, clipping; load and save included."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.0, fused=True)
    ids = torch.tensor(
        [[*tokenizer.convert_tokens_to_ids(row), tokenizer.eos_token_id] for row in rows]
    )
    for update in range(sizes.updates):
        at = [(update * sizes.batch + i) % len(rows) for i in range(sizes.batch)]
        batch = ids[at].to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=sizes.dtype == "bfloat16"):
            loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder / "plain")


def ppo(folder: Path, sizes: Sizes, device: str, parameters: int) -> dict[str, Any]:
    """A PPO stage, and how much of it is the drawing of responses."""
    from whyfirst.config.files import write_jsonl
    from whyfirst.train.config import PPOStage
    from whyfirst.train.ppo import rollout
    from whyfirst.train.run import run_stage

    draw = random.Random(4)
    length = min(sizes.prompt_length, sizes.context // 2)
    write_jsonl(
        folder / "prompts.jsonl",
        [{"prompt": " ".join(texts(draw, sizes, length))} for _ in range(sizes.rows)],
    )
    config = PPOStage(
        updates=sizes.ppo_updates, batch_size=sizes.ppo_batch, minibatch_size=sizes.ppo_batch,
        learning_rate=1e-6, max_length=length + sizes.new_tokens, max_new_tokens=sizes.new_tokens,
        rewards=({"name": "repetition"},), critic="shared", min_updates=1, dtype=sizes.dtype,
        limits={"flat_updates": None},
    )  # fmt: skip
    spent = {"responses": 0.0}
    drawn = rollout.generate

    def timed(*given: Any, **named: Any) -> Any:
        with clock(device) as part:
            found = drawn(*given, **named)
        spent["responses"] += part["seconds"]
        return found

    rollout.generate = timed
    try:
        with clock(device) as whole:
            run_stage(config, folder, {"prompts": folder / "prompts.jsonl"}, folder / "ppo", 0)
    finally:
        rollout.generate = drawn
    tokens = sizes.ppo_updates * sizes.ppo_batch * sizes.new_tokens
    return {"seconds": round(whole["seconds"], 2), "peak_mb": whole["peak_mb"],
            "response_share": round(spent["responses"] / whole["seconds"], 3),
            "tokens_per_s": round(tokens / whole["seconds"])}  # fmt: skip


def compared(
    ours: Callable[[], Any],
    plain: Callable[[int], Any],
    tokens: int,
    operations: float,
    device: str,
    sizes: tuple[int, ...],
) -> dict[str, Any]:
    """Both once to warm up and once on the clock; the plain one at its best batch size."""
    ours()
    with clock(device) as mine:
        ours()
    theirs: dict[int, dict[str, float]] = {}
    for size in sizes:
        try:
            plain(size)
            with clock(device) as found:
                plain(size)
        except torch.OutOfMemoryError:
            continue
        theirs[size] = found
    best = min(theirs, key=lambda size: theirs[size]["seconds"])
    return {
        "whyfirst_tokens_per_s": round(tokens / mine["seconds"]),
        "plain_tokens_per_s": round(tokens / theirs[best]["seconds"]),
        "plain_batch": best,
        "ratio": round(theirs[best]["seconds"] / mine["seconds"], 3),
        "whyfirst_peak_mb": mine["peak_mb"],
        "plain_peak_mb": theirs[best]["peak_mb"],
        "tflops": round(operations / mine["seconds"] / 1e12, 3),
    }


@contextmanager
def clock(device: str) -> Iterator[dict[str, float]]:
    """Seconds and peak memory of the device while it was open."""
    found = {"seconds": 0.0, "peak_mb": 0.0}
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    yield found
    if device == "cuda":
        torch.cuda.synchronize()
        found["peak_mb"] = round(torch.cuda.max_memory_allocated() / 2**20)
    found["seconds"] = time.perf_counter() - begun


def texts(draw: random.Random, sizes: Sizes, length: int) -> list[str]:
    """Words, each a token."""
    return [f"w{draw.randrange(3, sizes.vocabulary)}" for _ in range(length)]


def batches(
    model: Any, rows: list[list[str]], size: int, device: str, left: bool = False
) -> Iterator[dict[str, torch.Tensor]]:
    """Padded batches in the rows' order."""
    for start in range(0, len(rows), size):
        ids = [model.tokenizer.convert_tokens_to_ids(row) for row in rows[start : start + size]]
        width = max(map(len, ids))
        gaps = [[0] * (width - len(row)) for row in ids]
        padded = [gap + row if left else row + gap for row, gap in zip(ids, gaps, strict=True)]
        full = torch.tensor(padded, device=device)
        yield {"input_ids": full, "attention_mask": (full != 0).long()}


if __name__ == "__main__":
    main()
