"""One benchmark on one model, as an arm answers with it: an item result a line, and who judged.

Leaves out: the benchmarks (evaluate/), and the methods put round a model (models/).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import write_json, write_jsonl
from whyfirst.config.plugins import source_of
from whyfirst.config.room import Room, Use
from whyfirst.config.strict import decisive
from whyfirst.evaluate.benchmark import BENCHMARKS, Benchmark, Task, benchmark_named
from whyfirst.evaluate.comparison import Compared
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import SCORERS, asks_a_model, grades, make_scorer
from whyfirst.evaluate.short import use_of_text
from whyfirst.models.base import LanguageModel
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.budget import Budget
from whyfirst.models.edits import EDITS
from whyfirst.models.embed import encoder_of
from whyfirst.study.cost import arithmetic
from whyfirst.study.cost.parts import (
    CHARACTERS,
    Ahead,
    Calls,
    Counting,
    Rehearsal,
    Tally,
    Work,
    rehearse,
)
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.store import Incomplete
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes.base import asked_id
from whyfirst.study.nodes.builder import SIDE, Builder
from whyfirst.study.nodes.files import Spec, answering, locate
from whyfirst.study.nodes.kind import NodeKind, Progress
from whyfirst.study.nodes.within import answering_as, scores_alone, within_decoding
from whyfirst.train.rewards import REWARDS

SECONDS = 1.5
BATCH_TOKENS = 16384  # what LocalModel computes at once on a GPU


def plan(
    builder: Builder, model: str, name: str, seed: int, step: int | None = None,
    arm: str | None = None, side: int = 0,
) -> str:  # fmt: skip
    """The node that scores one model.

    Args:
        step: its weights after so many updates; None after all.
        arm: the arm that answers, where it puts something round its model.
        side: of the study's world, whose newcomers' value it is scored by.
    """
    benchmark, spec = benchmark_named(name), asking(builder, name)
    spec.config["step"] = step
    answered_by(builder, spec)
    if "source" in spec.contents:
        # What a user's own benchmark may score with by default, only its code could tell.
        for scorer in SCORERS.entries():
            if not benchmark.questions or scorer.facts.get("question") in benchmark.questions:
                sha = source_of(scorer.function) or scorer.version
                spec.contents[f"scorer {scorer.name}"] = sha
    if benchmark.questions:
        _judged_by(builder, benchmark, spec)
    spec.config |= builder.in_world(seed, side)
    if arm is not None:
        put_round(builder, arm, spec)
    id = f"{asked_id(model, seed, arm, builder.world is not None)}/{name}"  # noqa: A001
    id += "" if step is None else f"@{step}"  # noqa: A001
    id += f"{SIDE}{side}" if side else ""  # noqa: A001
    return builder.add(
        id, KIND, spec, (model,), version=benchmark.version, weight=SECONDS, name=name
    )


def asking(builder: Builder, name: str) -> Spec:
    """What a benchmark asks: its options, and its files (``data`` and its own) by their content.

    The source of one that isn't ours is among its contents.
    """
    use = builder.study.benchmarks.get(name)
    if use is None:
        source = source_of(BENCHMARKS.get(name).function)
        return Spec({"benchmark": name}, {"source": source} if source else {})
    if name not in builder.asked:
        given = Use.model_validate({"name": name, **use.options})
        found = builder.method(BENCHMARKS, given, f"benchmarks.{name}")
        moved = {place: found.extra[place] for place in found.places}
        extra = {"path": moved.pop("data")} if "data" in moved else {}
        options = {k: v for k, v in (decisive(use) | use.own).items() if k not in moved}
        extra |= {"files": moved} if moved else {}
        options |= {"nulls": use.nulls} if use.nulls else {}
        builder.asked[name] = Spec(options | {"benchmark": name}, found.contents, extra)
    one = builder.asked[name]
    return Spec(dict(one.config), dict(one.contents), dict(one.extra))


def answered_by(builder: Builder, spec: Spec) -> None:
    """Put into a node how the study's models answer."""
    model = builder.study.model
    if isinstance(model, PretrainedModel) and model.endpoint is not None:
        spec.extra["model"] = locate(model, "model", builder.files).extra
        return
    spec.config["device"] = builder.device
    if isinstance(model, PretrainedModel):
        answers = answering(model, builder.files)
        spec.config |= answers.config
        spec.extra["model"] = answers.extra


