"""Rows a stage trains on, matched in tokens where the study gives a budget."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_jsonl, write_json, write_jsonl
from whyfirst.config.room import Use
from whyfirst.data.making import Made, made
from whyfirst.data.rows import Which, iter_rows, prompts_in, shaped, text_of, texts_of
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.models.folder import fast_tokenizer
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.cost import rehearsal
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Asked, Work, price
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import REPLIES, Store
from whyfirst.study.located import answering
from whyfirst.study.materials import CorpusUse, PretrainedModel
from whyfirst.study.nodes import written
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import SIDE, Builder
from whyfirst.study.nodes.evaluation import answering_work, ask_judge_model
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.sources import CORPORA, Row, has_model_write
from whyfirst.study.sources.rows import ROWS
from whyfirst.worlds import WORLDS

SECONDS = 0.2
_SAMPLE = 512  # rows whose length is measured
_LONGEST = 1 << 20  # a prompt is read whole


def plan(builder: Builder, name: str, seed: int, side: int = 0, model: str = "") -> str:
    """The node of a corpus at a seed of the study, on a side of its world.

    Args:
        model: the node of the model that the stage which reads it starts from; empty: the base.
            Only a corpus that this model writes differs by it.
    """
    corpus, world = builder.study.corpora[name], builder.world
    facts = CORPORA.get(corpus.name).facts
    seeded = facts.get("seeded", False)
    options, outside, use = builder.located(CORPORA, corpus, f"corpora.{name}")
    if "inputs" in facts:
        outside |= facts["inputs"](use, world)
    config = {"source": corpus.name} | options | {"corpus": name, "seed": seed if seeded else 0}
    config |= corpus.made_of
    extra: dict[str, Any] = {"use": use}
    if corpus.made_of:
        extra["transforms"] = [use.model_dump(mode="json") for use in corpus.transforms]
        extra["select"] = corpus.select and corpus.select.model_dump(mode="json")
    if "sided" not in facts or not facts["sided"](corpus.options):
        side = 0
    if world is not None:
        here, extra["world"] = builder.world_at(seed, side)
        config |= here.identity
    depends: tuple[str, ...] = ()
    reads_base = facts.get("reads_base", lambda options: False)(corpus.options)
    asks_base = any("model" in TRANSFORMS.get(use.name).context for use in corpus.transforms)
    asked = facts["asks"](use) if "asks" in facts else []
    if any(ref is None or ref.endpoint is None for _, ref in asked):
        config["device"] = builder.device
    if corpus.options.get("tokens") is not None or reads_base or asks_base:
        depends = (builder.plan("base", seed),)
    if corpus.name == "written":
        depends += (builder.plan("written", corpus.options["written"]),)
    id = f"seed{seed}/corpus:{name}" if seeded else f"corpus:{name}"  # noqa: A001
    if has_model_write(corpus.name):
        depends = (model or builder.plan("base", seed),)
        id = f"{depends[0]}/corpus:{name}" if model else id  # noqa: A001
        _drawn_by(builder, corpus, config, outside, extra)
    read = [corpus.options[option] for option in facts.get("rows_of", ())]
    depends += tuple(builder.plan("corpus", other, seed, side) for other in read)
    id += f"{SIDE}{side}" if side else ""  # noqa: A001
    return builder.add(
        id, "corpus", config, depends, outside=outside, extra=extra, weight=SECONDS, name=name
    )  # fmt: skip


def _drawn_by(
    builder: Builder, corpus: CorpusUse, config: dict[str, Any], outside: dict[str, str],
    extra: dict[str, Any],
) -> None:  # fmt: skip
    """Put into a corpus how its model writes, and the methods that label what it writes."""
    config["device"] = builder.device
    if isinstance(builder.study.model, PretrainedModel):
        identity, extra["model"] = answering(builder.study.model, builder)
        config |= identity
    facts = CORPORA.get(corpus.name).facts
    uses = facts.get("uses", lambda options: {})(corpus.options)
    config["methods"] = {place: room.identity(use) for place, (room, use) in uses.items()}
    if facts.get("asks_judge", lambda options: False)(corpus.options):
        if builder.study.judge_model is None:
            raise ConfigError(
                f"{builder.file}: corpora: {corpus.name} asks a judge: name it as `judge_model`"
            )
        ask_judge_model(builder, config, outside, extra)


def rows_of(
    payload: Mapping[str, Any], folder: Path | None = None, base: str | None = None,
    **context: Any,
) -> list[Row]:  # fmt: skip
    """All rows of a corpus node's source, before its transforms; see `source_of`."""
    return list(source_of(payload, folder, base, **context))


