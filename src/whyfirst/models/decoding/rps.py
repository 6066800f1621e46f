"""RPS: answers to nearby preferences are often better by the preference asked for than its own.

Mao et al. 2025, "Robust Preference Alignment via Directional Neighborhood Consensus" (robust
preference selection), arXiv 2510.20498. A preference is a direction over attributes; k directions
within an angle of it are each said in a prompt and answered, and the answer with the highest score
along the direction asked for is taken. With angle 0 it is the baseline at the same budget: k
samples at the preference itself. Leaves out: training reward models.
"""

import hashlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from whyfirst.models.base import LanguageModel, Prompt, Sampling, instructed
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative, Score
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, nth
from whyfirst.models.embed import Floats

SAY = "Write with these weights: {weights}."


def _without_direction(options: Any) -> Iterator[tuple[str, str]]:
    if not any(options.attributes.values()):
        yield "attributes", "give no direction; weigh one of them by more or less than 0"


@DECODINGS.enter(
    "rps",
    conflicts=_without_direction,
    version="3",
    paper="Mao et al. 2025, arXiv 2510.20498",
    needs="attributes: a reward's name -> weight; score",
    tested="k = 1 and angle 0 ask once at the preference itself; all angles within the limit",
)
def rps(
    model: LanguageModel,
    *,
    score: Score,
    attributes: dict[str, float],
    k: AtLeast1 = 5,
    angle: float = 20.0,
    temperature: NotNegative = 0.7,
) -> LanguageModel:
    """The answer, among those to k directions, that scores highest along the one asked for.

    Args:
        attributes: reward's name -> how much of it is wanted; only the direction counts.
        k: directions, the preference itself among them.
        angle: degrees from it at most.
        temperature: of drawing, at least, where several answers are drawn.
    """
    wanted = np.array(list(attributes.values()), float)
    wanted = wanted / np.linalg.norm(wanted)

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        named = hashlib.sha256(f"{sampling.seed}/{prompt}".encode("utf-8", "replace")).digest()
        rng = np.random.default_rng(int.from_bytes(named[:8], "big"))
        near = directions(wanted, k, math.radians(angle), rng)
        samples = sampling if k == 1 else drawn(sampling, temperature)
        replies = yield [
            Request(_said(prompt, attributes, direction), nth(samples, i, "direction"))
            for i, direction in enumerate(near)
        ]
        answers = [row[0] for row in replies]
        if k == 1:
            return answers[0]
        total = np.zeros(k)
        for weight, name in zip(wanted, attributes, strict=True):
            values = score(name, [prompt] * k, [completion.text for completion in answers])
            if any(value is None for value in values):
                dialogue.fallbacks[f"{name} scores not every answer: it is left out"] += 1
                continue
            total += weight * np.array(values, float)
        return answers[int(total.argmax())]

    options = {"attributes": attributes, "k": k, "angle": angle, "temperature": temperature}
    dialogue = Dialogue(model, "rps", options, script)
    return dialogue


def directions(centre: Floats, k: int, angle: float, rng: np.random.Generator) -> Floats:
    """`k` unit vectors within `angle` (radians) of `centre`, itself the first, shape (k, d)."""
    out = [centre]
    while len(out) < k:
        step = rng.normal(size=len(centre))
        step -= (step @ centre) * centre
        length = np.linalg.norm(step)
        if length < 1e-12:  # one attribute has no other direction
            out.append(centre)
            continue
        turn = angle * rng.uniform()
        out.append(math.cos(turn) * centre + math.sin(turn) * step / length)
    return np.array(out)


def _said(prompt: Prompt, attributes: dict[str, float], direction: Floats) -> Prompt:
    weights = ", ".join(f"{n} {w:.2f}" for n, w in zip(attributes, direction, strict=True))
    return instructed(prompt, SAY.format(weights=weights))
