"""A study resolved against its files: which nodes it needs, and which arm each speaks for.

`build_plan` refuses what can be told before any work: arms that could not be compared, stages in
vain. Leaves out: what a node is made of (nodes/), the names of a study file (names.py), what is
read of them (reading.py), and what nodes add up to (results/).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from whyfirst.config.bounded import open_file
from whyfirst.config.errors import ConfigError, did_you_mean
from whyfirst.config.strict import decisive
from whyfirst.constitution import load_constitution
from whyfirst.evaluate.benchmark import Metric, benchmark_named
from whyfirst.study.config import NONE, Overrides, Study
from whyfirst.study.execute.graph import LIBRARIES, Node, by_name
from whyfirst.study.execute.pool import device_kind
from whyfirst.study.materials import CorpusUse, ScratchModel
from whyfirst.study.nodes import base, checks, comparison, corpus, evaluation, probe, seam, stage
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.schema import ContrastConfig, StudyFile
from whyfirst.study.sources import CORPORA, has_model_write
from whyfirst.train.kinds import data_names, kind_of
from whyfirst.train.plan import updates_of


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
    study = overrides.read(file)
    refuse_unmatched(study, file)
    libraries = {name: version(name) for name in LIBRARIES}
    builder = Builder(study, file, libraries, device_kind())
    refuse_in_vain(builder)
    refuse_unknown_values(builder)
    if isinstance(study.model, ScratchModel):
        builder.tokenizer_corpus = corpus.plan(builder, study.model.tokenizer_corpus, 0)
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
        (arm, seed): seam.plan(builder, chain[0], study.stages[firsts[arm]].data, seed)
        for (arm, seed), chain in stages.items()
        if arm in firsts and builder.world is None
    }
    comparison.plan_all(builder, stages)
    probe.plan_all(builder, stages, firsts)
    plan = Plan(
        study, file, tuple(builder.nodes.values()),
        {key: tuple(chain) for key, chain in stages.items()},
        evaluations, builder.outside, builder.model_place, overrides, seams,
    )  # fmt: skip
    refuse_empty_cells(plan, reading=False)
    return plan


def _evaluations(
    builder: Builder, stages: Mapping[tuple[str, int], list[str]]
) -> Iterator[EvaluationUse]:
    study = builder.study
    firsts = first_stages(study)
    sides = 1 if builder.world is None else builder.world.sides
    # A curve is of the headline alone: what else is measured takes as long again.
    headline = (metric_of(study, c)[0] for c in study.contrasts if c.name == study.headline)
    curved = next(headline, None) if study.curve else None
    for (arm, seed), first in stages.items():
        for side in range(sides):
            chain = stage.chain(builder, study.arms[arm].stages, seed, side) if side else first
            model = chain[-1] if chain else base.plan(builder, seed)
            dressed = arm if study.arms[arm].dressed else None
            for name in study.benchmarks:
                node = evaluation.plan(builder, model, name, seed, None, dressed, side)
                yield EvaluationUse(node, arm, seed, name)
            # What the first stage taught, at the seam between the stages, and the base before any.
            recall = builder.world.recall if builder.world is not None else None
            if recall is not None and (arm in firsts or not chain):
                taught = chain[0] if chain else model
                node = evaluation.plan(builder, taught, recall, seed, None, None, side)
                yield EvaluationUse(node, arm, seed, recall, seam=True)
            if curved and study.curve and arm in study.curve.arms and seed < study.curve.seeds:
                for step in study.curve.at:
                    node = evaluation.plan(builder, model, curved, seed, step, dressed, side)
                    yield EvaluationUse(node, arm, seed, curved, step)


def cell_size(plan: Plan, contrast: ContrastConfig) -> tuple[int, int] | None:
    """Topics and items of a contrast's cell at one seed, on all sides of its world; None where they
    can't be known yet."""
    name, _ = metric_of(plan.study, contrast)
    first = next(use for use in plan.evaluations if use.benchmark == name)
    topics: set[str] = set()
    items = 0
    for use in plan.evaluations:
        if replace(use, node=first.node) != first:
            continue
        rehearsed = evaluation.rehearsal(plan.by_id[use.node])
        if rehearsed is None:
            return None
        table = rehearsed.tables.get(contrast.metric)
        scores = table.scores(contrast.cell, plan.study.cells) if table else None
        if scores is not None:
            topics |= set(scores.topics.tolist())
            items += len(scores.items)
    return len(topics), items


def metric_of(study: StudyFile, contrast: ContrastConfig) -> tuple[str, Metric]:
    """The contrast's metric, and the benchmark that gives it."""
    given = (
        (name, metric) for name in study.benchmarks for metric in benchmark_named(name).metrics
    )
    return next((name, metric) for name, metric in given if metric.name == contrast.metric)


