"""What a study has a teacher write: done, and reckoned before it is done.

Leaves out: how it is written (explain/build.py) and which of it a study needs (corpora.py).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.constitution import Constitution, load_constitution
from whyfirst.explain.cells import Dealer
from whyfirst.explain.explanation import CONTROLS
from whyfirst.explain.plan import Plan, load_plan, pruned, shipped_levels
from whyfirst.explain.teachers import WORDS, Request, asked_for
from whyfirst.explain.write import ANSWERS
from whyfirst.models.base import LanguageModel
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.execute.graph import Node

if TYPE_CHECKING:
    from whyfirst.study.execute.store import Store

_AT_ONCE, _ENDPOINT_AT_ONCE = 8, 64  # prompts a call: a local model has its memory
_TOKENS_A_WORD, _CHARACTERS = 4 / 3, 4.0  # of English, in vocabularies of 30,000 entries or more
_QUESTION, _VERDICT = 120, 4  # tokens of a judge's question without the document, and its answer
_SAMPLE = 48  # cells whose prompts or fillings are measured


def write(
    payload: Mapping[str, Any],
    tokenizer: str,
    folder: Path,
    replies: Path,
    progress: Callable[[int, int, str], None],
) -> dict[str, dict[str, Any]]:
    """Write explanations and controls into `folder`, going on from what is there.

    Args:
        tokenizer: folder of the model whose tokens count.
        replies: folder of the store's kept replies, so that an endpoint is asked nothing twice.

    Returns:
        model -> what it has used (fields of `models.spend.Usage`).

    Raises:
        UserError: what `explain.build.build` raises.
    """
    from whyfirst.explain.build import Wanted, build, make_teacher
    from whyfirst.explain.filters import FilterOptions
    from whyfirst.explain.opposing import Opposing
    from whyfirst.explain.tested import read_tested
    from whyfirst.explain.tokens import tokenizer_counter
    from whyfirst.explain.write import Limits

    config = payload["config"]
    constitution = load_constitution(payload["constitution"])
    plan = _plan(payload, constitution)
    teacher, judge = (_opened(payload[role], replies) for role in ("teacher", "judge"))
    given = payload["teacher"] or {}
    writer = make_teacher(
        teacher, payload.get("teacher_name", ""), constitution, plan, config["writing_seed"],
        _ENDPOINT_AT_ONCE if "endpoint" in given else _AT_ONCE,
    )  # fmt: skip
    wanted = Wanted(
        seed=config["writing_seed"],
        limits=Limits(tokens=config["tokens"], min_yield=payload["min_yield"]),
        controls=tuple(name for name in CONTROLS if name in config["documents"]),
        filters=FilterOptions(**config["filters"]),
    )
    most = config["tokens"]
    built = build(
        constitution, writer, plan, wanted, folder,
        tested=[read_tested(file) for file in payload["against"]],
        opposes=None if judge is None else Opposing(judge),
        count_tokens=tokenizer_counter(tokenizer),
        on_batch=lambda now: progress(min(now.tokens, most), most, str(now)),
        on_control=lambda name, done, total: progress(done, total, name),
    )  # fmt: skip
    found: dict[str, dict[str, Any]] = {}
    for role, spent in built.spent.items():
        if payload[role] is not None and spent:
            _add(found.setdefault(payload[f"{role}_name"], dict.fromkeys(spent, 0)), spent)
    return found


def _add(total: dict[str, Any], more: Mapping[str, float]) -> None:
    """Add by name; what one side doesn't know (a price) isn't known of both."""
    for name in list(total):
        if name in more:
            total[name] += more[name]
        else:
            del total[name]


def _plan(payload: Mapping[str, Any], constitution: Constitution) -> Plan:
    if payload["plan"] is not None:
        return load_plan(Path(payload["plan"]), constitution)
    return pruned(shipped_levels(constitution, payload["config"]["values"]))


def _opened(given: Mapping[str, Any] | None, replies: Path) -> "LanguageModel | None":
    return None if given is None else open_model(ModelRef(**given), cache=replies)


# -- before it is done ---------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """What a teacher or its judge will still be asked; `price` is None where none is given.

    If every answer is kept and as long as it was asked to be: rejected answers and hidden reasoning
    come on top.
    """

    written: str
    role: str
    model: str
    calls: int
    tokens_in: int
    tokens_out: int
    price: float | None


def asked(nodes: Sequence[Node], store: "Store") -> list[Asked]:
    """Of everything written that is not in the store, a row for each model that is asked."""
    return [row for node in nodes if node.kind == "written" for row in _asked(node, store)]


def _asked(node: Node, store: "Store") -> Iterator[Asked]:
    payload = node.payload
    if store.complete(*node.key) or (payload["teacher"] is None and payload["judge"] is None):
        return
    config = payload["config"]
    documents = _documents(payload, _TOKENS_A_WORD * WORDS)
    corpora, characters = len(config["documents"]), _prompt_characters(payload)
    journal = store.folder(*node.key) / ANSWERS
    answered = journal.read_bytes().count(b"\n") if journal.is_file() else 0
    a_document = round(_TOKENS_A_WORD * WORDS)
    if payload["teacher"] is not None:
        calls = max(0, documents * corpora - answered)
        yield _row(node, "teacher", calls, round(characters / _CHARACTERS), a_document)
    if payload["judge"] is not None:  # of the explanations alone
        yield _row(node, "judge", documents, a_document + _QUESTION, _VERDICT)


def _row(node: Node, role: str, calls: int, tokens_in: int, tokens_out: int) -> Asked:
    payload = node.payload
    model = ModelRef(**payload[role])
    read, written = calls * tokens_in, calls * tokens_out
    price = 0.0 if model.endpoint is None else None
    if model.price_in is not None and model.price_out is not None:
        price = (read * model.price_in + written * model.price_out) / 1e6
    return Asked(
        payload["config"]["corpus"], role, payload[f"{role}_name"], calls, read, written, price
    )


def _documents(payload: Mapping[str, Any], tokens: float) -> int:
    """How many documents of so many tokens fill the budget."""
    budget: int = payload["config"]["tokens"]
    return math.ceil(budget / tokens)


def _prompt_characters(payload: Mapping[str, Any]) -> float:
    """Mean length of what is asked for a document, over the corpora."""
    constitution = load_constitution(payload["constitution"])
    plan, seed = _plan(payload, constitution), payload["config"]["writing_seed"]
    chats = [
        asked_for(Request(cell, corpus), constitution, plan, seed)
        for cell in Dealer(plan, constitution, seed).deal(_SAMPLE)
        for corpus in payload["config"]["documents"]
    ]
    return sum(len(turn.content) for chat in chats for turn in chat) / len(chats)


def rows_ahead(corpus: Node, written: Node, store: "Store") -> list[dict[str, Any]]:
    """Rows of a corpus before it is filled: what is written, or as many fillings of the grammar."""
    from whyfirst.explain.template import write_corpus
    from whyfirst.explain.tokens import count_pieces
    from whyfirst.study.sources import SOURCES

    config = corpus.payload["config"]
    if store.complete(*written.key):
        return SOURCES["written"](config, str(store.folder(*written.key)))
    payload = written.payload
    constitution = load_constitution(payload["constitution"])
    values, seed = payload["config"]["values"], payload["config"]["writing_seed"]
    sample = write_corpus(config["documents"], constitution, _SAMPLE, seed, values)
    tokens = sum(count_pieces(document.text) for document in sample) / len(sample)
    count = _documents(payload, tokens)
    return [sample[place % len(sample)].row() for place in range(count)]
