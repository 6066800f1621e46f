"""The verbs and their options. Each command imports its work when it runs, never here.

Leaves out: what the commands do (the other modules of this package).
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from whyfirst import __version__
from whyfirst.cli.card import card_command
from whyfirst.cli.chat import chat_command
from whyfirst.cli.explain import demonstrate, explain_app
from whyfirst.cli.judging import judge_app
from whyfirst.cli.output import AsJson, KeyEnv, RunFolder, command
from whyfirst.cli.probing import probe_command
from whyfirst.cli.store import store_app
from whyfirst.cli.values import values_app
from whyfirst.cli.watch import watch_command
from whyfirst.cli.worlds import worlds_app

_OPTIONS = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Teach a language model why a value matters before teaching it what to do, and find out "
    "whether that helped.",
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings=_OPTIONS,
)
study_app = typer.Typer(
    help="Run, plan and register studies.", no_args_is_help=True, context_settings=_OPTIONS
)
hearth_app = typer.Typer(
    help="The embedded world.", no_args_is_help=True, context_settings=_OPTIONS
)
app.add_typer(study_app, name="study")
app.add_typer(hearth_app, name="hearth")
app.add_typer(worlds_app, name="worlds")
app.add_typer(values_app, name="values")
app.add_typer(explain_app, name="explain")
app.command("demonstrate")(demonstrate)
app.add_typer(judge_app, name="judge")
app.add_typer(store_app, name="store")
app.command("chat")(chat_command)
app.command("card")(card_command)
app.command("watch")(watch_command)
app.command("probe")(command(probe_command))

StudyName = Annotated[str, typer.Argument(metavar="FILE", help="A study file or a shipped name.")]
StorePath = Annotated[
    Path | None,
    typer.Option("--store", help="Where results are kept (default: $WHYFIRST_STORE or ./store)."),
]
OutPath = Annotated[
    Path | None, typer.Option("--out", help="The run's folder (default: runs/STUDY).")
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=1, help="Processes (default: one for each GPU or core)."),
]
OtherModel = Annotated[
    str | None,
    typer.Option("--model", help="A folder or Hub id in place of the study's model."),
]
Trial = Annotated[
    int | None,
    typer.Option(
        "--limit", min=1, help="A trial: at most so many items, rows, and as few updates as can be."
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"whyfirst {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask the Hugging Face Hub.")
    ] = False,
) -> None:
    """Options of every verb."""
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"


@app.command()
@command
def demo(
    quick: Annotated[
        bool, typer.Option("--quick", help="A smaller study, to see it work.")
    ] = False,
    store: StorePath = None,
    out: OutPath = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Run the shipped study of the embedded world, from nothing to a report."""
    from whyfirst.cli import study
    from whyfirst.study.shipped import shipped_study

    file = shipped_study("hearth-quick" if quick else "hearth-worlds-demo")
    given = "demo --quick" if quick else "demo"
    study.run(file, store=store, out=out, workers=workers, as_json=as_json, command=given)


