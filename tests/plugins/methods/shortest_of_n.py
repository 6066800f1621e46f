"""The shortest of n: several answers are drawn, and the shortest that came to its end is given.

Hassid et al. 2025, "Don't Overthink it", arXiv 2505.17813 (short-1@k): of several chains of
thought the shortest is most often right. Leaves out: stopping the others once one is done, which
saves time and changes no answer.
"""

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn


@DECODINGS.enter(
    "shortest_of_n",
    paper="Hassid et al. 2025, arXiv 2505.17813",
    needs="nothing",
    tested="n = 0 is the model; a draft that was cut off is given only where all were",
)
def shortest_of_n(model: LanguageModel, *, n: int = 4, temperature: float = 0.8) -> LanguageModel:
    """The shortest finished one of n answers.

    Args:
        n: answers drawn.
        temperature: of their drawing, at least.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        if not n:
            (given,) = yield [Request(prompt, sampling)]
            return given[0]
        (drafts,) = yield [Request(prompt, drawn(sampling, temperature), n=n)]
        return min(drafts, key=lambda draft: (not draft.finished, len(draft.text)))

    return Dialogue(model, "shortest_of_n", {"n": n, "temperature": temperature}, script)
