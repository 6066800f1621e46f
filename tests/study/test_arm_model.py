"""Where the model of a finished study's arm lies."""

from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import UserError
from whyfirst.report.schema import load_results
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import within
from whyfirst.study.running import arm_answering, arm_model

WORLDS = Path(__file__).parents[2] / "docs/reports/hearth-worlds/results.json"


def test_the_base_of_a_drawn_world_is_not_found(tmp_path: Path) -> None:
    """Each seed is a world with a base of its own; one called "base" was looked for."""
    results, store = load_results(WORLDS), Store(tmp_path)
    store.create()
    kept = ("base", results.fingerprints["base:3"])
    folder = store.prepare(*kept)
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("{}")
    store.finish(*kept, {"id": "base:3"})
    assert arm_model(results, "base", 2, tmp_path) == folder / "model"
    with pytest.raises(UserError, match="no model of arm 'base', seed 1"):
        arm_model(results, "base", 1, tmp_path)


def test_a_dressed_base_of_a_fixed_world_answers_undressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its evaluations are one a seed, and were looked for under the base's name alone: without
    any the chat was with the bare model, and the bare one's was with what was found first."""
    results, store = load_results(WORLDS), Store(tmp_path)
    store.create()
    arms = {name: results.arms["base"].model_copy(update={"decoding": decoding})
            for name, decoding in (("base", []), ("best4", ["best_of_n"]))}  # fmt: skip
    study = results.study.model_copy(update={"world": {"name": "hearth", "seed": 4}})
    ids = ("base", "base/seed1+best4/hearth", "base/seed1/hearth")
    results = results.model_copy(update={
        "study": study, "arms": arms, "fingerprints": {name: f"{n}" * 64 for n, name in
                                                       enumerate(ids)},
        "seeds": {"base": [0, 1], "best4": [0, 1]},
    })  # fmt: skip
    opened: list[dict[str, Any]] = []
    monkeypatch.setattr(within, "answering_as", lambda payload, *_: opened.append(payload))
    rounds: tuple[list[dict[str, Any]], ...] = ([], [{"name": "best_of_n", "n": 4}], [])
    for name, decoding in zip(ids, rounds, strict=True):
        kept = ("base" if name == "base" else "evaluation", results.fingerprints[name])
        store.prepare(*kept)
        payload = {"config": {"step": None, "of": name}} | ({"decoding": decoding} if decoding
                                                            else {})  # fmt: skip
        store.finish(*kept, {"id": name, "payload": payload})
    arm_answering(results, "best4", 1, tmp_path)
    arm_answering(results, "base", 1, tmp_path)
    assert [one.get("decoding", []) for one in opened] == [rounds[1], []]
    assert [one["config"]["of"] for one in opened] == list(ids[1:])
    with pytest.raises(UserError, match="no evaluation of arm 'best4', seed 0"):
        arm_answering(results, "best4", 0, tmp_path)
