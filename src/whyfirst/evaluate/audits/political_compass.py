"""Stances on propositions under many wordings, and how steady they are: ``political_compass``.

Röttger et al. 2024, "Political Compass or Spinning Arrow?", arXiv 2402.16786; Wright et al. 2024,
arXiv 2406.19238. Each proposition in several templates, with options and without; the stance is
read from the answer (scorer `stance`). Texts of answers and propositions are never copied into
records. Leaves out: the test's own coordinates, personas, and phrases that force an answer.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from whyfirst.data.published import csv_rows, field, one_file
from whyfirst.evaluate.audits.conditions import Answer, paired_gaps, scored
from whyfirst.evaluate.audits.tropes import tropes
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.item import Item, ItemResult, limited
from whyfirst.evaluate.responses import ANSWER_TOKENS, Measure, Responses
from whyfirst.models.base import Completion, asked
from whyfirst.models.said import answer

CLOSED, OPEN = "with options", "without options"
AGREES = Metric(
    "pct_agrees", "Agrees", "Share of the stated stances that agree with the proposition.",
    beside=("pct_steady",), happened=("agrees", "disagrees"), neutral=True,
)  # fmt: skip
STEADY = Metric(
    "pct_steady", "Steady stance",
    "Mean over propositions of the share of a condition's templates that give its more frequent "
    "stance, of the stances stated.", "score",
)  # fmt: skip
TROPES = Metric(
    "pct_tropes", "Recurring justifications",
    "Mean share of an answer's sentences that recur in at least ten answers.", "score",
    neutral=True,
)  # fmt: skip


@benchmark(
    "political_compass",
    version="1",
    definition="Stances on propositions under templates with options and without.",
    needs="pct_propositions.csv, prompt_templates.csv and answer_options.csv, in one folder",
    metrics=(AGREES, STEADY, TROPES),
    source="Röttger et al. 2024 (arXiv 2402.16786); Wright et al. 2024 (arXiv 2406.19238)",
    licence="CC-BY-4.0",
    questions=("agrees",),
    by=("group", "framing"),
    gaps=paired_gaps((CLOSED, OPEN)),
    example={
        "pct_propositions.csv": "pct_id,pct_prompt\np1,Boats are good.\n",
        "prompt_templates.csv": "templ_id,templ_prompt,templ_note\n"
        't1,"Is it so?\n{pct_prompt}\n{ans_prompt}\n{jail_prompt}",explicit\n'
        't2,"A host asks:\n{pct_prompt}\n{jail_prompt}",implicit\n',
        "answer_options.csv": 'ans_id,ans_prompt\na1,"1) Disagree\n2) Agree"\n',
    },
)
def political_compass(
    *,
    data: Path,
    limit: int | None = None,
    templates: int = 5,
    max_new_tokens: int = ANSWER_TOKENS,
) -> Responses:
    """Every proposition in the first templates of both kinds.

    Args:
        limit: propositions.
        templates: how many with options, and as many without.
    """
    read = {}
    for name, column in (("pct_propositions", "pct"), ("prompt_templates", "templ"),
                         ("answer_options", "ans")):  # fmt: skip
        file = one_file(data, [f"{name}.csv"], "political_compass")
        columns = [f"{column}_id", f"{column}_prompt"]
        read[name] = [
            [field(file, n, row, key) for key in columns] + [row.get("templ_note", "")]
            for n, row in csv_rows(file, columns, "political_compass")
        ]
    options = read["answer_options"][0][1]
    items = []
    for name, text, _ in limited(read["pct_propositions"], limit, lambda row: row[0]):
        for kind, group in (("explicit", CLOSED), ("implicit", OPEN)):
            chosen = [row for row in read["prompt_templates"] if row[2] == kind][:templates]
            for at, (template, form, _) in enumerate(chosen):
                ask = form.replace("{pct_prompt}", text).replace("{ans_prompt}", options)
                ask = ask.replace("{jail_prompt}", "").strip()
                about = {"topic": name, "group": group, "framing": template}
                items.append(Item(f"{name}:{at}/{group}", asked(ask), text, about))
    measure = Measure(AGREES, ("agrees",), "stance", keep_response=False)
    asks = list(dict.fromkeys(item.request for item in items))
    return Responses(items, [measure], max_new_tokens, (), asks, partial(_justified, items))


def _justified(
    items: Sequence[Item], found: list[ItemResult], replies: Sequence[Completion]
) -> list[ItemResult]:
    """How steady the stances are, and what recurs in the answers."""
    read = [answer(reply) for reply in replies]
    shares = tropes([one.text for one in read], [record.verdict for record in found])[1]
    out = _steady(found)
    for item, one, reply, share in zip(items, read, replies, shares, strict=True):
        none = None if share is not None else "no sentence of more than 20 characters"
        of = Answer((), one.problem or none, reply.transient)
        out.append(scored(item.id, TROPES.name, [of], lambda s=share: s or 0.0, **item.about))  # type: ignore[misc]
    return out


def _steady(found: Sequence[ItemResult]) -> list[ItemResult]:
    """One record a proposition and condition."""
    parts: dict[str, list[ItemResult]] = {}
    for one in found:
        parts.setdefault(f"{one.topic}/{one.group}", []).append(one)
    out = []
    for name, rows in parts.items():
        flags = [one.verdict == "pass" for one in rows if one.score is not None]
        failed = Answer((), rows[0].reason, bool(rows[0].transient))
        score = max(flags.count(True), flags.count(False)) / max(1, len(flags))
        out.append(
            scored(name, STEADY.name, [] if flags else [failed], lambda s=score: s,  # type: ignore[misc]
                   topic=rows[0].topic, group=rows[0].group)
        )  # fmt: skip
    return out
