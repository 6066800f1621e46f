"""What the explain commands print of a corpus: its summary and its tables.

Leaves out: the commands (`explain`), and the audit's page.
"""

from pathlib import Path
from typing import Any

from whyfirst.cli import output
from whyfirst.explain.build import Built


def summary(built: Built, folder: Path) -> dict[str, Any]:
    """What ``--json`` prints."""
    report, progress = built.report, built.progress
    return {
        "folder": str(folder),
        "calls": progress.calls,
        "asked_now": progress.asked_now,
        "spent": built.spent,
        "corpora": report["corpora"],
        "matching": report["matching"],
        "separability": report["separability"],
        "overlaps": len(report["overlap"]["pairs"]),
        "is_a_grammar": report["is_a_grammar"],
    }


def show(report: Any) -> None:
    """Corpora, and controls with their match, as tables; overlap with benchmarks."""
    # A reader would take the figures for those of written text.
    if report["is_a_grammar"]:
        output.say(
            "The teacher is a grammar: documents are filled in, not written.", style="yellow"
        )
    titles = ("corpus", "documents", "tokens", "attribution", "assertion", "self-BLEU",
              "compression")  # fmt: skip
    # Attribution beside assertion: documents may say what is done and never why.
    output.table(titles, [
        (name, m["documents"], f"{m['tokens']:,}", f"{m['attribution']:.1%}",
         f"{m['assertion']:.1%}", f"{m['self_bleu']:.2f}", f"{m['compression']:.1f}")
        for name, m in report["corpora"].items()
    ], "lr")  # fmt: skip
    if report["matching"]:
        output.table(("control", "tokens", "entities", "lengths", "AUC masked", "matched"), [
            (row["corpus"], f"{row['tokens_ratio']:.4f}", f"{row['entities']:.3f}",
             f"{row['lengths']:.3f}", f"{report['separability'][row['corpus']]['masked']:.2f}",
             "; ".join(row["failures"]) or "yes")
            for row in report["matching"]
        ], "lrrrrl")  # fmt: skip
    # "0 pairs" where nothing was compared would read as clean.
    overlap = report["overlap"]
    pairs = f"{len(overlap['pairs'])} pairs" if overlap["benchmarks"] else "none given (--against)"
    output.say(f"overlap with benchmarks: {pairs}")
