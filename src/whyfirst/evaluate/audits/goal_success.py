"""Are a user's goals reached over several turns, and why not: ``goal_success``.

Piskala et al. 2025, "Mind the Goal", arXiv 2510.03696: a dialogue is cut into the user's goals; a
goal succeeds whose turns all do. Each failed goal has one cause, that of its first failed turn:
refusal, nothing said, or not helped. Leaves out: finding the goals in free dialogues, causes inside
a system of retrieval and routing, and an ensemble of judges.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import Played, made_of, rows_of
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.gaps import mean_gaps
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, converse
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel
from whyfirst.models.refusals import read_refusal
from whyfirst.models.said import said

REACHED, REFUSED, NOTHING, NOT_HELPED = "reached", "refusal", "nothing said", "not helped"
TURNS = Metric("goal_turns", "Turns helped", "Share of turns whose response is judged helpful.")
GOALS = Metric("goal_success", "Goals reached", "Share of goals all of whose turns are judged "
               "helpful.", beside=("goal_turns",), happened=("reached", "missed"))  # fmt: skip


@benchmark(
    "goal_success",
    version="2",
    definition="Dialogues of several goals, each of several turns, answered turn by turn.",
    needs="dialogues.jsonl of goals, a list of goal and turns (what the user says)",
    metrics=(GOALS, TURNS),
    source="Piskala et al. 2025 (arXiv 2510.03696)",
    questions=("helpful",),
    by=("group",),
    gaps=mean_gaps(),
    example={"dialogues.jsonl": '{"goals": [{"goal": "learn of boats", "turns": ["What floats?", '
             '"Why?"]}]}\n'},
)  # fmt: skip
def goal_success(
    *, data: Path, limit: int | None = None, max_new_tokens: int = ANSWER_TOKENS
) -> Played:
    """Every dialogue from its start; a failed goal's group is its cause."""
    rows = rows_of(data, "dialogues.jsonl", "goal_success", [], objects=["goals"])
    for row in rows:
        names = [goal.get("goal") for goal in row["goals"]]
        if not all(isinstance(name, str) and name.strip() for name in names):
            raise DataError(f"{data}: {row['id']}: a goal has no `goal`, which names it")
        if len(set(names)) < len(names):
            raise DataError(f"{data}: {row['id']}: two goals of one name; make them one")
        for goal in row["goals"]:
            turns = goal.get("turns")
            if not turns or not all(isinstance(t, str) and t.strip() for t in turns):
                raise DataError(f"{data}: {row['id']}: a goal has no turns")
    rows = limited(rows, limit, lambda row: str(row["id"]))
    asked = [turn for row in rows for goal in row["goals"] for turn in goal["turns"]]
    return Played(asked, partial(_play, rows, max_new_tokens))


def _play(
    rows: Sequence[Any], most: int, model: LanguageModel, scorers: Sequence[Scorer], told: Progress
) -> list[ItemResult]:
    measure = Measure(TURNS, ("helpful",), required=True)
    scorer, found = measure.required_of(scorers), dict[str, list[ItemResult]]()
    goals = [[g["goal"] for g in row["goals"] for _ in g["turns"]] for row in rows]
    turns = [[turn for g in row["goals"] for turn in g["turns"]] for row in rows]
    for n, at, chat, reply in converse(model, turns, most, told):
        item = Item(f"{rows[n]['id']}:{at:03}", chat, turns[n][at], {"topic": rows[n]["topic"]})
        goal = found.setdefault(f"{rows[n]['id']}/{goals[n][at]}", [])
        goal += measure.records(scorer, [item], [reply])
    each = [record for records in found.values() for record in records]
    return each + [_goal(name, records) for name, records in found.items()]


def _goal(name: str, turns: Sequence[ItemResult]) -> ItemResult:
    """One goal; unscored where a turn is, unless one that is scored failed already."""
    failed, topic = [turn for turn in turns if turn.verdict == "fail"][:1], turns[0].topic
    group = REACHED if all(turn.score is not None for turn in turns) else None
    for text in (said(turn.response or "").text for turn in failed):
        refused = read_refusal(text, "", "en").refused
        group = NOTHING if not text.strip() else REFUSED if refused else NOT_HELPED
    return made_of(name, GOALS.name, failed or turns, lambda: not failed, topic=topic, group=group)
