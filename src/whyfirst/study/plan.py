"""A study resolved against its files: which nodes it needs, and which arm each speaks for.

`build_plan` refuses what can be told before any work. Leaves out: what a node is made of (nodes/),
what is refused (refusals.py, names.py), and what nodes add up to (results/).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from whyfirst.config.errors import ConfigError
from whyfirst.constitution import load_constitution
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.study.config import Study, load_study
from whyfirst.study.execute.graph import LIBRARIES, Node
from whyfirst.study.execute.pool import device_kind
from whyfirst.study.nodes import KINDS, checks, comparison, evaluation, probe, stage
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.overrides import NONE, Overrides
from whyfirst.study.refusals import (
    first_stages,
    refuse_in_vain,
    refuse_unknown_values,
    refuse_unmatched,
)
from whyfirst.study.schema import ContrastConfig, StudyFile
from whyfirst.study.sources import has_model_write


@dataclass(frozen=True)
class EvaluationUse:
    """Which arm, seed and update an evaluation node speaks for.

    `seam` says that it measures what the first stage taught, and not how the arm does.
    """

    node: str
    arm: str
    seed: int
    benchmark: str
    step: int | None = None
    seam: bool = False


@dataclass(frozen=True)
class Plan:
    """A study resolved against the files it names.

    Attributes:
        nodes: the graph, each node once.
        stages: (arm, seed) -> ids of its stage nodes in order.
        evaluations: every use of an evaluation node, by arm and seed.
        outside: content hashes of the files the study reads, by node and role.
        model_place: folder or Hub id of the model it starts from; None where there is none yet.
        overrides: what the command line changed in the study.
        seams: (arm, seed) -> the node that measures its first stage, on models of no world.
    """

    study: Study
    file: Path
    nodes: tuple[Node, ...]
    stages: Mapping[tuple[str, int], tuple[str, ...]]
    evaluations: tuple[EvaluationUse, ...]
    outside: Mapping[str, str]
    model_place: str | None = None
    overrides: Overrides = NONE
    seams: Mapping[tuple[str, int], str] = field(default_factory=dict)

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}


def build_plan(file: Path, overrides: Overrides = NONE) -> Plan:
    """Read a study file and resolve it into its graph.

    Raises:
        ConfigError, DataError: a mistake in the file or a missing data file, before any work.
    """
    study = overrides.apply(load_study(file), file)
    refuse_unmatched(study, file)
    libraries = {name: version(name) for name in LIBRARIES}
    builder = Builder(study, file, KINDS, libraries, device_kind())
    refuse_in_vain(study, file, builder.context(), _most_rows(builder))
    named = {use.constitution for use in study.written.values()}
    named |= {str(c.options["constitution"]) for c in study.corpora.values()
              if c.options.get("constitution")}  # fmt: skip
    refuse_unknown_values(study, file, {
        name: tuple(v.id for v in load_constitution(builder.shipped_or_file(name)).values)
        for name in sorted(named)
    })  # fmt: skip
    if study.curve:
        for arm in study.curve.arms:
            chain = ">".join(study.arms[arm].stages)
            for seed in range(study.curve.seeds):
                builder.keep_at[f"seed{seed}/{chain}"] = study.curve.at
    stages = {
        (arm, seed): stage.chain(builder, use.stages, seed)
        for arm, use in study.arms.items()
        for seed in study.seeds_of(arm)
    }
    checks.plan_overlaps(builder)
    firsts = first_stages(study)
    for seed in range(max(study.seeds_of(arm).stop for arm in study.arms)):
        # In the order of the arms, each stage once.
        here = dict.fromkeys(s for arm, s in firsts.items() if seed in study.seeds_of(arm))
        checks.plan_match(builder, tuple(here), seed)
    evaluations = tuple(_evaluations(builder, stages))
    seams = {
        (arm, seed): builder.plan("seam", chain[0], study.stages[firsts[arm]].data, seed)
        for (arm, seed), chain in stages.items()
        if arm in firsts and builder.world is None
    }
    comparison.plan_all(builder, stages)
    probe.plan_all(builder, stages)
    plan = Plan(
        study,
        file,
        tuple(builder.nodes.values()),
        {key: tuple(chain) for key, chain in stages.items()},
        evaluations,
        builder.outside,
        builder.model_place,
        overrides,
        seams,
    )
    refuse_empty_cells(plan, reading=False)
    return plan


def _most_rows(builder: Builder) -> dict[str, int | None]:
    """The most rows each corpus can have, where that costs next to nothing to know."""
    most: dict[str, int | None] = {}
    for name, corpus in builder.study.corpora.items():
        # Of what a model writes, `size` counts prompts, each of which may give several rows.
        most[name] = None if has_model_write(corpus.name) else corpus.options.get("size")
        file = builder.path(str(corpus.options.get("path", "")))
        # One of `messages` may become several rows; of other files lines tell nothing.
        if corpus.name == "file" and file.suffix == ".jsonl" and file.is_file():
            lines = file.read_bytes().count(b"\n") + 1
            most[name] = min(lines, most[name] or lines)
    return most


def _evaluations(
    builder: Builder, stages: Mapping[tuple[str, int], list[str]]
) -> Iterator[EvaluationUse]:
    study = builder.study
    firsts = first_stages(study)
    sides = 1 if builder.world is None else builder.world.sides
    for (arm, seed), first in stages.items():
        for side in range(sides):
            chain = stage.chain(builder, study.arms[arm].stages, seed, side) if side else first
            model = chain[-1] if chain else builder.plan("base", seed)
            dressed = arm if study.arms[arm].dressed else None
            for name in study.benchmarks:
                node = builder.plan("evaluation", model, name, seed, None, dressed, side)
                yield EvaluationUse(node, arm, seed, name)
            # What the first stage taught, at the seam between the stages, and the base before any.
            recall = builder.world.recall if builder.world is not None else None
            if recall is not None and (arm in firsts or not chain):
                taught = chain[0] if chain else model
                node = builder.plan("evaluation", taught, recall, seed, None, None, side)
                yield EvaluationUse(node, arm, seed, recall, seam=True)
            if study.curve and arm in study.curve.arms and seed < study.curve.seeds:
                # A curve is of the headline alone: what else is measured takes as long again.
                for name in {_owner(study, c) for c in study.contrasts if c.name == study.headline}:
                    for step in study.curve.at:
                        node = builder.plan("evaluation", model, name, seed, step, dressed, side)
                        yield EvaluationUse(node, arm, seed, name, step)


def cell_size(plan: Plan, contrast: ContrastConfig) -> tuple[int, int] | None:
    """Topics and items of a contrast's cell at one seed; None where they can't be known yet."""
    name = _owner(plan.study, contrast)
    node = next(use.node for use in plan.evaluations if use.benchmark == name)
    found = evaluation.rehearsal(plan.by_id[node])
    if found is None:
        return None
    table = found.tables.get(contrast.metric)
    scores = table.scores(contrast.cell, plan.study.cells) if table else None
    return (0, 0) if scores is None else (len(set(scores.topics.tolist())), len(scores.items))


def _owner(study: StudyFile, contrast: ContrastConfig) -> str:
    """The benchmark that gives the contrast's metric."""
    return next(
        name
        for name in study.benchmarks
        if any(metric.name == contrast.metric for metric in benchmark_named(name).metrics)
    )


def refuse_empty_cells(plan: Plan, *, reading: bool) -> None:
    """Refuse a study one of whose contrasts would compare nothing.

    Args:
        reading: read data for it too, where a contrast is on a part of a benchmark (the whole of
            one is empty only where the benchmark itself refuses its data).

    Raises:
        ConfigError: names the contrast and its cell.
    """
    for contrast in plan.study.contrasts:
        has_data = plan.study.benchmarks[_owner(plan.study, contrast)].data is not None
        if has_data and (not reading or contrast.cell == "*/*"):
            continue
        if cell_size(plan, contrast) == (0, 0):
            raise ConfigError(
                f"{plan.file}: contrasts: {contrast.name}: no item of {contrast.metric!r} is in "
                f"cell {contrast.cell!r}; choose another cell, or raise the benchmark's `limit`"
            )
