"""The plan: what arms share is one node, and a fingerprint changes just when results could."""

from pathlib import Path

import layer_helpers as layer
import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.study.config import load_study
from whyfirst.study.cost.estimate import describe_plan
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind
from whyfirst.study.plan import Plan, build_plan, unused
from whyfirst.study.shipped import shipped_studies, shipped_study

EXPLAIN_ONLY = ("arms:", "arms:\n  explain_only: [explain]")
CURVE = ("headline: main", "headline: main\ncurve: {at: [5], arms: [explain_first], seeds: 1}")


def plan(folder: Path, *replacements: tuple[str, str]) -> Plan:
    return build_plan(layer.write(folder, *replacements))


def prints(found: Plan) -> dict[str, str]:
    return {node.id: node.fingerprint for node in found.nodes}


pytestmark = pytest.mark.usefixtures("hearth")


def test_stage_that_two_arms_share_is_trained_once(tmp_path: Path) -> None:
    found = plan(tmp_path, EXPLAIN_ONLY)
    for seed in (0, 1):
        (only,) = found.stages["explain_only", seed]
        first, second = found.stages["explain_first", seed]
        assert only == first and second != found.stages["direct", seed][0]
    assert layer.count_kinds(found.by_id) == {
        # base; 3 corpora, 3 stages and (base, direct, explain, explain_first) evaluations a seed,
        # the recall test of base and explain, and one check of the documents
        "base": 1, "corpus": 2 * 3, "stage": 2 * 3, "evaluation": 2 * (4 + 2), "overlap": 2
    }  # fmt: skip


def test_order_of_arms_and_order_of_the_file_change_no_fingerprint(tmp_path: Path) -> None:
    one = plan(tmp_path / "a")
    other = plan(
        tmp_path / "b",
        ("  direct: [align]\n  explain_first: [explain, align]\n",
         "  explain_first: [explain, align]\n  direct: [align]\n"),
        ("  rules: {source: hearth, documents: rules, tokens: 1500}\n", ""),
        ("  rules: {data: rules, replay_data: replay, train: *explain}\n", ""),
    )  # fmt: skip
    assert prints(one) == prints(other)


def test_two_different_nodes_are_taken_for_one_by_their_name(tmp_path: Path) -> None:
    file = layer.write(tmp_path)
    builder = Builder(load_study(file), file, {}, "cpu")
    kind = NodeKind("corpus", lambda *_: None)
    assert builder.add("one", kind, Spec({"seed": 0})) == "one"
    assert builder.add("one", kind, Spec({"seed": 0})) == "one"
    with pytest.raises(ValueError, match="two different nodes are called 'one'"):
        builder.add("one", kind, Spec({"seed": 1}))


def test_curve_keeps_weights_only_where_it_asks(tmp_path: Path) -> None:
    without, found = plan(tmp_path / "a"), plan(tmp_path / "b", CURVE)
    kept = {n.id: n.payload["train"]["keep_at"] for n in found.nodes if n.kind == "stage"}
    last = found.stages["explain_first", 0][-1]
    assert {name for name, steps in kept.items() if steps} == {last} and kept[last] == [5]
    changed = {name for name, print_ in prints(without).items() if prints(found)[name] != print_}
    assert changed == {last, f"{last}/hearth"}
    assert set(prints(found)) - set(prints(without)) == {f"{last}/hearth@5"}


def test_a_curve_is_of_the_benchmark_of_the_headline_alone(tmp_path: Path) -> None:
    """All others were evaluated at each of its points too, and thrown away."""
    one, two = plan(tmp_path / "a", CURVE), plan(
        tmp_path / "b", CURVE,
        ("  hearth: {limit: 120}", "  hearth: {limit: 120}\n  readings: {limit: 8}"),
    )  # fmt: skip
    assert {use.benchmark for use in two.evaluations if use.step == 5} == {"hearth"}
    assert len([u for u in one.evaluations if u.step]) == len(
        [u for u in two.evaluations if u.step]
    )


