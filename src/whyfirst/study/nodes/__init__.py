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
    kind.name: kind
    for kind in (
        base.KIND, corpus.KIND, written.KIND, checks.OVERLAP, checks.MATCH, stage.KIND,
        evaluation.KIND, comparison.RESPONSES, comparison.KIND, seam.KIND, probe.KIND,
    )
}  # fmt: skip


def run_node(
    node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress
) -> Incomplete | None:
    """Compute one node into ``folder``, resuming whatever an earlier attempt left there.

    Workers call it; the executor marks the folder complete.
    """
    folders = [inputs[name] for name in node.depends]
    return KINDS[node.kind].run(node.payload, folders, folder, progress)
