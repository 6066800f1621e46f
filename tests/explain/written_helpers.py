"""A study whose first stages read what a teacher writes for it, and ways to run parts of it."""

import json
from pathlib import Path
from typing import Any

from corpus_helpers import HHH

from whyfirst.explain.template import write_corpus
from whyfirst.study.execute.graph import check_graph
from whyfirst.study.nodes import run_node
from whyfirst.study.plan import Plan

STUDY = """\
study: written
title: Documents a teacher writes
model: {{source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 1200, max_length: 512}}
written:
  values: {{constitution: {constitution}, tokens: {tokens}, teacher: {teacher}{more}}}
corpora:
  texts: {{source: file, path: texts.jsonl}}
  reasons: {{source: written, written: values, documents: explanations}}
  rules: {{source: written, written: values, documents: rules}}
  unused: {{source: written, written: values, documents: wrong}}
stages:
  explain: {{data: reasons, train: &explain {{kind: explain, batch_size: 2, updates: 10,
             max_length: 512, packing: true}}}}
  rules: {{data: rules, train: *explain}}
  unused: {{data: unused, train: *explain}}
arms: {{base: [], reasons_first: [explain], rules_first: [rules]}}
seeds: {{default: 2}}
benchmarks: {{preference: {{data: pairs.jsonl}}}}
contrasts:
  - {{name: main, title: main, metric: preference_sum, a: reasons_first, b: rules_first}}
headline: main
"""


def write_study(
    folder: Path,
    teacher: str = "template",
    tokens: int = 7000,
    more: str = "",
    constitution: str = "hhh",
) -> Path:
    """The study and its files; `teacher` and `more` as they stand in YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = [doc.text for doc in write_corpus("explanations", HHH, 8, 9)]
    rows = {
        "texts": [{"text": text} for text in texts],
        "pairs": [{"prompt": f"How is thing {n} held?", "chosen": " Gently.", "rejected": " No."}
                  for n in range(4)],
    }  # fmt: skip
    for name, listed in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    file = folder / "written.yaml"
    more = f", {more}" if more else ""
    file.write_text(
        STUDY.format(teacher=teacher, tokens=tokens, more=more, constitution=constitution)
    )
    return file


def run_nodes(plan: Plan, store: Path, *wanted: str) -> dict[str, Path]:
    """Run nodes in this process, and before them what they need and isn't there; id -> folder."""
    folders = {node.id: store / node.kind / node.fingerprint for node in plan.nodes}
    for node in check_graph(plan.nodes):
        needed = any(node.id in plan.by_id[name].depends for name in (*wanted, "base"))
        first = needed and not folders[node.id].exists()
        if node.id in wanted or first or (node.id == "base" and not folders["base"].exists()):
            folders[node.id].mkdir(parents=True, exist_ok=True)
            run_node(node, folders, folders[node.id], lambda step, total, message: None)
    return folders


def prints(plan: Plan, kind: str) -> set[str]:
    """Fingerprints of a kind's nodes."""
    return {node.fingerprint for node in plan.nodes if node.kind == kind}


def everything(folder: Path) -> dict[str, Any]:
    """File -> bytes, for every file below a folder."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def bigram_model(folder: Path) -> None:
    """A Llama whose layers pass their input on, and whose output layer holds bigram log-shares.

    It says what the grammar's documents say, word by word and without sense, and ends by itself.
    """
    import torch
    from tokenizers import Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    texts = [doc.text.split() for doc in write_corpus("explanations", HHH, 60, 5)]
    words = ["<unk>", "<end>", "<reply>", *sorted({word for text in texts for word in text})]
    known = {word: place for place, word in enumerate(words)}
    plain = Tokenizer(WordLevel(known, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    plain.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=plain, eos_token="<end>", unk_token="<unk>",
        chat_template="{% for m in messages %}{{ m.content }} {% endfor %}"
        "{% if add_generation_prompt %}<reply>{% endif %}",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    size = len(words) + len(words) % 2
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=len(words), hidden_size=size, intermediate_size=2, num_hidden_layers=1,
        num_attention_heads=1, head_dim=2, max_position_embeddings=2048, eos_token_id=1,
        tie_word_embeddings=False,
    ))  # fmt: skip
    follows = torch.full((len(words), size), -30.0)  # rows: what comes next
    for text in texts:
        for before, after in zip(["<reply>", *text], [*text, "<end>"], strict=True):
            follows[known[after], known[before]] = 0.0
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        model.model.norm.weight.fill_(1.0)
        model.model.embed_tokens.weight.copy_(torch.eye(len(words), size))
        model.lm_head.weight.copy_(follows / size**0.5)
    model.save_pretrained(folder)
