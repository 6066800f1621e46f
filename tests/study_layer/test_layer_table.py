"""From items to cells, contrasts and the match table, on small fakes computed by hand."""

import math
from pathlib import Path
from typing import Any

import layer_helpers as layer
import pytest

from whyfirst.config.errors import DataError
from whyfirst.config.files import write_json, write_jsonl
from whyfirst.stats import statistics
from whyfirst.stats.statistics import mcnemar_exact
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan, build_plan, unused
from whyfirst.study.results import origin
from whyfirst.study.results.assemble import Assembler
from whyfirst.study.results.contrasts import Contrasts
from whyfirst.study.results.finished import curves, examples
from whyfirst.study.results.table import Table, cell_names, cells, read_tables, summarise

UNSEEN = {"unseen": ("authority", "urgency")}


def row(name: str, split: str, framing: str, score: float | None, **more: Any) -> dict[str, Any]:
    about = {"id": f"{name}/{framing}", "benchmark": "resistance", "topic": name, "split": split}
    reason = {"reason": "no answer"} if score is None else {}
    return about | {"framing": framing, "score": score, "group": "both"} | reason | more


def table(*rows: dict[str, Any], seed: int = 0) -> Table:
    found = Table()
    for one in rows:
        found.add(seed, one)
    return found


ROWS = (
    row("a", "A", "plain", 1.0),
    row("b", "B", "plain", 1.0),
    row("b", "B", "authority", 0.0),
    row("c", "C", "authority", 1.0),
    row("c", "C", "urgency", None),
    row("c", "C", "market", 0.0),
)


@pytest.mark.parametrize(
    ("cell", "items"),
    [
        ("*/*", {"a/plain", "b/plain", "b/authority", "c/authority", "c/urgency", "c/market"}),
        ("B/*", {"b/plain", "b/authority"}),
        ("*/plain", {"a/plain", "b/plain"}),
        ("C/authority", {"c/authority"}),
        ("*/unseen", {"b/authority", "c/authority", "c/urgency"}),
        ("B+C/unseen", {"b/authority", "c/authority", "c/urgency"}),
        ("A+B/*", {"a/plain", "b/plain", "b/authority"}),
        ("C/plain", set()),
    ],
)
def test_cell_that_holds_other_items_would_answer_another_question(
    cell: str, items: set[str]
) -> None:
    scores = table(*ROWS).scores(cell, UNSEEN)
    assert (set(scores.items.tolist()) if scores else set()) == items


def test_unscored_item_is_neither_pass_nor_fail_and_bounds_say_what_it_could_change() -> None:
    scores = table(*ROWS).scores("B+C/unseen", UNSEEN)
    assert scores is not None
    cell = summarise(scores)
    assert (cell.n, cell.unscored, cell.n_seeds) == (3, 1, 1)
    assert cell.value == 0.5  # 0 and 1; the third is left out
    assert cell.worst == pytest.approx(1 / 3) and cell.best == pytest.approx(2 / 3)


def test_cell_where_nothing_is_scored_has_no_value_and_widest_bounds() -> None:
    scores = table(row("a", "A", "plain", None)).scores("*/*", UNSEEN)
    assert scores is not None
    cell = summarise(scores)
    assert (cell.value, cell.low, cell.high) == (None, None, None)
    assert (cell.worst, cell.best, cell.unscored) == (0.0, 1.0, 1)
    assert cell.n_seeds == 0


def test_a_seed_in_which_nothing_was_scored_counts_as_one_more_training_run() -> None:
    """It gave a cell that claims two seeds, beside an interval over topics alone."""
    found = table(*(row(name, "A", "plain", score) for name, score in (("a", 1.0), ("b", 0.0))))
    for name in ("a", "b"):
        found.add(1, row(name, "A", "plain", None))
    cell = summarise(found.whole)
    assert (cell.n_seeds, cell.n, cell.answers, cell.value) == (1, 4, 2, 0.5)


def test_report_has_every_split_by_every_framing_and_group_and_what_contrasts_ask() -> None:
    names = cell_names({"resistance": table(*ROWS)}, UNSEEN, ["B+C/unseen", "*/*"])
    assert len(names) == len(set(names))
    for split in ("*", "A", "B", "C", "B+C"):
        for column in ("*", "authority", "market", "plain", "urgency", "unseen"):
            assert f"{split}/{column}" in names
    shown = dict(cells(table(*ROWS), names, UNSEEN))
    assert "C/plain" not in shown and shown["C/market"].value == 0.0


