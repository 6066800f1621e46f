"""Writes docs/images/decoding.svg: a search over blocks of one answer, from a real run.

``python docs/make/decoding_picture.py``. DeAL's search by blocks on Hearth's shipped base: every
partial answer it drew, what it scored, which were kept, and the way to the answer given. Leaves
out: methods that keep no partial answers.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from imports import ROOT

DRAWING = ROOT / "docs" / "images" / "decoding.svg"
PROMPT = "<scene> the carter asks benzi to ring a plarlen . benzi says :"
BEAMS, BRANCH, BLOCK, MOST = 3, 4, 2, 8
COLUMN, LINE, TOP = 280, 30, 64
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1b1b}.q{font-weight:600}.dropped{fill:#77716a}"
    ".given{font-weight:600}.s{font-size:11px;fill:#555}path{fill:none;stroke:#c9c2b2}"
    "path.kept{stroke:#8a8371;stroke-width:1.6}path.given{stroke:#1b1b1b;stroke-width:2.4}"
)


@dataclass
class Spaced:
    """A model whose answers begin with the space that a tokenizer of whole words drops."""

    inner: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def generate(self, prompts: Sequence[Any], n: int = 1, sampling: Any = None) -> Any:
        """As the model's own."""
        answers = self.inner.generate(prompts, n=n, sampling=sampling)
        return [[replace(one, text=f" {one.text}") for one in row] for row in answers]


@dataclass
class Recorder:
    """A reward that remembers what it was asked, a round of the search a list.

    Attributes:
        rounds: (partial answer, score) of every candidate of each round, as they were ranked.
    """

    model: Any
    rounds: list[list[tuple[str, float]]] = field(default_factory=list)

    def __call__(self, name: str, prompts: Sequence[Any], texts: Sequence[str]) -> list[float]:
        """Mean log-probability of a token under the model that is searched."""
        [found] = self.model.loglikelihood([(prompts[0], list(texts))])
        scores = [one.logprob / max(one.tokens, 1) for one in found]
        self.rounds.append(list(zip(texts, scores, strict=True)))
        return scores


def run() -> tuple[Recorder, str]:
    """The search on the prompt above: what it looked at, and the answer it gave."""
    from whyfirst.config.room import Use
    from whyfirst.models.base import Sampling
    from whyfirst.models.decoding import DECODINGS
    from whyfirst.models.local import LocalModel
    from whyfirst.worlds.hearth.assets import base_folder

    model = Spaced(LocalModel(base_folder(4)))
    recorder = Recorder(model)
    options = {"level": "block", "reward": "likelihood", "beams": BEAMS, "branch": BRANCH}
    use = Use.model_validate({"name": "deal", "block": BLOCK} | options)
    method = DECODINGS.make(use, score=recorder)(model)
    sampling = Sampling(max_new_tokens=MOST, temperature=1.6, seed=3)
    return recorder, method.generate([PROMPT], sampling=sampling)[0][0].text


def draw(rounds: Sequence[Sequence[tuple[str, float]]], answer: str) -> str:
    """The tree of partial answers: a column a round, what was kept above what was dropped."""
    height = TOP + LINE * (max(map(len, rounds)) + 1)
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img",
        "viewBox": f"0 0 {COLUMN * len(rounds) + 40} {height}"})  # fmt: skip
    ET.SubElement(svg, "title").text = "Partial answers of a search over blocks"
    ET.SubElement(svg, "style").text = STYLE
    label = ET.SubElement(svg, "text", {"x": "16", "y": "24", "class": "q"})
    label.text = PROMPT
    before = {"": (16, TOP)}
    for column, candidates in enumerate(rounds):
        ranked = sorted(dict(candidates).items(), key=lambda one: -one[1])
        here: dict[str, tuple[int, int]] = {}
        for row, (text, score) in enumerate(ranked):
            x, y = 40 + COLUMN * column, TOP + LINE * row
            parent = max((p for p in before if text.startswith(p)), key=len)
            kind = "given" if answer.startswith(text) else "kept" if row < BEAMS else "dropped"
            left, top = before[parent]
            ET.SubElement(
                svg,
                "path",
                {
                    "class": kind,
                    "d": f"M{left} {top - 4}C{x - 30} {top - 4} {x - 40} {y - 4} {x - 6} {y - 4}",
                },
            )
            said = ET.SubElement(svg, "text", {"x": str(x), "y": str(y), "class": kind})
            said.text = text[len(parent) :].strip() or "(it had ended)"
            note = ET.SubElement(said, "tspan", {"class": "s", "dx": "8"})
            note.text = f"{score:.2f}"
            if row < BEAMS:
                here[text] = (x + 200, y)
        before = here
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


if __name__ == "__main__":
    recorder, given = run()
    DRAWING.write_text(draw(recorder.rounds, given), encoding="utf-8")
