"""rloo and grpo: the optimum of a known task, the same bytes twice, and what must stop them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import bandit
import pytest
import torch
from tiny_models import build_tiny

from whyfirst.config.errors import ConfigError, DataError, PreflightError, TrainingStopped
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.train import weights
from whyfirst.train.checkpoint import COMPLETE
from whyfirst.train.config import GRPOStage, RLOOStage
from whyfirst.train.rewards import REWARDS
from whyfirst.train.run import run_stage

Write = Callable[[str, list[dict[str, Any]]], Path]
KINDS = {"rloo": RLOOStage, "grpo": GRPOStage}


def _config(kind: str, **more: Any) -> Any:
    given = {
        "updates": 12, "batch_size": 16, "group_size": 4, "max_length": 16,
        "max_new_tokens": bandit.MAX_NEW_TOKENS, "learning_rate": 1e-2, "beta": 1e-3,
        "rewards": ({"name": "bandit"},), **more,
    }  # fmt: skip
    return KINDS[kind](**given)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Path]]:
    base, prompts = bandit.make_task(tmp_path_factory.mktemp("bandit"))
    return base, {"prompts": prompts}


@pytest.fixture
def broken() -> Any:
    """Enter a reward that fails from its n-th call on."""

    def enter(good_calls: int, bad: Callable[[list[str]], Any]) -> None:
        REWARDS.names()
        REWARDS._entries.pop("broken", None)
        calls: list[int] = []

        @REWARDS.enter("broken")
        def function(prompts: list[str], completions: list[str], **_: Any) -> Any:
            calls.append(0)
            if len(calls) > good_calls:
                return bad(prompts)
            return [bandit.payoff(p, (c.split() or [""])[0]) for p, c in zip(prompts, completions)]  # noqa: B905

    yield enter
    REWARDS._entries.pop("broken", None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_known_optimum_is_not_reached(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, kind: str, seed: int
) -> None:
    base, data = task
    config = _config(kind, updates=80, batch_size=64, group_size=16, learning_rate=3e-3)
    run_stage(config, base, data, tmp_path, seed)
    assert bandit.value(base) < 0.2
    assert bandit.value(tmp_path / "model") >= 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_lacks_what_a_run_is_watched_by(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, kind: str
) -> None:
    base, data = task
    config = _config(
        kind, iterations=2, gold={"name": "length", "every": 5, "held_out": 0.4},
        rewards=({"name": "bandit"}, {"name": "repetition", "weight": 0.5}),
    )  # fmt: skip
    result = run_stage(config, base, data, tmp_path, 1)
    rows = read_jsonl(tmp_path / "log.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["step"] for row in rows if "gold" in row] == [1, 5, 10, 12]
    # A generation serves two updates and is measured once.
    measured = [row for row in rows if "reward" in row]
    assert [row["step"] for row in measured] == [1, 3, 5, 7, 9, 11]
    needed = {"length", "finished", "repetition", "entropy", "kl", "reward_std", "clipped"}
    assert all(needed | {"reward/bandit", "reward/repetition"} <= set(row) for row in measured)
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5) and abs(measured[-1]["kl"]) > 1e-3
    assert result.updates == 12 and result.documents == 6 * 16
    assert (
        result.tokens_trained == rows[-1]["tokens"] == sum(16 * row["length"] for row in measured)
    )
    # Held-out questions (equal prompts alike) are no part of an epoch.
    assert result.tokens_total == result.tokens_trained + 6 * 16
    assert read_json(tmp_path / "stage.json")["epochs"] == pytest.approx(24 / 8)


def test_another_models_reference_is_accepted(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL loads the reference by the model's name: a policy changed in memory must be noticed."""
    base, data = task
    real = weights.load_model

    def changed(path: Path, *rest: Any, **more: Any) -> Any:
        model = real(path, *rest, **more)
        with torch.no_grad():
            model.lm_head.weight.mul_(1.3)
        return model

    monkeypatch.setattr(weights, "load_model", changed)
    with pytest.raises(TrainingStopped, match=r"grpo: the first KL is .* must be 0: the reference"):
        run_stage(_config("grpo"), base, data, tmp_path, 1)


