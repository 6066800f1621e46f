"""How good a reward model is on pairs it wasn't trained on, and whether it only counts tokens.

Written as `reward.json`. A pair's probability is the model's own, p = sigmoid(r(chosen) -
r(rejected)) (Bradley and Terry 1952); calibration compares its confidence max(p, 1 - p) with how
often it is right (expected calibration error, Guo et al. 2017, arXiv 1706.04599, ten bins of equal
width over [0.5, 1]). Leaves out: what the reward is worth as a target (the gold reward of a stage
that optimises it says that).
"""

import math
from collections.abc import Callable, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import write_json
from whyfirst.stats.statistics import mcnemar_exact, wilson
from whyfirst.train.encode import Candidates, Encoded, render_prompts
from whyfirst.train.job import Job
from whyfirst.train.kinds import pass_rows
from whyfirst.train.plan import held_out

BINS = 10
Scoring = Callable[[int, list[list[int]], int], list[float]]
"""The padding token, sequences of token ids and how many of them at a time -> their rewards."""
Lengths = Sequence[tuple[int, int]]
"""Tokens of each pair's responses, the chosen one's first."""


def kept_out(job: Job, share: float, found: Encoded) -> list[int]:
    """Pairs that nothing is trained on: those of some prompts, chosen by hash.

    Raises:
        DataError: that is none of them, or all.
    """
    rows, path = found.main
    texts, _, _ = render_prompts(job.tokenizer, rows, path, job.config.format)
    out = [i for i, is_out in enumerate(held_out(texts, share)) if is_out]
    if not out or len(out) == len(texts):
        raise DataError(
            f"{path}: held_out {share:g} of {len(texts)} pairs holds out {len(out)}; give more "
            "prompts or another share"
        )
    return out


def write_report(job: Job, score: Scoring, pairs: Sequence[Candidates], lengths: Lengths) -> None:
    """Score the held-out pairs, a forward pass of the stage at a time, and write `reward.json`."""
    longest, pad_id = job.config.max_length, job.tokenizer.pad_token_id
    chosen, rejected = (
        score(
            pad_id,
            [(pair.prompts[side] + pair.responses[side])[:longest] for pair in pairs],
            pass_rows(job.config),
        )
        for side in (0, 1)
    )
    write_json(job.out_dir / "reward.json", report(lengths, chosen, rejected))


def report(lengths: Lengths, chosen: Sequence[float], rejected: Sequence[float]) -> dict[str, Any]:
    """The figures of `reward.json` from both rewards of each held-out pair.

    Accuracy counts a tie as half; `longer_is_better` is the accuracy of preferring the response of
    more tokens. `only_counts_tokens` is True where the model is not more often right than the
    better of the two rules, longer and shorter, by McNemar's exact test at 0.05.
    """
    right = [_won(a, b) for a, b in zip(chosen, rejected, strict=True)]
    longer = [_won(a, b) for a, b in lengths]
    # The better of the two: where short responses are preferred, length helps as well.
    rule = longer if fmean(longer) >= 0.5 else [1 - won for won in longer]
    # Only pairs on which model and rule differ say which is better (McNemar).
    ahead = sum(a == 1 and b != 1 for a, b in zip(right, rule, strict=True))
    behind = sum(a != 1 and b == 1 for a, b in zip(right, rule, strict=True))
    counts = ahead <= behind or mcnemar_exact(ahead, behind) >= 0.05
    rewards, tokens = [*chosen, *rejected], [n for side in zip(*lengths, strict=True) for n in side]
    correlation = None  # where one of the two does not vary
    if len(set(rewards)) > 1 and len(set(tokens)) > 1:
        from scipy.stats import spearmanr

        correlation = float(spearmanr(rewards, tokens).statistic)
    accuracy, rule_accuracy = fmean(right), fmean(rule)
    interval = wilson(round(sum(right)), len(right))
    name = "longer" if rule is longer else "shorter"
    verdict = (
        f"This reward model does no better than counting tokens: it is right on {accuracy:.1%} of "
        f"{len(right)} held-out pairs, and preferring the {name} response on {rule_accuracy:.1%}."
        if counts
        else f"Right on {accuracy:.1%} of {len(right)} held-out pairs; preferring the {name} "
        f"response is right on {rule_accuracy:.1%}."
    )
    return {
        "pairs": len(right),
        "accuracy": accuracy,
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "longer_is_better": fmean(longer),
        "only_counts_tokens": counts,
        "verdict": verdict,
        "length_correlation": correlation,
        "mean_reward": {"chosen": fmean(chosen), "rejected": fmean(rejected)},
        **calibration(chosen, rejected),
    }


def calibration(chosen: Sequence[float], rejected: Sequence[float]) -> dict[str, Any]:
    """Expected calibration error, the bins behind it, and the mean log loss in nats."""
    margins = [a - b for a, b in zip(chosen, rejected, strict=True)]
    # (confidence, right) of each pair; a tie is right half of the time at confidence 1/2.
    placed = sorted((1 / (1 + math.exp(-min(abs(m), 700.0))), _won(m, 0.0)) for m in margins)
    bins = []
    # Sorted by confidence, so that a bin is one run of them.
    for place, group in groupby(placed, key=lambda one: min(int((one[0] - 0.5) * 2 * BINS), 9)):
        members = list(group)
        bins.append(
            {
                "from": 0.5 + place / (2 * BINS),
                "pairs": len(members),
                "confidence": fmean(confidence for confidence, _ in members),
                "accuracy": fmean(won for _, won in members),
            }
        )
    gaps = (one["pairs"] * abs(one["confidence"] - one["accuracy"]) for one in bins)
    # In this form no margin, however large, overflows.
    losses = (math.log1p(math.exp(-abs(m))) + max(-m, 0.0) for m in margins)
    return {
        "calibration_error": sum(gaps) / len(margins),
        "calibration_bins": bins,
        "log_loss": fmean(losses),
    }


def _won(a: float, b: float) -> float:
    return 0.5 if a == b else float(a > b)
