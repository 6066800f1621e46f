"""At the seam between the stages: whether the first stage taught anything, on any model.

How likely documents of its corpus are that it did not train on, and those it did, beside the base's
likelihood of the same (the loss, as a probability a token); and whether it gives a value's own
reason for the value rather than another value's. Leaves out: worlds that bring a recall benchmark
of their own, and what the taught value does to conduct (the benchmarks).
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json, read_jsonl, write_json, write_jsonl
from whyfirst.constitution import Value, load_constitution
from whyfirst.data.rows import texts_of
from whyfirst.models.base import LanguageModel
from whyfirst.report.schema import BEFORE
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Tally, Work
from whyfirst.study.nodes import base, corpus
from whyfirst.study.nodes.base import model_folder, study_model
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.corpus import rows_of
from whyfirst.study.nodes.evaluation import answered_by, answering_work
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.nodes.rows_ahead import made_without_model
from whyfirst.study.schema import StudyFile
from whyfirst.study.sources import ROWS, is_known_before
from whyfirst.train.plan import SEEN

SECONDS = 2.0
# Documents measured where a study says nothing, which fingerprints don't hold.
ALL_ALONG = StudyFile.model_fields["seam_documents"].default
# Metric -> its title; a probability a token is exp(-loss), the geometric mean over tokens.
METRICS = {
    "held_out_documents": "Probability a token of documents it did not train on",
    f"held_out_documents{BEFORE}": "The base's probability a token of the same documents",
    "trained_documents": "Probability a token of documents it trained on",
    "recall_reason": "Gives a value's own reason, not another value's (chance 1/2)",
    f"recall_reason{BEFORE}": "The base gives a value's own reason, not another value's "
    "(chance 1/2)",
}
_MOST_TOKENS = 1 << 20  # a document is read whole
_STATED, _UNSTATED = "{statement} This matters because", "This matters because"


def plan(builder: Builder, stage: str, name: str, seed: int) -> str:
    """The node that measures a first stage.

    Args:
        stage: the node of the first stage.
        name: the corpus it trained on, as the study calls it.
    """
    node, use = builder.nodes[corpus.plan(builder, name, seed)], builder.study.corpora[name]
    spec = Spec({"seed": seed, "values": None}, extra={"corpus": node.payload})
    answered_by(builder, spec)
    if builder.study.seam_documents != ALL_ALONG:
        spec.config["documents"] = builder.study.seam_documents
    named, values = use.options.get("constitution"), use.options.get("values")
    if use.name == "written":
        teaching = builder.study.written[use.options["written"]]
        named, values = teaching.constitution, teaching.values_for(builder.study.value)
    spec.extra["constitution"] = named and builder.files.shipped_or_file(named)
    if named is not None:
        spec.config["values"] = None if values is None else list(values)
    if use.transforms:
        spec.config["held_out"] = "transformed"  # before, as their source has them
    # What a teacher wrote holds the documents that no stage trained on.
    wrote = node.depends[-1:] if use.name == "written" else ()
    depends = (stage, base.plan(builder), node.id, *wrote)
    return builder.add(f"{stage}/seam", KIND, spec, depends, weight=SECONDS, name=name)


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """An item a line: a document, or a reason that is told from a foil."""
    config, source = payload["config"], payload["corpus"]
    write_json(folder / "machine.json", machine(config))
    wrote = folders[-1] if source["config"]["source"] == "written" else None
    read = read_jsonl(folders[2] / ROWS)
    every = {text for row in read for text in texts_of(row)}
    known = {text for row in _seen(folders[0], read) for text in texts_of(row)}
    # What a model wrote it did not write twice: of it only what no update saw is held out.
    if is_known_before(source["config"]["source"]):
        # Before any is chosen, and as those trained on are: another form of them is not held out.
        made = made_without_model({**source, "select": None}, rows_of(source, wrote))
        every |= {text for row in (made.rows if made else ()) for text in texts_of(row)}
    trained, held_out = (
        # By their hash: not the first of a file, and the same in every arm.
        sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[
            : config.get("documents", ALL_ALONG)
        ]
        for texts in (known, every - known)
    )
    rows: list[dict[str, Any]] = []
    for place, suffix in ((folders[0], ""), (folders[1], BEFORE)):
        model = study_model(payload, model_folder(place))
        rows += likelihoods(model, held_out, f"held_out_documents{suffix}")
        if not suffix:
            rows += likelihoods(model, trained, "trained_documents")
        if payload["constitution"] is not None:
            values = load_constitution(payload["constitution"]).values
            rows += recall(model, values, config["values"], f"recall_reason{suffix}")
        progress(1 + bool(suffix), 2, "models")
    write_jsonl(folder / "items.jsonl", rows)


def _seen(stage: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that some update saw."""
    noted = stage / SEEN
    return [rows[line - 1] for line in read_json(noted)["lines"]] if noted.exists() else rows


def likelihoods(model: LanguageModel, texts: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """The geometric mean of the probabilities of each document's tokens, in [0, 1]."""
    rows = []
    for text, (found,) in zip(texts, model.loglikelihood([("", [t]) for t in texts]), strict=True):
        score = None if found.problem else math.exp(found.logprob / max(found.tokens, 1))
        item = hashlib.sha256(text.encode()).hexdigest()[:16]
        rows.append(_row(item, metric, score, item))
    return rows


def recall(
    model: LanguageModel, values: Sequence[Value], taught: Sequence[str] | None, metric: str
) -> list[dict[str, Any]]:
    """Each reason of a taught value against a foil, the same reason of the value after it.

    What counts is how much likelier the value's statement makes a reason, a token, than the bare
    question does: a reason that is likely anyway is no recall. Of a constitution of one value there
    is nothing.
    """
    items: list[tuple[Value, int]] = []
    asked: list[tuple[str, list[str]]] = []
    for place, value in enumerate(values):
        foils = values[(place + 1) % len(values)].reasons
        if len(values) == 1 or (taught is not None and value.id not in taught):
            continue
        for number, reason in enumerate(value.reasons):
            items.append((value, number))
            two = [f" {reason}", f" {foils[number % len(foils)]}"]
            asked += [(_STATED.format(statement=value.statement), two), (_UNSTATED, two)]
    scored, rows = iter(model.loglikelihood(asked)), []
    for (value, number), stated, unstated in zip(items, scored, scored, strict=True):
        gain = [(s.logprob - u.logprob) / max(s.tokens, 1)
                for s, u in zip(stated, unstated, strict=True)]  # fmt: skip
        score = None if any(map(math.isnan, gain)) else float(gain[0] > gain[1])
        rows.append(_row(f"{value.id}/{number}", metric, score, value.id))
    return rows


def _row(item: str, metric: str, score: float | None, topic: str) -> dict[str, Any]:
    row = {"id": item, "benchmark": metric, "topic": topic}
    return row | ({"reason": "longer than the context"} if score is None else {"score": score})


def cost(ahead: Ahead) -> Iterator[Work]:
    """Documents read by two models, half of them by one; reasons are short beside them."""
    for name, nodes in ahead.by_name("seam").items():
        if ahead.lengths is not None:
            _, mean, _ = ahead.lengths.corpus(name, _MOST_TOKENS, False)
            most, long = ahead.study.seam_documents, mean * CHARACTERS
            asked = Tally(calls=3 * most, read=round(3 * most * long), longest=round(long))
            yield from answering_work(ahead, nodes, asked, 200.0 * asked.calls)


KIND = NodeKind("seam", run, version="2", cost=cost)
