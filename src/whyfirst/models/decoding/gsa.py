"""Generative self-aggregation: n answers are read together and a new one is written.

Li et al. 2025, "LLMs Can Generate a Better Answer by Aggregating Their Own Responses", arXiv
2503.04104. Nothing is scored or chosen. Leaves out: drafts from different models.
"""

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast0, NotNegative
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words

ASK = (
    "{question}\n\nHere are {n} answers to this, each of which may be partly wrong:\n\n{drafts}\n\n"
    "Write one answer of your own that is better than each of them."
)


@DECODINGS.enter(
    "gsa",
    version="2",
    paper="Li et al. 2025, arXiv 2503.04104",
    needs="nothing",
    tested="n + 1 calls; all drafts stand in the last prompt; n = 0 is the model",
)
def gsa(model: LanguageModel, *, n: AtLeast0 = 3, temperature: NotNegative = 0.8) -> LanguageModel:
    """A new answer from n drafts; one draft is refined.

    Args:
        n: drafts.
        temperature: of their drawing, at least.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        if not n:
            (given,) = yield [Request(prompt, sampling)]
            return given[0]
        (drafts,) = yield [Request(prompt, drawn(sampling, temperature), n=n)]
        listed = "\n\n".join(f"Answer {i}: {c.text.strip()}" for i, c in enumerate(drafts, 1))
        asked = ASK.format(question=words(prompt), n=n, drafts=listed)
        (final,) = yield [Request(rephrased(prompt, asked), sampling)]
        return final[0]

    return Dialogue(model, "gsa", {"n": n, "temperature": temperature}, script)
