"""Several processes in one stage (`accelerate launch`): who writes, and where they wait.

Each process reads, checks and plans the same and computes its share of every batch; only the main
one writes files. Leaves out: starting the processes (`launch`), sharing batches out (accelerate).
"""

import contextlib
import os
from collections.abc import Iterator
from typing import Any


def count() -> int:
    """Processes of this stage; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """This process's number, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_main() -> bool:
    """Whether this is the process that writes."""
    return rank() == 0


def wait() -> None:
    """Return once every process is here."""
    # Without a launcher there is nobody to wait for, and no need of accelerate.
    if count() > 1:
        import torch
        from accelerate import PartialState

        PartialState(cpu=not torch.accelerator.is_available()).wait_for_everyone()


@contextlib.contextmanager
def main_first() -> Iterator[None]:
    """The main process goes through alone, the others after it."""
    # The others wait at once; the main one releases them when it is through.
    if not is_main():
        wait()
    yield
    if is_main():
        wait()


def whole_weights(model: Any) -> dict[str, Any] | None:
    """The weights of a model that is spread over processes (FSDP), whole on the main one's CPU.

    Every process must call it. None where each holds the whole model anyway.
    """
    from torch.distributed.tensor import DTensor

    if not any(isinstance(weight, DTensor) for weight in model.parameters()):
        return None
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    # Whole on the CPU: one GPU may have no room for what was spread over several.
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return dict(get_model_state_dict(model, options=options))
