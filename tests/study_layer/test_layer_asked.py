"""Everything that asks a study's model asks it as the study says: dtype and chat template."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import layer_models
import pytest

from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import corpus
from whyfirst.study.nodes.base import study_model
from whyfirst.study.plan import build_plan

STUDY = """\
study: asked
title: Who asks the model
model: {source: pretrained, path: model, chat_template: plain}
corpora:
  demos: {source: file, path: demos.jsonl}
  told:
    {source: file, path: lists.jsonl,
     transforms: [{name: principle_scores, principles: [is kind]}]}
  drawn: {source: sample_and_label, prompts: demos, documents: pairs, k: 2,
          rewards: [{name: confidence}]}
  made: {source: generated, seeds: demos.jsonl, generator: {name: magv}}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 2, updates: 10}}
  more: {data: told, train: {kind: sft, batch_size: 2, updates: 10}}
  prefer: {data: drawn, train: {kind: dpo, batch_size: 2, updates: 10}}
  write: {data: made, train: {kind: sft, batch_size: 2, updates: 10}}
arms: {base: [], direct: [align], told: [more], drawn: [align, prefer], made: [write]}
seeds: {default: 1}
benchmarks: {preference: {data: pairs.jsonl}}
contrasts: [{name: main, title: main, metric: preference_sum, a: direct, b: base}]
headline: main
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    layer_models.build(folder / "model")
    prompt = "\n\nHuman: How do I hold the kralet?\n\nAssistant:"
    rows: dict[str, list[Mapping[str, Any]]] = {
        "demos": [{"prompt": prompt, "completion": " Hold it."}],
        "pairs": [{"prompt": prompt, "chosen": " Hold it.", "rejected": " Drop it!"}],
        "lists": [
            {"prompt": prompt, "responses": [" Hold it.", said]} for said in (" Drop it!", " No.")
        ],
    }
    for name, given in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    return folder


def test_a_corpus_asks_the_study_model_by_the_template_of_its_folder(place: Path) -> None:
    """Transforms, generators and labels asked it by the folder's; evaluations by the study's."""
    (place / "study.yaml").write_text(STUDY)
    plain = {n.id: n for n in build_plan(place / "study.yaml").nodes}
    (place / "own.yaml").write_text(STUDY.replace(", chat_template: plain", ""))
    own = {n.id: n for n in build_plan(place / "own.yaml").nodes}
    asking = {"corpus:told", "corpus:made", "seed0/align/corpus:drawn", "seed0/align/preference"}
    for name in asking:
        assert plain[name].payload["model"]["chat_template"] == "plain", name
        assert plain[name].fingerprint != own[name].fingerprint, name
    assert plain["corpus:demos"].fingerprint == own["corpus:demos"].fingerprint


def test_scores_of_a_transform_are_those_of_the_named_template(place: Path, tmp_path: Path) -> None:
    """By running the corpus' node itself: another template, other log-probabilities."""
    scores: list[str] = []
    shutil.copytree(place, at := tmp_path / "at")
    template = at / "other.jinja"
    template.write_text("{% for m in messages %}Q: {{ m.content }}{% endfor %}A: ")
    for named in ("", ", chat_template: other.jinja"):
        (at / "study.yaml").write_text(STUDY.replace(", chat_template: plain", named))
        node = build_plan(at / "study.yaml").by_id["corpus:told"]
        store = Store(tmp_path / f"store{len(scores)}")
        store.create()
        base = store.prepare("base", "0" * 24)
        shutil.copytree(at / "model", base / "model")
        folder = store.prepare(*node.key)
        corpus.KIND.run(node.payload, [base], folder, lambda *_: None)
        scores.append((folder / "rows.jsonl").read_text())
    assert scores[0] != scores[1]


def test_every_seed_learns_from_what_the_first_ones_base_drew(
    place: Path,
) -> None:
    """A corpus drawn from the base was one node, of seed 0, whatever seed read it."""
    file = place / "seeds.yaml"
    file.write_text(
        STUDY.replace("drawn: [align, prefer]", "drawn: [align, prefer], first: [prefer]")
        .replace("{default: 1}", "{default: 3}")
    )  # fmt: skip
    by_id = build_plan(file).by_id
    for before in ("", "align>"):
        read = [by_id[by_id[f"seed{seed}/{before}prefer"].depends[1]] for seed in range(3)]
        assert [node.payload["config"]["seed"] for node in read] == [0, 1, 2]
        assert len({node.fingerprint for node in read}) == 3


def test_an_endpoint_study_asks_its_endpoint_and_no_folder() -> None:
    asked = study_model({"model": {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}}, "nowhere")
    assert asked.chat_template != "plain"
