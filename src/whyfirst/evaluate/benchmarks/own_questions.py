"""Questions of one's own, in one JSONL, answered and scored by any of the scorers of answers.

A row holds `prompt`, and what the scorer at hand compares with: `correct` (reference answers or
formulas), `evidence` (passages); `topic` and `group` if it has them. Leaves out: several turns.
"""

from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.published import field, json_lines, one_file
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, Responses
from whyfirst.models.base import asked

_QUESTIONS = {
    "correct": ("matches a reference answer", "overlap"),
    "grounded": ("says only what its evidence says", "k_precision"),
    "equivalent": ("is a formula equivalent to the reference", None),
    "follows constraints": ("keeps its constraints", None),
    "admits not knowing": ("admits not knowing", "idk"),
}
METRICS = {
    question: Metric(
        f"own_{question.split()[0]}", f"Own questions: {question}",
        f"Mean score of whether the response {meaning}, by the scorer given.", "score",
        # Whether it should admit that depends on the question.
        neutral=question == "admits not knowing",
    )
    for question, (meaning, _) in _QUESTIONS.items()
}  # fmt: skip


@benchmark(
    "own_questions",
    version="2",
    definition="Greedy responses to one's own questions, scored against one's own references.",
    needs="a .jsonl of prompt and, as the scorers need, correct, evidence, topic, group",
    metrics=tuple(METRICS.values()),
    questions=tuple(METRICS),
    by=("group",),
    example={"own_questions.jsonl": '{"prompt": "What is red?", "correct": ["blood"], '
             '"evidence": ["Blood is red."], "group": "colours"}\n'},
)  # fmt: skip
def own_questions(
    *, data: Path, limit: int | None = None, max_new_tokens: int = ANSWER_TOKENS
) -> Responses:
    """Every question once."""
    file = one_file(data, ["*own_questions.jsonl"], "own_questions")
    items = []
    for number, row in json_lines(file):
        prompt = field(file, number, row, "prompt")
        # Both may be missing: which is needed is the scorer's to say.
        texts = {name: row.get(name, []) for name in ("correct", "evidence")}
        for name, given in texts.items():
            if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
                raise DataError(f"{file}: row {number}: {name!r} is no list of texts")
        about = {"prompt": prompt, "topic": str(row.get("topic") or prompt),
                 "group": row.get("group")}  # fmt: skip
        items.append(Item(
            str(row.get("id") or f"question:{number}"), asked(prompt), prompt, about,
            correct=tuple(texts["correct"]), evidence=tuple(texts["evidence"]),
        ))  # fmt: skip
    return Responses(
        limited(items, limit, lambda item: item.id),
        [Measure(metric, (question,), _QUESTIONS[question][1], keep_response=question == "correct")
         for question, metric in METRICS.items()],
        max_new_tokens,
    )  # fmt: skip
