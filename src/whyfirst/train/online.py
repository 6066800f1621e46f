"""The course of every stage that generates while it trains.

Reads the prompts, binds the rewards, trains, counts. Leaves out: how a kind trains (`kinds`), what
is watched (`guards`).
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.models.local import LocalModel
from whyfirst.train import checkpoint, preflight
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_rl import REWARD_MODEL, Online
from whyfirst.train.guards import Gold, Guards
from whyfirst.train.job import Job, OnlineJob, Trained
from whyfirst.train.plan import make_prompt_plan
from whyfirst.train.prompts import read_prompts
from whyfirst.train.rewards.combine import RewardSum
from whyfirst.train.watch import counted
from whyfirst.train.weights import materialise


def train_online(job: Job, train: Callable[[OnlineJob], Trained]) -> tuple[Trained, dict[str, Any]]:
    """Train, save `model/`, and return the log with the totals of `StageResult`.

    Raises:
        ConfigError: weights are to be kept after updates that aren't made.
    """
    config, folder = job.config, job.model_dir
    assert isinstance(config, Online)
    # Without a gold reward there is nothing to hold prompts out for.
    share = config.gold.held_out if config.gold else 0.0
    prompts = read_prompts(job.tokenizer, job.data, share, config.format)
    plan = make_prompt_plan(config, len(prompts.trained), job.seed).of(prompts.trained)
    updates = config.updates or len(plan.updates) * getattr(config, "iterations", 1)
    if beyond := config.kept_beyond(updates):
        raise ConfigError(f"{config.kind}: {beyond}")
    findings = preflight.examine_prompts(config, job.tokenizer, folder, prompts, updates, job.data)
    models = {}
    if REWARD_MODEL in job.data:
        models[REWARD_MODEL] = Path(job.data[REWARD_MODEL])
        findings.append(preflight.rewarded_alike(config, job.tokenizer, models[REWARD_MODEL]))
    preflight.settle(findings, job.out_dir)

    job = replace(job, model_dir=materialise(job))
    start = functools.partial(LocalModel, job.model_dir, chat_template=config.chat_template)
    rewards = RewardSum(
        config.rewards, prompts.rows, models, config.combine, config.zscore_by, start
    )
    endings = prompts.endings(base_folder(job.model_dir), job.tokenizer)
    gold = None
    if config.gold is not None:
        measured = RewardSum([config.gold], prompts.rows, models, start=start)
        gold = Gold(config, measured, rewards, prompts, endings)
    place = job.out_dir / "checkpoints"
    last_good = functools.partial(checkpoint.last_good, place, job.manifest)
    guards = Guards(config.kind, config.limits, last_good)
    trained = train(OnlineJob(job, config, prompts, plan, endings, rewards, gold, guards))

    log, drawn = counted(trained.log), sum(map(len, plan.updates))
    read, written = sum(row.get("prompt_tokens", 0) for row in trained.log), log[-1]["tokens"]
    return Trained(log, trained.layout), {
        "updates": len(log),
        "documents": drawn * getattr(config, "group_size", 1),
        "replay_documents": 0,
        "tokens_total": read + written,
        "tokens_trained": written,
        "tokens_replay": 0,
        "epochs": round(drawn / plan.rows, 4),
    }
