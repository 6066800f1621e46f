"""Checks that first stages wait for: documents that hold what is asked, stages of unlike size.

A check is a node of its own, done again when a benchmark, its data or a document changes, and
nothing is trained again for it. Corpora with a token budget are matched when they are written;
others are counted here before anything is trained, with the stage's own tokenizer and order of
rows. Leaves out: filling a budget (explain/match.py), and what the file alone tells (refusals.py).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whyfirst.config.errors import PreflightError
from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.data.leaks import VERSION as LEAKS
from whyfirst.data.leaks import find_leaks
from whyfirst.data.rows import texts_of
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.study.decisive import decisive
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.evaluation import task_of
from whyfirst.study.nodes.kind import NodeKind, Progress
from whyfirst.study.sources.rows import ROWS
from whyfirst.train.config import StageConfig
from whyfirst.train.kinds import data_names

TOLERANCE = 0.02
"""Trained tokens may differ by this share; budgets are met to 0.5 %."""
OVERLAP_SECONDS, MATCH_SECONDS = 0.2, 0.3


def plan_overlaps(builder: Builder) -> None:
    """Add the checks that no document of a first stage holds what a benchmark asks.

    One for each benchmark (and for each seed, where the seed decides what is asked), over the
    documents of all corpora and seeds at once. The stages that read the documents wait for it.
    """
    stages = builder.study.stages.values()
    documents = {stage.data for stage in stages if "documents" in data_names(stage.train)}
    by_seed: dict[int, list[str]] = {}
    for name, node in builder.nodes.items():
        if node.kind == "corpus" and node.payload["config"]["corpus"] in documents:
            seed = node.payload["config"]["seed"] if builder.world is not None else 0
            by_seed.setdefault(seed, []).append(name)
    for seed, corpora in by_seed.items():
        checks = tuple(_overlap(builder, n, seed, corpora) for n in builder.study.benchmarks)
        for name, node in list(builder.nodes.items()):
            if node.kind == "stage" and set(corpora) & set(node.depends):
                builder.wait(name, checks)


def _overlap(builder: Builder, name: str, seed: int, corpora: list[str]) -> str:
    use = builder.study.benchmarks[name]
    config = decisive(use) | use.own | {"benchmark": name, "version": benchmark_named(name).version}
    config.pop("judges", None)  # who judges the answers changes no question
    config |= builder.in_world(seed)
    id, extra = f"overlap:{name}", {}  # noqa: A001
    if builder.world is not None:
        id = f"seed{seed}/{id}"  # noqa: A001
    if use.data is not None:
        config["data"] = builder.content(use.data, f"benchmarks.{name}.data")
        extra = {"path": str(builder.path(use.data))}
    return builder.add(
        id, "overlap", config, tuple(corpora), extra=extra, weight=OVERLAP_SECONDS
    )  # fmt: skip


def run_overlap(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Refuse documents of first stages that contain what a benchmark of the study asks.

    Raises:
        PreflightError: names every corpus with such documents, and their first rows.
    """
    benchmark = benchmark_named(payload["config"]["benchmark"])
    # Several seeds' corpora say the same things; a text is looked at once, where it comes first.
    first: dict[str, tuple[str, int]] = {}
    for place in folders:
        name = read_json(place / "corpus.json")["corpus"]
        for number, row in enumerate(read_jsonl(place / ROWS), 1):
            for text in texts_of(row):
                first.setdefault(text, (name, number))
    asked = sorted(set(task_of(payload["config"], payload.get("path")).prompts))
    texts = sorted(first)
    found: dict[str, list[int]] = {}
    for hit in find_leaks(texts, asked):
        name, number = first[texts[hit.text]]
        found.setdefault(name, []).append(number)
    if found:
        where = "; ".join(
            f"corpus {name!r}: {len(set(rows))} documents, the first of them row {min(rows)}"
            for name, rows in sorted(found.items())
        )
        raise PreflightError(
            f"documents of a first stage contain or nearly repeat what benchmark "
            f"{benchmark.name!r} asks ({where}); drop those documents or those items"
        )
    about = {"benchmark": benchmark.name, "version": benchmark.version}
    write_json(folder / "overlap.json", about | {"documents": len(texts), "prompts": len(asked)})


def plan_match(builder: Builder, firsts: Sequence[str], seed: int) -> None:
    """Add the check that first stages without a token budget train on as many tokens.

    Args:
        firsts: the first stages of a seed's arms; they wait for it.
    """
    uses = {name: builder.study.stages[name] for name in firsts}
    budgets = [builder.study.corpora[use.data].options.get("tokens") for use in uses.values()]
    if len(uses) < 2 or None not in budgets:
        return
    corpora = {use.data: builder.plan("corpus", use.data, seed) for use in uses.values()}
    first = next(iter(uses.values()))
    replay = first.replay_data  # the same for all
    extra = () if replay is None else (builder.plan("corpus", replay, seed),)
    config = {
        "train": decisive(first.train),
        "stages": {name: use.data for name, use in uses.items()},
        "seed": seed,
    }
    reads = (builder.plan("base", seed), *corpora.values(), *extra)
    check = builder.add(
        f"seed{seed}/match", "match", config, reads,
        extra={"train": first.train.model_dump(mode="json"), "corpora": list(corpora)},
        weight=MATCH_SECONDS,
    )  # fmt: skip
    for name in uses:
        builder.wait(f"seed{seed}/{name}", (check,))


def run_match(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Refuse first stages that would train on different numbers of tokens, before they do."""
    from whyfirst.train.weights import load_tokenizer

    config: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    tokenizer = load_tokenizer(Path(model_folder(folders[0])))
    files = {
        name: place / ROWS for name, place in zip(payload["corpora"], folders[1:], strict=False)
    }
    replay = {"replay": folders[-1] / ROWS} if len(folders) - 1 > len(files) else {}
    tokens = {
        stage: trained_tokens(
            config, tokenizer, {"documents": files[corpus]} | replay, payload["config"]["seed"]
        )
        for stage, corpus in payload["config"]["stages"].items()
    }
    refuse_unlike(tokens)
    write_json(folder / "match.json", {"tokens": tokens})


def trained_tokens(config: Any, tokenizer: Any, data: Mapping[str, Path], seed: int) -> int:
    """Tokens that an explain stage will see, each time it sees them, without its replay rows."""
    from whyfirst.train.encode import encode
    from whyfirst.train.plan import make_plan

    found = encode(config, tokenizer, data).examples
    documents = [len(example.ids) for example in found if example.source != "replay"]
    replay = [len(example.ids) for example in found if example.source == "replay"]
    order = make_plan(config, documents, replay, seed).updates
    seen = (i for update in order for row in update for i in row if i < len(documents))
    return sum(documents[i] for i in seen)


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


OVERLAP = NodeKind(None, run_overlap, version=LEAKS)
MATCH = NodeKind(None, run_match, version="1")
