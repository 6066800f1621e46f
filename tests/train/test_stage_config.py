"""Stage configs: what they must refuse, and that every field belongs to a fingerprint or not."""

from pathlib import Path
from typing import get_args

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.strict import (
    StrictModel,
    affects_output,
    load_yaml,
    output_fields,
    undeclared_fields,
)
from whyfirst.train.config import (
    DPOStage,
    GRPOStage,
    PPOStage,
    RewardStage,
    RLOOStage,
    SFTStage,
    StageConfig,
    data_names,
)
from whyfirst.train.kinds import KINDS as ROOM

GROUP = "stage: {kind: grpo, updates: 20, rewards: [{name: length}]"
PPO = "stage: {kind: ppo, updates: 20, rewards: [{name: length}]"


class _Study(StrictModel):
    stage: StageConfig = affects_output()


def _load(tmp_path: Path, text: str) -> _Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_yaml(path, _Study)


KINDS = {c.model_fields["kind"].default: c for c in get_args(get_args(StageConfig)[0])}


@pytest.mark.parametrize("kind", KINDS.values())
def test_a_field_left_out_of_the_fingerprint(kind: type[StrictModel]) -> None:
    assert undeclared_fields(kind) == []


def test_checkpointing_changes_the_fingerprint() -> None:
    plain = SFTStage(updates=20)
    often = SFTStage(updates=20, checkpoint_every=10, min_updates=1)
    assert output_fields(plain) == output_fields(often)
    assert output_fields(plain) != output_fields(SFTStage(updates=20, learning_rate=2e-4))


def test_every_kind_has_a_version_and_is_told_apart_by_kind(tmp_path: Path) -> None:
    study = _load(tmp_path, "stage: {kind: dpo, updates: 20, beta: 0.2}\n")
    assert isinstance(study.stage, DPOStage) and study.stage.beta == 0.2
    assert set(ROOM.names()) == set(KINDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: {kind: sft}\n", "exactly one of updates and epochs"),
        ("stage: {kind: sft, updates: 20, epochs: 1.0}\n", "exactly one of updates and epochs"),
        ("stage: {kind: sft, updates: 20, keep_at: [5, 21]}\n", r"keep_at \[21\] lies outside"),
        ("stage: {kind: sft, updates: 20, replay: 0.5}\n", "unknown key"),
        ("stage: {kind: explain, updates: 20, replay: 1.0}\n", "a number below 1, found 1.0"),
        ("stage: {kind: dpo, updates: 20, betaa: 0.5}\n", "did you mean 'beta'"),
        ("stage: {kind: sft, updates: 20, adapter: continue}\n", "needs `lora`"),
        ("stage: {kind: sft, updates: 20, lora: {rank: 8}}\n", "unknown key"),
        ("stage: {kind: rloo, updates: 20, rewards: []}\n", "at least 1"),
        (f"{GROUP}, batch_size: 10, group_size: 4}}\n", "10 is no multiple of group_size 4"),
        (f"{GROUP}, beta: 0.0}}\n", "a number above 0, found 0.0"),
        (f"{GROUP}, max_new_tokens: 256}}\n", "max_length must exceed max_new_tokens"),
        (f"{GROUP}, truncation: allow}}\n", "refuse"),
        (f"{GROUP}, processes: 2}}\n", "run in one process"),
        (f"{PPO}, minibatch_size: 4, batch_size: 32, processes: 8}}\n", "4 is no multiple of proc"),
        (f"{PPO}, processes: 2, fsdp: true}}\n", "ppo holds its models whole"),
        (f"{PPO.replace('length', 'masa')}, processes: 2}}\n", "masa reads the other responses"),
        (f"{GROUP}, gold: {{name: length}}}}\n", "gold 'length' is one of the rewards trained on"),
    ],
)
def test_a_config_that_would_be_misread(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)


def test_a_stage_does_not_say_that_it_reads_a_reward_model() -> None:
    own = {"name": "reward_model", "path": "somewhere"}
    from_stage = {"name": "reward_model"}
    plain = {"name": "length"}
    for rewards, gold, names in (
        ([plain], None, ("prompts",)),
        ([own], None, ("prompts",)),
        ([plain, from_stage], None, ("prompts", "reward_model")),
        ([plain], from_stage, ("prompts", "reward_model")),
    ):
        for kind in (GRPOStage, PPOStage):
            config = kind(updates=20, rewards=tuple(rewards), gold=gold)
            assert data_names(config) == names


def test_an_adapters_dropout_has_no_effect() -> None:
    """Rewards and policies train without any; a rate that is given would be a lie."""
    for kind in (RewardStage, PPOStage, GRPOStage, RLOOStage):
        more = {} if kind is RewardStage else {"rewards": ("length",)}
        assert kind(updates=10, lora={"r": 2}, **more).lora is not None
        with pytest.raises(ValueError, match="dropout has no effect"):
            kind(updates=10, lora={"r": 2, "dropout": 0.1}, **more)


def test_a_reward_model_is_saved_as_an_adapter_that_no_reward_opens() -> None:
    """It was refused by the stage after it, when it had been trained."""
    with pytest.raises(ValueError, match="a reward model is used whole; set merge: true"):
        RewardStage(updates=10, lora={"r": 2, "merge": False})


def test_a_rewards_own_weight_is_taken_for_the_sums(tmp_path: Path) -> None:
    from whyfirst.train.config_rl import GoldUse, RewardUse, named
    from whyfirst.train.rewards import REWARDS

    shadowed = {*RewardUse.model_fields, *GoldUse.model_fields} - {"name"}
    for entry in REWARDS.entries():
        assert not {option.name for option in entry.options} & shadowed, entry.name
    [use] = _load(
        tmp_path,
        "stage: {kind: grpo, updates: 20, rewards: [{name: sar, weight: 0.5, gain: 0.3}]}\n",
    ).stage.rewards  # type: ignore[union-attr]
    assert (use.weight, REWARDS.filled(named(use)).model_dump()) == (0.5, {"gain": 0.3})


def test_an_option_given_twice_is_one_of_the_two(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'free' is given beside `options` and in it"):
        _load(
            tmp_path,
            "stage: {kind: grpo, updates: 20, "
            "rewards: [{name: length, free: 3, options: {free: 100}}]}\n",
        )
