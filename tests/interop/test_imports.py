"""Scores of other tools in a study's results: pairs, families, settings, and lm-eval's files."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import DataError, UserError
from whyfirst.interop.reading import read_any
from whyfirst.report.html import report_html
from whyfirst.report.schema import Results
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import contrast
from whyfirst.study.results.imported import (
    Import,
    add,
    joined,
    load,
    lower_is_better,
    parse_target,
    save,
)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """The report's made-up results, with two arms that a contrast compares."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "report"))
    from report_synthetic import synthetic_results

    return Results.model_validate(synthetic_results())


def an_import(arm: str, seed: int, scores: list[float | None], **more: Any) -> Import:
    items = [
        (f"i{n}", f"t{n // 2}", score, None if score is not None else "error: timeout")
        for n, score in enumerate(scores)
    ]
    fields: dict[str, Any] = {
        "name": "inspect:shop/judge", "title": "shop, judge (Inspect)", "definition": "The mean.",
        "version": "1", "unit": "proportion", "higher_is_better": True, "source": "Inspect 0.3.",
        "settings": "{}", "items": items, "arm": arm, "seed": seed,
    }  # fmt: skip
    return Import(**(fields | more))


def first_pair(results: Results) -> tuple[str, str]:
    one = next(c for c in results.contrasts if c.kind == "difference")
    return one.a, one.b


A_SCORES: list[list[float | None]] = [[1, 1, 1, 0, 1, None], [1, 1, 0, 1, 1, 1]]
B_SCORES: list[list[float | None]] = [[0, 1, 0, 0, 1, 1], [1, 0, 0, 0, 1, 0]]


def two_arms(results: Results) -> list[Import]:
    a, b = first_pair(results)
    return [an_import(arm, seed, scores) for arm, table in ((a, A_SCORES), (b, B_SCORES))
            for seed, scores in enumerate(table)]  # fmt: skip


def test_a_base_imported_once_stands_beside_one_seed_alone(results: Results) -> None:
    """Outside a world it is one model: beside the other seeds nothing was paired."""
    a, b = first_pair(results)
    study = results.study.model_copy(update={"world": None})
    bare = results.arms[b].model_copy(update={"stages": []})
    results = results.model_copy(update={"study": study, "arms": {**results.arms, b: bare}})
    imports = [*(an_import(a, seed, one) for seed, one in enumerate(A_SCORES)),
               an_import(b, 0, B_SCORES[0])]  # fmt: skip
    row = next(c for c in joined(results, imports).contrasts if c.benchmark.startswith("inspect:"))
    # Seed 0: 4/5 − 2/5 (one unscored); seed 1: 5/6 − 3/6.
    assert row.n_seeds == 2 and row.difference == pytest.approx((2 / 5 + 1 / 3) / 2)


def test_imported_arms_are_paired_as_the_studys_own(results: Results) -> None:
    """An import was compared by its means, with an interval over items alone."""
    a, b = first_pair(results)
    found = joined(results, two_arms(results))
    row = next(c for c in found.contrasts if c.benchmark == "inspect:shop/judge")
    tables = [
        Scores.from_rows((seed, f"i{n}", f"t{n // 2}", value)
                         for seed, scores in enumerate(table) for n, value in enumerate(scores))
        for table in (A_SCORES, B_SCORES)
    ]  # fmt: skip
    wanted = contrast(*tables, "x")
    assert (row.a, row.b, row.n_seeds, row.unscored) == (a, b, 2, 1)
    assert (row.difference, row.low, row.high, row.p) == pytest.approx(
        (wanted.difference, wanted.low, wanted.high, wanted.p)
    )
    cell = found.arms[a].benchmarks["inspect:shop/judge"]["*/*"]
    assert (cell.n, cell.unscored, cell.n_seeds) == (12, 1, 2)
    assert any(r.reasons == {"error: timeout": 1} for r in found.unscored if r.arm == a)
    assert "shop, judge (Inspect)" in report_html(found)


def test_the_studys_own_numbers_stay_as_they_were(results: Results) -> None:
    """Later imports changed the adjusted p values of a registered plan."""
    found = joined(results, two_arms(results))
    assert [c for c in found.contrasts if not c.benchmark.startswith("inspect:")] == (
        results.contrasts
    )
    assert joined(found, two_arms(results)) == found, "joining again changes nothing"
    assert joined(found, []) == results


def test_arms_measured_otherwise_are_not_compared(results: Results) -> None:
    imports = two_arms(results)
    imports[-1] = imports[-1].model_copy(update={"settings": '{"arguments": {"goal": "x"}}'})
    with pytest.raises(DataError, match="don't compare"):
        joined(results, imports)


def test_imports_come_in_one_by_one(tmp_path: Path, results: Results) -> None:
    """An arm imported last week was forgotten, or a log imported twice counted twice."""
    imports = two_arms(results)
    save(tmp_path, add([], imports[:2]))
    kept = add(load(tmp_path), [*imports[2:], imports[0]])
    assert len(kept) == 4
    assert [c.n_items for c in joined(results, kept).contrasts][-1] == 6
    (tmp_path / "imported.json").write_text("[{}]")
    with pytest.raises(DataError, match="import again"):
        load(tmp_path)


