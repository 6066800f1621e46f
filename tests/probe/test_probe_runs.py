"""Whole probes on tiny models: known answers, records without NaN, the command."""

import json
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from probe_items import probe_pairs
from tiny_models import build_tiny

from whyfirst.cli.probing import Request as Asked
from whyfirst.cli.probing import named_models, probe
from whyfirst.config.errors import UserError
from whyfirst.config.files import read_jsonl
from whyfirst.models.base import Loglikelihood, Prompt
from whyfirst.models.local import LocalModel
from whyfirst.probe.activations import asked_tokens, capture, margins
from whyfirst.probe.arms import Arms
from whyfirst.probe.direction import difference_in_means
from whyfirst.probe.intervention import doses
from whyfirst.probe.logit_difference import log_odds
from whyfirst.probe.pairs import Items, write_pairs
from whyfirst.probe.patching import ALL, LAST, patched_margins
from whyfirst.probe.record import PROBES, ProbeOptions, ProbeResult, run_probe, run_probes
from whyfirst.report.probe_figures import figure


def named(result: ProbeResult, name: str, **at: Any) -> list[Any]:
    """Estimates of a measure at a place."""
    return [
        m.estimate
        for m in result.findings.measures
        if m.name == name and all(m.at.get(key) == value for key, value in at.items())
    ]


class Scripted:
    """A language model that gives the probabilities it was told."""

    fingerprint = chat_template = "scripted"

    def __init__(self, table: dict[tuple[str, str], float]) -> None:
        self.table = table

    def generate(self, prompts: Sequence[Prompt], n: int = 1, sampling: Any = None) -> Any:
        raise NotImplementedError

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        return [
            [Loglikelihood(math.log(self.table[str(prompt), text]), 1) for text in texts]
            for prompt, texts in requests
        ]


def test_log_odds_by_hand() -> None:
    """Means of probabilities, not of logs; violated .2/.1, upheld .05/.4, control .1/.2."""
    pair = probe_pairs()[0]
    probabilities = {pair.violated: (0.3, 0.1, 0.1, 0.1), pair.upheld: (0.05, 0.05, 0.5, 0.3)}
    probabilities[str(pair.control)] = (0.1, 0.1, 0.2, 0.2)
    texts = [*pair.negative, *pair.positive]
    table = {
        (said, text): p
        for said, row in probabilities.items()
        for text, p in zip(texts, row, strict=True)
    }
    found = log_odds(Scripted(table), [pair])
    expected = [math.log(0.2 / 0.1), math.log(0.05 / 0.4), math.log(0.1 / 0.2)]
    assert np.allclose(found, [expected])


