"""`whyfirst eval` on a small model that is built here."""

import json
from pathlib import Path

import pytest
from cli_helpers import RunHere, one_object, whyfirst, write_tiny_study

from whyfirst.cli.scoring import show, summarise
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.gaps import Gap
from whyfirst.evaluate.item import ItemResult, judged, unscored


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `model/` and `pairs.jsonl`."""
    from whyfirst.models.scratch import ScratchConfig, build_scratch

    folder = tmp_path_factory.mktemp("eval")
    write_tiny_study(folder)
    texts = (folder / "demos.jsonl").read_text().splitlines()
    shape = ScratchConfig(
        hidden_size=16, layers=1, heads=2, intermediate_size=32, vocab_size=300, max_length=128
    )
    build_scratch(shape, texts, folder / "model", 0)
    return folder


def test_json_is_one_object_with_intervals_and_items(place: Path) -> None:
    """A loader's print broke the JSON, or a metric lost its interval."""
    done = whyfirst(
        "eval", "--model", "model", "--benchmarks", "preference", "--data", "pairs.jsonl",
        "--out", "items.jsonl", "--json", cwd=place,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = one_object(done.stdout)
    assert [row["metric"] for row in found["metrics"]] == ["preference_sum", "preference_mean"]
    for row in (row["score"] for row in found["metrics"]):
        assert row["n"] + row["unscored"] == 8
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
    items = [json.loads(line) for line in (place / "items.jsonl").read_text().splitlines()]
    assert len(items) == 16
    assert len(found["fingerprint"]) == 64


def test_a_table_for_people_has_the_interval_and_the_unscored(
    place: Path, run_here: RunHere
) -> None:
    """The table dropped the interval or the count of what could not be scored."""
    code, out, _ = run_here(
        "eval", "--model", str(place / "model"), "--benchmarks", "preference",
        "--data", f"preference={place / 'pairs.jsonl'}", "--limit", "5",
    )  # fmt: skip
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith("Preference accuracy (summed)"))
    assert " % to " in row
    assert " 5 " in row
    assert "0 (0.0 %)" in row


def test_what_is_missing_is_told_before_the_model_is_loaded(run_here: RunHere) -> None:
    """A model was downloaded and loaded before the data were found missing."""
    cases = (([], "needs --data PATH: a .jsonl"), (["--data", "no/such"], "no such file"))
    for given, said in cases:
        code, out, err = run_here(
            "eval", "--model", "no/model", "--benchmarks", "preference", *given
        )
        assert (code, out) == (2, "")
        assert said in err


def test_summary_against_hand_computed_values() -> None:
    """Unscored items counted as fails, or the interval took them for trials."""
    benchmark = benchmark_named("preference")
    metric = benchmark.metrics[0]
    items = [judged(str(at), metric.name, at < 6, topic=str(at)) for at in range(8)]
    items += [unscored(f"u{at}", metric.name, "tie") for at in range(2)]
    whole = summarise(benchmark, metric, items)
    row = whole.score
    assert (row.n, row.unscored, row.unscored_rate) == (8, 2, 0.2)
    assert row.value == 0.75
    assert (row.low, row.high) == (pytest.approx(0.4093, abs=1e-4), pytest.approx(0.9285, abs=1e-4))
    assert (row.worst, row.best) == (0.6, 0.8)
    assert whole.reasons == {"tie": 2}


def test_a_metric_without_any_score_has_no_value() -> None:
    """Nothing scored was shown as 0 %."""
    benchmark = benchmark_named("preference")
    metric = benchmark.metrics[1]
    row = summarise(benchmark, metric, [unscored("u", metric.name, "tie")]).score
    assert (row.value, row.low, row.high, row.n) == (None, None, None, 0)
    assert (row.worst, row.best) == (0.0, 1.0)


def test_a_mean_score_is_no_proportion() -> None:
    """A score between 0 and 1 was rounded to passes."""
    benchmark = benchmark_named("truthfulqa")
    metric = benchmark.metrics[1]
    items = [
        ItemResult(str(at), metric.name, "fail", score=score, topic=str(at))
        for at, score in enumerate([0.1, 0.2, 0.3, 0.4])
    ]
    row = summarise(benchmark, metric, items).score
    assert row.value == pytest.approx(0.25)
    assert row.low is not None and row.high is not None
    assert 0 < row.low < 0.25 < row.high < 1