def test_metrics_of_one_file_are_kept_apart_and_seeds_together(tmp_path: Path) -> None:
    files = []
    for seed in (0, 3):
        rows = [ROWS[0], ROWS[0] | {"benchmark": "helpfulness", "score": 0.0}]
        write_jsonl(tmp_path / f"{seed}.jsonl", rows)
        files.append((seed, tmp_path / f"{seed}.jsonl"))
    found = read_tables(files)
    assert set(found) == {"resistance", "helpfulness"}
    assert found["resistance"].seeds == [0, 3] and found["resistance"].values == [1.0, 1.0]


def test_strata_are_the_designs_groups_and_only_where_there_are_groups() -> None:
    assert set(table(*ROWS).strata) == {"A/both", "B/both", "C/both"}
    bare = {"id": "x", "benchmark": "mc1", "score": 1.0}
    assert table(bare).strata == [""] and table(bare).topics == ["x"]


# -- a whole plan with hand-made folders ------------------------------------------------------

SCORES = {  # arm's last stage -> pass or fail of topics 0 to 3, in seed 0 and seed 1
    "base": ([0, 0, 0, 0], [0, 0, 0, 0]),
    "align": ([1, 0, 0, 0], [0, 1, 0, 0]),
    "explain>align": ([1, 1, 1, 0], [1, 1, 0, 1]),
}


def fake(folder: Path, *replacements: tuple[str, str]) -> tuple[Plan, Store]:
    """The reduced study's plan with folders whose content is known."""
    plan, store = build_plan(layer.write(folder, *replacements)), Store(folder / "store")
    for node in plan.nodes:
        place = store.folder(*node.key)
        if node.kind == "stage":
            name = node.id.split(">")[-1].split("/")[-1]
            longer = name == "align_longer"
            tokens, updates = (2000, 24) if longer else {"rules": (1010, 12)}.get(name, (1000, 12))
            report = {"documents": 100, "tokens_total": tokens + 7, "tokens_replay": 7}
            write_json(place / "stage.json", report | {"updates": updates})
            write_jsonl(place / "log.jsonl", [{"step": 10, "loss": 2.0}, {"step": 12, "loss": 1.5}])
        elif node.kind == "evaluation":
            write_jsonl(place / "items.jsonl", list(items(node.id, node.payload["config"])))
    return plan, store


def items(node: str, config: dict[str, Any]) -> list[dict[str, Any]]:
    if config["benchmark"] == "hearth_recall":
        return [{"id": "creed", "benchmark": "recall_value", "score": 1.0, "verdict": "pass"}]
    model = node.removeprefix(f"seed{config['seed']}/").split("/")[0]
    passed = SCORES.get(model, SCORES["align"])[config["seed"]]
    rows = []
    for at, score in enumerate(passed):
        verdict = "pass" if score else "fail"
        more = {"verdict": verdict, "prompt": f"prompt {at}", "response": "no"}
        for metric in ("resistance", "helpfulness"):
            one = row(f"t{at}", "B", "authority", float(score), benchmark=metric, **more)
            rows.append(one)
    return rows


@pytest.mark.usefixtures("hearth")
def test_contrast_is_paired_by_item_and_seed(tmp_path: Path) -> None:
    plan, store = fake(tmp_path)
    main, help_ = Contrasts(Assembler(plan, store)).rows()
    # Seed 0: 3/4 against 1/4; seed 1: 3/4 against 1/4.
    assert main.difference == pytest.approx(0.5)
    assert [(r.seed, r.a, r.b, r.difference) for r in main.per_seed] == [
        (0, 0.75, 0.25, 0.5), (1, 0.75, 0.25, 0.5)
    ]  # fmt: skip
    # In each seed two items pass in explain_first alone, none in direct alone.
    assert [r.mcnemar_p for r in main.per_seed] == [mcnemar_exact(2, 0)] * 2 == [0.5, 0.5]
    assert (main.n_items, main.n_seeds, main.unit, main.unscored) == (4, 2, "seeds", 0)
    assert (main.a, main.b, main.cell) == ("explain_first", "direct", "B+C/unseen")
    assert help_.benchmark == "helpfulness"


@pytest.mark.usefixtures("hearth")
def test_p_values_are_adjusted_over_all_contrasts_of_the_study(tmp_path: Path) -> None:
    third = ("headline: main", "  - {name: third, title: x, metric: resistance, a: explain_first, "
             "b: base}\nheadline: main")  # fmt: skip
    plan, store = fake(tmp_path, third)
    found = Contrasts(Assembler(plan, store)).rows()
    ordered = sorted(found, key=lambda contrast: contrast.p)
    # Holm by hand: the smallest p times 3, the next times 2, the last times 1, never falling.
    least = 0.0
    for factor, contrast in zip((3, 2, 1), ordered, strict=True):
        least = max(least, min(1.0, factor * contrast.p))
        assert contrast.p_adjusted == pytest.approx(least)
    assert [contrast.name for contrast in found] == ["main", "help", "third"]


