"""`whyfirst judge reproduce`: published judgements counted again, ours beside theirs.

Leaves out: the published texts, none of which is printed.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whyfirst.cli.options import AsJson
from whyfirst.cli.output import command, print_json, say, table

if TYPE_CHECKING:
    from whyfirst.stats.statistics import Interval


@command
def reproduce(
    name: Annotated[str, typer.Argument(help="auto_j, discretion, faireval or judgebench.")],
    data: Annotated[Path, typer.Option("--data", help="The folder of the published files.")],
    as_json: AsJson = False,
) -> None:
    """Count published judgements again; ends with 1 where a count differs."""
    from whyfirst.config.room import Use
    from whyfirst.evaluate.judges.published import REPRODUCTIONS

    figures = REPRODUCTIONS.make(Use.model_validate({"name": name, "data": str(data)}))
    if as_json:
        print_json({"name": name, "figures": [
            {"what": f.what, "ours": f.ours, "published": f.published, "of": len(f.flags),
             "missing": f.missing or None,
             "over_items": f.over_items and f.over_items._asdict(),
             "over_topics": f.over_topics and f.over_topics._asdict()}
            for f in figures
        ]})  # fmt: skip
    else:
        say(f"{name}: {REPRODUCTIONS.get(name).paper}", style="bold")
        table(
            ("count of", "ours", "published", "of", "share, over items", "over topics"),
            [(f.what, "-" if f.ours is None else f.ours, f.published, len(f.flags) or "-",
              _shown(f.over_items), _shown(f.over_topics)) for f in figures],
            "lr",
        )  # fmt: skip
        for figure in figures:
            if figure.missing:
                say(f"not counted: {figure.what}: {figure.missing} is not there", style="dim")
    # What isn't there to be counted is no difference.
    if any(figure.ours not in (None, figure.published) for figure in figures):
        raise typer.Exit(1)


def _shown(interval: "Interval | None") -> str:
    if interval is None:
        return "-"
    return f"{interval.value:.2%} ({interval.low:.1%} to {interval.high:.1%})"
