"""What a study file names by a place counts by its content, wherever a method is named."""

import json
from dataclasses import replace
from pathlib import Path

import layer_models
import pytest

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.data.readings import readings_file
from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.evaluate.judges import JUDGES
from whyfirst.evaluate.scorers import SCORERS
from whyfirst.study.nodes.probe import of_probes
from whyfirst.study.plan import Plan, build_plan, first_stages
from whyfirst.study.shipped import studies_folder
from whyfirst.train.rewards import REWARDS

STUDY = """\
study: places
title: Places
plugins: [own.py]
model: {source: pretrained, path: model}
corpora:
  demos: {source: file, path: demos.jsonl}
  scored:
    source: file
    path: demos.jsonl
    transforms: [{name: aligned_likelihood, models: [aligned]}]
  prompts: {source: file, path: demos.jsonl}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 2, updates: 10, max_length: 64}}
  fit: {data: scored, train: {kind: sft, batch_size: 2, updates: 10, max_length: 64}}
  rlhf:
    data: prompts
    train: {kind: ppo, batch_size: 4, minibatch_size: 2, updates: 10, max_length: 64,
            max_new_tokens: 8, rewards: [{name: listed, words: good.txt}]}
arms:
  base: []
  direct: [align]
  fitted: [fit]
  rl: [align, rlhf]
  guided: {stages: [], decoding: [{name: guide_align, library: guides.jsonl}]}
  asked: {stages: [], decoding: [{name: kag, graph: triples.jsonl}]}
  led: {stages: [], decoding: [{name: keyword_guided, graph: words.json, target: sea}]}
seeds: 1
benchmarks:
  preference: {data: pairs.jsonl}
  shouted: {data: pairs.jsonl, lexicon: loud.txt, judges: ["toxicity:judge"]}
  readings: {pair: pair.yaml, limit: 4, framings: [none]}
comparisons:
  - {name: nicer, a: direct, b: base, prompts: asked.jsonl,
     judge: {name: scored, scorer: "toxicity:judge"}}
  - {name: left, a: direct, b: base, prompts: asked.jsonl, judge: drawing,
     calibrations: [{name: people, labels: labels.jsonl}]}
contrasts:
  - {name: main, title: main, metric: preference_sum, a: direct, b: base}
headline: main
"""
OWN = '''
from pathlib import Path

from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.judges import JUDGES
from whyfirst.train.rewards import REWARDS


@JUDGES.enter("drawing")
def drawing():
    """Says nothing of whether it draws."""


@benchmark("shouted", version="1", definition="loud words", needs="rows", questions=("toxicity",),
           metrics=[Metric("loud", "Loud", "share of loud words")])
def shouted(*, data: Path, lexicon: Path):
    class Task:
        prompts = lexicon.read_text().split()

        def run(self, model, scorers, progress):
            return []

    return Task()


@REWARDS.enter("listed", needs="nothing")
def listed(prompts, completions, completion_ids, *, words: Path, **columns):
    """Good words."""
    return [0.0] * len(prompts)
'''
# file or folder that changes -> the parts that must not be taken for what they were
CHANGED = {
    "judge/model.safetensors": {"base/shouted", "comparison:nicer"},
    "labels.jsonl": {"comparison:left"},
    "aligned/model.safetensors": {"corpus:scored", "seed0/fit"},
    "good.txt": {"seed0/align>rlhf"},
    "loud.txt": {"base/shouted", "repeats:shouted"},
    "pairs.jsonl": {"base/preference", "base/shouted"},
    "guides.jsonl": {"base+guided/preference"},
    "triples.jsonl": {"base+asked/preference"},
    "words.json": {"base+led/preference"},
    "pair.yaml": {"base/readings", "repeats:readings"},
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study, with the folders and files it names; its plug-in is gone after the test."""
    for room in (BENCHMARKS, JUDGES, REWARDS):
        room.names()  # its own are entered first, and stay
        monkeypatch.setattr(room, "_entries", dict(room._entries))
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    monkeypatch.setenv(plugins.VARIABLE, "")
    layer_models.build(tmp_path / "model")
    for name in ("judge", "aligned"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_text(name)
    rows = [{"prompt": f"\n\nHuman: How is {n}?\n\nAssistant:", "completion": " Fine.",
             "chosen": " Fine.", "rejected": " Bad!"} for n in range(4)]  # fmt: skip
    text = "".join(json.dumps(row) + "\n" for row in rows)
    for name in ("demos.jsonl", "pairs.jsonl", "asked.jsonl"):
        (tmp_path / name).write_text(text)
    for name, held in (("labels.jsonl", ""), ("good.txt", "kind"), ("loud.txt", "HEY"),
                       ("guides.jsonl", '{"input": "a", "guideline": "b"}\n'),
                       ("triples.jsonl", '{"s": "a", "p": "b", "o": "c"}\n'),
                       ("words.json", '{"sea": ["ship"]}'),
                       ("pair.yaml", readings_file("care-law").read_text()),
                       ("own.py", OWN), ("places.yaml", STUDY)):  # fmt: skip
        (tmp_path / name).write_text(held)
    return tmp_path / "places.yaml"


def prints(plan: Plan) -> dict[str, str]:
    return {node.id: node.fingerprint for node in plan.nodes}


def test_what_lies_at_a_place_changes_and_results_are_taken_for_its_own(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A classifier that was exchanged, and lists of a judge, a reward and a benchmark, were not."""
    monkeypatch.chdir(tmp_path.parent)  # places are relative to the study file
    before = prints(build_plan(file))
    for name, parts in CHANGED.items():
        kept = (file.parent / name).read_text()
        (file.parent / name).write_text(kept + "\n ")
        after = prints(build_plan(file))
        changed = {part for part in before if before[part] != after[part]}
        assert parts <= changed, (name, changed)
        (file.parent / name).write_text(kept)
    assert prints(build_plan(file)) == before
    payload = build_plan(file).by_id["comparison:nicer"].payload
    assert payload["judge"]["scorer"]["path"] == str(tmp_path / "judge")
    payload = build_plan(file).by_id["comparison:left"].payload
    assert payload["calibrations"][0]["labels"] == str(tmp_path / "labels.jsonl")
    assert build_plan(file).by_id["base/shouted"].payload["judges"] == [
        f"toxicity:{tmp_path / 'judge'}"
    ]
    (guided,) = build_plan(file).by_id["base+guided/preference"].payload["decoding"]
    assert guided["library"] == str(tmp_path / "guides.jsonl")


@pytest.mark.parametrize(
    ("named", "parts"),
    [("toxicity:judge", {"comparison:nicer", "base/shouted"}), ("rules", {"comparison:nicer"})],
)
def test_a_scorer_that_judges_otherwise_now_gives_the_old_verdicts(
    file: Path, monkeypatch: pytest.MonkeyPatch, named: str, parts: set[str]
) -> None:
    """Neither within a judge nor, of a classifier, alone did a scorer's version count."""
    text = file.read_text()
    file.write_text(text.replace('scorer: "toxicity:judge"', f'scorer: "{named}"'))
    scorer = SCORERS.get(named.partition(":")[0])
    found = {}
    for version in ("1", "2", "3"):
        changed = {**SCORERS._entries, scorer.name: replace(scorer, version=version)}
        monkeypatch.setattr(SCORERS, "_entries", changed)
        plan = build_plan(file)
        # A first version says nothing, as before there was a second one.
        counts = "comparison:nicer: judged by version of scorer" in plan.outside
        assert counts == (version != "1")
        found[version] = prints(plan)
    for one, other in (("1", "2"), ("2", "3")):
        assert parts <= {part for part in found[one] if found[one][part] != found[other][part]}


def test_where_a_pair_of_readings_lies_makes_it_another_benchmark(file: Path) -> None:
    before = prints(build_plan(file))["base/readings"]
    (file.parent / "pair.yaml").rename(file.parent / "same.yaml")
    file.write_text(file.read_text().replace("pair.yaml", "same.yaml"))
    assert prints(build_plan(file))["base/readings"] == before


def test_what_is_changed_in_a_file_named_by_its_whole_path_changes_nothing(file: Path) -> None:
    """Its path is as it was given, which was taken for the name of what ships."""
    before = prints(build_plan(file))
    whole = file.parent / "pair.yaml"
    file.write_text(file.read_text().replace("pair: pair.yaml", f"pair: {whole}"))
    assert prints(build_plan(file)) == before  # where it lies decides nothing
    whole.write_text(whole.read_text() + "\n ")
    assert prints(build_plan(file))["base/readings"] != before["base/readings"]


@pytest.mark.parametrize("name", ["guides.jsonl", "triples.jsonl", "words.json", "pair.yaml"])
def test_a_file_that_is_missing_is_told_after_the_training(
    file: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one of the same name where the command is called is not taken for it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (file.parent / name).rename(elsewhere / name)
    monkeypatch.chdir(elsewhere)
    with pytest.raises(UserError, match=f"{name}.*no such file|no such file.*{name}"):
        build_plan(file)


def test_a_model_that_is_not_here_is_asked_for_by_a_name_that_may_change(file: Path) -> None:
    file.write_text(file.read_text().replace("models: [aligned]", "models: [some/model]"))
    with pytest.raises(ConfigError, match=r"transforms\.0\.models: 'some/model' is no folder"):
        build_plan(file)


def test_controls_of_a_study_are_read_off_its_arms(file: Path) -> None:
    from whyfirst.study.config import load_study

    study = load_study(studies_folder() / "hearth-worlds.yaml")
    arms = of_probes(study, first_stages(study))
    assert (arms.method, arms.direct) == ("explain_first", "direct")
    assert set(arms.controls) == {
        "nobecause_first", "wrong_reason_first", "rules_first", "label_first", "known_label_first",
        "neutral_first", "direct_longer",
    }  # fmt: skip
    # Neither the other reading's reasons, nor a positive control, nor other demonstrations.
    assert "wrong_reason_first" not in arms.without and "base" in arms.without
    assert arms.decisive(["explain_first", "label_first"])["controls"] == ["label_first"]
    assert arms.decisive(["explain_first", "neutral_first"]) == {}


def test_a_revision_of_a_folder_gives_another_fingerprint_and_the_same_weights(file: Path) -> None:
    text = file.read_text()
    file.write_text(text.replace("path: model}", "path: model, revision: v9}"))
    with pytest.raises(ConfigError, match=r"model\.revision: is of a Hub id"):
        build_plan(file)
    judge = "judge_model: {path: judge, revision: v9}\n"
    asks = "  judged: {stages: [], decoding: [rar]}\n  led:"
    file.write_text(text.replace("  led:", asks) + judge)
    with pytest.raises(ConfigError, match=r"judge_model\.revision: is of a Hub id"):
        build_plan(file)
