"""One training stage, from the model of the node before it; see train/ for what each kind does."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import write_json
from whyfirst.study.cost import arithmetic
from whyfirst.study.cost.arithmetic import Shape
from whyfirst.study.cost.parts import Ahead, Lengths, Work
from whyfirst.study.decisive import decisive
from whyfirst.study.located import answering
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.schema import StudyFile
from whyfirst.study.sources.rows import ROWS
from whyfirst.train.config import StageConfig
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.kinds import KINDS, data_names, identities, kind_of, model_names


def chain(builder: Builder, stages: tuple[str, ...], seed: int, side: int = 0) -> list[str]:
    """The nodes of an arm's stages; a reward model among them serves those behind it."""
    ids: list[str] = []
    before, reward = builder.plan("base", seed), ""
    for index, name in enumerate(stages):
        use = builder.study.stages[name]
        id = f"seed{seed}/" + ">".join(stages[: index + 1])  # noqa: A001
        config = decisive(use.train)
        config["keep_at"] = list(builder.keep_at.get(id, ()))
        corpora = [corpus for corpus in (use.data, use.replay_data) if corpus]
        read = [builder.plan("corpus", corpus, seed, side, before) for corpus in corpora]
        depends = (before, *read)
        if use.reward_from is not None:
            # From the study's model and not from the arm's: one reward model for every arm.
            depends += (chain(builder, (use.reward_from,), seed, side)[-1],)
        elif REWARD_MODEL in data_names(use.train):
            depends += (reward,)
        depends += tuple(
            _reference(builder, name, model, seed, dict(zip(stages, ids, strict=False)))
            for model in model_names(use.train)
            if model != REWARD_MODEL
        )
        outside, train = _rewards(builder, name)
        written, named = _written_with(builder, name)
        config, train = config | written, train | named
        id = builder.on_side(id, side, *depends)  # noqa: A001
        kind = kind_of(use.train)
        node = builder.add(
            id, "stage", config | {"seed": seed, "device": builder.device}, depends,
            version=KINDS.get(use.train.kind).version, outside=outside,
            extra={"train": train | {"keep_at": config["keep_at"]}},
            weight=kind.seconds, name=name,
        )  # fmt: skip
        ids.append(node)
        if kind.makes == "reward_model":  # it answers nothing: the next starts where this did
            reward = node
        else:
            before = node
    return ids


def _reference(builder: Builder, name: str, model: str, seed: int, made: Mapping[str, str]) -> str:
    """The node of a model that a stage is compared with: the base, or an earlier stage's.

    Raises:
        ConfigError: a stage that does not come before this one in the arm.
    """
    _, _, stage = model.partition(":")
    if not stage:
        return builder.plan("base", seed)
    if stage not in made:
        raise ConfigError(
            f"{builder.file}: stages.{name}.train: its reference {stage!r} is no stage before it "
            "in an arm that uses it"
        )
    return made[stage]


def _written_with(builder: Builder, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The model's chat template as a stage holds it: trained with as it is evaluated with."""
    model = builder.study.model
    if builder.study.stages[name].train.chat_template is not None:
        raise ConfigError(
            f"{builder.file}: stages.{name}.train.chat_template: say it once for training and "
            "evaluation, as model.chat_template"
        )
    if not isinstance(model, PretrainedModel) or model.chat_template is None:
        return {}, {}
    identity, runnable = answering(model, builder)
    told = {key: value for key, value in identity.items() if key.startswith("chat_template")}
    return told, {"chat_template": runnable["chat_template"]}


def _rewards(builder: Builder, name: str) -> tuple[dict[str, str], dict[str, Any]]:
    """A stage's options with the whole paths of its reward models, and hashes of what they are."""
    options: dict[str, Any] = builder.study.stages[name].train.model_dump(mode="json")
    contents: dict[str, str] = {}
    gold = [options["gold"]] if options.get("gold") else []
    for index, use in enumerate([*options.get("rewards", []), *gold]):
        if use["path"] is not None:
            used_by = f"stages.{name}.train.rewards.{index}.path"
            contents[f"reward {index}"] = builder.content(use["path"], used_by)
            use["path"] = str(builder.path(use["path"]))
    own = [options["reference"]] if options.get("reference") else []
    for index, use in enumerate([*options.get("references", []), *own]):
        if use["path"] is not None:
            used_by = f"stages.{name}.train.references.{index}.path"
            contents[f"reference {index}"] = builder.content(use["path"], used_by)
            use["path"] = str(builder.path(use["path"]))
    return contents | identities(builder.study.stages[name].train), options


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


@dataclass
class _Passes:
    """Tokens of one stage by what happens to them, in rows of `row` tokens."""

    row: float
    trained: float = 0.0
    forward: float = 0.0
    critic: float = 0.0  # trained in a model of its own


def cost(ahead: Ahead) -> Iterator[Work]:
    """A row for each stage of the study that an arm uses."""
    if ahead.shape is None or ahead.lengths is None:
        return
    for name, nodes in ahead.by_name("stage").items():
        train, shape = ahead.study.stages[name].train, ahead.shape
        adapter = 0
        if train.lora is not None:
            adapter = shape.adapter(train.lora.r, train.lora.target_modules)
        passes = _passes(ahead.study, name, ahead.lengths)
        flops = arithmetic.training_flops(
            shape, passes.trained, passes.row, adapter=adapter,
            recompute=train.gradient_checkpointing,
        )  # fmt: skip
        flops += arithmetic.forward_flops(shape, passes.forward, passes.row)
        flops += arithmetic.training_flops(shape, passes.critic, passes.row)
        kept = [len(node.payload["config"]["keep_at"]) for node in nodes]
        merged = train.lora is None or train.lora.merge
        whole = shape.parameters if merged else adapter
        yield Work(
            train.kind, name, len(nodes), ahead.left(nodes),
            passes.trained + passes.forward + passes.critic, flops,
            _memory(shape, train, adapter, passes.row), train.dtype == "bfloat16",
            disk=4.0 * whole * (1 + sum(kept) / len(kept)),
        )  # fmt: skip


def _passes(study: StudyFile, name: str, lengths: Lengths) -> _Passes:
    """Tokens by pass. A pair has two sides; what generates counts its longest responses."""
    use = study.stages[name]
    train: Any = use.train
    cost = kind_of(train).cost(train)
    if not use.data:  # it reads no rows
        return _Passes(0.0)
    rows, mean, total = lengths.corpus(
        use.data, train.max_length, cost.written > 0, getattr(train, "turns", "last")
    )
    packing = getattr(train, "packing", False)
    if packing:
        rows, mean = max(1, math.ceil(total / train.max_length)), float(train.max_length)
    if cost.written:
        mean = min(mean + cost.written, train.max_length)
    updates = train.updates or math.ceil((train.epochs or 0.0) * rows / cost.fresh)
    seen = updates * train.batch_size * mean
    return _Passes(mean, cost.trained * seen, cost.forward * seen, cost.critic * seen)


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
        tokens = train.batch_size * row  # all responses of an update are written at once
        parts["key-value cache"] = arithmetic.cache_bytes(shape, tokens, half=half)
        if cost.reward_models:
            parts["reward model"] = cost.reward_models * 4.0 * shape.parameters
    if cost.critic:
        parts["critic"] = 16.0 * shape.parameters  # weights, gradients and both moments
    return parts


KIND = NodeKind(None, run, cost=cost)