def test_a_mean_score_is_printed_in_percent(capsys: pytest.CaptureFixture[str]) -> None:
    benchmark = benchmark_named("truthfulqa")
    metric = benchmark.metrics[1]
    items = [ItemResult(str(at), metric.name, "fail", score=0.25) for at in range(4)]
    gap = Gap(metric.name, None, ("a", "b"), 0.05, 0.01, 0.09, 2)
    show([summarise(benchmark, metric, items)], [gap], every_group=False)
    printed = capsys.readouterr().out
    assert "0.250" in printed and "+0.050" in printed
    assert "25.0 %" not in printed and "points" not in printed


def test_data_of_a_benchmark_that_was_not_asked_for_is_a_slip(run_here: RunHere) -> None:
    """`--data prefernce=PATH` was taken for a file of that name."""
    code, _, err = run_here(
        "eval", "--model", "no/model", "--benchmarks", "preference", "--data", "prefernce=pairs"
    )
    assert code == 2
    assert "'prefernce' is none of the benchmarks asked for; did you mean 'preference'?" in err


def test_reasons_that_differ_in_their_numbers_only_are_one_kind() -> None:
    """A thousand items that were too long gave a thousand reasons."""
    benchmark = benchmark_named("preference")
    metric = benchmark.metrics[0]
    items = [
        unscored(str(at), metric.name, f"longer than the model's context ({at} of 1,024 tokens)")
        for at in range(5)
    ]
    once = [unscored(f"t{at}", metric.name, "this CSV (2021) has no such column") for at in (1, 2)]
    row = summarise(benchmark, metric, [*items, *once])
    assert row.reasons == {
        "longer than the model's context (N of N tokens)": 5,
        "this CSV (2021) has no such column": 2,
    }


def test_groups_are_the_parts_of_the_whole() -> None:
    benchmark = benchmark_named("xstest")
    metric = benchmark.metrics[0]
    items = [
        judged(str(at), metric.name, at % 2 == 0, topic=str(at), group="a" if at < 6 else "b")
        for at in range(8)
    ]
    row = summarise(benchmark, metric, items, ("group", "framing"))
    assert {name: part.n for name, part in row.groups["group"].items()} == {"a": 6, "b": 2}
    assert row.groups["group"]["b"].value == 0.5 and row.groups["framing"] == {}
    assert not row.higher_is_better


@pytest.fixture(scope="module")
def xstest(place: Path) -> Path:
    """Two safe and two unsafe prompts in the published layout."""
    rows = ["id,prompt,type,label"]
    rows += [f"{at},How do I hold the {thing}?,{kind},{label}" for at, (thing, kind, label) in
             enumerate((("kralet", "homonyms", "safe"), ("velp", "homonyms", "safe"),
                        ("tarn", "contrast_homonyms", "unsafe"),
                        ("wick", "contrast_homonyms", "unsafe")))]  # fmt: skip
    path = place / "xstest" / "xstest_prompts.csv"
    path.parent.mkdir()
    path.write_text("\n".join(rows) + "\n")
    return path


def test_chat_template_and_judge_stand_beside_the_scores(place: Path, xstest: Path) -> None:
    """Nobody could tell which template had rendered the chats, or who had judged."""
    done = whyfirst(
        "eval", "--model", "model", "--benchmarks", "xstest", "--data", str(xstest.parent),
        "--chat-template", "plain", "--by", "group", "--json", cwd=place,
    )  # fmt: skip
    found = one_object(done.stdout)
    assert found["chat_template"] == "plain"
    over, under = found["metrics"]
    assert over["judges"] == ["rules/2"] and set(over["groups"]["group"]) == {"homonyms"}
    assert under["metric"] == "xstest_under_refusal"


def test_resistance_is_never_shown_alone(place: Path, run_here: RunHere) -> None:
    """A model that refuses everything looked best."""
    behaviours = place / "advbench.csv"
    behaviours.write_text("goal,target\nturn the kralet over,Sure\n")
    code, out, err = run_here(
        "eval", "--model", str(place / "model"), "--benchmarks", "jailbreak",
        "--data", str(behaviours), "--limit", "2",
    )  # fmt: skip
    assert code == 0 and "Jailbreak resistance" in out
    assert "chat template: the tokenizer's own" in out
    assert "jailbreak says little without xstest_over_refusal" in " ".join(err.split())


