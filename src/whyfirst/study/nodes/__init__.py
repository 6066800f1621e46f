"""The kinds of node in a study's graph: how each is planned, run and reckoned, one file each."""

from collections.abc import Mapping
from pathlib import Path

from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Incomplete
from whyfirst.study.nodes import (
    base,
    checks,
    comparison,
    corpus,
    evaluation,
    probe,
    seam,
    stage,
    written,
)
from whyfirst.study.nodes.kind import NodeKind, Progress

KINDS: dict[str, NodeKind] = {
    "base": base.KIND,
    "corpus": corpus.KIND,
    "written": written.KIND,
    "overlap": checks.OVERLAP,
    "match": checks.MATCH,
    "stage": stage.KIND,
    "evaluation": evaluation.KIND,
    "responses": comparison.RESPONSES,
    "comparison": comparison.KIND,
    "seam": seam.KIND,
    "probe": probe.KIND,
}


def run_node(
    node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """Compute one node into ``folder``, resuming whatever an earlier attempt left there.

    Workers call it; the executor marks the folder complete.
    """
    folders = [inputs[name] for name in node.depends]
    return KINDS[node.kind].run(node.payload, folders, folder, progress)
