"""MAG-V: questions for an agent, what it does, and the same asked another way.

"MAG-V: A Multi-Agent Framework for Synthetic Data Generation and Verification", arXiv 2412.04494.
An investigator writes questions like the seeds; an assistant plans its tool calls and answers; from
the answer alone a reverse engineer writes other questions, and the assistant's calls for those are
held against the first ones. A seed with `trajectory`, `response` and `right` is checked as it is:
the transform `trajectory_check` learns from it. Leaves out: running the tools.
"""

import json
import random
from collections.abc import Sequence

import numpy as np

from whyfirst.data.transforms.trajectories import Trajectory, features
from whyfirst.explain.generators import GENERATORS, Reading, Row, Script, Unusable, listed, read
from whyfirst.models.base import Sampling
from whyfirst.models.decoding.dialogue import nth
from whyfirst.models.embed import Embed

ASK = "Tools: {tools}\nExamples of questions:\n{shown}\nWrite {count} other questions for it."
ACT = (
    "Tools: {tools}\nQuestion: {question}\nWhat do you call, in which order (trajectory: a list of "
)
ACT += "objects with tool and arguments), and what do you answer (response)?"
REVERSE = "An agent answered:\n{response}\nWrite {count} questions that it may have been asked."


@GENERATORS.enter(
    "magv",
    version="2",
    paper="Sengupta et al. 2024, arXiv 2412.04494",
    needs="question, tools; trajectory, response and right where people judged it",
    tested="another question of the same intent is an exact match; planted faults are told apart",
    columns=("question", "tools"),
    gives=("prompt", "completion"),
    calls=lambda options: 1 + options["questions"] * (2 + options["alternatives"]),
)
def magv(
    row: Row, sampling: Sampling, *, seeds: Sequence[Row], embed: Embed, questions: int = 2,
    alternatives: int = 3, examples: int = 4,
) -> Script:  # fmt: skip
    """New questions with what the agent does, or a judged one; each with its features."""
    tools = json.dumps(row["tools"])
    if row.get("right") is not None:
        asked = [str(row["question"])]
    else:
        shown = random.Random(sampling.seed).sample(list(seeds), min(examples, len(seeds)))
        examples_shown = "\n".join(f"- {s['question']}" for s in [row, *shown])
        ask = ASK.format(tools=tools, shown=examples_shown, count=questions)
        found = yield from listed(ask, ("question",), sampling, "investigator")
        asked = [one["question"] for one in found][:questions]
    made = []
    for number, question in enumerate(asked):
        draw = nth(sampling, number + 1)
        done: Row = row
        if row.get("right") is None:
            done = yield from _acted(tools, question, draw)
        reverse = REVERSE.format(response=done["response"], count=alternatives)
        others = yield from listed(reverse, ("question",), draw, "reverse engineer")
        like = []
        for other in others[:alternatives]:
            did = yield from _acted(tools, other["question"], draw)
            both = [str(done["response"]), str(did["response"])]
            like.append(features(done["trajectory"], did["trajectory"], both, embed))
        made.append({"prompt": question, "completion": str(done["response"]),
                     "trajectory": done["trajectory"], "features": np.mean(like, 0).tolist(),
                     "right": row.get("right")})  # fmt: skip
    return made


def _acted(tools: str, question: str, sampling: Sampling) -> Reading:
    """The assistant's calls and its answer."""
    asked = ACT.format(tools=tools, question=question)
    done = yield from read(asked, ("trajectory", "response"), sampling, "assistant")
    calls: Trajectory = done["trajectory"]
    if not isinstance(calls, list) or not all(isinstance(c, dict) and "tool" in c for c in calls):
        raise Unusable("the assistant gave no list of tool calls")
    return done
