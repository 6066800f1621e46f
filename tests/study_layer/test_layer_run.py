"""A reduced Hearth study end to end through the real command: results, rerun, growth, sharing."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished
from store_checks import artifacts, verify

from whyfirst.config.files import read_json
from whyfirst.report.schema import load_results
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.run import run_study

AGAIN = """
import json, sys, time
from pathlib import Path
begin = time.process_time()
from whyfirst.study.run import run_study
file, store, out = map(Path, sys.argv[1:])
imported = time.process_time()
summary = run_study(file, store=store, out=out)
heavy = [name for name in ("torch", "transformers", "trl", "scipy") if name in sys.modules]
print(json.dumps({"unchanged": summary.unchanged, "computed": summary.outcome.computed,
                  "heavy": heavy, "seconds": time.process_time() - imported}))
"""


def test_study_that_ran_has_valid_results_of_every_arm_seed_and_metric(finished: Finished) -> None:
    found = load_results(finished.out / "report" / "results.json")  # raises if it doesn't fit
    assert list(found.arms) == ["base", "direct", "explain_first"]
    assert found.seeds == {arm: [0, 1] for arm in found.arms}
    for arm in found.arms.values():
        assert {"resistance", "helpfulness", "conflict", "why"} <= set(arm.benchmarks)
        whole = arm.benchmarks["resistance"]["*/*"]
        assert whole.n_seeds == 2 and whole.n > 0
        assert "B+C/unseen" in arm.benchmarks["resistance"]
    assert found.headline_contrast() is not None
    assert {c.name: c.n_seeds for c in found.contrasts} == {"main": 2, "help": 2}
    assert all(c.low <= c.difference <= c.high for c in found.contrasts)
    assert set(found.recall) == {"base", "explain_first"}
    assert found.registration.registered is False
    html = (finished.out / "report" / "index.html").read_text()
    assert "Reasons first, reduced" in html and html.count("<html") == 1


def test_run_says_what_it_computed_in_one_json_object(finished: Finished) -> None:
    said = layer.summary(finished.printed)
    nodes = len(load_results(finished.out / "report" / "results.json").fingerprints)
    assert (said["unchanged"], said["computed"], said["reused"]) == (False, nodes, 0)
    assert said["headline"]["name"] == "main" and Path(said["report"]).is_file()


def test_finished_study_run_again_computes_nothing_loads_nothing_heavy_and_is_quick(
    finished: Finished, base_assets: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")}
    run = subprocess.run(
        [sys.executable, "-c", AGAIN, str(finished.file), str(finished.store), str(finished.out)],
        env=layer.environment(base_assets), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said = json.loads(run.stdout)
    assert (said["unchanged"], said["computed"], said["heavy"]) == (True, [], [])
    assert said["seconds"] < 2.0
    assert before == {path: path.stat().st_mtime_ns for path in finished.out.rglob("*")}


def test_every_result_of_the_store_is_sound_and_holds_no_pickle(finished: Finished) -> None:
    store = Store(finished.store)
    found = list(artifacts(store))
    assert found
    for kind, fingerprint in found:
        assert verify(store, kind, fingerprint) == []
    endings = {path.suffix for path in finished.store.rglob("*") if path.is_file()}
    assert not endings & {".bin", ".pt", ".pth", ".pkl", ".pickle"}


def test_first_stage_and_its_updates_are_reported_in_the_match_table(finished: Finished) -> None:
    found = load_results(finished.out / "report" / "results.json")
    (row,) = found.matching
    assert (row.arm, row.stage, row.corpus, row.updates) == (
        "explain_first", "explain", "explanations", 12
    )  # fmt: skip
    assert (row.ratio_tokens, row.ratio_updates, row.ok) == (1.0, 1.0, True)


def test_report_that_was_lost_is_written_again_without_computing(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished.out, out)
    (out / "report" / "results.json").write_text('{"torn')
    summary = run_study(finished.file, store=finished.store, out=out)
    assert not summary.unchanged and summary.outcome.computed == []
    assert layer.result_text(out) == layer.result_text(finished.out)
    (out / "report" / "index.html").unlink()
    assert not run_study(finished.file, store=finished.store, out=out).unchanged
    assert (out / "report" / "index.html").is_file()


def test_larger_study_computes_only_what_is_new_and_keeps_the_old_numbers(
    finished: Finished, hearth: Path, tmp_path: Path
) -> None:
    store, old = tmp_path / "store", build_plan(finished.file)
    shutil.copytree(finished.store, store)
    file = layer.write(tmp_path, *layer.LARGER)
    new = build_plan(file)
    known = {node.key for node in old.nodes}
    expected = {node.id for node in new.nodes if node.key not in known}
    code, printed, errors = layer.run(file, store, tmp_path / "out", hearth)
    assert code == 0, errors
    said = layer.summary(printed)
    assert said["computed"] == len(expected)
    assert said["reused"] == len(new.nodes) - len(expected) > len(old.nodes) / 2
    computed = {name.split("/")[0] for name in expected}
    assert computed == {"seed0", "seed1", "seed2"}  # the curve's weights, and the new arms
    arms = layer.results(tmp_path / "out")["arms"]
    assert arms["base"] == layer.results(finished.out)["arms"]["base"]
    points = layer.results(tmp_path / "out")["curves"]["checkpoints"]
    assert [(p["arm"], p["step"], p["n_seeds"]) for p in points] == [
        ("explain_first", 5, 1), ("explain_first", 12, 1)
    ]  # fmt: skip
    examples = layer.results(tmp_path / "out")["examples"]
    prompts = [example["prompt"] for example in examples]
    assert len(prompts) == len(set(prompts)) > 10
    assert all(set(example["responses"]) == set(arms) for example in examples)


def test_two_processes_on_one_store_compute_each_part_once_and_agree(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    file, store = layer.write(tmp_path), tmp_path / "store"
    outs = [tmp_path / "one", tmp_path / "two"]
    both = [layer.start(file, store, out, base_assets) for out in outs]
    ends = [layer.finish(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    said = [layer.summary(printed) for _, printed, _ in ends]
    nodes = len(layer.results(outs[0])["fingerprints"])
    assert sum(one["computed"] for one in said) == nodes
    assert [one["computed"] + one["reused"] for one in said] == [nodes, nodes]
    assert layer.result_text(outs[0]) == layer.result_text(outs[1])
    assert layer.result_text(outs[0]) == layer.result_text(finished.out)


def test_study_built_from_other_base_weights_is_another_study(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    from whyfirst.worlds.hearth import assets

    other = tmp_path / "assets"
    shutil.copytree(base_assets, other)
    about = read_json(other / "world-3" / "world.json")
    about["population"]["value_of"][0] += 1
    (other / "world-3" / "world.json").write_text(json.dumps(about))
    plans = []
    for root in (base_assets, other):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(assets, "ROOT", root)
            plans.append(build_plan(finished.file).by_id)
    same = {name for name, node in plans[0].items() if plans[1][name].key == node.key}
    # Replay is drawn from who holds what, which is recorded beside the weights.
    assert "seed0/corpus:replay" not in same and "base" not in same
    assert "seed0/corpus:demonstrations" in same
