"""`whyfirst list` and `whyfirst env`: what there is to use, and what it runs on.

Leaves out, of the environment: host and user names, paths, and variables that could hold a secret.
"""

import contextlib
import inspect
import os
import platform
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from typer import Argument

from whyfirst.cli.options import AsJson
from whyfirst.cli.output import command, print_json, say, table, warn
from whyfirst.config.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from whyfirst.config.room import Option

Rows = list[dict[str, Any]]

_PACKAGES = (
    "whyfirst", "torch", "transformers", "tokenizers", "trl", "peft", "datasets", "accelerate",
    "safetensors", "numpy", "scipy", "statsmodels", "pydantic", "jinja2", "typer", "rich",
)  # fmt: skip
_HARMLESS_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "HF_HUB_OFFLINE",
)  # fmt: skip

#: kinds whose rows have columns of their own
SECTIONS: dict[str, Callable[[], Rows]] = {}
#: kinds with a room of their own: where it is
ROOMS = {
    "worlds": ("whyfirst.worlds", "WORLDS"),
    "corpora": ("whyfirst.study.sources", "CORPORA"),
    "objectives": ("whyfirst.train.objectives", "OBJECTIVES"),
    "rewards": ("whyfirst.train.rewards", "REWARDS"),
    "edits": ("whyfirst.models.edits", "EDITS"),
    "surgeries": ("whyfirst.models.edits", "SURGERIES"),
    "decodings": ("whyfirst.models.decoding", "DECODINGS"),
    "generators": ("whyfirst.explain.generators", "GENERATORS"),
    "transforms": ("whyfirst.data.transforms", "TRANSFORMS"),
    "selectors": ("whyfirst.data.transforms", "SELECTORS"),
    "probes": ("whyfirst.probe.record", "PROBES"),
    "judges": ("whyfirst.evaluate.judges", "JUDGES"),
    "calibrations": ("whyfirst.evaluate.judges", "CALIBRATIONS"),
    "reproductions": ("whyfirst.evaluate.judges.published", "REPRODUCTIONS"),
    "attacks": ("whyfirst.evaluate.attacks", "ATTACKS"),
}


def section(rows: Callable[[], Rows]) -> Callable[[], Rows]:
    """Decorator: the function gives the rows of the kind it is called after."""
    SECTIONS[rows.__name__] = rows
    return rows


def _warn_of_failures(failures: Mapping[str, str]) -> None:
    for name, problem in failures.items():
        warn(f"plug-in {name!r} failed to load: {problem}")


@section
def benchmarks() -> Rows:
    """Each with what it needs and measures, and where its data come from."""
    from whyfirst.evaluate.benchmark import BENCHMARKS, all_benchmarks

    rows = [
        {"name": b.name, "version": b.version, "needs": b.needs, "measures": b.definition,
         "metrics": [metric.name for metric in b.metrics],
         "judges_of": list(b.questions), "by": list(b.by), "source": b.source,
         "licence": b.licence, "options": list(b.options)}
        for b in all_benchmarks()
    ]  # fmt: skip
    _warn_of_failures(BENCHMARKS.failures)
    return rows


@section
def scorers() -> Rows:
    """Each with its question, and whether a model answers it."""
    from whyfirst.evaluate.scorers import SCORERS

    rows = [
        {"name": one.name, "version": one.version,
         "says_whether_a_response_is": str(one.facts.get("question", "")),
         "asks_a_model": "yes" if "model" in one.context else "no", "example": one.example}
        for one in SCORERS.entries()
    ]  # fmt: skip
    _warn_of_failures(SCORERS.failures)
    return rows


@section
def constitutions() -> Rows:
    """Those that ship, with the ids of their values."""
    from whyfirst.constitution import load_constitution, shipped_constitutions

    return [
        {"name": name, "values": [value.id for value in loaded.values],
         "description": loaded.description}
        for name in shipped_constitutions()
        for loaded in (load_constitution(name),)
    ]  # fmt: skip


@section
def studies() -> Rows:
    """Those that ship, with their arms."""
    from whyfirst.study.config import load_study
    from whyfirst.study.shipped import shipped_studies, shipped_study

    return [
        {"name": name, "title": study.title, "arms": list(study.arms)}
        for name in shipped_studies()
        for study in (load_study(shipped_study(name)),)
    ]


@section
def stages() -> Rows:
    """The kinds of stages that an arm is made of."""
    from whyfirst.train.kinds import KINDS

    return [
        {"name": kind.name, "version": kind.version, "what": kind.summary, "source": kind.paper}
        for kind in KINDS.entries()
    ]


@section
def templates() -> Rows:
    """The chat templates that ship."""
    from whyfirst.models import chat

    return [{"name": name} for name in chat.shipped()]


