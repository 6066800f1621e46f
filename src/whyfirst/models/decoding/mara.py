"""MARA: a draft is refined by just the reviewers that its question needs, in the order it needs.

Jeong et al. 2025, "Adaptive Multi-Agent Response Refinement in Conversational Systems" (MARA),
arXiv 2511.08319. A planner reads the question and the draft and names reviewers (fact, persona,
coherence, or a study's own). Leaves out: retrieval of knowledge; a reviewer's instruction may hold
it.
"""

import re

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, rephrased, words

REVIEWERS = {
    "fact": "Correct every statement in it that is not true.",
    "persona": "Make it fit what is known of the two people who talk.",
    "coherence": "Make it follow from the question and from itself.",
}
PLAN = (
    "Question:\n{question}\n\nDraft:\n{draft}\n\nWhich of these reviewers does the draft need, and "
    "in which order? {names}. Answer with their names only, or with: none."
)
REFINE = "Question:\n{question}\n\nDraft:\n{draft}\n\n{instruction} Write the new version only."


@DECODINGS.enter(
    "mara",
    version="2",
    paper="Jeong et al. 2025, arXiv 2511.08319",
    needs="nothing; another model may plan (judge_model)",
    tested="two planted errors need two reviewers in order; one not chosen is not called",
)
def mara(
    model: LanguageModel,
    *,
    judge_model: LanguageModel | None = None,
    reviewers: dict[str, str] = REVIEWERS,
) -> LanguageModel:
    """The draft after each of the planned reviewers.

    Args:
        reviewers: name -> instruction; none leaves the model as it is.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        ((draft, *_),) = yield [Request(prompt, sampling)]
        if not reviewers:
            return draft
        q = words(prompt)
        plan = PLAN.format(question=q, draft=draft.text, names=", ".join(reviewers))
        ((planned, *_),) = yield [Request(rephrased(prompt, plan), sampling, "planner")]
        named = list(dict.fromkeys(re.findall(r"[a-z_]+", planned.text.lower())))
        if not set(named) & {*reviewers, "none"}:
            dialogue.fallbacks["the plan names no reviewer: the draft is the answer"] += 1
        # "None: no fact needs a reviewer" names reviewers, and none is wanted.
        wanted = () if "none" in named else (name for name in named if name in reviewers)
        for name in wanted:
            asked = REFINE.format(question=q, draft=draft.text, instruction=reviewers[name])
            ((draft, *_),) = yield [Request(rephrased(prompt, asked), sampling, name)]
        return draft

    roles = {} if judge_model is None else {"planner": judge_model}
    dialogue = Dialogue(model, "mara", {"reviewers": reviewers}, script, roles)
    return dialogue
