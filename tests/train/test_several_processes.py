"""One stage in two real processes under `accelerate launch` (gloo): as in one, with one writer."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import words, write_rows
from ppo_helpers import stage
from pydantic import ValidationError

from whyfirst.config.errors import ConfigError, PreflightError
from whyfirst.config.files import read_json, read_jsonl, sha256_file
from whyfirst.train import launch, processes, trainer
from whyfirst.train.config import (
    DPOStage,
    ExplainStage,
    GRPOStage,
    LoraConfig,
    RewardStage,
    SFTStage,
    Stage,
)
from whyfirst.train.launch import run_launched
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_scorer

FAST: dict[str, Any] = {"updates": 25, "learning_rate": 1e-3, "checkpoint_every": 10}
TWO: dict[str, Any] = {"batch_size": 4, "processes": 2}
PPO: dict[str, Any] = {
    "updates": 14, "rewards": [{"name": "length", "weight": 0.1}], "keep_at": (5,),
    "micro_batch_size": 1, "processes": 2, "checkpoint_every": 10,
}  # fmt: skip
STAGES: dict[str, tuple[Stage, tuple[str, ...]]] = {
    "explain": (
        ExplainStage(**FAST, **TWO, replay=0.5, packing=True, max_length=32, keep_at=(7,)),
        ("documents", "replay"),
    ),
    # Two forward passes in each process.
    "sft": (SFTStage(**FAST, batch_size=8, processes=2, micro_batch_size=2), ("demonstrations",)),
    "lora": (SFTStage(**FAST, **TWO, lora=LoraConfig(r=2)), ("demonstrations",)),
    "dpo": (DPOStage(**FAST, **TWO, micro_batch_size=1), ("pairs",)),
    "reward": (RewardStage(**FAST, **TWO), ("pairs",)),
    "ppo": (stage(**PPO, critic="shared", kl_target=0.1, kl_coefficient=0.2), ("prompts",)),
    "ppo_separate": (stage(**PPO, critic="separate", schedule="linear"), ("prompts",)),
    "ppo_lora": (stage(**PPO, critic="shared", lora={"r": 2}), ("prompts",)),
}


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = random.Random(4)
    rows = [{"prompt": words(draw, 1, 9)} for _ in range(40)]
    return write_rows(tmp_path_factory.mktemp("prompts") / "prompts.jsonl", rows)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def contents(folder: Path) -> dict[str, str]:
    return {n: sha256_file(folder / n) for n in sorted(files_of(folder)) if n != "timing.json"}


ALL = """
import json, os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from pydantic import TypeAdapter
from whyfirst.train.config import StageConfig
from whyfirst.train.run import run_stage
base, out = map(Path, sys.argv[2:])
assert os.environ["WORLD_SIZE"] == "2"
for name, (config, data) in json.loads(Path(sys.argv[1]).read_text()).items():
    config = TypeAdapter(StageConfig).validate_python(config)
    run_stage(config, base, {n: Path(path) for n, path in data.items()}, out / name, 5)
