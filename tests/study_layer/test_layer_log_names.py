"""Which evaluations a study's logs hold; writing them needs Inspect (test_layer_logs.py)."""

from whyfirst.interop.study_logs import logs_of
from whyfirst.study.nodes.builder import SIDE
from whyfirst.study.plan import build_plan
from whyfirst.study.shipped import shipped_study


def test_one_side_of_a_world_is_written_over_the_other() -> None:
    """Both sides of a world are one arm's items at one seed; what is asked at the seam is not."""
    plan = build_plan(shipped_study("hearth-demo"))
    logs = logs_of(plan)
    assert sum(map(len, logs.values())) == sum(use.step is None for use in plan.evaluations)
    for name, uses in logs.items():
        assert [SIDE in use.node for use in uses] == [False, True], name
        assert {use.seam for use in uses} == {"-seam-" in name}