def source_of(
    payload: Mapping[str, Any], folder: Path | None = None, base: str | None = None,
    **context: Any,
) -> Iterable[Row]:  # fmt: skip
    """The rows of a corpus node's source, one after the other where it streams.

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
    config = payload["config"]
    # What a teacher wrote is the last of the folders read.
    base = model_folder(folders[0]) if folders and config["source"] != "written" else None
    about: dict[str, Any] = {"corpus": config["corpus"], "tokens": None}
    computed_on = machine(config) if "device" in config else {}
    context = {} if base is None else _given(payload, folders, folder, base)
    context |= {"replies": folder.parents[1] / REPLIES, "note": about.__setitem__}
    written = folders[-1] if config["source"] == "written" else None
    rows = source_of(payload, written, base, progress=progress, **context)
    if (spent := about.pop("spent", None)) is not None:
        write_json(folder / "machine.json", computed_on | {"spent": spent})
    after = _transformed(payload, rows, base)
    rows, matched = after.rows, {}
    if config.get("tokens") is not None:
        rows, matched = _matched(config, list(rows), model_folder(folders[0]))
    count = write_jsonl(folder / ROWS, rows)
    about |= {"rows": count, "unique": count} | matched
    if "transforms" in payload:  # all are told of, once all rows have gone through them
        left_out = {method: dict(why) for method, why in after.left_out.items()}
        about["left_out"] = about.get("left_out", {}) | left_out
    write_json(folder / "corpus.json", about)


def _given(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, base: str
) -> dict[str, Any]:
    """What a source that has a model write is given; nothing for others."""
    source = payload["config"]["source"]
    if not has_model_write(source):
        return {}
    options = CORPORA.get(source).facts.get("rows_of", ())
    judge, replies = payload.get("judge_model"), folder.parents[1] / REPLIES
    places = folders[len(folders) - len(options) :]
    return {
        "model": open_model(ModelRef(**payload.get("model", {}), path=base)),
        "judge_model": judge and open_model(ModelRef(**judge), cache=replies),
        "given": {o: list(iter_rows(at / ROWS)) for o, at in zip(options, places, strict=True)},
        "kept": folder / "drawn.jsonl",
    }


def _transformed(payload: Mapping[str, Any], rows: Iterable[Row], base: str | None) -> Made:
    """A source's rows after the corpus' transforms and selector."""
    if "transforms" not in payload:
        return Made(rows)
    uses = [Use(**use) for use in payload["transforms"]]
    select = payload["select"]
    n = 0 if select is None else select["n"]
    selector = None if select is None else Use(**{k: v for k, v in select.items() if k != "n"})
    wanted = set().union(*(TRANSFORMS.get(use.name).context for use in uses))
    context: dict[str, Any] = {"open_model": lambda path: open_model(ModelRef(path=path))}
    if "model" in wanted and base is not None:
        context["model"] = open_model(ModelRef(path=base))
    seed, name = payload["config"]["seed"], payload["config"]["corpus"]
    return made(rows, uses, selector, n, seed=seed, name=name, context=context)


def transformed_ahead(payload: Mapping[str, Any], rows: list[Row]) -> list[Row] | None:
    """A source's rows as they will be, before any work; None where a model makes them."""
    methods = [TRANSFORMS.get(use["name"]) for use in payload.get("transforms", ())]
    if any(method.context & {"model", "open_model"} for method in methods):
        return None
    return list(_transformed(payload, rows, None).rows)


def _matched(
    config: Mapping[str, Any], rows: list[Row], model: str
) -> tuple[list[Row], dict[str, Any]]:
    """The rows that fill the token budget to 0.5 %, counted with the model's own tokenizer."""
    from transformers import AutoTokenizer

    from whyfirst.explain.match import match_rows, match_tokens

    tokenizer = AutoTokenizer.from_pretrained(model)

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1  # and its end

    name = config["corpus"]
    texts = {name: [row["text"] for row in rows]}
    chosen = match_tokens(texts, count, config["tokens"])
    table = match_rows(texts, chosen, count)[0]
    about = {"corpus": name, "unique": table.unique_documents, "tokens": table.tokens}
    return [rows[index] for index in chosen[name]], about


