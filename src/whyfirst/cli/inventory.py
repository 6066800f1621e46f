"""`whyfirst list` and `whyfirst env`: what there is to use, and what it runs on.

Leaves out, of the environment: host and user names, paths, and variables that could hold a secret.
"""

import inspect
import os
import platform
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

from rich.text import Text

from whyfirst.cli.output import print_json, say, standard, table, warn
from whyfirst.config.errors import UserError
from whyfirst.config.room import Option, Room
from whyfirst.config.suggest import did_you_mean

Rows = list[dict[str, Any]]

_PACKAGES = (
    "whyfirst", "torch", "transformers", "tokenizers", "trl", "peft", "datasets", "accelerate",
    "safetensors", "numpy", "scipy", "statsmodels", "pydantic", "jinja2", "typer", "rich",
)  # fmt: skip
_HARMLESS_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE",
)  # fmt: skip


def _benchmarks() -> Rows:
    from whyfirst.evaluate.benchmark import BENCHMARKS, all_benchmarks

    rows = [
        {"name": b.name, "version": b.version, "needs": b.needs, "measures": b.definition,
         "metrics": [metric.name for metric in b.metrics],
         "judges_of": list(b.questions), "by": list(b.by), "source": b.source,
         "licence": b.licence, "options": list(b.options)}
        for b in all_benchmarks()
    ]  # fmt: skip
    _tell_failures(BENCHMARKS.failures)
    return rows


def _tell_failures(failures: Mapping[str, str]) -> None:
    for name, problem in failures.items():
        warn(f"plug-in {name!r} failed to load: {problem}")


def _scorers() -> Rows:
    from whyfirst.evaluate.scorers import SCORERS

    rows = [
        {"name": one.name, "version": one.version,
         "says_whether_a_response_is": str(one.facts.get("question", "")),
         "asks_a_model": "yes" if "model" in one.context else "no", "example": one.example}
        for one in SCORERS.entries()
    ]  # fmt: skip
    _tell_failures(SCORERS.failures)
    return rows


def _templates() -> Rows:
    from whyfirst.models import chat

    return [{"name": name} for name in chat.shipped()]


def _gpus() -> Rows:
    from whyfirst.study.cost.arithmetic import gpus

    return [
        {"name": name, "bfloat16_tflops": (gpu.bfloat16 or 0) / 1e12 or "unknown",
         "float32_tflops": (gpu.float32 or 0) / 1e12 or "unknown",
         "memory_gb": (gpu.memory or 0) / 1e9 or "unknown"}
        for name, gpu in gpus().items()
    ]  # fmt: skip


def _constitutions() -> Rows:
    from whyfirst.constitution import load_constitution, shipped_constitutions

    rows = []
    for name in shipped_constitutions():
        loaded = load_constitution(name)
        values = [value.id for value in loaded.values]
        rows.append({"name": name, "values": values, "description": loaded.description})
    return rows


def _studies() -> Rows:
    from whyfirst.study.config import load_study
    from whyfirst.study.shipped import shipped_studies, shipped_study

    rows = []
    for name in shipped_studies():
        study = load_study(shipped_study(name))
        rows.append({"name": name, "title": study.title, "arms": list(study.arms)})
    return rows


def _stages() -> Rows:
    from whyfirst.train.kinds import KINDS

    return [
        {"name": kind.name, "version": kind.version, "what": kind.summary, "source": kind.paper}
        for kind in KINDS.entries()
    ]


#: kinds that other files hold: made here into rows by hand
SECTIONS: dict[str, Callable[[], Rows]] = {
    "benchmarks": _benchmarks,
    "scorers": _scorers,
    "constitutions": _constitutions,
    "studies": _studies,
    "stages": _stages,
    "templates": _templates,
    "gpus": _gpus,
}
#: kinds with a room of their own: where it is
ROOMS = {
    "worlds": ("whyfirst.worlds", "WORLDS"),
    "corpora": ("whyfirst.study.sources", "CORPORA"),
    "objectives": ("whyfirst.train.objectives", "OBJECTIVES"),
    "rewards": ("whyfirst.train.rewards", "REWARDS"),
    "edits": ("whyfirst.models.edits", "EDITS"),
    "surgeries": ("whyfirst.models.edits", "SURGERIES"),
    "decodings": ("whyfirst.models.decoding", "DECODINGS"),
    "transforms": ("whyfirst.data.transforms", "TRANSFORMS"),
    "selectors": ("whyfirst.data.transforms", "SELECTORS"),
    "probes": ("whyfirst.probe.record", "PROBES"),
    "judges": ("whyfirst.evaluate.judges", "JUDGES"),
    "calibrations": ("whyfirst.evaluate.judges", "CALIBRATIONS"),
    "reproductions": ("whyfirst.evaluate.judges.published", "REPRODUCTIONS"),
    "attacks": ("whyfirst.evaluate.attacks", "ATTACKS"),
}