def put_round(builder: Builder, arm: str, spec: Spec) -> None:
    """Put an arm's edits and decoding into a node that asks its model."""
    for room, key in ((EDITS, "edits"), (DECODINGS, "decoding")):
        for number, use in enumerate(getattr(builder.study.arms[arm], key)):
            at, entry = f"arms.{arm}.{key}.{number}", room.get(use.name)
            method = builder.method(room, use, at)
            decides = {"name": use.name, "version": entry.version, "options": method.config}
            spec.config.setdefault(key, []).append(decides)
            spec.extra.setdefault(key, []).append(method.extra)
            spec.hold(f"{key} {number}", method.contents)
            if "score" in entry.context:
                # As text or as keys.
                values = (v if isinstance(v, list | tuple | dict) else (v,)
                          for v in method.config.values())  # fmt: skip
                given = {str(part) for value in values for part in value}
                for reward in sorted(given & set(REWARDS.names())):
                    if problem := scores_alone(reward):
                        raise ConfigError(f"{builder.file}: {at}: the reward {reward!r} {problem}")
                    scorer = REWARDS.get(reward)
                    if source := source_of(scorer.function):
                        spec.contents[f"source of reward {reward}"] = source
                    elif scorer.version != "1":  # as fingerprints are from before it counted
                        spec.contents[f"version of reward {reward}"] = scorer.version
            if encoder := encoder_of([entry.context]):
                spec.config["embedding"] = encoder
            if asks_judge(builder, room, use, "judge_model"):
                ask_judge_model(builder, f"{at}: {use.name!r}", spec)


def asks_judge(builder: Builder, room: Room[Any], use: Use, asked: str = "model") -> bool:
    """Whether a method asks the study's `judge_model`: it can't do without, or there is one.

    Args:
        asked: what the method calls it.
    """
    entry = room.get(use.name)
    for name, inner in entry.facts.get("methods", {}).items():
        if asks_judge(builder, inner, use_of_text(inner, getattr(room.filled(use), name))):
            return True
    needed = any(p.name == asked and p.default is p.empty for p in entry.parameters)
    return needed or (asked in entry.context and builder.study.judge_model is not None)


def _judged_by(builder: Builder, benchmark: Benchmark, spec: Spec) -> None:
    """Put a benchmark's judges into its evaluation.

    Raises:
        ConfigError: a judge that answers no question of the benchmark, or asks a model where the
            study names none.
    """
    use = builder.study.benchmarks.get(benchmark.name)
    at = f"benchmarks.{benchmark.name}.judges"
    named = [_named_judge(judge, at, builder) for judge in (use.judges if use else ())]
    for judge, _, question in named:
        if question not in benchmark.questions:
            raise ConfigError(
                f"{builder.file}: {at}: {judge!r} says whether a response is {question!r}, and the "
                f"benchmark asks whether it is {' or '.join(map(repr, benchmark.questions))}"
            )
        source = source_of(SCORERS.get(judge.partition(":")[0]).function)
        spec.contents |= {f"source of judge {judge}": source} if source else {}
        if asks_a_model(judge):
            ask_judge_model(builder, f"{at}: {judge!r}", spec)
    # A share of what a judge grades was the mean of its grades before it was one of passes.
    shares = any(metric.unit == "proportion" for metric in benchmark.metrics)
    if shares and any(grades(judge) for judge, _, _ in named):
        spec.config["shares"] = "of passes"
    # The rules judge where no other does, so their version counts as well.
    rules = _named_judge("rules", at, builder)
    spec.config["judges"] = [identity for _, identity, _ in (*named, rules)]
    spec.extra["judges"] = [judge for judge, _, _ in named]


def ask_judge_model(builder: Builder, asking: str, spec: Spec) -> None:
    """Put the study's `judge_model` into a node.

    Raises:
        ConfigError: the study names none, and what is `asking` can't do without.
    """
    model = builder.study.judge_model
    if model is None:
        raise ConfigError(f"{builder.file}: {asking} asks a model: name it as `judge_model`")
    found, answers = locate(model, "judge_model", builder.files), answering(model, builder.files)
    spec.config["judge_model"] = found.config | answers.config
    spec.extra["judge_model"] = found.extra | answers.extra
    spec.hold("judge", found.contents)


