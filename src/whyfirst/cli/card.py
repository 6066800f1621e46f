"""`whyfirst card RUN ARM`: an arm's model card; its folder for the Hub; and sending it there.

Leaves out: what is in a card (`report.card`).
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whyfirst.cli.options import AsJson, ModelSeed, RunFolder, RunStore
from whyfirst.cli.output import command, print_json, say
from whyfirst.config.errors import UserError


@command
def card_command(
    run: RunFolder,
    arm: Annotated[str, Argument(metavar="ARM", help="One of its arms.")],
    out: Annotated[
        Path | None, Option("--out", help="Write a folder: model, tokenizer and card.")
    ] = None,
    store: RunStore = None,
    seed: ModelSeed = 0,
    push_to_hub: Annotated[
        str | None,
        Option(
            metavar="OWNER/NAME",
            help="Send that folder to this repository of the Hub, private; off by default.",
        ),
    ] = None,
    token_env: Annotated[
        str, Option("--token-env", help="The environment variable with the Hub's token.")
    ] = "HF_TOKEN",
    as_json: AsJson = False,
) -> None:
    """Print an arm's model card, or write its folder for the Hub (and send it)."""
    from whyfirst.cli.reporting import results_of, run_folder, store_of
    from whyfirst.report import publish
    from whyfirst.report.card import render_card
    from whyfirst.study.trained import arm_model

    run = run_folder(run)
    results = results_of(run)
    # What can't be looked at is never sent.
    if push_to_hub is not None and out is None:
        raise UserError("--push-to-hub sends the folder of --out; name one, so you can look at it")
    if out is None:
        # Without a folder nothing is looked for in the store: a card needs the results alone.
        text = render_card(results, arm)
        # Bare print: the card is a file's content, to be piped as it is.
        print_json({"arm": arm, "card": text}) if as_json else print(text, end="")
        return
    model = arm_model(results, arm, seed, store_of(run, store))
    # Also before sending: what lies in the folder is what is sent.
    files = publish.write_folder(results, arm, model, out)
    url = None if push_to_hub is None else publish.push(out, push_to_hub, token_env)
    if as_json:
        print_json({"arm": arm, "folder": str(out), "files": files, "url": url})
        return
    say(f"written: {out} ({', '.join(files)})")
    if url is not None:
        say(f"sent: {url}")
