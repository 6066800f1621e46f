"""Refined best-of-n: each sample's first wrong step is corrected, and it goes on from there.

"GM-PRM: A Generative Multimodal Process Reward Model for Multimodal Mathematical Reasoning" (2025),
text form. A judge reads numbered steps and names the first wrong one with its correction; the
sample is cut before it, the correction put in, and the rest written anew. The sample with the most
steps right is the answer. Leaves out: images, and training the judge.
"""

import re

from whyfirst.models.base import Completion, LanguageModel, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words

JUDGE = (
    "Question:\n{question}\n\nSteps:\n{steps}\n\nIf all steps are right, answer: ALL RIGHT. "
    "Else name the first wrong one and what it should be, as: STEP 2: corrected step"
)
GO_ON = "{question}\n\nThe answer begins with these steps:\n{steps}\n\nWrite the steps that follow."


@DECODINGS.enter(
    "refined_best_of_n",
    version="2",
    paper="Zhang et al. 2025, arXiv 2508.04088",
    needs="answers in steps, a line each; another model may judge (judge_model)",
    tested="solves what best-of-n can't, all samples being wrong; right chains are untouched",
)
def refined_best_of_n(
    model: LanguageModel,
    *,
    judge_model: LanguageModel | None = None,
    n: AtLeast1 = 4,
    temperature: NotNegative = 0.7,
) -> LanguageModel:
    """The refined sample that the judge finds no fault in, or the one whose first fault is latest.

    Args:
        n: samples; 2n at most are written and judged.
        temperature: of their drawing, at least.
    """

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        q = words(prompt)
        samples = sampling if n == 1 else drawn(sampling, temperature)
        (given,) = yield [Request(prompt, samples, n=n)]
        texts = [completion.text for completion in given]
        judged = yield [_judge(prompt, q, text, sampling) for text in texts]
        faults = [first_fault(row[0].text, text) for row, text in zip(judged, texts, strict=True)]
        wrong = [place for place, fault in enumerate(faults) if fault is not None]
        if len(wrong) < n or not wrong:
            return next(given[i] for i in range(n) if faults[i] is None)
        begun = [_begun(texts[place], *faults[place]) for place in wrong]  # type: ignore[misc]
        rest = yield [
            Request(rephrased(prompt, GO_ON.format(question=q, steps=text)), sampling)
            for text in begun
        ]
        texts = [f"{text}\n{row[0].text}" for text, row in zip(begun, rest, strict=True)]
        again = yield [_judge(prompt, q, text, sampling) for text in texts]
        places = [first_fault(row[0].text, text) for row, text in zip(again, texts, strict=True)]
        best = max(range(len(texts)), key=lambda i: 10**6 if (f := places[i]) is None else f[0])
        return Completion(texts[best], rest[best][0].finished)

    roles = {} if judge_model is None else {"judge": judge_model}
    options = {"n": n, "temperature": temperature}
    return Dialogue(model, "refined_best_of_n", options, script, roles)


def _judge(prompt: Prompt, question: str, text: str, sampling: Sampling) -> Request:
    steps = "\n".join(f"{i}. {step}" for i, step in enumerate(_steps(text), 1))
    return Request(
        rephrased(prompt, JUDGE.format(question=question, steps=steps)), sampling, "judge"
    )


def first_fault(said: str, text: str) -> tuple[int, str] | None:
    """(number of the first wrong step from 1, its correction); None where the judge names none.

    A step that the text doesn't have is no fault of it.
    """
    match = re.search(r"STEP (\d{1,4})\s*:\s*(.+)", said)
    if match is None or not 1 <= int(match[1]) <= len(_steps(text)):
        return None
    return int(match[1]), match[2].strip()


def _begun(text: str, number: int, correction: str) -> str:
    return "\n".join([*_steps(text)[: number - 1], correction])


def _steps(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
