"""Rows a stage trains on, matched in tokens where the study gives a budget.

Leaves out: what is known of them before they are made (`rows_ahead`).
"""

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.files import write_json, write_jsonl
from whyfirst.config.plugins import source_of
from whyfirst.config.room import Entry, Use
from whyfirst.data.making import Made, made
from whyfirst.data.rows import iter_rows, prompts_in
from whyfirst.data.transforms import SELECTORS, TRANSFORMS, draws
from whyfirst.evaluate.judges import JUDGES
from whyfirst.models.embed import embedder, encoder_of
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.models.replies import replies_file
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Asked, Tally, Work
from whyfirst.study.execute.store import REPLIES
from whyfirst.study.materials import CorpusUse
from whyfirst.study.nodes import base, written
from whyfirst.study.nodes.base import model_folder, study_model
from whyfirst.study.nodes.builder import SIDE, Builder
from whyfirst.study.nodes.evaluation import (
    answered_by,
    answering_work,
    ask_judge_model,
    asks_judge,
)
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.nodes.within import open_asked
from whyfirst.study.sources import CORPORA, ROWS, Row, has_model_write
from whyfirst.train.config_base import PromptFormat
from whyfirst.worlds import WORLDS

SECONDS = 0.2
_LONGEST = 1 << 20  # a prompt is read whole


def plan(
    builder: Builder, name: str, seed: int, side: int = 0, model: str = "",
    prompts_as: PromptFormat = None,
) -> str:  # fmt: skip
    """The node of a corpus at a seed of the study, on a side of its world.

    Args:
        model: the node of the model that the stage which reads it starts from; empty: the base.
            Only a corpus that this model writes differs by it.
        prompts_as: the `format` of that stage, and so of what such a corpus is asked.
    """
    corpus, world = builder.study.corpora[name], builder.world
    entry = CORPORA.get(corpus.name)
    facts, drawn = entry.facts, has_model_write(corpus.name)
    methods = methods_of(corpus.transforms, corpus.select)
    seeded = facts.get("seeded", False) or any(map(draws, methods))
    asks_base = any("model" in method.context for method in methods)
    starts = corpus.options.get("tokens") is not None or reads_base(corpus) or asks_base
    # Where each seed has a world of its own, so has what is made from the world or its base.
    per_seed = seeded or (
        world is not None and world.drawn and (starts or bool({"world", "base"} & entry.context))
    )
    if "sided" not in facts or not facts["sided"](corpus.options):
        side = 0
    id = f"seed{seed}/corpus:{name}" if per_seed else f"corpus:{name}"  # noqa: A001
    if drawn:
        start = base.plan(builder, seed)
        model = model or start
        # The id of a stage's model has the seed; one base may be that of all seeds.
        id = id if per_seed and model == start else f"{model}/corpus:{name}"  # noqa: A001
        # Null is a chat too, and was all there was.
        id += "@text" if prompts_as == "text" else ""  # noqa: A001
    id += f"{SIDE}{side}" if side else ""  # noqa: A001
    # What its source is made of is the same at every seed, and files are hashed for it.
    if name not in builder.sources:
        of_source = builder.sources[name] = builder.method(CORPORA, corpus, f"corpora.{name}")
        if "inputs" in facts:
            of_source.contents |= facts["inputs"](of_source.extra, world)
    source = builder.sources[name]
    named = {"corpus": name, "seed": seed if seeded else 0}
    spec = Spec(
        {"source": corpus.name} | source.config | named, dict(source.contents),
        {"use": source.extra},
    )  # fmt: skip
    if corpus.made_of:
        _made_of(builder, corpus, f"corpora.{name}", spec)
    spec.config |= _marks(corpus, methods, in_world=world is not None)
    if world is not None:
        here, spec.extra["world"] = builder.world_at(seed if per_seed or drawn else 0, side)
        spec.config |= here.identity
    if "revised" in facts:
        spec.config |= facts["revised"](source.extra)
    depends: tuple[str, ...] = ()
    asked = facts["asks"](spec.extra["use"]) if "asks" in facts else []
    if any(ref is not None and ref.endpoint is None for _, ref in asked):
        spec.config["device"] = builder.device
    if drawn or asks_base or any(ref is None for _, ref in asked):
        # How the model writes, or answers what is asked of it.
        answered_by(builder, spec)
    if starts:
        depends = (base.plan(builder, seed),)
    if corpus.name == "written":
        depends += (written.plan(builder, corpus.options["written"]),)
    if drawn:
        depends = (model,)
        spec.config |= {"prompts_as": "text"} if prompts_as == "text" else {}
        _label_by(builder, corpus, f"corpora.{name}", spec)
        if facts.get("asks_judge", lambda options: False)(corpus.options):
            ask_judge_model(builder, f"corpora: {corpus.name}", spec)
    read = [corpus.options[option] for option in facts.get("rows_of", ())]
    depends += tuple(plan(builder, other, seed, side, prompts_as=prompts_as) for other in read)
    return builder.add(id, KIND, spec, depends, weight=SECONDS, name=name)


