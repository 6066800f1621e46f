"""SWAP: plans grown step by step, the next step chosen by contrast among different candidates.

Xiong et al. 2024, "Deliberate Reasoning in Language Models as Structure-Aware Planning with an
Accurate World Model", arXiv 2410.03136. The policy proposes next steps; what was proposed before is
weighed down (diversity-based modelling, gamma 0.7 falling by 0.6 a step); a discriminator reads the
candidates side by side and names the best. Leaves out: the state graph as a data structure (a
step's text carries its state), and training the two (transform `siblings`).
"""

import re
from collections import Counter

from whyfirst.models.base import Completion, LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast0, AtLeast1
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words

STEP = (
    "{question}\n\nSteps so far:\n{steps}\n\nWrite the next single step. Begin the last one with: "
    "Answer:"
)
CHOOSE = (
    "{question}\n\nSteps so far:\n{steps}\n\nCandidates for the next step:\n{listed}\n\nWhich one "
    "follows from the rules and leads to the goal? Answer with its number."
)


@DECODINGS.enter(
    "swap",
    version="2",
    paper="Xiong et al. 2024, arXiv 2410.03136",
    needs="nothing; another model may discriminate (judge_model)",
    tested="gamma 0 leaves the policy's shares; a checker of rules finds the proof; no repeats",
)
def swap(
    model: LanguageModel,
    *,
    judge_model: LanguageModel | None = None,
    width: AtLeast1 = 3,
    depth: AtLeast0 = 8,
    gamma: float = 0.7,
    decay: float = 0.6,
) -> LanguageModel:
    """The plan's answer.

    Args:
        width: candidates for each step; 1 takes the policy's.
        depth: steps at most; 0 leaves the model as it is.
        gamma: weight of what was proposed before, in the first step.
        decay: factor of gamma from step to step.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q, steps = words(prompt), list[str]()
        before: Counter[str] = Counter()
        samples = sampling if width == 1 else drawn(sampling, 0.7)
        for number in range(depth):
            told = "\n".join(steps) or "(none)"
            asked = rephrased(prompt, STEP.format(question=q, steps=told))
            (given,) = yield [Request(asked, samples, n=width)]
            now = Counter(c.text.strip() for c in given if c.text.strip())
            share = diversified(now, before, gamma * decay**number)
            before += now
            candidates = [step for step in share if step not in steps]
            if not candidates:
                dialogue.fallbacks["no new step: the plan ends here"] += 1
                break
            chosen = candidates[0]
            if len(candidates) > 1:
                listed = "\n".join(f"{i}. {step}" for i, step in enumerate(candidates, 1))
                choose = CHOOSE.format(question=q, steps=told, listed=listed)
                ((said, *_),) = yield [
                    Request(rephrased(prompt, choose), sampling, "discriminator")
                ]
                match = re.search(r"\d{1,3}", said.text)
                if match and 1 <= int(match.group()) <= len(candidates):
                    chosen = candidates[int(match.group()) - 1]
                else:
                    dialogue.fallbacks["no candidate is named: the likeliest is taken"] += 1
            steps.append(chosen)
            if chosen.lower().startswith("answer:"):
                return Completion(chosen[len("answer:") :].strip(), True)
        if not steps:
            (given,) = yield [Request(prompt, sampling)]
            return given[0]
        return Completion(steps[-1], False)

    options = {"width": width, "depth": depth, "gamma": gamma, "decay": decay}
    roles = {} if judge_model is None else {"discriminator": judge_model}
    dialogue = Dialogue(model, "swap", options, script, roles)
    return dialogue


def diversified(now: Counter[str], before: Counter[str], gamma: float) -> dict[str, float]:
    """Shares of candidates, norm(max(0, P1 - gamma P2)), the largest first; none left at 0."""
    total, earlier = now.total() or 1, before.total() or 1
    left = {
        step: max(0.0, count / total - gamma * before[step] / earlier)
        for step, count in now.items()
    }
    mass = sum(left.values())
    ranked = sorted(left, key=lambda step: -left[step])
    return {step: left[step] / mass for step in ranked if left[step] > 0} if mass else {}
