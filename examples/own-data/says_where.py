"""A benchmark and a reward of one's own: does an answer say where it can be checked?

Leaves out: whether the place it names is a good one, and whether the answer is right.
"""

import re
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, limited
from whyfirst.evaluate.responses import Measure, Responses
from whyfirst.evaluate.scorers import SCORERS, Scorer
from whyfirst.evaluate.verdict import Verdict, passed, unscored
from whyfirst.models.base import asked
from whyfirst.train.rewards import REWARDS, text

WHERE = re.compile(r"\b(?:ask|check|consult|see|contact) (?:a|an|the|your|with|whoever)\b", re.I)
SAYS_WHERE = Metric(
    "says_where",
    "Says where to check",
    "Share of questions whose greedy answer names somebody to ask or something to check.",
    happened=("says where", "doesn't"),
)


@SCORERS.enter("names_a_place", version="1")
class NamesAPlace(Scorer):
    """A pass where the answer says whom to ask or what to check."""

    name, version, question = "names_a_place", "1", "says where to check"

    def read(self, items: Any, responses: Any) -> list[Verdict]:
        """See `Scorer.read`."""
        return [
            passed(bool(WHERE.search(said))) if said.strip() else unscored("empty response")
            for said in responses
        ]


@benchmark(
    "says_where",
    version="1",
    definition=SAYS_WHERE.definition,
    needs="a JSONL file with `prompt` and `topic`",
    metrics=[SAYS_WHERE],
    questions=("says where to check",),
    example={"questions.jsonl": '{"prompt": "How high is Mount Kenya?", "topic": "facts"}\n'},
)
def says_where(*, data: Path, limit: int | None = None, max_new_tokens: int = 32) -> Responses:
    """Every question once, as a user's turn."""
    items = [
        Item(f"{n}", asked(row["prompt"]), row["prompt"],
             {"prompt": row["prompt"], "topic": row["topic"]})
        for n, row in enumerate(read_jsonl(data), 1)
    ]  # fmt: skip
    measures = [Measure(SAYS_WHERE, ("says where to check",), "names_a_place")]
    return Responses(limited(items, limit, lambda item: item.id), measures, max_new_tokens)


@REWARDS.enter("says_where", tested="1 with a place, less the share of 30 words that it takes")
def reward(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    words: int = 30,
    **columns: Any,
) -> list[float | None]:
    """1 where the answer says where to check, less its length in units of `words`."""
    said = [text(completion) for completion in completions]
    return [
        float(bool(WHERE.search(one))) - len(one.split()) / words if one.strip() else None
        for one in said
    ]
