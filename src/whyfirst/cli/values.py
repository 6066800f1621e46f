"""`whyfirst values`: constitutions imported from a specification, and checked.

Leaves out: what is done (`explain/importer.py`, `constitution.py`).
"""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from whyfirst.cli.options import AsJson, Constitution, group
from whyfirst.cli.output import command, print_json, say, table
from whyfirst.config.errors import UserError

values_app = group("Constitutions: values with their reasons.")


@values_app.command("import")
@command
def import_(
    file: Annotated[Path, Argument(metavar="FILE.md", help="A specification in Markdown.")],
    out: Annotated[Path | None, Option(help="The constitution (default: NAME.yaml here).")] = None,
    name: Annotated[str | None, Option(help="Its name (default: the file's).")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a published specification into a constitution's skeleton."""
    from whyfirst.config.files import atomic_write
    from whyfirst.explain.importer import import_markdown, skeleton_yaml

    given = name or file.stem
    # Here and not beside the source, which may be somebody else's folder.
    place = out or Path(f"{given}.yaml")
    # A skeleton is filled in by hand: hours of work would be gone.
    if place.exists():
        raise UserError(
            f"{place}: is there already, and may have been edited; choose another --out"
        )
    skeleton = import_markdown(file, given)
    atomic_write(place, skeleton_yaml(skeleton, file.name))
    values, to_fill = len(skeleton.data["values"]), len(skeleton.to_fill)
    if as_json:
        print_json({"constitution": str(place), "values": values, "to_fill": to_fill,
                    "sections_left_out": len(skeleton.without_norms)})  # fmt: skip
        return
    say(f"{place}: {values} values")
    if to_fill:
        say(
            f"{to_fill} places are marked FILL: and refused until you have written "
            f"them; whyfirst values check {place} lists them"
        )


@values_app.command("check")
@command
def check(constitution: Constitution, as_json: AsJson = False) -> None:
    """Read a constitution and say what is in it, or every error with its line."""
    from whyfirst.constitution import load_constitution

    # Reading is the check: every mistake is told with its line by whoever reads it.
    loaded = load_constitution(constitution)
    parts = ("reasons", "upheld_by", "violated_by", "conflicts", "boundaries")
    rows = [
        {"value": value.id} | {part: len(getattr(value, part)) for part in parts}
        for value in loaded.values
    ]
    if as_json:
        print_json({"constitution": loaded.name, "values": rows})
        return
    titles = [name.replace("_", " ") for name in ("value", *parts)]
    table(titles, [list(row.values()) for row in rows], "lr")
