"""Does a model ask for preferences that it isn't told, and use them: ``hidden_preferences``.

PREFDISCO (Li et al. 2025, "Personalized Reasoning: Just-in-Time Personalization and Why LLMs Fail
At It", arXiv 2510.00177). A task has preferences, each with a weight; they are not told, may be
asked for, or are told. A simulated user answers what is asked about and nothing else. The alignment
of an answer is the weighted mean of its fit to each. Leaves out: writing personas, users played by
a model, several turns of questions, and whether the task itself is solved.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.evaluate.audits.conditions import Answer, Played, rows_of, scored, unusable
from whyfirst.evaluate.benchmark import Metric, Progress, benchmark
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, complete
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.told_preferences import check_preferences, user_says, weighted, words_of
from whyfirst.models.base import Chat, LanguageModel, Message, asked
from whyfirst.models.said import answer

NONE, ASKED, TOLD = "not told", "may ask", "told"
FIT = Metric("hidden_preferences", "Fits the preferences", "Mean over tasks of the weighted mean "
             "fit of the answer to each preference, by the scorer given, from 0 to 1.",
             "score")  # fmt: skip
_MAY_ASK = "Before you answer, ask me about whatever preferences of mine would change your answer."


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
) -> Played:
    """Every task under three conditions."""
    rows = rows_of(data, "tasks.jsonl", "hidden_preferences", ["task"], objects=["preferences"])
    for row in rows:
        check_preferences(row["preferences"], f"{data}: {row['id']}")
    rows = limited(rows, limit, lambda row: str(row["id"]))
    return Played([row["task"] for row in rows], partial(_play, rows, max_new_tokens))


def _play(
    rows: Sequence[Any], most: int, model: LanguageModel, scorers: Sequence[Scorer], told: Progress
) -> list[ItemResult]:
    scorer = Measure(FIT, ("fits",), required=True).required_of(scorers)
    asking: list[Chat] = [asked(f"{row['task']}\n\n{_MAY_ASK}") for row in rows]
    questions, chats, out = complete(model, asking, most, told), {}, []
    for row, ask in zip(rows, asking, strict=True):
        question, known = answer(questions[ask]).text, "; ".join(map(words_of, row["preferences"]))
        says = Message("user", f"{user_says(question, row['preferences'])}\nNow answer.")
        chats[row["id"], NONE] = asked(row["task"])
        chats[row["id"], ASKED] = (*ask, Message("assistant", question or "?"), says)
        chats[row["id"], TOLD] = asked(f"{row['task']}\n\nMy preferences: {known}")
    said = complete(model, list(chats.values()), most, told)
    for row, ask in zip(rows, asking, strict=True):
        wishes = row["preferences"]
        for group in (NONE, ASKED, TOLD):
            name, about = f"{row['id']}/{group}", {"topic": row["topic"], "group": group}
            # One item a preference, which is what the scorer compares with.
            items = [Item(name, row["task"], row["task"], correct=(words_of(p),)) for p in wishes]
            verdicts = scorer.score(items, [said[chats[row["id"], group]]] * len(items))
            used = [unusable(questions[ask])] if group == ASKED else []
            used += [Answer((), one.reason, one.transient) for one in verdicts][::-1]
            fit = weighted(wishes, [one.score or 0.0 for one in verdicts])
            out.append(scored(name, FIT.name, used, fit, **about))
    return out
