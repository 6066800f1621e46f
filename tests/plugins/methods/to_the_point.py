"""A benchmark: prompts from a file, each with the word that an answer to it speaks of.

Leaves out: answers that speak of it and are wrong.
"""

from pathlib import Path

from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, limited
from whyfirst.evaluate.responses import Measure, Responses

SPOKEN = Metric(
    "to_the_point",
    "To the point",
    "Share of prompts whose greedy response holds the word that the prompt is about.",
    happened=("to the point", "beside it"),
)


@benchmark(
    "to_the_point",
    version="1",
    definition=SPOKEN.definition,
    needs="a JSONL file with `prompt` and `word`",
    metrics=[SPOKEN],
    questions=("to the point",),
    example={"prompts.jsonl": '{"prompt": "What is a kite made of?", "word": "kite"}\n'},
)
def to_the_point(*, data: Path, limit: int | None = None, max_new_tokens: int = 32) -> Responses:
    """Every prompt once, as it is."""
    items = []
    for number, row in enumerate(read_jsonl(data), 1):
        about = {"prompt": row["prompt"], "topic": row["word"]}
        name = f"{number}: {row['word']}"
        items.append(Item(name, row["prompt"], row["prompt"], about, correct=(row["word"],)))
    measures = [Measure(SPOKEN, ("to the point",), "mentions")]
    return Responses(limited(items, limit, lambda item: item.id), measures, max_new_tokens)
