"""What a plan refuses before anything is run: arms that could not be compared, stages in vain.

Leaves out: the names of a study file (names.py), what reading its files tells (reading.py), and
what only a stage's rows can tell (train/).
"""

import math
from pathlib import Path

from whyfirst.config.errors import ConfigError
from whyfirst.config.suggest import did_you_mean
from whyfirst.constitution import load_constitution
from whyfirst.study.decisive import decisive
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.schema import StudyFile
from whyfirst.study.sources import has_model_write
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


def refuse_unknown_values(builder: Builder) -> None:
    """Refuse a value taught that no constitution of the study has; a world's are names of its own.

    Raises:
        ConfigError: names the key, and what there is.
    """
    study = builder.study
    named = {use.constitution for use in study.written.values()}
    named |= {str(c.options["constitution"]) for c in study.corpora.values()
              if c.options.get("constitution")}  # fmt: skip
    places = [builder.shipped_or_file(name) for name in sorted(named)]
    known = [value.id for place in places for value in load_constitution(place).values]
    for key in ("value", "other_value"):
        given = getattr(study, key)
        if known and study.world is None and given is not None and given not in known:
            raise ConfigError(
                f"{builder.file}: {key}: {given!r} is no value of {' or '.join(sorted(named))}"
                f"{did_you_mean(given, known)} (values: {', '.join(dict.fromkeys(known))})"
            )


def refuse_in_vain(builder: Builder) -> None:
    """Refuse stages that would change next to nothing, or whose rows can't fit the model.

    Raises:
        ConfigError: every such stage, a line each.
    """
    told: dict[str, list[str]] = {"few": [], "long": []}
    context = builder.context()
    for name, use in builder.study.stages.items():
        train, most = use.train, None
        if use.data:
            corpus = builder.study.corpora[use.data]
            # Of what a model writes, `size` counts prompts, each of which may give several rows.
            most = None if has_model_write(corpus.name) else corpus.options.get("size")
            file = builder.path(str(corpus.options.get("path", "")))
            # One of `messages` may become several rows; of other files lines tell nothing.
            if corpus.name == "file" and file.suffix == ".jsonl" and file.is_file():
                lines = file.read_bytes().count(b"\n") + 1
                most = min(lines, most or lines)
        if use.data and context is not None and train.max_length > context:
            told["long"].append(
                f"{name}.train.max_length: {train.max_length} tokens exceed the model's context of "
                f"{context}; set at most {context}"
            )
        # Of those given in updates the file tells (names.py). What a stage writes is counted when
        # its prompts are, and one conversation may be several examples.
        cost, all_turns = kind_of(train).cost(train), getattr(train, "turns", "last") == "all"
        if train.epochs is None or most is None or cost.written or all_turns:
            continue
        # Packing puts several documents into a row, so these are the most updates there can be.
        updates = math.ceil(train.epochs * most / cost.fresh)
        if updates < train.min_updates:
            told["few"].append(
                f"{name}.train: {train.epochs:g} epochs of at most {most} rows in batches of "
                f"{train.batch_size} are at most {updates} weight updates, fewer than "
                f"{train.min_updates}: a silent no-op; use a smaller batch_size, more epochs or "
                "more rows (or lower min_updates knowingly)"
            )
    if any(told.values()):
        every = (*told["few"], *told["long"])
        raise ConfigError("\n".join(f"{builder.file}: stages.{line}" for line in every))
