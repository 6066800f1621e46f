"""Reward models: the loss by hand, the report's figures by hand, the model as others load it."""

import json
import math
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import WORDS, words
from safetensors.torch import load_file
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GraniteConfig,
    GraniteForCausalLM,
)

from whyfirst.config.errors import DataError, PreflightError
from whyfirst.config.files import read_json
from whyfirst.evaluate.classifier import Classifier
from whyfirst.train.config import LoraConfig, RewardStage, RewardUse
from whyfirst.train.reward_report import calibration, report
from whyfirst.train.rewards.combine import RewardSum
from whyfirst.train.rewards.model import load, score
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_scorer, load_tokenizer

Write = Callable[[str, list[dict[str, Any]]], Path]


def _config(**more: Any) -> RewardStage:
    given = {"updates": 30, "batch_size": 16, "learning_rate": 3e-3, "held_out": 0.3, **more}
    return RewardStage(**given)


def _pairs(count: int, good: list[str], bad: list[str], **more: Any) -> list[dict[str, Any]]:
    draw = random.Random(3)

    def said(pool: list[str]) -> str:
        return " ".join(draw.choice(pool) for _ in range(draw.randint(2, 6)))

    return [
        {"prompt": words(draw, 2, 4), "chosen": said(good), "rejected": said(bad), **more}
        for _ in range(count)
    ]


