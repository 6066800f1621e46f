"""Checks that stages wait for: rows that hold what is asked, first stages of unlike size.

A check is a node of its own, done again when a benchmark, its data or a document changes, and
nothing is trained again for it. Corpora with a token budget are matched when they are written;
others are counted here before anything is trained, with the stage's own tokenizer and order of
rows. Leaves out: filling a budget (explain/match.py), and what the file alone tells (plan.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whyfirst.config.errors import PreflightError
from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.config.strict import decisive
from whyfirst.data.checks import some_rows
from whyfirst.data.leaks import DRESS, find_leaks
from whyfirst.data.leaks import VERSION as LEAKS
from whyfirst.data.rows import numbered, parts_of
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import base, corpus
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.comparison import requests_of
from whyfirst.study.nodes.evaluation import asking, task_of
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind, Progress
from whyfirst.study.nodes.rows_ahead import rows_ahead
from whyfirst.study.schema import ComparisonUse
from whyfirst.study.sources import CORPORA, ROWS, has_model_write
from whyfirst.train.config import StageConfig
from whyfirst.train.kinds import data_names

# Trained tokens may differ by this share; budgets are met to 0.5 %.
TOLERANCE = 0.02
OVERLAP_SECONDS, MATCH_SECONDS = 0.2, 0.3


def plan_overlaps(builder: Builder) -> None:
    """Add the checks that nothing trained on holds what a benchmark or a comparison asks.

    For each of them (and for each seed, where the seed decides what is asked) one over the
    documents of first stages, of all corpora and seeds at once, which refuses; and one over all
    other rows (demonstrations, pairs, prompts, replay, a world's documents), which counts. The
    stages that read the rows wait for it.
    """
    study = builder.study
    documents = {s.data for s in study.stages.values() if "documents" in data_names(s.train)}
    # A comparison whose prompts are a benchmark's asks nothing else.
    of_files = [use for use in study.comparisons if use.prompts not in study.benchmarks]
    # Corpus -> seed -> the stages that read it: one that no seed changes is read at them all.
    read: dict[str, dict[int, list[str]]] = {}
    for stage, node in builder.nodes.items():
        for name in node.depends if node.kind == "stage" else ():
            read.setdefault(name, {}).setdefault(_asked_at(builder, node), []).append(stage)
    groups: dict[tuple[int, str, str], list[str]] = {}
    for name, node in builder.nodes.items():
        if node.kind != "corpus":
            continue
        config = node.payload["config"]
        # What a stage's model wrote is there only once that stage is done, and so is looked at by
        # itself: a check of all corpora would make the stage wait for its own successor.
        alone = name if has_model_write(config["source"]) else ""
        # A world asks about what its rows are about, by design and with splits that say which. Its
        # demonstrations are scenes of the very kind that is asked and aren't looked at; of its
        # documents chance makes one in some ten thousand as near as a leak, which is counted.
        in_world = _shares_topics(builder, config["corpus"])
        first = config["corpus"] in documents
        check = "overlap" if first and not in_world else "repeats"
        if first or (name in read and not in_world):
            for seed in sorted(read.get(name, (_asked_at(builder, node),))):
                groups.setdefault((seed, check, alone), []).append(name)
    for (seed, check, alone), corpora in groups.items():
        asked = [(name, _of_benchmark(builder, name, seed)) for name in study.benchmarks]
        asked += [(f"comparison:{use.name}", _of_comparison(builder, use)) for use in of_files]
        added = tuple(
            _overlap(builder, name, spec, seed, check, corpora, alone) for name, spec in asked
        )
        readers = (read.get(name, {}).get(seed, ()) for name in corpora)
        for stage in dict.fromkeys(chain.from_iterable(readers)):
            builder.wait(stage, added)


def _asked_at(builder: Builder, node: Node) -> int:
    """The seed that decides what is asked of what a node makes: outside a world none does."""
    seed: int = node.payload["config"]["seed"] if builder.world is not None else 0
    return seed


def _shares_topics(builder: Builder, name: str) -> bool:
    """Whether a corpus is a world's, or written to the prompts of one that is."""
    corpus = builder.study.corpora[name]
    facts = CORPORA.get(corpus.name).facts
    read = [corpus.options[option] for option in facts.get("rows_of", ())]
    return bool(facts.get("shares_topics")) or any(_shares_topics(builder, r) for r in read)


def _of_benchmark(builder: Builder, name: str, seed: int) -> Spec:
    """What a benchmark asks at a seed."""
    spec = asking(builder, name)
    spec.config["version"] = benchmark_named(name).version
    # Who judges the answers changes no question.
    spec.config.pop("judges", None)
    spec.config |= builder.in_world(seed)
    return spec


def _of_comparison(builder: Builder, use: ComparisonUse) -> Spec:
    """What a comparison asks whose prompts are a file."""
    sha, path = builder.files.data(use.prompts, f"comparisons.{use.name}.prompts")
    named = {"comparison": use.name, "at_most": use.limit}
    return Spec(named, {"data": sha}, {"path": path})


def _overlap(
    builder: Builder, name: str, spec: Spec, seed: int, check: str, corpora: list[str], alone: str
) -> str:
    if builder.world is None or "data" in spec.contents:
        spec.config["dress"] = DRESS
    if check == "repeats":
        most = builder.study.overlap.most
        spec.config["counted"] = True if most is None else most
    if "data" in spec.contents:
        spec.config["data"] = spec.contents.pop("data")
    prefix = f"{alone}/" if alone else ""
    if builder.world is not None and not prefix.startswith(f"seed{seed}/"):
        prefix = f"seed{seed}/{prefix}"
    return builder.add(
        f"{prefix}{check}:{name}", OVERLAP, spec, tuple(corpora), weight=OVERLAP_SECONDS
    )


@dataclass(frozen=True)
class Repeats:
    """How many of a corpus' `rows` repeat what a benchmark, or a comparison, asks; `lines` says
    which."""

    benchmark: str
    corpus: str
    rows: int
    lines: tuple[int, ...]
    asker: str = "benchmark"

    @property
    def words(self) -> str:
        """One clause for people."""
        which = f" (rows {some_rows(self.lines)})" if self.lines else ""
        return (
            f"corpus {self.corpus!r}: {len(self.lines)} of {self.rows} rows repeat what "
            f"{self.asker} {self.benchmark!r} asks{which}"
        )


def count_repeats(
    payload: Mapping[str, Any], corpora: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]
) -> list[Repeats]:
    """What an overlap node looks for, counted in the rows of (name, rows) of corpora."""
    # Several seeds' corpora say the same things; a text is looked at once.
    holders: dict[str, list[tuple[int, int]]] = {}
    for place, (_, rows) in enumerate(corpora):
        for number, row in numbered(rows):
            for text in parts_of(row):
                holders.setdefault(text, []).append((place, number))
    config = payload["config"]
    asker = "benchmark" if "benchmark" in config else "comparison"
    prompts = task_of(payload).prompts if asker == "benchmark" else requests_of(payload)
    asked = sorted(set(prompts))
    texts = sorted(holders)
    # What is refused is named once, where it comes first; what is counted, in every corpus.
    named = None if "counted" in config else 1
    repeating = {at for hit in find_leaks(texts, asked) for at in holders[texts[hit.text]][:named]}
    return [
        Repeats(
            config[asker], name, len(rows),
            tuple(sorted(n for at, n in repeating if at == place)), asker,
        )
        for place, (name, rows) in enumerate(corpora)
    ]  # fmt: skip


