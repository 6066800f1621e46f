"""What a kind of node is: how it is run and reckoned; planned, by a function of its own file.

Leaves out: the kinds themselves, and the graph they make (plan.py).
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.study.cost.parts import Ahead, Asked, Calls, Work
from whyfirst.study.execute.store import Incomplete

Progress = Callable[[int, int, str], None]
# (payload, folders of the nodes it depends on, its own folder, progress) -> what is left to do.
Run = Callable[[Mapping[str, Any], list[Path], Path, Progress], Incomplete | None]
Cost = Callable[[Ahead], Iterator[Work | Calls | Asked]]


@dataclass(frozen=True)
class NodeKind:
    """One kind of node.

    Attributes:
        run: computes a node into its folder, going on from what an earlier attempt left there.
        version: of the code; "" where what is run in it (a stage, a benchmark) has its own.
        cost: what the nodes of this kind that aren't in the store will take.
    """

    name: str
    run: Run
    version: str = ""
    cost: Cost | None = None


def machine(config: Mapping[str, Any]) -> dict[str, Any]:
    """What this process computes on, for the record; it must be of the kind that was planned.

    Raises:
        UserError: it is not, so the result would be kept under a fingerprint it doesn't have.
    """
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    kind = found.type if found is not None else "cpu"
    if kind != config["device"]:
        raise UserError(
            f"the plan counts on a device of kind {config['device']!r}, and torch finds "
            f"{kind!r} here; set CUDA_VISIBLE_DEVICES to the GPUs to use (empty for none), or mend "
            "the driver"
        )
    name = torch.cuda.get_device_name() if kind == "cuda" else platform.machine()
    return {"device": kind, "device_name": name, "threads": torch.get_num_threads()}
