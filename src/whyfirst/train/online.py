"""Stages that generate while they train: rloo, grpo and (in a package of its own) ppo.

Reads the prompts, binds the rewards, runs the trainer, and turns its log into this project's.
Leaves out: the trainers' arguments (`adapter`), what is watched (`guards`).
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import TrainingStopped
from whyfirst.config.files import read_json
from whyfirst.train import checkpoint, preflight
from whyfirst.train.adapters import base_folder
from whyfirst.train.config import REWARD_MODEL, GroupStage, OnlineStage, PPOStage
from whyfirst.train.guards import Gold, Guards, measure
from whyfirst.train.job import Job, OnlineJob, Trained
from whyfirst.train.plan import Plan, make_prompt_plan
from whyfirst.train.preflight_online import examine_prompts
from whyfirst.train.prompts import Prompts, read_prompts
from whyfirst.train.rewards.combine import RewardSum

_LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clipped",
}
"""What the trainers log -> what log.jsonl calls it."""


def train_online(job: Job, config: OnlineStage) -> tuple[Trained, dict[str, Any]]:
    """Train, save `model/`, and return the log with the totals of `StageResult`."""
    share = config.gold.held_out if config.gold else 0.0
    prompts = read_prompts(job.tokenizer, job.data, share, config.format)
    plan = make_prompt_plan(config, len(prompts.trained), job.seed).of(prompts.trained)
    updates = config.updates or len(plan.updates) * _uses(config)
    folder = job.model_dir
    findings = examine_prompts(config, job.tokenizer, folder, prompts, updates, job.data)
    preflight.settle(findings, job.out_dir)

    from whyfirst.train.weights import materialise

    job = replace(job, model_dir=materialise(config, folder, job.out_dir))
    online = _bind(job, config, prompts, plan)
    if isinstance(config, PPOStage):
        from whyfirst.train.ppo.run import run_ppo

        trained = run_ppo(online)
    else:
        trained = _train_groups(online, config, updates)
    return _counted(trained, config, plan)


def _uses(config: OnlineStage) -> int:
    return config.iterations if isinstance(config, GroupStage) else 1


def _bind(job: Job, config: OnlineStage, prompts: Prompts, plan: Plan) -> OnlineJob:
    """The job with its rewards, gold reward and guards."""
    models = {REWARD_MODEL: Path(job.data[REWARD_MODEL])} if REWARD_MODEL in job.data else {}
    rewards = RewardSum(config.rewards, prompts.rows, models)
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


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's, and those the model's generation config names."""
    path = folder / "generation_config.json"
    configured = read_json(path).get("eos_token_id") if path.is_file() else None
    from whyfirst.models import loading

    return loading.end_tokens(configured, tokenizer)


def _train_groups(online: OnlineJob, config: GroupStage, updates: int) -> Trained:
    from transformers import set_seed

    from whyfirst.train import adapter, weights
    from whyfirst.train.watch import Watch

    job = online.job
    adapter.quiet_libraries()
    found = checkpoint.newest_complete(job.out_dir / "checkpoints", job.manifest)
    set_seed(job.seed)
    start = weights.load_start(config, job.model_dir)
    end = end_tokens(base_folder(job.model_dir), job.tokenizer)
    scorer = _Scorer(online, end, config.group_size)
    log = _Log(config)

    def measured(model: Any, update: int) -> dict[str, float]:
        figures = scorer.take()
        if online.gold is not None and online.gold.due(update, updates):
            try:
                figures |= online.gold.measure(model)
            except TrainingStopped as error:
                online.guards.stop(f"gold: {error}")
        return figures

    watch = Watch(
        job, found[1] if found else 0, lambda rows: online.guards.check(log.read(rows)), measured
    )
    trainer = adapter.group_trainer(online, config, start, watch, updates, scorer)
    trainer.train(resume_from_checkpoint=str(found[0]) if found else None)
    weights.save_model(trainer.model, job.tokenizer, job.out_dir / "model", config.lora)
    return Trained(log.read(trainer.state.log_history), "padded")


class _Scorer:
    """The trainers' one reward function: the weighted sum, and what is measured on the way."""

    __name__ = "rewards"

    def __init__(self, online: OnlineJob, end: frozenset[int], group_size: int) -> None:
        self._online, self._end, self._size = online, end, group_size
        self._figures: dict[str, float] = {}

    def __call__(
        self,
        prompts: list[str],
        completions: list[str],
        completion_ids: list[list[int]],
        row: list[int],
        **_: Any,
    ) -> list[float]:
        """Score one generation; `row` are indices into the prompts."""
        online = self._online
        finished = [bool(ids) and ids[-1] in self._end for ids in completion_ids]
        try:
            scores = online.rewards(row, completions, completion_ids, finished)
        except TrainingStopped as error:
            online.guards.stop(str(error))
        self._figures = {
            **measure(scores, completion_ids, finished, self._size),
            "prompt_tokens": sum(len(online.prompts.ids[number]) for number in row),
            "response_tokens": sum(map(len, completion_ids)),
        }
        return scores.total

    def take(self) -> dict[str, float]:
        """The figures of the newest generation, once."""
        figures, self._figures = self._figures, {}
        return figures


class _Log:
    """The trainer's log as rows of log.jsonl, one an update, read as it grows."""

    def __init__(self, config: OnlineStage) -> None:
        self._rows: list[dict[str, Any]] = []
        self._read = 0
        self._pending: dict[str, Any] = {}
        self._length = 0.0

    def read(self, history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """All rows of `history`, which begins with what was read before."""
        for entry in history[self._read :]:
            self._add(entry)
        self._read = len(history)
        return self._rows

    def _add(self, entry: Mapping[str, Any]) -> None:
        if "loss" not in entry:
            # Measured at the end of an update, before the trainer logs it.
            self._pending |= {key: value for key, value in entry.items() if key != "step"}
            return
        row: dict[str, Any] = {"step": int(entry["step"])}
        row |= {ours: float(entry[theirs]) for theirs, ours in _LOGGED.items() if theirs in entry}
        row |= self._pending
        self._length = self._pending.get("length", self._length)
        if entry.get("kl") is not None:
            # The trainers log a mean over tokens; times tokens a response, nats a response.
            row["kl"] = float(entry["kl"]) * self._length
        self._pending = {}
        self._rows.append(row)


def _counted(trained: Trained, config: OnlineStage, plan: Plan) -> tuple[Trained, dict[str, Any]]:
    """The log with running token counts, and the totals."""
    log, prompt_tokens, tokens = [], 0, 0
    for row in trained.log:
        prompt_tokens += row.pop("prompt_tokens", 0)
        tokens += row.pop("response_tokens", 0)
        log.append(row | {"tokens": tokens})
    prompts = sum(map(len, plan.updates))
    group = config.group_size if isinstance(config, GroupStage) else 1
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