def _fails(prompts: list[str]) -> list[float]:
    raise RuntimeError("no answer")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (_fails, r"'broken' raised RuntimeError at row \d+: no answer"),
        (lambda prompts: [1.0], "returned 1 values for 16 responses"),
        (lambda prompts: [float("nan")] * len(prompts), r"gave nan for row \d+"),
        (lambda prompts: [None] * len(prompts), r"scores the response to row \d+"),
    ],
)
@pytest.mark.parametrize("kind", ["rloo", pytest.param("grpo", marks=pytest.mark.slow)])
def test_a_broken_reward_costs_the_last_good_checkpoint(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, broken: Any, kind: str, bad: Any,
    message: str,
) -> None:  # fmt: skip
    base, data = task
    broken(11, bad)
    config = _config(kind, checkpoint_every=10, rewards=({"name": "broken"},))
    with pytest.raises(TrainingStopped, match=f"{kind}: .*{message}.*checkpoint-10$"):
        run_stage(config, base, data, tmp_path, 1)
    assert (tmp_path / "checkpoints" / "checkpoint-10" / COMPLETE).is_file()
    assert not (tmp_path / "stage.json").exists()


def test_equal_rewards_are_trained_on(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, broken: Any
) -> None:
    base, data = task
    broken(0, lambda prompts: [0.5] * len(prompts))
    config = _config("rloo", rewards=({"name": "broken"},), limits={"flat_updates": 4})
    with pytest.raises(TrainingStopped, match=r"equal for 4 updates in a row \(update 4\)"):
        run_stage(config, base, data, tmp_path, 1)