def _room_rows(kind: str) -> Rows:
    """A room's methods with their source, options and the line that names them in a study."""
    module, name = ROOMS[kind]
    key = "source" if kind == "corpora" else "name"  # as a study file calls it
    room: Room[Any] = getattr(import_module(module), name)
    rows = [
        {"name": one.name, "what": one.summary, "paper": one.paper, "licence": one.licence,
         "needs": one.needs, "leaves_out": one.leaves_out, "version": one.version,
         "options": [_option(option) for option in one.options],
             "example": one.example.replace("{name:", f"{{{key}:")}
        for one in room.entries()
    ]  # fmt: skip
    _tell_failures(room.failures)
    return rows


def _option(option: Option) -> str:
    """An option as a line of Python: ``beta: float = 0.1``; no default is required."""
    given = option.type
    if get_origin(given) is Annotated:
        given = get_args(given)[0]
    shown = re.sub(r"\b[\w.]+\.(?=\w)", "", inspect.formatannotation(given))
    return f"{option.name}: {shown}" + ("" if option.required else f" = {option.default!r}")


def show(section: str | None, *, as_json: bool) -> None:
    """Print one section in full, or what is in each of them.

    Raises:
        UserError: there is no such section; gives the nearest one.
    """
    kinds = [*SECTIONS, *ROOMS]
    if section is not None and section not in kinds:
        hint = did_you_mean(section, kinds)
        raise UserError(f"list: no {section!r}{hint} (known: {', '.join(kinds)})")
    found = {
        kind: SECTIONS[kind]() if kind in SECTIONS else _room_rows(kind)
        for kind in kinds
        if section in (None, kind)
    }
    if as_json:
        print_json(found)
        return
    for place, (name, rows) in enumerate(found.items()):
        if section is None:
            standard().print(Text(("\n" if place else "") + name, style="bold"))
        if not rows:
            say("none")
        elif section in ROOMS:
            for row in rows:
                _describe(row)
        else:
            columns = ["name", "what"] if name in ROOMS else list(rows[0])
            titles = [title.replace("_", " ") for title in columns]
            table(
                [(title, "left") for title in titles],
                [_cells({c: row[c] for c in columns}) for row in rows],
            )


def _describe(row: Mapping[str, Any]) -> None:
    """One method: its name and purpose, then each fact that it has on a line."""
    say(row["name"], style="bold")
    say(f"  {row['what']}")
    for name, value in row.items():
        if name in ("name", "what", "version") or not value:
            continue
        told = "; ".join(value) if isinstance(value, list) else value
        say(f"  {name.replace('_', ' ')}: {told}", style="dim")


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [", ".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values()]


def environment() -> dict[str, Any]:
    """Versions and hardware, for a bug report."""
    import torch

    from whyfirst.study.execute.pool import available_cores

    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "cores_usable": available_cores(),
        "memory_gib": _memory_gib(),
        "torch_build": {
            "version": torch.__version__,
            "cuda": torch.version.cuda,
            "hip": torch.version.hip,
            "threads": torch.get_num_threads(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        },
        "accelerators": [
            torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())
        ] if cuda else [],
        "packages": {name: _version(name) for name in _PACKAGES},
        "variables": {name: os.environ[name] for name in _HARMLESS_VARIABLES if name in os.environ},
    }  # fmt: skip


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _memory_gib() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = {name: rest.split()[0] for name, _, rest in (line.partition(":") for line in lines)}
    return round(int(sizes["MemTotal"]) / 2**20, 1)


def show_environment(*, as_json: bool) -> None:
    """Print the environment."""
    found = environment()
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            text = ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
        else:
            text = ", ".join(value) if isinstance(value, list) else str(value)
        say(f"{label}: {text or 'none'}")
