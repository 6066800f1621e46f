"""Registration: what was frozen, whether it came first, and every deviation since."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json
from whyfirst.study.config import Overrides
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.register import note_results, read_registration, register, registration
from whyfirst.study.run import run_study

pytestmark = pytest.mark.usefixtures("hearth")


def copied(finished: Finished, folder: Path) -> tuple[Path, Store]:
    """The finished study's file and store, to change."""
    shutil.copy(finished.file, folder / finished.file.name)
    shutil.copytree(finished.store, folder / "store")
    return folder / finished.file.name, Store(folder / "store")


def date_results(store: Store, seconds: float) -> None:
    """Date every result of a store ``seconds`` after now (before it, where negative)."""
    for marker in store.root.glob("*/*/COMPLETE.json"):
        os.utime(marker, (time.time() + seconds,) * 2)


def test_study_registered_first_says_so_and_deviates_in_nothing(
    finished: Finished, tmp_path: Path
) -> None:
    file, store = copied(finished, tmp_path)
    path = register(file, store).path
    assert path == tmp_path / "reduced.registration.json"
    date_results(store, +5)
    summary = run_study(file, store=store.root, out=tmp_path / "out")
    found = summary.results.registration
    assert (found.registered, found.before_first_result, found.deviations) == (True, True, [])
    assert (found.primary, found.file) == ("main", path.name)
    assert found.sha256 == read_json(path)["sha256"]
    assert run_study(file, store=store.root, out=tmp_path / "out").unchanged


def test_study_registered_after_its_first_result_says_so(
    finished: Finished, tmp_path: Path
) -> None:
    file, store = copied(finished, tmp_path)
    date_results(store, -60)
    register(file, Store(tmp_path / "store"))
    found = registration(build_plan(file), store)
    assert found.registered and found.before_first_result is False


def test_registering_tells_when_results_are_there_already(
    finished: Finished, tmp_path: Path
) -> None:
    """Nobody noticed that a study was registered too late until the report said so."""
    file, store = copied(finished, tmp_path)
    early, late = register(file, Store(tmp_path / "empty")), register(file, store)
    evaluations = [n for n in build_plan(file).nodes if n.kind == "evaluation"]
    assert (early.new, early.results) == (True, 0)
    assert (late.new, late.results) == (False, len(evaluations))


def test_code_versions_and_the_test_are_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage whose code changed after registering was no deviation."""
    from whyfirst.study import register as module

    file, store = layer.write(tmp_path), Store(tmp_path / "store")
    plan = read_json(register(file, store).path)["plan"]
    assert plan["versions"] == {
        "kinds": {"base": "1", "corpus": "2", "overlap": "4"},
        "stages": {name: module.STAGES.get(name).version for name in ("explain", "sft")},
        "benchmarks": {"hearth": "1", "hearth_recall": "1"},
    }
    assert plan["test"]["alpha"] == 0.05 and "split x group" in plan["test"]["strata"]
    later = replace(module.STAGES.get("sft"), version="next")
    monkeypatch.setitem(module.STAGES._entries, "sft", later)
    newer = replace(module.KINDS["corpus"], version="3")
    monkeypatch.setitem(module.KINDS, "corpus", newer)
    found = registration(build_plan(file), store).deviations
    assert "versions.kinds.corpus: registered '2', run with '3'" in found
    assert any(line.startswith("versions.stages.sft: ") for line in found)


def test_result_that_is_older_than_the_registration_counts_though_others_are_younger(
    finished: Finished, tmp_path: Path
) -> None:
    file, store = copied(finished, tmp_path)
    date_results(store, +60)
    one = next(node for node in build_plan(file).nodes if node.kind == "evaluation")
    os.utime(store.folder(*one.key) / "COMPLETE.json", (time.time() - 60,) * 2)
    register(file, Store(tmp_path / "store"))
    assert registration(build_plan(file), store).before_first_result is False


def test_registering_before_anything_ran_leaves_the_order_open(tmp_path: Path) -> None:
    file = layer.write(tmp_path)
    register(file, Store(tmp_path / "store"))
    found = registration(build_plan(file), Store(tmp_path / "store"))
    assert found.registered and found.before_first_result is None


CHANGES = {
    "seeds": (("{default: 2}", "{default: 3}"), "seeds.direct: registered [0, 1], run with [0, 1,"),
    "arm dropped": (("  base: []\n", ""), "arms.base: removed"),
    "primary contrast": (("headline: main", "headline: help"), "headline: registered 'main', run"),
    "items": (("limit: 120", "limit: 60"), "benchmarks.hearth.limit: registered 120, run with 60"),
    "recipe": (
        ("updates: 12, batch_size: 8", "updates: 14, batch_size: 8"),
        "stages.align.train.updates: registered 12, run with 14",
    ),
    "cell": (("cell: B+C/unseen", "cell: C/unseen"), "contrasts"),
}


@pytest.mark.parametrize(("planned", "run"), [(9, 5), (5, 9)])
def test_other_seeds_than_registered_are_said_once(tmp_path: Path, planned: int, run: int) -> None:
    """A line for each seed's data, and two lists of all seeds, hid the other deviations."""
    file = layer.write(tmp_path)
    seeds = [f"{{default: {number}}}" for number in (planned, run)]
    file.write_text(layer.changed(file.read_text(), ("{default: 2}", seeds[0])))
    register(file, Store(tmp_path / "store"))
    file.write_text(layer.changed(file.read_text(), (seeds[0], seeds[1])))
    found = registration(build_plan(file), Store(tmp_path / "store")).deviations
    said = f"registered {planned} (0 to {planned - 1}), run with {run} (0 to {run - 1})"
    assert f"seeds.direct: {said}" in found
    assert all(line.startswith("seeds.") for line in found)


