"""`whyfirst values`: constitutions imported from a specification, and checked.

Leaves out: what is done (`explain/importer.py`, `constitution.py`).
"""

from pathlib import Path
from typing import Annotated

import typer

from whyfirst.cli.output import AsJson, command

values_app = typer.Typer(
    help="Constitutions: values with their reasons.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@values_app.command("import")
@command
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE.md", help="A specification in Markdown.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The constitution (default: NAME.yaml here).")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Its name (default: the file's).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a published specification into a constitution's skeleton."""
    from whyfirst.cli import output
    from whyfirst.config.errors import UserError
    from whyfirst.config.files import atomic_write
    from whyfirst.explain.importer import import_markdown, skeleton_yaml

    given = name or file.stem
    place = out or Path(f"{given}.yaml")
    if place.exists():
        raise UserError(
            f"{place}: is there already, and may have been edited; choose another --out"
        )
    skeleton = import_markdown(file, given)
    atomic_write(place, skeleton_yaml(skeleton, file.name))
    counts = {
        "constitution": str(place),
        "values": len(skeleton.data["values"]),
        "to_fill": len(skeleton.to_fill),
        "sections_left_out": len(skeleton.without_norms),
    }
    if as_json:
        output.print_json(counts)
        return
    output.say(f"{place}: {counts['values']} values")
    if skeleton.to_fill:
        output.say(
            f"{len(skeleton.to_fill)} places are marked FILL: and refused until you have written "
            f"them; whyfirst values check {place} lists them"
        )


@values_app.command("check")
@command
def check(
    constitution: Annotated[
        str, typer.Argument(metavar="CONSTITUTION", help="A file or a shipped name.")
    ],
    as_json: AsJson = False,
) -> None:
    """Read a constitution and say what is in it, or every error with its line."""
    from whyfirst.cli import output
    from whyfirst.constitution import load_constitution

    loaded = load_constitution(constitution)
    rows = [
        {"value": v.id, "reasons": len(v.reasons), "upheld_by": len(v.upheld_by),
         "violated_by": len(v.violated_by), "conflicts": len(v.conflicts),
         "boundaries": len(v.boundaries)}
        for v in loaded.values
    ]  # fmt: skip
    if as_json:
        output.print_json({"constitution": loaded.name, "values": rows})
        return
    columns: list[tuple[str, output.Justify]] = [("value", "left")]
    columns += [(name.replace("_", " "), "right") for name in list(rows[0])[1:]]
    output.table(columns, [list(row.values()) for row in rows])
