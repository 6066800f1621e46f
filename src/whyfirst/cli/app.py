"""The verbs. Each command imports its work when it runs, so that help is quick.

Leaves out: what the commands do (the other modules of this package).
"""

import os
from collections.abc import Callable
from typing import Annotated

import typer

from whyfirst import __version__
from whyfirst.cli import (
    chat,
    evaluation,
    explain,
    inventory,
    judging,
    planning,
    probing,
    reporting,
    store,
    study,
    values,
    watch,
    worlds,
)
from whyfirst.cli.options import group

app = group(
    "Teach a language model why a value matters before teaching it what to do, and find out "
    "whether that helped.",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    # Eager: told before any verb is looked for, so that `--version` needs none.
    if wanted:
        typer.echo(f"whyfirst {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never ask the Hugging Face Hub.")
    ] = False,
) -> None:
    """Options of every verb."""
    if offline:
        # By the environment, since worker processes must keep to it as well.
        os.environ["HF_HUB_OFFLINE"] = "1"


# `whyfirst plan` and `whyfirst study plan` are one command: people look in both places.
study.study_app.command("plan")(planning.plan)
app.add_typer(study.study_app, name="study")
worlds.add_worlds(app)
app.add_typer(worlds.worlds_app, name="worlds")
app.add_typer(values.values_app, name="values")
app.add_typer(explain.explain_app, name="explain")
app.add_typer(judging.judge_app, name="judge")
app.add_typer(store.store_app, name="store")
VERBS: dict[str, Callable[..., None]] = {
    "demo": study.demo,
    "plan": planning.plan,
    "eval": evaluation.evaluate,
    "probe": probing.probe_command,
    "report": reporting.report,
    "card": reporting.card_command,
    "watch": watch.watch_command,
    "chat": chat.chat_command,
    "demonstrate": explain.demonstrate,
    "list": inventory.list_,
    "env": inventory.env,
}
for name, verb in VERBS.items():
    app.command(name)(verb)
