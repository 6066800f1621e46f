"""MindGYM: questions of several hops, made of single ones by the model itself.

Xu et al. 2025, "MindGYM: What Matters in Question Synthesis for Thinking-Centric Fine-Tuning?",
arXiv 2503.09499, in text. Single-hop questions of an area are joined by an operator; kept is what
the solver answers with all facts at hand and with no fact left out. The transform `curriculum`
takes the scaffold away by stages. Leaves out: images, and aligning them with text.
"""

import re
from typing import Literal

from whyfirst.explain.generators import (
    GENERATORS,
    LeftOut,
    Row,
    Script,
    Unusable,
    listed,
    read,
    told,
)
from whyfirst.models.base import Sampling
from whyfirst.models.decoding.dialogue import nth

Operator = Literal["bridging", "comparison", "temporal"]
JOIN: dict[Operator, str] = {
    "bridging": "the answer of one question is what the next one asks about",
    "comparison": "the answers of all questions have to be compared",
    "temporal": "what happened in all of them has to be put in order",
}
SINGLE = "Area: {area}\nInvent {hops} facts, each with a question that it alone answers, briefly."
MANY = "{singles}\n\nJoin these into one question such that {join}, which needs every fact. Its "
MANY += "answer is a few words; steps is a list of the steps of thought, a sentence each."
SOLVE = "What is known:\n{facts}\n\nQuestion: {question}\nAnswer in a few words, or unknown."


@GENERATORS.enter(
    "mindgym",
    version="2",
    paper="Xu et al. 2025, arXiv 2503.09499",
    needs="area",
    tested="a joined question fails without any one of its facts; hops are as many",
    columns=("area",),
    gives=("prompt", "scaffold", "completion"),
    calls=lambda options: len(options["operators"]) * (3 + options["hops"]),
    judged=("solver",),
)
def mindgym(
    row: Row, sampling: Sampling, *, left_out: LeftOut, hops: int = 2,
    operators: tuple[Operator, ...] = tuple(JOIN),
) -> Script:  # fmt: skip
    """A question for each operator, with its steps and its answer."""
    made = []
    for number, operator in enumerate(operators):
        draw = nth(sampling, number)
        asked = SINGLE.format(area=row["area"], hops=hops)
        singles = yield from listed(asked, ("fact", "question", "answer"), draw)
        if len(singles) != hops:
            raise Unusable("the teacher gave another number of facts")
        shown = "\n".join(f"{s['fact']} {s['question']} {s['answer']}" for s in singles)
        asked = MANY.format(singles=shown, join=JOIN[operator])
        joined = yield from read(asked, ("question", "answer", "steps"), draw)
        facts = [single["fact"] for single in singles]
        solved = []
        for without in (None, *range(hops)):
            known = "\n".join(fact for place, fact in enumerate(facts) if place != without)
            asked = SOLVE.format(facts=known, question=joined["question"])
            said = yield from told(asked, draw, "solver")
            solved.append(_words(str(joined["answer"])) in _words(said))
        if not solved[0] or any(solved[1:]):
            left_out(row, "a fact is not needed" if solved[0] else "not answered with all facts")
            continue
        steps = joined["steps"] if isinstance(joined["steps"], list) else [joined["steps"]]
        prompt = "\n".join((*facts, "", str(joined["question"])))
        made.append({"prompt": prompt, "scaffold": [str(step) for step in steps], "hops": hops,
                     "completion": str(joined["answer"]), "operator": operator})  # fmt: skip
    return made


def _words(text: str) -> str:
    """Its words with a space round each, so that one is not found inside another."""
    return f" {' '.join(re.findall(r'[a-z0-9]+', text.lower()))} "
