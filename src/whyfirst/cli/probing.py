"""`whyfirst probe`: look inside models, a table with intervals, JSON and a figure for each probe.

Leaves out: probes within a study (the study runs `probe.record.run_probes` itself).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from whyfirst.cli.options import AsJson, names
from whyfirst.cli.output import command, nothing_printed, print_json, say, table
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


@dataclass(frozen=True)
class Request:
    """What `whyfirst probe` is asked; the items come from exactly one source."""

    models: Annotated[
        list[str],
        Argument(
            metavar="MODEL",
            help="ARM=MODEL, a folder or a Hub id; an arm given several times has seeds 0, 1, ...",
        ),
    ]
    probes: Annotated[str, Option(help="Names with commas (default: all that can run).")] = ""
    world: Annotated[
        str | None,
        Option(
            metavar="[NAME:]SEED",
            help="Probe on the facts of an embedded world; see `whyfirst list worlds`.",
        ),
    ] = None
    pairs: Annotated[Path | None, Option(help="A JSONL or YAML file of paired statements.")] = None
    constitution: Annotated[str | None, Option(help="Pairs from a constitution's behaviours.")] = (
        None
    )
    requests: Annotated[Path | None, Option(help="A JSONL file of requests to ask.")] = None
    family: Annotated[str | None, Option(help="The pairs that interventions' directions use.")] = (
        None
    )
    limit: Annotated[int | None, Option(min=1, help="With --world: about this many requests.")] = (
        None
    )
    out: Annotated[Path | None, Option(help="A folder for probes.json and the figures.")] = None

    def items(self) -> "Items":
        """What the models are probed on.

        Raises:
            UserError: no source or several, or one that can't be read.
        """
        from whyfirst.evaluate.short import use_of_text
        from whyfirst.study.nodes.probe import items_on
        from whyfirst.worlds import WORLDS, shipped

        # Two sources would mix items whose numbers don't compare.
        if [self.world, self.pairs, self.constitution].count(None) != 2:
            raise UserError("say what to probe on, with one of --world, --pairs and --constitution")
        if self.world is not None:
            if self.requests is not None:
                raise UserError("--world brings its own requests; leave --requests out")
            # A number alone means the world that ships, as it does in `whyfirst eval`.
            alone = self.world.isdecimal()
            given = f"{shipped().name}:{self.world}" if alone else self.world
            return items_on({"world": use_of_text(WORLDS, given).model_dump()}, self.limit)
        if self.limit is not None:
            raise UserError("--limit: counts a world's requests, and --world isn't given")
        names = ("pairs", "constitution", "requests")
        return items_on({name: vars(self)[name] for name in names if vars(self)[name] is not None})


def probe(request: Request, as_json: AsJson = False) -> None:
    """Look inside models: log-odds, similarity, directions, interventions, patching."""
    from whyfirst.cli.progress import steps
    from whyfirst.config.files import atomic_write, write_json
    from whyfirst.probe.record import PROBES, ProbeOptions, lacking, run_probes
    from whyfirst.report.probe_figures import figure

    models, chosen = named_models(request.models), names(request.probes)
    # A slip in a name is told before any model is loaded.
    for name in chosen:
        PROBES.get(name)
    with nothing_printed(as_json):
        items = request.items()
        if not chosen:
            # All that these models and items allow; the rest is said.
            missing = lacking(PROBES.names(), tuple(models), items)
            for name, reason in missing.items():
                say(f"left out: {name}, since {reason}", style="dim")
            chosen = tuple(name for name in PROBES.names() if name not in missing)
        if request.family is not None and "intervention" not in chosen:
            raise UserError(
                f"--family: is of the probe `intervention`, and asked for are {', '.join(chosen)}"
            )
        with steps("probe") as progress:
            options = ProbeOptions(family=request.family)
            results = run_probes(chosen, models, items, options, progress)
    whole = {"probes": [result.to_json() for result in results]}
    written: list[Path] = []
    if request.out is not None:
        written.append(request.out / "probes.json")
        write_json(written[0], whole)
        for result in results:
            drawn = figure(result)
            if drawn is not None:
                written.append(request.out / f"{result.probe}.svg")
                atomic_write(written[-1], drawn)
    if as_json:
        print_json(whole)
        return
    for result in results:
        show(result)
    for path in written:
        say(f"written: {path}")


probe_command = command(probe)


def named_models(given: Sequence[str]) -> dict[str, dict[int, str]]:
    """Arm -> seed -> model from ``ARM=MODEL`` words; a word without an arm is the arm `model`.

    Raises:
        UserError: an arm or a model is empty.
    """
    models: dict[str, dict[int, str]] = {}
    for word in given:
        arm, equals, path = word.partition("=")
        # A path may hold "=", but an arm's name holds no slash.
        arm, path = (arm, path) if equals and "/" not in arm else ("model", word)
        if not arm or not path:
            raise UserError(f"{word!r}: give ARM=MODEL, e.g. direct=runs/model")
        seeds = models.setdefault(arm, {})
        seeds[len(seeds)] = path
    return models


def show(result: "ProbeResult") -> None:
    """Print a probe's numbers, of a deep model at layers evenly spread."""
    say(f"\n{result.probe}: {result.definition}", style="bold")
    layers = sorted({int(m.at["layer"]) for m in result.findings.measures if "layer" in m.at
                     and not isinstance(m.at["layer"], str)})  # fmt: skip
    # Evenly over the depth: effects come and go between layers, and neighbours look alike.
    count = min(_LAYERS, len(layers))
    shown = {layers[round(i * (len(layers) - 1) / max(1, count - 1))] for i in range(count)}
    rows = [
        m for m in result.findings.measures
        if m.name not in _FINER.get(result.probe, ())
        and ("value" not in m.at or result.probe == "logit_difference")
        and m.at.get("layer", next(iter(shown), 0)) in (shown or {0})
    ]  # fmt: skip
    titles = ("measure", "arm", "where", "value", "95 % interval", "items", "seeds")
    table(titles, map(_cells, rows), "lllr")
    if result.findings.behaviour:
        say("goes with behaviour (correlation over harmful requests):")
        table(titles, map(_cells, result.findings.behaviour), "lllr")
    for caution in result.findings.cautions:
        say(f"note: {caution}")
    for note in dict.fromkeys(m.note for m in (*rows, *result.findings.behaviour) if m.note):
        say(f"note: {note}", style="dim")


def _cells(measure: "Measure") -> tuple[object, ...]:
    number = measure.estimate
    where = ", ".join(f"{key} {value}" for key, value in measure.at.items())
    value = "-" if number.value is None else f"{number.value:.3f}"
    known = number.low is not None and number.high is not None
    interval = f"{number.low:.3f} to {number.high:.3f}" if known else "-"
    return measure.name, measure.arm, where, value, interval, number.n, number.n_seeds
