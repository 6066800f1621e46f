"""One document saying why a behaviour serves or breaks a value, as every teacher writes it.

Leaves out: how documents are written (`template.py`, `teachers.py`) and how many are needed
(`match.py`).
"""

from dataclasses import dataclass
from typing import Any, Literal, get_args

Corpus = Literal[
    "explanations", "label", "nobecause", "wrong_reason", "rules", "more_rules", "shuffled",
    "neutral", "wrong",
]  # fmt: skip
CORPORA: tuple[Corpus, ...] = get_args(Corpus)
CONTROLS: tuple[Corpus, ...] = CORPORA[1:]
#: Controls in which no reason may be given; an audit's reason rate of them is all but 0.
REASONLESS: tuple[Corpus, ...] = ("label", "nobecause")
#: Controls in which nothing may be told of what comes of the conduct, which is a reason too.
GROUNDLESS: tuple[Corpus, ...] = (*REASONLESS, "rules", "more_rules")
#: Controls whose documents give reasons, true ones of something else or false ones of the same.
REASONED: tuple[Corpus, ...] = ("wrong_reason", "shuffled", "wrong")


@dataclass(frozen=True)
class Explanation:
    """A document for the explain stage.

    Attributes:
        text: the document.
        value: id of the value it is about; of the craft, in the neutral corpus.
        behaviour: the behaviour it is about, as the constitution words it.
        genre: e.g. ``"letter"``.
        audience: whom it is written for.
        stance: how its author stands to the matter.
        angle: ``"plain"``, a kind of pressure, ``"conflict"``, ``"boundary"``, ``"consequences"``.
        domain: the setting it plays in.
        teacher: who wrote it; ``"template"`` for the grammar.
        corpus: ``"explanations"``, or which control.
        grounds: what the document gives as grounds, in order: reasons, or rules. Empty where the
            teacher doesn't say (a language model's document).
    """

    text: str
    value: str
    behaviour: str
    genre: str
    audience: str
    stance: str
    angle: str
    domain: str
    teacher: str
    corpus: str
    grounds: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The document as a JSON-able row of a corpus file."""
        # A list, as it comes back from JSON: rows that were read and rows that were made are
        # equal.
        return {**vars(self), "grounds": list(self.grounds)}
