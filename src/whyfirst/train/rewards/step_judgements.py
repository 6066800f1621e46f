"""Step judgements: a model reads a solution step by step, and the right steps count.

GM-PRM, "A Generative Multimodal Process Reward Model" (Zhang et al. 2025), arXiv 2508.04088, in
text form: of each step its intent and whether its logic holds, and of the first wrong one what it
should be, which the decoding `refined_best_of_n` goes on from. Leaves out: images, and training the
judge.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from whyfirst.models.base import LanguageModel, Sampling
from whyfirst.models.said import said
from whyfirst.train.rewards import REWARDS, read_by, text
from whyfirst.train.rewards.likelihood import asked

ASK = (
    "Question:\n{question}\n\nSteps:\n{steps}\n\nJudge each step, one line of JSON a step, as "
    '{{"step": 1, "intent": "what it does", "right": true}}; add "correction" to the first wrong '
    "one."
)


@dataclass(frozen=True)
class Judgement:
    """Of one step, from 1: what it is for, whether it is right, and what it should be if not."""

    step: int
    intent: str
    right: bool
    correction: str | None = None


def written(judgements: Sequence[Judgement]) -> str:
    """Judgements as a judge writes them, one line each."""
    return "\n".join(json.dumps(asdict(one), ensure_ascii=False) for one in judgements)


def read(reply: str, steps: int) -> list[Judgement] | None:
    """A judge's reply on so many steps; None where it doesn't judge each once, in order."""
    found = []
    for line in said(reply).text.splitlines():
        try:
            row = json.loads(line)
            right, correction = row["right"], row.get("correction")
            found.append(Judgement(row["step"], str(row.get("intent", "")), right, correction))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            continue  # words round the judgements
    whole = [one.step for one in found] == list(range(1, steps + 1))
    return found if whole and all(isinstance(one.right, bool) for one in found) else None


def value(judgements: Sequence[Judgement]) -> float:
    """Share of the steps that come before the first wrong one."""
    wrong = next((at for at, one in enumerate(judgements) if not one.right), len(judgements))
    return wrong / len(judgements)


@REWARDS.enter(
    "step_judgements",
    version=read_by("2"),
    paper="Zhang et al. 2025, arXiv 2508.04088",
    needs="a model that judges (path); responses in steps, a line each",
    tested="what is written is read; the share of steps before the first wrong one",
)
def step_judgements(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    model: LanguageModel,
    max_new_tokens: int = 512,
    **columns: Any,
) -> list[float | None]:
    """Share of a response's steps before the first wrong one; None where the judge can't be read.

    Args:
        max_new_tokens: of a judgement.
    """
    rows = [[s.strip() for s in text(c).splitlines() if s.strip()] for c in completions]
    questions = []
    for prompt, steps in zip(prompts, rows, strict=True):
        numbered = "\n".join(f"{at}. {step}" for at, step in enumerate(steps, 1))
        questions.append(ASK.format(question=text(prompt), steps=numbered))
    replies = model.generate(
        asked(model, questions, columns), sampling=Sampling(max_new_tokens=max_new_tokens)
    )
    found = [read(reply.text, len(steps)) for [reply], steps in zip(replies, rows, strict=True)]
    return [value(one) if one else None for one in found]
