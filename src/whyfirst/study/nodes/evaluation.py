"""One benchmark on one model, as an arm answers with it: an item result a line, and who judged.

Leaves out: the benchmarks (evaluate/), and the methods put round a model (models/).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import write_json, write_jsonl
from whyfirst.config.room import Use
from whyfirst.config.source import source_of
from whyfirst.evaluate.benchmark import BENCHMARKS, Benchmark, Task, benchmark_named
from whyfirst.evaluate.comparison import Compared
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import SCORERS, asks_a_model, make_scorer
from whyfirst.models.base import LanguageModel
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.budget import Budget
from whyfirst.models.edits import EDITS
from whyfirst.models.embed import embedder, lexical
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.cost import arithmetic
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Calls, Work, price, work_name
from whyfirst.study.cost.rehearsal import Asked, Counting, Rehearsal, rehearse
from whyfirst.study.decisive import decisive
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import REPLIES, Incomplete
from whyfirst.study.located import answering, locate
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import SIDE, Builder
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.nodes.within import within_decoding
from whyfirst.study.results.spending import usage_of
from whyfirst.train.rewards import REWARDS

SECONDS = 1.5
BATCH_TOKENS = 16384  # what LocalModel computes at once on a GPU
_CLASSIFIER = "classifier"


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
    benchmark, use = benchmark_named(name), builder.study.benchmarks.get(name)
    config: dict[str, Any] = decisive(use) | use.own if use else {}
    config |= {"benchmark": name, "step": step}
    outside, extra = answered_by(builder, config)
    if use and use.data is not None:
        outside["data"] = builder.content(use.data, f"benchmarks.{name}.data")
        extra["path"] = str(builder.path(use.data))
    source = source_of(BENCHMARKS.get(name).function)
    if source:
        outside |= {"source": source} | _scorers_at_hand(benchmark)
    _judged_by(builder, benchmark, config, outside, extra)
    config |= builder.in_world(seed, side)
    place = model
    if builder.world is not None and model == "base":
        # A seed asks about its own part of the world, so the one base is evaluated once a seed.
        place = f"base/seed{seed}"
    if arm is not None:
        place += f"+{arm}"
        put_round(builder, arm, config, outside, extra)
    id = f"{place}/{name}" + ("" if step is None else f"@{step}")  # noqa: A001
    id += f"{SIDE}{side}" if side else ""  # noqa: A001
    return builder.add(
        id, "evaluation", config, (model,), version=benchmark.version,
        outside=outside, extra=extra, weight=SECONDS, name=name,
    )  # fmt: skip


def answered_by(builder: Builder, config: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """What an evaluation of the study's models holds of how they answer."""
    model = builder.study.model
    if isinstance(model, PretrainedModel) and model.endpoint is not None:
        return {}, {"model": locate(model, "model", builder, builder.file).runnable}
    config["device"] = builder.device
    if not isinstance(model, PretrainedModel):
        return {}, {}
    identity, runnable = answering(model, builder)
    config |= identity
    return {}, {"model": runnable}


def put_round(
    builder: Builder, arm: str, config: dict[str, Any], outside: dict[str, str],
    extra: dict[str, Any],
) -> None:  # fmt: skip
    """Put an arm's edits and decoding into its evaluation."""
    for room, key in ((EDITS, "edits"), (DECODINGS, "decoding")):
        for number, use in enumerate(getattr(builder.study.arms[arm], key)):
            at = f"arms.{arm}.{key}.{number}"
            options, contents, runnable = builder.located(room, use, at)
            version = room.get(use.name).version
            decides = {"name": use.name, "version": version, "options": options}
            config.setdefault(key, []).append(decides)
            outside |= {f"{key} {number} {role}": sha for role, sha in contents.items()}
            extra.setdefault(key, []).append(runnable)
            entry = room.get(use.name)
            if "score" in entry.context:
                outside |= _rewards_named(options)
            # Without the extra it is `lexical`, as before there was any.
            if "embed" in entry.context and embedder() is not lexical:
                config["embedding"] = embedder().__name__
            if "judge_model" not in entry.context or "judge_model" in extra:
                continue
            if builder.study.judge_model is not None:
                ask_judge_model(builder, config, outside, extra)
            elif any(p.name == "judge_model" and p.default is p.empty for p in entry.parameters):
                raise ConfigError(
                    f"{builder.file}: {at}: {use.name!r} asks a model: name it as `judge_model`"
                )


def _rewards_named(options: Mapping[str, Any]) -> dict[str, str]:
    """Sources of a user's own rewards that a method's options name, as text or as keys."""
    named: set[str] = set()
    for value in options.values():
        named |= set(map(str, value)) if isinstance(value, list | tuple | dict) else {str(value)}
    sources = {name: source_of(REWARDS.get(name).function) for name in named & set(REWARDS.names())}
    return {f"source of reward {name}": sha for name, sha in sources.items() if sha}


