"""All that a teacher writes under one name of `written`: explanations, controls and their audit.

What a node holds of a teacher that is a model: where it is and its revision (at an endpoint), or
its files' content, dtype, chat template and the kind of device (a local one), and what it is asked.
Prices, caps and the key's variable are no part of it. Leaves out: the writing (explain/build.py).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_jsonl, sha256_json, write_json
from whyfirst.config.strict import decisive
from whyfirst.constitution import Constitution, load_constitution
from whyfirst.data.leaks import DRESS
from whyfirst.data.leaks import VERSION as LEAKS
from whyfirst.explain.cells import Dealer
from whyfirst.explain.explanation import CONTROLS, CORPORA, Corpus
from whyfirst.explain.filters import FILTERING, JUDGING, FilterOptions, Opposing
from whyfirst.explain.plan import Plan, load_plan, pruned, shipped_levels
from whyfirst.explain.teachers import WORDS, Request, asked_for, asking_fingerprint
from whyfirst.explain.template import teacher_fingerprint, write_corpus
from whyfirst.explain.tested import read_tested, split_given
from whyfirst.explain.tokens import count_pieces, tokenizer_counter
from whyfirst.explain.write import ANSWERS, Limits
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Asked
from whyfirst.study.execute.graph import Node
from whyfirst.study.materials import Written
from whyfirst.study.nodes import base
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.files import Spec, located_to_ask
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.nodes.within import open_asked
from whyfirst.study.schema import StudyFile

SECONDS = 60.0
_AT_ONCE, _ENDPOINT_AT_ONCE = 8, 64  # prompts a call: a local model has its memory
_TOKENS_A_WORD = 4 / 3  # of English, in vocabularies of 30,000 entries or more
_QUESTION, _VERDICT = 120, 4  # tokens of a judge's question without the document, and its answer
_SAMPLE = 48  # cells whose prompts or fillings are measured


def plan(builder: Builder, name: str) -> str:
    """The node of all that a teacher writes under one name.

    Raises:
        UserError: an unknown constitution or value, an edited plan with a mistake, a missing file.
    """
    if f"written:{name}" in builder.nodes:
        return f"written:{name}"
    use, at = builder.study.written[name], f"written.{name}"
    spec = Spec(decisive(use))
    place = builder.files.shipped_or_file(use.constitution)
    constitution, values = load_constitution(place), use.values_for(builder.study.value)
    folder = None if use.plan is None else str(builder.files.path(use.plan))
    spec.extra = {"constitution": place, "plan": folder, "min_yield": use.min_yield}
    spec.contents = {
        "constitution": sha256_json(decisive(constitution)),
        "plan": _order(constitution, folder, values).fingerprint,
        "asked": teacher_fingerprint() if use.teacher is None else asking_fingerprint(),
    }
    columns, against = [], []
    for number, given in enumerate(use.against):
        file, column = split_given(given)
        columns.append(column)
        sha, path = builder.files.data(str(file), f"{at}.against.{number}")
        spec.contents[f"against {number}"] = sha
        against.append(path + (f":{column}" if column else ""))
    spec.extra["against"] = against
    # By its `seed` a node is ordered among a study's; this one is none of them.
    spec.config["writing_seed"] = spec.config.pop("seed")
    spec.config |= {
        "corpus": name,
        "values": None if values is None else list(values),
        "documents": documents_read(builder.study, name),
        "columns": columns,
    }
    # What is left out as a leak is decided by code that may change; without these nothing is.
    if against:
        spec.config["leaks"] = LEAKS if use.teacher is None else f"{LEAKS}.{DRESS}"
    _ask(builder, use, at, spec)
    reads = (base.plan(builder),)
    return builder.add(f"written:{name}", KIND, spec, reads, weight=SECONDS, name=name)


def documents_read(study: StudyFile, written: str) -> list[str]:
    """Which corpora are written under one name: what arms read and the file names; explanations
    first."""
    stages = {name for arm in study.arms.values() for name in arm.stages}
    stages |= {use.reward_from for name, use in study.stages.items()
               if name in stages and use.reward_from is not None}  # fmt: skip
    uses = [study.stages[name] for name in stages]
    read = {use.data for use in uses} | {use.replay_data for use in uses}
    wanted = {
        corpus.options["documents"]
        for name, corpus in study.corpora.items()
        if name in read and corpus.name == "written" and corpus.options["written"] == written
    }
    wanted |= {"explanations", *study.written[written].documents}
    return [name for name in CORPORA if name in wanted]


def _ask(builder: Builder, use: Written, at: str, spec: Spec) -> None:
    """Put the teacher and the judge into a node: what of them decides, and how they are opened."""
    for role, model in (("teacher", use.teacher), ("judge", use.judge)):
        spec.config[role] = spec.extra[role] = None
        if model is None:
            continue
        found = located_to_ask(model, f"{at}.{role}", builder.files)
        if model.endpoint is None:
            spec.config["device"] = builder.device
        spec.config[role], spec.extra[role] = found.config, found.extra
        spec.extra[f"{role}_name"] = model.name
        spec.hold(role, found.contents)
    # The grammar's controls pass no filter, and its explanations pass them all.
    if use.teacher is not None:
        spec.config["filtering"] = FILTERING
    if use.judge is not None:
        spec.config["judging"] = JUDGING


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """Write explanations and controls, going on from what is there.

    An endpoint's replies are paid for: they are kept for the whole store, and asked for once.

    Raises:
        UserError: what `explain.build.build` raises.
    """
    from whyfirst.explain.build import Wanted, build, make_teacher

    config = payload["config"]
    computed_on = machine(config) if "device" in config else {}
    constitution = load_constitution(payload["constitution"])
    order = _order(constitution, payload["plan"], config["values"])
    asked = {role: open_asked(payload[role], folder) for role in ("teacher", "judge")}
    writer = make_teacher(
        asked["teacher"], payload.get("teacher_name", ""), constitution, order,
        config["writing_seed"],
        _ENDPOINT_AT_ONCE if "endpoint" in (payload["teacher"] or {}) else _AT_ONCE,
    )  # fmt: skip
    wanted = Wanted(
        seed=config["writing_seed"],
        limits=Limits(tokens=config["tokens"], min_yield=payload["min_yield"]),
        controls=tuple(name for name in CONTROLS if name in config["documents"]),
        filters=FilterOptions(**config["filters"]),
    )
    most = config["tokens"]
    built = build(
        constitution, writer, order, wanted, folder,
        tested=[read_tested(file) for file in payload["against"]],
        opposes=None if asked["judge"] is None else Opposing(asked["judge"]),
        count_tokens=tokenizer_counter(model_folder(folders[0])),
        on_batch=lambda now: progress(min(now.tokens, most), most, str(now)),
        on_control=lambda name, done, total: progress(done, total, name),
    )  # fmt: skip
    spent: dict[str, dict[str, Any]] = {}
    for role, used in built.spent.items():
        if payload[role] is None or not used:
            continue
        name = payload[f"{role}_name"]
        known = spent.get(name, dict.fromkeys(used, 0))
        # What one of the two doesn't know (a price) isn't known of both.
        spent[name] = {part: known[part] + used[part] for part in known if part in used}
    write_json(folder / "machine.json", computed_on | {"spent": spent})


def _order(constitution: Constitution, folder: str | None, values: Sequence[str] | None) -> Plan:
    """In which cells documents are written: an edited plan's, or the shipped one's."""
    if folder is not None:
        return load_plan(Path(folder), constitution)
    return pruned(shipped_levels(constitution, values))


# -- before it is done ---------------------------------------------------------------------


def cost(ahead: Ahead) -> Iterator[Asked]:
    """Of everything written that is not in the store, a row for each model that is asked."""
    for node in ahead.of_kind("written"):
        if not ahead.left([node]):
            continue
        payload, config = node.payload, node.payload["config"]
        name, long = config["corpus"], round(_TOKENS_A_WORD * WORDS)
        documents = math.ceil(config["tokens"] / (_TOKENS_A_WORD * WORDS))
        if payload["teacher"] is not None:
            journal = ahead.store.folder(*node.key) / ANSWERS
            answered = len(read_jsonl(journal, allow_torn_tail=True)) if journal.is_file() else 0
            calls = max(0, documents * len(config["documents"]) - answered)
            constitution, seed = load_constitution(payload["constitution"]), config["writing_seed"]
            order = _order(constitution, payload["plan"], config["values"])
            chats = [
                asked_for(Request(cell, corpus), constitution, order, seed)
                for cell in Dealer(order, constitution, seed).deal(_SAMPLE)
                for corpus in config["documents"]
            ]
            length = sum(len(turn.content) for chat in chats for turn in chat) / len(chats)
            read = calls * round(length / CHARACTERS)
            yield Asked.of(payload["teacher"], calls, read, calls * long, name, "teacher")
        # Controls have no value that a document could speak against.
        if payload["judge"] is not None:
            read = documents * (long + _QUESTION)
            yield Asked.of(payload["judge"], documents, read, documents * _VERDICT, name, "judge")


def fillings_ahead(documents: Corpus, node: Node) -> list[dict[str, Any]]:
    """Rows of a corpus before it is written: as many fillings of the grammar as fill its tokens."""
    config = node.payload["config"]
    constitution = load_constitution(node.payload["constitution"])
    values, seed = config["values"], config["writing_seed"]
    sample = write_corpus(documents, constitution, _SAMPLE, seed, values)
    tokens = sum(count_pieces(document.text) for document in sample) / len(sample)
    count = math.ceil(config["tokens"] / tokens)
    rows = [document.row() for document in sample]
    return [rows[place % len(rows)] for place in range(count)]


KIND = NodeKind("written", run, version="1", cost=cost)
