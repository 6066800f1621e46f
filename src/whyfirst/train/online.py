"""The course of every stage that generates while it trains.

Reads the prompts, binds the rewards, trains, counts. Leaves out: how a kind trains (`kinds`), what
is watched (`guards`).
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.train import checkpoint, preflight
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_rl import REWARD_MODEL, Online
from whyfirst.train.guards import Gold, Guards
from whyfirst.train.job import Job, OnlineJob, Trained
from whyfirst.train.logs import counted
from whyfirst.train.plan import Plan, make_prompt_plan
from whyfirst.train.preflight_online import examine_prompts, rewarded_alike
from whyfirst.train.prompts import Prompts, end_tokens, read_prompts
from whyfirst.train.rewards.combine import START, RewardSum
from whyfirst.train.weights import materialise


def train_online(job: Job, train: Callable[[OnlineJob], Trained]) -> tuple[Trained, dict[str, Any]]:
    """Train, save `model/`, and return the log with the totals of `StageResult`."""
    config = job.config
    assert isinstance(config, Online)
    share = config.gold.held_out if config.gold else 0.0
    prompts = read_prompts(job.tokenizer, job.data, share, config.format)
    plan = make_prompt_plan(config, len(prompts.trained), job.seed).of(prompts.trained)
    updates = config.updates or len(plan.updates) * getattr(config, "iterations", 1)
    folder = job.model_dir
    findings = examine_prompts(config, job.tokenizer, folder, prompts, updates, job.data)
    if REWARD_MODEL in job.data:
        findings.append(rewarded_alike(config, job.tokenizer, Path(job.data[REWARD_MODEL])))
    preflight.settle(findings, job.out_dir)

    job = replace(job, model_dir=materialise(config, folder, job.out_dir))
    return _counted(train(_bind(job, config, prompts, plan)), config, plan)


def _bind(job: Job, config: Online, prompts: Prompts, plan: Plan) -> OnlineJob:
    """The job with its rewards, gold reward and guards."""
    models = {START: job.model_dir}
    if REWARD_MODEL in job.data:
        models[REWARD_MODEL] = Path(job.data[REWARD_MODEL])
    rewards = RewardSum(config.rewards, prompts.rows, models, config.combine, config.zscore_by)
    gold = None
    if config.gold is not None:
        gold = Gold(
            config.gold,
            RewardSum([config.gold], prompts.rows, models),
            rewards,
            prompts.kept,
            [prompts.ids[number] for number in prompts.kept],
            job.tokenizer,
            end_tokens(base_folder(job.model_dir), job.tokenizer),
            config.max_new_tokens,
            config.temperature,
        )

    place = job.out_dir / "checkpoints"
    last_good = functools.partial(checkpoint.last_good, place, job.manifest)
    guards = Guards(config.kind, config.limits, last_good)
    return OnlineJob(job, config, prompts, plan, rewards, gold, guards)


def _counted(trained: Trained, config: Online, plan: Plan) -> tuple[Trained, dict[str, Any]]:
    """The log with running token counts, and the totals."""
    log = counted(trained.log)
    prompt_tokens = sum(row.get("prompt_tokens", 0) for row in trained.log)
    tokens = log[-1]["tokens"]
    prompts = sum(map(len, plan.updates))
    group = getattr(config, "group_size", 1)
    totals = {
        "updates": len(log),
        "documents": prompts * group,
        "replay_documents": 0,
        "tokens_total": prompt_tokens + tokens,
        "tokens_trained": tokens,
        "tokens_replay": 0,
        "epochs": round(prompts / plan.rows, 4),
    }
    return Trained(log, trained.layout), totals