@study_app.command("run")
@command
def study_run(
    file: StudyName,
    store: StorePath = None,
    out: OutPath = None,
    workers: Workers = None,
    model: OtherModel = None,
    limit: Trial = None,
    executor: Annotated[
        Literal["local", "ray"],
        typer.Option("--executor", help="This machine's processes, or tasks on a Ray cluster."),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option("--address", help="HOST:PORT of the cluster's head (default: this machine)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a study; what is complete is reused, and a killed run continues."""
    import shlex

    from whyfirst.cli import study
    from whyfirst.study.overrides import Overrides
    from whyfirst.study.shipped import study_file

    given = f"study run {shlex.quote(file)}"
    study.run(
        study_file(file), store=store, out=out, workers=workers, as_json=as_json, command=given,
        overrides=Overrides(model, limit), executor=executor, address=address,
    )  # fmt: skip


@app.command("plan")
@study_app.command("plan")
@command
def study_plan(
    file: StudyName,
    store: StorePath = None,
    model: OtherModel = None,
    limit: Trial = None,
    utilisation: Annotated[
        float,
        typer.Option("--utilisation", min=0.01, max=1.0, help="Share of a GPU's peak reached."),
    ] = 0.35,
    gpu: Annotated[
        list[str] | None, typer.Option("--gpu", help="Hours on this device; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what a study takes (tokens, operations, memory, hours, calls) and what it can find."""
    from whyfirst.cli import planning
    from whyfirst.study.overrides import Overrides
    from whyfirst.study.shipped import study_file

    planning.plan(
        study_file(file), store=store, as_json=as_json, overrides=Overrides(model, limit),
        utilisation=utilisation, gpus=tuple(gpu or ()),
    )  # fmt: skip


@study_app.command("register")
@command
def study_register(file: StudyName, store: StorePath = None, as_json: AsJson = False) -> None:
    """Freeze a study's plan in a file beside it, before the first result."""
    from whyfirst.cli import study

    study.register(file, store=store, as_json=as_json)


@study_app.command("status")
@command
def study_status(
    file: StudyName,
    store: StorePath = None,
    model: OtherModel = None,
    limit: Trial = None,
    as_json: AsJson = False,
) -> None:
    """Show how much of a study is complete."""
    from whyfirst.cli import study
    from whyfirst.study.overrides import Overrides
    from whyfirst.study.shipped import study_file

    changed = Overrides(model, limit)
    study.status(study_file(file), store=store, as_json=as_json, overrides=changed)


@app.command("eval")
@command
def evaluate(
    model: Annotated[
        str, typer.Option("--model", help="A model folder, a Hub id, or endpoint:URL#MODEL.")
    ],
    benchmarks: Annotated[
        str, typer.Option("--benchmarks", help="Names with commas; see `whyfirst list benchmarks`.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="PATH or hub:ORG/NAME[@REVISION] (one folder serves all), or BENCHMARK=PATH.",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="About this many items of each.")
    ] = None,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", help="Who says what a response is; see `whyfirst list scorers`."),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option("--judge-model", help="Whom the judge asks; as --model.")
    ] = None,
    judge_key_env: Annotated[
        str | None,
        typer.Option("--judge-key-env", help="Variable with the key of the judge's endpoint."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option("--by", help="Break down by framing, group, split, topic, value, or none."),
    ] = None,
    world: Annotated[
        int | None, typer.Option("--world", min=0, help="World seed, for a world's benchmarks.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The arm's seed.")] = 0,
    revision: Annotated[
        str | None, typer.Option("--revision", help="Branch, tag or commit of a Hub id.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")
    ] = None,
    device_map: Annotated[
        str | None, typer.Option("--device-map", help="Spread over devices, e.g. auto.")
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option("--adapter", help="A LoRA adapter: folder or ORG/NAME@COMMIT."),
    ] = None,
    chat_template: Annotated[
        str | None,
        typer.Option("--chat-template", help="A shipped name, a .jinja file, or tokenizer."),
    ] = None,
    key_env: KeyEnv = None,
    trust_remote_code: Annotated[
        bool,
        typer.Option("--trust-remote-code", help="Run the model's own code (needs a commit)."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write every item to this JSONL file.")
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="Write an Inspect log of each benchmark into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score one model on benchmarks."""
    from whyfirst.cli import evaluation

    request = evaluation.request(
        model=model, benchmarks=benchmarks, judge_model=judge_model, judge_key_env=judge_key_env,
        by=by, data=tuple(data or ()), limit=limit, world=world, seed=seed,
        judges=tuple(judge or ()), out=out, log=log,
        model_options={
            "revision": revision, "dtype": dtype, "device_map": device_map, "adapter": adapter,
            "chat_template": chat_template, "key_env": key_env,
            "trust_remote_code": trust_remote_code or None,
        },
    )  # fmt: skip
    evaluation.evaluate(request, as_json=as_json)


@app.command()
@command
def report(
    run: RunFolder,
    compare: Annotated[
        Path | None, typer.Option("--compare", help="Another run's folder, set beside this one.")
    ] = None,
    import_log: Annotated[
        list[str] | None,
        typer.Option(
            "--import-log",
            help="ARM=FILE or ARM:SEED=FILE: an Inspect log or lm-eval's results of that arm.",
        ),
    ] = None,
    lower_is_better: Annotated[
        list[str] | None,
        typer.Option("--lower-is-better", help="An imported metric of which less is better."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="Write an Inspect log of each evaluation into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's HTML report anew from its results.json, or two runs side by side."""
    from whyfirst.cli import imports, reporting

    run = reporting.run_folder(run)
    compare = None if compare is None else reporting.run_folder(compare)
    imports.take_in(run, import_log or (), lower_is_better or (), as_json=as_json)
    reporting.report(run, compare, log, as_json=as_json)


@hearth_app.command("build")
@command
def hearth_build(
    world: Annotated[int, typer.Option("--world", min=0, help="World seed.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the base model.")],
    as_json: AsJson = False,
) -> None:
    """Pretrain the base model of a world (minutes)."""
    from whyfirst.cli import output, progress
    from whyfirst.worlds.hearth.base import build_base

    with output.nothing_printed(as_json), progress.steps(f"world {world}") as step:
        measured = build_base(world, out, progress=step)
    if as_json:
        output.print_json({"world": world, "base": str(out), "properties": measured})
        return
    for name, value in measured.items():
        output.say(f"{name.replace('_', ' ')}: {value}")
    output.say(f"base: {out}")


@app.command("list")
@command
def list_(
    section: Annotated[
        str | None,
        typer.Argument(metavar="[KIND]", help="One kind, in full: benchmarks, objectives, ..."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what can be named in a study: source, options, and a line to copy."""
    from whyfirst.cli import inventory

    inventory.show(section, as_json=as_json)


@app.command()
@command
def env(as_json: AsJson = False) -> None:
    """Show versions and hardware, for a bug report."""
    from whyfirst.cli import inventory

    inventory.show_environment(as_json=as_json)
