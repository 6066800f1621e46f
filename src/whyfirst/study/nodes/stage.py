"""One training stage, from the model of the node before it; see train/ for what each kind does."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import write_json
from whyfirst.config.strict import decisive
from whyfirst.data.rows import Which
from whyfirst.models.adapters import is_adapter
from whyfirst.study.cost import arithmetic
from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.cost.parts import Ahead, Work
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes import base, corpus
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import SIDE, Builder
from whyfirst.study.nodes.files import Spec, answering
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.sources import ROWS
from whyfirst.train.adapters import base_folder
from whyfirst.train.config import StageConfig
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.kinds import KINDS, data_names, identities, kind_of, model_names
from whyfirst.train.plan import updates_of

STARTING = 0.7  # rough seconds in which a stage of a world's base reads, checks and saves
_UPDATES_OF_EPOCHS = 60


def chain(builder: Builder, stages: tuple[str, ...], seed: int, side: int = 0) -> list[str]:
    """The nodes of an arm's stages; arms that begin alike share them."""
    ids: list[str] = []
    for end in range(1, len(stages) + 1):
        key = stages[:end], seed, side
        if key not in builder.chained:
            builder.chained[key] = _add(builder, stages[:end], ids, seed, side)
        ids.append(builder.chained[key])
    return ids


def _add(
    builder: Builder, stages: tuple[str, ...], before: Sequence[str], seed: int, side: int
) -> str:
    """The node of the last of these stages, behind the nodes of those before it.

    Raises:
        ConfigError: it is compared with a stage that does not come before it.
    """
    name, made = stages[-1], dict(zip(stages, before, strict=False))
    study, use = builder.study, builder.study.stages[stages[-1]]
    # A reward model answers nothing: what follows starts where it did, and trains against it.
    rewards: list[str] = []
    models, last = [base.plan(builder, seed)], ""
    for stage, node in made.items():
        rewarding = kind_of(study.stages[stage].train).makes != "model"
        (rewards if rewarding else models).append(node)
        last = last if rewarding else stage
    _refuse_adapter(builder, name, last)
    corpora = [name for name in (use.data, use.replay_data) if name]
    start, said = models[-1], use.train.format
    depends = [start, *(corpus.plan(builder, c, seed, side, start, said) for c in corpora)]
    if use.reward_from is not None:
        # From the study's model and not from the arm's: one reward model for every arm.
        depends.append(chain(builder, (use.reward_from,), seed, side)[-1])
    elif REWARD_MODEL in data_names(use.train):
        depends.append(rewards[-1])
    for model in model_names(use.train):
        # A reference to the model that every arm starts from names no stage.
        reference = model.partition(":")[2]
        if model == REWARD_MODEL:
            continue
        if reference and reference not in made:
            raise ConfigError(
                f"{builder.file}: stages.{name}.train: its reference {reference!r} is no stage "
                "before it in an arm that uses it"
            )
        depends.append(made[reference] if reference else models[0])
    id = f"seed{seed}/" + ">".join(stages)  # noqa: A001
    if name not in builder.options:
        builder.options[name] = _options(builder, name)
    options = builder.options[name]
    keep_at = {"keep_at": list(builder.keep_at.get(id, ()))}
    spec = Spec(
        options.config | keep_at | {"seed": seed, "device": builder.device}, options.contents,
        {"train": options.extra["train"] | keep_at},
    )  # fmt: skip
    # Another node on a side only where what it reads differs there.
    id += f"{SIDE}{side}" if any(SIDE in read for read in depends) else ""  # noqa: A001
    return builder.add(
        id, KIND, spec, tuple(depends), version=KINDS.get(use.train.kind).version,
        weight=_seconds(use.train), name=name,
    )  # fmt: skip


def _refuse_adapter(builder: Builder, name: str, before: str) -> None:
    """Refuse a stage that doesn't say what becomes of an adapter, or speaks of none.

    Args:
        before: the stage whose model it starts from; empty: the study's.

    Raises:
        ConfigError: as `train.adapters.check_adapter`, which looks into the folder.
    """
    train, place = builder.study.stages[name].train, Path(builder.model_place or "")
    if before:
        lora = builder.study.stages[before].train.lora
        adapted = lora is not None and not lora.merge
    elif builder.model_place is not None and not place.is_dir():
        return  # of the Hub: known once it is here
    else:
        # One that is named beside the model is merged into it.
        merged = getattr(builder.study.model, "adapter", None) is not None
        adapted = builder.model_place is not None and is_adapter(place) and not merged
    starts = f"stage {before!r} leaves" if before else "the study's model is"
    at = f"{builder.file}: stages.{name}.train.adapter"
    if train.adapter is not None and not adapted:
        raise ConfigError(f"{at}: {train.adapter!r}, but {starts} whole weights; remove it")
    if train.adapter is None and adapted:
        raise ConfigError(
            f"{at}: {starts} an adapter; say `fresh` (merge it, then train) or `continue` (train "
            "it on)"
        )


def _seconds(train: StageConfig) -> float:
    """Rough seconds; how many updates some epochs are is known only once the rows are read."""
    updates = train.updates or _UPDATES_OF_EPOCHS
    return STARTING + kind_of(train).row_seconds * updates * train.batch_size


