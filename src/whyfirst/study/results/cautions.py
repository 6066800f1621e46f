"""What the preflight of a study's stages warned of, for the top of the report.

A stage writes its findings beside its weights; a warning that nobody reads is none. Repeated rows
of a corpus with a token budget are left out: matching repeats documents by design.
"""

from collections.abc import Mapping
from pathlib import Path

from whyfirst.config.files import read_json
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.checks import repeats_ahead
from whyfirst.study.nodes.corpus import leaves_out
from whyfirst.study.plan import Plan
from whyfirst.study.sources import CORPORA


def cautions(plan: Plan, store: Store, folders: Mapping[str, Path]) -> list[str]:
    """One sentence for each warning of a stage at seed 0, in the order of the arms.

    And one for each corpus that repeats what a benchmark asks, or of which a method left rows out.
    """
    found: dict[str, None] = {}
    if plan.overrides.limit is not None:
        found[
            f"a wiring run: with --limit {plan.overrides.limit} items, rows and updates are cut so "
            "far that the figures say nothing about the study"
        ] = None
    if plan.overrides.model is not None:
        found[f"run with another model than the study file names: {plan.overrides.model}"] = None
    for (arm, seed), nodes in plan.stages.items():
        if seed != 0:
            continue
        for name, node in zip(plan.study.arms[arm].stages, nodes, strict=True):
            # A surgery trains on no rows, so that nothing was looked for in any.
            checked = folders[node] / "preflight.json"
            if not checked.is_file():
                continue
            corpus = plan.study.corpora[plan.study.stages[name].data]
            budgeted = corpus.options.get("tokens") is not None
            sampled = CORPORA.get(corpus.name).facts.get("sampled", False)
            for finding in read_json(checked):
                expected = finding["check"] == "duplicates" and (budgeted or sampled)
                if finding["level"] == "warn" and not expected:
                    found[f"stage {name}: {finding['check']}: {finding['message']}"] = None
    repeated = (count.words for count in repeats_ahead(plan.by_id, store))
    return [*found, *repeated, *leaves_out(plan.nodes, store)]
