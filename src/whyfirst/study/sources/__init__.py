"""Sources of a study's corpora, by name: functions of their options that give rows.

Entered with ``@CORPORA.enter(name, ...)`` in a file of its own here, or in a world's ``corpora``.
What a runner gives, to those that ask for it by a keyword-only parameter of that name: `world`;
`seed` of the study; `folder` of what a teacher wrote; `base`, the folder of the model the study
starts from; and, for sources that have a model write,

- `model`: the model that the stage which reads the corpus starts from;
- `judge_model`: the study's, None where it names none;
- `given`: option -> rows of the corpora that the fact ``rows_of`` names options for;
- `prompts_as`: the `format` of that stage;
- `kept`: a file that what is paid for is kept in, so that a killed run goes on;
- `progress`: called with (done, total, what).

To those that ask models of their own (a teacher): the folder of kept `replies`, and `open_base`,
which opens the study's model. To all: `note`, called with a name and what stands under it in the
corpus' record; under ``left_out`` what a method left out, by reason. Rows are gone through once.

Other facts: ``seeded`` (the study's seed counts), ``reads_base``, ``sided``, ``shares_topics``,
``inputs``, ``check``; ``ahead``, of sources with `model`: (options, given) -> rows as long as they
may become, for `plan`; ``revised``: options -> what tells its results from those of its code
before; ``uses``: options -> the methods among them, by place; ``asks_judge``: whether the study has
to name a judge's model; ``asks``: options -> (role, `ModelRef` or None for the base) of each model
asked, whose rows are not known before; ``calls``: options -> completions asked for at most;
``several``: options -> whether one that `size` counts may give several rows.
"""

from collections.abc import Callable, Iterable
from typing import Any

from whyfirst.config.room import Room

ROWS = "rows.jsonl"  # in the folder of a corpus node
Row = dict[str, Any]
Note = Callable[[str, Any], None]
CORPORA: Room[Iterable[Row]] = Room(
    "corpora",
    __name__,
    context=(
        "world", "seed", "folder", "base", "model", "judge_model", "given", "kept", "progress",
        "replies", "note", "open_base", "prompts_as",
    ),
)  # fmt: skip


def unnoted(name: str, value: Any) -> None:
    """The `note` of who asks a source for rows alone."""


def has_model_write(name: str) -> bool:
    """Whether the source of that name asks the model of the stage that reads it."""
    return "model" in CORPORA.get(name).context


def is_known_before(name: str) -> bool:
    """Whether the rows of that source can be read without asking a model."""
    return not has_model_write(name) and "asks" not in CORPORA.get(name).facts