def test_direction_is_said_by_name(results: Results) -> None:
    """Less misbehaviour was reported as worse."""
    turned = lower_is_better(two_arms(results), ["shop/judge"])
    assert not joined(results, turned).benchmarks["inspect:shop/judge"].higher_is_better
    assert lower_is_better(two_arms(results), ["judge"]) == turned  # as inspect_evals/TASK/...
    with pytest.raises(UserError, match="did you mean 'inspect:shop/judge'"):
        lower_is_better(turned, ["inspect:shop/juge"])


def test_target_names_an_arm_and_a_seed(tmp_path: Path, results: Results) -> None:
    arm, _ = first_pair(results)
    log = tmp_path / "x.eval"
    log.touch()
    assert parse_target(f"{arm}:0={log}", results) == (arm, 0, log)
    for text, said in (
        (str(log), "ARM=FILE"), (f"{arm}x={log}", "did you mean"), (f"{arm}={log}", "say whose"),
        (f"{arm}:99={log}", "no seed '99'"), (f"{arm}:0={log}x", "no such file"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=said):
            parse_target(text, results)


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    other = tmp_path / "x.json"
    other.write_text('{"a": 1}')
    with pytest.raises(DataError, match="neither lm-eval's results"):
        read_any(other)
    with pytest.raises(DataError, match="give an Inspect log"):
        read_any(tmp_path / "x.csv")


LM_EVAL = {
    "results": {
        "quiz": {
            "alias": "quiz", "acc,none": 0.75, "acc_stderr,none": 0.25, "perplexity,none": 12.5,
            "perplexity_stderr,none": "N/A",
        }
    },
    "configs": {"quiz": {"num_fewshot": 0}}, "versions": {"quiz": 2.0},
    "higher_is_better": {"quiz": {"acc": True}}, "n-samples": {"quiz": {"effective": 4}},
    "config": {"model": "hf"}, "lm_eval_version": "0.4.13", "model_name": "tiny",
}  # fmt: skip


def test_a_mean_alone_is_labelled_and_never_paired(tmp_path: Path, results: Results) -> None:
    """A file without samples was given an interval as though its items were known."""
    path = tmp_path / "results_2026-11-21T10-00-00.123456.json"
    path.write_text(json.dumps(LM_EVAL))
    (found,), left = read_any(path)
    assert found.total is not None and found.total.stderr == 0.25
    assert "only the mean was kept" in found.definition
    assert left == {"lm-eval:quiz/perplexity": "12.5 is no fraction in [0, 1]"}
    a, b = first_pair(results)
    both = [found.model_copy(update={"arm": arm, "seed": 0}) for arm in (a, b)]
    after = joined(results, both)
    cell = after.arms[a].benchmarks["lm-eval:quiz/acc"]["*/*"]
    assert (cell.value, cell.high, cell.n) == (0.75, 1.0, 4)
    assert cell.low == pytest.approx(0.75 - 1.96 * 0.25, abs=1e-4)
    assert after.contrasts == results.contrasts
    twice = [*both, both[0].model_copy(update={"seed": 1})]
    with pytest.raises(DataError, match="--log_samples"):
        joined(results, twice)


def test_samples_beside_the_results_are_items(tmp_path: Path) -> None:
    path = tmp_path / "results_2026-11-21T10-00-00.123456.json"
    path.write_text(json.dumps(LM_EVAL))
    rows = [{"doc_id": n, "doc_hash": f"h{n}", "filter": "none", "acc": float(n > 0)}
            for n in range(4)]  # fmt: skip
    beside = tmp_path / "samples_quiz_2026-11-21T10-00-00.123456.jsonl"
    beside.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (found,), _ = read_any(path)
    assert found.total is None and found.unit == "proportion"
    assert [score for _, _, score, _ in found.items] == [0, 1, 1, 1]


TASK = """
task: pair
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{label}}}}"
metric_list: [{{metric: acc, aggregation: mean, higher_is_better: true}}]
metadata: {{version: 1.0}}
"""


@pytest.mark.slow
def test_what_the_real_lm_eval_writes_is_read(tmp_path: Path) -> None:
    """The layout was remembered and not looked at."""
    pytest.importorskip("lm_eval", reason="lm-eval is not installed (extra [benchmark])")
    from tiny_models import build_tiny

    build_tiny("llama", tmp_path / "model")
    docs = [{"question": f"Is {n} even?", "choices": [" yes", " no"], "label": n % 2}
            for n in range(6)]  # fmt: skip
    data = tmp_path / "docs.jsonl"
    data.write_text("".join(json.dumps(doc) + "\n" for doc in docs))
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "pair.yaml").write_text(TASK.format(data=data))
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args",
        f"pretrained={tmp_path / 'model'},dtype=float32", "--tasks", "pair", "--include_path",
        str(tmp_path / "tasks"), "--device", "cpu", "--output_path", str(tmp_path / "out"),
        "--log_samples",
    ]  # fmt: skip
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=offline, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    (path,) = (tmp_path / "out").rglob("results_*.json")
    (found,), _ = read_any(path)
    assert (found.name, found.version, len(found.items)) == ("lm-eval:pair/acc", "1.0", 6)
    said = json.loads(path.read_text())["results"]["pair"]["acc,none"]
    assert math.isclose(sum(score or 0 for _, _, score, _ in found.items) / 6, said)
