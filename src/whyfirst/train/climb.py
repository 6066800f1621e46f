"""Auto-CEI's curriculum: expert iteration at one patience, and a climb over patience.

Zhao et al. 2024, "Automatic Curriculum Expert Iteration for Reliable LLM Reasoning", arXiv
2410.07627; constants as in its released code. Each round of expert iteration is a stage `sft` of
its own in a folder of its own, so that a run that was killed goes on from the last whole one.
Leaves out: several processes, and the rounds at no patience that the released code begins with.
"""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import fmean, pstdev
from typing import Any, cast

from whyfirst.config.errors import DataError, StoreError, TrainingStopped
from whyfirst.config.files import write_jsonl
from whyfirst.data.asking import as_trained
from whyfirst.data.rows import read_rows, text_of
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.models.base import Sampling
from whyfirst.models.local import LocalModel
from whyfirst.train import checkpoint
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import Rows
from whyfirst.train.plan import held_out
from whyfirst.train.rewards.answers import correct
from whyfirst.train.rewards.auto_cei import auto_cei, given_up, step_count
from whyfirst.train.run import run_stage
from whyfirst.train.weights import materialise, put_in_place

CONVERGED = 0.003
"""Precision and the share given up that differ by less end the rounds at one patience."""


def first_patience(steps: Sequence[int], before: Sequence[int]) -> tuple[float, float, float]:
    """Patience to begin with, its step and the spread.

    Args:
        steps: of all responses.
        before: of those that give up, until they do.
    """
    spread = pstdev(steps)
    step = min(0.2 * spread, 0.5)
    return fmean(before) + step, step, spread


def balance(precision: float, gives_up: float, weight: float) -> float:
    """(1 - weight) precision + weight (1 - share given up)."""
    return (1 - weight) * precision + weight * (1 - gives_up)


def climb(value: Callable[[float], float], start: float, step: float, most: int) -> float:
    """The first maximum that steps up or down from `start` come to, after `most` values at most."""
    found, at = {0: value(start)}, 0
    while len(found) < most:
        # Up first: more patience is the curriculum's way; where both are known it is a maximum.
        unknown = [place for place in (at + 1, at - 1) if place not in found]
        if not unknown:
            break
        found[unknown[0]] = value(start + unknown[0] * step)
        if found[unknown[0]] > found[at]:
            at = unknown[0]
    return start + at * step