@pytest.mark.usefixtures("hearth")
def test_interaction_adds_and_takes_away_the_right_arms(tmp_path: Path) -> None:
    four = ("headline: main", "  - {name: both, title: x, metric: resistance, a: explain_first, "
            "documents: explain_only, demonstrations: direct, neither: base}\n"
            "headline: main")  # fmt: skip
    plan, store = fake(tmp_path, ("arms:", "arms:\n  explain_only: [explain]"), four)
    found = Contrasts(Assembler(plan, store)).rows()[-1]
    # 3/4 − 1/4 (explain_only scores as `align` here) − 1/4 + 0
    assert found.kind == "interaction" and found.difference == pytest.approx(0.25)


@pytest.mark.usefixtures("hearth")
def test_match_table_compares_first_stages_and_the_longer_arm_with_the_whole_method(
    tmp_path: Path,
) -> None:
    longer = "  align_longer: {data: demonstrations, train: {<<: *align, updates: 24}}\narms:\n"
    arms = "  rules_first: [rules, align]\n  direct_longer: [align_longer]"
    plan, store = fake(tmp_path, ("arms:", longer + arms))
    found = {match.arm: match for match in origin.match_rows(plan, Assembler(plan, store).folders)}
    assert set(found) == {"explain_first", "rules_first", "direct_longer"}
    first, rules, direct = found["explain_first"], found["rules_first"], found["direct_longer"]
    # Replay is the same in every arm and is left out of the tokens.
    assert (first.tokens, first.updates, first.ratio_tokens, first.ok) == (1000, 12, 1.0, True)
    assert (rules.tokens, rules.ok) == (1010, True)
    assert rules.ratio_tokens == pytest.approx(1.01)  # 1 % is the tolerance
    # The longer arm is held against both stages of the method: 24 updates.
    assert (direct.updates, direct.ratio_updates, direct.ok) == (24, 1.0, True)
    assert direct.ratio_tokens == pytest.approx(2000 / 2000)


@pytest.mark.usefixtures("hearth")
def test_first_stage_with_more_tokens_is_marked_as_unmatched(tmp_path: Path) -> None:
    plan, store = fake(tmp_path, ("arms:", "arms:\n  rules_first: [rules, align]"))
    node = plan.by_id[plan.stages["rules_first", 0][0]]
    report = {"documents": 100, "tokens_total": 1027, "tokens_replay": 7, "updates": 12}
    write_json(store.folder(*node.key) / "stage.json", report)
    rules = origin.match_rows(plan, Assembler(plan, store).folders)[0]
    assert (rules.arm, rules.tokens, rules.ok) == ("rules_first", 1020, False)
    write_json(store.folder(*node.key) / "stage.json", report | {"tokens_total": 1007} |
               {"updates": 11})  # fmt: skip
    assert origin.match_rows(plan, Assembler(plan, store).folders)[0].ok is False


@pytest.mark.usefixtures("hearth")
def test_empty_cell_of_a_contrast_is_named(tmp_path: Path) -> None:
    plan, store = fake(tmp_path, ("cell: B+C/unseen", "cell: A/plain"))
    with pytest.raises(DataError, match="no item of 'resistance' is in cell 'A/plain'"):
        Contrasts(Assembler(plan, store)).rows()


@pytest.mark.usefixtures("hearth")
def test_recall_is_of_the_model_after_the_first_stage_and_out_of_the_benchmarks(
    tmp_path: Path,
) -> None:
    plan, store = fake(tmp_path)
    work = Assembler(plan, store)
    assert set(work.recall()) == {"base", "explain_first"}
    assert work.recall()["explain_first"]["recall_value"].n_seeds == 2
    for arm in work.arms().values():
        assert not any(metric.startswith("recall") for metric in arm.benchmarks)
    used = {use.node for use in plan.evaluations if use.benchmark == "hearth_recall"}
    assert used == {f"{model}/hearth_recall" for model in
                    ("base/seed0", "base/seed1", "seed0/explain", "seed1/explain")}  # fmt: skip


@pytest.mark.usefixtures("hearth")
def test_loss_curve_names_every_arm_that_shares_the_stage(tmp_path: Path) -> None:
    plan, store = fake(tmp_path, ("arms:", "arms:\n  explain_only: [explain]"))
    drawn = {curve.stage: curve for curve in curves(Assembler(plan, store)).loss}
    assert drawn["explain"].arms == ["explain_only", "explain_first"]
    assert drawn["align"].arms == ["direct"]
    assert drawn["explain>align"].points == [(10, 2.0), (12, 1.5)]


@pytest.mark.usefixtures("hearth")
def test_examples_show_no_prompt_twice_and_every_arm(tmp_path: Path) -> None:
    plan, store = fake(tmp_path)
    shown = examples(plan.study, Assembler(plan, store).items)
    assert len({(e.prompt, e.wants) for e in shown}) == len(shown) == 8
    assert all(list(e.responses) == ["base", "direct", "explain_first"] for e in shown)
    assert not any(math.isnan(len(e.prompt)) for e in shown)


