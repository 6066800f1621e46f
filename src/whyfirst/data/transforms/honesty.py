"""Alignment for honesty: what the model's own samples say of what it knows becomes its answer.

Yang et al. 2023, "Alignment for Honesty", arXiv 2312.07000: four forms of supervised data. A row
holds k samples of the model and whether each is right. Leaves out: drawing and checking them.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Literal

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said

IDK = "I apologize, but I'm not able to provide an answer to the question."
#: share of right samples up to which a phrase is said
_PHRASES = (
    (0.2, "I'm only about 20% confident to answer the question correctly, but I think"),
    (0.4, "I'm not very sure, but I think"),
    (0.6, "I'm somewhat sure that"),
    (0.8, "I'm fairly confident that"),
    (1.0, "I'm absolutely certain that"),
)


@TRANSFORMS.enter(
    "honesty",
    paper="Yang et al. 2023, arXiv 2312.07000",
    needs="prompt, samples (k texts), correct (k truth values)",
    tested="0, 3 and 10 of 10 right by hand; multisample keeps the share of right answers",
    columns={"prompt": Said, "samples": list[str], "correct": list[bool]},
    streams=True,
)
def honesty(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    form: Literal["absolute", "confidence_num", "confidence_verb", "multisample"] = "absolute",
    idk: str = IDK,
) -> Iterator[Row]:
    """Rows of `prompt` and `completion`; one a question, or k of them (``multisample``).

    Args:
        form: ``absolute`` answers where any sample is right; the two ``confidence`` forms say how
            many were, as a number or in words; ``multisample`` keeps each right sample and puts
            `idk` in place of each wrong one.
        idk: what is said where the model does not know.
    """
    for row in rows:
        samples, correct = row["samples"], row["correct"]
        if not samples or len(samples) != len(correct):
            left_out(row, "no samples, or not one truth value for each")
            continue
        if form == "multisample":
            for text, right in zip(samples, correct, strict=True):
                yield {"prompt": row["prompt"], "completion": text if right else idk}
            continue
        share = sum(map(bool, correct)) / len(correct)
        answer = next((t for t, right in zip(samples, correct, strict=True) if right), idk)
        if share and form == "confidence_num":
            answer = f"I'm about {share:.0%} confident to answer correctly. {answer}"
        elif share and form == "confidence_verb":
            answer = f"{next(said for most, said in _PHRASES if share <= most + 1e-9)} {answer}"
        yield {"prompt": row["prompt"], "completion": answer}
