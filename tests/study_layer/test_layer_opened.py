"""Everything a node opens is in its fingerprint: files are watched while a study really runs.

Python's own opening is told by an audit hook; what libraries open by themselves (safetensors, the
tokenizers in Rust) by the kernel, on every folder that holds something of the study's.
"""

import ctypes
import json
import os
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import layer_models
import pytest

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError
from whyfirst.evaluate.item import ItemResult
from whyfirst.study.execute.store import Incomplete, Store
from whyfirst.study.nodes import run_node
from whyfirst.study.nodes.evaluation import still_to_ask
from whyfirst.study.plan import Plan, build_plan

STUDY = """\
study: opened
title: What is opened
model: {source: pretrained, path: model, adapter: adapter, chat_template: chat.jinja}
corpora:
  demos: {source: file, path: data/demos.jsonl}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 2, updates: 4, min_updates: 1,
          max_length: 64, lora: {r: 2}}}
arms: {base: [], direct: [align]}
seeds: {default: 1}
benchmarks:
  hh_responses: {data: data/pairs.jsonl, judges: ["classifier:judge#LABEL_1"], max_new_tokens: 4}
contrasts:
  - {name: main, title: main, metric: METRIC, a: direct, b: base}
headline: main
"""
IN_OPEN = 0x20
_opened: set[Path] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _opened is None or event != "open" or not isinstance(arguments[0], str | bytes):
        return
    if not (arguments[2] or 0) & (os.O_WRONLY | os.O_CREAT):
        _opened.add(Path(os.fsdecode(arguments[0])).absolute())


sys.addaudithook(_note)  # for good: an audit hook can't be taken away