def refuse_repeats(config: Mapping[str, Any], counts: Sequence[Repeats]) -> None:
    """Refuse any document of a first stage, and of other corpora more than the study allows.

    Raises:
        PreflightError: names every corpus with such rows, and the first of them.
    """
    most = config.get("counted", 0.0)
    # Counted and told, whatever their share.
    if most is True:
        return
    over = {c.corpus: c for c in reversed(counts) if len(c.lines) > most * c.rows}
    if over and "counted" in config:
        raise PreflightError(
            f"more than the study's overlap.most {most:g} of a corpus: "
            + "; ".join(c.words for _, c in sorted(over.items()))
            + "; drop those rows or those items"
        )
    if over:
        where = "; ".join(
            f"corpus {name!r}: {len(c.lines)} documents, the first of them row {min(c.lines)}"
            for name, c in sorted(over.items())
        )
        raise PreflightError(
            f"documents of a first stage contain or nearly repeat what {counts[0].asker} "
            f"{counts[0].benchmark!r} asks ({where}); drop those documents or those items"
        )


def run_overlap(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Count what corpora hold of what is asked, and refuse too much of it.

    Raises:
        PreflightError: as `refuse_repeats`.
    """
    config = payload["config"]
    counts = count_repeats(payload, [
        (read_json(place / "corpus.json")["corpus"], read_jsonl(place / ROWS)) for place in folders
    ])  # fmt: skip
    refuse_repeats(config, counts)
    about = {name: config[name] for name in ("benchmark", "comparison", "version")
             if name in config}  # fmt: skip
    write_json(folder / "overlap.json", about | {"corpora": [asdict(c) for c in counts]})


def repeats_ahead(nodes: Mapping[str, Node], store: Store) -> list[Repeats]:
    """What the counting nodes of a plan say, of every corpus at its first seed.

    Those that are not done yet are counted here, where their rows are a file of the study's own.

    Raises:
        PreflightError: as `refuse_repeats`.
    """
    told: dict[tuple[str, str], Repeats] = {}
    for node in nodes.values():
        if node.kind != "overlap" or "counted" not in node.payload["config"]:
            continue
        if store.complete(*node.key):
            stored = read_json(store.folder(*node.key) / "overlap.json")["corpora"]
            counts = [Repeats(**c | {"lines": tuple(c["lines"])}) for c in stored]
        else:
            read = [nodes[name] for name in node.depends]
            files = [n for n in read if n.payload["config"]["source"] == "file"]
            known = [(n.name, rows) for n in files if (rows := rows_ahead(n))]
            # What is asked need not be looked at where no rows are known: a world has thousands.
            counts = count_repeats(node.payload, known) if known else []
            refuse_repeats(node.payload["config"], counts)
        for count in counts:
            told.setdefault((f"{count.asker} {count.benchmark}", count.corpus), count)
    return [count for count in told.values() if count.lines]


def plan_match(builder: Builder, firsts: Sequence[str], seed: int) -> None:
    """Add the check that first stages without a token budget train on as many tokens.

    Args:
        firsts: the first stages of a seed's arms; they wait for it.
    """
    uses = {name: builder.study.stages[name] for name in firsts}
    budgets = [builder.study.corpora[use.data].options.get("tokens") for use in uses.values()]
    if len(uses) < 2 or None not in budgets:
        return
    first = uses[firsts[0]]
    corpora = list(dict.fromkeys(use.data for use in uses.values()))
    # Their replay is the same for all (plan.py), and stands behind their own corpora.
    named = corpora if first.replay_data is None else [*corpora, first.replay_data]
    reads = (base.plan(builder, seed), *(corpus.plan(builder, name, seed) for name in named))
    stages = {name: use.data for name, use in uses.items()}
    spec = Spec(
        {"train": decisive(first.train), "stages": stages, "seed": seed},
        extra={"train": first.train.model_dump(mode="json"), "corpora": corpora},
    )
    check = builder.add(f"seed{seed}/match", MATCH, spec, reads, weight=MATCH_SECONDS)
    for name in uses:
        builder.wait(f"seed{seed}/{name}", (check,))


def run_match(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Refuse first stages that would train on different numbers of tokens, before they do."""
    from whyfirst.train.encode import encode
    from whyfirst.train.plan import make_plan
    from whyfirst.train.weights import load_tokenizer

    train: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    tokenizer = load_tokenizer(Path(model_folder(folders[0])))
    corpora, seed = payload["corpora"], payload["config"]["seed"]
    files = dict(zip(corpora, [place / ROWS for place in folders[1:]], strict=False))
    replay = {"replay": folders[-1] / ROWS} if len(folders) - 1 > len(corpora) else {}
    tokens = {}
    for stage, name in payload["config"]["stages"].items():
        found = encode(train, tokenizer, {"documents": files[name]} | replay).examples
        documents, replayed = (
            [len(example.ids) for example in found if (example.source == "replay") == replays]
            for replays in (False, True)
        )
        # In the stage's own order, each time a document is seen, replay rows left out.
        order = make_plan(train, documents, replayed, seed).updates
        seen = (i for update in order for row in update for i in row if i < len(documents))
        tokens[stage] = sum(documents[i] for i in seen)
    refuse_unlike(tokens)
    write_json(folder / "match.json", {"tokens": tokens})


def refuse_unlike(tokens: Mapping[str, int]) -> None:
    """Refuse first stages that would train on different amounts.

    Args:
        tokens: stage -> trained tokens; the first is what the others are held against.

    Raises:
        PreflightError: names every stage that differs, and by how much.
    """
    reference, expected = next(iter(tokens.items()))
    unlike = [
        f"{name} {count} ({count / expected - 1:+.1%})"
        for name, count in tokens.items()
        if abs(count / expected - 1) > TOLERANCE
    ]
    if unlike:
        raise PreflightError(
            f"first stages must train on as many tokens, within {TOLERANCE:.0%}: {reference} "
            f"{expected}, but {', '.join(unlike)}; give their corpora the same token budget, or "
            "rows of like lengths"
        )


OVERLAP = NodeKind("overlap", run_overlap, version=LEAKS)
MATCH = NodeKind("match", run_match, version="1")
