"""What a corpus holds and whether its controls may stand beside it: one JSON object.

Coverage, attribution and assertion, matching, separability with the manipulated words masked,
diversity, overlap with benchmarks, marks of a generator, and what the filters took out; and the
same as one HTML file that runs nothing and asks the network for nothing: every string passes
`safe_text` and jinja2's autoescape, the one style sheet is allowed by its hash. Leaves out: judging
how well the documents argue.
"""

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from markupsafe import Markup

from whyfirst.config.errors import DataError, PreflightError
from whyfirst.config.files import atomic_write, read_json, read_jsonl, write_json
from whyfirst.config.text import pages
from whyfirst.constitution import Constitution
from whyfirst.explain import diversity
from whyfirst.explain.cells import FRAME
from whyfirst.explain.compare import compare, gate, vocabulary_shared
from whyfirst.explain.explanation import CONTROLS, REASONLESS, Corpus
from whyfirst.explain.filters import gives_reason
from whyfirst.explain.plan import assertions_of
from whyfirst.explain.separate import manipulated_words, separability
from whyfirst.explain.tells import tells
from whyfirst.explain.template import TEACHER
from whyfirst.explain.tested import PromptSet, overlaps
from whyfirst.explain.write import RUN

VERSION = 2
REJECTED = "rejected.json"
MAIN: Corpus = "explanations"
# Of a corpus without reasons: a scene with a "why" and half of a reason's words in it, by chance.
# The shipped grammar has one in 400 at most.
CHANCE = 0.01
#: Cells whose documents the page shows side by side.
SHOWN = 3
DEFINITIONS = {
    "attribution": "share of documents in which a window of two sentences holds half of the "
    "content words of one of the value's reasons, in a document that gives reasons as such",
    "reason_rate": "share of documents that give a reason of any value or craft, found as for "
    "attribution, or two thirds of its content words in a window whether or not it is given as a "
    f"reason; over {CHANCE:.0%} of the label and nobecause corpora refuses them",
    "assertion": "share of documents in which a window of two sentences holds 60 % of the "
    "content words of the behaviour",
    "separability": "held-out AUC of a bag-of-words logistic regression, 5 folds by cell; masked: "
    "without the words of the values, the crafts and of giving grounds; 0.5 is matched",
    "distinct": "different n-grams by all n-grams",
    "self_bleu": f"mean BLEU-4 of {diversity.SAMPLE} documents against each other; lower is better",
    "compression": "bytes by zlib-compressed bytes; higher is more repetitive",
    "overlap": "a benchmark's prompt inside a document (60 % of its runs of five letters, weighted "
    "by how few prompts have them, in a stretch of one and a half times its length), a 13-word run "
    "in common, or a Jaccard similarity of 4-word shingles of at least 0.7",
}


