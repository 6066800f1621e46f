"""Does a model ask for preferences that it isn't told, and use them: ``hidden_preferences``.

PREFDISCO (Li et al. 2025, "Personalized Reasoning: Just-in-Time Personalization and Why LLMs Fail
At It", arXiv 2510.00177). A task has preferences, each with a weight; they are not told, may be
asked for, or are told. A simulated user answers what is asked about and nothing else. The alignment
of an answer is the weighted mean of its fit to each. Leaves out: writing personas, users played by
a model, several turns of questions, and whether the task itself is solved.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import number
from whyfirst.evaluate.audits.conditions import Answer, paired_gaps, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, complete, scorers_by_question
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict
from whyfirst.models.base import Chat, LanguageModel, Message, asked
from whyfirst.models.said import answer

NONE, ASKED, TOLD = "not told", "may ask", "told"
FIT = Metric(
    "hidden_preferences", "Fits the preferences",
    "Mean over tasks of the weighted mean fit of the answer to each preference, by the scorer "
    "given, from 0 to 1.", "score",
)  # fmt: skip
_MAY_ASK = "Before you answer, ask me about whatever preferences of mine would change your answer."
_NO_MATTER = "I have no preference there."


@benchmark(
    "hidden_preferences",
    version="1",
    definition="Answers where preferences are not told, may be asked for, and are told.",
    needs="tasks.jsonl of task and preferences, a list of dimension, value and weight",
    metrics=(FIT,),
    source="Li et al. 2025 (arXiv 2510.00177)",
    questions=("fits",),
    by=("group",),
    gaps=paired_gaps((ASKED, NONE), (TOLD, NONE)),
    example={"tasks.jsonl": '{"task": "Explain boats.", "preferences": [{"dimension": "length", '
             '"value": "one sentence", "weight": 2}]}\n'},
)  # fmt: skip
def hidden_preferences(
    *, data: Path, limit: int | None = None, max_new_tokens: int = ANSWER_TOKENS
) -> "Tasks":
    """Every task under three conditions."""
    rows = rows_of(data, "tasks.jsonl", "hidden_preferences", ["task"], objects=["preferences"])
    for row in rows:
        for one in row["preferences"]:
            good = isinstance(one, dict) and one.get("dimension") and one.get("value")
            if not good:
                raise DataError(f"{data}: {row['id']}: a preference lacks dimension or value")
            number(f"{data}: {row['id']}", one, "weight", 1, low=1e-9)
    return Tasks(limited(rows, limit, lambda row: str(row["id"])), max_new_tokens)


def user_says(question: str, preferences: Sequence[Mapping[str, Any]]) -> str:
    """The simulated user's answer: the preferences whose dimension the question names."""
    named = [
        f"{one['dimension']}: {one['value']}"
        for one in preferences
        if re.search(rf"\b{re.escape(str(one['dimension']))}", question, re.IGNORECASE)
    ]
    return "; ".join(named) or _NO_MATTER


def normalised(none: float, asked_for: float, told: float) -> float:
    """(may ask - not told) / (told - not told): 1 asks for all that matters, 0 for nothing.

    NaN where telling the preferences changes nothing.
    """
    return (asked_for - none) / (told - none) if told != none else float("nan")


@dataclass(frozen=True)
class Tasks:
    """Tasks with their preferences; a `benchmark.Task`."""

    rows: Sequence[dict[str, Any]]
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [row["task"] for row in self.rows]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`."""
        measure = Measure(FIT, ("fits",), required=True)
        scorer = measure.chosen(scorers_by_question(scorers, measure.questions))
        assert scorer is not None  # it is required
        asking: list[Chat] = [asked(f"{row['task']}\n\n{_MAY_ASK}") for row in self.rows]
        questions = complete(model, asking, self.max_new_tokens, progress)
        chats: dict[str, Chat] = {}
        failed: dict[str, Answer] = {}
        for row, ask in zip(self.rows, asking, strict=True):
            question = answer(questions[ask])
            if question.problem is not None:
                reply = questions[ask]
                failed[f"{row['id']}/{ASKED}"] = Answer((), question.problem, reply.transient)
            known = "; ".join(f"{p['dimension']}: {p['value']}" for p in row["preferences"])
            chats[f"{row['id']}/{NONE}"] = asked(row["task"])
            chats[f"{row['id']}/{TOLD}"] = asked(f"{row['task']}\n\nMy preferences: {known}")
            chats[f"{row['id']}/{ASKED}"] = (
                *ask, Message("assistant", question.text or "?"),
                Message("user", f"{user_says(question.text, row['preferences'])}\nNow answer."),
            )  # fmt: skip
        said = complete(model, list(chats.values()), self.max_new_tokens, progress)
        out = []
        for row in self.rows:
            for group in (NONE, ASKED, TOLD):
                name = f"{row['id']}/{group}"
                verdicts = scorer.score(
                    _items(row, name), [said[chats[name]]] * len(row["preferences"])
                )
                used = [Answer((), one.reason, one.transient) for one in verdicts]
                used += [failed[name]] if name in failed else []
                out.append(
                    scored(name, FIT.name, used[::-1], lambda v=verdicts, r=row: weighted(r, v),  # type: ignore[misc]
                           topic=row["topic"], group=group)
                )  # fmt: skip
        return out


def _items(row: Mapping[str, Any], name: str) -> list[Item]:
    """One item a preference, which is what the scorer compares with."""
    return [
        Item(name, row["task"], row["task"], correct=(f"{p['dimension']}: {p['value']}",))
        for p in row["preferences"]
    ]


def weighted(row: Mapping[str, Any], verdicts: Sequence[Verdict]) -> float:
    """The mean of the fits by the preferences' weights."""
    weights = [float(one.get("weight", 1)) for one in row["preferences"]]
    fits = [one.score or 0.0 for one in verdicts]
    return sum(w * fit for w, fit in zip(weights, fits, strict=True)) / sum(weights)
