"""Two arms' responses to the same prompts, put to a judge: a win rate.

A node writes one model's responses, another puts two arms' to the judge over all seeds that both
have, so that another judge asks nothing of the models again. Leaves out: judging (evaluate/).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import iter_jsonl, read_jsonl, sha256_json, write_json, write_jsonl
from whyfirst.config.room import Use
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.comparison import compare
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES, Judge, make_judge
from whyfirst.models.base import Completion, LanguageModel, Sampling, asked
from whyfirst.models.chat import read_turns
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Calls, Counting, Work
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.store import Incomplete
from whyfirst.study.nodes import base
from whyfirst.study.nodes.base import asked_id
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.evaluation import (
    answered_by,
    answering_work,
    ask_judge_model,
    asked_by_methods,
    asking,
    asks_judge,
    by_methods,
    put_round,
    still_to_ask,
    task_of,
)
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind, Progress
from whyfirst.study.nodes.within import answering_as, open_asked, spent_by
from whyfirst.study.schema import ComparisonUse

ROWS = "compared.jsonl"
_RESPONSES = "responses.jsonl"
SECONDS = 2.0
_ANSWER_TOKENS = 256
_OTHERS = "the benchmark asks something else at each seed, so nothing is compared"


def plan_all(builder: Builder, stages: Mapping[tuple[str, int], list[str]]) -> None:
    """Add the nodes of every comparison the study names.

    Raises:
        ConfigError: its judge or a calibration asks a model, and the study names none.
        DataError: its prompts can't be read.
    """
    for use in builder.study.comparisons:
        # A lone arm has no stages, and the same responses at every seed of the other.
        responses = {
            side: [
                _responses(builder, use, arm, seed, stages.get((arm, seed), []))
                for seed in builder.study.shared_seeds((use.a, use.b))
            ]
            for side, arm in (("a", use.a), ("b", use.b))
        }
        depends = tuple(dict.fromkeys((*responses["a"], *responses["b"])))
        spec, at = Spec(), f"comparisons.{use.name}"
        judge = builder.named(JUDGES, use.judge, f"{at}.judge", "judged by", spec)
        inside = [
            builder.named(CALIBRATIONS, one, f"{at}.calibrations.{n}", f"calibration {n}", spec)
            for n, one in enumerate(use.calibrations)
        ]
        identities = [one.identity for one in inside]
        spec.config = {"judge": judge.identity, "calibrations": identities}
        spec.extra = {
            "judge": judge.payload,
            "calibrations": [one.payload for one in inside],
        }
        judges = [(JUDGES, use.judge), *((CALIBRATIONS, one) for one in use.calibrations)]
        if any(asks_judge(builder, room, one) for room, one in judges):
            ask_judge_model(builder, f"comparisons: {use.name}: {use.judge.name!r}", spec)
        # By side and seed, which of the inputs holds the responses.
        spec.config["order"] = {
            side: [depends.index(node) for node in nodes] for side, nodes in responses.items()
        }
        name = f"comparison:{use.name}"
        builder.add(name, KIND, spec, depends, weight=SECONDS, name=use.name)


def _responses(
    builder: Builder, use: ComparisonUse, arm: str, seed: int, chain: Sequence[str]
) -> str:
    """The node of one model's responses to a comparison's prompts."""
    model = chain[-1] if chain else base.plan(builder, seed)
    at_most, by_seed = {"at_most": use.limit}, False
    if use.prompts in builder.study.benchmarks:
        by_seed = builder.world is not None
        spec = asking(builder, use.prompts)
        # A benchmark may have the same key: the comparison's own, where it has one, stands.
        longest = use.max_new_tokens or spec.config.get("max_new_tokens") or _ANSWER_TOKENS
        spec.config |= at_most | {"max_new_tokens": longest} | builder.in_world(seed)
        spec.config["version"] = benchmark_named(use.prompts).version
        # Who judges another measure asks nothing else.
        spec.config.pop("judges", None)
        if "data" in spec.contents:
            spec.contents["prompts"] = spec.contents.pop("data")
    else:
        longest = use.max_new_tokens or _ANSWER_TOKENS
        spec = Spec(at_most | {"max_new_tokens": longest})
        at = f"comparisons.{use.name}.prompts"
        spec.contents["prompts"], spec.extra["path"] = builder.files.data(use.prompts, at)
    answered_by(builder, spec)
    dressed = arm if builder.study.arms[arm].dressed else None
    if dressed:
        put_round(builder, arm, spec)
    id = f"{asked_id(model, seed, dressed, by_seed)}/responses:{use.name}"  # noqa: A001
    return builder.add(id, RESPONSES, spec, (model,), weight=SECONDS, name=use.name)


def _items(payload: Mapping[str, Any]) -> list[Item]:
    """What is asked: a benchmark's items, or the rows of a file.

    Raises:
        DataError: there is nothing to ask, a row without a prompt, or something asked twice.
    """
    config = payload["config"]
    if "benchmark" in config:
        found = getattr(task_of(payload), "items", None)
        if found is None:
            raise DataError(f"benchmark {config['benchmark']!r} asks for no responses to compare")
        where = f"benchmark {config['benchmark']!r}"
        items = [(where, item) for item in found if item.unaskable is None]
    else:
        path = Path(payload["path"])
        items = [(f"{path}: row {line}", _item(row, path, line)) for line, row in iter_jsonl(path)]
    if not items:
        raise DataError(f"{payload.get('path')}: no prompts to compare responses to")
    asked_at: dict[str, str] = {}
    for where, item in items[: config["at_most"]]:
        # A win rate is over prompts: no report takes one that is counted twice.
        if item.id in asked_at:
            before = asked_at[item.id].rpartition(": ")[2]
            raise DataError(f"{where}: repeats the prompt or id of {before} ({item.id})")
        asked_at[item.id] = where
    return [item for _, item in items[: config["at_most"]]]


def requests_of(payload: Mapping[str, Any]) -> list[str]:
    """The texts of what is asked, which nothing trained on may hold; raises as a run does."""
    return [item.request for item in _items(payload)]


def _item(row: Mapping[str, Any], path: Path, line: int) -> Item:
    prompt = row.get("prompt")
    if not isinstance(prompt, str | list) or not prompt:
        raise DataError(f"{path}: row {line}: needs a `prompt`")
    try:
        chat = asked(prompt) if isinstance(prompt, str) else read_turns(prompt)
    except ValueError as error:
        raise DataError(f"{path}: row {line}: 'prompt' {error}") from None
    if chat[-1].role != "user":
        raise DataError(f"{path}: row {line}: 'prompt' must end with the user's turn")
    named = str(row.get("id") or sha256_json(prompt)[:16])
    about = {"topic": row["topic"]} if row.get("topic") else {}
    return Item(named, chat, chat[-1].content, about)


def refuse_unaskable(nodes: Iterable[Node]) -> None:
    """Refuse comparisons whose prompts can't be asked, before any model is trained for them.

    Raises:
        DataError: as `_items`, with the comparison's name; or they are others at each seed.
    """
    for name, found in by_name(nodes, "responses").items():
        # Items may depend on a study's seed, and in a world of its own on nothing else.
        told = ("seed", "world_seed")
        designs = {tuple(node.payload["config"].get(key) for key in told): node for node in found}
        try:
            asked_for = {tuple(i.id for i in _items(node.payload)) for node in designs.values()}
        except DataError as error:
            raise DataError(f"comparisons.{name}.prompts: {error}") from error
        if len(asked_for) > 1:
            raise DataError(f"comparisons.{name}.prompts: {_OTHERS}")


def _answers(payload: Mapping[str, Any], model: LanguageModel) -> list[Completion]:
    sampling = Sampling(max_new_tokens=payload["config"]["max_new_tokens"])
    prompts = [item.prompt for item in _items(payload)]
    return [row[0] for row in model.generate(prompts, sampling=sampling)]


def run_responses(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """One greedy response a prompt."""
    items = _items(payload)
    with answering_as(payload, folders, folder) as asked:
        completions = _answers(payload, asked.model)
    progress(len(items), len(items), "responses")
    write_jsonl(folder / _RESPONSES, [
        {"id": item.id, "request": item.request, "topic": item.about.get("topic"),
         "completion": asdict(completion)}
        for item, completion in zip(items, completions, strict=True)
    ])  # fmt: skip
    write_json(folder / "machine.json", asked.record)
    failed = [c for c in completions if c.transient]
    return Incomplete(len(failed), len(items), str(failed[0].problem)) if failed else None


def run(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """A prompt and seed a line: who won, or why nobody did."""
    given = payload.get("judge_model")
    model = open_asked(given, folder)
    judge = _judge(payload, model)
    read = [read_jsonl(place / _RESPONSES) for place in folders]
    # The judge is shown one request for the responses of all seeds.
    if any([row["id"] for row in rows] != [row["id"] for row in read[0]] for rows in read):
        raise DataError(_OTHERS)
    order = payload["config"]["order"]
    sides = {
        side: {seed: [Completion(**row["completion"]) for row in read[place]]
               for seed, place in enumerate(places)}
        for side, places in order.items()
    }  # fmt: skip
    items = [
        Item(row["id"], row["request"], row["request"],
             {"topic": row["topic"]} if row["topic"] else {})
        for row in read[0]
    ]  # fmt: skip
    rows = compare(items, sides["a"], sides["b"], judge)
    write_jsonl(folder / ROWS, [row.to_json() for row in rows])
    write_json(folder / "machine.json", {"spent": spent_by((given, model))})
    return still_to_ask(rows)


def _judge(payload: Mapping[str, Any], model: LanguageModel | None) -> Judge:
    calibrations = [Use(**one) for one in payload["calibrations"]]
    return make_judge(Use(**payload["judge"]), calibrations, model)


# -- before it is done ---------------------------------------------------------------------


def cost_responses(ahead: Ahead) -> Iterator[Work]:
    """Each prompt read once, or as an arm's methods ask; the longest response there may be."""
    for nodes in ahead.by_name("responses").values():
        ask, plain = partial(_answers, nodes[0].payload), Counting(talks=False)
        ask(plain)
        disk = plain.asked.read + CHARACTERS * plain.asked.generated
        for alike in by_methods(nodes):
            asked, _ = asked_by_methods(alike[0], plain.asked, ask)
            yield from answering_work(ahead, alike, asked, disk)


