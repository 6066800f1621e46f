"""A study resolved against its files: which nodes it needs, and which arm each speaks for.

`build_plan` refuses what can be told before any work. Leaves out: what a node is made of
(builder.py), what is refused (checks.py, names.py), running nodes (kinds.py) and what they add up
to (results/).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.study.config import Study, load_study
from whyfirst.study.execute.graph import LIBRARIES, Node
from whyfirst.study.execute.pool import device_kind
from whyfirst.study.overrides import NONE, Overrides
from whyfirst.study.planning import probes
from whyfirst.study.planning.builder import Builder
from whyfirst.study.planning.checks import first_stages, refuse_in_vain, refuse_unmatched
from whyfirst.study.planning.sizes import refuse_empty_cells
from whyfirst.train.kinds import data_names

RECALL = "hearth_recall"


@dataclass(frozen=True)
class EvaluationUse:
    """Which arm, seed and update an evaluation node speaks for."""

    node: str
    arm: str
    seed: int
    benchmark: str
    step: int | None = None


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
    """

    study: Study
    file: Path
    nodes: tuple[Node, ...]
    stages: Mapping[tuple[str, int], tuple[str, ...]]
    evaluations: tuple[EvaluationUse, ...]
    outside: Mapping[str, str]
    model_place: str | None = None
    overrides: Overrides = NONE

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}


def _evaluations(
    builder: Builder, stages: Mapping[tuple[str, int], list[str]]
) -> Iterator[EvaluationUse]:
    study = builder.study
    benchmarks = [BENCHMARKS.get(name) for name in study.benchmarks]
    for (arm, seed), chain in stages.items():
        model = chain[-1] if chain else "base"
        for benchmark in benchmarks:
            node = builder.evaluation(model, benchmark, seed, None)
            yield EvaluationUse(node, arm, seed, benchmark.name)
        first = study.arms[arm][:1]
        explains = bool(first) and "documents" in data_names(study.stages[first[0]].train)
        if study.world is not None and (explains or not chain):
            node = builder.evaluation(
                chain[0] if chain else "base", BENCHMARKS.get(RECALL), seed, None
            )
            yield EvaluationUse(node, arm, seed, RECALL)
        if study.curve and arm in study.curve.arms and seed < study.curve.seeds:
            for step in study.curve.at:
                for benchmark in benchmarks:
                    node = builder.evaluation(model, benchmark, seed, step)
                    yield EvaluationUse(node, arm, seed, benchmark.name, step)


def build_plan(file: Path, overrides: Overrides = NONE) -> Plan:
    """Read a study file and resolve it into its graph.

    Raises:
        ConfigError, DataError: a mistake in the file or a missing data file, before any work.
    """
    study = overrides.apply(load_study(file), file)
    refuse_unmatched(study, file)
    builder = Builder(study, file, {name: version(name) for name in LIBRARIES}, device_kind())
    refuse_in_vain(study, file, builder.context(), builder.most_rows())
    if study.curve:
        for arm in study.curve.arms:
            for seed in range(study.curve.seeds):
                chain = ">".join(study.arms[arm])
                builder.keep_at[f"seed{seed}/{chain}"] = study.curve.at
    stages = {
        (arm, seed): builder.chain(names, seed)
        for arm, names in study.arms.items()
        for seed in study.seeds_of(arm)
    }
    builder.check_overlap()
    firsts = first_stages(study)
    for seed in range(max(study.seeds_of(arm).stop for arm in study.arms)):
        # In the order of the arms, each stage once.
        own = dict.fromkeys(s for arm, s in firsts.items() if seed in study.seeds_of(arm))
        builder.check_matched(tuple(own), seed)
    evaluations = tuple(_evaluations(builder, stages))
    probes.add(builder, stages)
    plan = Plan(
        study,
        file,
        tuple(builder.nodes.values()),
        {key: tuple(chain) for key, chain in stages.items()},
        evaluations,
        builder.outside,
        builder.model_place,
        overrides,
    )
    refuse_empty_cells(plan, reading=False)
    return plan
