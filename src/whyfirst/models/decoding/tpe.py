"""TPE: a thinker reads the dialogue, a planner orders tools, an executor words the answer.

"TPE: Towards Better Compositional Reasoning over Conceptual Tools with Multi-persona
Collaboration", arXiv 2309.16090. Tools are strategies or sources, by name with what they are for. A
plan that names a tool that isn't registered loses that step, counted. Leaves out: tools that run
code.
"""

import re

from whyfirst.models.base import LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, rephrased, words

TOOLS = {
    "clarify": "ask back what is unclear",
    "inform": "give the facts that are needed",
    "comfort": "show that the feeling is understood",
    "suggest": "propose a next step",
}
THINK = "{question}\n\nIn two sentences: what does this person want, know and feel?"
PLAN = (
    "{question}\n\nWhat is behind it: {thought}\n\nTools: {tools}.\nName those to use, in order, "
    "with commas."
)
EXECUTE = "{question}\n\nWhat is behind it: {thought}\nIn your answer, in this order: {steps}."


@DECODINGS.enter(
    "tpe",
    version="2",
    paper="Wang et al. 2023, arXiv 2309.16090",
    needs="nothing",
    tested="each stage reads the one before; an unknown tool is left out and counted",
)
def tpe(model: LanguageModel, *, tools: dict[str, str] = TOOLS) -> LanguageModel:
    """The executor's answer.

    Args:
        tools: name -> what it does; none leaves the model as it is.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q = words(prompt)
        if not tools:
            ((answer, *_),) = yield [Request(prompt, sampling)]
            return answer
        asked = rephrased(prompt, THINK.format(question=q))
        ((thought, *_),) = yield [Request(asked, sampling, "thinker")]
        listed = "; ".join(f"{name}: {what}" for name, what in tools.items())
        plan = PLAN.format(question=q, thought=thought.text.strip(), tools=listed)
        ((planned, *_),) = yield [Request(rephrased(prompt, plan), sampling, "planner")]
        named = [part.strip().lower() for part in re.split(r"[,;\n]", planned.text) if part.strip()]
        unknown = [name for name in named if name not in tools]
        if unknown:
            dialogue.fallbacks["the plan names an unknown tool: it is left out"] += len(unknown)
        steps = "; ".join(tools[name] for name in dict.fromkeys(named) if name in tools)
        if not steps:
            dialogue.fallbacks["the plan names no tool: the question is answered as it is"] += 1
            ((answer, *_),) = yield [Request(prompt, sampling)]
            return answer
        said = EXECUTE.format(question=q, thought=thought.text.strip(), steps=steps)
        ((answer, *_),) = yield [Request(rephrased(prompt, said), sampling, "executor")]
        return answer

    dialogue = Dialogue(model, "tpe", {"tools": tools}, script)
    return dialogue
