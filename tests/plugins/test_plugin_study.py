"""Methods from outside, each one file: named in a study, run, reported, and never mixed up."""

import json
import shutil
from pathlib import Path

import pytest
from plugin_helpers import INSTALLED, METHODS, Study, copied

MARKS = {
    "csv": ("stages", "align", "source", "name"),
    "robust_dpo": ("stages", "prefer", "settings", "objective", "name"),
    "gives_reason": ("stages", "why", "settings", "rewards", 0, "name"),
    "shortest_of_n": ("arms", "shortest", "decoding", 0),
    "scale_mlp": ("arms", "scaled", "edits", 0),
    "length_guard": ("comparisons", 0, "calibrations", 0),
    "stream_norm": ("probes", 0, "probe"),
}


@pytest.mark.parametrize("file", [*METHODS, INSTALLED], ids=lambda path: path.stem)
def test_a_method_from_outside_needs_more_than_a_short_file(file: Path) -> None:
    """An objective took nine files and 239 lines."""
    assert len(file.read_text().splitlines()) <= 60


@pytest.mark.parametrize("name", MARKS)
def test_a_method_is_named_in_a_study_and_leaves_no_mark(finished: Study, name: str) -> None:
    """In results.json and on the page: a reader can't tell what was run otherwise."""
    at = finished.results
    for key in MARKS[name]:
        at = at[key]
    assert at == name
    page = (finished.folder / "out" / "report" / "index.html").read_text()
    assert name in page


def test_what_methods_measure_is_missing_from_the_results(finished: Study) -> None:
    """Scorer, benchmark, judge and probe were run, and their figures are there."""
    found = finished.results
    spoken = found["arms"]["direct"]["benchmarks"]["to_the_point"]["*/*"]
    assert spoken["n"] == 12 and spoken["unscored"] == 0 and "mentions/1" in found["judges"]
    (compared,) = found["comparisons"]
    assert compared["judge"].startswith("varied+length_guard/1+1(1.5)")
    assert compared["wins"] + compared["ties"] + compared["losses"] == 12
    assert {m["arm"] for m in found["probes"][0]["measures"]} == {"base", "direct"}
    used = found["arms"]["shortest"]["used"]
    assert used["calls"] == 2 * used["base_calls"]  # two drafts a prompt


ASKED = {
    f"{at}/to_the_point"
    for at in ("base/seed0", "seed0/align", "seed0/align+scaled", "seed0/align+shortest",
               "seed0/align>prefer", "seed0/align>trim", "seed0/align>why")
}  # fmt: skip
FLIPS = {
    "methods/robust_dpo.py": (
        "margin = beta *", "margin = -beta *",
        {"seed0/align>prefer", "seed0/align>prefer/to_the_point"},
    ),
    "site/whyfirst_length_guard.py": (
        "long > self.factor", "long < self.factor", {"comparison:variety"},
    ),
    "methods/mentions.py": (
        "passed(any(", "passed(not any(",
        ASKED,
    ),
    # What a benchmark asks is looked for in corpora and answered for comparisons as well.
    "methods/to_the_point.py": (
        'Item(name, row["prompt"],', 'Item(name, row["prompt"] + " ",',
        {*ASKED, "seed0/repeats:to_the_point", "comparison:variety",
         "seed0/align+scaled/responses:variety", "seed0/align+shortest/responses:variety"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("where", FLIPS)
def test_a_sign_flipped_in_a_plug_in_leaves_a_study_complete(
    finished: Study, tmp_path: Path, where: str
) -> None:
    """What depends on the method is stale, and nothing else is."""
    study = Study(tmp_path / "study")
    shutil.copytree(finished.folder, study.folder)
    (tmp_path / "store").symlink_to(finished.folder.parent / "store")
    assert json.loads(study.command("status"))["missing"] == []
    old, new, stale = FLIPS[where]
    file = study.folder / where
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    assert set(json.loads(study.command("status"))["missing"]) == stale


def test_a_study_needs_its_files_where_they_lay(finished: Study, tmp_path: Path) -> None:
    """The same methods in another folder, installed anew, are the same methods."""
    moved = copied(tmp_path / "elsewhere")
    (tmp_path / "store").symlink_to(finished.folder.parent / "store")
    assert json.loads(moved.command("status"))["missing"] == []