def unused(plan: Plan) -> list[str]:
    """Parts of the file from which nothing is made: an arm that was to name them names others, or
    probes can't look at it."""
    study, left_out = plan.study, []
    if study.probe is not None and study.probe.arms is None:
        dressed = [name for name, arm in study.arms.items() if arm.dressed]
        said = "probes look at weights alone, and these arms answer through edits or decoding"
        left_out = [f"probe: leaves out {', '.join(dressed)}: {said}"] if dressed else []
    for name, count in study.seeds.items():
        of = study.arms if name == "default" else (name,)
        if count > 1 and all(map(study.lone, of)):
            left_out.append(
                f"seeds.{name}: {count}, and nothing is trained: one model is read once"
            )
    for arm in study.curve.arms if study.curve else ():
        if study.curve and study.curve.seeds > (has := study.seeds_of(arm).stop):
            left_out.append(f"curve.seeds: {study.curve.seeds}, and arm {arm!r} has {has}")
    if study.judge_model and not any("judge_model" in node.payload for node in plan.nodes):
        left_out.append("judge_model: nobody asks it: no judge, decoding or corpus needs a model")
    rooms = (("stages", "stage"), ("corpora", "corpus"), ("written", "written"))
    return left_out + [
        f"{room}.{name}: no arm uses it, so that nothing is made of it"
        for room, kind in rooms
        for name in sorted(set(getattr(study, room)) - set(by_name(plan.nodes, kind)))
    ]


def refuse_empty_cells(plan: Plan, *, reading: bool) -> None:
    """Refuse a study one of whose contrasts would compare nothing.

    Args:
        reading: read data for it too, where a contrast is on a part of a benchmark (the whole of
            one is empty only where the benchmark itself refuses its data).

    Raises:
        ConfigError: names the contrast and its cell.
    """
    for contrast in plan.study.contrasts:
        name, _ = metric_of(plan.study, contrast)
        has_data = plan.study.benchmarks[name].data is not None
        if has_data and (not reading or contrast.cell == "*/*"):
            continue
        if cell_size(plan, contrast) == (0, 0):
            raise ConfigError(
                f"{plan.file}: contrasts: {contrast.name}: no item of {contrast.metric!r} is in "
                f"cell {contrast.cell!r}; choose another cell, or raise the benchmark's `limit`"
            )


def refuse_unknown_parts(plan: Plan) -> None:
    """Refuse a framing of a group, or a split of a contrast, that no item has, and a group that is
    called like a framing.

    A cell takes what is there of what it names, so a misspelt part would be left out in silence.
    Those of a world are known without asking (names.py), and a trial may have any of them cut off.

    Raises:
        ConfigError: names the key, and what there is.
    """
    study, found = plan.study, evaluation.rehearsals(plan.nodes)
    if study.world is not None:
        return
    tables = {metric: table for one in found.values() for metric, table in one.tables.items()}
    framings = {name for table in tables.values() for name in table.framings if name}
    for group in study.cells:
        # A cell looks for groups first: a contrast on the framing would be one on the group.
        if group in framings:
            raise ConfigError(
                f"{plan.file}: cells.{group}: is a framing's own name; give the group another, as "
                "`unseen`"
            )
    # What can't be rehearsed may have parts of any name.
    if plan.overrides.limit is not None or set(study.benchmarks) - {*found}:
        return
    named = [(f"cells.{group}", "framing", name, framings)
             for group, names in study.cells.items() for name in names]  # fmt: skip
    for contrast in study.contrasts:
        split, table = contrast.cell.split("/", 1)[0], tables.get(contrast.metric)
        if split != "*" and table is not None:
            known = {name for name in table.splits if name}
            at = f"contrasts: {contrast.name}: cell {contrast.cell!r}"
            named += [(at, "split", name, known) for name in split.split("+")]
    for at, part, name, known in named:
        if name not in known:
            raise ConfigError(
                f"{plan.file}: {at}: no item has the {part} {name!r}{did_you_mean(name, known)} "
                f"({part}s: {', '.join(sorted(known)) or 'none'})"
            )


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
    places = [builder.files.shipped_or_file(name) for name in sorted(named)]
    known = [value.id for place in places for value in load_constitution(place).values]
    for key in ("value", "other_value"):
        given = getattr(study, key)
        if known and study.world is None and given is not None and given not in known:
            raise ConfigError(
                f"{builder.file}: {key}: {given!r} is no value of {' or '.join(sorted(named))}"
                f"{did_you_mean(given, known)} (values: {', '.join(dict.fromkeys(known))})"
            )


def _most_rows(builder: Builder, corpus: CorpusUse) -> int | None:
    """How many rows a corpus has at most, as far as its file tells; None where that isn't known."""
    kept = corpus.select.n if corpus.select is not None else None
    several = CORPORA.get(corpus.name).facts.get("several", lambda options: False)
    # Of what a model writes, `size` counts prompts; a transform may make several rows of one.
    if corpus.transforms or has_model_write(corpus.name) or several(corpus.options):
        return kept
    counts = [kept, corpus.options.get("size")]
    file = builder.files.path(str(corpus.options.get("path", "")))
    # One of `messages` may become several rows; of other files lines tell nothing.
    if corpus.name == "file" and file.suffix == ".jsonl" and file.is_file():
        with open_file(file) as lines:
            counts.append(sum(1 for line in lines if line.strip()))
    return min((count for count in counts if count is not None), default=None)


def refuse_in_vain(builder: Builder) -> None:
    """Refuse stages that would change next to nothing, or whose rows can't fit the model.

    Raises:
        ConfigError: every such stage, a line each.
    """
    told: dict[str, list[str]] = {"few": [], "long": []}
    context = builder.context()
    for name, use in builder.study.stages.items():
        train = use.train
        most = _most_rows(builder, builder.study.corpora[use.data]) if use.data else None
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
        updates = updates_of(train.epochs, most, cost.fresh)
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
