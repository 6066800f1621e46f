"""The PPO stage end to end: it learns, stops itself with the reason, and survives being killed."""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bandit
import pytest
import torch
from conftest import words, write_rows
from ppo_helpers import stage
from transformers import AutoTokenizer

from whyfirst.config.errors import ConfigError, StoreError, TrainingStopped
from whyfirst.config.files import read_jsonl, sha256_file
from whyfirst.data.hh_rlhf import split_hh
from whyfirst.models.scratch import ScratchConfig, build_scratch
from whyfirst.train.checkpoint import COMPLETE
from whyfirst.train.config import PPOStage
from whyfirst.train.ppo import algorithm
from whyfirst.train.ppo.algorithm import Learner
from whyfirst.train.rewards import REWARDS
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_scorer, pad_apart

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SHORT = [{"name": "length", "weight": 0.1}]
RESUMED: dict[str, dict[str, Any]] = {
    "shared": {"critic": "shared", "kl_target": 0.1, "kl_coefficient": 0.2},
    "separate": {"critic": "separate", "schedule": "linear", "warmup_updates": 3},
    "lora": {"critic": "shared", "lora": {"r": 2}},
}


def _config(kind: str, **more: Any) -> PPOStage:
    fields = {"updates": 24, "rewards": SHORT, "checkpoint_every": 10, "keep_at": (13,)}
    return stage(**{**fields, **RESUMED[kind], **more})


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(4)
    rows = [{"prompt": words(draw, 1, 9)} for _ in range(40)]
    return write_rows(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", rows)


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "timing.json"
    }


class _StopError(Exception):
    pass


def _stop_after(step: int) -> Callable[[int, int, str], None]:
    def progress(done: int, total: int, message: str) -> None:
        if done >= step:
            raise _StopError

    return progress


@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))]
)
def test_ppo_misses_a_known_optimum(tmp_path: Path, seed: int) -> None:
    base, prompts = bandit.make_task(tmp_path)
    config = stage(
        updates=20, batch_size=256, minibatch_size=128, learning_rate=2e-3,
        critic="separate", rewards=[{"name": "bandit"}], max_new_tokens=bandit.MAX_NEW_TOKENS,
        max_length=16,
    )  # fmt: skip
    assert bandit.value(base) < 0.15
    run_stage(config, base, {"prompts": prompts}, tmp_path / "out", seed)
    assert bandit.value(tmp_path / "out" / "model") >= 0.95


@pytest.mark.parametrize(
    "kind", ["separate", *(pytest.param(k, marks=pytest.mark.slow) for k in ("shared", "lora"))]
)
def test_a_resumed_run_differs_from_an_unbroken_one(
    bases: dict[str, Path], prompts: Path, tmp_path: Path, kind: str
) -> None:
    gold = {"name": "repetition", "every": 5, "prompts": 4, "held_out": 0.3}
    run = (_config(kind, gold=gold), bases["phi"], {"prompts": prompts})
    run_stage(*run, tmp_path / "unbroken", 5)
    broken = tmp_path / "broken"
    for step in (12, 23):
        with pytest.raises(_StopError):
            run_stage(*run, broken, 5, _stop_after(step))
    first: list[int] = []
    run_stage(*run, broken, 5, lambda done, *_: first.append(done))
    assert first[0] == 21
    assert _contents(broken) == _contents(tmp_path / "unbroken")
    log = read_jsonl(broken / "log.jsonl")
    assert [row["step"] for row in log] == list(range(1, 25))
    assert [row["step"] for row in log if "gold" in row] == [1, 5, 10, 15, 20, 24]


