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

from whyfirst.config.files import read_jsonl, write_json, write_jsonl
from whyfirst.constitution import Value, load_constitution
from whyfirst.data.rows import texts_of
from whyfirst.models.base import LanguageModel
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.cost.parts import CHARACTERS, Ahead, Work
from whyfirst.study.cost.rehearsal import Asked
from whyfirst.study.located import answering
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.corpus import rows_of
from whyfirst.study.nodes.evaluation import answering_work
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.schema import StudyFile
from whyfirst.study.sources import is_known_before
from whyfirst.study.sources.rows import ROWS

SECONDS = 2.0
ALL_ALONG = StudyFile.model_fields["seam_documents"].default
"""Documents measured where a study says nothing, which fingerprints don't hold."""
METRICS = {
    "held_out_documents": "Probability a token of documents it did not train on",
    "held_out_documents_before": "The base's probability a token of the same documents",
    "trained_documents": "Probability a token of documents it trained on",
    "recall_reason": "Gives a value's own reason, not another value's (chance 1/2)",
    "recall_reason_before": "The base gives a value's own reason, not another value's (chance 1/2)",
}
"""Metric -> its title; a probability a token is exp(-loss), the geometric mean over tokens."""
_MOST_TOKENS = 1 << 20  # a document is read whole
_STATED, _UNSTATED = "{statement} This matters because", "This matters because"


def plan(builder: Builder, stage: str, corpus: str, seed: int) -> str:
    """The node that measures a first stage.

    Args:
        stage: the node of the first stage.
        corpus: the study's name of the corpus it trained on.
    """
    node = builder.nodes[builder.plan("corpus", corpus, seed)]
    use = builder.study.corpora[corpus]
    model = builder.study.model
    config: dict[str, Any] = {"device": builder.device, "seed": seed, "values": None}
    if builder.study.seam_documents != ALL_ALONG:
        config["documents"] = builder.study.seam_documents
    extra: dict[str, Any] = {"corpus": node.payload, "constitution": None}
    if isinstance(model, PretrainedModel):
        identity, extra["model"] = answering(model, builder)
        config |= identity
    named, values = use.options.get("constitution"), use.options.get("values")
    if use.name == "written":
        teaching = builder.study.written[use.options["written"]]
        named, values = teaching.constitution, teaching.values_for(builder.study.value)
    if named is not None:
        extra["constitution"] = builder.shipped_or_file(named)
        config["values"] = None if values is None else list(values)
    written = node.depends[-1:] if use.name == "written" else ()
    depends = (stage, builder.plan("base"), node.id, *written)
    return builder.add(
        f"{stage}/seam", "seam", config, depends, extra=extra, weight=SECONDS, name=corpus
    )


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """An item a line: a document, or a reason that is told from a foil."""
    config = payload["config"]
    write_json(folder / "machine.json", machine(config))
    written = folders[-1] if payload["corpus"]["config"]["source"] == "written" else None
    known = {text for row in read_jsonl(folders[2] / ROWS) for text in texts_of(row)}
    # What a model wrote it did not write twice: nothing of it is held out.
    known_before = is_known_before(payload["corpus"]["config"]["source"])
    rows_read = rows_of(payload["corpus"], written) if known_before else []
    every = {text for row in rows_read for text in texts_of(row)}
    most = config.get("documents", ALL_ALONG)
    trained, held_out = _chosen(known, most), _chosen(every - known, most)
    rows: list[dict[str, Any]] = []
    for place, suffix in ((folders[0], ""), (folders[1], "_before")):
        ref = ModelRef(**{**payload.get("model", {}), "path": model_folder(place)})
        model = open_model(ref)
        rows += likelihoods(model, held_out, f"held_out_documents{suffix}")
        if not suffix:
            rows += likelihoods(model, trained, "trained_documents")
        if payload["constitution"] is not None:
            values = load_constitution(payload["constitution"]).values
            rows += recall(model, values, config["values"], f"recall_reason{suffix}")
        progress(1 + bool(suffix), 2, "models")
    write_jsonl(folder / "items.jsonl", rows)


def _chosen(texts: set[str], most: int) -> list[str]:
    """At most so many, by their hash: not the first of a file, and the same in every arm."""
    return sorted(texts, key=lambda text: hashlib.sha256(text.encode()).digest())[:most]


def likelihoods(model: LanguageModel, texts: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """The geometric mean of the probabilities of each document's tokens, in [0, 1]."""
    scored = model.loglikelihood([("", [text]) for text in texts])
    items = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
    return [
        _row(
            item, metric, None if found.problem else math.exp(found.logprob / max(found.tokens, 1))
        )
        for item, (found,) in zip(items, scored, strict=True)
    ]


def recall(
    model: LanguageModel, values: Sequence[Value], taught: Sequence[str] | None, metric: str
) -> list[dict[str, Any]]:
    """Each reason of a taught value against a foil, the same reason of the value after it.

    What counts is how much likelier the value's statement makes a reason, a token, than the bare
    question does: a reason that is likely anyway is no recall.
    """
    pairs = list(_pairs(values, taught))
    asked = [
        (prompt, [f" {reason}" for reason in two])
        for value, _, *two in pairs
        for prompt in (_STATED.format(statement=value.statement), _UNSTATED)
    ]
    scored = iter(model.loglikelihood(asked))
    rows = []
    for value, number, *_ in pairs:
        stated, unstated = next(scored), next(scored)
        gain = [(s.logprob - u.logprob) / max(s.tokens, 1)
                for s, u in zip(stated, unstated, strict=True)]  # fmt: skip
        score = None if any(map(math.isnan, gain)) else float(gain[0] > gain[1])
        rows.append(_row(f"{value.id}/{number}", metric, score, value.id))
    return rows


def _pairs(
    values: Sequence[Value], taught: Sequence[str] | None
) -> Iterator[tuple[Value, int, str, str]]:
    """(value, number, its reason, the foil); nothing for a constitution of one value."""
    for place, value in enumerate(values):
        foils = values[(place + 1) % len(values)].reasons
        if len(values) > 1 and (taught is None or value.id in taught):
            for number, reason in enumerate(value.reasons):
                yield value, number, reason, foils[number % len(foils)]


def _row(item: str, metric: str, score: float | None, topic: str | None = None) -> dict[str, Any]:
    row = {"id": item, "benchmark": metric, "topic": topic or item}
    return row | ({"reason": "longer than the context"} if score is None else {"score": score})


def cost(ahead: Ahead) -> Iterator[Work]:
    """Documents read by two models, half of them by one; reasons are short beside them."""
    for name, nodes in ahead.by_name("seam").items():
        if ahead.lengths is not None:
            _, mean, _ = ahead.lengths.corpus(name, _MOST_TOKENS, False)
            most = ahead.study.seam_documents
            read = round(3 * most * mean * CHARACTERS)
            asked = Asked(calls=3 * most, read=read, longest=round(mean * CHARACTERS))
            yield from answering_work(ahead, nodes, asked, 200.0 * asked.calls)


KIND = NodeKind(plan, run, version="1", cost=cost)
