"""Self-reference: the judge's model answers the request itself first, and judges beside its answer.

Bao et al. 2024, "Aligning Large Language Models from Self-Reference AI Feedback with one General
Principle", arXiv 2406.11190: the annotator's own answer stands in the context of its comparison,
and only comparisons on which both orders agree are kept. Leaves out: preference strength from
semantic perplexity, and answering anew in each order, which a greedy model does alike.
"""

from collections.abc import Sequence
from dataclasses import replace

from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference
from whyfirst.models.base import LanguageModel, Sampling, asked
from whyfirst.models.said import answer

DISAGREE = "the two orders disagree"
BESIDE = "\n\n[an answer of the judge's own, to compare both responses with]\n"
_SAMPLING = Sampling(max_new_tokens=400)


@CALIBRATIONS.enter(
    "self_reference",
    paper="Bao et al. 2024, arXiv 2406.11190",
    needs="a model to ask; a judge of both orders",
    tested="right only beside its own answer: every pair; locked to a slot: none kept",
)
def self_reference(judge: Judge, *, keep_ties: bool = True, model: LanguageModel) -> Judge:
    """The judge compares beside an answer of its own; pairs on which the orders disagree go.

    Args:
        keep_ties: keep what both orders call a tie.
    """
    return _SelfReference(judge, keep_ties, model)


class _SelfReference(Judge):
    def __init__(self, judge: Judge, keep_ties: bool, model: LanguageModel) -> None:
        self.judge, self.keep_ties, self.model = judge, keep_ties, model
        self.name, self.criterion = f"{judge.name}+self_reference", judge.criterion
        self.version = f"{judge.version}+1-{model.fingerprint[:12]}"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        prompts = list(dict.fromkeys(pair.prompt for pair in pairs))
        replies = self.model.generate([asked(p) for p in prompts], sampling=_SAMPLING)
        own = {prompt: reply for prompt, (reply,) in zip(prompts, replies, strict=True)}
        found: dict[int, Preference] = {}
        beside: dict[int, Pair] = {}
        for place, pair in enumerate(pairs):
            said, reply = answer(own[pair.prompt]), own[pair.prompt]
            if said.problem is not None or not said.text.strip():
                reason = f"judge gave no answer of its own: {said.problem or 'empty'}"
                found[place] = Preference(None, reason, transient=reply.transient, raw=reply.text)
            else:
                beside[place] = replace(pair, prompt=pair.prompt + BESIDE + said.text.strip())
        judged = self.judge.compare(list(beside.values()), samples) if beside else []
        found |= {p: self._kept(one) for p, one in zip(beside, judged, strict=True)}
        return [found[place] for place in range(len(pairs))]

    def _kept(self, one: Preference) -> Preference:
        dropped = one.consistent is False or (one.winner == "tie" and not self.keep_ties)
        return Preference(None, DISAGREE) if dropped and one.winner is not None else one