def load_corpora(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of every corpus in a folder, the explanations first.

    Raises:
        DataError: no explanations there.
    """
    path = folder / f"{MAIN}.jsonl"
    if not path.is_file():
        raise DataError(f"{folder}: no {MAIN}.jsonl; give a folder that `whyfirst explain` wrote")
    # A run that was killed leaves a torn line in the explanations alone; controls are whole files.
    found: dict[str, list[dict[str, Any]]] = {MAIN: read_jsonl(path, allow_torn_tail=True)}
    for name in CONTROLS:
        if (folder / f"{name}.jsonl").is_file():
            found[name] = read_jsonl(folder / f"{name}.jsonl")
    if not found[MAIN]:
        raise DataError(f"{path}: no documents yet; run `whyfirst explain` to its end")
    return found


def audit(folder: Path, tested: Sequence[PromptSet]) -> dict[str, Any]:
    """Measure the corpora of a folder.

    Raises:
        DataError: the folder holds no corpus.
    """
    corpora = load_corpora(folder)
    run = read_json(folder / RUN)
    constitution = Constitution.model_validate(run["constitution"])
    main = corpora[MAIN]
    controls = {name: rows for name, rows in corpora.items() if name != MAIN}
    comparisons = [compare(name, rows, main) for name, rows in controls.items()]
    masked = manipulated_words(constitution, {run["teacher"]})
    rejected = read_json(folder / REJECTED) if (folder / REJECTED).is_file() else {}
    return {
        "version": VERSION,
        "constitution": run["name"],
        "teacher": run["teacher"],
        "is_a_grammar": run["teacher"] == TEACHER,
        "definitions": DEFINITIONS,
        "corpora": {name: _measures(rows, constitution) for name, rows in corpora.items()},
        "coverage": coverage_tables(main, constitution),
        "matching": [
            comparison.row() | {"vocabulary_shared": vocabulary_shared(controls[name], main)}
            for name, comparison in zip(controls, comparisons, strict=True)
        ],
        "separability": {
            name: {"masked": separability(rows, main, masked),
                   "unmasked": separability(rows, main, frozenset())}
            for name, rows in controls.items()
        },
        "overlap": {
            "benchmarks": {t.name: len(t.prompts) for t in tested},
            "pairs": [pair | {"corpus": name} for name, rows in corpora.items()
                      for pair in overlaps(rows, tested)],
        },
        "side_by_side": side_by_side(corpora),
        "tells": [t.row() for t in tells([row["text"] for row in main], constitution)],
        "filters": rejected,
    }  # fmt: skip


def _measures(rows: Sequence[Mapping[str, Any]], constitution: Constitution) -> dict[str, Any]:
    texts = [row["text"] for row in rows]
    count = max(1, len(rows))
    return {
        "documents": len(rows),
        "distinct_documents": len(set(texts)),
        "tokens": sum(row["tokens"] for row in rows),
        "words": sum(row["words"] for row in rows),
        "attribution": sum(row["attributed"] for row in rows) / count,
        "reason_rate": sum(gives_reason(text, constitution) for text in texts) / count,
        "assertion": sum(row["asserted"] for row in rows) / count,
        "distinct": {str(n): diversity.distinct(texts, n) for n in (1, 2, 3)},
        "self_bleu": diversity.self_bleu(texts),
        "compression": diversity.compression_ratio(texts),
    }


def coverage_tables(
    rows: Sequence[Mapping[str, Any]], constitution: Constitution
) -> dict[str, Any]:
    """Documents by value, behaviour and genre, with behaviours that have none, and margins."""
    genres = sorted({row["genre"] for row in rows})
    counts = Counter((row["value"], row["behaviour"], row["genre"]) for row in rows)
    table: list[dict[str, Any]] = [
        {"value": value.id, "behaviour": shown.behaviour, "upheld": shown.upheld,
         "genres": [counts[value.id, shown.behaviour, genre] for genre in genres]}
        for value in constitution.values
        for shown in assertions_of(value)
    ]  # fmt: skip
    cells = [n for counted in table for n in counted["genres"]]
    return {
        "genres": genres,
        "behaviours": table,
        "cells": len(cells),
        "empty": sum(n == 0 for n in cells),
        "margins": {
            key: dict(sorted(Counter(str(row[key]) for row in rows).items()))
            for key in ("value", *FRAME)
        },
    }


def side_by_side(corpora: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """The documents of some cells that every corpus has, to be read beside each other.

    Cells of different genres, the first by hash of their id: no one has chosen the best.
    """
    by_cell = [{row["cell"]: row for row in rows} for rows in corpora.values()]
    common = set.intersection(*(set(rows) for rows in by_cell))
    shown: dict[str, dict[str, Any]] = {}
    for cell in sorted(common, key=lambda name: sha256(name.encode()).digest()):
        main = by_cell[0][cell]
        # One of each genre: the first of all would often be three letters.
        if main["genre"] not in shown and len(shown) < SHOWN:
            texts = {name: rows[cell]["text"] for name, rows in zip(corpora, by_cell, strict=True)}
            said = {key: main[key] for key in ("cell", "value", "behaviour", "upheld", "genre")}
            shown[main["genre"]] = said | {"texts": texts}
    return list(shown.values())


def refuse(report: Mapping[str, Any], most_overlaps: int = 0) -> None:
    """The hard gates: unmatched controls, reasons where none may be, and benchmarks' prompts.

    Raises:
        PreflightError: says which, with the table or the pairs.
    """
    pairs = report["overlap"]["pairs"]
    documents = {(pair["corpus"], pair["document"]) for pair in pairs}
    if len(documents) > most_overlaps:
        listed = "\n".join(
            f"  {p['corpus']} {p['document']}: {p['benchmark']} prompt {p['prompt']} ({p['kind']}, "
            f"{p['similarity']:.2f})"
            for p in pairs[:20]
        )
        raise PreflightError(
            f"{len(documents)} documents repeat what a benchmark asks (allowed: {most_overlaps}); "
            f"remove them, or give the benchmark with --against while writing:\n{listed}"
        )
    for name in REASONLESS:
        rate = report["corpora"].get(name, {}).get("reason_rate", 0)
        if rate > CHANCE:
            raise PreflightError(
                f"{name}: {rate:.1%} of its documents give a reason, and none may "
                f"(allowed by chance: {CHANCE:.0%}); write them anew "
                "(the filters refuse such documents), or leave the control out"
            )
    gate(report["matching"])


def save_audit(report: Mapping[str, Any], folder: Path) -> Path:
    """Write ``audit.json`` and ``audit.html``; gives the page's path."""
    write_json(folder / "audit.json", report)
    page = folder / "audit.html"
    atomic_write(page, audit_html(report))
    return page


def audit_html(report: Mapping[str, Any]) -> str:
    """The page."""
    css = Path(__file__).with_name("templates").joinpath("audit.css").read_text(encoding="utf-8")
    digest = b64encode(sha256(css.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    # The darkest cell of the table is the fullest one.
    counts = [n for entry in report["coverage"]["behaviours"] for n in entry["genres"]]
    template = pages("whyfirst.explain").get_template("audit.html.j2")
    # The style sheet ships with the program and holds no data; it must stay unescaped.
    return template.render(a=report, css=Markup(css), policy=policy, most=max(1, *counts, 1))