"""


@pytest.fixture(scope="module")
def two(
    bases: dict[str, Path],
    data: dict[str, Path],
    prompts: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Every stage in two processes, started once: their imports cost more than the stages."""
    out = tmp_path_factory.mktemp("two")
    given = {**data, "prompts": prompts}
    jobs = {
        name: (config.model_dump(mode="json"), {n: str(given[n]) for n in names})
        for name, (config, names) in STAGES.items()
    }
    (out / "jobs.json").write_text(json.dumps(jobs))
    (out / "all.py").write_text(ALL)
    command = launch.launcher(STAGES["sft"][0])
    run = [*command, out / "all.py", out / "jobs.json", bases["llama"], out]
    subprocess.run(
        [str(part) for part in run], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", STAGES)
def test_two_processes_train_to_other_losses_than_one(
    bases: dict[str, Path],
    data: dict[str, Path],
    prompts: Path,
    two: Path,
    tmp_path: Path,
    name: str,
) -> None:
    config, names = STAGES[name]
    given = {n: {**data, "prompts": prompts}[n] for n in names}
    run_stage(config, bases["llama"], given, tmp_path, 5)
    logs = [read_jsonl(place / "log.jsonl") for place in (tmp_path, two / name)]
    for ours, theirs in zip(*logs, strict=True):
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            # A share of tokens beyond a threshold: rounding may put one on its other side.
            near = 0.02 if key.endswith("clip_fraction") else 1e-4
            assert theirs[key] == pytest.approx(value, abs=near), (ours["step"], key)
    load = load_scorer if name == "reward" else load_model
    one, other = (load(place / "model").state_dict() for place in (tmp_path, two / name))
    for key, value in one.items():
        torch.testing.assert_close(other[key], value, atol=2e-3, rtol=0)
    assert files_of(tmp_path) == files_of(two / name)
    records = [read_json(place / "stage.json") for place in (tmp_path, two / name)]
    for key in ("tokens_total", "tokens_trained", "documents", "updates", "manifest"):
        assert records[0][key] == records[1][key]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sft", "ppo"])
def test_a_killed_stage_of_two_processes_ends_with_other_bytes(
    bases: dict[str, Path],
    data: dict[str, Path],
    prompts: Path,
    two: Path,
    tmp_path: Path,
    name: str,
) -> None:
    """The one that asked for it is killed: its processes end, and the next run continues."""
    config, names = STAGES[name]
    given = {n: {**data, "prompts": prompts}[n] for n in names}
    out = tmp_path / "killed"
    child = os.fork()
    if child == 0:
        try:
            run_launched(config, bases["llama"], given, out, 5, lambda *_: None)
        finally:
            os._exit(0)
    while not list(out.glob("checkpoints/*/COMPLETE.json")):
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    end = time.monotonic() + 20
    while _ranks():
        assert time.monotonic() < end, "its processes go on without it"
        time.sleep(0.05)
    told: list[tuple[int, int, str]] = []
    run_launched(config, bases["llama"], given, out, 5, lambda *now: told.append(now))
    assert told[0][0] > 10 and told[-1] == (config.updates, config.updates, config.kind)
    assert contents(out) == contents(two / name)


def _ranks() -> list[str]:
    """Processes of launched stages."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    return [line for line in found.splitlines() if "whyfirst.train.launch" in line]


@pytest.mark.slow
def test_a_mistake_in_several_processes_is_told_otherwise(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    config = SFTStage(updates=4, batch_size=4, processes=2)
    given = {"demonstrations": data["demonstrations"]}
    told = []
    for run in (run_stage, run_launched):
        with pytest.raises(PreflightError) as refused:
            run(config, bases["llama"], given, tmp_path / "out", 0, lambda *_: None)
        told.append(str(refused.value))
    assert told[0] == told[1]


def test_progress_and_errors_of_processes_get_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a launcher prints, and what the processes tell, without starting any."""
    script = (
        "import sys; from pathlib import Path; from whyfirst.config.files import read_json\n"
        "from whyfirst.train.launch import _tell\n"
        "job = read_json(Path(sys.argv[-1])); assert job['seed'] == 7, job\n"
        "print('a library says'); _tell(step=1, total=2, message=job['config']['kind'])\n"
        "if job['data']: _tell(error='ConfigError', message='mend it'); sys.exit(2)\n"
        "sys.exit(3)\n"
    )
    monkeypatch.setattr(launch, "launcher", lambda config: [sys.executable, "-c", script])
    told: list[tuple[int, int, str]] = []

    def run(data: dict[str, Path]) -> None:
        run_launched(STAGES["sft"][0], tmp_path, data, tmp_path, 7, lambda *now: told.append(now))

    with pytest.raises(ConfigError, match=r"^mend it$"):
        run({"demonstrations": tmp_path})
    with pytest.raises(RuntimeError, match="exit code 3"):
        run({})
    assert told == [(1, 2, "sft")] * 2
    assert capsys.readouterr().out == "a library says\n" * 2


def test_a_batch_the_processes_cannot_share(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError, match="batch_size 8 is no multiple of processes 3"):
        SFTStage(updates=10, batch_size=8, processes=3)
    monkeypatch.setenv("WORLD_SIZE", "3")  # started by hand
    with pytest.raises(ConfigError, match="batch_size 8 is no multiple of the 3 processes"):
        trainer.forward_passes(SFTStage(updates=10, batch_size=8))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert trainer.forward_passes(SFTStage(updates=10, batch_size=8)) == 1
    assert trainer.forward_passes(SFTStage(updates=10, batch_size=8, micro_batch_size=3)) == 2
    assert trainer.even(DPOStage(updates=10, batch_size=8, micro_batch_size=2)) == (2, 2)
    with pytest.raises(ConfigError, match=r"does not divide each process's share .* 5;"):
        trainer.even(DPOStage(updates=10, batch_size=10, micro_batch_size=2))
    with pytest.raises(ConfigError, match="grpo runs in one process"):
        trainer.forward_passes(GRPOStage(updates=10, rewards=({"name": "length"},)))


def test_processes_change_a_stages_fingerprint() -> None:
    from whyfirst.config.strict import decisive

    one, two = (SFTStage(updates=10, batch_size=8, processes=n, cpus=n) for n in (1, 2))
    assert decisive(one) == decisive(two)


def test_processes_share_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    with pytest.raises(ConfigError, match=r"2 processes need as many GPUs.*--workers 1"):
        launch.launcher(STAGES["sft"][0])


def test_fsdp_without_gpus_trains_whole_copies_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="this worker has none; leave fsdp out"):
        launch.launcher(SFTStage(updates=10, batch_size=8, processes=2, fsdp=True))


