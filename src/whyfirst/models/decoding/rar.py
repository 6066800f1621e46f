"""Rephrase and respond: the model says the question in its own words before it answers.

Deng et al. 2023, "Rephrase and Respond: Let Large Language Models Ask Better Questions for
Themselves", arXiv 2311.04205. In one step, or in two, where another model may rephrase. The prompts
are the paper's. Leaves out: formats appended to the question.
"""

from typing import Literal

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, rephrased, words

ONE_STEP = '"{q}"\nRephrase and expand the question, and respond.'
REPHRASE = (
    '"{q}"\nGiven the above question, rephrase and expand it to help you do better answering. '
    "Maintain all information in the original question."
)
RESPOND = (
    "(original) {q}\n(rephrased) {r}\n"
    "Use your answer for the rephrased question to answer the original question."
)


@DECODINGS.enter(
    "rar",
    version="2",
    paper="Deng et al. 2023, arXiv 2311.04205",
    needs="nothing; another model may rephrase (judge_model)",
    tested="the published prompts; two steps pass both questions",
)
def rar(
    model: LanguageModel, *, judge_model: LanguageModel | None = None, steps: Literal[1, 2] = 2
) -> LanguageModel:
    """The answer to a rephrased question.

    Args:
        steps: rephrase and answer in one call, or in two.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q = words(prompt)
        if steps == 1:
            (given,) = yield [Request(rephrased(prompt, ONE_STEP.format(q=q)), sampling)]
            return given[0]
        asked = rephrased(prompt, REPHRASE.format(q=q))
        ((said, *_),) = yield [Request(asked, sampling, "rephraser")]
        both = RESPOND.format(q=q, r=said.text.strip().strip('"').strip())
        (given,) = yield [Request(rephrased(prompt, both), sampling)]
        return given[0]

    roles = {} if judge_model is None else {"rephraser": judge_model}
    return Dialogue(model, "rar", {"steps": steps}, script, roles)
