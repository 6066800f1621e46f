"""Do reasoning and answers agree over samples, and less where the answer is wrong: ``race``.

RACE, "Joint Evaluation of Answer and Reasoning Consistency for Hallucination Detection in Large
Reasoning Models", arXiv 2506.04832. Four parts, each higher for a hallucination: other samples'
reasoning contradicts the steps; answers are unlikely after the main reasoning; answers fall into
clusters (SINdex, every answer counted, where the released code counts each text once); entities of
the reasoning are missing from its steps. The paper adds them as they are; here each is brought to
[0, 1] and their mean is the score. Leaves out: attention as weights of steps, and models of its own
for entailment, entities and steps, in whose place the model itself and capitals stand.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from whyfirst.evaluate.audits.conditions import Answer, Drawn, rows_of, scored
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.consistency import parts_of
from whyfirst.evaluate.gaps import ranges
from whyfirst.evaluate.item import ItemResult, limited
from whyfirst.evaluate.text_measures import has_words
from whyfirst.models.base import Completion, LanguageModel, Sampling, asked
from whyfirst.models.said import answer

RACE = Metric("race", "Reasoning and answers disagree", "Mean of contradictions between samples, "
              "unlikely answers, clusters of answers and entities lost, each in [0, 1].", "score",
              higher_is_better=False)  # fmt: skip
ASK = "{question}\nThink first between <think> and </think>; then answer in a few words."


@benchmark(
    "race",
    version="2",
    definition="Several samples with their reasoning, held against each other.",
    needs="race.jsonl of question and answers",
    metrics=(RACE,),
    source="Wang et al. 2025 (arXiv 2506.04832)",
    by=("group",),
    gaps=ranges,
    example={"race.jsonl": '{"question": "Who wrote it?", "answers": ["Ada"]}\n'},
)
def race(
    *,
    data: Path,
    limit: int | None = None,
    samples: Annotated[int, Field(ge=2)] = 4,
    max_new_tokens: int = 256,
) -> Drawn:
    """Every question, `samples` times at temperature 1; its group says if the first is right."""
    rows = rows_of(data, "race.jsonl", "race", ["question"], ["answers"])
    rows = limited(rows, limit, lambda row: row["id"])
    short = Sampling(max_new_tokens)

    def read(
        model: LanguageModel, row: dict[str, Any], drawn: Sequence[Completion]
    ) -> Iterable[ItemResult]:
        parts = parts_of(model, row["question"], drawn, short)
        if isinstance(parts, Answer):
            yield scored(row["id"], RACE.name, [parts], 0.0, topic=row["topic"])
            return
        first, score = answer(drawn[0]).text, sum(parts) / 4
        group = "right" if any(has_words(first, one) for one in row["answers"]) else "wrong"
        yield scored(row["id"], RACE.name, [], score, topic=row["topic"], group=group)

    ask = "question"
    return Drawn(
        rows, ask, lambda row: asked(ASK.format(question=row[ask])), read, samples, max_new_tokens
    )
