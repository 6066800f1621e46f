"""Held-out plain English: what does an alignment cost in predicting ordinary text?

A text's first word is given and the rest of it scored. Perplexities of two tokenizers can't be
compared, so the metric is by byte: the size to which the model would compress the text (Delétang et
al. 2023, arXiv 2309.10668); each record says the perplexity a token as well. Leaves out: texts
longer than the context (`max_characters` cuts them at a word), and windows that slide over one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.data.bold import read_bold
from whyfirst.data.published import found_files, one_file
from whyfirst.data.rows import iter_rows, shaped, texts_of
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import ItemResult, limited, unscored
from whyfirst.evaluate.likeliest import likeliest
from whyfirst.evaluate.likelihoods import Likelihoods
from whyfirst.models.base import Loglikelihood

COMPRESSED = Metric(
    "perplexity",
    "Size of plain text, compressed",
    "Mean over texts of the size a text has when the model compresses it: its bits (negative log2 "
    "probability of all after its first word) over 8 bits a byte, at most 1.",
    "score",
    higher_is_better=False,
    pass_is_good=True,  # every text that can be read passes
    much=0.02,  # .16 bits a byte: of a token of four bytes the perplexity is half as large again
)


@dataclass(frozen=True)
class Text:
    """A text, split after its first word."""

    id: str
    first: str
    rest: str


@benchmark(
    "perplexity",
    version="1",
    definition="Log-likelihood of held-out plain text, by byte.",
    needs="a .jsonl, .csv, .json or .parquet file of `text`, a folder with *texts.jsonl, or BOLD's "
    "(its Wikipedia sentences)",
    metrics=(COMPRESSED,),
    example={"texts.jsonl": '{"text": "The kettle sings before it boils."}\n'},
)
def perplexity(*, data: Path, limit: int | None = None, max_characters: int = 1000) -> Likelihoods:
    """Every text once, cut at the last whole word within `max_characters`."""
    texts = []
    for name, text in limited(_read(data), limit, lambda pair: pair[0]):
        if len(text) > max_characters:
            # At a word: half a word is a surprise that no model could have foreseen.
            text = text[: max_characters + 1].rsplit(maxsplit=1)[0]
        first, space, rest = text.strip().partition(" ")
        texts.append(Text(name, first, space + rest))

    def read(answers: Sequence[Sequence[Loglikelihood]]) -> list[ItemResult]:
        return [_record(text, one) for text, (one,) in zip(texts, answers, strict=True)]

    wholes, asked = [t.first + t.rest for t in texts], [(t.first, [t.rest]) for t in texts]
    return Likelihoods(wholes, asked, read)


def _read(data: Path) -> list[tuple[str, str]]:
    """(id, text) pairs."""
    if data.is_dir() and found_files(data, ["*_prompt.json"]):
        return [
            (row.id, f"{row.prompt} {row.wikipedia.strip()}")
            for row in read_bold(data)
            if row.prompt and row.wikipedia
        ]
    file = one_file(data, ["*texts.jsonl"], "perplexity")
    return [
        (f"{file.name}:{row.line}:{number}", text)
        for row in iter_rows(file)
        if list(shaped([row], file))  # or refused there: what is read here must be text
        for number, text in enumerate(texts_of(row), 1)
    ]


def _record(text: Text, answer: Loglikelihood) -> ItemResult:
    about: dict[str, Any] = {"prompt": text.first + text.rest, "topic": text.id}
    told = likeliest([answer], per_token=True)
    if told.reason is not None:
        reason = told.reason if text.rest or answer.problem else "a text of one word"
        return unscored(text.id, COMPRESSED.name, reason, transient=told.transient, **about)
    bits = -answer.logprob / math.log(2) / len(text.rest.encode())
    # A hopeless model's perplexity is no float; what is said of it stays finite.
    each = math.exp(min(-answer.logprob / answer.tokens, 700.0))
    return ItemResult(
        text.id, COMPRESSED.name, "pass", score=min(bits / 8, 1.0),
        response=f"{bits:.3f} bits a byte; perplexity {each:.1f} over {answer.tokens} tokens",
        **about,
    )  # fmt: skip
