"""SALMON from end to end: a judge's scores, pairs by principle, a reward model that turns."""

import random
from pathlib import Path
from statistics import fmean, pvariance
from typing import Any

import pytest

from whyfirst.config.files import write_jsonl
from whyfirst.config.room import Use
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.data.transforms.principle_pairs import OPPOSITE
from whyfirst.models.scratch import ScratchConfig, build_scratch
from whyfirst.models.scripted import ScriptedModel
from whyfirst.train.config import RewardStage
from whyfirst.train.rewards import REWARDS
from whyfirst.train.run import run_stage

PRINCIPLES = ("is kind", "is brief")
WORDS = ["tea", "rain", "bread", "lamp", "road", "hill", "coat", "milk"]


def _scores(model: ScriptedModel, rows: list[dict[str, Any]], **more: Any) -> list[dict[str, Any]]:
    context: dict[str, Any] = {"open_model": lambda name: model, "model": model}
    context["left_out"] = more.pop("left_out", lambda row, why: None)
    made = TRANSFORMS.make(Use(name="principle_scores", principles=PRINCIPLES, **more), **context)
    return list(made(rows, random.Random(0)))


def _prefers(prompt: str, said: str) -> float:
    """Kindness by how often its word stands there, brevity by words; a little more for slot A."""
    first, second = prompt.split("Response A: ")[1].split("\n\nResponse B: ")
    second = second.split("\n\nWhich")[0]
    text = first if said.strip() == "A" else second
    worth = text.count("dear") if "is kind" in prompt else -len(text.split()) / 2
    return worth + (0.1 if said.strip() == "A" else 0.0)


def test_scores_are_by_slot_or_not_over_their_variance() -> None:
    rows = [
        {"prompt": "hi", "responses": ["dear dear you", "you"]},
        {"prompt": "hi", "responses": ["you", "dear you you you"]},
    ]
    found = [row["principle_scores"] for row in _scores(ScriptedModel(scores=_prefers), rows)]
    kind = [[2 + 0.1, 2 - 0.1], [-1 + 0.1, -1 - 0.1]]
    spread = pvariance([fmean(two) for two in kind])
    for scores, two in zip(found, kind, strict=True):
        assert scores["is kind"] == pytest.approx([one / spread for one in two])
    assert found[0]["is brief"][0] < 0 < found[1]["is brief"][0]


def test_a_judge_of_slots_agrees_with_itself() -> None:
    only_a = ScriptedModel(scores=lambda _, said: 1.0 if said.strip() == "A" else 0.0)
    rows = [{"prompt": "hi", "responses": ["x", "y"]}]
    [row] = _scores(only_a, rows)
    first, second = row["principle_scores"]["is kind"]
    assert first == -second > 0
    lost: list[str] = []
    broken = ScriptedModel(scores=lambda *_: float("nan"))
    assert _scores(broken, rows, left_out=lambda row, why: lost.append(why)) == []
    assert len(lost) == 1


def test_a_negated_principle_leaves_the_reward_models_preference(tmp_path: Path) -> None:
    """Trained on pairs under a principle and its opposite, it is right above 0.9 both ways."""
    draw = random.Random(1)

    def said(*extra: str) -> str:
        words = [*extra, *draw.choices(WORDS, k=2)]
        draw.shuffle(words)
        return " ".join(words)

    def rows(count: int) -> list[dict[str, Any]]:
        return [
            {"prompt": f"{draw.choice(WORDS)} {i}", "responses": [said("dear"), said("you")]}
            for i in range(count)
        ]

    judged = TRANSFORMS.make(
        Use(name="principle_scores", principles=["is kind"]), open_model=lambda name: None,
        model=ScriptedModel(scores=_prefers), left_out=lambda row, why: None,
    )  # fmt: skip
    pairs = TRANSFORMS.make(
        Use(name="principle_pairs", flipped=0.0), left_out=lambda row, why: None
    )
    made = list(pairs(judged(rows(240), random.Random(0)), random.Random(0)))
    assert 60 < sum("opposite" in row["prompt"] for row in made) < 180
    texts = [f"{row['prompt']} {row['chosen']} {row['rejected']}" for row in made]
    shape = ScratchConfig(
        hidden_size=32, layers=2, heads=2, intermediate_size=48, vocab_size=300, max_length=128
    )
    build_scratch(shape, texts, tmp_path / "base", 0)
    write_jsonl(tmp_path / "pairs.jsonl", made)
    config = RewardStage(updates=200, batch_size=16, learning_rate=3e-3, max_length=128)
    run_stage(config, tmp_path / "base", {"pairs": tmp_path / "pairs.jsonl"}, tmp_path / "out", 0)
    new = rows(40)
    right = {}
    for principle, wanted in (("is kind", 0), (OPPOSITE.replace("{principle}", "is kind"), 1)):
        reward = REWARDS.make(
            Use(name="salmon", principles=[principle], bonus=0.0),
            folder=str(tmp_path / "out" / "model"),
        )
        prompts = [row["prompt"] for row in new]
        worth = [reward(prompts, [row["responses"][k] for row in new], [[0]] * 40) for k in (0, 1)]
        right[principle] = fmean(
            float((a > b) == (wanted == 0)) for a, b in zip(*worth, strict=True)
        )
    assert min(right.values()) > 0.9, right