class CorpusLengths:
    """Rows and lengths of a plan's corpora at seed 0, counted once each.

    Args:
        model: folder of the model whose tokens count; None where there is none here.
    """

    def __init__(self, nodes: Mapping[str, Node], store: Store, model: str | None) -> None:
        self._nodes, self._store = nodes, store
        self._found: dict[str, tuple[int, float, float]] = {}
        self.tokenizer: Any = None if model is None else fast_tokenizer(Path(model))

    def tokens(self, text: str) -> float:
        """Of one text."""
        if self.tokenizer is None:
            return len(text) / CHARACTERS
        return float(len(self.tokenizer.encode(text, add_special_tokens=False).ids))

    def corpus(
        self, name: str, limit: int, prompts: bool, turns: Which = "last"
    ) -> tuple[int, float, float]:
        """(rows, mean tokens of a row cut at `limit`, tokens of all rows); `prompts`: of these."""
        key = f"{name} cut at {limit} {prompts} {turns}"
        if key not in self._found:
            nodes = [n for n in self._nodes.values() if (n.kind, n.name) == ("corpus", name)]
            given, where = self._rows(nodes), Path(name)
            rows = list(prompts_in(given, where) if prompts else shaped(given, where, turns))
            sample = rows[:: max(1, len(rows) // _SAMPLE)]
            longest = [
                self.tokens(text_of(row.get("prompt", "")))
                if prompts
                else max(map(self.tokens, texts_of(row)))
                for row in sample
            ]
            mean = sum(longest) / max(1, len(longest))
            budget = nodes[0].payload["config"].get("tokens")
            cut = sum(min(length, limit) for length in longest) / max(1, len(longest))
            self._found[key] = len(rows), cut, float(budget or mean * len(rows))
        return self._found[key]

    def _rows(self, nodes: list[Node]) -> list[Row]:
        made = [node for node in nodes if self._store.complete(*node.key)]
        if made:
            return read_jsonl(self._store.folder(*made[0].key) / ROWS)
        payload = nodes[0].payload
        source = payload["config"]["source"]
        facts, options = CORPORA.get(source).facts, payload["use"]
        if "asks" in facts:  # what its transforms will find in the rows isn't known before
            told: list[Row] = facts["ahead"](options, {})
            return told
        if has_model_write(source):
            read = {
                option: self._rows([n for n in self._nodes.values()
                                    if (n.kind, n.name) == ("corpus", options[option])])
                for option in facts.get("rows_of", ())
            }  # fmt: skip
            rows: list[Row] = facts["ahead"](options, read)
            return rows if (ahead := transformed_ahead(payload, rows)) is None else ahead
        if source != "written":
            rows = rows_of(payload)
            return rows if (ahead := transformed_ahead(payload, rows)) is None else ahead
        wanted = self._nodes[nodes[0].depends[-1]]
        if self._store.complete(*wanted.key):
            return rows_of(payload, self._store.folder(*wanted.key))
        return written.rows_ahead(payload["config"]["documents"], wanted)


def cost(ahead: Ahead) -> Iterator[Work | Asked]:
    """What a model writes, each response as long as it may be; of teachers also the price."""
    for name, nodes in ahead.by_name("corpus").items():
        use = nodes[0].payload["use"]
        facts = CORPORA.get(use["name"]).facts
        if "asks" in facts and ahead.left(nodes):
            calls = facts["calls"](use)
            tokens = calls * use["max_new_tokens"]
            role, ref = facts["asks"](use)[0]  # a judge's share of the calls isn't known before
            paid = None if ref is None else price(ref.price_in, ref.price_out, tokens, tokens)
            free = ref is None or ref.endpoint is None
            named = "the study's model" if ref is None else ref.name
            yield Asked(name, role, named, calls, tokens, tokens, 0.0 if free else paid)
        if ahead.lengths is None or not has_model_write(use["name"]):
            continue
        rows, mean, _ = ahead.lengths.corpus(use["prompts"], _LONGEST, True)
        calls = use["k"] * min(rows, use["size"] or rows)
        read, written = round(calls * mean * CHARACTERS), calls * use["max_new_tokens"]
        asked = rehearsal.Asked(calls, read, written)
        asked.longest = round(mean * CHARACTERS) + use["max_new_tokens"]
        yield from answering_work(ahead, nodes, asked, CHARACTERS * asked.generated)


KIND = NodeKind(plan, run, version="2", cost=cost)