def _scorers_at_hand(benchmark: Benchmark) -> dict[str, str]:
    """What a user's own benchmark may score with by default, which only its code could tell."""
    entries = [
        entry for entry in SCORERS.entries()
        if not benchmark.questions or entry.facts.get("question") in benchmark.questions
    ]  # fmt: skip
    return {f"scorer {e.name}": source_of(e.function) or e.version for e in entries}


def _judged_by(
    builder: Builder, benchmark: Benchmark, config: dict[str, Any], outside: dict[str, str],
    extra: dict[str, Any],
) -> None:  # fmt: skip
    """Put a benchmark's judges into its evaluation.

    Raises:
        ConfigError: a judge that answers no question of the benchmark, or asks a model where the
            study names none.
    """
    if not benchmark.questions:
        return
    use = builder.study.benchmarks.get(benchmark.name)
    at = f"benchmarks.{benchmark.name}.judges"
    named = [_named_judge(spec, at, builder) for spec in (use.judges if use else ())]
    for judge in named:
        if judge.question not in benchmark.questions:
            raise ConfigError(
                f"{builder.file}: {at}: {judge.spec!r} says whether a response is "
                f"{judge.question!r}, and the benchmark asks whether it is "
                f"{' or '.join(map(repr, benchmark.questions))}"
            )
        if judge.asks and builder.study.judge_model is None:
            raise ConfigError(
                f"{builder.file}: {at}: {judge.spec!r} asks a model: name it as `judge_model`"
            )
        source = source_of(SCORERS.get(judge.spec.partition(":")[0]).function)
        outside |= {f"source of judge {judge.spec}": source} if source else {}
    # The rules judge where no other does, so their version counts as well.
    rules = _named_judge("rules", at, builder)
    config["judges"] = [judge.identity for judge in (*named, rules)]
    extra["judges"] = [judge.spec for judge in named]
    if any(judge.asks for judge in named):
        ask_judge_model(builder, config, outside, extra)


def ask_judge_model(
    builder: Builder, config: dict[str, Any], outside: dict[str, str], extra: dict[str, Any]
) -> None:
    model = builder.study.judge_model
    assert model is not None
    found = locate(model, "judge_model", builder, builder.file)
    answers, runnable = answering(model, builder)
    config["judge_model"] = found.identity | answers
    outside |= {f"judge {role}": sha for role, sha in found.contents.items()}
    extra["judge_model"] = found.runnable | runnable


@dataclass(frozen=True)
class _NamedJudge:
    """A judge a benchmark uses.

    Attributes:
        spec: for `make_scorer`, a classifier's folder as a whole path.
        identity: what of it enters a fingerprint.
        question: what its pass means.
        asks: whether it needs a model.
    """

    spec: str
    identity: dict[str, str]
    question: str
    asks: bool


def _named_judge(spec: str, used_by: str, builder: Builder) -> _NamedJudge:
    """The judge called ``name`` or ``name:argument``, without loading a classifier or a model.

    Raises:
        UserError: no such judge, or an argument it doesn't take.
    """
    name, _, argument = spec.partition(":")
    if name == _CLASSIFIER and argument:
        place, mark, label = argument.partition("#")
        folder = builder.path(place)
        if not folder.is_dir():
            return _NamedJudge(spec, {"judge": spec}, "refused", False)
        whole = f"{_CLASSIFIER}:{folder}{mark}{label}"
        identity = {"judge": name, "label": label, "content": builder.content(place, used_by)}
        return _NamedJudge(whole, identity, "refused", False)
    # A judge built on a model that is never asked tells its name and version.
    judge = make_scorer(spec, Counting(talks=False))
    identity = {"judge": judge.name, "version": judge.version}
    return _NamedJudge(spec, identity, judge.question, asks_a_model(spec))


def task_of(config: Mapping[str, Any], path: str | None) -> Task:
    """What a node's configuration makes its benchmark ask."""
    declared = benchmark_named(config["benchmark"])
    options = {name: config[name] for name in declared.options if name in config}
    if path is not None:
        options["data"] = path
    return declared.task(seed=config.get("seed", 0), world=config.get("world_seed"), **options)