def _marks(corpus: CorpusUse, methods: Sequence[Entry[Any]], in_world: bool) -> dict[str, Any]:
    """What tells the rows that a corpus' methods make now from those they made before."""
    marks: dict[str, Any] = {}
    if encoder := encoder_of(method.context for method in methods):
        marks["embedding"] = encoder
    # Words stood outside the turns of an HH dialogue, which no embedded world writes.
    if any(method.facts.get("tells") for method in methods) and (
        not in_world or corpus.name in ("file", "hh_rlhf")
    ):
        marks["told"] = "2"
    # One of a user's own was given no model.
    if corpus.name == "written" and any(
        source_of(method.function) for method in methods if "model" in method.context
    ):
        marks["model_given"] = True
    return marks


def methods_of(transforms: Iterable[Use], select: Use | None) -> list[Entry[Any]]:
    """The entries of a corpus' transforms, and of its selector."""
    chosen = [] if select is None else [SELECTORS.get(select.name)]
    return [*(TRANSFORMS.get(use.name) for use in transforms), *chosen]


def _made_of(builder: Builder, corpus: CorpusUse, at: str, spec: Spec) -> None:
    """Put a corpus' transforms and selector into its node."""
    made = [
        builder.named(TRANSFORMS, use, f"{at}.transforms.{number}", f"transform {number}", spec)
        for number, use in enumerate(corpus.transforms)
    ]
    spec.extra["transforms"] = [one.payload for one in made]
    spec.config |= {"transforms": [one.identity for one in made]} if made else {}
    spec.extra["select"] = None
    if corpus.select is not None:
        # How many rows are kept is no option of the selector's own.
        own = Use.model_validate({"name": corpus.select.name, **corpus.select.options})
        chosen = builder.named(SELECTORS, own, f"{at}.select", "select", spec)
        spec.config["select"] = chosen.identity | {"n": corpus.select.n}
        spec.extra["select"] = corpus.select.model_dump(mode="json") | chosen.moved


def _label_by(builder: Builder, corpus: CorpusUse, at: str, spec: Spec) -> None:
    """Put the methods that label what a model writes into the corpus' node."""
    uses = CORPORA.get(corpus.name).facts.get("uses", lambda options: {})(corpus.options)
    found = {
        place: builder.named(room, use, f"{at}.{place}", place, spec)
        for place, (room, use) in uses.items()
    }
    if any(room is JUDGES and asks_judge(builder, room, use) for room, use in uses.values()):
        ask_judge_model(builder, f"corpora: {corpus.name}", spec)
    spec.config["methods"] = {place: one.identity for place, one in found.items()}
    given = copy.deepcopy(spec.extra["use"])  # all seeds share it
    for place, one in found.items():
        kind, _, number = place.partition(" ")
        if one.moved:
            part = given[f"{kind}s"][int(number)]["options"] if number else given[kind]
            part |= one.moved
    spec.extra["use"] = given


def reads_base(corpus: CorpusUse) -> bool:
    """Whether its rows are made from what lies beside the base model."""
    return bool(CORPORA.get(corpus.name).facts.get("reads_base", lambda options: False)(
        corpus.options))  # fmt: skip


