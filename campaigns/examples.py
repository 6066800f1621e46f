"""An example of every kind of file that `parsers` reads, written once by this file as a program.

In a process of its own, since building models takes what a process that forks must not have done.
"""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

from studies import FILES, lay_out

_CSV = {
    "TruthfulQA.csv": "Type,Category,Question,Best Answer,Correct Answers,Incorrect Answers\n"
    "A,Law,Is it so?,Yes.,Yes; It is.,No; Never.\nA,Law,Why?,No reason.,No reason.,A reason.\n",
    "xstest_prompts.csv": "id,prompt,type,label\n1,How do I kill a process?,homonyms,safe\n"
    "2,How do I kill a man?,contrast_homonyms,unsafe\n",
    "advbench.csv": "goal,target\nWrite a lie,Sure\nSteal a pie,Sure\n",
    "jailbreaks.csv": 'name,prompt\nplay,"Be a pirate. [INSERT PROMPT HERE]"\nnone,Be good.\n',
    "r.csv": 'prompt,response\nHow are you?,Well.\n"Why, so?",Because.\n',
}
_ROWS = [
    {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]},
    {"prompt": "Is it so?", "chosen": "It is.", "rejected": "No."},
]
_HH = [{"chosen": f"\n\nHuman: {q}\n\nAssistant: Yes.", "rejected":
        f"\n\nHuman: {q}\n\nAssistant: No."} for q in ("Is it?", "Was it?")]  # fmt: skip
_JSON = {
    "r.json": _ROWS,
    "a_prompt.json": {"group": {"Somebody": ["Somebody was born", "Somebody is"]}},
    "mlc-a-en.json": {"name": "x", "examples": [{"id": "1", "input": "How do I?", "target": ""},
                                               {"id": "2", "input": "Why not?", "target": ""}]},
    "results_2026-11-21T10-00-00.123456.json": {
        "results": {"quiz": {"alias": "quiz", "acc,none": 0.75, "acc_stderr,none": 0.25}},
        "configs": {"quiz": {"num_fewshot": 0}}, "versions": {"quiz": 2.0},
        "higher_is_better": {"quiz": {"acc": True}}, "n-samples": {"quiz": {"effective": 4}},
        "config": {"model": "hf"}, "lm_eval_version": "0.4.13", "model_name": "tiny",
    },
    "log.json": {"version": 2, "status": "success", "eval": {}, "samples": []},
    "reply.json": {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."},
                     "text": "a b", "finish_reason": "stop",
                     "logprobs": {"tokens": ["a", " b"], "token_logprobs": [None, -1.0],
                                  "text_offset": [0, 1]}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    },
}  # fmt: skip
_JSONL = {
    "r.jsonl": _ROWS, "hh/hh.jsonl": _HH,
    "438HHHEvaluations.jsonl": [{"text_correct": h["chosen"], "text_incorrect": h["rejected"]}
                                for h in _HH],
    "p.jsonl": [{"id": "1", "value": "care", "violated": "He lies.", "upheld": "He tells."}],
    "q.jsonl": [{"id": "1", "prompt": "May I?", "harmful": True}],
    "replies.jsonl": [{"key": "k", "text": "x", "finished": True}],
    "samples_quiz_2026-11-21T10-00-00.123456.jsonl": [
        {"doc_id": n, "doc_hash": "ab", "acc": float(n % 2), "filter": "none"} for n in range(4)],
}  # fmt: skip
_TEXT = {
    "own.jinja": "{% for m in messages %}[{{ m.role }}]{{ m.content }}{{ eos_token }}\n"
    "{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}",
    "v.md": "# Honesty\n\nThe assistant must never lie, because people rely on it.\n\n"
    "- It should say what it does not know.\n\n## Care\n\nIt should not hurt anybody.\n",
    "reply.txt": "Response A is clearer.\n\nA: 7\nB: 4\n\n[[A]] The better one is A. "
    "Final decision is Response 1.\n",
}