def run(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """Ask, judge and write: an item result a line, and what answered and judged."""
    config = payload["config"]
    benchmark = benchmark_named(config["benchmark"])
    # Replies of endpoints are paid for: they are kept for every evaluation of the store.
    replies = folder.parents[1] / REPLIES
    computed_on = machine(config) if "device" in config else {}
    given = dict(payload.get("model", {}))
    if "endpoint" not in given:
        step = config["step"]
        kept = folders[0] / "kept" / f"step-{step}"
        given["path"] = model_folder(folders[0]) if step is None else str(kept)
    loaded = open_model(ModelRef(**given), cache=replies)
    asked: LanguageModel | None = None
    if "judge_model" in payload:
        asked = open_model(ModelRef(**payload["judge_model"]), cache=replies)
    judges = [make_scorer(spec, asked) for spec in payload.get("judges", ())]
    budget = Budget()
    answering_model = within_decoding(payload, loaded, asked, budget)
    task = task_of(config, payload.get("path"))
    with ExitStack() as edits:
        for use in payload.get("edits", ()):
            edits.enter_context(EDITS.make(Use(**use))(loaded))
        results = task.run(answering_model, judges, progress)
    write_items(folder / "items.jsonl", results)
    write_json(folder / "evaluation.json", {
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "chat_template": answering_model.chat_template if answering_model.chats else None,
        "judges": sorted({result.judge for result in results if result.judge}),
    })  # fmt: skip
    computed_on["spent"] = usage_of((given, loaded), (payload.get("judge_model"), asked))
    computed_on |= {"budget": budget.to_json(), "fallbacks": budget.fallbacks}
    if "device" in config:
        computed_on["dtype"] = str(loaded.model.dtype).removeprefix("torch.")  # type: ignore[attr-defined]
    write_json(folder / "machine.json", computed_on)
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
    task = partial(task_of, payload["config"], payload.get("path"))
    name = payload["config"]["benchmark"]
    return rehearse(name, node.fingerprint, payload.get("judges", ()), task)


def rehearsals(nodes: Iterable[Node]) -> dict[str, Rehearsal]:
    """Benchmark -> the rehearsal of its first evaluation, for those that can be rehearsed."""
    first: dict[str, Node] = {}
    for node in nodes:
        if node.kind == "evaluation":
            first.setdefault(node.name, node)
    found = {name: rehearsal(node) for name, node in first.items()}
    return {name: one for name, one in found.items() if one is not None}


def _asked_by_methods(node: Node, plain: Asked) -> Asked:
    """What an arm's decoding asks of its model, on one that gives the longest answers there may be.

    A method that reads its model's tokens or states can't be rehearsed, and counts as plain.
    """
    model = Counting(talks=True)
    try:
        within = within_decoding(node.payload, model, Counting(talks=True), Budget())
        task_of(node.payload["config"], node.payload.get("path")).run(within, [], lambda *_: None)
    except Exception:  # made for another model than one that only counts
        return plain
    return model.asked if model.asked.calls else plain


def answering_work(ahead: Ahead, nodes: list[Node], asked: Asked, disk: float) -> Iterator[Work]:
    """What nodes of one name take, each of which asks so much; nothing of an unknown model."""
    if ahead.shape is None:
        return
    half = getattr(ahead.study.model, "dtype", None) in ("bfloat16", "float16")
    memory = {
        "weights": float(ahead.shape.parameters * (2 if half else 4)),
        "key-value cache": arithmetic.cache_bytes(ahead.shape, BATCH_TOKENS, half=half),
    }
    tokens = asked.read / CHARACTERS + asked.generated
    flops = arithmetic.forward_flops(ahead.shape, tokens, asked.longest / CHARACTERS)
    yield Work(
        nodes[0].kind, work_name(nodes[0]), len(nodes), ahead.left(nodes), tokens, flops, memory,
        half, disk=disk,
    )  # fmt: skip


def cost(ahead: Ahead) -> Iterator[Work | Calls]:
    """What each benchmark takes, and what it asks model judges.

    Judges without a model (rules, classifiers) ask nobody.
    """
    by_name = ahead.by_name("evaluation")
    for name, found in rehearsals(ahead.nodes).items():
        nodes, left = by_name[name], ahead.left(by_name[name])
        decoded: dict[str, list[Node]] = {}
        for node in nodes:
            decoded.setdefault(json.dumps(node.payload.get("decoding", [])), []).append(node)
        for methods, alike in decoded.items():
            asked = found.asked if methods == "[]" else _asked_by_methods(alike[0], found.asked)
            yield from answering_work(ahead, alike, asked, found.bytes)
        use, model = ahead.study.benchmarks.get(name), ahead.study.judge_model
        if use is not None and model is not None and found.judging.calls:
            read = round(found.judging.read / CHARACTERS) * left
            written = found.judging.generated * left
            yield Calls(
                name, use.judges, model.name, found.judging.calls * left, read, written,
                price(model.price_in, model.price_out, read, written),
            )  # fmt: skip


KIND = NodeKind(plan, run, cost=cost)