@pytest.fixture(scope="module")
def trained(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model that likes one half of the words."""
    folder = tmp_path_factory.mktemp("reward")
    rows = _pairs(160, WORDS[:45], WORDS[45:])
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run_stage(_config(), bases["llama"], {"pairs": path}, folder / "out", 1)
    return folder / "out"


def test_the_report_is_not_about_held_out_pairs_or_wrong(trained: Path) -> None:
    found, stage = read_json(trained / "reward.json"), read_json(trained / "stage.json")
    assert 30 < found["pairs"] < 70
    assert found["accuracy"] > 0.9 and not found["only_counts_tokens"]
    assert found["verdict"].startswith("Right on ")
    assert found["accuracy_low"] < found["accuracy"] < found["accuracy_high"]
    # 480 rows were seen; an epoch has the pairs that are not held out.
    assert stage["epochs"] == pytest.approx(480 / (160 - found["pairs"]), abs=1e-3)


def test_the_saved_model_gives_other_rewards(trained: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(trained / "model")
    tokenizer = AutoTokenizer.from_pretrained(trained / "model")
    assert model.config.num_labels == 1 and type(model).__name__.endswith("Classification")
    rows = [{"prompt": "w1 w2"}, {"prompt": "w3"}]
    said, numbers = ("w5 w6 w7", "w80 w81"), [1, 0]
    use = RewardUse(name="reward_model", options={"batch_size": 1})
    rewards = RewardSum([use], rows, {"reward_model": trained / "model"})
    found = rewards(numbers, said, [[0], [0]], [True, False]).total
    texts = ("w3 w5 w6 w7 <eos>", "w1 w2 w80 w81")  # what was cut off has no end
    for text, value in zip(texts, found, strict=True):
        with torch.no_grad():
            [[alone]] = model(**tokenizer(text, return_tensors="pt")).logits.tolist()
        assert value == pytest.approx(alone, abs=1e-5)
    assert found[0] > found[1]


def test_padding_changes_a_reward(trained: Path) -> None:
    model, tokenizer = load(str(trained / "model"))
    draw = random.Random(0)
    rows = [[draw.randrange(6, 90) for _ in range(draw.randint(1, 30))] for _ in range(9)]
    together = score(model, tokenizer.pad_token_id, rows, 4)
    alone = [score(model, tokenizer.pad_token_id, [row], 1)[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_language_model_without_a_classifier_in_transformers_gets_no_reward_model(
    tmp_path: Path, tokenizer: Any, jsonl: Write
) -> None:
    """Granite: trained, saved and loaded again; a reward is the linear layer of the last state."""
    config = GraniteConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, intermediate_size=48, bos_token_id=None, eos_token_id=2,
    )  # fmt: skip
    GraniteForCausalLM(config).save_pretrained(tmp_path / "granite")
    tokenizer.save_pretrained(tmp_path / "granite")
    data = {"pairs": jsonl("pairs", _pairs(160, WORDS[:45], WORDS[45:]))}
    run_stage(_config(), tmp_path / "granite", data, tmp_path / "out", 1)
    assert read_json(tmp_path / "out" / "reward.json")["accuracy"] > 0.9
    model, tokenizer = load(str(tmp_path / "out" / "model"))
    ids = tokenizer("w1 w5 w6 <eos>")["input_ids"]
    with torch.no_grad():
        state = model.model(torch.tensor([ids])).last_hidden_state[0, -1]
    assert score(model, tokenizer.pad_token_id, [ids], 1) == [
        pytest.approx(float(model.score(state)), abs=1e-5)
    ]
    # And a scorer that reads responses opens it as the reward does.
    assert Classifier(str(tmp_path / "out" / "model")).outputs == 1


@pytest.mark.parametrize("margin", [None, 1.5])
@pytest.mark.parametrize("coefficient", [0.0, 0.5])
def test_the_first_loss_is_not_the_formula(
    bases: dict[str, Path], tmp_path: Path, jsonl: Write, margin: float | None, coefficient: float
) -> None:
    """-log sigmoid(r_chosen - r_rejected - margin) + c (r_chosen + r_rejected)^2, by hand."""
    more = {} if margin is None else {"margin": margin}
    row = {"prompt": "w1", "chosen": "w3", "rejected": "w4 w5", **more}
    other = {**row, "prompt": "w2"}  # held out
    config = _config(
        updates=10, batch_size=1, learning_rate=1e-9, center_rewards_coefficient=coefficient,
        held_out=0.5,
    )  # fmt: skip
    path = jsonl("pairs", [row, other])
    result = run_stage(config, bases["llama"], {"pairs": path}, tmp_path / "out", 1)
    model, tokenizer = load(str(tmp_path / "out" / "model"))
    ids = [tokenizer(f"w1 {said} <eos>")["input_ids"] for said in ("w3", "w4 w5")]
    chosen, rejected = score(model, tokenizer.pad_token_id, ids, 2)
    expected = math.log1p(math.exp(-(chosen - rejected - (margin or 0))))
    expected += coefficient * (chosen + rejected) ** 2
    assert result.first_loss == pytest.approx(expected, abs=1e-4)


def test_figures_by_hand() -> None:
    lengths = [(5, 2), (1, 4), (3, 3), (2, 1)]
    found = report(lengths, [2.0, 1.0, 0.0, 3.0], [0.0, 2.0, 0.0, 1.0])
    assert found["accuracy"] == (1 + 0 + 0.5 + 1) / 4
    assert found["longer_is_better"] == (1 + 0 + 0.5 + 1) / 4
    assert found["mean_reward"] == {"chosen": 1.5, "rejected": 0.75}
    assert found["only_counts_tokens"]
    assert found["verdict"].startswith("This reward model does no better than counting tokens")


def test_calibration_by_hand() -> None:
    gap = math.log(4)  # p = 0.8
    found = calibration([gap] * 4 + [0.0], [0.0, 0.0, 0.0, 2 * gap, 0.0])
    assert [(b["from"], b["pairs"]) for b in found["calibration_bins"]] == [(0.5, 1), (0.8, 4)]
    assert found["calibration_bins"][1]["accuracy"] == 0.75
    assert found["calibration_bins"][1]["confidence"] == pytest.approx(0.8)
    assert found["calibration_error"] == pytest.approx(0.8 * 0.05)
    loss = 3 * -math.log(0.8) - math.log(0.2) + math.log(2)
    assert found["log_loss"] == pytest.approx(loss / 5)


def test_a_model_that_counts_tokens_is_not_named() -> None:
    """Rewards that are the length, on pairs whose chosen response is longer in 80 of 100."""
    lengths = [(5, 3)] * 80 + [(2, 4)] * 20
    counted = report(lengths, [float(a) for a, _ in lengths], [float(b) for _, b in lengths])
    assert counted["only_counts_tokens"] and counted["accuracy"] == 0.8
    assert counted["length_correlation"] == pytest.approx(1.0)
    assert "the longer response on 80.0%" in counted["verdict"]
    # Right on all of them: 20 more than the rule, and never where the rule is and it isn't.
    better = report(lengths, [1.0] * 100, [0.0] * 100)
    assert not better["only_counts_tokens"]
    assert report([(3, 5)] * 100, [1.0] * 100, [0.0] * 100)["only_counts_tokens"]


def test_bad_pairs_are_trained_on(bases: dict[str, Path], tmp_path: Path, jsonl: Write) -> None:
    rows = _pairs(40, WORDS[:45], WORDS[45:])
    same = jsonl("same", [*rows, {"prompt": "w1", "chosen": "w2", "rejected": "w2"}])
    with pytest.raises(PreflightError, match="rows 41 prefer a response to itself"):
        run_stage(_config(), bases["llama"], {"pairs": same}, tmp_path / "same", 1)
    empty = jsonl("empty", [*rows, {"prompt": "w1", "chosen": "", "rejected": "w2"}])
    with pytest.raises(PreflightError, match="rows 41 have an empty response"):
        run_stage(_config(), bases["llama"], {"pairs": empty}, tmp_path / "empty", 1)
    margins = jsonl("margins", [{**rows[0], "margin": 1}, rows[1]])
    with pytest.raises(DataError, match="row 2: 'margin' must be a number, in every row"):
        run_stage(_config(), bases["llama"], {"pairs": margins}, tmp_path / "margins", 1)
    # The column beside the pair was read as a third response, and shifted all rows behind it.
    third = jsonl("third", [row | {"completion": "w3"} for row in rows])
    with pytest.raises(DataError, match="row 1: responses stand in 'completion' and 'chosen'/"):
        run_stage(_config(), bases["llama"], {"pairs": third}, tmp_path / "third", 1)
    one = jsonl("one", rows[:1])
    with pytest.raises(DataError, match="holds out 0; give more prompts"):
        run_stage(_config(), bases["llama"], {"pairs": one}, tmp_path / "one", 1)


def test_kto_starts_elsewhere_or_learns_nothing(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, jsonl: Write
) -> None:
    """Its first loss is the mean weight times 1 - sigmoid(0): policy and reference are equal."""
    from whyfirst.train.config import KTOStage

    config = KTOStage(updates=20, batch_size=12, learning_rate=1e-2)
    result = run_stage(config, bases["llama"], data, tmp_path / "even", 1)
    assert result.first_loss == pytest.approx(0.5, abs=1e-5) and result.last_loss < 0.48
    heavy = config.model_copy(update={"desirable_weight": 3.0, "undesirable_weight": 3.0})
    result = run_stage(heavy, bases["llama"], data, tmp_path / "heavy", 1)
    assert result.first_loss == pytest.approx(1.5, abs=1e-5)
    path = jsonl("responses", [{"prompt": "w1", "completion": "w2", "label": "yes"}])
    with pytest.raises(DataError, match="row 1: 'label' must be true"):
        run_stage(config, bases["llama"], {"responses": path}, tmp_path / "bad", 1)
    assert load_tokenizer(tmp_path / "even" / "model").eos_token == "<eos>"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_output_layer_beside_a_half_precision_base_never_moves(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, dtype: str
) -> None:
    """At the default rate, and against a base in float32, whose layer moves as far."""
    moved = []
    torch.manual_seed(1)
    before = load_scorer(bases["llama"]).score.weight.detach()
    for base in ("float32", "bfloat16"):
        lora, out = LoraConfig(r=4, base_dtype=base), tmp_path / base
        config = _config(learning_rate=1e-5, lora=lora, dtype=dtype)
        run_stage(config, bases["llama"], data, out, 1)
        after = load_file(out / "model" / "model.safetensors")["score.weight"]
        assert after.dtype == torch.float32
        # The draw itself is rounded to the base's format.
        moved.append((after - before.to(getattr(torch, base))).abs())
    assert float(moved[1].min()) > 0
    assert float(moved[1].mean()) == pytest.approx(float(moved[0].mean()), rel=0.2)


def test_a_reward_in_half_precision_is_rounded(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    """In the loss a bfloat16 has eight bits, and the difference of two rewards fewer."""
    torch.manual_seed(1)
    model = load_scorer(bases["llama"], torch.bfloat16)
    ids = torch.arange(6, 20)[None]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        found = model(ids, use_cache=False).logits
        state = model.model(ids, use_cache=False).last_hidden_state[:, -1]
    assert found.dtype == torch.float32
    by_hand = state.double() @ model.score.weight.double().T
    assert found.item() == pytest.approx(by_hand.item(), rel=1e-5)


@pytest.mark.parametrize("padding", [None, "<eos>"])
def test_a_reward_model_padded_with_the_end_of_text_never_reads_it(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, tokenizer: Any,
    padding: str | None,
) -> None:  # fmt: skip
    base, spare = tmp_path / "base", deepcopy(tokenizer)
    shutil.copytree(bases["llama"], base)
    spare.pad_token = padding
    spare.save_pretrained(base)
    result = run_stage(_config(), base, data, tmp_path / "out", 1)
    folder = tmp_path / "out" / "model"
    model, tokens = load(str(folder))
    rows = [[7, 8, 9, 2], [7, 8, 9], [7, 8], [5]]
    found = score(model, tokens.pad_token_id, rows, 4)
    with torch.no_grad():
        states = [model.model(torch.tensor([row])).last_hidden_state[0, -1] for row in rows]
    assert found == pytest.approx([float(model.score(state)) for state in states], abs=1e-5)
    # As in training, which is what training pads with that has another token for it.
    other = run_stage(_config(), bases["llama"], data, tmp_path / "padded", 1)
    assert result.first_loss == pytest.approx(other.first_loss, abs=1e-5)
    assert result.last_loss == pytest.approx(other.last_loss, abs=1e-5)
    reports = [read_json(tmp_path / name / "reward.json") for name in ("out", "padded")]
    assert reports[0]["log_loss"] == pytest.approx(reports[1]["log_loss"], abs=1e-5)
    # And as others load it.
    plain = AutoModelForSequenceClassification.from_pretrained(folder)
    asked = AutoTokenizer.from_pretrained(folder).pad({"input_ids": rows}, return_tensors="pt")
    with torch.no_grad():
        assert plain(**asked).logits[:, 0].tolist() == pytest.approx(found, abs=1e-5)
