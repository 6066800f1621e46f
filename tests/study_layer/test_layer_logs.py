"""A finished study's evaluations as Inspect logs."""

import shutil
from pathlib import Path

import pytest
from layer_helpers import Finished

from whyfirst.config.errors import UserError
from whyfirst.report.schema import load_results

pytest.importorskip("inspect_ai", reason="inspect-ai is not installed (extra [inspect])")


def test_the_logs_hold_other_scores_than_the_report(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    """Every evaluation has one log, whose means over the seeds are the report's."""
    from inspect_ai.log import read_eval_log

    from whyfirst.interop.study_logs import write_study_logs

    results = load_results(finished.out / "report" / "results.json")
    seen: list[str] = []
    written = write_study_logs(finished.out, tmp_path, lambda *step: seen.append(step[2]))
    assert seen == [str(path.relative_to(tmp_path)) for path in written] + [""]
    assert sorted(tmp_path.rglob("*.*")) == sorted(written), "a part was left behind"
    scores: dict[tuple[str, str], list[float]] = {}
    for path in written:
        log = read_eval_log(str(path))
        assert log.samples is not None and log.eval.metadata is not None
        assert log.eval.metadata["arm"] == path.parent.name
        for sample in log.samples:
            for metric, score in (sample.scores or {}).items():
                scores.setdefault((path.parent.name, metric), []).append(score.as_float())
    for arm, about in results.arms.items():
        for metric, cells in about.benchmarks.items():
            whole = cells["*/*"]
            found = [value for value in scores[arm, metric] if value == value]
            assert len(scores[arm, metric]) == whole.n
            if whole.value is not None:
                assert sum(found) / len(found) == pytest.approx(whole.value, abs=1e-9)


def test_a_run_whose_store_is_gone_gives_half_its_logs(finished: Finished, tmp_path: Path) -> None:
    from whyfirst.interop.study_logs import write_study_logs

    moved = tmp_path / "run"
    shutil.copytree(finished.out, moved)
    with pytest.raises(UserError, match=r"run the study again"):
        write_study_logs(moved, tmp_path / "logs", lambda *_: None)
    assert not (tmp_path / "logs").exists()
