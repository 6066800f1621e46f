"""`whyfirst probe`: look inside models, a table with intervals, JSON and a figure for each probe.

Leaves out: probes within a study (the study runs `probe.record.run_probes` itself).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whyfirst.cli.output import AsJson, nothing_printed, print_json, say, table
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.probe.pairs import Items
    from whyfirst.probe.record import Measure, ProbeResult

_LAYERS = 6  # shown of a deeper model; --out has all
#: measures that only --out and --json have
_FINER = {
    "intervention": ("harmful_margin", "benign_margin", "benign_refused", "unscored"),
    "direction": ("reading",),
    "patching": ("refusal_shift",),
}


def probe_command(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL",
            help="ARM=MODEL, a folder or a Hub id; an arm given several times has seeds 0, 1, ...",
        ),
    ],
    probes: Annotated[
        str, typer.Option("--probes", help="Names with commas (default: all that can run).")
    ] = "",
    world: Annotated[
        int | None, typer.Option("--world", help="Probe on the facts of the embedded world SEED.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option("--pairs", help="A JSONL or YAML file of paired statements.")
    ] = None,
    constitution: Annotated[
        str | None, typer.Option("--constitution", help="Pairs from a constitution's behaviours.")
    ] = None,
    requests: Annotated[
        Path | None, typer.Option("--requests", help="A JSONL file of requests to ask.")
    ] = None,
    family: Annotated[
        str | None, typer.Option("--family", help="The pairs that interventions' directions use.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="With --world: about this many requests.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="A folder for probes.json and the figures.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look inside models: log-odds, similarity, directions, interventions, patching."""
    asked = Request(
        tuple(models), tuple(name.strip() for name in probes.split(",") if name.strip()),
        world, pairs, constitution, requests, family, limit, out,
    )  # fmt: skip
    probe(asked, as_json=as_json)


@dataclass(frozen=True)
class Request:
    """What `whyfirst probe` was asked; see the command's help."""

    models: tuple[str, ...]
    probes: tuple[str, ...] = ()
    world: int | None = None
    pairs: Path | None = None
    constitution: str | None = None
    requests: Path | None = None
    family: str | None = None
    limit: int | None = None
    out: Path | None = None


def probe(request: Request, *, as_json: bool) -> None:
    """Run the probes, print what they measured, and write JSON and figures.

    Raises:
        UserError: an unknown probe, no items or several sources of them, a model that can't be
            loaded or isn't a causal decoder.
    """
    from whyfirst.probe.record import PROBES, ProbeOptions, run_probes

    models = named_models(request.models)
    for name in request.probes:
        PROBES.get(name)
    with nothing_printed(as_json):
        from whyfirst.cli.progress import steps

        items = _items(request)
        options = ProbeOptions(family=request.family)
        names = request.probes or _possible(models, items)
        with steps("probe") as progress:
            results = run_probes(names, models, items, options, progress)
    whole = {"probes": [result.to_json() for result in results]}
    written = _write(request.out, whole, results) if request.out is not None else []
    if as_json:
        print_json(whole)
        return
    for result in results:
        _print(result)
    for path in written:
        say(f"written: {path}")


def named_models(given: Sequence[str]) -> dict[str, dict[int, str]]:
    """Arm -> seed -> model from ``ARM=MODEL`` words; a word without an arm is the arm `model`.

    Raises:
        UserError: an arm or a model is empty.
    """
    found: dict[str, dict[int, str]] = {}
    for word in given:
        arm, equals, path = word.partition("=")
        # A path may hold "=", but an arm's name holds no slash.
        arm, path = (arm, path) if equals and "/" not in arm else ("model", word)
        if not arm or not path:
            raise UserError(f"{word!r}: give ARM=MODEL, e.g. direct=runs/model")
        seeds = found.setdefault(arm, {})
        seeds[len(seeds)] = path
    return found


def _items(request: Request) -> "Items":
    from whyfirst.config.room import Use
    from whyfirst.probe import sources
    from whyfirst.probe.pairs import read_pairs
    from whyfirst.worlds import WORLDS, World

    given = [request.world is not None, request.pairs is not None, bool(request.constitution)]
    if sum(given) != 1:
        raise UserError("say what to probe on, with one of --world, --pairs and --constitution")
    if request.world is not None:
        if request.requests is not None:
            raise UserError("--world brings its own requests; leave --requests out")
        named = Use.model_validate({"name": "hearth", "seed": request.world})
        world: World = WORLDS.make(named)
        return world.probe_items(request.limit)
    if request.pairs is not None:
        return sources.file_items(read_pairs(request.pairs), request.requests)
    from whyfirst.constitution import load_constitution

    found = sources.constitution_pairs(load_constitution(str(request.constitution)))
    return sources.file_items(found, request.requests)


def _possible(models: Mapping[str, object], items: "Items") -> tuple[str, ...]:
    """All probes that these models and items allow; the rest is said."""
    from whyfirst.probe.record import PROBES, lacking

    names = PROBES.names()
    missing = lacking(names, tuple(models), items)
    for name, reason in missing.items():
        say(f"left out: {name}, since {reason}", style="dim")
    return tuple(name for name in names if name not in missing)


def _write(folder: Path, whole: dict[str, Any], results: Sequence["ProbeResult"]) -> list[Path]:
    from whyfirst.config.files import atomic_write, write_json
    from whyfirst.report.probe_figures import figure

    write_json(folder / "probes.json", whole)
    written = [folder / "probes.json"]
    for result in results:
        drawn = figure(result)
        if drawn is not None:
            written.append(folder / f"{result.probe}.svg")
            atomic_write(written[-1], drawn)
    return written


def _print(result: "ProbeResult") -> None:
    say(f"\n{result.probe}: {result.definition}", style="bold")
    layers = sorted({int(m.at["layer"]) for m in result.findings.measures if "layer" in m.at
                     and not isinstance(m.at["layer"], str)})  # fmt: skip
    count = min(_LAYERS, len(layers))
    shown = {layers[round(i * (len(layers) - 1) / max(1, count - 1))] for i in range(count)}
    rows = [
        m for m in result.findings.measures
        if m.name not in _FINER.get(result.probe, ())
        and ("value" not in m.at or result.probe == "logit_difference")
        and m.at.get("layer", next(iter(shown), 0)) in (shown or {0})
    ]  # fmt: skip
    head: list[tuple[str, Any]] = [
        ("measure", "left"), ("arm", "left"), ("where", "left"), ("value", "right"),
        ("95 % interval", "right"), ("items", "right"), ("seeds", "right"),
    ]  # fmt: skip
    table(head, [_cells(m) for m in rows])
    if result.findings.behaviour:
        say("goes with behaviour (correlation over harmful requests):")
        table(head, [_cells(m) for m in result.findings.behaviour])
    for caution in result.findings.cautions:
        say(f"note: {caution}")
    for note in dict.fromkeys(m.note for m in (*rows, *result.findings.behaviour) if m.note):
        say(f"note: {note}", style="dim")


def _cells(measure: "Measure") -> tuple[object, ...]:
    one = measure.estimate
    where = ", ".join(f"{key} {value}" for key, value in measure.at.items())
    value = "-" if one.value is None else f"{one.value:.3f}"
    known = one.low is not None and one.high is not None
    interval = f"{one.low:.3f} to {one.high:.3f}" if known else "-"
    return measure.name, measure.arm, where, value, interval, one.n, one.n_seeds
