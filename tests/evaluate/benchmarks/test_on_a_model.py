"""Every benchmark on the published files with a tiny random model, from one data folder."""

from pathlib import Path

import pytest
from bench_helpers import DATA, WordJudge, needs_data, silent

from whyfirst.config.errors import DataError
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.models.local import LocalModel

JUDGED = {"truthfulqa_generation": ("truthful", "informative")}
NAMES = (
    "bold", "hh_responses", "hhh", "jailbreak", "multilingual", "preference", "truthfulqa",
    "truthfulqa_generation", "xstest",
)  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    from whyfirst.models.scratch import ScratchConfig, build_scratch

    folder = tmp_path_factory.mktemp("tiny") / "model"
    shape = ScratchConfig(
        hidden_size=16, layers=1, heads=2, intermediate_size=32, vocab_size=300, max_length=512
    )
    build_scratch(shape, ["Human: ask\n\nAssistant: say", "one two three"], folder, 0)
    return LocalModel(folder)


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", NAMES)
def test_one_folder_serves_every_benchmark(tiny: LocalModel, name: str) -> None:
    """Each finds its own files by their published names, and keeps every item it was asked for."""
    benchmark = benchmark_named(name)
    judges = [WordJudge(question) for question in JUDGED.get(name, ())]
    short = {"max_new_tokens": 4} if "max_new_tokens" in benchmark.options else {}
    task = benchmark.task(data=DATA, limit=12, **short)
    items = task.run(tiny, judges, silent)
    assert {item.benchmark for item in items} == {metric.name for metric in benchmark.metrics}
    assert len({(item.benchmark, item.id) for item in items}) == len(items)
    assert task.run(tiny, judges, silent) == items, "not the same twice"
    asked = benchmark.task(data=DATA).prompts
    assert asked and all(isinstance(text, str) and text.strip() for text in asked)
    if benchmark.gaps is not None:
        assert isinstance(benchmark.gaps(items), list)
    assert benchmark.source and benchmark.licence


@pytest.mark.data
@needs_data
def test_what_does_not_fit_the_context_is_unscored_and_not_cut(tiny: LocalModel) -> None:
    task = benchmark_named("jailbreak").task(
        data=DATA, limit=4, framings=("many_shot:64",), max_new_tokens=4
    )
    items = task.run(tiny, [WordJudge()], silent)
    assert items and all(item.verdict == "unscored" for item in items)
    assert all("context" in str(item.reason) for item in items)


WRONG = {
    "hhh": ("truthfulqa/TruthfulQA.csv", "not readable as JSON"),
    "bold": ("ailuminate-multilingual/mlc-ncr-en.json", "benchmark 'multilingual'"),
    "jailbreak": ("truthfulqa/TruthfulQA.csv", "benchmark 'truthfulqa'"),
    "multilingual": ("bold/prompts/gender_prompt.json", "neither hazard nor language"),
    "preference": ("constitutional-ai/438HHHEvaluations.jsonl", "benchmark 'hhh'"),
    "truthfulqa": (
        "xstest/model_completions/xstest_v2_completions_gpt4.csv",
        "benchmark 'xstest'",
    ),
    "xstest": ("harm-prompts/advbench.csv", "benchmark 'jailbreak'"),
}


@pytest.mark.data
@needs_data
@pytest.mark.parametrize("name", WRONG)
def test_another_benchmark_s_file_is_recognised(name: str) -> None:
    file, said = WRONG[name]
    with pytest.raises(DataError, match=said):
        benchmark_named(name).task(data=DATA / file)


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_without_its_data_says_what_was_looked_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no"):
        benchmark_named(name).task(data=tmp_path)
    with pytest.raises(DataError, match="no such file or folder"):
        benchmark_named(name).task(data=tmp_path / "none")
