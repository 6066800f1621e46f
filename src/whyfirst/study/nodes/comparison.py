"""Two arms' responses to the same prompts, put to a judge: a win rate.

A node writes one model's responses, another puts two arms' to the judge over all seeds that both
have, so that another judge asks nothing of the models again. Leaves out: judging (evaluate/).
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import read_jsonl, sha256_json, write_json, write_jsonl
from whyfirst.config.room import Use
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.comparison import compare
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES, make_judge
from whyfirst.models.base import Completion, Message, Sampling, asked
from whyfirst.models.decoding.budget import Budget
from whyfirst.models.edits import EDITS
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Calls, Work, price
from whyfirst.study.cost.rehearsal import Counting
from whyfirst.study.decisive import decisive
from whyfirst.study.execute.store import REPLIES, Incomplete
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.evaluation import (
    answered_by,
    answering_work,
    ask_judge_model,
    put_round,
    still_to_ask,
    task_of,
)
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.nodes.within import within_decoding
from whyfirst.study.results.spending import usage_of
from whyfirst.study.schema import ComparisonUse

ROWS = "compared.jsonl"
_RESPONSES = "responses.jsonl"
SECONDS = 2.0
_ANSWER_TOKENS = 256


def plan_all(builder: Builder, stages: Mapping[tuple[str, int], list[str]]) -> None:
    """Add the nodes of every comparison the study names.

    Raises:
        ConfigError: its judge or a calibration asks a model, and the study names none.
        DataError: its prompts can't be read.
    """
    for use in builder.study.comparisons:
        seeds = min(len(builder.study.seeds_of(arm)) for arm in (use.a, use.b))
        depends: list[str] = []
        order: dict[str, list[int]] = {"a": [], "b": []}
        for side, arm in (("a", use.a), ("b", use.b)):
            for seed in range(seeds):
                model = (stages[arm, seed] or [builder.plan("base")])[-1]
                node = builder.plan("responses", model, use, seed, arm)
                if node not in depends:
                    depends.append(node)
                order[side].append(depends.index(node))
        config, outside, extra = _judged_by(builder, use)
        builder.add(
            f"comparison:{use.name}", "comparison", config | {"order": order}, tuple(depends),
            outside=outside, extra=extra, weight=SECONDS, name=use.name,
        )  # fmt: skip


def _judged_by(
    builder: Builder, use: ComparisonUse
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    config: dict[str, Any] = {"judge": JUDGES.identity(use.judge)}
    config["calibrations"] = [CALIBRATIONS.identity(one) for one in use.calibrations]
    extra: dict[str, Any] = {
        "judge": use.judge.model_dump(mode="json"),
        "calibrations": [one.model_dump(mode="json") for one in use.calibrations],
    }
    outside: dict[str, str] = {}
    entries = [JUDGES.get(use.judge.name), *(CALIBRATIONS.get(c.name) for c in use.calibrations)]
    if any("model" in entry.context for entry in entries):
        if builder.study.judge_model is None:
            raise ConfigError(
                f"{builder.file}: comparisons: {use.name}: {use.judge.name!r} asks a model: name "
                "it as `judge_model`"
            )
        ask_judge_model(builder, config, outside, extra)
    return config, outside, extra


def plan(builder: Builder, model: str, use: ComparisonUse, seed: int, arm: str) -> str:
    """The node of one model's responses to a comparison's prompts."""
    config: dict[str, Any] = {"max_new_tokens": use.max_new_tokens or _ANSWER_TOKENS}
    outside, extra = answered_by(builder, config)
    place = model
    benchmark = builder.study.benchmarks.get(use.prompts)
    if benchmark is not None:
        config |= decisive(benchmark) | benchmark.own | builder.in_world(seed)
        config |= {"benchmark": use.prompts, "version": benchmark_named(use.prompts).version}
        config.pop("judges", None)  # who judges another measure asks nothing else
        if benchmark.data is not None:
            at = f"benchmarks.{use.prompts}.data"
            outside["prompts"] = builder.content(benchmark.data, at)
            extra["path"] = str(builder.path(benchmark.data))
        if builder.world is not None and model == "base":
            place = f"base/seed{seed}"
    else:
        outside["prompts"] = builder.content(use.prompts, f"comparisons.{use.name}.prompts")
        extra["path"] = str(builder.path(use.prompts))
    config["at_most"] = use.limit
    if builder.study.arms[arm].dressed:
        place += f"+{arm}"
        put_round(builder, arm, config, outside, extra)
    return builder.add(
        f"{place}/responses:{use.name}", "responses", config, (model,), outside=outside,
        extra=extra, weight=SECONDS, name=use.name,
    )  # fmt: skip


def _items(payload: Mapping[str, Any]) -> list[Item]:
    """What is asked: a benchmark's items, or the rows of a file.

    Raises:
        DataError: there is nothing to ask, or a row without a prompt.
    """
    config = payload["config"]
    if "benchmark" in config:
        found = getattr(task_of(config, payload.get("path")), "items", None)
        if found is None:
            raise DataError(f"benchmark {config['benchmark']!r} asks for no responses to compare")
        items = [item for item in found if item.unaskable is None]
    else:
        items = []
        for number, row in enumerate(read_jsonl(Path(payload["path"])), 1):
            prompt = row.get("prompt")
            if isinstance(prompt, str) and prompt:
                chat = asked(prompt)
            elif isinstance(prompt, list) and prompt:
                chat = tuple(Message(turn["role"], turn["content"]) for turn in prompt)
            else:
                raise DataError(f"{payload['path']}: row {number}: needs a `prompt`")
            named = str(row.get("id") or sha256_json(prompt)[:16])
            about = {"topic": row["topic"]} if row.get("topic") else {}
            items.append(Item(named, chat, chat[-1].content, about))
    if not items:
        raise DataError(f"{payload.get('path')}: no prompts to compare responses to")
    return items[: config["at_most"]]


def run_responses(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """One greedy response a prompt."""
    config = payload["config"]
    computed_on = machine(config) if "device" in config else {}
    replies = folder.parents[1] / REPLIES
    given = dict(payload.get("model", {}))
    if "endpoint" not in given:
        given["path"] = model_folder(folders[0])
    loaded = open_model(ModelRef(**given), cache=replies)
    judge = payload.get("judge_model")
    asked_model = None if judge is None else open_model(ModelRef(**judge), cache=replies)
    budget = Budget()
    model = within_decoding(payload, loaded, asked_model, budget)
    items = _items(payload)
    with ExitStack() as edits:
        for use in payload.get("edits", ()):
            edits.enter_context(EDITS.make(Use(**use))(loaded))
        sampling = Sampling(max_new_tokens=config["max_new_tokens"])
        answers = model.generate([item.prompt for item in items], sampling=sampling)
    completions = [row[0] for row in answers]
    progress(len(items), len(items), "responses")
    write_jsonl(folder / _RESPONSES, [
        {"id": item.id, "request": item.request, "topic": item.about.get("topic"),
         "completion": asdict(completion)}
        for item, completion in zip(items, completions, strict=True)
    ])  # fmt: skip
    write_json(folder / "machine.json", computed_on | {
        "budget": budget.to_json(), "fallbacks": budget.fallbacks,
        "spent": usage_of((given, loaded), (judge, asked_model)),
    })  # fmt: skip
    failed = [c for c in completions if c.transient]
    return Incomplete(len(failed), len(items), str(failed[0].problem)) if failed else None


def run(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """A prompt and seed a line: who won, or why nobody did."""
    given, model = payload.get("judge_model"), None
    if given is not None:
        model = open_model(ModelRef(**given), cache=folder.parents[1] / REPLIES)
    calibrations = [Use(**one) for one in payload["calibrations"]]
    judge = make_judge(Use(**payload["judge"]), calibrations, model)
    read = [read_jsonl(place / _RESPONSES) for place in folders]
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
    write_json(folder / "machine.json", {"spent": usage_of((given, model))})
    return still_to_ask(rows)


# -- before it is done ---------------------------------------------------------------------


def cost_responses(ahead: Ahead) -> Iterator[Work]:
    """Each prompt read once, and the longest response there may be."""
    for nodes in ahead.by_name("responses").values():
        payload, model = nodes[0].payload, Counting(talks=False)
        sampling = Sampling(max_new_tokens=payload["config"]["max_new_tokens"])
        model.generate([item.prompt for item in _items(payload)], sampling=sampling)
        disk = model.asked.read + CHARACTERS * model.asked.generated
        yield from answering_work(ahead, nodes, model.asked, disk)


def cost(ahead: Ahead) -> Iterator[Calls]:
    """What each comparison asks its judge's model, of responses as long as they may be.

    Judges without a model ask nobody.
    """
    by_id = {node.id: node for node in ahead.nodes}
    for node in ahead.of_kind("comparison"):
        given = node.payload.get("judge_model")
        if given is None or not ahead.left([node]):
            continue
        first = by_id[node.depends[0]].payload
        items, longest = _items(first), first["config"]["max_new_tokens"]
        sampling = Sampling(max_new_tokens=longest)
        [said] = Counting(talks=True).generate([""], sampling=sampling)
        asked_model = Counting(talks=False)
        judge = make_judge(
            Use(**node.payload["judge"]), [Use(**u) for u in node.payload["calibrations"]],
            asked_model,
        )  # fmt: skip
        # The two differ, since a judge needn't be asked about one response twice.
        compare(items, {0: said * len(items)},
                {0: [replace(said[0], text=said[0].text[:-1])] * len(items)}, judge)  # fmt: skip
        seeds, model = len(node.payload["config"]["order"]["a"]), ModelRef(**given)
        asked_of = asked_model.asked
        read, written = round(seeds * asked_of.read / CHARACTERS), seeds * asked_of.generated
        yield Calls(
            node.name, (judge.name,), model.name, seeds * asked_of.calls, read, written,
            price(model.price_in, model.price_out, read, written),
        )  # fmt: skip


RESPONSES = NodeKind(plan, run_responses, version="1", cost=cost_responses)
KIND = NodeKind(None, run, version="1", cost=cost)
