"""`whyfirst report RUN` and `whyfirst card RUN ARM`, and what every command on a finished run does.

Leaves out: what is in a report or a card (`whyfirst.report`), and reading other tools' files
(interop/).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from whyfirst.cli.options import AsJson, RunFolder, RunStore
from whyfirst.cli.output import command, nothing_printed, print_json, say, warn
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.report.schema import Results


@command
def report(
    run: RunFolder,
    compare: Annotated[
        Path | None, Option(help="Another run's folder, set beside this one.")
    ] = None,
    import_log: Annotated[
        list[str] | None,
        Option(help="ARM=FILE or ARM:SEED=FILE: an Inspect log or lm-eval's results of that arm."),
    ] = None,
    lower_is_better: Annotated[
        list[str] | None, Option(help="An imported metric of which less is better.")
    ] = None,
    log: Annotated[
        Path | None, Option(help="Write an Inspect log of each evaluation into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write a run's HTML report anew from its results.json, or two runs side by side."""
    from whyfirst.cli import progress
    from whyfirst.report.compare import render_comparison
    from whyfirst.report.html import render_report
    from whyfirst.report.unit import ITEMS_FILE, PAGE_FILE, one_unit

    run = run_folder(run)
    with nothing_printed(as_json):
        for line in take_in(run, import_log or (), lower_is_better or ()):
            say(line)
    results = results_of(run)
    if compare is None:
        # Results and items stay what was vouched for; only the page is new.
        with one_unit(run / "report", [PAGE_FILE]):
            written = render_report(results, run)
    else:
        other = run_folder(compare)
        written = render_comparison(results, results_of(other), run, other.resolve().name)
    browsable = written.with_name(ITEMS_FILE).is_file()
    logs = None
    if log is not None:
        from whyfirst.interop.study_logs import write_study_logs

        with nothing_printed(as_json), progress.steps("Inspect logs") as step:
            logs = len(write_study_logs(run, log, step))
    if as_json:
        source = run / "report" / "results.json"
        print_json({
            "results": str(source), "report": str(written), "items": browsable, "logs": logs,
        })  # fmt: skip
        return
    say(f"report: {written}")
    if logs is not None:
        say(f"{logs} logs: {log} (inspect view --log-dir {log})")
    if compare is None and not browsable:
        say(
            f"without {ITEMS_FILE} beside results.json the page shows examples and can't browse "
            "every item; copy it there too, or run the study again"
        )


def take_in(run: Path, logs: Sequence[str], lower: Sequence[str]) -> list[str]:
    """Join to the run's results.json what was imported before and what is given now.

    Args:
        run: a finished run's folder.
        logs: ``ARM=FILE`` or ``ARM:SEED=FILE``.
        lower: metrics of which less is better.

    Returns:
        A line on each file imported.

    Raises:
        UserError: a word that fits nothing, or a file that can't be taken; nothing is written.
    """
    from whyfirst.config.files import write_json
    from whyfirst.report.schema import results_to_json
    from whyfirst.report.unit import PAGE_FILE, RESULTS_FILE, one_unit
    from whyfirst.study.results import imported

    folder = run / "report"
    kept = imported.load(folder)
    if not (kept or logs or lower):
        return []
    results = results_of(run)
    turned = {one.name for one in kept if not one.higher_is_better}
    # Told at the end: where a later file can't be read, nothing has been taken in.
    news: list[str] = []
    for arm, seed, path in [imported.parse_target(text, results) for text in logs]:
        from whyfirst.interop.reading import read_any

        metrics, left = read_any(path)
        for name, why in left.items():
            warn(f"{path}: {name} is left out: {why}")
        kept = imported.add(
            kept, [one.model_copy(update={"arm": arm, "seed": seed}) for one in metrics]
        )
        names = ", ".join(one.name for one in metrics)
        news.append(f"imported for {arm}, seed {seed}: {names}")
    # What was turned stays so when the same metric is imported for another arm.
    kept = imported.lower_is_better(kept, [*turned, *lower])
    # From the results as they were computed: importing twice gives the same as once.
    joined = imported.joined(results, kept)
    if logs or lower:
        imported.save(folder, kept)
    if joined != results:
        with one_unit(folder, [RESULTS_FILE, PAGE_FILE]):
            write_json(folder / RESULTS_FILE, results_to_json(joined), keep_order=True)
    return news