@pytest.mark.parametrize("what", CHANGES)
def test_change_after_registering_is_listed(tmp_path: Path, what: str) -> None:
    file = layer.write(tmp_path)
    register(file, Store(tmp_path / "store"))
    change, expected = CHANGES[what]
    file.write_text(layer.changed(file.read_text(), change))
    found = registration(build_plan(file), Store(tmp_path / "store")).deviations
    assert any(expected in line for line in found), found


def test_base_that_changed_after_registering_is_listed(
    tmp_path: Path, base_assets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.worlds.hearth import assets

    file = layer.write(tmp_path)
    register(file, Store(tmp_path / "store"))
    shutil.copytree(base_assets, tmp_path / "assets")
    (tmp_path / "assets" / "world-3" / "world.json").write_text("{}")
    monkeypatch.setattr(assets, "ROOT", tmp_path / "assets")
    found = registration(build_plan(file), Store(tmp_path / "store")).deviations
    assert any(line.startswith("data.base: assets: registered") for line in found), found


def test_change_that_cannot_change_a_result_is_no_deviation(tmp_path: Path) -> None:
    file = layer.write(tmp_path)
    path = register(file, Store(tmp_path / "store")).path
    before = path.read_bytes()
    file.write_text(layer.changed(file.read_text(), ("title: Reasons first, reduced", "title: T")))
    assert registration(build_plan(file), Store(tmp_path / "store")).deviations == []
    again = register(file, Store(tmp_path / "store"))
    assert (again.path, again.new) == (path, False) and path.read_bytes() == before


def test_registering_a_changed_plan_over_the_old_one_is_refused(tmp_path: Path) -> None:
    file = layer.write(tmp_path)
    path = register(file, Store(tmp_path / "store")).path
    before = path.read_bytes()
    file.write_text(layer.changed(file.read_text(), ("{default: 2}", "{default: 3}")))
    said = r"(?s)registered already.*seeds.base: registered.*give the study a new name"
    with pytest.raises(UserError, match=said):
        register(file, Store(tmp_path / "store"))
    assert path.read_bytes() == before


def test_registration_edited_afterwards_is_refused(finished: Finished, tmp_path: Path) -> None:
    file, store = copied(finished, tmp_path)
    path = register(file, Store(tmp_path / "store")).path
    record = read_json(path)
    record["plan"]["seeds"]["direct"] = [0, 1, 2]
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="the registration was edited"):
        run_study(file, store=store.root, out=tmp_path / "out")


