"""`whyfirst worlds`: building the bases of drawn worlds, and what they are like."""

from pathlib import Path
from typing import Annotated

import typer

from whyfirst.cli.output import command
from whyfirst.config.errors import UserError

worlds_app = typer.Typer(help="Worlds drawn by seed.", no_args_is_help=True)


def seeds_of(text: str) -> range:
    """``1..40`` or ``7``.

    Raises:
        UserError: it is neither.
    """
    first, dots, last = text.partition("..")
    numbers = [first, last] if dots else [first, first]
    if not all(number.isdecimal() for number in numbers) or int(numbers[0]) > int(numbers[1]):
        raise UserError(f"--seeds: expected FIRST..LAST, as 1..40, found {text!r}")
    return range(int(numbers[0]), int(numbers[1]) + 1)


@worlds_app.command("build")
@command
def build(
    seeds: Annotated[str, typer.Option("--seeds", help="Which worlds: FIRST..LAST.")],
    out: Annotated[Path, typer.Option("--out", help="A folder for each world goes there.")],
    world: Annotated[str, typer.Option("--world", help="`whyfirst list worlds`")] = "village",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Train the bases of several worlds (two minutes each on one core), those missing.

    A study builds the bases it needs by itself.
    """
    from whyfirst.cli import output, progress
    from whyfirst.config.files import read_json
    from whyfirst.config.room import Use
    from whyfirst.worlds import WORLDS

    found = {}
    for seed in seeds_of(seeds):
        folder = out / f"world-{seed}"
        if not (folder / "world.json").is_file():  # written last
            with output.nothing_printed(as_json), progress.steps(f"world {seed}") as step:
                WORLDS.make(Use.model_validate({"name": world, "seed": seed})).copy_base(
                    folder, step
                )
        about = read_json(folder / "world.json")
        found[seed] = about["properties"]
        if not as_json:
            output.say(f"world {seed}: " + ", ".join(f"{n} {v}" for n, v in found[seed].items()))
    if as_json:
        output.print_json({"worlds": found, "out": str(out)})
