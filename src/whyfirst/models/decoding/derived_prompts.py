"""Derived prompts: the answer to a refined prompt is the example by which the original is answered.

Li et al. 2024, "Self-Instructed Derived Prompt Generation Meets In-Context Learning: Unlocking New
Potential of Black-Box LLMs", arXiv 2409.01552. The original prompt stays last and as it is;
derivations that are too unlike it are dropped, and the one most like it, or whose answer a reward
likes best, is shown. Leaves out: training the deriver by the response model's reward.
"""

from whyfirst.models.base import LanguageModel, Message, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast0, Score
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words
from whyfirst.models.embed import Embed, lexical

DERIVE = (
    "{question}\n\nDo not answer this. Write it again as one prompt that asks for the same and is "
    "clearer and more specific."
)


@DECODINGS.enter(
    "derived_prompts",
    version="2",
    paper="Li et al. 2024, arXiv 2409.01552",
    needs="embeddings, or words in their place; a reward may choose (score)",
    tested="the original prompt is last and unchanged; an off-topic derivation is dropped",
)
def derived_prompts(
    model: LanguageModel,
    *,
    judge_model: LanguageModel | None = None,
    score: Score | None = None,
    embed: Embed = lexical,
    n: AtLeast0 = 2,
    least: float = 0.3,
    reward: str | None = None,
) -> LanguageModel:
    """The answer to the prompt after a derived prompt and its answer.

    Args:
        n: prompts derived; 0 leaves the model as it is.
        least: cosine to the original below which a derivation is off topic.
        reward: chooses among derived answers; None takes the derivation nearest the original.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q, kept = words(prompt), []
        if n:
            asked = rephrased(prompt, DERIVE.format(question=q))
            (given,) = yield [Request(asked, drawn(sampling, 0.7), "deriver", n)]
            texts = [c.text.strip() for c in given]
            near = embed(texts) @ embed([q])[0]
            kept = [(float(s), t) for s, t in zip(near, texts, strict=True) if s >= least and t]
            if not kept:
                dialogue.fallbacks["every derivation is off topic: none is shown"] += 1
        if not kept:
            ((answer, *_),) = yield [Request(prompt, sampling)]
            return answer
        replies = yield [Request(rephrased(prompt, text), sampling) for _, text in kept]
        examples = [(t, row[0].text.strip()) for (_, t), row in zip(kept, replies, strict=True)]
        values: list[float | None] = [near for near, _ in kept]
        if reward is not None and score is not None:
            values = score(reward, [prompt] * len(examples), [text for _, text in examples])
        best = max(range(len(kept)), key=lambda i: -1e30 if (v := values[i]) is None else v)
        ((answer, *_),) = yield [Request(_after(prompt, *examples[best]), sampling)]
        return answer

    roles = {} if judge_model is None else {"deriver": judge_model}
    options = {"n": n, "least": least, "reward": reward}
    dialogue = Dialogue(model, "derived_prompts", options, script, roles)
    return dialogue


def _after(prompt: Prompt, asked: str, answered: str) -> Prompt:
    """The prompt after an example exchange."""
    if isinstance(prompt, str):
        return f"{asked}\n{answered}\n\n{prompt}"
    return (*prompt[:-1], Message("user", asked), Message("assistant", answered), prompt[-1])
