"""A corpus' rows before it is made: what checks, costs and `plan` know of them.

Leaves out: how the rows are made (`corpus`).
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.data.making import Made
from whyfirst.data.rows import Which, prompts_in, shaped, text_of, texts_of
from whyfirst.models.embed import encoder_of
from whyfirst.models.folder import fast_tokenizer
from whyfirst.study.cost.parts import CHARACTERS
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import written
from whyfirst.study.nodes.corpus import methods_of, rows_of, transformed, uses_of
from whyfirst.study.sources import CORPORA, ROWS, Row, has_model_write

_SAMPLE = 512  # rows whose length is measured
_AHEAD: dict[str, Made | None] = {}  # by the node's fingerprint


def rows_ahead(node: Node) -> list[Row] | None:
    """A corpus' rows as they will be, before any work; None where a model makes them."""
    made = _made_ahead(node)
    return None if made is None else list(made.rows)


def _made_ahead(node: Node) -> Made | None:
    # A corpus may be a large file, and several ask before the work: checks, costs, repeats.
    if node.fingerprint not in _AHEAD:
        _AHEAD[node.fingerprint] = made_without_model(node.payload, rows_of(node.payload))
    return _AHEAD[node.fingerprint]


def made_without_model(payload: Mapping[str, Any], rows: Iterable[Row]) -> Made | None:
    """A source's rows through its corpus' transforms and selector; None where one asks a model."""
    transforms, select, _ = uses_of(payload)
    contexts = [method.context for method in methods_of(transforms, select)]
    # Held first: a row that can't be read is told of whatever becomes of it.
    rows = list(rows)
    if any(context & {"model", "open_model"} for context in contexts) or encoder_of(contexts):
        return None
    return transformed(payload, rows, None).held


def leaves_out(nodes: Iterable[Node], store: Store) -> list[str]:
    """One clause for each corpus and method that leaves rows out of it, with the reasons.

    Of a corpus' first seed. One that isn't made yet is gone through here, where its rows are a file
    of the study's own and no model makes them.
    """
    told: dict[str, list[str]] = {}
    for node in nodes:
        if node.kind != "corpus" or node.payload["config"]["corpus"] in told:
            continue
        config, found = node.payload["config"], {}
        if store.complete(*node.key):
            found = read_json(store.folder(*node.key) / "corpus.json").get("left_out", {})
        elif config["source"] == "file" and "transforms" in node.payload:
            ahead = _made_ahead(node)
            found = {} if ahead is None else ahead.left_out
        told[config["corpus"]] = [
            f"corpus {config['corpus']!r}: {method} leaves out {sum(why.values())} rows ("
            + ", ".join(f"{reason}: {count}" for reason, count in sorted(why.items())) + ")"
            for method, why in found.items() if why
        ]  # fmt: skip
    return [clause for clauses in told.values() for clause in clauses]


def forget_rows() -> None:
    """Free what `rows_ahead` keeps: a run that follows may take days."""
    _AHEAD.clear()


class CorpusLengths:
    """Rows and lengths of a plan's corpora at seed 0, counted once each.

    Args:
        model: folder of the model whose tokens count; None where there is none here.
    """

    def __init__(self, nodes: Mapping[str, Node], store: Store, model: str | None) -> None:
        self._nodes, self._store = nodes, store
        self._counted: dict[tuple[str, int, bool, Which], tuple[int, float, float]] = {}
        self._read: dict[str, list[Row]] = {}
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
        key = name, limit, prompts, turns
        if key not in self._counted:
            nodes = by_name(self._nodes.values(), "corpus")[name]
            if name not in self._read:
                self._read[name] = self._rows(nodes)
            given, where = self._read[name], Path(name)
            if turns == "all" and not prompts:
                given = list(shaped(given, where, turns))  # some become several
            some = given[:: max(1, len(given) // _SAMPLE)]
            rows = prompts_in(some, where) if prompts else shaped(some, where)
            lengths = [
                max(map(self.tokens, [text_of(row["prompt"])] if prompts else texts_of(row)))
                for row in rows
            ]
            count = max(1, len(lengths))
            budget = nodes[0].payload["config"].get("tokens")
            cut = sum(min(length, limit) for length in lengths) / count
            self._counted[key] = len(given), cut, float(budget or sum(lengths) / count * len(given))
        return self._counted[key]

    def _rows(self, nodes: list[Node]) -> list[Row]:
        """Of a corpus' nodes: as one of them left them, else as they are known before the work."""
        done = [node for node in nodes if self._store.complete(*node.key)]
        if done:
            return read_jsonl(self._store.folder(*done[0].key) / ROWS)
        source, options = nodes[0].payload["config"]["source"], nodes[0].payload["use"]
        facts = CORPORA.get(source).facts
        # What its transforms will find in the rows isn't known before.
        if "asks" in facts:
            told: list[Row] = facts["ahead"](options, {})
            return told
        if has_model_write(source):
            corpora = by_name(self._nodes.values(), "corpus")
            read = {
                option: list(
                    prompts_in(self._rows(corpora[options[option]]), Path(options[option]))
                )
                for option in facts.get("rows_of", ())
            }
            try:
                drawn: list[Row] = facts["ahead"](options, read)
            except DataError as error:
                raise DataError(f"corpora.{nodes[0].name}: {error}") from error
            ahead = made_without_model(nodes[0].payload, drawn)
            return drawn if ahead is None else list(ahead.rows)
        if source != "written":
            rows = rows_ahead(nodes[0])
            return list(rows_of(nodes[0].payload)) if rows is None else rows
        wanted = self._nodes[nodes[0].depends[-1]]
        if self._store.complete(*wanted.key):
            return list(rows_of(nodes[0].payload, self._store.folder(*wanted.key)))
        return written.fillings_ahead(nodes[0].payload["config"]["documents"], wanted)
