"""Everything that asks a study's model asks it as the study says: dtype and chat template."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import layer_models
import pytest

from whyfirst.config.files import read_json
from whyfirst.config.room import Entry
from whyfirst.data.transforms import SELECTORS
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import corpus
from whyfirst.study.nodes.base import study_model
from whyfirst.study.plan import build_plan
from whyfirst.study.sources.sampling import CUT

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


def test_a_selector_that_asks_for_the_model_is_given_none(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/extending.md says that it is given one, and a study refused it at the run."""
    asked: list[Any] = []

    def picks(rows: Any, n: int, *, model: Any) -> list[int]:
        asked.append(model.chat_template)
        return list(range(n))

    monkeypatch.setitem(SELECTORS._entries, "picks", Entry("picks", picks, frozenset({"model"})))
    chosen = STUDY.replace("demos.jsonl}\n", "demos.jsonl, select: {name: picks, n: 1}}\n", 1)
    (place / "picks.yaml").write_text(chosen)
    node = build_plan(place / "picks.yaml").by_id["corpus:demos"]
    assert node.depends == ("base",)
    store = Store(tmp_path / "store")
    store.create()
    base = store.prepare("base", "0" * 24)
    shutil.copytree(place / "model", base / "model")
    corpus.KIND.run(node.payload, [base], store.prepare(*node.key), lambda *_: None)
    assert asked == ["plain"]


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


def test_draws_are_of_a_chat_where_their_stage_reads_text(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By running the corpus' node itself: `format` of a stage was only how it trained."""
    asked: list[str] = []

    def recorded(*given: Any) -> Any:
        model = study_model(*given)
        draw = model.generate
        monkeypatch.setattr(
            model, "generate", lambda prompts, *more: asked.extend(prompts) or draw(prompts, *more)
        )
        return model

    monkeypatch.setattr(corpus, "study_model", recorded)
    (place / "how.jsonl").write_text('{"prompt": "How?", "completion": " So."}\n')
    found = {}
    for said in ("", "format: chat, ", "format: text, "):
        text = STUDY.replace("path: demos.jsonl}\n  told", "path: how.jsonl}\n  told")
        text = text.replace("kind: dpo, ", f"kind: dpo, {said}").replace(
            "pairs, k: 2", "best, k: 2"
        )
        (place / "said.yaml").write_text(text)
        by_id = build_plan(place / "said.yaml").by_id
        node = found[said] = by_id[by_id["seed0/align>prefer"].depends[1]]
        store = Store(tmp_path / f"store{len(found)}")
        store.create()
        start, given = store.prepare("stage", "0" * 24), store.prepare("corpus", "0" * 24)
        shutil.copytree(place / "model", start / "model")
        shutil.copy(place / "how.jsonl", given / "rows.jsonl")
        folder = store.prepare(*node.key)
        corpus.KIND.run(node.payload, [start, given], folder, lambda *_: None)
        about = read_json(folder / "corpus.json")
        # A model of random weights seldom ends.
        assert set(about["left_out"]["0 sample_and_label"]) <= {CUT}
    chat, same, text = asked
    assert chat == same != text == "How?"
    # What was drawn before for chats is still theirs.
    assert found[""].key == found["format: chat, "].key != found["format: text, "].key
    assert found[""].id != found["format: text, "].id


def test_an_endpoint_study_asks_its_endpoint_and_no_folder() -> None:
    asked = study_model({"model": {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}}, "nowhere")
    assert asked.chat_template != "plain"
