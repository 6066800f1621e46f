"""Pairs whose label depends on the principles named in their prompt.

Sun et al. 2023, "SALMON: Self-Alignment with Instructable Reward Models", arXiv 2310.05910. A model
has scored both responses under each principle, in both orders (`principle_scores`); which response
is the chosen one is decided by the principle, of those drawn, that tells them apart most. Leaves
out: asking that model.
"""

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said, Two
from whyfirst.data.transforms.texts import told_last

OPPOSITE = "The opposite of this: {principle}"


def listed(principles: Sequence[str]) -> str:
    """The paragraph that names what a response is judged by."""
    lines = "\n".join(f"- {principle}" for principle in principles)
    return f"Judge a response by these principles:\n{lines}"


def agreed(orders: Sequence[float]) -> float:
    """Mean of a principle's scores in both orders; 0 where the orders disagree on who is better."""
    first, second = orders
    return (first + second) / 2 if first * second > 0 else 0.0


@TRANSFORMS.enter(
    "principle_pairs",
    paper="Sun et al. 2023, arXiv 2310.05910",
    needs="prompt, responses (two), principle_scores ({principle: [score, score in other order]})",
    tested="negating the deciding principle turns the pair; orders that disagree drop out",
    columns={"prompt": Said, "responses": Two[Said], "principle_scores": dict[str, Two[float]]},
    tells=True,
    streams=True,
)
def principle_pairs(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    most: int = 8,
    stop: float = 0.2,
    negated: float = 0.5,
    flipped: float = 0.1,
    opposite: str = OPPOSITE,
) -> Iterator[Row]:
    """One pair for each row; a score above 0 prefers the first response.

    Args:
        most: principles in a prompt; their number is geometric with chance `stop`.
        negated: chance that a principle is turned into its opposite.
        flipped: chance that a label is turned, as noise.
        opposite: how a negated one is written.
    """
    for row in rows:
        scores = {name: agreed(both) for name, both in row["principle_scores"].items()}
        count = 1
        while count < min(most, len(scores)) and rng.random() >= stop:
            count += 1
        drawn = rng.sample(sorted(scores), min(count, len(scores)))
        signs = {name: -1 if rng.random() < negated else 1 for name in drawn}
        deciding = max(drawn, key=lambda name: abs(scores[name]), default=None)
        turned = rng.random() < flipped
        if deciding is None or scores[deciding] == 0:
            left_out(row, "no principle drawn tells the responses apart in both orders")
            continue
        names = [n if signs[n] > 0 else opposite.replace("{principle}", n) for n in drawn]
        first = (scores[deciding] * signs[deciding] > 0) != turned
        one, other = row["responses"]
        chosen, rejected = (one, other) if first else (other, one)
        prompt = told_last(row["prompt"], listed(names))
        yield {"prompt": prompt, "chosen": chosen, "rejected": rejected}
