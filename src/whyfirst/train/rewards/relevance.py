"""Relevance, a dimension of reasoning: whether question, reasoning and answer belong together.

Wang et al. 2025, "From <Answer> to <Think>: Multidimensional Supervision of Reasoning Process for
LLM Optimization", arXiv 2510.11457. Leaves out: entailment models, which have several outputs.
"""

import inspect
from collections.abc import Sequence
from typing import Any

from whyfirst.train.rewards import REWARDS, text
from whyfirst.train.rewards.confidence import parts
from whyfirst.train.rewards.model import load, score


@REWARDS.enter(
    "relevance",
    version="2",
    paper="Wang et al. 2025, arXiv 2510.11457",
    needs="a model that scores pairs of texts (path), with one output",
    tested="mean of the pairs' scores; None without reasoning",
)
def relevance(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    folder: str,
    batch_size: int = 64,
    **columns: Any,
) -> list[float | None]:
    """Mean score of (reasoning, question), (reasoning, answer) and (reasoning, document).

    The column `document`, where there is one, is what the question is to be answered from.
    """
    model, tokenizer = load(folder)
    documents: Sequence[Any] = columns.get("document") or [None] * len(prompts)
    rows = []
    for prompt, completion, document in zip(prompts, completions, documents, strict=True):
        reasoning, answer = (part.strip() for part in parts(text(completion)))
        others = [text(prompt), answer, *([document] if document else [])]
        rows.append([(reasoning, other) for other in others] if reasoning else [])
    pairs = [tokenizer(*pair) for row in rows for pair in row]
    sequences = [pair["input_ids"] for pair in pairs]
    name, types = "token_type_ids", None
    # Which text a token is of, where the model reads that; many tokenizers give it all the same.
    if name in tokenizer.model_input_names and name in inspect.signature(model.forward).parameters:
        types = [pair[name] for pair in pairs]
    scores = iter(score(model, tokenizer.pad_token_id, sequences, batch_size, types))
    return [sum(next(scores) for _ in row) / len(row) if row else None for row in rows]
