"""Reward-augmented data: each pair as two, with the reward to aim for said in the prompt.

Zhang et al. 2024, "Reward-Augmented Data Enhances Direct Preference Alignment of LLMs", arXiv
2410.08067. Aiming at the chosen response's score, it is preferred; aiming at the rejected one's,
that one is. At test time the prompt asks for the highest score. Leaves out: the released code's
variant without a system message, which never swaps the responses.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Any, Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_first

GOAL = "Give a response of quality {score:g} on a scale from 1 to {most:g}."


def _unfilled(options: Any) -> Iterator[tuple[str, str]]:
    try:
        options.goal.format(score=1.0, most=1.0)
    except (LookupError, ValueError, AttributeError) as error:
        yield (
            "goal",
            f"holds a brace that can't be filled in, only {{score}} and {{most}} ({error})",
        )


@TRANSFORMS.enter(
    "reward_augmented",
    conflicts=_unfilled,
    paper="Zhang et al. 2024, arXiv 2410.08067",
    needs="prompt, chosen, rejected, score_chosen, score_rejected",
    tested="2n rows; responses kept as a multiset; swapping a pair changes nothing",
    columns={
        "prompt": Said,
        "chosen": Said,
        "rejected": Said,
        "score_chosen": float,
        "score_rejected": float,
    },
    tells=True,
    streams=True,
)
def reward_augmented(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    goal: str = GOAL,
    most: float = 10.0,
    equal: Literal["leave_out", "keep"] = "leave_out",
) -> Iterator[Row]:
    """Two goal-conditioned pairs for each pair.

    Args:
        goal: the sentence that names the goal; ``{score}`` and ``{most}`` are filled in.
        most: the highest score there is.
        equal: what becomes of pairs of equal scores, whose two rows would contradict each other.
    """
    for row in rows:
        scores = {"chosen": row["score_chosen"], "rejected": row["score_rejected"]}
        if scores["chosen"] == scores["rejected"] and equal == "leave_out":
            left_out(row, "both responses have the same score")
            continue
        for better, worse in (("chosen", "rejected"), ("rejected", "chosen")):
            said = goal.format(score=scores[better], most=most)
            yield {
                **row,
                "prompt": told_first(row["prompt"], said),
                "chosen": row[better],
                "rejected": row[worse],
                "score_chosen": scores[better],
                "score_rejected": scores[worse],
            }