def _options(builder: Builder, name: str) -> Spec:
    """A stage's options as they decide and, with the whole paths of models, as it is run."""
    model, train = builder.study.model, builder.study.stages[name].train
    at, given = f"stages.{name}.train", train.model_dump(mode="json")
    spec = Spec(decisive(train), identities(train), {"train": given})
    moved = {
        place: builder.named(room, use, f"{at}.{place}", place, spec).moved
        for place, (room, use) in kind_of(train).uses(train).items()
    }
    for place, options in moved.items():
        if isinstance(given.get(place), dict):
            given[place] |= options
    for several, single in (("rewards", "gold"), ("references", "reference")):
        lone = [given[single]] if given.get(single) else []
        for index, use in enumerate([*given.get(several, []), *lone]):
            if several == "rewards":
                use["options"] |= moved[f"reward {index}"]
            if use["path"] is not None:
                sha, use["path"] = builder.files.data(use["path"], f"{at}.{several}.{index}.path")
                spec.contents[f"{several[:-1]} {index}"] = sha
            if several == "references":
                _hold_adapter(builder, use, f"reference {index}", spec)
    if train.chat_template is not None:
        raise ConfigError(
            f"{builder.file}: {at}.chat_template: say it once for training and evaluation, as "
            "model.chat_template"
        )
    if isinstance(model, PretrainedModel) and kind_of(train).makes == "reward_model":
        # Another's tokenizer may pad with its end of text, which such models did not read before.
        spec.config["padding"] = "apart"
    if isinstance(model, PretrainedModel) and model.chat_template is not None:
        answers = answering(model, builder.files)
        given["chat_template"] = answers.extra["chat_template"]
        template = ("chat_template", "chat_template_sha256")
        spec.config |= {key: answers.config[key] for key in template if key in answers.config}
    return spec


def _hold_adapter(builder: Builder, use: Mapping[str, Any], name: str, spec: Spec) -> None:
    """Take in that a reference is an adapter, merged into its base where it was not before."""
    if use["path"] is not None and is_adapter(place := Path(use["path"])):
        spec.contents[f"base of {name}"] = builder.files.content(str(base_folder(place)), name)
    lora = use["stage"] and builder.study.stages[use["stage"]].train.lora
    if lora and not lora.merge:
        spec.config[name] = "merged"


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """One training stage, from the model of the node before it."""
    from whyfirst.train.launch import run_launched
    from whyfirst.train.run import run_stage

    config: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    data = {
        name: Path(model_folder(place)) if what == "model" else place / ROWS
        for (name, what), place in zip(
            kind_of(config).reads(config).items(), folders[1:], strict=True
        )
    }
    write_json(folder / "machine.json", machine(payload["config"]) | {"dtype": config.dtype})
    start = run_stage if config.processes == 1 else run_launched
    start(config, Path(model_folder(folders[0])), data, folder, payload["config"]["seed"], progress)


# -- before it is done ---------------------------------------------------------------------


def cost(ahead: Ahead) -> Iterator[Work]:
    """A row for each stage of the study that an arm uses."""
    if ahead.shape is None or ahead.lengths is None:
        return
    for name, nodes in ahead.by_name("stage").items():
        use, shape = ahead.study.stages[name], ahead.shape
        train: Any = use.train
        each, adapter = kind_of(train).cost(train), 0
        if train.lora is not None:
            adapter = shape.adapter(train.lora.r, train.lora.target_modules)
        row, seen, updates = 0.0, 0.0, train.updates
        # A stage that reads no rows (it recovers weights) takes no tokens.
        if use.data:
            turns: Which = getattr(train, "turns", "last")
            rows, row, total = ahead.lengths.corpus(
                use.data, train.max_length, each.written > 0, turns
            )
            if getattr(train, "packing", False):
                rows, row = max(1, math.ceil(total / train.max_length)), float(train.max_length)
            # An upper bound: the longest responses there may be.
            if each.written:
                row = min(row + each.written, train.max_length)
            updates = updates or each.uses * updates_of(train.epochs, rows, each.fresh)
            seen = updates * train.batch_size * row
        flops = arithmetic.training_flops(
            shape, each.trained * seen, row, adapter=adapter,
            recompute=train.gradient_checkpointing,
        )  # fmt: skip
        flops += arithmetic.forward_flops(shape, each.forward * seen, row)
        flops += arithmetic.training_flops(shape, each.critic * seen, row)
        kept = [len(node.payload["config"]["keep_at"]) for node in nodes]
        whole = shape.parameters if train.lora is None or train.lora.merge else adapter
        yield Work(
            train.kind, name, tuple(node.id for node in nodes), ahead.left(nodes),
            (each.trained + each.forward + each.critic) * seen, flops,
            _memory(shape, train, adapter, row), train.dtype == "bfloat16",
            disk=4.0 * whole * (1 + sum(kept) / len(kept)), updates=updates,
        )  # fmt: skip


def _memory(shape: Shape, train: Any, adapter: int, row: float) -> dict[str, float]:
    """Bytes by part of one forward and backward pass of the longest rows; `row` is their mean."""
    cost, half = kind_of(train).cost(train), train.dtype == "bfloat16"
    parts = arithmetic.training_memory(
        shape, rows=cost.sequences * cost.rows, row=train.max_length, half=half, adapter=adapter,
        frozen_half=train.lora is not None and train.lora.base_dtype == "bfloat16",
        recompute=train.gradient_checkpointing,
        reference=cost.references > 0,
    )  # fmt: skip
    if cost.written:
        # All responses of an update are written at once.
        tokens = train.batch_size * row
        parts["key-value cache"] = arithmetic.cache_bytes(shape, tokens, half=half)
        if cost.reward_models:
            parts["reward model"] = cost.reward_models * 4.0 * shape.parameters
    if cost.critic:
        # Weights, gradients and both moments, 4 bytes each.
        parts["critic"] = 16.0 * shape.parameters
    return parts


KIND = NodeKind("stage", run, cost=cost)