def test_a_torn_checkpoint_is_resumed_or_another_runs_is(
    bases: dict[str, Path], prompts: Path, tmp_path: Path
) -> None:
    run = (bases["llama"], {"prompts": prompts}, tmp_path, 5)
    with pytest.raises(_StopError):
        run_stage(_config("shared"), *run, _stop_after(23))
    with pytest.raises(StoreError, match="another configuration"):
        run_stage(_config("shared", lam=0.5), *run)
    (tmp_path / "checkpoints" / "checkpoint-20" / "optimizer.safetensors").write_bytes(b"torn")
    first: list[int] = []
    run_stage(_config("shared"), *run, lambda done, *_: first.append(done))
    assert first[0] == 11


def _killed(
    config: PPOStage, base: Path, prompts: Path, out: Path, at: int = 0, saving: str = ""
) -> None:
    """Run the stage in a process that gets SIGKILL: at an update, or once a file appears.

    Forked, so that the libraries need not be imported again.
    """

    def progress(done: int, total: int, message: str) -> None:
        if done == at:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        try:
            run_stage(config, base, {"prompts": prompts}, out, 5, progress)
        finally:
            os._exit(0)
    ended = (0, 0)
    while saving and not (out / "checkpoints" / saving).exists() and ended == (0, 0):
        ended = os.waitpid(child, os.WNOHANG)
        time.sleep(0.001)
    if saving and ended == (0, 0):
        os.kill(child, signal.SIGKILL)
    if ended == (0, 0):
        ended = os.waitpid(child, 0)
    assert ended[1] == signal.SIGKILL


def test_sigkill_changes_the_bytes(bases: dict[str, Path], prompts: Path, tmp_path: Path) -> None:
    """Killed between two checkpoints, and again while one is being written."""
    config, base = _config("shared"), bases["llama"]
    run_stage(config, base, {"prompts": prompts}, tmp_path / "unbroken", 5)
    out = tmp_path / "killed"
    _killed(config, base, prompts, out, at=13)
    _killed(config, base, prompts, out, saving="checkpoint-20/model.safetensors")
    run_stage(config, base, {"prompts": prompts}, out, 5)
    assert _contents(out) == _contents(tmp_path / "unbroken")


@pytest.mark.slow
def test_sigkill_at_any_update(bases: dict[str, Path], prompts: Path, tmp_path: Path) -> None:
    """20 kill points over the three ways to hold a reference and a critic."""
    draw = random.Random(0)
    unbroken: dict[str, dict[str, str]] = {}
    for number in range(20):
        kind = list(RESUMED)[number % 3]
        config, base = _config(kind), bases["llama"]
        if kind not in unbroken:
            run_stage(config, base, {"prompts": prompts}, tmp_path / kind, 5)
            unbroken[kind] = _contents(tmp_path / kind)
        out = tmp_path / "killed"
        _killed(config, base, prompts, out, at=draw.randint(1, 23))
        run_stage(config, base, {"prompts": prompts}, out, 5)
        assert _contents(out) == unbroken[kind], number
        shutil.rmtree(out)


def test_a_finished_run_has_rows_without_a_figure(
    bases: dict[str, Path], prompts: Path, tmp_path: Path
) -> None:
    result = run_stage(_config("shared"), bases["llama"], {"prompts": prompts}, tmp_path, 5)
    assert (result.kind, result.updates, result.documents) == ("ppo", 24, 24 * 8)
    log = read_jsonl(tmp_path / "log.jsonl")
    expected = {
        "step", "loss", "lr", "grad_norm", "reward", "kl", "kl_coefficient", "entropy", "length",
        "repetition", "finished", "clip_fraction", "policy_loss", "value_loss",
        "explained_variance",
    }  # fmt: skip
    assert all(expected <= row.keys() for row in log)
    assert log[0]["kl"] == 0.0 and log[0]["kl_coefficient"] == 0.2
    assert len({row["kl_coefficient"] for row in log}) > 20  # it adapts
    kept = load_model(tmp_path / "kept" / "step-13").state_dict()
    final = load_model(tmp_path / "model").state_dict()
    assert any(not torch.equal(kept[name], final[name]) for name in final)