def cost(ahead: Ahead) -> Iterator[Calls]:
    """What each comparison asks its judge's model, of responses as long as they may be.

    Judges without a model ask nobody.
    """
    by_id = {node.id: node for node in ahead.nodes}
    for node in ahead.of_kind("comparison"):
        payload, first = node.payload, by_id[node.depends[0]].payload
        if "judge_model" not in payload or not ahead.left([node]):
            continue
        items, judges_own = _items(first), Counting(talks=False)
        sampling = Sampling(max_new_tokens=first["config"]["max_new_tokens"])
        [said] = Counting(talks=True).generate([""], sampling=sampling)
        judge = _judge(payload, judges_own)
        # The two differ, since a judge needn't be asked about one response twice.
        other = replace(said[0], text=said[0].text[:-1])
        compare(items, {0: said * len(items)}, {0: [other] * len(items)}, judge)
        seeds, asked = len(payload["config"]["order"]["a"]), judges_own.asked
        read, written = round(seeds * asked.read / CHARACTERS), seeds * asked.generated
        model, judges = payload["judge_model"], (judge.name,)
        yield Calls.of(model, seeds * asked.calls, read, written, node.name, judges)


RESPONSES = NodeKind("responses", run_responses, version="1", cost=cost_responses)
KIND = NodeKind("comparison", run, version="1", cost=cost)
