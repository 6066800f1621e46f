"""Moral graph elicitation: values cards from people, proposed upgrades, votes on which is wiser.

Klingefjord et al. 2024, "What are human values, and how do we align AI to them?", arXiv 2404.10636.
In a context each participant says what to attend to (a card); cards that mean the same are merged;
for each card a wiser one is proposed with a story of why; every participant votes. Rows are edges
with their votes: the audit `moral_graph` reads them, and `explain.moral_graph.constitution_of`
makes a constitution of them. Leaves out: people; a role `participant` stands for each of `people`.
"""

import re
from collections import Counter

from whyfirst.explain.generators import GENERATORS, LeftOut, Row, Script, mark, read, told
from whyfirst.models.base import Sampling
from whyfirst.models.decoding.dialogue import nth

CARD = (
    "Situation: {context}\nWhat should a wise helper attend to here? Give the value a title (two "
)
CARD += "to five words) and list its policies: what exactly to attend to, a phrase each."
SAME = "Values:\n{cards}\n\nNew: {new}\nWhich one means the same? Its number, or 0."
WISER = "Situation: {context}\nValues:\n{cards}\n\nWhich is wiser here than {one}, so that who had "
WISER += "{one} would see it as what they really meant? Its number (0: none) and why, a sentence."
VOTE = "Situation: {context}\nIs B wiser than A here?\nA: {one}\nB: {other}\nBecause: {why}\n"
VOTE += "Answer yes, no or unsure."
_VOTE = re.compile(r"\b(?:yes|no|unsure|not sure)\b")


@GENERATORS.enter(
    "moral_graph",
    version="3",
    paper="Klingefjord et al. 2024, arXiv 2404.10636",
    needs="context",
    tested="unanimous votes on A < B < C give a constitution led by C; merged cards vote once",
    columns=("context",),
    gives=("context", "from", "to", "why"),
    calls=lambda options: len(options["people"]) * (3 + len(options["people"])),
    judged=("deduplicator",),
)
def moral_graph(
    row: Row, sampling: Sampling, *, left_out: LeftOut, people: tuple[str, ...]
) -> Script:
    """The edges of one context; each of `people` takes part, a sentence (You are ...)."""
    context, cards = str(row["context"]), dict[str, list[str]]()
    for number, person in enumerate(people):
        asked = CARD.format(context=context)
        draw = nth(sampling, number)
        card = yield from read(asked, ("title", "policies"), draw, "participant", person)
        title, policies = str(card["title"]), card["policies"]
        if cards and title not in cards:
            same = SAME.format(cards=list(enumerate(cards, 1)), new=title)
            title = _card(list(cards), (yield from told(same, sampling, "deduplicator"))) or title
        listed = policies if isinstance(policies, list) else [policies]
        cards.setdefault(title, [str(policy) for policy in listed])
    made = []
    for one in cards:
        others = [card for card in cards if card != one]
        asked = WISER.format(context=context, cards=list(enumerate(others, 1)), one=one)
        if not others:
            break
        upgrade = yield from read(asked, ("number", "why"), sampling, "proposer")
        if (to := _card(others, str(upgrade["number"]))) is None:
            left_out(row, "nothing is wiser than a card")
            continue
        votes = Counter[str]()
        for number, person in enumerate(people):
            asked = VOTE.format(context=context, one=one, other=to, why=upgrade["why"])
            said = yield from told(asked, nth(sampling, number), "participant", person)
            vote = _VOTE.search(said.lower())
            if vote is None:
                left_out(row, "a vote that is neither yes, no nor unsure")
            else:
                votes["unsure" if vote[0] == "not sure" else vote[0]] += 1
        made.append({
            "context": context, "from": one, "to": to, "wiser": votes["yes"], "less": votes["no"],
            "unsure": votes["unsure"], "why": str(upgrade["why"]),
            "policies": cards[to], "from_policies": cards[one],
        })  # fmt: skip
    return made


def _card(cards: list[str], said: str) -> str | None:
    """The card whose number was said; None for 0 and for what is no place."""
    return dict(enumerate(cards, 1)).get(int(mark(said) or 0))
