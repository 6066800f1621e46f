"""MCTSr-Zero: a tree search over whole dialogues that have principles and no right answer.

"MCTSr-Zero: Self-Reflective Psychological Counseling Dialogues Generation via Principles and
Adaptive Exploration", arXiv 2505.23229. The root is the meta-prompt: where it is selected, it is
rewritten after the last critique and a dialogue is written anew; any other node is criticised and
refined (dialogue_tree).
Rows whose best and worst are worth the same are left out: the released code breaks ties by length.
Leaves out: the band of near-best dialogues (rho > 0).
"""

from whyfirst.explain.generators import GENERATORS, LeftOut, Row, Script, Unusable, mark, told
from whyfirst.explain.generators.dialogue_tree import Node, back_up
from whyfirst.models.base import Sampling
from whyfirst.models.decoding.dialogue import nth

WRITE = "{meta}\n\nCase:\n{case}\n\nWrite the whole dialogue."
JUDGE = "Principles:\n{rules}\n\nCase:\n{case}\n\nDialogue:\n{text}\n\nHow well does the dialogue "
JUDGE += "follow the principles, 0 to 10? Answer with the number."
CRITICISE = "Principles:\n{rules}\n\nDialogue:\n{text}\n\nWhat is weak in it, and how to mend it?"
REFINE = "Case:\n{case}\n\nDialogue:\n{text}\n\nCritique:\n{critique}\n\nWrite the dialogue better."
EVOLVE = "Instruction:\n{meta}\n\nWhat it led to was criticised:\n{critique}\n\nWrite a better one."


@GENERATORS.enter(
    "mctsr_zero",
    version="2",
    paper="Lu et al. 2025, arXiv 2505.23229",
    needs="case",
    tested="value and bound by hand; a new meta-prompt gets past where refining stops",
    columns=("case",),
    gives=("prompt", "chosen", "rejected"),
    calls=lambda options: (1 + options["iterations"]) * (3 + options["judgements"]),
    judged=("judge", "critic"),
)
def mctsr_zero(
    row: Row, sampling: Sampling, *, left_out: LeftOut, principles: tuple[str, ...],
    meta: str = "You write dialogues between a person and a counsellor.", iterations: int = 8,
    judgements: int = 2, enough: float | None = 0.3, regenerate: bool = True,
) -> Script:  # fmt: skip
    """The best dialogue against the worst.

    Args:
        enough: a dialogue worth this share more than the mean ends the search; None: none does.
        regenerate: false only refines.
    """
    case, rules, root = str(row["case"]), "\n".join(f"- {p}" for p in principles), Node(meta)
    nodes, critique = [root], ""
    for step in range(1 + iterations):
        draw = nth(sampling, step + 1)
        known = nodes if regenerate else nodes[1:] or nodes
        here = max((node for node in known if node.open), key=Node.bound)
        if here is root and step:
            root.text = yield from told(EVOLVE.format(meta=root.text, critique=critique), draw)
        asked = WRITE.format(meta=root.text, case=case)
        if here is not root:
            judged = CRITICISE.format(rules=rules, text=here.text)
            critique = yield from told(judged, draw, "critic")
            asked = REFINE.format(case=case, text=here.text, critique=critique)
        node = Node((yield from told(asked, draw)), parent=here)
        for number in range(judgements):
            said = JUDGE.format(rules=rules, case=case, text=node.text)
            given = mark((yield from told(said, nth(draw, number, "judgement"), "judge")))
            if given is None:
                raise Unusable("the judge gave no number")
            node.rewards.append(10 * min(given, 10.0))
        here.children.append(node)
        nodes.append(node)
        back_up(node)
        mean = sum(n.value for n in nodes[1:]) / len(nodes[1:])
        if step and enough is not None and node.value >= (1 + enough) * mean:
            break
    ranked = sorted(nodes[1:], key=lambda node: node.own)
    worst, best = ranked[0], ranked[-1]
    if worst.own == best.own:
        left_out(row, "all dialogues are worth the same")
        return []
    return [{"prompt": case, "chosen": best.text, "rejected": worst.text,
             "values": [best.own, worst.own]}]  # fmt: skip
