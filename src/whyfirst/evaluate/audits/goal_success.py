"""Are a user's goals reached over several turns, and why not: ``goal_success``.

Piskala et al. 2025, "Mind the Goal", arXiv 2510.03696: a dialogue is cut into the user's goals; a
goal succeeds whose turns all do. Each failed goal has one cause, that of its first failed turn:
refusal, nothing said, or not helped. Leaves out: finding the goals in free dialogues, causes inside
a system of retrieval and routing, and an ensemble of judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.evaluate.audits.conditions import rows_of
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.item import Item, ItemResult, judged, limited, unscored
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, complete, scorers_by_question
from whyfirst.evaluate.scorers import Scorer
from whyfirst.models.base import LanguageModel, Message
from whyfirst.models.refusals import read_refusal
from whyfirst.models.said import answer

REACHED, REFUSED, NOTHING, NOT_HELPED = "reached", "refusal", "nothing said", "not helped"
TURNS = Metric(
    "goal_turns",
    "Turns helped",
    "Share of turns whose response is judged helpful.",
)
GOALS = Metric(
    "goal_success", "Goals reached", "Share of goals all of whose turns are judged helpful.",
    beside=("goal_turns",), happened=("reached", "missed"),
)  # fmt: skip


@benchmark(
    "goal_success",
    version="1",
    definition="Dialogues of several goals, each of several turns, answered turn by turn.",
    needs="dialogues.jsonl of goals, a list of goal and turns (what the user says)",
    metrics=(GOALS, TURNS),
    source="Piskala et al. 2025 (arXiv 2510.03696)",
    questions=("helpful",),
    by=("group",),
    example={"dialogues.jsonl": '{"goals": [{"goal": "learn of boats", "turns": ["What floats?", '
             '"Why?"]}]}\n'},
)  # fmt: skip
def goal_success(
    *, data: Path, limit: int | None = None, max_new_tokens: int = ANSWER_TOKENS
) -> "Dialogues":
    """Every dialogue from its start; a failed goal's group is its cause."""
    rows = rows_of(data, "dialogues.jsonl", "goal_success", [], objects=["goals"])
    for row in rows:
        for goal in row["goals"]:
            turns = goal.get("turns") if isinstance(goal, dict) else None
            if not turns or not all(isinstance(t, str) and t.strip() for t in turns):
                raise DataError(f"{data}: {row['id']}: a goal has no turns")
    return Dialogues(limited(rows, limit, lambda row: str(row["id"])), max_new_tokens)


@dataclass(frozen=True)
class Dialogues:
    """Dialogues of several goals; a `benchmark.Task`."""

    rows: Sequence[dict[str, Any]]
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [turn for row in self.rows for goal in row["goals"] for turn in goal["turns"]]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`."""
        measure = Measure(TURNS, ("helpful",), required=True)
        scorer = measure.chosen(scorers_by_question(scorers, measure.questions))
        assert scorer is not None  # it is required
        said: list[tuple[Message, ...]] = [() for _ in self.rows]
        turns = [[(goal["goal"], turn) for goal in row["goals"] for turn in goal["turns"]]
                 for row in self.rows]  # fmt: skip
        found: dict[str, list[ItemResult]] = {}
        for at in range(max(map(len, turns), default=0)):
            now = [n for n in range(len(turns)) if at < len(turns[n])]
            for n in now:
                said[n] = (*said[n], Message("user", turns[n][at][1]))
            replies = complete(model, [said[n] for n in now], self.max_new_tokens, progress)
            for n in now:
                goal, turn = turns[n][at]
                name = f"{self.rows[n]['id']}:{at:03}"
                item = Item(name, said[n], turn, {"topic": self.rows[n]["topic"]})
                (record,) = measure.records(scorer, [item], [replies[said[n]]])
                found.setdefault(f"{self.rows[n]['id']}/{goal}", []).append(record)
                text = answer(replies[said[n]]).text
                said[n] = (*said[n], Message("assistant", text or "..."))
        return [r for rows in found.values() for r in rows] + [
            _goal(name, rows) for name, rows in found.items()
        ]


def _goal(name: str, turns: Sequence[ItemResult]) -> ItemResult:
    """One goal; unscored where a turn is, unless one that is scored failed already."""
    about: Mapping[str, Any] = {"topic": turns[0].topic}
    failed = next((turn for turn in turns if turn.verdict == "fail"), None)
    if failed is not None:
        return judged(name, GOALS.name, False, **about, group=_cause(failed))
    missing = next((turn for turn in turns if turn.score is None), None)
    if missing is not None:
        more = {"transient": missing.transient}
        return unscored(name, GOALS.name, str(missing.reason), **about, **more)
    return judged(name, GOALS.name, True, **about, group=REACHED)


def _cause(turn: ItemResult) -> str:
    if not (turn.response or "").strip():
        return NOTHING
    return REFUSED if read_refusal(str(turn.response), "", "en").refused else NOT_HELPED