def test_items_that_the_disk_refuses_end_the_report_in_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").mkdir()  # what root, too, can't read
    with pytest.raises(DataError, match=r"items\.jsonl: can't be read"):
        read_tables([(0, tmp_path / "items.jsonl")])


UNTRAINED = """\
study: untrained
title: What is put round one model
model: {source: scratch, tokenizer_corpus: docs, vocab_size: 300}
corpora: {docs: {source: file, path: docs.jsonl}}
stages: {explain: {data: docs, train: {kind: explain, updates: 20, batch_size: 4, max_length: 64}}}
arms: {base: [], best4: {decoding: [{name: best_of_n, n: 4}]}, taught: [explain]}
seeds: {default: 5, taught: 2}
benchmarks: {readings: {limit: 24, responses: 12}}
contrasts:
  - {name: two, title: two, metric: readings_decides, a: best4, b: base}
  - {name: one, title: one, metric: readings_decides, a: taught, b: base}
comparisons:
  - {name: who, a: taught, b: base, prompts: docs.jsonl, judge: {name: scored, scorer: vader}}
  - {name: round, a: best4, b: base, prompts: docs.jsonl, judge: {name: scored, scorer: vader}}
headline: two
"""


def untrained(folder: Path) -> Plan:
    rows = [{"text": f"text {n}", "prompt": f"What is {n}?"} for n in range(40)]
    write_jsonl(folder / "docs.jsonl", rows)
    (folder / "study.yaml").write_text(UNTRAINED)
    return build_plan(folder / "study.yaml")


def test_one_model_read_at_five_seeds_gives_five_training_runs(tmp_path: Path) -> None:
    """An arm without stages is the same node at every seed: five copies of its answers made exact
    tests out of one run, and intervals wrong both ways."""
    plan, store = untrained(tmp_path), Store(tmp_path / "store")
    assert {(use.arm, use.seed) for use in plan.evaluations} == {
        ("base", 0), ("best4", 0), ("taught", 0), ("taught", 1)
    }  # fmt: skip
    passed = {"base": [0, 0, 0, 1], "best4": [1, 0, 1, 1], "taught": [1, 1, 0, 1]}
    for use in plan.evaluations:
        place = store.folder(*plan.by_id[use.node].key)
        answers = {"calls": 16, "prompt_tokens": 3, "completion_tokens": 1, "seconds": 0.5}
        write_json(place / "machine.json", {"budget": {"answers": answers, "model": answers}})
        write_jsonl(place / "items.jsonl", [
            {"id": f"i{n}", "topic": f"t{n}", "benchmark": "readings_decides",
             "score": float(score), "verdict": "pass" if score else "fail"}
            for n, score in enumerate(passed[use.arm])
        ])  # fmt: skip
    work = Assembler(plan, store)
    two, one = Contrasts(work).rows()
    # 3/4 against 1/4 of four items, answered once.
    assert (two.difference, two.n_seeds, two.unit, two.exact_p) == (0.5, 1, "topics", None)
    # Each of the two seeds stands beside the one base, whose copies change no number.
    copied = [Table(), Table()]
    for arm, found in zip(("taught", "base"), copied, strict=True):
        for seed in (0, 1):
            for n, score in enumerate(passed[arm]):
                found.add(seed, {"id": f"i{n}", "topic": f"t{n}", "score": float(score)})
    before = statistics.contrast(copied[0].whole, copied[1].whole, "one")
    assert (one.difference, one.n_seeds, one.unit) == (0.5, 2, "seeds")
    assert (one.low, one.high, one.p) == (before.low, before.high, before.p)
    arms = work.arms()
    cell = arms["base"].benchmarks["readings_decides"]["*/*"]
    assert (cell.n, cell.n_seeds, cell.value) == (4, 1, 0.25)
    used = arms["best4"].used
    assert used is not None and (used.calls, used.base_calls, used.tokens) == (16, 16, 4)


def test_one_models_responses_are_judged_once_a_seed_that_it_has_not(tmp_path: Path) -> None:
    plan = untrained(tmp_path)
    assert not [line for line in unused(plan) if line.startswith("seeds")]
    by_id = plan.by_id
    assert by_id["comparison:who"].payload["config"]["order"] == {"a": [0, 1], "b": [2, 2]}
    assert by_id["comparison:round"].payload["config"]["order"] == {"a": [0], "b": [1]}
    plan.file.write_text(UNTRAINED.replace("taught: 2", "taught: 2, base: 3"))
    assert "seeds.base: 3, and nothing is trained: one model is read once" in unused(
        build_plan(plan.file)
    )