class Kernel:
    """Names of the files below a folder that anybody opens (inotify)."""

    def __init__(self, folder: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._file = self._libc.inotify_init1(os.O_NONBLOCK)
        folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        self._watched = {
            self._libc.inotify_add_watch(self._file, os.fsencode(path), IN_OPEN): path
            for path in folders
        }

    def opened(self) -> Iterator[Path]:
        data = b""
        while True:
            try:
                data += os.read(self._file, 1 << 16)
            except BlockingIOError:
                break
        at = 0
        while at < len(data):
            watch, _, _, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode()
            path = self._watched[watch] / name
            if name and not path.is_dir():
                yield path
            at += 16 + length

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of a sharded model with an adapter, a template, data files and a classifier."""
    import peft
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("opened")
    layer_models.build(folder / "whole")
    model = AutoModelForCausalLM.from_pretrained(folder / "whole")
    shutil.copytree(folder / "whole", folder / "model")
    (folder / "model" / "model.safetensors").unlink()
    model.save_pretrained(folder / "model", max_shard_size="20KB")
    assert len(list((folder / "model").glob("model-*.safetensors"))) > 1
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, task_type="CAUSAL_LM"))
    adapted.save_pretrained(folder / "adapter")
    config = folder / "adapter" / "adapter_config.json"
    named = json.loads(config.read_text()) | {"base_model_name_or_path": str(folder / "model")}
    config.write_text(json.dumps(named))
    shutil.copytree(folder / "whole", folder / "judge")
    classifier = AutoModelForSequenceClassification.from_pretrained(folder / "whole", num_labels=2)
    classifier.config.pad_token_id = 0
    classifier.save_pretrained(folder / "judge")
    shutil.rmtree(folder / "whole")
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    (folder / "chat.jinja").write_text(template)
    (folder / "data").mkdir()
    prompts = [f"\n\nHuman: How do I use the {t}?\n\nAssistant:" for t in ("kralet", "velp")]
    demos = [{"prompt": prompt, "completion": " Hold it."} for prompt in prompts]
    pairs = [{"prompt": p, "chosen": " Hold it.", "rejected": " Drop it!"} for p in prompts]
    for name, rows in (("demos", demos), ("pairs", pairs)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / f"{name}.jsonl").write_text(text)
    return folder


def covered(plan: Plan, name: str) -> set[Path]:
    """The files whose content a node's fingerprint holds, by itself or by what it depends on."""
    node = plan.by_id[name]
    files: set[Path] = set()
    for path in map(Path, node.reads):
        files |= {p for p in path.rglob("*") if p.is_file()} if path.is_dir() else {path}
    for other in node.depends:
        files |= covered(plan, other)
    return files


MODELS = {
    "with an adapter": "path: model, adapter: adapter",
    "an adapter itself": "path: adapter",  # its base is elsewhere, and named in a file of it
}


def study(place: Path, model: str = MODELS["with an adapter"]) -> Path:
    file = place / "opened.yaml"
    text = STUDY.replace("METRIC", "hh_refused").replace("path: model, adapter: adapter", model)
    if model == "path: adapter":  # a stage would have to say what becomes of it
        text = text.replace("direct: [align]", "direct: []")
    file.write_text(text)
    return file


@pytest.mark.parametrize("model", MODELS)
def test_a_node_reads_a_file_that_its_fingerprint_does_not_hold(
    place: Path, tmp_path: Path, model: str
) -> None:
    global _opened
    file = study(place, MODELS[model])
    plan, store = build_plan(file), Store(tmp_path / "store")
    store.create()
    seen: set[Path] = set()
    for node in plan.nodes:
        folder = store.prepare(*node.key)
        inputs = {name: store.folder(*plan.by_id[name].key) for name in node.depends}
        kernel = Kernel(place)
        _opened = set()
        try:
            assert run_node(node, inputs, folder, lambda *_: None) is None
        finally:
            opened, _opened = _opened, None
            opened |= set(kernel.opened())
            kernel.close()
        store.finish(*node.key, {"inputs": {}, "payload": node.payload})
        ours = {path for path in opened if path.is_relative_to(place) and path.is_file()}
        assert ours <= covered(plan, node.id), (node.id, sorted(ours - covered(plan, node.id)))
        # Of the store it opens what it depends on, and its own.
        others = {p for p in opened if p.is_relative_to(store.root) and p.is_file()}
        allowed = (folder, *inputs.values(), store.root / "replies")
        strange = {p for p in others if not any(p.is_relative_to(one) for one in allowed)}
        assert not strange, (node.id, strange)
        seen |= ours
    # The watch works: each kind of input was opened by somebody.
    names = {path.relative_to(place).parts[0] for path in seen}
    assert {"model", "adapter", "chat.jinja", "data", "judge"} <= names
    assert any(path.name.startswith("model-0000") for path in seen)


@pytest.mark.parametrize(
    "changed", ["model/model-00001-of-*.safetensors", "adapter/adapter_model.safetensors",
                "chat.jinja", "data/pairs.jsonl", "judge/model.safetensors"],
)  # fmt: skip
def test_a_changed_input_keeps_the_evaluations_name(place: Path, changed: str) -> None:
    file = study(place)
    before = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "evaluation"}
    path = next(place.glob(changed))
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    try:
        after = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "evaluation"}
    finally:
        path.write_bytes(content)
    assert before and all(before[name] != after[name] for name in before)
    assert plugins.VARIABLE not in os.environ


def test_an_adapters_base_may_change_under_it(place: Path) -> None:
    """The weights are the base's, the folder that the study names is the adapter's."""
    file = study(place, MODELS["an adapter itself"])
    before = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "evaluation"}
    path = next((place / "model").glob("model-00002-of-*.safetensors"))
    content = path.read_bytes()
    path.write_bytes(content + b" ")
    try:
        after = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "evaluation"}
    finally:
        path.write_bytes(content)
    assert before and all(before[name] != after[name] for name in before)
    config = place / "adapter" / "adapter_config.json"
    content = config.read_bytes()
    config.write_text(json.dumps(json.loads(content) | {"base_model_name_or_path": "org/name"}))
    try:
        with pytest.raises(ConfigError, match="no local folder and not pinned"):
            build_plan(file)
    finally:
        config.write_bytes(content)


def test_items_that_failed_for_a_passing_reason_are_final() -> None:
    asked = [
        ItemResult(str(i), "m", "unscored", "503" if i < 2 else "cut off", transient=i < 2 or None)
        for i in range(5)
    ]
    twice = [*asked, *asked]  # two metrics of each item
    assert still_to_ask(twice) == Incomplete(2, 5, "503")
    assert still_to_ask(asked[2:]) is None