class Curriculum:
    """A model, the rounds it has been through, and the best of them so far.

    Args:
        job: of the stage; its config says how to draw, to train and to weigh.
        rows: prompts with `answer`, trained on; `kept` those the balance is measured on.

    Raises:
        StoreError: the folder holds rounds of another run.
    """

    def __init__(self, job: Job, rows: Rows, kept: Rows) -> None:
        self.job, self.config, self.rows, self.kept = job, cast(Any, job.config), rows, kept
        place = job.out_dir / "checkpoints"
        # Rounds are told by their number alone.
        if checkpoint.claimed(place, job.manifest) is False and [*place.glob("round-*")]:
            raise StoreError(
                f"{place}: rounds of another configuration, data, model or seed; give another "
                f"output folder, or delete {place} to start this stage anew"
            )
        self.model = materialise(job)
        checkpoint.claim(place, job.manifest)
        self.log: list[dict[str, Any]] = []
        self.rounds = 0
        self.totals = dict.fromkeys(
            ("updates", "documents", "replay_documents", "tokens_total", "tokens_trained",
             "tokens_replay"), 0,
        )  # fmt: skip
        # Below any balance: as in the released code, the model it starts from is no candidate.
        self.best = -1.0
        self.spread = 0.0
        self.now = self._measured(self.model)
        # To be compared with all the same: every round may be worse.
        self.log.append({"step": 0, "tokens": 0, **self._weighed(self.now)})
        # The chance of a response is exp(reward / temperature): sharper where little is right.
        self.temperature = self.now[0]
        if self.temperature == 0:
            raise TrainingStopped(
                "auto_cei: the model gives no right answer to the prompts kept out; train it on "
                "answers first"
            )

    def run(self) -> float:
        """Climb; the patience that was best."""
        said = [text for texts in self._drawn(self.model, 0) for text in texts]
        before = [until for text in said if (until := given_up(text)) is not None]
        steps = [step_count(text) for text in said]
        if not before or len(set(steps)) == 1:
            lacks = "says that it doesn't know" if not before else "varies how many steps it takes"
            raise TrainingStopped(
                f"auto_cei: the model never {lacks} in {len(said)} responses, so that there is no "
                "patience to climb; train it on demonstrations that do first"
            )
        start, step, self.spread = first_patience(steps, before)
        return climb(self._best_at, start, step, self.config.most)

    def _best_at(self, patience: float) -> float:
        """The best balance of some rounds at one patience, from the best model so far."""
        config, model = self.config, self.model
        best, last = -1.0, self.now
        for _ in range(config.iterations):
            model, loss, without = self._round(model, patience)
            now = self._measured(model)
            weighed = self._weighed(now)
            self.log.append({
                "step": self.totals["updates"], "loss": loss, "lr": config.learning_rate,
                "tokens": self.totals["tokens_trained"], "patience": patience, **weighed,
                "prompts_without_demonstrations": without,
            })  # fmt: skip
            value = weighed["balance"]
            best = max(best, value)
            if value > self.best:
                self.best, self.model, self.now = value, model, now
            if all(abs(a - b) < CONVERGED for a, b in zip(now, last, strict=True)):
                break
            last = now
        return best

    def _round(self, model: Path, patience: float) -> tuple[Path, float | None, int]:
        """One round of expert iteration: its model, last loss, and prompts that taught nothing."""
        self.rounds += 1
        number, config = self.rounds, self.config
        folder = self.job.out_dir / "checkpoints" / f"round-{number}"
        file = folder.with_suffix(".jsonl")
        if not file.is_file():
            write_jsonl(file, self._demonstrations(model, patience, number))
        result = run_stage(
            config.round, model, {"demonstrations": file}, folder, self.job.seed + number,
            self.job.progress,
        )  # fmt: skip
        for name in self.totals:
            self.totals[name] += getattr(result, name)
        # Read from the file, which may be of a run that was killed.
        taught = {text_of(row["prompt"]) for row in read_rows(file)}
        without = sum(text_of(row["prompt"]) not in taught for row in self.rows)
        return folder / "model", result.last_loss, without

    def _demonstrations(self, model: Path, patience: float, number: int) -> list[dict[str, Any]]:
        rewarded = [
            {
                "prompt": row["prompt"],
                "responses": texts,
                "rewards": auto_cei(
                    [row["prompt"]] * len(texts), texts, [[]] * len(texts),
                    [row["answer"]] * len(texts), patience=patience, spread=self.spread,
                ),
            }
            for row, texts in zip(self.rows, self._drawn(model, number), strict=True)
        ]  # fmt: skip
        drawn = TRANSFORMS.make("expert_iteration", left_out=lambda row, why: None)(
            rewarded, Random(self.job.seed + number), temperature=self.temperature
        )
        return list(drawn)

    def _drawn(self, model: Path, number: int) -> list[list[str]]:
        config = self.config
        sampling = Sampling(config.max_new_tokens, config.temperature, seed=self.job.seed + number)
        return self._said(model, self.rows, config.samples, sampling)

    def _measured(self, model: Path) -> tuple[float, float]:
        """Share right of the answers given, and share of prompts given up, greedily."""
        greedy = Sampling(self.config.max_new_tokens)
        said = [texts[0] for texts in self._said(model, self.kept, 1, greedy)]
        pairs = zip(self.kept, said, strict=True)
        given = [correct(text, row["answer"]) for row, text in pairs if given_up(text) is None]
        return (fmean(given) if given else 0.0), 1 - len(given) / len(said)

    def _weighed(self, measured: tuple[float, float]) -> dict[str, float]:
        precision, gives_up = measured
        value = balance(precision, gives_up, self.config.weight)
        return {"precision": precision, "gives_up": gives_up, "balance": value}

    def _said(self, model: Path, rows: Rows, n: int, sampling: Sampling) -> list[list[str]]:
        asked = [as_trained(self.job.tokenizer, row["prompt"], self.config.format) for row in rows]
        # By the template that the rounds train with, which a model to start from may not have.
        asking = LocalModel(model, "float32", chat_template=self.config.chat_template)
        answers = asking.generate(asked, n=n, sampling=sampling)
        # Rounds are stages of their own; what is asked of this one is seen between them.
        if self.job.stopping.asked is not None:
            self.job.stopping.end()
        return [[one.text for one in row] for row in answers]


def train_curriculum(job: Job, rows: Rows, path: Path) -> tuple[Trained, dict[str, Any]]:
    """The stage `auto_cei`; see `StageKind.train`.

    Raises:
        DataError: no prompt of the file, or every one, is kept out.
    """
    config: Any = job.config
    out = held_out([text_of(row["prompt"]) for row in rows], config.held_out)
    kept, trained = (
        [row for row, is_out in zip(rows, out, strict=True) if is_out == side]
        for side in (True, False)
    )
    if not kept or not trained:
        said = f"held_out {config.held_out:g} of {len(rows)} prompts keeps {len(kept)} out"
        raise DataError(f"{path}: {said}; give more prompts or another share")
    curriculum = Curriculum(job, trained, kept)
    curriculum.run()
    with put_in_place(job.out_dir / "model") as temporary:
        shutil.copytree(curriculum.model, temporary)
    epochs = round(curriculum.totals["documents"] / len(trained), 4)
    return Trained(curriculum.log, "rounds"), {**curriculum.totals, "epochs": epochs}
