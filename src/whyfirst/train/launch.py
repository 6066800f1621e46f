"""One stage in several processes: started by `run_launched`, or by hand with `accelerate launch`.

    accelerate launch [...] -m whyfirst.train.launch JOB.json

JOB.json holds what `run_stage` takes: `config`, `model_dir`, `data`, `out_dir`, `seed`. The main
process tells its progress on standard output, a line each, behind `MARK`; any process tells there
why it stopped. Leaves out: processes on other machines (docs/scale.md has the command for those).
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from whyfirst.config import errors
from whyfirst.config.files import read_json, write_json
from whyfirst.config.process import alive, identity
from whyfirst.train.config import StageConfig
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Progress

CONFIGS = Path(__file__).parent / "configs"
MARK = "whyfirst: "


def run_launched(
    config: Stage, model_dir: Path, data: Mapping[str, Path], out_dir: Path, seed: int,
    progress: Progress,
) -> None:  # fmt: skip
    """`run_stage` in `config.processes` processes of this machine.

    Raises:
        UserError: as `run_stage`, from whichever process said it first.
        RuntimeError: the processes ended otherwise; what they printed went to standard output.
    """
    job = {
        "config": config.model_dump(mode="json"), "model_dir": str(model_dir),
        "data": {name: str(path) for name, path in data.items()}, "out_dir": str(out_dir),
        "seed": seed, "parent": identity(),
    }  # fmt: skip
    import torch

    # Threads of several processes that contend for a core make each of them many times slower.
    threads = max(1, torch.get_num_threads() // config.processes)
    # The launcher starts `python -m ...` itself, which would look in the current folder first.
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
    }  # fmt: skip
    failure: errors.UserError | None = None
    with tempfile.TemporaryDirectory(prefix="whyfirst-") as folder:
        write_json(Path(folder) / "job.json", job)
        command = [*launcher(config), "-m", "whyfirst.train.launch", f"{folder}/job.json"]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=environment
        ) as process:
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if not line.startswith(MARK):
                        print(line, end="")
                        continue
                    told = json.loads(line.removeprefix(MARK))
                    if "error" not in told:
                        progress(told["step"], told["total"], told["message"])
                    elif failure is None:  # the others end because the first one did
                        failure = getattr(errors, told["error"])(told["message"])
            except BaseException:
                process.kill()  # and its processes end without it
                raise
    if failure is not None:
        raise failure
    if process.returncode:
        raise RuntimeError(f"the stage's processes ended with exit code {process.returncode}")


def launcher(config: Stage) -> list[str]:
    """The command that starts the processes on the GPUs of this machine, or its cores.

    Raises:
        ConfigError: there are GPUs, and fewer than processes; or none, and fsdp asks for some.
    """
    import torch

    # Those this worker may see: a study's workers share a machine's out among them.
    gpus = torch.accelerator.device_count() if torch.accelerator.is_available() else 0
    if 0 < gpus < config.processes:
        raise errors.ConfigError(
            f"{config.kind}: {config.processes} processes need as many GPUs, and this worker has "
            f"{gpus}; workers share out a machine's GPUs, so give --workers 1, or ask for fewer"
        )
    if config.fsdp and not gpus:
        # accelerate would go on with a whole model in each process and say nothing.
        raise errors.ConfigError(
            f"{config.kind}: fsdp spreads a model over GPUs, and this worker has none; leave fsdp "
            "out (`processes` alone share each batch out), or run it where there are GPUs"
        )
    # On CPUs too, in spite of the name: with --cpu accelerate starts one process, whatever number
    # it is given. What they compute on each finds out for itself.
    kind = ["--config_file", str(CONFIGS / "fsdp.yaml")] if config.fsdp else ["--multi_gpu"]
    return [
        sys.executable, "-P", "-m", "accelerate.commands.launch", *kind, "--num_machines", "1",
        "--num_processes", str(config.processes), "--mixed_precision", "no",
        "--dynamo_backend", "no", "--main_process_port", "0",
    ]  # fmt: skip


def main(job: Path) -> None:
    """What each process does: its part of the stage."""
    from whyfirst.train import processes
    from whyfirst.train.run import run_stage

    given = read_json(job)
    config: Stage = TypeAdapter(StageConfig).validate_python(given["config"])
    # Absent where somebody started the processes by hand, and watches them himself.
    if "parent" in given:
        threading.Thread(target=_die_with, args=(given["parent"],), daemon=True).start()
        if processes.count() != config.processes:
            raise RuntimeError(f"{processes.count()} processes were started of {config.processes}")

    def progress(step: int, total: int, message: str) -> None:
        if processes.is_main():
            _tell(step=step, total=total, message=message)

    data = {name: Path(path) for name, path in given["data"].items()}
    try:
        model_dir, out_dir = Path(given["model_dir"]), Path(given["out_dir"])
        run_stage(config, model_dir, data, out_dir, given["seed"], progress)
    except errors.UserError as error:
        _tell(error=type(error).__name__, message=str(error))
        sys.stdout.flush()
        # At once: the others may be waiting for this one, and the launcher ends them.
        os._exit(2)


def _tell(**what: Any) -> None:
    # One write a line, so that lines of several processes don't mix.
    sys.stdout.write(MARK + json.dumps(what) + "\n")
    sys.stdout.flush()


def _die_with(parent: Mapping[str, Any]) -> None:
    """End this process once the one that asked for the stage, or the launcher, is gone."""
    launcher = os.getppid()
    # By more than its number, which another process may have been given since.
    while os.getppid() == launcher and alive(parent) is not False:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
