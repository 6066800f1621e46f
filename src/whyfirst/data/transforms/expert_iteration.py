"""Expert iteration: responses drawn anew by their rewards, to be trained on.

Zhao et al. 2024, "Automatic Curriculum Expert Iteration for Reliable LLM Reasoning", arXiv
2410.07627. Leaves out: sampling the responses, and the curriculum over the reward's patience.
"""

import math
from collections.abc import Iterable, Iterator
from random import Random

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said


@TRANSFORMS.enter(
    "expert_iteration",
    paper="Zhao et al. 2024, arXiv 2410.07627",
    needs="prompt, responses, rewards",
    tested="frequencies are softmax(reward / temperature); no response of the lowest reward",
    columns={"prompt": Said, "responses": list[Said], "rewards": list[float | None]},
    streams=True,
)
def expert_iteration(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    temperature: float = 1.0,
    draws: int | None = None,
    above: float = -1.0,
    originals: bool = True,
) -> Iterator[Row]:
    """Demonstrations: responses drawn with chance exp(reward / temperature), and the originals.

    Args:
        temperature: the paper's is the share of right answers it starts with.
        draws: responses drawn of each row; null: as many as it has.
        above: responses of this reward and less are left out.
        originals: give each response once besides.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be above 0, not {temperature}")
    for row in rows:
        if len(row["responses"]) != len(row["rewards"]):
            left_out(row, "not one reward for each response")
            continue
        good = [
            (said, reward)
            for said, reward in zip(row["responses"], row["rewards"], strict=True)
            if reward is not None and reward > above
        ]
        if not good:
            left_out(row, f"no response has a reward above {above:g}")
            continue
        top = max(reward for _, reward in good)
        weights = [math.exp((reward - top) / temperature) for _, reward in good]
        texts = [said for said, _ in good]
        drawn = rng.choices(texts, weights, k=draws or len(row["responses"]))
        for said in [*(texts if originals else []), *drawn]:
            yield {"prompt": row["prompt"], "completion": said}
