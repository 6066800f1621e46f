"""What a study's results warn of, from what its stages found in their rows."""

from collections import defaultdict
from pathlib import Path

from whyfirst.config.files import write_json
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.reading import refuse_unusable
from whyfirst.study.results.origin import cautions

EDITS = Path(__file__).parents[2] / "studies" / "gallery" / "edits.yaml"


def test_a_surgery_that_reads_rows_ends_every_report(tmp_path: Path) -> None:
    """It trains on none of them, and so leaves no findings; the others' are told."""
    plan = build_plan(EDITS)
    folders: defaultdict[str, Path] = defaultdict(lambda: tmp_path / "none")
    (tmp_path / "found").mkdir()
    finding = {"check": "tokens", "level": "warn", "message": "half of them unknown"}
    write_json(tmp_path / "found" / "preflight.json", [finding])
    folders |= dict.fromkeys(plan.stages["direct", 0], tmp_path / "found")
    told = cautions(plan, Store(tmp_path / "store"), folders)
    assert "stage align: tokens: half of them unknown" in told


def test_a_surgery_that_reads_rows_ends_every_plan(tmp_path: Path) -> None:
    """Its rows were taken for prompts to be answered, by options that it doesn't have."""
    assert refuse_unusable(build_plan(EDITS), Store(tmp_path / "store")) == ()