def test_a_rate_that_breaks_the_model_hides_the_checkpoint_it_left(
    bases: dict[str, Path], prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = algorithm.update

    def poison(learner: Any, episodes: Any, score: Any, number: int) -> Any:
        if number == 14:
            score = score * float("nan")
        return real(learner, episodes, score, number)

    monkeypatch.setattr(algorithm, "update", poison)
    with pytest.raises(TrainingStopped, match=r"is nan at update 15.*checkpoint-10"):
        run_stage(_config("shared"), bases["llama"], {"prompts": prompts}, tmp_path, 5)
    assert (tmp_path / "checkpoints" / "checkpoint-10" / COMPLETE).is_file()


if "ppo-test-none" not in REWARDS.names():

    @REWARDS.enter("ppo-test-none")
    def _none(
        prompts: list[Any], completions: list[Any], completion_ids: list[Any], **columns: Any
    ) -> list[float | None]:
        return [None] * len(completions)

    @REWARDS.enter("ppo-test-low")
    def _low(
        prompts: list[Any], completions: list[Any], completion_ids: list[Any], **columns: Any
    ) -> list[float | None]:
        """The share of tokens from the first half of a vocabulary of 600."""
        return [sum(token < 300 for token in ids) / len(ids) for ids in completion_ids]

    @REWARDS.enter("ppo-test-flat")
    def _flat(
        prompts: list[Any], completions: list[Any], completion_ids: list[Any], **columns: Any
    ) -> list[float | None]:
        return [0.5] * len(completions)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rewards": [{"name": "ppo-test-none"}]}, r"ppo: .*row \d+.*None"),
        ({"rewards": [{"name": "ppo-test-flat"}], "limits": {"flat_updates": 4}}, "4 updates"),
        ({"limits": {"max_kl": 1e-3}}, "max_kl"),
        ({"rewards": [{"name": "length", "weight": -9}], "limits": {"max_length_ratio": 1.001},
          "learning_rate": 1e-2}, "max_length_ratio"),
    ],
)  # fmt: skip
def test_a_stage_that_went_wrong_goes_on(
    bases: dict[str, Path], prompts: Path, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(TrainingStopped, match=reason) as stopped:
        run_stage(_config("shared", **change), bases["llama"], {"prompts": prompts}, tmp_path, 5)
    assert "checkpoint" in str(stopped.value)
    assert not (tmp_path / "stage.json").exists()


class _CaughtError(Exception):
    pass


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Learner]:
    """The learner a stage builds, before its first update."""

    def build(*run: Any) -> Learner:
        def catch(learner: Learner, *_: Any) -> None:
            raise _CaughtError(learner)

        with monkeypatch.context() as patch, pytest.raises(_CaughtError) as caught:
            patch.setattr(algorithm, "update", catch)
            run_stage(*run)
        found: Learner = caught.value.args[0]
        return found

    return build


def test_a_critic_does_not_start_as_the_reward_model(
    bases: dict[str, Path], prompts: Path, tmp_path: Path, tokenizer: Any, built: Any
) -> None:
    scorer, folder = load_scorer(bases["llama"]), tmp_path / "scorer"
    scorer.config.pad_token_id = 0
    torch.nn.init.normal_(scorer.model.norm.weight)
    scorer.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config = _config("separate", rewards=[{"name": "reward_model"}])
    data = {"prompts": prompts, "reward_model": folder}
    module = built(config, bases["phi"], data, tmp_path / "out", 5).module
    assert torch.equal(module.critic.norm.weight, scorer.model.norm.weight)
    assert torch.equal(module.head.weight, scorer.score.weight) and not module.head.bias.any()
    assert all(weight.requires_grad for weight in module.critic.parameters())

    # Another vocabulary: the same ids would be other words.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["another"])
    tokenizer.save_pretrained(tmp_path / "other")
    scorer.save_pretrained(tmp_path / "other")
    data = {"prompts": prompts, "reward_model": tmp_path / "other"}
    module = built(config, bases["llama"], data, tmp_path / "out2", 5).module
    start = load_model(bases["llama"]).model.norm.weight
    assert torch.equal(module.critic.norm.weight, start) and not module.head.weight.any()

    # A token more to pad with is read by neither.
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.pad_token = tokenizer.eos_token
    pad_apart(scorer, tokenizer)
    scorer.config.pad_token_id = tokenizer.pad_token_id
    for saved in (tokenizer, scorer):
        saved.save_pretrained(tmp_path / "padded")
    data = {"prompts": prompts, "reward_model": tmp_path / "padded"}
    module = built(config, bases["phi"], data, tmp_path / "out3", 5).module
    assert torch.equal(module.critic.norm.weight, scorer.model.norm.weight)