def run_folder(given: Path) -> Path:
    """The folder that was given; where there is none, the run of that name under ``runs``."""
    # A folder of that name here comes first: a path is never taken for a name.
    named = Path("runs") / given
    is_name = len(given.parts) == 1
    return named if is_name and not given.exists() and named.is_dir() else given


def store_of(run: Path, given: Path | None) -> Path:
    """Where a run's models are: as given, else as the run noted, else the default store.

    Raises:
        DataError: the run's note can't be read.
    """
    from whyfirst.study.run import default_store
    from whyfirst.study.running import noted_run

    if given is not None:
        return given
    noted = noted_run(run)
    # A run that was copied here notes a store of another machine.
    return noted.store if noted is not None and noted.store.is_dir() else default_store()


def results_of(run: Path) -> "Results":
    """A finished run's results.

    Raises:
        UserError: the run isn't finished (says what is missing), the folder is no run's, or its
            results are of another schema version.
    """
    from whyfirst.report.gather import completed
    from whyfirst.report.schema import load_results
    from whyfirst.study.running import unfinished

    # Completed from today's declarations, so that an older file reads as a newer one does.
    source = run / "report" / "results.json"
    if source.is_file():
        return completed(load_results(source))
    if (run / "results.json").is_file():
        raise UserError(
            f"{run}: this is a report's own folder; name it `report` and give the folder it is in"
        )
    raise UserError(unfinished(run))


@command
def card_command(
    run: RunFolder,
    arm: Annotated[str, Argument(metavar="ARM", help="One of its arms.")],
    out: Annotated[Path | None, Option(help="Write a folder: model, tokenizer and card.")] = None,
    store: RunStore = None,
    seed: Annotated[
        int | None, Option(min=0, help="Which of an arm's models (default: 0).")
    ] = None,
    push_to_hub: Annotated[
        str | None,
        Option(
            metavar="OWNER/NAME",
            help="Send that folder to this repository of the Hub, private; off by default.",
        ),
    ] = None,
    token_env: Annotated[
        str | None, Option(help="The variable with the Hub's token (default: HF_TOKEN).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print an arm's model card, or write its folder for the Hub (and send it)."""
    from whyfirst.report.card import push, render_card, write_folder
    from whyfirst.study.running import arm_model

    run = run_folder(run)
    results = results_of(run)
    # What can't be looked at is never sent.
    if push_to_hub is not None and out is None:
        raise UserError("--push-to-hub sends the folder of --out; name one, so you can look at it")
    given = {"--seed": seed, "--store": store}
    needless = [name for name, value in given.items() if value is not None and out is None]
    if needless:
        said = "which model is written; a card alone is of the whole arm"
        raise UserError(f"{' and '.join(needless)}: with --out, {said}")
    if token_env is not None and push_to_hub is None:
        raise UserError("--token-env: is of --push-to-hub, and nothing is sent")
    if out is None:
        # Without a folder nothing is looked for in the store: a card needs the results alone.
        text = render_card(results, arm)
        # Bare print: the card is a file's content, to be piped as it is.
        print_json({"arm": arm, "card": text}) if as_json else print(text, end="")
        return
    model = arm_model(results, arm, seed or 0, store_of(run, store))
    # Also before sending: what lies in the folder is what is sent.
    files = write_folder(results, arm, model, out)
    url = None if push_to_hub is None else push(out, push_to_hub, token_env or "HF_TOKEN")
    if as_json:
        print_json({"arm": arm, "folder": str(out), "files": files, "url": url})
        return
    say(f"written: {out} ({', '.join(files)})")
    if url is not None:
        say(f"sent: {url}")
