"""Training data of a sequence-to-sequence reward model: a response in, the better response out.

Zhou et al. 2024, "Sequence to Sequence Reward Modeling: Improving RLHF by Language Feedback", arXiv
2409.00162. Leaves out: the token rewards that the trained model gives (train/rewards).
"""

from collections.abc import Iterable, Iterator
from random import Random

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.data.transforms.texts import told_last

REQUEST = "Response:\n{response}\n\nCorrect the response where it needs it:"


@TRANSFORMS.enter(
    "corrections",
    paper="Zhou et al. 2024, arXiv 2409.00162",
    needs="prompt, chosen, rejected",
    tested="two rows a pair, both completed by the chosen response",
    columns={"prompt": Said, "chosen": str, "rejected": str},
    tells=True,
    streams=True,
)
def corrections(
    rows: Iterable[Row], rng: Random, *, left_out: LeftOut, request: str = REQUEST
) -> Iterator[Row]:
    """The correction (rejected to chosen) and the identity (chosen to chosen) of each pair.

    Args:
        request: what stands after the prompt; ``{response}`` is filled in.
    """
    for row in rows:
        for given in ("rejected", "chosen"):
            said = request.replace("{response}", row[given])
            yield {
                "prompt": told_last(row["prompt"], said),
                "completion": row["chosen"],
                "mapping": "correction" if given == "rejected" else "identity",
            }