def _named_judge(spec: str, used_by: str, builder: Builder) -> tuple[str, dict[str, str], str]:
    """The judge called ``name`` or ``name:argument``, without loading a classifier or a model.

    Returns:
        How `make_scorer` makes it, what of it enters a fingerprint, and what its pass means.

    Raises:
        UserError: no such judge, or an argument it doesn't take.
    """
    name, _, argument = spec.partition(":")
    entry = SCORERS.get(name)
    facts = entry.facts
    # Weights say nothing of how they are asked.
    version = {} if entry.version == "1" else {"version": entry.version}
    place, _, label = argument.partition("#")
    if "models" in facts and place and builder.files.path(place).is_dir():
        found = builder.method(SCORERS, use_of_text(SCORERS, spec), used_by)
        (option,) = facts["models"]
        content = builder.files.content(place, used_by)
        identity = {"judge": name, "label": label, "content": content} | version
        return f"{name}:{found.extra[option]}", identity, facts["question"]
    # Others' fingerprints hold what loading them tells.
    if facts.get("fetched_late") and "/" in argument:
        return spec, {"judge": spec} | version, facts["question"]
    # A judge built on a model that is never asked tells its name and version.
    judge, bare = (make_scorer(one, Counting(talks=False)) for one in (spec, name))
    identity = {"judge": judge.name, "version": judge.version}
    # Most say their argument in one of them; where none does, it counts itself.
    if argument and identity == {"judge": bare.name, "version": bare.version}:
        identity["argument"] = argument
    return spec, identity, judge.question


def task_of(payload: Mapping[str, Any]) -> Task:
    """What a node's payload makes its benchmark ask."""
    config, files = payload["config"], dict(payload.get("files", {}))
    declared = benchmark_named(config["benchmark"])
    options = {name: config[name] for name in declared.options if name in config} | files
    if payload.get("path") is not None:
        options["data"] = payload["path"]
    return declared.task(
        seed=config.get("seed", 0), world=config.get("world_seed"), nulls=config.get("nulls", ()),
        **options,
    )  # fmt: skip


