"""`whyfirst judge`: how far a judge agrees with people, its card, and published judgements counted.

Leaves out: judging a model's responses (that is an evaluation), and texts of completions.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from whyfirst.cli.options import AsJson, KeyEnv, group, open_asked
from whyfirst.cli.output import command, nothing_printed, print_json, say, table
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.evaluate.completions import Row
    from whyfirst.evaluate.scorers import Scorer
    from whyfirst.stats.statistics import Interval


judge_app = group("Judges and their measured error.")


@judge_app.command("agreement")
@command
def agreement(
    data: Annotated[Path, Option(help="XSTest's folder model_completions.")],
    judge: Annotated[str, Option(help="NAME or NAME:ARGUMENT, e.g. classifier:PATH.")] = "rules",
    model: Annotated[
        str | None, Option(help="Whom a judge asks: folder, Hub id or endpoint:URL#MODEL.")
    ] = None,
    key_env: KeyEnv = None,
    card: Annotated[
        Path | None, Option(help="Write the judge's measured error to this file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a refusal judge against the two people who labelled XSTest's completions."""
    from whyfirst.evaluate.completions import agreement_rows, card_of, completion_files
    from whyfirst.evaluate.scorers import asks_a_model, make_scorer

    if model is not None and not asks_a_model(judge):
        raise UserError(f"--model: the judge {judge!r} asks none; leave it out")
    if key_env is not None and model is None:
        raise UserError("--key-env: is of --model, and none is given")
    # Before the judge, which may have to load a model.
    files = completion_files(data)
    with nothing_printed(as_json):
        asker = None if model is None else open_asked(model, key_env=key_env)
        chosen = make_scorer(judge, asker)
        rows = agreement_rows(chosen, files)
    # Also with --json: the card is a file that was asked for.
    if card is not None:
        card_of(chosen, rows, files).save(card)
    if as_json:
        print_json(as_object(chosen, rows))
    else:
        show(chosen, rows)


def as_object(judge: "Scorer", rows: "Sequence[Row]") -> dict[str, Any]:
    """Everything measured, as one JSON object."""
    return {
        "judge": judge.name,
        "version": judge.version,
        "question": judge.question,
        "rows": [
            {
                "completions": row.name,
                "tuned_on": row.tuned,
                "reading": row.reading,
                **row.final.confusion._asdict(),
                "n": row.final.confusion.n,
                "unscored": row.final.unscored,
                "reasons": row.reasons,
                "parse_rate": row.parsed,
                **{name: found and found._asdict() for name, found in row.intervals.items()},
            }
            for row in rows
        ],
    }


def show(judge: "Scorer", rows: "Sequence[Row]") -> None:
    """Print a table for each reading of the human labels, and why completions are unscored."""
    from whyfirst.evaluate.completions import HELD_OUT

    say(f"judge {judge.name}, version {judge.version}: {judge.question}", style="bold")
    for reading in dict.fromkeys(row.reading for row in rows):
        cells = []
        for row in (row for row in rows if row.reading == reading):
            numbers = [(one and f"{one.value:.3f}") or "-" for one in row.intervals.values()]
            kappa = row.final.kappa
            limits = "-" if kappa is None else f"{kappa.low:.3f} to {kappa.high:.3f}"
            cells.append((row.name, "yes" if row.tuned else "no", numbers[0], limits, *numbers[1:],
                          row.final.confusion.n, row.final.unscored))  # fmt: skip
        say(f"\nrefused = {reading} refusal")
        table(
            ("completions", "tuned on", "kappa", "95 % interval", "person 1", "person 2", "people",
             "sensitivity", "specificity", "scored", "unscored"),
            cells, "llr",
        )  # fmt: skip
    # Both readings are of the same completions, and what is held out is in no total.
    first = [row for row in rows if row.reading == rows[0].reading]
    parsed = [f"{row.name} {100 * row.parsed:.1f} %" for row in first if row.parsed is not None]
    if parsed:
        say(f"judge replies parsed: {', '.join(parsed)}")
    # Of one reading, or every reason would count twice.
    reasons: Counter[str] = Counter()
    for row in first:
        if row.name != HELD_OUT:
            reasons.update(row.reasons)
    for reason, count in reasons.most_common():
        say(f"{count} unscored: {reason}", style="dim")
    say(
        "\nkappa: Cohen's, against the final label, each person, and the people with each other; "
        "intervals: bootstrap over completions",
        style="dim",
    )


@judge_app.command("reproduce")
@command
def reproduce(
    name: Annotated[str, typer.Argument(help="auto_j, discretion, faireval or judgebench.")],
    data: Annotated[Path, typer.Option(help="The folder of the published files.")],
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