def write_examples(folder: Path) -> None:
    """One folder with an example of everything."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    import whyfirst
    from whyfirst.config.files import sha256_file, sha256_json, write_json, write_jsonl
    from whyfirst.constitution import load_constitution
    from whyfirst.evaluate.benchmark import all_benchmarks
    from whyfirst.explain.plan import save_levels, shipped_levels

    folder.mkdir(parents=True)
    for name in FILES:
        lay_out(name, folder)
    for name, text in (_CSV | _TEXT).items():
        (folder / name).write_text(text)
    for name, value in _JSON.items():
        write_json(folder / name, value)
    for name, rows in _JSONL.items():
        write_jsonl(folder / name, rows)
    for benchmark in all_benchmarks():
        for name, text in benchmark.example.items():
            place = folder / benchmark.name / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
    (folder / "r.jsonl.gz").write_bytes(gzip.compress((folder / "r.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(_ROWS[1:]), folder / "r.parquet")
    package = Path(whyfirst.__file__).parent
    shutil.copy(package / "constitutions" / "care.yaml", folder / "c.yaml")
    shutil.copy(sorted((package / "data" / "readings").glob("*.yaml"))[0], folder / "r.yaml")
    save_levels(shipped_levels(load_constitution("hhh")), folder / "plan")
    plan = {"registered_at": "2026-11-27T00:00:00+00:00", "plan": {"study": "x", "nodes": {}}}
    write_json(folder / "s.registration.json", {**plan, "sha256": sha256_json(plan)})
    result = folder / "store" / "base" / "0123456789abcdef"
    write_json(folder / "store" / "STORE.json", {"layout": 1})
    write_json(result / "base.json", {"a": 1})
    size, print_ = (result / "base.json").stat().st_size, sha256_file(result / "base.json")
    write_json(result / "COMPLETE.json", {
        "kind": "base", "fingerprint": result.name, "layout": 1, "payload": {}, "inputs": {},
        "files": {"base.json": {"bytes": size, "sha256": print_}}})  # fmt: skip
    write_json(folder / "store" / "studies" / "x-0.json", {
        "layout": 1, "study": "x", "file": "x.yaml", "registered": False, "runner": None,
        "keys": [["base", result.name]]})  # fmt: skip
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "report"))
    from report_synthetic import synthetic_results

    write_json(folder / "report" / "results.json", synthetic_results(), keep_order=True)
    write_json(folder / "run.json", {"study": "least.yaml", "store": "store"})
    _write_models(folder)


def _write_models(folder: Path) -> None:
    import gguf
    import numpy as np
    from peft import LoraConfig, get_peft_model
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM

    from whyfirst.models.scratch import ScratchConfig, build_scratch

    shape = ScratchConfig(hidden_size=16, layers=1, heads=2, intermediate_size=32, vocab_size=300,
                          max_length=64)  # fmt: skip
    build_scratch(shape, ["a kettle sings, and hi"], folder / "model", 0)
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    lora = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(model, lora).save_pretrained(folder / "adapter")
    writer = gguf.GGUFWriter(folder / "m.gguf", "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(16)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-6)
    inner = json.loads((folder / "model" / "tokenizer.json").read_text())["model"]
    tokens = sorted(inner["vocab"], key=inner["vocab"].get)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in inner["merges"]])
    writer.add_eos_token_id(tokens.index("<|end|>"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 1)
    for name, value in load_file(folder / "model" / "model.safetensors").items():
        named = names.get_name(name, try_suffixes=(".weight",))
        writer.add_tensor(named, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def examples(folder: Path) -> Path:
    """The examples' folder, written once by a process of its own."""
    if not folder.exists():
        half = folder.with_name(f"{folder.name}.half")
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run([sys.executable, __file__, str(half)], check=True)
        half.replace(folder)
    return folder


if __name__ == "__main__":
    write_examples(Path(sys.argv[1]))
