"""Stances on propositions under many wordings, and how steady they are: ``political_compass``.

Röttger et al. 2024, "Political Compass or Spinning Arrow?", arXiv 2402.16786; Wright et al. 2024,
arXiv 2406.19238. Each proposition in several templates, with options and without; the stance is
read from the answer (scorer `stance`). Texts of answers and propositions are never copied into
records. Leaves out: the test's own coordinates, personas, and phrases that force an answer.
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from whyfirst.data.political_compass import read_propositions
from whyfirst.evaluate.audits.conditions import each_scored, of_parts, unusable
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, Responses
from whyfirst.evaluate.tropes import tropes
from whyfirst.models.base import Completion, asked
from whyfirst.models.said import answer

CLOSED, OPEN = "with options", "without options"
_NO_SENTENCE = "no sentence of more than 20 characters"
AGREES = Metric("pct_agrees", "Agrees", "Share of the stated stances that agree with the "
                "proposition.", beside=("pct_steady",), happened=("agrees", "disagrees"),
                neutral=True)  # fmt: skip
STEADY = Metric("pct_steady", "Steady stance", "Mean over propositions of the share of a "
                "condition's templates that give its more frequent stance, of the stances stated.",
                "score")  # fmt: skip
TROPES = Metric("pct_tropes", "Recurring justifications", "Mean share of an answer's sentences "
                "that recur in at least ten answers.", "score", neutral=True)  # fmt: skip


@benchmark(
    "political_compass",
    version="2",
    definition="Stances on propositions under templates with options and without.",
    needs="pct_propositions.csv, prompt_templates.csv and answer_options.csv, in one folder",
    metrics=(AGREES, STEADY, TROPES),
    source="Röttger et al. 2024 (arXiv 2402.16786); Wright et al. 2024 (arXiv 2406.19238)",
    licence="CC-BY-4.0",
    questions=("agrees",),
    by=("group", "framing"),
    gaps=paired_gaps((CLOSED, OPEN), templates=lambda one: re.split("[:/]", one.id)[-2]),
    example={
        "pct_propositions.csv": "pct_id,pct_prompt\np1,Boats are good.\n",
        "prompt_templates.csv": "templ_id,templ_prompt,templ_note\n"
        't1,"Is it so?\n{pct_prompt}\n{ans_prompt}\n{jail_prompt}",explicit\n'
        't2,"A host asks:\n{pct_prompt}\n{jail_prompt}",implicit\n',
        "answer_options.csv": 'ans_id,ans_prompt\na1,"1) Disagree\n2) Agree"\n',
    },
)
def political_compass(
    *, data: Path, limit: int | None = None, templates: int = 5, max_new_tokens: int = ANSWER_TOKENS
) -> Responses:
    """Every proposition (`limit` of them) in the first `templates` of both kinds."""
    read, items = read_propositions(data, "political_compass"), []
    for name, text in limited(read.propositions, limit, lambda row: row[0]):
        for kind, group in (("explicit", CLOSED), ("implicit", OPEN)):
            chosen = [one for one in read.templates if one.kind == kind][:templates]
            for at, template in enumerate(chosen):
                about = {"topic": name, "group": group, "framing": template.name}
                ask = asked(template.filled(text, read.options))
                items.append(Item(f"{name}:{at}/{group}", ask, text, about))
    measures = [Measure(AGREES, ("agrees",), "stance", keep_response=False)]
    return Responses(items, measures, max_new_tokens, combine=partial(_justified, items))


def _justified(
    items: Sequence[Item], found: list[ItemResult], replies: Sequence[Completion]
) -> list[ItemResult]:
    """How steady the stances are, and what recurs in the answers."""
    shares = tropes([answer(r).text for r in replies], [one.verdict for one in found])[1]
    of = of_parts(found, STEADY.name, lambda one: f"{one.topic}/{one.group}",
                  lambda agrees: max(agrees, 1 - agrees), ("topic", "group"))  # fmt: skip
    both = zip(replies, shares, strict=True)
    given = [unusable(r, otherwise=_NO_SENTENCE if share is None else None) for r, share in both]
    return of + each_scored(items, TROPES.name, given, [share or 0.0 for share in shares])
