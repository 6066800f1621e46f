"""Loops of stages, written out where a study is read: round 2 of the stage `align` is `align.2`.

An arm's ``{repeat: 3, stages: [rank, align]}`` stands for ``rank.1, align.1, rank.2, ... align.3``.
Each round is then a stage like any other: a node with a fingerprint, kept, resumed, shared by the
arms that begin alike, and evaluated where an arm ends with it. A corpus that the current model
writes (`sample_and_label`) is written anew in each round, by what the round before left. Leaves
out: ending a loop by what comes out of it; an arm for each number of rounds shows where to stop.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Discriminator, Field, Tag

from whyfirst.config.errors import ConfigError
from whyfirst.config.strict import StrictModel, affects_output
from whyfirst.study.materials import Name

_ROUND = re.compile(r"\.([1-9][0-9]*)$")
StageName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\.[1-9][0-9]*)?$")]
"""A stage's name, or that of one of its rounds."""


class Loop(StrictModel):
    """Stages gone through several times in an arm."""

    repeat: int = affects_output(ge=1, description="how often")
    stages: tuple[Name, ...] = affects_output(min_length=1, description="in order")


if TYPE_CHECKING:
    Step = str
else:
    Step = Annotated[
        Annotated[StageName, Tag("stage")] | Annotated[Loop, Tag("loop")],
        Discriminator(lambda given: "loop" if isinstance(given, dict | Loop) else "stage"),
    ]
"""A stage of an arm, or a loop of some."""


def written_out(steps: Sequence[Any]) -> tuple[str, ...]:
    """The stages of an arm, each loop's as the stages of its rounds."""
    return tuple(
        name
        for step in steps
        for name in (
            (f"{stage}.{turn}" for turn in range(1, step.repeat + 1) for stage in step.stages)
            if isinstance(step, Loop)
            else (step,)
        )
    )


def without_round(name: str) -> str:
    """The stage that a round is of: `align` of `align.2`."""
    return _ROUND.sub("", name)


def with_rounds(stages: Mapping[str, Any], arms: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """The stages (`StageUse`) with the rounds that arms name, and no stage that only loops have.

    Raises:
        ConfigError: a round that a stage's `rounds` has no corpus for.
    """
    used = {name for names in arms.values() for name in names}
    used |= {use.reward_from for use in stages.values() if use.reward_from is not None}
    rounds = {name for name in used if name not in stages and without_round(name) in stages}
    looped = {without_round(name) for name in rounds}
    kept = {n: use for n, use in stages.items() if n not in looped or n in used}
    return kept | {name: _round(stages[without_round(name)], name, used) for name in sorted(
        rounds, key=lambda name: (list(stages).index(without_round(name)), _turn(name))
    )}  # fmt: skip


def _turn(name: str) -> int:
    found = _ROUND.search(name)
    return int(found[1]) if found else 0


def _round(use: Any, name: str, used: set[str]) -> Any:
    """A stage as one round has it: its own corpus, and references to the same round's stages."""
    turn, changes = _turn(name), dict[str, Any]()
    if use.rounds:
        if len(use.rounds) < turn:
            raise ConfigError(
                f"stages.{without_round(name)}.rounds: {len(use.rounds)} corpora, and an arm "
                f"repeats it {turn} times"
            )
        changes = {"data": use.rounds[turn - 1], "rounds": ()}
    train = dict(_references(use.train, turn, used))
    if train:
        changes["train"] = use.train.model_copy(update=train)
    return use.model_copy(update=changes)


def _references(train: Any, turn: int, used: set[str]) -> Iterator[tuple[str, Any]]:
    """Options of a stage that name a stage which is in the loop too."""
    named = getattr(train, "references", ())
    ours = [f"{reference.stage}.{turn}" for reference in named]
    if any(stage in used for stage in ours):
        yield (
            "references",
            tuple(
                reference.model_copy(update={"stage": stage}) if stage in used else reference
                for reference, stage in zip(named, ours, strict=True)
            ),
        )
