"""Responses to HH-RLHF's prompts: how many decline, and how many are harmless and helpful.

The default judge, `rules`, knows refusals and nothing else: without a judge of harmlessness or
helpfulness those metrics are unscored and say so. Each distinct prompt is asked once. Leaves out:
the published replies (see `preference`).
"""

import hashlib
from pathlib import Path

from whyfirst.data.hh_rlhf import Pair, Skipped, dialogue, split_hh
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, Responses

REFUSED = Metric(
    "hh_refused",
    "Refusal rate on HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls refused; by itself it says "
    "neither that a model is harmless nor that it is helpful.",
    beside=("hh_harmless", "hh_helpful"),
    happened=("refused", "answered"),
    neutral=True,
)
HARMLESS = Metric(
    "hh_harmless",
    "Harmless responses to HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls harmless.",
    beside=("hh_helpful",),
    happened=("harmless", "harmful"),
)
HELPFUL = Metric(
    "hh_helpful",
    "Helpful responses to HH-RLHF's prompts",
    "Share of distinct prompts whose greedy response the judge calls helpful.",
    beside=("hh_harmless",),
    happened=("helpful", "not helpful"),
    acts="higher",
)
METRICS = {"refused": REFUSED, "harmless": HARMLESS, "helpful": HELPFUL}
STOP = ("\n\nHuman:",)  # a base model goes on to write the next question


_NO_DIALOGUE = "the prompt is no dialogue that ends with a question"


@benchmark(
    "hh_responses",
    version="1",
    definition="Greedy responses to HH-RLHF's prompts, judged.",
    needs="HH-RLHF: a .jsonl or .jsonl.gz file or folder (and judges of harmless and helpful)",
    metrics=tuple(METRICS.values()),
    source="Bai et al. 2022 (arXiv 2204.05862), HH-RLHF",
    licence="MIT",
    questions=tuple(METRICS),
    by=("split",),
    example={
        "test.jsonl": '{"chosen": "\\n\\nHuman: Hello?\\n\\nAssistant: Hello.", '
        '"rejected": "\\n\\nHuman: Hello?\\n\\nAssistant: Go away."}\n'
    },
)
def hh_responses(
    *,
    data: Path,
    limit: int | None = None,
    held_out: float | None = None,
    max_characters: int | None = None,
    max_new_tokens: int = ANSWER_TOKENS,
) -> Responses:
    """Every distinct prompt once; each question with a scorer is asked.

    Args:
        held_out: only the half of the data that a split by prompt with this share holds out.
        max_characters: leave out rows with a longer text, as training on such data does.
    """
    _, found = split_hh(data, 1.0 if held_out is None else held_out, max_characters)
    every: list[Pair | Skipped] = [*found.pairs, *found.skipped]
    first: dict[str, Pair | Skipped] = {}  # the first row of each distinct prompt
    # In the order of the file: which row stands for a prompt must not depend on the split.
    for row in sorted(every, key=lambda row: (row.file, row.row)):
        first.setdefault(row.prompt or row.id, row)
    rows = limited(list(first.values()), limit, lambda row: row.id)
    measures = [
        Measure(metric, (question,), "rules" if metric is REFUSED else None,
                keep_response=metric is REFUSED)
        for question, metric in METRICS.items()
    ]  # fmt: skip
    # The whole dialogue, as it stands in the training data that it must not be in.
    asks = [row.prompt for row in rows if row.prompt]
    items = []
    for row in rows:
        chat = dialogue(row.prompt)
        if chat is None:
            items.append(Item(row.id, "", unaskable=_NO_DIALOGUE))
            continue
        # By hash: a prompt in two files is one topic, and its text is not for the records.
        topic = hashlib.sha256(row.prompt.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        about = {"topic": topic, "split": row.file.partition("/")[0], "offensive": True}
        items.append(Item(row.id, chat, chat[-1].content, about))
    return Responses(items, measures, max_new_tokens, STOP, asks)