def rows_of(
    payload: Mapping[str, Any], folder: Path | None = None, base: str | None = None,
    **context: Any,
) -> Iterable[Row]:  # fmt: skip
    """The rows of a corpus node's source before its transforms, one by one where it streams.

    Args:
        folder: of the written node it reads.
        base: folder of the model it starts from; None before it is there.
        context: what else the source asks for (`whyfirst.study.sources`).

    Raises:
        UserError: the source can't be read.
    """
    context |= {"seed": payload["config"]["seed"], "base": base}
    if "world" in payload:
        context["world"] = WORLDS.make(Use(**payload["world"]))
    if folder is not None:
        context["folder"] = folder
    rows: Iterable[Row] = CORPORA.make(Use(**payload["use"]), **context)
    return rows


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """The rows, and how many there are."""
    config, name = payload["config"], payload["config"]["corpus"]
    # What a teacher wrote is the last of the folders read.
    wrote = folders[-1] if config["source"] == "written" else None
    model = model_folder(folders[0]) if len(folders) > (wrote is not None) else None
    about: dict[str, Any] = {"corpus": name, "tokens": None}
    computed_on = machine(config) if "device" in config else {}
    context = {} if model is None else _given(payload, folders, folder, model)
    if model is not None:
        context["open_base"] = partial(study_model, payload, model)
    context |= {"replies": folder.parents[1] / REPLIES, "note": about.__setitem__}
    rows = rows_of(payload, wrote, model, progress=progress, **context)
    if (spent := about.pop("spent", None)) is not None:
        write_json(folder / "machine.json", computed_on | {"spent": spent})
    after = transformed(payload, rows, model)
    rows = after.rows
    matched: dict[str, Any] = {}
    if config.get("tokens") is not None:
        from transformers import AutoTokenizer

        from whyfirst.explain.match import match_rows, match_tokens

        # The rows that fill the budget to 0.5 %, counted with the model's own tokenizer.
        tokenizer = AutoTokenizer.from_pretrained(model_folder(folders[0]))

        def count(text: str) -> int:
            return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1  # and its end

        every = list(rows)
        texts = {name: [row["text"] for row in every]}
        chosen = match_tokens(texts, count, config["tokens"])
        table = match_rows(texts, chosen, count)[0]
        matched = {"unique": table.unique_documents, "tokens": table.tokens}
        rows = [every[index] for index in chosen[name]]
    written_rows = write_jsonl(folder / ROWS, rows)
    about |= {"rows": written_rows, "unique": written_rows} | matched
    # All are told of, once all rows have gone through them.
    if "transforms" in payload:
        left_out = {method: dict(why) for method, why in after.left_out.items()}
        about["left_out"] = about.get("left_out", {}) | left_out
    write_json(folder / "corpus.json", about)


def _given(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, model: str
) -> dict[str, Any]:
    """What a source that has a model write is given; nothing for others."""
    source = payload["config"]["source"]
    if not has_model_write(source):
        return {}
    options = CORPORA.get(source).facts.get("rows_of", ())
    places = folders[len(folders) - len(options) :]
    writer = study_model(payload, model)
    return {
        "model": writer,
        "judge_model": open_asked(payload.get("judge_model"), folder),
        "prompts_as": payload["config"].get("prompts_as"),
        "given": {
            option: list(prompts_in(iter_rows(at / ROWS), at / ROWS))
            for option, at in zip(options, places, strict=True)
        },
        "kept": replies_file(folder.parents[1] / REPLIES, writer),
    }


def uses_of(payload: Mapping[str, Any]) -> tuple[list[Use], Use | None, int]:
    """A corpus node's transforms, its selector, and how many rows that keeps."""
    select = dict(payload.get("select") or {"n": 0})
    n = select.pop("n")
    transforms = [Use(**use) for use in payload.get("transforms", ())]
    return transforms, Use(**select) if select else None, n


def transformed(payload: Mapping[str, Any], rows: Iterable[Row], model: str | None) -> Made:
    """A source's rows after the corpus' transforms and selector."""
    if "transforms" not in payload:
        return Made(rows)
    uses, chosen, n = uses_of(payload)
    context: dict[str, Any] = {
        "open_model": lambda path: open_model(ModelRef(path=path)), "embed": embedder(),
    }  # fmt: skip
    if model is not None and any("model" in method.context for method in methods_of(uses, chosen)):
        context["model"] = study_model(payload, model)
    seed, name = payload["config"]["seed"], payload["config"]["corpus"]
    return made(rows, uses, chosen, n, seed=seed, name=name, context=context)


def cost(ahead: Ahead) -> Iterator[Work | Asked]:
    """What a model writes, each response as long as it may be; of teachers also the price."""
    for name, nodes in ahead.by_name("corpus").items():
        use = nodes[0].payload["use"]
        facts = CORPORA.get(use["name"]).facts
        if "asks" in facts and ahead.left(nodes):
            calls = facts["calls"](use)
            tokens = calls * use["max_new_tokens"]
            # A judge's share of the calls isn't known before.
            role, ref = facts["asks"](use)[0]
            yield Asked.of(ref, calls, tokens, tokens, name, role)
        if ahead.lengths is None or not has_model_write(use["name"]):
            continue
        rows, mean, _ = ahead.lengths.corpus(use["prompts"], _LONGEST, True)
        calls = use["k"] * min(rows, use["size"] or rows)
        asked = Tally(calls, round(calls * mean * CHARACTERS), calls * use["max_new_tokens"])
        asked.longest = round(mean * CHARACTERS) + use["max_new_tokens"]
        yield from answering_work(ahead, nodes, asked, CHARACTERS * asked.generated)


KIND = NodeKind("corpus", run, version="2", cost=cost)
