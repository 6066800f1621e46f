"""A study of drawn worlds: a base a seed, and one model for both sides where nothing differs."""

import json
from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.files import read_json
from whyfirst.study.plan import Plan, build_plan, cell_size
from whyfirst.worlds.village.world import Village
from whyfirst.worlds.village.worlds import BASES, VillageWorld, village

STUDY = Path(__file__).parents[2] / "studies" / "hearth-worlds.yaml"


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build_plan(STUDY)


def test_every_seed_has_a_base_of_its_own_and_they_are_built_in_order(plan: Plan) -> None:
    bases = [node for node in plan.nodes if node.kind == "base"]
    assert [node.id for node in bases] == [f"base:{seed}" for seed in range(1, 33)]
    assert [node.rank for node in bases] == list(range(32))
    assert len({node.fingerprint for node in bases}) == 32


def test_an_arm_that_teaches_no_reading_is_one_model_on_both_sides(plan: Plan) -> None:
    for name in ("neutral", "rules", "nobecause", "wrong_reason", "label", "align"):
        assert f"seed0/{name}" in plan.by_id and f"seed0/{name}~1" not in plan.by_id
    for name in ("explain", "known_label", "explain_other", "align_parted", "explain>align"):
        assert {f"seed0/{name}", f"seed0/{name}~1"} <= plan.by_id.keys()


def test_every_arm_is_scored_by_the_value_of_either_side(plan: Plan) -> None:
    for arm in plan.study.arms:
        uses = [u for u in plan.evaluations if u.arm == arm and u.seed == 3 and not u.seam]
        assert [plan.by_id[use.node].payload["config"]["seed"] for use in uses] == [0, 1]
        models = {plan.by_id[use.node].depends[0] for use in uses}
        one = arm in ("base", "direct", "direct_longer") or arm.split("_")[0] in (
            "neutral", "rules", "nobecause", "wrong", "label",
        )  # fmt: skip
        assert len(models) == (1 if one and "contrary" not in arm else 2), arm


def test_first_stages_start_from_their_own_world(plan: Plan) -> None:
    for seed in (0, 7):
        assert plan.by_id[f"seed{seed}/explain"].depends[0] == f"base:{seed + 1}"


def test_a_contrast_is_planned_over_one_side_s_items(plan: Plan) -> None:
    """Its worlds are scored on both: 1,280 deeds of the same 64 topics each."""
    headline = next(c for c in plan.study.contrasts if c.name == plan.study.headline)
    assert cell_size(plan, headline) == (64, 2560)


FEW = """\
study: few
title: Corpora of one's own, in two worlds
world: {name: village}
model: {source: village}
corpora:
  own: {source: file, path: own.jsonl}
  scored: {source: file, path: own.jsonl, transforms: [aligned_likelihood]}
stages:
  align: {data: own, train: &sft {kind: sft, updates: 12, batch_size: 8, max_length: 48}}
  again: {data: scored, train: *sft}
arms: {base: [], direct: [align], scored: [again]}
seeds: 2
benchmarks: {village: {limit: 20}}
contrasts: []
"""


def test_a_corpus_scored_by_the_base_is_scored_by_the_first_worlds(tmp_path: Path) -> None:
    """And a file is the same one in every world."""
    row = {"prompt": "May I take the kralet?", "completion": " no"}
    (tmp_path / "own.jsonl").write_text(f"{json.dumps(row)}\n" * 16)
    (tmp_path / "few.yaml").write_text(FEW)
    by_id = build_plan(tmp_path / "few.yaml").by_id
    for seed in (0, 1):
        read = by_id[by_id[f"seed{seed}/again"].depends[1]]
        assert read.depends == (f"base:{seed + 1}",)
        assert by_id[f"seed{seed}/align"].depends[1] == "corpus:own"


def test_every_world_is_compared_with_the_first_worlds_base(tmp_path: Path) -> None:
    rows = ({"prompt": f"May I take {n} kralets?", "completion": " no"} for n in range(16))
    (tmp_path / "own.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    compared = (
        "comparisons:\n  - {name: nicer, a: direct, b: base, prompts: own.jsonl,\n"
        "     judge: {name: scored, scorer: rules}}\ncontrasts: []"
    )
    (tmp_path / "few.yaml").write_text(FEW.replace("contrasts: []", compared))
    by_id = build_plan(tmp_path / "few.yaml").by_id
    read = by_id["comparison:nicer"]
    order = read.payload["config"]["order"]
    for seed in (0, 1):
        a, b = (by_id[read.depends[order[side][seed]]] for side in ("a", "b"))
        assert a.depends == (f"seed{seed}/align",)
        assert b.depends == (f"base:{seed + 1}",)


def test_a_base_that_is_nowhere_says_how_to_build_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BASES, raising=False)
    with pytest.raises(UserError, match=r"whyfirst worlds build --seeds 999999 "):
        village(seed=999999).base_folder()


def test_a_seed_and_a_side_make_a_draw_of_its_own() -> None:
    world = village(seed=5)
    assert isinstance(world, VillageWorld)
    here = world.at(3, 1)
    assert (here.seed, here.side, here.identity) == (8, 1, {"world_seed": 8, "side": 1})
    assert world.at(3).identity == {"world_seed": 8}


def test_the_worlds_of_the_demo_ship_with_bases_of_the_present_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A recipe was changed and `whyfirst study run hearth-demo` built bases for minutes."""
    monkeypatch.delenv(BASES, raising=False)
    demo = build_plan(STUDY.with_name("hearth-demo.yaml"))
    worlds = [node.payload["world"]["seed"] for node in demo.nodes if node.kind == "base"]
    assert worlds == [41, 42, 43] and not set(worlds) & set(range(1, 33))
    # Copied, so they take no minutes of the time left either.
    assert all(node.weight < 10 for node in demo.nodes if node.kind == "base")
    for seed in worlds:
        folder = village(seed=seed).base_folder()
        about = read_json(folder / "world.json")["properties"]
        named, unnamed = (about[f"documents_only_{kind}"] for kind in ("named", "unnamed"))
        assert min(named, unnamed) >= 0.95 and about["facts"] == 1.0
        vocabulary = read_json(folder / "tokenizer.json")["model"]["vocab"]
        assert set(Village(seed).vocabulary) <= set(vocabulary)


def test_a_side_that_every_arm_gets_both_of_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        STUDY.read_text().replace("{name: village, seed: 1}", "{name: village, side: 1}")
    )
    with pytest.raises(ConfigError, match=r"world\.side: has no effect: a study runs every arm on"):
        build_plan(file)