def test_a_checkpoint_falls_between_generation_and_its_last_use(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The responses in hand are not part of a checkpoint, so it must fall where there are none."""
    from whyfirst.train import checkpoint

    steps: list[int] = []
    monkeypatch.setattr(checkpoint, "mark_complete", lambda folder, step, _: steps.append(step))
    base, data = task
    config = _config("grpo", updates=34, batch_size=8, iterations=3, checkpoint_every=10)
    run_stage(config, base, data, tmp_path, 1)
    assert steps == [30]


@pytest.mark.parametrize("kind", KINDS)
def test_the_trainer_samples_past_the_engine(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own method is replaced: under another name in another TRL nobody would see it."""
    from whyfirst.train.ppo import rollout

    lengths: list[float] = []
    real = rollout.generate

    def noting(*given: Any) -> Any:
        written = real(*given)
        lengths.append(fmean(len(episode.response) for episode in written))
        return written

    monkeypatch.setattr("whyfirst.train.groups.generate", noting)
    run_stage(_config(kind), task[0], task[1], tmp_path / "out", 1)
    assert [row["length"] for row in read_jsonl(tmp_path / "out" / "log.jsonl")] == lengths


@pytest.mark.parametrize("kind", KINDS)
def test_positions_are_counted_from_the_padding(
    tmp_path: Path, jsonl: Write, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GPT-2 was trained at positions that no sequence has: the trainer pads on the left."""
    from whyfirst.train import trainer

    base, found = build_tiny("gpt2", tmp_path / "gpt2"), []
    real = trainer.quiet

    def look(made: Any, job: Any) -> Any:
        model, row = made.model.eval(), torch.tensor([[5, 6, 7, 8]])
        pads = torch.zeros(1, 3, dtype=torch.long)
        mask = torch.cat([pads, torch.ones_like(row)], 1)
        with torch.no_grad():
            padded = model(input_ids=torch.cat([pads, row], 1), attention_mask=mask).logits[:, 3:]
            found.append((padded - model(input_ids=row).logits).abs().max().item())
        return real(made, job)

    monkeypatch.setattr(trainer, "quiet", look)
    path = jsonl("prompts", [{"prompt": "a b c"}, {"prompt": "d"}])
    config = _config(kind, max_length=64, updates=10, rewards=({"name": "length"},))
    run_stage(config, base, {"prompts": path}, tmp_path / "out", 1)
    assert found and found[0] < 1e-5


def test_prompts_are_tokenised_otherwise_than_in_training(
    bases: dict[str, Path], chat_tokenizer: Any, jsonl: Write, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Messages go through the chat template once, and get no special tokens twice."""
    from whyfirst.train import groups

    seen: list[Any] = []
    real = groups._Scorer.__call__

    def look(self: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((kwargs["prompts"], kwargs["row"], self._online.prompts.ids))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(groups._Scorer, "__call__", look)
    chat = [{"role": "user", "content": "w1 w2"}]
    path = jsonl("prompts", [{"prompt": chat}, {"prompt": "w3"}])
    config = _config(
        "grpo", max_length=64, rewards=({"name": "length"},), updates=10, format="text"
    )
    base = tmp_path / "base"
    shutil.copytree(bases["llama"], base)
    chat_tokenizer.save_pretrained(base)
    run_stage(config, base, {"prompts": path}, tmp_path / "out", 1)
    assert seen[0][2] == [[4, 7, 8, 5], [9]]
    for prompts, rows, _ in seen:
        assert [prompt.strip() for prompt in prompts] == [
            "User: w1 w2 Bot:" if row == 0 else "w3" for row in rows
        ]


@pytest.mark.parametrize(
    ("rows", "change", "kind", "message"),
    [
        ([], {}, DataError, "no rows; the stage needs at least one prompt"),
        ([{"text": "q1"}], {}, DataError, "row 1: 'prompt' must be text"),
        ([{"prompt": "q1 " * 15}], {}, PreflightError, "rows 1 have prompts of over 14 tokens"),
        ([{"prompt": ""}], {}, PreflightError, "rows 1 have an empty prompt"),
        ([{"prompt": "q1 " * 15}], {"max_length": 99}, PreflightError, "exceeds the model's 16"),
        ([{"prompt": "q1"}], {"updates": 3}, PreflightError, "3 updates, fewer than 10"),
        ([{"prompt": "q1"}], {"gold": {"name": "length"}}, DataError, "gold.held_out 0.1 of 1"),
        ([{"prompt": "q1"}], {"micro_batch_size": 3}, ConfigError, "3 does not divide batch_size"),
        ([{"prompt": "q1"}], {"rewards": ({"name": "hearth"},)}, PreflightError, "'harmful'"),
    ],
)
def test_bad_input_is_found_while_training(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, jsonl: Write, rows: list[dict[str, Any]],
    change: dict[str, Any], kind: type[Exception], message: str,
) -> None:  # fmt: skip
    base, _ = task
    path = jsonl("prompts", rows)
    with pytest.raises(kind, match=message):
        run_stage(_config("rloo", **change), base, {"prompts": path}, tmp_path / "out", 1)
    assert not (tmp_path / "out" / "model").exists()


@pytest.mark.parametrize("kind", ["rloo", pytest.param("grpo", marks=pytest.mark.slow)])
def test_small_forward_passes_change_what_is_learned(
    task: tuple[Path, dict[str, Path]], tmp_path: Path, kind: str
) -> None:
    """The same responses in the first generation, and a policy as good in the end."""
    base, data = task
    rows = []
    for name, micro in (("whole", None), ("micro", 8)):
        config = _config(kind, micro_batch_size=micro)
        run_stage(config, base, data, tmp_path / name, 1)
        rows.append(read_jsonl(tmp_path / name / "log.jsonl")[0])
    assert rows[0]["reward"] == rows[1]["reward"]
    assert rows[0]["grad_norm"] == pytest.approx(rows[1]["grad_norm"], rel=1e-3)
