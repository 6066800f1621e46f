"""`whyfirst worlds` and `whyfirst WORLD build`: building the bases of worlds.

Leaves out: what is said of one world, which is in its package (worlds/).
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

import whyfirst
from whyfirst.cli.options import AsJson, group
from whyfirst.cli.output import command, nothing_printed, print_json, say
from whyfirst.config.errors import UserError

worlds_app = group("Worlds drawn by seed.")


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
    seeds: Annotated[str, Option(help="Which worlds: FIRST..LAST.")],
    out: Annotated[Path, Option(help="A folder for each world goes there.")],
    world: Annotated[str, Option(help="`whyfirst list worlds`")] = "village",
    as_json: AsJson = False,
) -> None:
    """Train the bases of several worlds (two minutes each on one core), those missing.

    A study builds the bases it needs by itself.
    """
    from whyfirst.cli import progress
    from whyfirst.config.files import read_json
    from whyfirst.config.room import Use
    from whyfirst.worlds import WORLDS

    WORLDS.get(world)  # a name that is none is told where nothing is left to build, too
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: is a file; a folder for each world goes there")
    built = {}
    for seed in seeds_of(seeds):
        folder = out / f"world-{seed}"
        if not (folder / "world.json").is_file():  # written last
            # Through the room, so that a world of one's own is built by the same command.
            drawn = WORLDS.make(Use.model_validate({"name": world, "seed": seed}))
            with nothing_printed(as_json), progress.steps(f"world {seed}") as step:
                drawn.copy_base(folder, step)
        # From the file also where it was just built: one answer for both.
        built[seed] = read_json(folder / "world.json")["properties"]
        if not as_json:
            say(f"world {seed}: " + ", ".join(f"{n} {v}" for n, v in built[seed].items()))
    if as_json:
        print_json({"worlds": built, "out": str(out)})


def add_worlds(app: typer.Typer) -> None:
    """Give a world with a module `commands` a verb of its own.

    It is found by its file, since importing a world would make help slow.
    """
    for file in sorted(Path(whyfirst.__file__).parent.glob("worlds/*/commands.py")):
        world_app = group("The embedded world.")
        world_app.command("build")(command(_build(file.parent.name)))
        app.add_typer(world_app, name=file.parent.name)


def _build(name: str) -> Callable[..., None]:
    def build_one(
        world: Annotated[int, Option(min=0, help="World seed.")],
        out: Annotated[Path, Option(help="Folder for the base model.")],
        as_json: AsJson = False,
    ) -> None:
        """Pretrain the base model of a world (minutes)."""
        from whyfirst.cli import progress

        with nothing_printed(as_json), progress.steps(f"world {world}") as step:
            # Only now: it imports torch.
            commands = import_module(f"whyfirst.worlds.{name}.commands")
            measured: dict[str, Any] = commands.build(world, out, progress=step)
        if as_json:
            print_json({"world": world, "base": str(out), "properties": measured})
            return
        for prop, value in measured.items():
            say(f"{prop.replace('_', ' ')}: {value}")
        say(f"base: {out}")

    return build_one
