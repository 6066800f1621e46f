"""SALMON's feedback: which of two responses each principle prefers, by a model, in both orders.

Sun et al. 2023, "SALMON: Self-Alignment with Instructable Reward Models", arXiv 2310.05910. A score
is the difference of the log-probabilities of A and B, divided by that principle's variance over the
rows, so that principles on which all pairs differ alike decide no more than others. Leaves out:
rules against phrases; what is made of the scores (`principle_pairs`).
"""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from statistics import fmean, pvariance
from typing import Annotated

from pydantic import Field

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said, Two
from whyfirst.data.transforms.texts import words_of
from whyfirst.models.base import LanguageModel, asked

ASK = "{prompt}\n\nResponse A: {a}\n\nResponse B: {b}\n\nWhich response {principle} more, A or B?"


@TRANSFORMS.enter(
    "principle_scores",
    paper="Sun et al. 2023, arXiv 2310.05910",
    needs="prompt, responses (two); a model that gives log-likelihoods",
    tested="a model that only likes A has scores of two signs; each principle's variance is 1 over",
    columns={"prompt": Said, "responses": Two[str]},
    streams=False,
    models=("judge",),
)
def principle_scores(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    open_model: Callable[[str], LanguageModel],
    principles: Annotated[tuple[str, ...], Field(min_length=1)],
    judge: str | None = None,
    model: LanguageModel | None = None,
) -> Iterator[Row]:
    """The rows with `principle_scores`: {principle: [score, score in the other order]}.

    Args:
        principles: each completes "which response ... more".
        judge: who is asked, as a study writes a model; null: the model that the corpus' own node
            reads.

    Raises:
        ValueError: no judge is named, and no model is at hand.
    """
    every, one = list(rows), model if judge is None else open_model(judge)
    if one is None:
        raise ValueError("principle_scores: name a `judge`")
    pairs = [(words_of(row["prompt"]), *row["responses"]) for row in every]
    requests = [
        (asked(ASK.format(prompt=prompt, a=a, b=b, principle=principle)), ("A", "B"))
        for principle in principles
        for prompt, x, y in pairs
        for a, b in ((x, y), (y, x))
    ]
    # Above 0 where the first response is preferred, whichever slot it stands in.
    gaps = [
        None if a.problem or b.problem else (a.logprob - b.logprob) * (-1) ** place
        for place, (a, b) in enumerate(one.loglikelihood(requests))
    ]
    found: list[dict[str, list[float]]] = [{} for _ in every]
    for number, principle in enumerate(principles):
        mine = gaps[2 * number * len(every) : 2 * (number + 1) * len(every)]
        orders = list(zip(mine[::2], mine[1::2], strict=True))
        means = [fmean(two) for two in orders if None not in two]  # type: ignore[arg-type]
        spread = (pvariance(means) if means else 0.0) or 1.0  # a principle that never varies
        for scores, two in zip(found, orders, strict=True):
            scores[principle] = [gap / spread for gap in two if gap is not None]
    for row, scores in zip(every, found, strict=True):
        if all(len(two) == 2 for two in scores.values()):
            yield {**row, "principle_scores": scores}
        else:
            left_out(row, "the judge can't tell which response is preferred")
