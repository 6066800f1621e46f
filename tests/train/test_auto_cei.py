"""Auto-CEI: where its climb begins and ends, by hand, and the stage on a model that gives up."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from whyfirst.config.errors import DataError, StoreError, TrainingStopped
from whyfirst.config.files import read_jsonl, write_jsonl
from whyfirst.models.base import Sampling, asked
from whyfirst.models.local import LocalModel
from whyfirst.models.scratch import ScratchConfig, build_scratch
from whyfirst.train.climb import Curriculum, balance, climb, first_patience
from whyfirst.train.config import AutoCEIStage, SFTStage
from whyfirst.train.rewards.auto_cei import given_up, refusal_value, step_count
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_tokenizer

SHAPE = ScratchConfig(hidden_size=32, layers=1, heads=2, intermediate_size=48, vocab_size=300)


def test_the_first_patience_is_worth_something() -> None:
    """Mean steps before giving up and a step more: giving up there is worth 0."""
    start, step, spread = first_patience([1, 3, 1, 3], [2, 3])
    assert (start, step, spread) == (2.7, 0.2, 1.0)
    assert refusal_value(start, start, spread) == 0
    assert first_patience([0, 20], [4])[1] == 0.5  # and no more than that
    said = "first\n\nsecond\nI don't know, sorry.\nOr so."
    assert (given_up(said), step_count(said), given_up("first\n3")) == (2, 4, None)


def test_the_balance_weighs_precision_by_what_answering_should_have() -> None:
    assert balance(0.9, 0.5, 0.2) == pytest.approx(0.8 * 0.9 + 0.2 * 0.5)
    assert balance(1.0, 1.0, 0.2) == pytest.approx(0.8)  # giving up on everything is no maximum


@pytest.mark.parametrize(("peak", "most"), [(4.0, 20), (1.0, 20), (-2.0, 20), (9.0, 3)])
def test_the_climb_ends_beside_the_maximum(peak: float, most: int) -> None:
    asked: list[float] = []

    def value(patience: float) -> float:
        asked.append(patience)
        return -abs(patience - peak)

    found = climb(value, 1.0, 0.5, most)
    assert found == (peak if most == 20 else 2.0)
    assert len(asked) == len(set(asked)) <= most
    if most == 20:  # both neighbours were seen to be worse, and nothing beyond them
        assert {peak - 0.5, peak + 0.5} <= set(asked)
        assert max(asked) <= max(peak, 1.0) + 0.5


def _rows() -> list[dict[str, Any]]:
    return [{"prompt": f"item {'abcdefgh'[i % 8]} {i}", "answer": "yes" if i % 2 else "no"}
            for i in range(32)]  # fmt: skip


@pytest.fixture(scope="module")
def hesitant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answers one half of the prompts, and gives up on the other after one step or two."""
    folder = tmp_path_factory.mktemp("hesitant")
    rows = [
        {"prompt": row["prompt"],
         "completion": "answer: yes" if i % 2 else "think\n" * (1 + i % 4 // 2) + "I don't know"}
        for i, row in enumerate(_rows())
    ]  # fmt: skip
    said = [f"Human: {row['prompt']}\n\nAssistant: {row['completion']}" for row in rows]
    build_scratch(SHAPE, said, folder / "base", 0)
    write_jsonl(folder / "rows.jsonl", rows)
    config = SFTStage(updates=120, batch_size=16, learning_rate=1e-2, max_length=64)
    run_stage(config, folder / "base", {"demonstrations": folder / "rows.jsonl"}, folder / "out", 0)
    return folder / "out" / "model"


def _config(**more: Any) -> AutoCEIStage:
    given = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-3, "max_length": 64, "samples": 3,
             "max_new_tokens": 16, "iterations": 2, "most": 2, "held_out": 0.3, "min_updates": 1,
             "temperature": 0.7}  # fmt: skip
    return AutoCEIStage(**given | more)


def test_a_round_that_was_done_is_done_again_after_a_kill(hesitant: Path, tmp_path: Path) -> None:
    # To some the model has no right answer.
    rows = [row | {"answer": "no"} if i % 8 == 1 else row for i, row in enumerate(_rows())]
    write_jsonl(tmp_path / "prompts.jsonl", rows)
    data, rounds = {"prompts": tmp_path / "prompts.jsonl"}, set[int]()

    def stop(done: int, total: int, message: str) -> None:
        folder = tmp_path / "broken" / "checkpoints" / "round-2"
        if folder.is_dir():
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run_stage(_config(), hesitant, data, tmp_path / "broken", 3, stop)
    done = tmp_path / "broken" / "checkpoints" / "round-1" / "stage.json"
    before = done.stat().st_mtime_ns
    results = []
    for name in ("broken", "whole"):
        seen: Callable[..., None] = lambda *_: rounds.add(done.stat().st_mtime_ns)  # noqa: E731
        results.append(run_stage(_config(), hesitant, data, tmp_path / name, 3,
                                 seen if name == "broken" else lambda *_: None))  # fmt: skip
    assert rounds == {before}  # the first round was not trained again
    broken, whole = (tmp_path / name for name in ("broken", "whole"))
    for file in ("log.jsonl", "model/model.safetensors"):
        assert (broken / file).read_bytes() == (whole / file).read_bytes()
    # The model it starts from stands first, measured as the others, and none of the rounds.
    start, *log = read_jsonl(whole / "log.jsonl")
    assert start.keys() == {"step", "tokens", "precision", "gives_up", "balance"}
    assert start["balance"] == pytest.approx(balance(start["precision"], start["gives_up"], 0.2))
    assert start["step"] == 0 and results[1].first_loss == log[0]["loss"]
    assert len({row["patience"] for row in log}) == 2
    assert all(a["step"] < b["step"] for a, b in pairwise(log))
    for row in log:
        assert row["balance"] == pytest.approx(balance(row["precision"], row["gives_up"], 0.2))
    # Those to which every response was wrong teach nothing, which nothing said.
    assert sum(row["prompts_without_demonstrations"] for row in log) > 0
    assert results[1].updates == log[-1]["step"]


def test_the_rounds_of_another_run_are_gone_on_with(hesitant: Path, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "prompts.jsonl", _rows())
    data, out = {"prompts": tmp_path / "prompts.jsonl"}, tmp_path / "out"

    def stop(done: int, total: int, message: str) -> None:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run_stage(_config(), hesitant, data, out, 3, stop)
    assert (out / "checkpoints" / "round-1.jsonl").is_file()
    for changed in ({"temperature": 1.5}, {"samples": 4}):
        with pytest.raises(StoreError, match="rounds of another configuration"):
            run_stage(_config(**changed), hesitant, data, out, 3)


@pytest.mark.parametrize(
    ("answer", "said"), [(None, "row 2: 'answer' must be"), ("", "row 2: 'answer' must be")]
)
def test_a_prompt_without_its_answer_is_asked(
    hesitant: Path, tmp_path: Path, answer: Any, said: str
) -> None:
    rows = _rows()
    rows[1]["answer"] = answer
    write_jsonl(tmp_path / "prompts.jsonl", rows)
    with pytest.raises(DataError, match=said):
        run_stage(_config(), hesitant, {"prompts": tmp_path / "prompts.jsonl"}, tmp_path / "out", 0)


def test_a_model_that_never_gives_up_is_climbed(hesitant: Path, tmp_path: Path) -> None:
    only = [row for row in _rows() if row["answer"] == "yes"]
    write_jsonl(tmp_path / "prompts.jsonl", only)
    data = {"prompts": tmp_path / "prompts.jsonl"}
    with pytest.raises(TrainingStopped, match="never says that it doesn't know"):
        run_stage(_config(temperature=0.01), hesitant, data, tmp_path / "out", 0)


def test_a_kill_before_the_last_line_leaves_a_stage_that_never_ends(
    hesitant: Path, tmp_path: Path
) -> None:
    """The model is in place and the record isn't: the same command must end all the same."""
    write_jsonl(tmp_path / "prompts.jsonl", _rows())
    data, out = {"prompts": tmp_path / "prompts.jsonl"}, tmp_path / "out"
    run_stage(_config(), hesitant, data, out, 3)
    model = (out / "model" / "model.safetensors").read_bytes()
    (out / "stage.json").unlink()
    run_stage(_config(), hesitant, data, out, 3)
    assert (out / "model" / "model.safetensors").read_bytes() == model


def test_the_first_round_is_drawn_by_another_template_than_it_trains(
    hesitant: Path, tmp_path: Path
) -> None:
    template, rows = tmp_path / "other.jinja", _rows()[:4]
    template.write_text("{% for m in messages %}Ask: {{ m.content }}\n{% endfor %}")
    config = _config(chat_template=str(template))
    made = Curriculum.__new__(Curriculum)
    made.config, made.job = config, SimpleNamespace(  # type: ignore[assignment]
        tokenizer=load_tokenizer(hesitant, config.chat_template),
        stopping=SimpleNamespace(asked=None), seed=0,
    )  # fmt: skip
    model = LocalModel(hesitant, "float32", chat_template=config.chat_template)
    sampling = Sampling(config.max_new_tokens, config.temperature, seed=0)
    chats = [asked(row["prompt"]) for row in rows]
    wanted = [[one.text for one in row] for row in model.generate(chats, 2, sampling)]
    own = LocalModel(hesitant, "float32").generate(chats, 2, sampling)
    assert made._said(hesitant, rows, 2, sampling) == wanted
    assert wanted != [[one.text for one in row] for row in own]


def test_an_adapter_is_refused_for_not_being_continued_when_all_is_drawn() -> None:
    """It passed the stage's check and failed that of its first round, which said to continue it."""
    with pytest.raises(ValueError, match="start from whole weights; use fresh"):
        _config(lora={"r": 2}, adapter="continue")
    assert _config(lora={"r": 2}, adapter="fresh").round.adapter is None
