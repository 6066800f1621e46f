"""What is watched while a policy optimises a reward, and when the stage stops itself.

Every update logs, beside reward and loss: `length` (tokens of a response, its end token too),
`finished` (share that ended by themselves), `repetition` (share of repeated 3-grams), `entropy`
(nats a token) and `kl` (nats a response, policy to the model the stage started from). A `gold`
reward that nothing trains on is measured on prompts kept out, beside the trained reward on the
same responses: where `gold` falls while `proxy` rises, the reward is being gamed (Gao et al. 2022,
arXiv 2210.10760). Leaves out: deciding from gold; a person looks at the two curves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NoReturn

from whyfirst.config.errors import TrainingStopped
from whyfirst.models.continuation import Ending
from whyfirst.train.config_rl import Limits, Online
from whyfirst.train.prompts import Prompts
from whyfirst.train.rewards.combine import RewardSum, Scores
from whyfirst.train.rewards.wording import repeated

Row = Mapping[str, Any]
"""A row of log.jsonl."""


@dataclass(frozen=True)
class Guards:
    """Stops a stage, with the reason and its last good checkpoint.

    Args:
        kind: the stage's.
        last_good: the newest whole checkpoint, or None.
    """

    kind: str
    limits: Limits
    last_good: Callable[[], Path | None]

    def stop(self, reason: str) -> NoReturn:
        """Raise `TrainingStopped` for `reason`."""
        found = self.last_good()
        good = f"the last good checkpoint is {found}" if found else "no checkpoint was written"
        raise TrainingStopped(f"{self.kind}: {reason}; {good}")

    def check(self, rows: Sequence[Row]) -> None:
        """Stop if the rows logged so far, the newest last, say so. Call before saving."""
        newest = rows[-1]
        # Before the first update policy and reference are one model, so that any KL is a mistake.
        if newest["step"] == 1 and abs(newest.get("kl", 0.0)) > 1e-3:
            self.stop(
                f"the first KL is {newest['kl']:.4g} and must be 0: the reference is not the model "
                "this stage starts from"
            )
        reason = stop_reason(rows, self.limits)
        if reason is not None:
            self.stop(reason)


def stop_reason(rows: Sequence[Row], limits: Limits) -> str | None:
    """Why a run with these log rows must stop, or None.

    A function of the rows alone: a resumed run, whose rows are restored, decides the same.
    """
    newest = rows[-1]
    step = newest["step"]
    for key, value in newest.items():
        if isinstance(value, float) and not math.isfinite(value):
            return f"{key} is {value} at update {step}; lower learning_rate or raise the KL weight"
    kl = newest.get("kl")
    if limits.max_kl is not None and kl is not None and kl > limits.max_kl:
        return (
            f"the policy is {kl:.4g} nats a response from where it started at update {step}, over "
            f"limits.max_kl {limits.max_kl:g}; raise the KL weight or lower learning_rate"
        )
    # The first batch is the model's own habit, which differs from model to model.
    first = next((row["length"] for row in rows if "length" in row), None)
    ratio = limits.max_length_ratio
    if ratio is not None and first and newest.get("length", 0) > ratio * first:
        return (
            f"responses grew from {first:.4g} to {newest['length']:.4g} tokens by update {step}, "
            f"over limits.max_length_ratio {ratio:g}; add the reward `length`"
        )
    flat = limits.flat_updates
    # Rows without the figure (a generation used again) say nothing either way.
    spreads = (row["reward_std"] for row in reversed(rows) if "reward_std" in row)
    last = list(islice(spreads, flat or 0))
    if flat is not None and len(last) == flat and max(last) < 1e-9:
        return (
            f"all rewards of a comparison were equal for {flat} updates in a row (update {step}), "
            "so there is nothing to learn from; look at the reward, raise temperature or "
            "group_size (or limits.flat_updates)"
        )
    return None


def measure(
    scores: Scores,
    completion_ids: Sequence[Sequence[int]],
    finished: Sequence[bool],
    group_size: int | None = None,
) -> dict[str, float]:
    """The log's figures of one batch of responses.

    Args:
        group_size: responses that are compared with each other, in a row; None: all of them.
            `reward_std` is the mean over groups of the standard deviation within.
    """
    size = group_size or len(scores.total)
    # Compared with each other are the responses to one prompt, or all of a batch.
    groups = [scores.total[at : at + size] for at in range(0, len(scores.total), size)]
    found = {
        "reward": fmean(scores.level),
        "reward_std": fmean(pstdev(group) for group in groups),
        "length": fmean(len(ids) for ids in completion_ids),
        "finished": fmean(finished),
        "repetition": fmean(repeated(ids) for ids in completion_ids),
    }
    for name, values in scores.parts.items():
        scored = [value for value in values if value is not None]
        if scored:
            found[f"reward/{name}"] = fmean(scored)
    return found


@dataclass(frozen=True)
class Gold:
    """The gold reward on responses to held-out prompts, written with the same draws each time.

    Args:
        prompts: of the stage; the first of the held-out ones are asked at every measurement.
        endings: what ends the response to each of them.
    """

    config: Online
    gold: RewardSum
    proxy: RewardSum
    prompts: Prompts
    endings: list[Ending]

    def due(self, update: int, last: int) -> bool:
        """Whether to measure after this update: the first, every so many, and the last."""
        assert self.config.gold is not None
        return update in (1, last) or update % self.config.gold.every == 0

    def measure(self, model: Any) -> dict[str, float]:
        """`gold` and `proxy`: mean rewards on the held-out prompts. Draws no global random number.

        Raises:
            TrainingStopped: a reward failed, or the model.
        """
        from whyfirst.train.ppo.rollout import generate

        assert self.config.gold is not None
        numbers = self.prompts.kept[: self.config.gold.prompts]
        # Seed 0 whatever the stage's: two measurements differ by the policy alone.
        found = generate(
            model, [self.prompts.ids[number] for number in numbers],
            [f"gold/{number}" for number in numbers], self.config.max_new_tokens,
            [self.endings[number] for number in numbers], self.config.temperature, seed=0,
        )  # fmt: skip
        said = (
            numbers, [one.text for one in found], [one.response for one in found],
            [one.finished for one in found],
        )  # fmt: skip
        return {
            "gold": fmean(self.gold(*said).level),
            "proxy": fmean(self.proxy(*said).level),
        }
