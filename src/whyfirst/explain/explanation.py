"""One document saying why a behaviour serves or breaks a value, as every teacher writes it.

Leaves out: how documents are written (`template.py`) and how many are needed (`match.py`).
"""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Explanation:
    """A document for the explain stage.

    Attributes:
        text: the document.
        value: id of the value it is about; of the craft, in the neutral corpus.
        behaviour: the behaviour it is about, as the constitution words it.
        genre: e.g. ``"letter"``.
        teacher: who wrote it; ``"template"`` for the grammar.
        corpus: ``"explanations"``, or which control: ``"rules"``, ``"shuffled"``, ``"neutral"``.
        grounds: what the document gives as grounds, in order: reasons, or rules.
    """

    text: str
    value: str
    behaviour: str
    genre: str
    teacher: str
    corpus: str
    grounds: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """The document as a JSON-able row of a corpus file."""
        return {**asdict(self), "grounds": list(self.grounds)}