@section
def gpus() -> Rows:
    """The devices that `whyfirst plan` knows."""
    from whyfirst.study.cost.arithmetic import gpus

    return [
        {"name": name, "bfloat16_tflops": (gpu.bfloat16 or 0) / 1e12 or "unknown",
         "float32_tflops": (gpu.float32 or 0) / 1e12 or "unknown",
         "memory_gb": (gpu.memory or 0) / 1e9 or "unknown"}
        for name, gpu in gpus().items()
    ]  # fmt: skip


def room_rows(kind: str) -> Rows:
    """A room's methods with their source, options and the line that names them in a study."""
    module, name = ROOMS[kind]
    room = getattr(import_module(module), name)
    key = "source" if kind == "corpora" else "name"  # as a study file calls it
    rows = [
        {"name": one.name, "what": one.summary, "paper": one.paper, "licence": one.licence,
         "needs": one.needs, "leaves_out": one.leaves_out, "version": one.version,
         # A study sets the others itself, and refuses them.
         "options": [option_text(option) for option in one.options
                     if option.name not in one.facts.get("per_side", ())],
         "example": one.example.replace("{name:", f"{{{key}:")}
        for one in room.entries()
    ]  # fmt: skip
    _warn_of_failures(room.failures)
    return rows


def option_text(option: "Option") -> str:
    """An option as a line of Python: ``beta: float = 0.1``; no default is required."""
    given = option.type
    if get_origin(given) is Annotated:
        given = get_args(given)[0]
    # "pathlib.Path" as "Path", inside other types too.
    # As a reader would write it.
    shown = re.sub(r"\b[\w.]+\.(?=\w)", "", inspect.formatannotation(given))
    return f"{option.name}: {shown}" + ("" if option.required else f" = {option.default!r}")


@command
def list_(
    section: Annotated[
        str | None,
        Argument(metavar="[KIND]", help="One kind, in full: benchmarks, objectives, ..."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what can be named in a study: source, options, and a line to copy."""
    kinds = [*SECTIONS, *ROOMS]
    if section is not None and section not in kinds:
        hint = did_you_mean(section, kinds)
        raise UserError(f"list: no {section!r}{hint} (known: {', '.join(kinds)})")
    rows_of = {
        kind: SECTIONS[kind]() if kind in SECTIONS else room_rows(kind)
        for kind in kinds
        if section in (None, kind)
    }
    if as_json:
        print_json(rows_of)
        return
    # All kinds as tables of names; one kind in full, each method with all that it says of itself.
    for place, (kind, rows) in enumerate(rows_of.items()):
        if section is None:
            say(("\n" if place else "") + kind, style="bold")
        if not rows:
            say("none")
        elif section in ROOMS:
            # Its name and purpose, then each fact that it has on a line.
            for row in rows:
                say(row["name"], style="bold")
                say(f"  {row['what']}")
                for name, value in row.items():
                    if name not in ("name", "what", "version") and value:
                        say(f"  {name.replace('_', ' ')}: {_text(value, '; ')}", style="dim")
        else:
            # Of a room's methods the names and purposes; `list KIND` has the rest.
            columns = ["name", "what"] if kind in ROOMS else list(rows[0])
            titles = [title.replace("_", " ") for title in columns]
            table(titles, [[_text(row[column], ", ") for column in columns] for row in rows])


def _text(value: Any, between: str) -> str:
    return between.join(value) if isinstance(value, list) else str(value)


def environment() -> dict[str, Any]:
    """Versions and hardware, for a bug report."""
    import torch

    from whyfirst.study.execute.pool import available_cores

    # Names are asked for only where there is a driver: else torch raises.
    cuda = torch.cuda.is_available()
    # Known names and not all that is installed: the list goes into public reports.
    packages: dict[str, str | None] = dict.fromkeys(_PACKAGES)
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):  # an extra that isn't installed
            packages[name] = version(name)
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "cores_usable": available_cores(),
        "memory_gib": memory_gib(Path("/proc/meminfo")),
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
        "packages": packages,
        "variables": {name: os.environ[name] for name in _HARMLESS_VARIABLES if name in os.environ},
    }  # fmt: skip


def memory_gib(file: Path) -> float | None:
    """The machine's memory, as Linux tells it; None elsewhere."""
    # Only Linux tells it in a file; other systems would need a package for one number.
    if not file.is_file():
        return None
    kib = re.search(r"MemTotal:\s+(\d+)", file.read_text(encoding="ascii"))
    return round(int(kib[1]) / 2**20, 1) if kib else None


@command
def env(as_json: AsJson = False) -> None:
    """Show versions and hardware, for a bug report."""
    facts = environment()
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, dict):
            value = [f"{key} {item}" for key, item in value.items() if item is not None]
        say(f"{name.replace('_', ' ')}: {_text(value, ', ') or 'none'}")