@pytest.mark.parametrize("more", [{"lora": LoraConfig()}, {"processes": 1}])
def test_a_stage_that_cannot_be_sharded_is_accepted(more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="fsdp spreads whole weights"):
        SFTStage(**{"updates": 10, "processes": 2, "fsdp": True, **more})


def test_the_fsdp_configuration_is_not_accelerates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by accelerate's own loader, which refuses unknown keys, and by its launcher."""
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    config = load_config_from_file(str(launch.CONFIGS / "fsdp.yaml"))
    assert config.distributed_type.value == "FSDP" and config.fsdp_config["fsdp_version"] == 2
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 8)
    stage = SFTStage(updates=10, batch_size=8, processes=8, fsdp=True)
    command = launch.launcher(stage)[4:]  # python -P -m accelerate.commands.launch
    # What the launcher asks of the machine when it reads the file.
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    arguments, *_ = _validate_launch_command(
        launch_command_parser().parse_args([*command, "-m", "whyfirst.train.launch", "job.json"])
    )
    assert arguments.use_fsdp and arguments.num_processes == 8
    variables = prepare_multi_gpu_env(arguments)
    assert variables["ACCELERATE_USE_FSDP"] == "true" and variables["FSDP_VERSION"] == "2"
    assert variables["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"
    assert variables["FSDP_RESHARD_AFTER_FORWARD"] == "true"


SHARDED = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo")
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from whyfirst.train.weights import load_tokenizer
from whyfirst.train.weights import load_model, save_model
base, out = map(Path, sys.argv[1:])
model = load_model(base)
mesh = init_device_mesh("cpu", (2,))
for layer in model.model.layers:
    fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
assert all(isinstance(weight, DTensor) for weight in model.parameters())
save_model(model, load_tokenizer(base), out)
torch.distributed.barrier()
"""


@pytest.mark.slow
def test_weights_spread_over_processes_are_saved_in_parts(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    """PyTorch's own sharding (FSDP2), over two processes on the CPU."""
    script = tmp_path / "sharded.py"
    script.write_text(SHARDED)
    command = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run = [sys.executable, "-m", *command, script, bases["llama"], tmp_path / "out"]
    subprocess.run(
        [str(part) for part in run], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    whole, saved = (
        load_model(folder).state_dict() for folder in (bases["llama"], tmp_path / "out")
    )
    assert whole.keys() == saved.keys()
    assert all(torch.equal(whole[name], saved[name]) for name in whole)


def test_a_process_that_is_not_the_main_one_writes(
    bases: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.train.weights import load_tokenizer, save_model

    monkeypatch.setenv("RANK", "1")
    assert not processes.is_main()
    save_model(load_model(bases["llama"]), load_tokenizer(bases["llama"]), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_job_without_its_parent_goes_on(tmp_path: Path) -> None:
    """Processes end when the one that asked for the stage is gone."""
    code = (
        "from whyfirst.train import launch; from whyfirst.config.process import identity\n"
        "import threading; gone = identity(2**22 + 1)\n"
        "thread = threading.Thread(target=launch._die_with, args=(gone,))\n"
        "thread.start(); thread.join(30); print('still here')"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (1, ""), run.stderr