RUNTIME = {
    "title": ("title: Reasons first, reduced", "title: Another title"),
    "checkpoints": ("checkpoint_every: 10", "checkpoint_every: 20"),
    "least updates": ("checkpoint_every: 10", "checkpoint_every: 10, min_updates: 3"),
    "title of a contrast": ("title: main", "title: else"),
    "contrasts": (
        "  - {name: help, title: help, metric: helpfulness, cell: \"*/*\", a: explain_first, "
        "b: direct}\n", ""
    ),
    "cells": ("cells:", "cells:\n  seen: [plain, market]"),
    "description": ("headline: main", "headline: main\ndescription: other words"),
}  # fmt: skip
OUTPUT = {
    "learning rate": (
        "max_length: 48, learning_rate: 1.0e-3", "max_length: 48, learning_rate: 2.0e-3",
        {"seed0/align", "seed0/explain>align", "seed0/align/hearth", "seed0/explain>align/hearth"},
    ),
    "documents": (
        "value: care, tokens: 1500", "value: thrift, tokens: 1500",
        {"seed0/corpus:explanations", "seed0/explain", "seed0/explain>align",
         "seed0/explain>align/hearth", "seed0/explain/hearth_recall", "seed0/repeats:hearth"},
    ),
    "demonstrations": (
        "documents: demonstrations, size: 48", "documents: demonstrations, size: 48, contrary: 0.1",
        {"seed0/corpus:demonstrations", "seed0/align", "seed0/explain>align",
         "seed0/align/hearth", "seed0/explain>align/hearth"},
    ),
    "items": (
        "limit: 120", "limit: 121",
        {"base/seed0/hearth", "seed0/align/hearth", "seed0/explain>align/hearth",
         "seed0/repeats:hearth"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", RUNTIME)
def test_change_that_cannot_change_a_result_recomputes_nothing(tmp_path: Path, what: str) -> None:
    assert prints(plan(tmp_path / "a")) == prints(plan(tmp_path / "b", RUNTIME[what]))


@pytest.mark.parametrize("what", OUTPUT)
def test_change_recomputes_what_it_can_change_and_nothing_else(tmp_path: Path, what: str) -> None:
    old, new, expected = OUTPUT[what]
    one, other = prints(plan(tmp_path / "a")), prints(plan(tmp_path / "b", (old, new)))
    changed = {name for name in one if one[name] != other[name] and "seed1" not in name}
    assert changed == expected


def test_data_file_that_changes_or_moves(tmp_path: Path) -> None:
    text = (
        "study: s\ntitle: t\nmodel: {source: scratch, tokenizer_corpus: rows}\n"
        "corpora:\n  rows: {source: file, path: PATH}\n"
        "stages: {}\narms: {base: []}\nseeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    (tmp_path / "rows.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "moved.jsonl").write_text('{"text": "a"}\n')
    (tmp_path / "t.csv").write_text("")
    found = []
    for name in ("rows.jsonl", "moved.jsonl"):
        (tmp_path / "s.yaml").write_text(text.replace("PATH", name))
        found.append(prints(build_plan(tmp_path / "s.yaml")))
    assert found[0] == found[1]  # where a file lies changes nothing, what it holds does
    (tmp_path / "moved.jsonl").write_text('{"text": "b"}\n')
    assert prints(build_plan(tmp_path / "s.yaml")) != found[0]


@pytest.mark.parametrize("name", ["hearth", "base", "replay", "corpus", "seed0"])
def test_names_that_look_like_other_parts_never_collide(tmp_path: Path, name: str) -> None:
    """A stage may be called like a corpus, a benchmark or the base: it stays another part."""
    path = layer.write(tmp_path)
    text = path.read_text().replace("  align:\n", f"  {name}:\n")
    text = text.replace("[align]", f"[{name}]").replace(", align]", f", {name}]")
    path.write_text(text)
    found = build_plan(path)
    reference = plan(tmp_path / "reference")
    assert layer.count_kinds(found.by_id) == layer.count_kinds(reference.by_id)
    assert {node.key for node in found.nodes} == {node.key for node in reference.nodes}
    for use in found.evaluations:
        chain = found.stages[use.arm, use.seed] or ("base",)
        model = chain[0] if use.benchmark == "hearth_recall" else chain[-1]
        assert found.by_id[use.node].depends == (model,)


def test_same_label_never_means_two_things_in_any_shipped_study(
    base_assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.worlds.hearth import assets

    for seed in (4, 5):
        (tmp_path / f"world-{seed}").symlink_to(base_assets / "world-3")
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    for name in shipped_studies():
        if load_study(shipped_study(name)).world is not None:
            found = build_plan(shipped_study(name))
            assert len(found.by_id) == len(found.nodes) == len(set(found.by_id))
            known = set(found.by_id)
            assert all(set(node.depends) <= known for node in found.nodes)


def test_demo_is_part_of_the_full_study_so_that_its_work_is_not_done_again(
    base_assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.worlds.hearth import assets

    (tmp_path / "world-4").symlink_to(base_assets / "world-3")
    monkeypatch.setattr(assets, "ROOT", tmp_path)
    demo, full = (build_plan(shipped_study(name)) for name in ("hearth-world4", "hearth"))
    assert {n.key for n in demo.nodes} <= {n.key for n in full.nodes}
    quick = build_plan(shipped_study("hearth-quick"))
    shared = {n.key for n in quick.nodes} & {n.key for n in full.nodes}
    assert len(shared) > len(quick.nodes) / 2


def test_description_counts_the_items_that_will_be_asked(tmp_path: Path) -> None:
    spread = "headline: main\npower: {seed_sd: 0.2, topic_sd: 0.1, residual_sd: 0.3, source: here}"
    seeds = ("{default: 2}", "{default: 12}")
    every = plan(tmp_path / "a", ("{limit: 120}", "{}"), ("headline: main", spread), seeds)
    few = plan(tmp_path / "b", ("headline: main", spread), seeds)
    store = Store(tmp_path / "store")
    whole, part = (describe_plan(p, store).power[0] for p in (every, few))
    # B has 12 harmful topics and C 64, each in 7 unseen framings.
    assert (whole.n_topics, whole.n_items) == (76, 76 * 7)
    assert part.n_items is not None and part.n_items < 120
    assert whole.mde is not None and part.mde is not None and whole.mde < part.mde


def test_pretrained_model_is_read_at_its_pinned_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A revision that is asked for and then ignored would make studies unrepeatable."""
    from huggingface_hub import constants

    from whyfirst.config.files import write_json
    from whyfirst.study.nodes.base import model_folder

    commit = "a" * 40
    cached = tmp_path / "hub" / "models--org--model"
    snapshot = cached / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text("b" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    write_json(tmp_path / "node" / "reference.json", {"path": "org/model", "revision": commit})
    assert model_folder(tmp_path / "node") == str(snapshot)


def test_an_option_that_would_do_nothing_to_hearths_documents_is_taken(
    tmp_path: Path, hearth: Path
) -> None:
    """`contrary` replaces demonstrations: of explanations it was passed over in silence."""
    changed = (
        "documents: explanations, value: care",
        "documents: explanations, value: care, contrary: 0.1",
    )
    with pytest.raises(ConfigError, match="contrary: replaces demonstrations; explanations have"):
        build_plan(layer.write(tmp_path, changed))


@pytest.mark.parametrize("value", ["thrift", "no_such_value"])
def test_a_value_of_documents_that_explain_none_is_taken(
    tmp_path: Path, hearth: Path, value: str
) -> None:
    """It changed no row, known or not, and had every stage behind it trained again."""
    changed = (
        "documents: demonstrations, size",
        f"documents: demonstrations, value: {value}, size",
    )
    with pytest.raises(
        ConfigError, match=r"demonstrations\.value: has no effect on demonstrations"
    ):
        build_plan(layer.write(tmp_path, changed))


ALIGN = "train: &align {kind: sft,"
EXPLAIN = "train: &explain {kind: explain,"
KEPT = "lora: {r: 2, alpha: 4, merge: false},"


def test_an_adapter_that_is_not_there_is_refused_only_by_the_stages_run(
    tmp_path: Path, hearth: Path
) -> None:
    """The stages before it had been trained by then."""
    fresh = (ALIGN, f"{ALIGN} adapter: fresh,")
    with pytest.raises(ConfigError, match=r"adapter: 'fresh', but the study's model is whole"):
        build_plan(layer.write(tmp_path, fresh))
    unsaid = (EXPLAIN, f"{EXPLAIN} {KEPT}")
    with pytest.raises(ConfigError, match=r"align\.train\.adapter: stage 'explain' leaves an ad"):
        build_plan(layer.write(tmp_path, unsaid))
    text = layer.STUDY.replace("b: direct", "b: base").replace("  direct: [align]\n", "")
    file = tmp_path / "said.yaml"
    file.write_text(text.replace(*fresh).replace(*unsaid))
    assert "seed0/explain>align" in build_plan(file).by_id


def test_a_curve_of_more_seeds_than_an_arm_has_is_drawn_of_fewer(
    tmp_path: Path, hearth: Path
) -> None:
    curve = ("headline: main", "headline: main\ncurve: {at: [5], arms: [explain_first], seeds: 9}")
    told = [said for said in unused(build_plan(layer.write(tmp_path, curve))) if "curve" in said]
    assert told == ["curve.seeds: 9, and arm 'explain_first' has 2"]
    right = (curve[0], curve[1].replace("9", "2"))
    assert not [s for s in unused(build_plan(layer.write(tmp_path, right))) if "curve" in s]
