"""Shipped studies keep their plans, and a reduced one its results, through every rearrangement.

A fingerprint that changes throws away every result computed so far, so it may change only where a
number could, and then the changelog says which kind and why. `WHYFIRST_GOLDEN=write` rewrites the
golden files, whose diff is then part of the change. Library versions and the contents of public
data are left out of the fingerprints compared, so that any machine gives the same ones.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from layer_helpers import WORLD_SEED, Finished, results

from whyfirst.config.files import read_json, sha256_file, sha256_json
from whyfirst.study import plan as planning
from whyfirst.study.shipped import shipped_studies, shipped_study

PLANS = Path(__file__).with_name("golden_plans.json")
RESULTS = Path(__file__).with_name("golden_results.json")
WRITE = os.environ.get("WHYFIRST_GOLDEN") == "write"


def by_kind(name: str) -> dict[str, list[Any]]:
    """Kind of node -> how many there are, and a hash of their ids, inputs and fingerprints."""
    nodes: dict[str, dict[str, Any]] = {}
    for node in planning.build_plan(shipped_study(name)).nodes:
        nodes.setdefault(node.kind, {})[node.id] = [
            node.fingerprint, list(node.depends), sorted(node.after), node.rank
        ]  # fmt: skip
    return {kind: [len(found), sha256_json(found)[:16]] for kind, found in sorted(nodes.items())}


@pytest.mark.usefixtures("anywhere")
def test_shipped_studies_lose_what_was_computed_for_them() -> None:
    found = {name: by_kind(name) for name in shipped_studies()}
    if WRITE:
        PLANS.write_text(json.dumps(found, indent=1) + "\n")
    golden = read_json(PLANS)
    assert {name: found[name] for name in golden} == golden


def kept(golden: Any, found: Any) -> Any:
    """`found` less the keys that `golden` lacks: a schema may grow, and lose or change nothing."""
    if isinstance(golden, dict) and isinstance(found, dict):
        return {key: kept(golden[key], found[key]) for key in golden if key in found}
    if isinstance(golden, list) and isinstance(found, list) and len(golden) == len(found):
        return [kept(old, new) for old, new in zip(golden, found, strict=True)]
    return found


def test_results_of_the_reduced_study_change(finished: Finished, base_assets: Path) -> None:
    """Byte for byte where training gives the same bytes, which the tiny base's weights tell."""
    base = sha256_file(base_assets / f"world-{WORLD_SEED}" / "model.safetensors")
    found = results(finished.out)
    for name in ("versions", "fingerprints", "command", "registration"):
        found.pop(name)
    if WRITE:
        RESULTS.write_text(json.dumps({"base": base, "results": found}, separators=(",", ":")))
    golden = read_json(RESULTS)
    if golden["base"] != base:
        pytest.skip("arithmetic here rounds otherwise than where the golden results were written")
    expected = golden["results"]
    assert json.dumps(kept(expected, found)) == json.dumps(expected)