def test_a_continued_adapters_reference_is_the_bare_base(
    bases: dict[str, Path], prompts: Path, tmp_path: Path, built: Any
) -> None:
    lora = {"r": 2, "merge": False}
    config = _config("lora", lora=lora, learning_rate=1e-2, updates=10, keep_at=())
    first = run_stage(config, bases["llama"], {"prompts": prompts}, tmp_path / "first", 5)
    assert first.updates == 10
    config = _config(
        "lora", lora=lora, adapter="continue", critic="separate", updates=10, keep_at=()
    )
    run = (config, tmp_path / "first" / "model", {"prompts": prompts})
    learner = built(*run, tmp_path / "built", 5)
    ids = torch.arange(10, 20)[None]
    with torch.no_grad():
        reference, actor = (m(ids).logits for m in (learner.reference, learner.module.actor))
        bare = load_model(bases["llama"]).eval()(ids).logits
        hidden = learner.module.actor(ids, output_hidden_states=True).hidden_states[-1]
        critic = learner.module.critic(ids).last_hidden_state
    assert torch.equal(reference, actor) and not torch.allclose(reference, bare, atol=1e-3)
    torch.testing.assert_close(critic, hidden, rtol=0, atol=1e-4)
    run_stage(*run, tmp_path / "second", 5)
    log = read_jsonl(tmp_path / "second" / "log.jsonl")
    assert log[0]["kl"] == 0.0 and log[-1]["kl"] != 0.0


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "hh-rlhf").is_dir(), reason=f"no HH-RLHF data under {DATA}")
def test_real_prompts_do_not_pass(tmp_path: Path) -> None:
    pairs = split_hh(DATA / "hh-rlhf", 0.2, 400)[0].pairs[:200]
    texts = [pair.prompt + pair.chosen for pair in pairs]
    shape = {"hidden_size": 32, "layers": 1, "heads": 2, "vocab_size": 600, "max_length": 512}
    build_scratch(ScratchConfig.model_validate(shape), texts, tmp_path / "base", 0)
    path = write_rows(tmp_path / "prompts.jsonl", [{"prompt": pair.prompt} for pair in pairs])
    config = stage(
        updates=12, batch_size=16, minibatch_size=8, learning_rate=2e-2, max_new_tokens=12,
        max_length=500, rewards=[{"name": "ppo-test-low"}], missing_eos_penalty=0.5,
        gold={"name": "repetition", "every": 6},
    )  # fmt: skip
    run_stage(config, tmp_path / "base", {"prompts": path}, tmp_path / "out", 0)
    log = read_jsonl(tmp_path / "out" / "log.jsonl")
    assert log[0]["kl"] == 0.0 and log[-1]["kl"] > 0.0
    assert log[-1]["reward"] > log[0]["reward"] + 0.1
    assert [row["step"] for row in log if "gold" in row] == [1, 6, 12]


def test_a_minibatch_the_processes_cannot_share(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import accelerate

    from whyfirst.train.ppo import run

    monkeypatch.setattr(accelerate.Accelerator, "num_processes", property(lambda self: 3))
    with pytest.raises(ConfigError, match="minibatch_size 4 is no multiple of the 3 processes"):
        run.accelerator_of(stage())
