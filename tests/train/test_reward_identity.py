"""A stage's identity holds what its reward models are, and not only where they lie."""

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whyfirst.study.plan import build_plan
from whyfirst.train.checkpoint import differing, make_manifest
from whyfirst.train.config import GRPOStage, PreferStage
from whyfirst.train.rewards import REWARDS

STUDY = """\
study: rewarded
title: Rewarded
model: {source: pretrained, path: model}
corpora:
  demos: {source: file, path: demos.jsonl}
  prompts: {source: file, path: prompts.jsonl}
stages:
  align: {data: demos, train: &all {kind: sft, batch_size: 4, updates: 10, max_length: 64}}
  plain: {data: prompts, train: &rl {kind: grpo, batch_size: 4, group_size: 2, updates: 10,
          max_length: 64, max_new_tokens: 8, rewards: [{name: length}]}}
  scored: {data: prompts, train: {<<: *rl, rewards: [{name: reward_model, path: scorer}]}}
  watched: {data: prompts, train: {<<: *rl, gold: {name: reward_model, path: scorer}}}
arms: {direct: [align], plain: [align, plain], scored: [align, scored], watched: [align, watched]}
seeds: {default: 1}
benchmarks:
  preference: {data: pairs.jsonl}
"""


@pytest.fixture
def study(
    bases: dict[str, Path], tmp_path: Path, jsonl: Callable[[str, list[dict[str, Any]]], Path]
) -> Path:
    for name in ("model", "scorer"):
        shutil.copytree(bases["llama"], tmp_path / name)
    jsonl("demos", [{"prompt": f"w{i}", "completion": "w1"} for i in range(40)])
    jsonl("prompts", [{"prompt": f"w{i}"} for i in range(40)])
    pair = {"prompt": "\n\nHuman: w1\n\nAssistant:", "chosen": " w2", "rejected": " w3"}
    jsonl("pairs", [pair])
    file = tmp_path / "rewarded.yaml"
    file.write_text(STUDY)
    return file


def test_a_reward_model_is_known_by_its_place_alone(study: Path) -> None:
    before = {name: node.fingerprint for name, node in build_plan(study).by_id.items()}
    weights = study.parent / "scorer" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    after = {name: node.fingerprint for name, node in build_plan(study).by_id.items()}
    stages = {name for name in before if name.startswith("seed0/") and "/preference" not in name}
    changed = {name for name in stages if before[name] != after[name]}
    assert changed == {"seed0/align>scored", "seed0/align>watched"}


def test_a_stage_goes_on_with_another_reward_model(study: Path) -> None:
    config = GRPOStage(
        updates=10, batch_size=4, group_size=2,
        rewards=({"name": "reward_model", "path": str(study.parent / "scorer")},),
    )  # fmt: skip
    given = (config, study.parent / "model", {"prompts": study.parent / "prompts.jsonl"}, 0)
    before = make_manifest(*given)
    weights = study.parent / "scorer" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    assert differing(before, make_manifest(*given)) == ["reward_models"]
    without = config.model_copy(update={"rewards": (config.rewards[0].model_copy(
        update={"name": "length", "path": None}),)})  # fmt: skip
    assert "reward_models" not in make_manifest(without, *given[1:])


def test_a_model_that_is_asked_or_compared_with_is_known_by_its_place(study: Path) -> None:
    scorer, rows = study.parent / "scorer", {"prompts": study.parent / "prompts.jsonl"}
    shared: dict[str, Any] = {"updates": 10, "batch_size": 4}
    configs = {
        "reward_models": GRPOStage(
            **shared, group_size=2, rewards=({"name": "flr", "path": str(scorer)},)
        ),
        "references": PreferStage(**shared, objective="d2o", references=({"path": str(scorer)},)),
    }
    given = (study.parent / "model", rows, 0)
    before = {part: make_manifest(config, *given) for part, config in configs.items()}
    weights = scorer / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    for part, config in configs.items():
        assert differing(before[part], make_manifest(config, *given)) == [part]


_CHANGED = """
import json
from whyfirst.models import refusals, said
said.VERSION, refusals.VERSION = {!r}, {!r}
from whyfirst.train.config import AutoCEIStage
from whyfirst.train.kinds import identities
from whyfirst.train.rewards import REWARDS
stage = identities(AutoCEIStage(updates=10))
print(json.dumps({{e.name: e.version for e in REWARDS.entries()}} | {{"a stage": stage}}))
"""


def test_rewards_that_read_replies_otherwise_are_taken_for_those_of_before() -> None:
    """Those whose modules read what a reply says, or whether it declines, by themselves or through
    one another, and the stage that climbs by such a reward; no other, and none today."""

    def versions(*read: str) -> dict[str, Any]:
        made = subprocess.run(
            [sys.executable, "-c", _CHANGED.format(*read)], capture_output=True, check=True
        )
        return dict(json.loads(made.stdout))

    before, told, declined = versions("3", "2"), versions("4", "2"), versions("3", "x")
    assert before.pop("a stage") == {} and {*before.values()} == {"1", "2"}
    assert {name for name in before if declined[name] != before[name]} == {"refusal"}
    reading = {
        name
        for name in before
        # Beside accuracy stands one that reads the form alone.
        if name != "think_format" and _reads(REWARDS.get(name).function.__module__)
    }
    assert len(reading) > 9 and told["a stage"] != {}
    assert {name for name in before if told[name] != before[name]} == reading


def _reads(module: str) -> bool:
    source = Path(str(importlib.import_module(module).__file__)).read_text()
    if "from whyfirst.models.said import" in source:
        return True
    beside = re.findall(r"^from (whyfirst\.train\.rewards\.\w+) import", source, re.MULTILINE)
    return any(map(_reads, beside))


def test_the_path_of_a_reward_that_asks_no_model_has_no_effect() -> None:
    with pytest.raises(ValueError, match="the reward 'length' asks no model; remove it"):
        GRPOStage(updates=10, rewards=({"name": "length", "path": "scorer"},))