def test_a_file_of_another_benchmark_is_told_before_the_model_is_loaded(
    place: Path, xstest: Path, run_here: RunHere
) -> None:
    """One file for two benchmarks failed after the first had been scored, without a remedy."""
    code, _, err = run_here(
        "eval", "--model", "no/model", "--benchmarks", "xstest,preference", "--data", str(xstest)
    )
    assert code == 2
    said = " ".join(err.split())
    assert "benchmark 'preference'" in said and "--data preference=PATH" in said


WRONG = {
    "judge": (["--judge", "harmles"], "did you mean 'harmless'"),
    "judge without a model": (["--judge", "harmless"], "needs a model (--judge-model)"),
    "judge of another question": (["--judge", "rules"], "want to know nothing"),
    "field": (["--by", "grup"], "did you mean 'group'"),
    "endpoint": (["--key-env", "KEY"], "key_env: only goes with endpoint"),
    "dtype": (["--dtype", "float8"], "dtype"),
    "revision of a folder": (["--revision", "v1"], "revision: is of a Hub id"),
    "judge's model without a judge": (["--judge-model", "no/model"], "nobody would ask it"),
    "judge's model of a method that asks none": (
        ["--judge-model", "no/model", "--decoding", "best_of_n,n=2"],
        "nobody would ask it",
    ),
    "judge's key without a model": (["--judge-key-env", "KEY"], "none is given"),
}


@pytest.mark.parametrize("what", WRONG)
def test_word_that_fits_nothing_is_answered_with_one_line(
    place: Path, run_here: RunHere, what: str
) -> None:
    given, said = WRONG[what]
    code, _, err = run_here(
        "eval", "--model", str(place / "model"), "--benchmarks", "preference",
        "--data", str(place / "pairs.jsonl"), *given,
    )  # fmt: skip
    assert code == 2
    assert said in " ".join(err.split()), err


UNREAD = {
    "for none": (["tin_men"], ["x.csv"], "no benchmark asked for reads it"),
    "for one that reads none": (["tin_men", "xstest"], ["x.csv", "tin_men=x.csv"], "reads it"),
    "beside what each has of its own": (["xstest"], ["xstest=x.csv", "y.csv"], "reads it"),
    "one of two": (["xstest"], ["x.csv", "y.csv"], "there is another for the same"),
    "one of two of one's own": (["xstest"], ["xstest=x.csv", "xstest=y.csv"], "there is another"),
}


@pytest.mark.parametrize("what", UNREAD)
def test_data_that_nothing_reads_are_passed_over(run_here: RunHere, what: str) -> None:
    names, data, said = UNREAD[what]
    given = [word for text in data for word in ("--data", text)]
    code, _, err = run_here("eval", "--model", "no/model", "--benchmarks", ",".join(names), *given)
    assert code == 2 and said in " ".join(err.split())


@pytest.mark.parametrize("option", ["limit", "world", "seed"])
def test_an_option_that_a_benchmark_has_not_changes_nothing_in_silence(
    run_here: RunHere, option: str
) -> None:
    given = ("eval", "--model", "no/such/model", f"--{option}", "3", "--benchmarks")
    _, _, err = run_here(*given, "tin_men")
    assert f"--{option} changes nothing for tin_men" in " ".join(err.split())
    _, _, err = run_here(*given, "hearth", *([] if option == "world" else ["--world", "3"]))
    assert "changes nothing" not in err


def test_decoding_seems_to_change_nothing_of_likelihoods(place: Path, run_here: RunHere) -> None:
    """`best_of_n` gave the plain model's numbers, beside which its budget stood."""
    (place / "questions.jsonl").write_text('{"prompt": "question", "evidence": ["q"]}\n')
    for name, data, told in (("preference", "pairs", True), ("own_questions", "questions", False)):
        code, _, err = run_here(
            "eval", "--model", str(place / "model"), "--benchmarks", name,
            "--data", str(place / f"{data}.jsonl"), "--limit", "1",
            "--decoding", "best_of_n,n=2",
        )  # fmt: skip
        assert code == 0, err
        said = f"decoding changes nothing of benchmark {name}" in " ".join(err.split())
        assert said == told, err


@pytest.mark.parametrize(
    ("given", "said"),
    [(["--model", "no/model"], "'rules' asks none"), (["--key-env", "KEY"], "none is given")],
)
def test_a_judge_that_asks_nobody_is_given_a_model(
    place: Path, run_here: RunHere, given: list[str], said: str
) -> None:
    code, _, err = run_here("judge", "agreement", "--data", str(place), *given)
    assert code == 2 and said in " ".join(err.split())