@pytest.mark.parametrize("content", ["[]", '{"plan": 1}', "{", '{"registered_at": 3}'])
def test_registration_that_is_none_is_refused_without_a_traceback(
    tmp_path: Path, content: str
) -> None:
    file = layer.write(tmp_path)
    register(file, Store(tmp_path / "store")).path.write_text(content)
    with pytest.raises(UserError, match=r"reduced.registration.json"):
        registration(build_plan(file), Store(tmp_path / "store"))
    with pytest.raises(UserError, match=r"reduced.registration.json"):
        register(file, Store(tmp_path / "store"))


def test_registration_whose_date_was_moved_is_refused(tmp_path: Path) -> None:
    file = layer.write(tmp_path)
    path = register(file, Store(tmp_path / "store")).path
    record = read_json(path) | {"registered_at": "2001-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="the registration was edited"):
        registration(build_plan(file), Store(tmp_path / "store"))


def _decide_by(file: Path, *names: str) -> None:
    file.write_text(f"{file.read_text()}\nprimary: [{', '.join(names)}]\n")


def test_amendment_is_dated_hashed_and_told_with_its_reason(tmp_path: Path) -> None:
    file, store = layer.write(tmp_path), Store(tmp_path / "store")
    with pytest.raises(UserError, match="nothing to amend: the study isn't registered"):
        register(file, store, "too early")
    path = file.with_name("reduced.registration.json")
    assert not path.exists()
    first = register(file, store)
    _decide_by(file, "main")
    with pytest.raises(UserError, match=r"primaries: added(?s:.)*--amend REASON"):
        register(file, store)
    found = register(file, store, "the others are secondary")
    assert found.amended and found.sha256 != first.sha256
    told = registration(build_plan(file), store)
    assert told.sha256 == first.sha256 and told.deviations == [] and told.primary == "main"
    (amendment,) = told.amendments
    assert (amendment.reason, amendment.results, amendment.looks) == (
        "the others are secondary", 0, 0
    )  # fmt: skip
    assert amendment.changes[0] == "primaries: added" and len(amendment.changes) == 2
    assert "test.multiplicity" in amendment.changes[1]
    with pytest.raises(UserError, match="nothing to amend"):
        register(file, store, "once more")
    record = read_json(path)
    record["amendments"][0]["reason"] = "another"
    path.write_text(json.dumps(record))
    with pytest.raises(UserError, match="the registration was edited"):
        registration(build_plan(file), store)


def test_results_of_fewer_seeds_are_listed_as_an_interim_look(
    finished: Finished, tmp_path: Path
) -> None:
    file, store = copied(finished, tmp_path)
    register(file, store)
    run_study(file, store=store.root, out=tmp_path / "out")
    whole = build_plan(file)
    assert registration(whole, store).looks == []  # the whole of it is no interim look
    more = replace(
        whole, study=whole.study.model_copy(update={"seeds": {**whole.study.seeds, "default": 99}})
    )
    (look,) = registration(more, store).looks
    assert look.seeds == {arm: len(whole.study.seeds_of(arm)) for arm in whole.study.arms}
    run_study(file, store=store.root, out=tmp_path / "again")
    assert len(registration(more, store).looks) == 1  # the same results are no second look


def test_results_looked_at_through_a_changed_study_are_no_look(
    finished: Finished, tmp_path: Path
) -> None:
    """`--set seeds.default=1` showed the registered study's own results of a seed, unseen."""
    file, store = copied(finished, tmp_path)
    register(file, store)
    one = Overrides(changes=("seeds.default=1",))
    run_study(file, store=store.root, out=tmp_path / "out", overrides=one)
    (look,) = registration(build_plan(file), store).looks
    assert look.seeds == {"base": 1, "direct": 1, "explain_first": 1}
    # Other items are no look at the registered ones.
    fewer = build_plan(file, Overrides(changes=("benchmarks.hearth.limit=60",)))
    note_results(fewer, store)
    assert len(registration(build_plan(file), store).looks) == 1


SHIPPED = sorted((Path(__file__).parents[2] / "studies").glob("*.registration.json"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_registration_is_as_it_was_written(path: Path) -> None:
    """A module's new name was once written into four of them, and no hash fitted any more."""
    assert read_registration(path)["sha256"]
