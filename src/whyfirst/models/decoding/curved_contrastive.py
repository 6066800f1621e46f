"""Imagination: the reply that stands nearest to a goal in a space where nearness is turns away.

Erker et al. 2023, "Imagination is All You Need! Curved Contrastive Learning for Abstract Sequence
Modeling Utilized on Long Short-Term Dialogue Planning", arXiv 2211.07591. A reply is embedded as
one that comes before, the goal as one that comes after. Leaves out: training the encoder
(models/small_forms); with words in an encoder's place, nearness is of words and not of turns.
"""

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn
from whyfirst.models.embed import Embed, lexical

BEFORE, AFTER = "[BEFORE] ", "[AFTER] "


@DECODINGS.enter(
    "curved_contrastive",
    version="2",
    paper="Erker et al. 2023, arXiv 2211.07591",
    needs="goal (a sentence to come to); an encoder of turns (embed), or words in its place",
    tested="the reply nearest to the goal is said; n = 1 is the model",
)
def curved_contrastive(
    model: LanguageModel,
    *,
    goal: str,
    embed: Embed = lexical,
    n: AtLeast1 = 4,
    temperature: NotNegative = 0.7,
) -> LanguageModel:
    """Of n replies the one nearest to the goal.

    Args:
        goal: what the conversation is to come to.
        n: replies drawn.
        temperature: of their drawing, at least.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        samples = sampling if n == 1 else drawn(sampling, temperature)
        (given,) = yield [Request(prompt, samples, n=n)]
        vectors = embed([AFTER + goal, *(BEFORE + completion.text for completion in given)])
        return given[int((vectors[1:] @ vectors[0]).argmax())]

    options = {"goal": goal, "n": n, "temperature": temperature}
    return Dialogue(model, "curved_contrastive", options, script)
