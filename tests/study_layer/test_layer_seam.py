"""What the first stage taught, measured at the seam on a model of no world."""

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import layer_helpers as layer
import layer_models
import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.constitution import load_constitution
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.models.scripted import ScriptedModel
from whyfirst.stats.scores import Scores
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import corpus, seam
from whyfirst.study.nodes.seam import likelihoods, recall
from whyfirst.study.plan import build_plan
from whyfirst.study.results.assemble import Assembler
from whyfirst.train.plan import SEEN

STUDY = """\
study: seam
title: Seam
value: harmless
model: {source: pretrained, path: model}
corpora:
  reasons: {source: constitution, constitution: hhh, documents: explanations, tokens: 3000}
  rules: {source: constitution, constitution: hhh, documents: rules, tokens: 3000}
stages:
  explain: {data: reasons, train: &explain {kind: explain, updates: 12, batch_size: 4,
            max_length: 1200, learning_rate: 2.0e-2, packing: true}}
  rules: {data: rules, train: *explain}
arms:
  base: []
  explain_only: [explain]
  rules_only: [rules]
seeds: 1
benchmarks: {truthfulqa: {data: t.csv}}
"""
QUESTIONS = (
    "Type,Category,Question,Best Answer,Best Incorrect Answer,Correct Answers,Incorrect Answers,"
    "Source\nA,B,What is a kettle?,A pot,A bird,A pot; A vessel,A bird; A song,x\n"
)


def place(folder: Path) -> Path:
    hhh = load_constitution("hhh")
    layer_models.build(folder / "model", texts=[r for v in hhh.values for r in v.reasons])
    (folder / "t.csv").write_text(QUESTIONS)
    (folder / "s.yaml").write_text(STUDY)
    return folder / "s.yaml"


def test_nobody_is_told_whether_the_first_stage_taught_anything(tmp_path: Path) -> None:
    """Documents held out are likelier than they were to the base, in every arm."""
    code, _, errors = layer.run(place(tmp_path), tmp_path / "store", tmp_path / "out")
    assert code == 0, errors
    recalled = layer.results(tmp_path / "out")["recall"]
    assert set(recalled) == {"explain_only", "rules_only"}
    for arm in recalled.values():
        assert arm["held_out_documents"]["value"] > 2 * arm["held_out_documents_before"]["value"]
        assert arm["held_out_documents"]["n"] == arm["held_out_documents_before"]["n"] == 64
        assert arm["trained_documents"]["value"] > 2 * arm["held_out_documents_before"]["value"]
        assert arm["held_out_documents"]["unit"] == "score"
        reasons = sum(len(value.reasons) for value in load_constitution("hhh").values)
        assert arm["recall_reason"]["n"] == arm["recall_reason_before"]["n"] == reasons
        assert 0 <= arm["recall_reason"]["value"] <= 1


def test_seam_is_measured_again_for_another_number_of_updates_and_for_no_title(
    tmp_path: Path,
) -> None:
    file = place(tmp_path)
    before = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "seam"}
    assert set(before) == {"seed0/explain/seam", "seed0/rules/seam"}
    text = file.read_text()
    for change, same in ((("title: Seam", "title: Else"), True), (("updates: 12", "updates: 13"),
                                                                  False)):  # fmt: skip
        file.write_text(text.replace(*change))
        after = {n.id: n.fingerprint for n in build_plan(file).nodes if n.kind == "seam"}
        assert (after == before) == same


def test_value_that_no_constitution_has_is_taught_in_silence(tmp_path: Path) -> None:
    file = place(tmp_path)
    file.write_text(file.read_text().replace("value: harmless", "value: harmles"))
    with pytest.raises(ConfigError, match=r"value: 'harmles' is no value of hhh; did you mean 'ha"):
        build_plan(file)


def test_reason_that_is_likely_anyway_counts_as_recalled() -> None:
    """By hand: the statement makes the own reason likelier by 1 a word, the foil by 3 or by 0."""
    values = load_constitution("hhh").values
    own = set(values[0].reasons)

    def score(prompt: str, text: str) -> float:
        words = len(text.split())
        stated = prompt.startswith(values[0].statement)
        if text.strip() in own:
            return words * (-2.0 if stated else -3.0)  # unlikely, and the statement helps
        return words * -0.5  # likely either way

    rows = recall(ScriptedModel(scores=score), values, [values[0].id], "r")
    assert len(rows) == len(values[0].reasons) and {row["score"] for row in rows} == {1.0}
    turned = recall(ScriptedModel(scores=lambda p, t: -score(p, t)), values, [values[0].id], "r")
    assert {row["score"] for row in turned} == {0.0}