def test_a_direction_planted_in_a_model_is_recovered(tmp_path: Path) -> None:
    """Through tokenizer, hooks and shards: the stream is what the weights were made to say."""
    model = LocalModel(build_tiny("llama", tmp_path / "m"), device="cpu")
    axis = torch.randn(32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        for layer in model.model.model.layers:
            layer.self_attn.o_proj.weight.zero_()  # what remains is each token's embedding
            layer.mlp.down_proj.weight.zero_()
        table = model.model.get_input_embeddings().weight
        tokens = {c: model.encode_prompts([c])[0][-1] for c in "abcdwxyz"}
        for bad, good in zip("abcd", "wxyz", strict=True):
            noise = 0.3 * torch.randn(32, generator=torch.Generator().manual_seed(ord(bad)))
            table[tokens[bad]] = table[tokens[good]] + 3 * axis + noise
    texts = [f"the bell {letter}" for letter in "abcdwxyz"]
    assert len(set(tokens.values())) == 8
    states = capture(model, texts, tmp_path / "s")
    for number in range(2):
        found = difference_in_means(states.layer(number), np.arange(8) < 4)
        cosine = found @ axis.numpy() / np.linalg.norm(found) / float(axis.norm())
        assert cosine > 0.99


def test_patching_a_model_into_itself_changes_nothing(
    tiny_llama: LocalModel, probe_items: Items
) -> None:
    """Padding or positions were mixed up while copying."""
    tokens = asked_tokens(tiny_llama, probe_items.requests(0))
    places = [(layer, where) for layer in (0, 1) for where in (LAST, ALL)]
    found = patched_margins(tiny_llama, tiny_llama, *tokens, places)
    assert (found == margins(tiny_llama, *tokens)).all()


def test_patching_everything_gives_the_donors_logits(
    tiny_llama: LocalModel, other_llama: LocalModel, probe_items: Items
) -> None:
    """With the donor's norm and output layer, its last stream is its logits; less is less."""
    tokens = asked_tokens(tiny_llama, probe_items.requests(0))
    saved = {name: w.clone() for name, w in other_llama.model.state_dict().items()}
    head = {name: w for name, w in tiny_llama.model.state_dict().items() if "layers" not in name}
    try:
        other_llama.model.load_state_dict(saved | head)
        donor, own = margins(tiny_llama, *tokens), margins(other_llama, *tokens)
        assert np.abs(donor - own).min() > 1e-4
        places = [(1, LAST), (1, ALL), (0, LAST)]
        found = patched_margins(tiny_llama, other_llama, *tokens, places)
        assert (found[0] == donor).all() and (found[1] == donor).all()
        assert not np.allclose(found[2], donor, atol=1e-3)
    finally:
        other_llama.model.load_state_dict(saved)


def test_each_probe_gives_a_record_without_nan_and_a_figure(
    tiny_llama: LocalModel, other_llama: LocalModel, probe_items: Items
) -> None:
    """A record that JSON can't hold, or a figure that isn't XML."""
    models = {
        "base": tiny_llama,
        "direct": {0: tiny_llama, 1: other_llama},
        "explain_first": {0: other_llama, 1: tiny_llama},
    }
    options = ProbeOptions(coefficients=(1.0,), shuffles=2)
    results = run_probes(PROBES.names(), models, probe_items, options)
    assert [one.probe for one in results] == [
        "direction", "intervention", "logit_difference", "patching", "representation_similarity",
    ]  # fmt: skip
    for result in results:
        record = json.loads(json.dumps(result.to_json(), allow_nan=False))
        assert record["version"] and record["definition"] and record["measures"]
        assert set(record["models"]["direct"]) == {"0", "1"}
        assert len(record["behaviour"]) >= 1
        for row in record["measures"]:
            if row["low"] is not None and row["value"] is not None:
                assert row["low"] <= row["value"] + 1e-9 and row["value"] <= row["high"] + 1e-9
        drawn = figure(result)
        assert drawn is not None
        root = ET.fromstring(drawn)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    by_name = {one.probe: one for one in results}
    patched = by_name["patching"]
    assert {m.arm for m in patched.findings.measures} == {"base", "explain_first"}
    similar = by_name["representation_similarity"]
    # two seeds lie one distance apart: nothing tells how far others would
    assert [one.low for one in named(similar, "moved", layer=0)] == [None, None]
    assert all(one.value is not None for one in named(similar, "seed_shift"))
    assert any("fewer than three seeds" in text for text in similar.findings.cautions)
    intervened = by_name["intervention"]
    dose = {"direction": "violation", "kind": "add", "coefficient": 0.0}
    assert len(named(intervened, "harmful_refused", **dose)) == 3


def test_statements_of_other_values_count_as_items_of_one(tiny_llama: LocalModel) -> None:
    """Two statements of each of twelve pairs, half of them of a value."""
    result = run_probe("direction", {"base": tiny_llama}, Items(probe_pairs()))
    found = [m for m in result.findings.measures if m.name == "auroc"]
    assert {m.estimate.n for m in found if "value" in m.at} == {12}
    assert {m.estimate.n for m in found if "value" not in m.at} == {24}


def test_a_model_is_like_itself_and_unmoved(tiny_llama: LocalModel, probe_items: Items) -> None:
    """CKA and RSA of equal arms are 1, the shift is 0."""
    result = run_probe("representation_similarity", {"base": tiny_llama, "direct": tiny_llama},
                       probe_items)  # fmt: skip
    for name, value in (("cka", 1.0), ("rsa", 1.0), ("shift", 0.0)):
        found = named(result, name)
        assert len(found) == 2
        assert all(one.value == pytest.approx(value, abs=1e-9) for one in found)


def test_models_are_compared_on_families_together(tiny_llama: LocalModel) -> None:
    """Statements of another kind moved the likeness of two models on these."""
    pairs = probe_pairs()
    acts = [p.model_copy(update={"id": f"a/{p.id}", "family": "acts", "violated": f"{p.value} {n}",
                                 "upheld": p.topic}) for n, p in enumerate(pairs)]  # fmt: skip
    models = {"base": tiny_llama, "direct": tiny_llama}
    alone, both = (run_probe("representation_similarity", models, Items(some))
                   for some in (pairs, [*pairs, *acts]))  # fmt: skip
    assert {m.estimate.n for m in alone.findings.measures if m.name == "cka"} == {
        m.estimate.n for m in both.findings.measures if m.name == "cka"
    }


def test_doses_ask_the_unchanged_model_once() -> None:
    """A dose-response without its 0, or the same answers computed twice."""
    found = doses((1.0, 0.0))
    assert found.count(("violation", "add", 0.0)) == 1
    assert ("random", "add", 0.0) not in found and ("random", "add", 1.0) in found


def test_a_killed_intervention_begins_again_or_reads_what_another_was_answered(
    tiny_llama: LocalModel, probe_items: Items, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a model of language it takes hours: the same numbers as in one go, each asked once."""
    options = ProbeOptions(coefficients=(1.0,), kept=tmp_path / "answers.jsonl")
    models = {"base": tiny_llama}
    whole = run_probe("intervention", models, probe_items, replace(options, kept=None))
    asked: list[int] = []
    real = Arms.generate

    def killed(self: Arms, model: LocalModel, seed: int) -> Any:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(seed)
        return real(self, model, seed)

    monkeypatch.setattr(Arms, "generate", killed)
    with pytest.raises(KeyboardInterrupt):
        run_probe("intervention", models, probe_items, options)
    monkeypatch.setattr(Arms, "generate", real)
    assert run_probe("intervention", models, probe_items, options) == whole
    rows = read_jsonl(tmp_path / "answers.jsonl")
    assert len(rows) == len({row["key"] for row in rows}) == len(doses((1.0,)))
    # Another push on the same model is asked anew.
    other = replace(probe_items, pairs=probe_items.pairs[:-2])
    run_probe("intervention", models, other, options)
    assert len(read_jsonl(tmp_path / "answers.jsonl")) > len(rows)


def test_what_a_probe_lacks_is_said(tiny_llama: LocalModel, probe_items: Items) -> None:
    """A missing arm, missing requests or one value ended in a traceback."""
    bare = Items(probe_pairs())
    with pytest.raises(UserError, match="give requests"):
        run_probe("intervention", {"base": tiny_llama}, bare)
    with pytest.raises(UserError, match=r"into 'direct'.*given: base"):
        run_probe("patching", {"base": tiny_llama}, probe_items)
    with pytest.raises(UserError, match="at least two values"):
        run_probe("direction", {"base": tiny_llama}, Items(probe_pairs()[:6]))
    with pytest.raises(UserError, match="did you mean 'direction'"):
        run_probe("directon", {"base": tiny_llama}, bare)
    with pytest.raises(UserError, match="no family 'statement'"):
        run_probe("intervention", {"base": tiny_llama}, probe_items,
                  ProbeOptions(family="statement"))  # fmt: skip
    with pytest.raises(UserError, match="no seed in common"):
        run_probe("patching", {"direct": {0: tiny_llama, 1: tiny_llama},
                               "base": {2: tiny_llama, 3: tiny_llama}}, probe_items)  # fmt: skip


def test_the_command_writes_what_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON on standard output is one object, and the files hold the same."""
    folder = build_tiny("qwen2", tmp_path / "model")
    write_pairs(tmp_path / "pairs.jsonl", probe_pairs())
    asked = Asked(
        [f"base={folder}"], "logit_difference", pairs=tmp_path / "pairs.jsonl",
        out=tmp_path / "out",
    )  # fmt: skip
    probe(asked, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "out" / "probes.json").read_text())
    assert (tmp_path / "out" / "logit_difference.svg").is_file()
    probe(asked, as_json=False)
    printed = capsys.readouterr().out
    assert "violation" in printed and "95 % interval" in printed
    with pytest.raises(UserError, match="one of --world, --pairs and --constitution"):
        probe(Asked([f"base={folder}"]), as_json=False)


def test_models_of_one_arm_are_its_seeds() -> None:
    """The second model of an arm replaced the first, or a path with = was cut."""
    found = named_models(["direct=a/1", "direct=a/2", "runs/x=1/model", "org/name"])
    assert found == {
        "direct": {0: "a/1", 1: "a/2"}, "model": {0: "runs/x=1/model", 1: "org/name"},
    }  # fmt: skip
    with pytest.raises(UserError, match="give ARM=MODEL"):
        named_models(["direct="])
