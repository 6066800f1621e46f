"""Documents of the template teacher about the values of a constitution."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from whyfirst.config.files import sha256_json
from whyfirst.config.strict import affects_output, decisive
from whyfirst.constitution import load_constitution
from whyfirst.explain.template import teacher_fingerprint, write_corpus
from whyfirst.study.sources import CORPORA, Row

# The mirrored document of a teacher's audit ("wrong") is nothing to be trained on.
Documents = Literal[
    "explanations", "label", "nobecause", "wrong_reason", "rules", "more_rules", "shuffled",
    "neutral",
]  # fmt: skip


def _inputs(options: Mapping[str, Any], world: object) -> dict[str, str]:
    """The constitution as it is read, and the teacher's grammar.

    Raises:
        UserError: no such constitution, or a value that it doesn't have.
    """
    constitution = load_constitution(options["constitution"])
    for value in options["values"] or ():
        constitution.value(value)
    hashed = sha256_json(decisive(constitution))
    return {"constitution": hashed, "teacher": teacher_fingerprint()}


@CORPORA.enter("constitution", seeded=True, places=("constitution",), inputs=_inputs)
def constitution(
    *,
    constitution: Annotated[str, affects_output(description="a shipped name or a YAML file")],
    documents: Annotated[Documents, affects_output()],
    values: Annotated[tuple[str, ...] | None, affects_output()] = None,
    tokens: Annotated[int, affects_output(ge=1, description="matched to 0.5 %")],
    seed: int,
) -> list[Row]:
    """Documents of the template teacher about the values of a constitution."""

    # A document has well over ten tokens, so this many are enough to choose from.
    count = min(2000, tokens // 10 + 50)
    written = write_corpus(documents, load_constitution(constitution), count, seed, values)
    return [document.row() for document in written]
