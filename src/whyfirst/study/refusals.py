"""What a plan refuses before anything is run: arms that could not be compared, stages in vain.

Leaves out: the names of a study file (names.py), what reading its files tells (reading.py), and
what only a stage's rows can tell (train/).
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from whyfirst.config.errors import ConfigError
from whyfirst.config.suggest import did_you_mean
from whyfirst.study.decisive import decisive
from whyfirst.study.schema import StudyFile
from whyfirst.train.kinds import data_names, kind_of


def first_stages(study: StudyFile) -> dict[str, str]:
    """Arm -> the stage it begins with, for the arms that begin with documents."""
    return {
        name: arm.stages[0]
        for name, arm in study.arms.items()
        if arm.stages and "documents" in data_names(study.stages[arm.stages[0]].train)
    }


def refuse_unmatched(study: StudyFile, file: Path) -> None:
    """All first stages of a study differ in their corpus and in nothing else.

    Raises:
        ConfigError: other options, another replay corpus or another token budget.
    """
    names = sorted(set(first_stages(study).values()))
    for name in names[1:]:
        one, other = study.stages[names[0]], study.stages[name]
        for part, same in (
            ("train", decisive(one.train) == decisive(other.train)),
            ("replay_data", one.replay_data == other.replay_data),
        ):
            if not same:
                raise ConfigError(
                    f"{file}: stages.{name}.{part} differs from stages.{names[0]}.{part}; first "
                    "stages must be trained alike (use a YAML anchor), or a difference between "
                    "arms could be the recipe"
                )
        budgets = [study.corpora[s.data].options.get("tokens") for s in (one, other)]
        if budgets[0] != budgets[1]:
            raise ConfigError(
                f"{file}: corpora.{other.data}.tokens is {budgets[1]} and corpora.{one.data}."
                f"tokens is {budgets[0]}; first-stage corpora must have the same token budget"
            )


def refuse_unknown_values(
    study: StudyFile, file: Path, constitutions: Mapping[str, tuple[str, ...]]
) -> None:
    """Refuse a value taught that no constitution of the study has; a world's are names of its own.

    Args:
        constitutions: those the study's documents are written from -> their values.

    Raises:
        ConfigError: names the key, and what there is.
    """
    known = [value for values in constitutions.values() for value in values]
    for key in ("value", "other_value"):
        given = getattr(study, key)
        if known and study.world is None and given is not None and given not in known:
            raise ConfigError(
                f"{file}: {key}: {given!r} is no value of {' or '.join(constitutions)}"
                f"{did_you_mean(given, known)} (values: {', '.join(dict.fromkeys(known))})"
            )


def refuse_in_vain(
    study: StudyFile, file: Path, context: int | None, rows: Mapping[str, int | None]
) -> None:
    """Refuse stages that would change next to nothing, or whose rows can't fit the model.

    Args:
        context: positions the model has; None where they can't be known yet.
        rows: the most rows each corpus can have; None where that can't be known yet.

    Raises:
        ConfigError: every such stage, a line each.
    """
    problems = [*_too_few_updates(study, rows), *_too_long(study, context)]
    if problems:
        raise ConfigError("\n".join(f"{file}: stages.{line}" for line in problems))


def _too_few_updates(study: StudyFile, rows: Mapping[str, int | None]) -> Iterator[str]:
    """Stages given in epochs (config.py sees to those given in updates)."""
    for name, use in study.stages.items():
        most, train = rows.get(use.data), use.train
        if train.epochs is None or most is None:
            continue
        cost = kind_of(train).cost(train)
        # Where a stage writes, its updates are counted when its prompts are; one conversation may
        # be several examples.
        if cost.written or getattr(train, "turns", "last") == "all":
            continue
        # Packing puts several documents into a row, so these are the most updates there can be.
        updates = math.ceil(train.epochs * most / cost.fresh)
        if updates < train.min_updates:
            yield (
                f"{name}.train: {train.epochs:g} epochs of at most {most} rows in batches of "
                f"{train.batch_size} are at most {updates} weight updates, fewer than "
                f"{train.min_updates}: a silent no-op; use a smaller batch_size, more epochs or "
                "more rows (or lower min_updates knowingly)"
            )


def _too_long(study: StudyFile, context: int | None) -> Iterator[str]:
    for name, use in study.stages.items():
        if use.data and context is not None and use.train.max_length > context:
            yield (
                f"{name}.train.max_length: {use.train.max_length} tokens exceed the model's "
                f"context of {context}; set at most {context}"
            )