def test_constitution_of_one_value_has_a_foil_of_nothing() -> None:
    assert recall(ScriptedModel(scores=lambda p, t: 0.0),
                  load_constitution("hhh").values[:1], None, "r") == []  # fmt: skip


def test_likelihood_of_a_document_falls_with_its_length() -> None:
    def score(prompt: str, text: str) -> float:
        return math.nan if text == "too long" else -6.0

    rows = likelihoods(ScriptedModel(scores=score), ["a b c", "too long"], "m")
    assert rows[0]["score"] == pytest.approx(math.exp(-2.0))
    assert rows[1]["reason"] == "longer than the context" and "score" not in rows[1]


def test_documents_in_the_form_before_their_transforms_are_held_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All were trained on, and counted as held out by the words that a transform changes."""
    monkeypatch.setattr(TRANSFORMS, "_entries", dict(TRANSFORMS._entries))

    @TRANSFORMS.enter("louder", streams=True)
    def louder(rows: Any, rng: Random, *, left_out: Any) -> Any:
        for row in rows:
            yield {"text": row["text"].upper()}

    file = place(tmp_path)
    documents = [f"a b {n}" for n in range(6)]
    (tmp_path / "mine.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in documents)
    )
    text = file.read_text()
    old = text[text.index("  reasons:") : text.index("stages:")]
    new = ("  reasons: {source: file, path: mine.jsonl, transforms: [louder], "
           "select: {name: random, n: 4}}\n"
           "  rules: {source: file, path: mine.jsonl}\n")  # fmt: skip
    file.write_text(text.replace(old, new))
    plan = build_plan(file)
    node = plan.by_id["seed0/explain/seam"]
    corpus.run(plan.by_id[node.depends[2]].payload, [], tmp_path / "rows", lambda *_: None)
    scripted = ScriptedModel(scores=lambda prompt, text: -2.0 * len(text.split()))
    monkeypatch.setattr(seam, "study_model", lambda payload, folder: scripted)
    base = tmp_path / "base"
    seam.run(node.payload, [base, base, tmp_path / "rows"], tmp_path / "out", lambda *_: None)
    rows = read_jsonl(tmp_path / "out" / "items.jsonl")
    counts = {m: sum(row["benchmark"] == m for row in rows) for m in seam.METRICS}
    assert (counts["held_out_documents"], counts["trained_documents"]) == (2, 4)


def test_documents_that_no_update_saw_count_as_held_out_and_not_as_trained_on(
    tmp_path: Path,
) -> None:
    """Two updates of two documents were said to have trained on all twenty."""
    file = place(tmp_path)
    (tmp_path / "mine.jsonl").write_text(
        "".join(json.dumps({"text": f"{n} kettles pour hot water"}) + "\n" for n in range(20))
    )
    text = file.read_text()
    old = text[text.index("  reasons:") : text.index("stages:")]
    new = "".join(
        f"  {name}: {{source: file, path: mine.jsonl}}\n" for name in ("reasons", "rules")
    )
    text = text.replace(old, new).replace("packing: true", "min_updates: 1")
    text = text.replace("updates: 12, batch_size: 4", "updates: 2, batch_size: 2")
    file.write_text(text)
    code, _, errors = layer.run(file, tmp_path / "store", tmp_path / "out")
    assert code == 0, errors
    recalled = layer.results(tmp_path / "out")["recall"]["explain_only"]
    assert recalled["trained_documents"]["n"] == 4
    assert recalled["held_out_documents"]["n"] == 16
    plan = build_plan(file)
    store = Store(tmp_path / "store")
    (stage,) = (node for node in plan.nodes if node.id == "seed0/explain")
    lines = read_json(store.folder(*stage.key) / SEEN)["lines"]
    assert len(lines) == 4 and set(lines) <= set(range(1, 21))


def test_documents_longer_than_the_context_are_counted_as_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = build_plan(place(tmp_path))
    rows = [(0, f"d{n}", f"d{n}", None if n < 3 else 0.25) for n in range(10)]
    monkeypatch.setattr(Assembler, "items", lambda *_, **__: ())
    work = Assembler(plan, Store(tmp_path / "store"))
    held = {"held_out_documents": Scores.from_rows(rows)}
    monkeypatch.setattr(work, "_held", lambda arm: held if arm == "explain_only" else {})
    row = work.recall()["explain_only"]["held_out_documents"]
    assert (row.n, row.answers, row.value) == (7, 7, 0.25)
