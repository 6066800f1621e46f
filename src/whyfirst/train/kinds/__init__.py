"""Kinds of training stage, by name: one file a kind says all that is known of it.

A kind's file holds its options (a `Stage`), and a function entered with ``@KINDS.enter(NAME,
version=...)`` that returns the `StageKind`: what it reads, how it trains, what that costs. Raise
the version whenever the same options and data would give other weights. The files import no torch
at the top, since a study file is read through them. Leaves out: running a stage (`train/run.py`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from whyfirst.config.room import Room, Use
from whyfirst.train.config_base import Stage

if TYPE_CHECKING:
    from whyfirst.train.encode import Encoded, Files
    from whyfirst.train.job import Job, Trained

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Cost:
    """What one row of a batch costs, before anything is known of the rows.

    Attributes:
        fresh: rows of one update that are drawn from the main file.
        uses: updates made of rows that are drawn once.
        rows: rows of one forward pass on one device.
        trained: passes forward and back that each of its tokens makes through the model.
        forward: passes forward alone (references, generating, reward models).
        critic: passes forward and back through a second trained model.
        sequences: sequences a row has (two in a pair).
        references: frozen copies of the model that lie in memory.
        written: tokens the model writes to a row's prompt.
        reward_models: reward models that lie in memory.
    """

    fresh: float
    rows: int
    trained: float = 1.0
    forward: float = 0.0
    critic: float = 0.0
    sequences: int = 1
    references: int = 0
    written: int = 0
    reward_models: int = 0
    uses: int = 1


@dataclass(frozen=True)
class StageKind:
    """All that is known of a kind of stage.

    Attributes:
        config: its options.
        reads: data names -> what they are, for given options, the main one first: "rows" of a JSONL
            file, or the folder of a "model".
        check: raises `DataError` naming the line of rows it can't use; given the options, the data
            name, the rows in the one shape (`data.rows`) and their file. Called before anything is
            trained or any model loaded.
        train: trains, saves ``model/`` and returns the log and the totals of `StageResult`.
        encode: tokens of its rows, of every file it reads; None where it writes its own.
        cost: the work of one row.
        row_seconds: rough seconds on one core that a row of an update takes with a world's base:
            the order of work in a study, and its time until something was measured.
        uses: the methods named in its options, by where they stand.
        makes: "model", or what rewards responses: a "reward_model" (a classifier), or a "critic" (a
            language model with a number beside); the next stage then starts where this one did.
        dropout: whether a model of given tokens trains with its config's dropout; a kind that
            compares it with itself trains without any.
        revised: marks that identify options whose results have changed where those of others have
            not; a new version would throw all of them away.
    """

    config: type[Stage]
    reads: Callable[[Any], Mapping[str, str]]
    check: Callable[[Any, str, Rows, Path], None]
    train: Callable[["Job"], tuple["Trained", dict[str, Any]]]
    cost: Callable[[Any], Cost]
    row_seconds: float
    encode: Callable[[Any, Any, "Files"], "Encoded"] | None = None
    makes: Literal["model", "reward_model", "critic"] = "model"
    uses: Callable[[Any], Mapping[str, tuple[Room[Any], Use]]] = lambda config: {}
    dropout: bool = True
    revised: Callable[[Any], Mapping[str, str]] = lambda config: {}


KINDS: Room[StageKind] = Room("kinds", __name__)


def kind_of(config: Stage) -> StageKind:
    """The kind that a stage's options belong to."""
    return _made(KINDS.get(config.kind).function)


@cache
def _made(function: Callable[[], StageKind]) -> StageKind:
    return function()


def data_names(config: Stage) -> tuple[str, ...]:
    """Names of what the stage reads, in `run_stage`'s `data`: JSONL files and model folders."""
    return tuple(kind_of(config).reads(config))


def model_names(config: Stage) -> tuple[str, ...]:
    """Those of `data_names` that are folders of models."""
    return tuple(name for name, what in kind_of(config).reads(config).items() if what == "model")


def identities(config: Stage) -> dict[str, str]:
    """What identifies the methods a stage is made of, beside its options.

    The source of those that are not the project's own, and the version of those that had one
    before: a stage of methods at their first version is what it was before there were any. And what
    its kind has revised for such options.
    """
    found = dict(kind_of(config).revised(config))
    for place, (room, use) in kind_of(config).uses(config).items():
        mark = room.identity(use)
        # A stage of methods that are the project's own is told by its kind's version.
        if "source" in mark:
            found[f"source of {place}"] = str(mark["source"])
        if mark["version"] != "1":
            found[f"version of {place}"] = str(mark["version"])
    return found


def pass_rows(config: Stage) -> int:
    """Rows of one forward pass of a stage that learns from every row of a batch at once."""
    return min(config.micro_batch_size or config.batch_size, config.batch_size)