def run(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """Ask, judge and write: an item result a line, and what answered and judged."""
    task = task_of(payload)
    with answering_as(payload, folders, folder) as asked:
        judges = [make_scorer(spec, asked.judge) for spec in payload.get("judges", ())]
        results = task.run(asked.model, judges, progress)
    benchmark = benchmark_named(payload["config"]["benchmark"])
    write_items(folder / "items.jsonl", results)
    write_json(folder / "evaluation.json", {
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "chat_template": asked.model.chat_template if asked.model.chats else None,
        "judges": sorted({result.judge for result in results if result.judge}),
    })  # fmt: skip
    write_json(folder / "machine.json", asked.record)
    return still_to_ask(results)


def still_to_ask(results: Sequence[ItemResult | Compared]) -> Incomplete | None:
    """The items that have no answer for a reason that passes, as a server that was down.

    Endpoints' replies are kept by the store, so that asking again asks for these alone.
    """
    passing = [one for one in results if one.transient]
    if not passing:
        return None
    missing, items = {one.id for one in passing}, {one.id for one in results}
    return Incomplete(len(missing), len(items), str(passing[0].reason))


def write_items(path: Path, results: Iterable[Any]) -> None:
    """Item results, without the fields that are empty."""
    rows = (result.to_json() for result in results)
    write_jsonl(path, ({k: v for k, v in row.items() if v is not None} for row in rows))


# -- before it is done ---------------------------------------------------------------------


def rehearsal(node: Node) -> Rehearsal | None:
    """An evaluation's run on nothing, once in a process for each design.

    A benchmark of another package that can't answer to a model without answers gives None.

    Raises:
        UserError: its data can't be read, or hold nothing.
    """
    payload = node.payload
    return rehearse(node.fingerprint, payload.get("judges", ()), partial(task_of, payload))


def rehearsals(nodes: Iterable[Node]) -> dict[str, Rehearsal]:
    """Benchmark -> the rehearsal of its first evaluation, for those that can be rehearsed."""
    found = {name: rehearsal(first) for name, (first, *_) in by_name(nodes, "evaluation").items()}
    return {name: one for name, one in found.items() if one is not None}


def by_methods(nodes: Iterable[Node]) -> list[list[Node]]:
    """Nodes of one name in groups that answer by the same methods with the same options."""
    alike: dict[str, list[Node]] = {}
    for node in nodes:
        alike.setdefault(json.dumps(node.payload.get("decoding", [])), []).append(node)
    return list(alike.values())


def asked_by_methods(
    node: Node, plain: Tally, ask: Callable[[LanguageModel], object]
) -> tuple[Tally, Tally]:
    """What an arm's decoding asks of its model and of the judges' model for what it is asked.

    Both give the longest answers there may be. A method that reads its model's tokens or states
    can't be rehearsed, and counts as plain.
    """
    model, judge = Counting(talks=True), Counting(talks=True)
    if not node.payload.get("decoding"):
        return plain, judge.asked
    try:
        ask(within_decoding(node.payload, model, judge, Budget()))
    except Exception:  # made for another model than one that only counts
        return plain, Tally()
    return (model.asked if model.asked.calls else plain), judge.asked


def methods_in_words(node: Node) -> str:
    """The methods its model answers by, with the options that aren't at their default."""
    found = []
    for use in node.payload.get("decoding", ()):
        options = [o for o in DECODINGS.get(use["name"]).options if use.get(o.name) != o.default]
        given = ", ".join(f"{option.name}={use.get(option.name)}" for option in options)
        found.append(use["name"] + (f" ({given})" if given else ""))
    return ", ".join(found)


def answering_work(ahead: Ahead, nodes: list[Node], asked: Tally, disk: float) -> Iterator[Work]:
    """What nodes that answer alike take, each asking so much; nothing of an unknown model."""
    if ahead.shape is None:
        return
    half = getattr(ahead.study.model, "dtype", None) in ("bfloat16", "float16")
    memory = {
        "weights": float(ahead.shape.parameters * (2 if half else 4)),
        "key-value cache": arithmetic.cache_bytes(ahead.shape, BATCH_TOKENS, half=half),
    }
    tokens = asked.read / CHARACTERS + asked.generated
    flops = arithmetic.forward_flops(ahead.shape, tokens, asked.longest / CHARACTERS)
    methods = methods_in_words(nodes[0])
    yield Work(
        nodes[0].kind, nodes[0].name + (f" by {methods}" if methods else ""),
        tuple(node.id for node in nodes), ahead.left(nodes), tokens, flops, memory, half, disk=disk,
    )  # fmt: skip


def cost(ahead: Ahead) -> Iterator[Work | Calls]:
    """What each benchmark takes, and what it and the arms' methods ask model judges.

    Judges without a model (rules, classifiers) ask nobody.
    """
    by_name = ahead.by_name("evaluation")
    for name, found in rehearsals(ahead.nodes).items():
        nodes, use = by_name[name], ahead.study.benchmarks.get(name)
        if use is not None:
            yield from _calls(ahead, nodes, found.judging, use.judges)
        for alike in by_methods(nodes):
            ask = partial(_unjudged, alike[0].payload)
            asked, judging = asked_by_methods(alike[0], found.asked, ask)
            yield from answering_work(ahead, alike, asked, found.bytes)
            yield from _calls(ahead, alike, judging, (methods_in_words(alike[0]),))


def _unjudged(payload: Mapping[str, Any], model: LanguageModel) -> object:
    return task_of(payload).run(model, [], lambda *_: None)


def _calls(
    ahead: Ahead, nodes: list[Node], asked: Tally, judges: tuple[str, ...]
) -> Iterator[Calls]:
    model, left = nodes[0].payload.get("judge_model"), ahead.left(nodes)
    if model is not None and asked.calls:
        read, written = round(asked.read / CHARACTERS) * left, asked.generated * left
        yield Calls.of(model, asked.calls * left, read, written, nodes[0].name, judges)


KIND = NodeKind("evaluation", run, cost=cost)
