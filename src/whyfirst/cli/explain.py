"""`whyfirst explain` and `whyfirst demonstrate`: their options and what they print.

Leaves out: the work (`explain/`), imported when a command runs, and the audit's page.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option
from typer.core import TyperGroup

from whyfirst.cli.options import AsJson, Constitution, KeyEnv, group, names
from whyfirst.cli.output import command, print_json, say, table
from whyfirst.config.errors import UserError

if TYPE_CHECKING:
    from whyfirst.constitution import Constitution as Values
    from whyfirst.explain.build import Built
    from whyfirst.models.base import LanguageModel


class _WriteByDefault(TyperGroup):
    """``explain CONSTITUTION …`` is ``explain write CONSTITUTION …``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Help of the group stays help of the group.
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["write", *args]
        return super().parse_args(ctx, args)


explain_app = group(
    "Write explanations and their controls: whyfirst explain CONSTITUTION --tokens N.",
    cls=_WriteByDefault,
)

Teacher = Annotated[
    str, Option("--teacher", help="template, a model folder, org/name, or endpoint:URL#MODEL.")
]
Seed = Annotated[int, Option("--seed", help="Another seed, another corpus.")]
Against = Annotated[
    list[str] | None,
    Option("--against", help="A benchmark's file, or PATH:COLUMN; its prompts must not occur. "
           "Repeatable.")
]  # fmt: skip
Tokenizer = Annotated[
    str | None, Option("--tokenizer", help="Count with it (default: words and marks).")
]


@dataclass(frozen=True)
class CorpusOptions:
    """A constitution, and the corpus that is written from it."""

    constitution: Constitution
    out: Annotated[Path | None, Option(help="The corpus' folder (default: corpora/NAME).")] = None
    values: Annotated[str | None, Option(help="Ids with commas (default: all); when planning.")] = (
        None
    )
    seed: Seed = 0

    def opened(self, suffix: str = "") -> "tuple[Values, Path, tuple[str, ...] | None]":
        """The constitution, the folder and the values' ids.

        Args:
            suffix: of the folder's name, where none was given.
        """
        from whyfirst.constitution import load_constitution

        loaded = load_constitution(self.constitution)
        chosen = None if self.values is None else names(self.values)
        if chosen is not None and not chosen:
            raise UserError(
                f"--values: names no value; known: {', '.join(value.id for value in loaded.values)}"
            )
        folder = self.out or Path("corpora") / f"{loaded.name}{suffix}"
        return loaded, folder, chosen


@dataclass(frozen=True)
class AskingOptions:
    """A model that judges, and what models at endpoints are allowed."""

    judge: Annotated[str | None, Option(help="A model that judges; named as a teacher is.")] = None
    key_env: KeyEnv = None
    judge_key_env: Annotated[
        str | None, Option(help="The same of a judge at another server, which never sees the "
                           "teacher's.")
    ] = None  # fmt: skip
    price_in: Annotated[float | None, Option(min=0, help="Price of a million prompt tokens.")] = (
        None
    )
    price_out: Annotated[
        float | None, Option(min=0, help="Price of a million completion tokens.")
    ] = None
    max_cost: Annotated[
        float | None, Option(help="Stop before teacher or judge pass it; needs both prices.")
    ] = None
    max_tokens: Annotated[
        int | None, Option(help="Stop before teacher or judge use more in this run.")
    ] = None

    def models(
        self, teacher: str, folder: Path
    ) -> "tuple[LanguageModel | None, LanguageModel | None]":
        """Teacher and judge, their replies kept in the folder; None is the grammar, or no judge.

        Raises:
            UserError: a model can't be opened, or neither is an endpoint, so that a cap or a price
                would do nothing.
        """
        from whyfirst.models.reference import open_model, parse_model

        # None is "not given"; 0 is a cap that somebody wants.
        limits = {name: value for name, value in vars(self).items() if value is not None}
        limits.pop("judge", None)
        # The grammar is asked for nothing, so it has no key, price or cap.
        asked = [None if name == "template" else name for name in (teacher, self.judge)]
        servers = {name.partition("#")[0] for name in asked if name and is_endpoint(name)}
        if limits and not servers:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in limits)
            raise UserError(f"{flags}: only for a model at an endpoint (endpoint:URL#MODEL)")
        judges, key = limits, limits.pop("judge_key_env", None)
        if len(servers) > 1:
            judges = _at_another_server(limits, key)
        elif key is not None:
            raise UserError(
                "--judge-key-env: only for a judge at another server than the teacher's; "
                "--key-env is the key of both"
            )
        model, judge = (
            None if name is None else
            open_model(parse_model(name, **(given if is_endpoint(name) else {})), cache=folder)
            for name, given in zip(asked, (limits, judges), strict=True)
        )  # fmt: skip
        return model, judge


def _at_another_server(limits: dict[str, Any], key: str | None) -> dict[str, Any]:
    """What of the teacher's limits is a judge's, whose server is told `key` in place of theirs.

    Raises:
        UserError: one price for two servers.
    """
    if priced := [name for name in ("price_in", "price_out", "max_cost") if name in limits]:
        raise UserError(
            f"--{priced[0].replace('_', '-')}: teacher and judge are at two servers, whose "
            "prices differ; give --max-tokens, or write in two steps"
        )
    others = {name: value for name, value in limits.items() if name != "key_env"}
    return others | ({} if key is None else {"key_env": key})


def is_endpoint(name: str | None) -> bool:
    """Whether a model's name is that of a server."""
    return name is not None and name.startswith("endpoint:")


@explain_app.command("write")
@command
def write(
    corpus: CorpusOptions,
    asking: AskingOptions,
    teacher: Teacher = "template",
    tokens: Annotated[int | None, Option(min=1, help="Tokens to keep (or --documents).")] = None,
    documents: Annotated[int | None, Option(min=1, help="Documents to keep.")] = None,
    controls: Annotated[str, Option(help="Names with commas, all, or none.")] = "none",
    tokenizer: Tokenizer = None,
    against: Against = None,
    probe: Annotated[bool, Option("--probe", help="Only the first few documents.")] = False,
    pilot: Annotated[bool, Option("--pilot", help="Only the first dozens.")] = False,
    min_yield: Annotated[float, Option(min=0, max=1, help="Kept a call; below it, stop.")] = 0.25,
    as_json: AsJson = False,
) -> None:
    """Write a corpus; the same command continues a stopped one."""
    from whyfirst.cli import progress
    from whyfirst.evaluate.item import chosen
    from whyfirst.explain import build as building
    from whyfirst.explain.explanation import CONTROLS
    from whyfirst.explain.filters import Opposing
    from whyfirst.explain.tested import read_tested
    from whyfirst.explain.tokens import counter
    from whyfirst.explain.write import PILOT, PROBE, Limits

    if probe and pilot:
        raise UserError("--probe and --pilot: give one; a pilot writes what a probe does, and more")
    if (probe or pilot) and controls != "none":
        raise UserError("--controls: a probe or a pilot writes none; they come with the whole")
    loaded, folder, values = corpus.opened()
    tested = [read_tested(given) for given in against or []]
    # Words for the two that people want most; names are checked like any others.
    asked = {"all": CONTROLS, "none": ()}.get(controls, names(controls))
    wanted = building.Wanted(
        seed=corpus.seed,
        limits=Limits(tokens, documents, PROBE if probe else PILOT if pilot else None, min_yield),
        controls=chosen(asked, CONTROLS, "control"),  # type: ignore[arg-type]
        partial=probe or pilot,
    )
    model, judge = asking.models(teacher, folder)
    plan = building.plan_of(folder, loaded, values)
    # Prompts a call: an endpoint has its own concurrency, a local model its memory.
    prompts = 64 if is_endpoint(teacher) else 8
    writer = building.make_teacher(model, teacher, loaded, plan, corpus.seed, prompts)
    with progress.writing("explanations", documents or 0, [model, judge], as_json) as told:
        built = building.build(
            loaded, writer, plan, wanted, folder, tested=tested,
            opposes=None if judge is None else Opposing(judge), count_tokens=counter(tokenizer),
            on_batch=lambda batch: told.rows(batch.kept, documents or 0, str(batch)),
            on_control=lambda name, done, total: told.rows(done, total, name),
        )  # fmt: skip
    if as_json:
        print_json(summary(built, folder))
        return
    show(built.report)
    say(f"audit: {folder / 'audit.html'}")


@explain_app.command("plan")
@command
def plan(
    corpus: CorpusOptions,
    teacher: Teacher = "template",
    documents: Annotated[int, Option(min=1, help="Show the coverage of this many.")] = 2000,
    key_env: KeyEnv = None,
    as_json: AsJson = False,
) -> None:
    """Draw the plan, one editable file a level, and show what a corpus would cover."""
    from whyfirst.explain.build import plan_of
    from whyfirst.explain.cells import Dealer, coverage
    from whyfirst.explain.plan import plan_with

    loaded, folder, values = corpus.opened()
    model, _ = AskingOptions(key_env=key_env).models(teacher, folder)
    if model is not None:
        plan_with(model, loaded, folder / "plan", values)
    drawn = plan_of(folder, loaded, values)
    # Dealt as writing would deal them, each taken as kept, since nothing is rejected here.
    cells = Dealer(drawn, loaded, corpus.seed).all_kept(documents)
    counts = coverage(cells)
    pairs = len(drawn.assertions) * len(drawn.types.genres)
    if as_json:
        print_json({"plan": str(folder / "plan"), "pairs": pairs, **counts})
        return
    say(f"plan: {folder / 'plan'} (edit or prune it, then write)")
    say(
        f"{documents} documents cover {counts['behaviour_genre_pairs']} of {pairs} pairs of "
        "behaviour and genre"
    )
    for name in ("value", "genre", "audience", "stance", "angle", "domain"):
        least, most = min(counts[name].values()), max(counts[name].values())
        say(f"  {name}: {len(counts[name])} kinds, {least} to {most} documents each")


@explain_app.command("audit")
@command
def audit(
    corpus: Annotated[Path, Argument(metavar="CORPUS", help="A corpus' folder.")],
    against: Against = None,
    most_overlaps: Annotated[int, Option(min=0, help="Documents that may repeat a prompt.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a corpus and its controls; refuse what isn't matched or leaks."""
    from whyfirst.explain import audit as audits
    from whyfirst.explain.audit import save_audit
    from whyfirst.explain.tested import read_tested

    report = audits.audit(corpus, [read_tested(given) for given in against or []])
    page = save_audit(report, corpus)
    if as_json:
        print_json(report)
    else:
        show(report)
        say(f"audit: {page}")
    # Last: who is refused wants to see the figures that say why.
    audits.refuse(report, most_overlaps)


@explain_app.command("mix")
@command
def mix(
    documents: Annotated[Path, Argument(metavar="DOCUMENTS", help="Rows of stage 1 (JSONL).")],
    replay: Annotated[Path, Option(help="Other rows (JSONL).")],
    share: Annotated[float, Option(min=0, max=0.99, help="Replay's, of all tokens.")],
    out: Annotated[Path, Option(help="The mixture (JSONL).")],
    seed: Seed = 0,
    tokenizer: Tokenizer = None,
    as_json: AsJson = False,
) -> None:
    """Mix replay into stage 1's documents, streaming."""
    from whyfirst.explain.mix import mix as mix_files
    from whyfirst.explain.tokens import counter

    mixed = mix_files(documents, replay, out, share, seed, counter(tokenizer))
    if as_json:
        print_json({"out": str(out), "share": mixed.share, **asdict(mixed)})
        return
    say(
        f"{out}: {mixed.documents} documents and {mixed.replay} replay rows "
        f"({mixed.share:.2%} of the tokens)"
    )


@command
def demonstrate(
    corpus: CorpusOptions,
    asking: AskingOptions,
    teacher: Teacher,
    rows: Annotated[int, Option(min=1, help="How many to keep.")] = 500,
    pairs: Annotated[bool, Option("--pairs", help="Preference pairs.")] = False,
    reasoning: Annotated[
        bool, Option("--reasoning", help="With visible reasoning before the response.")
    ] = False,
    scope: Annotated[
        Literal["all", "narrow", "ambiguous"],
        Option(help="Rows that fit one value, several, or all."),
    ] = "all",
    max_new_tokens: Annotated[
        int | None, Option(min=1, help="Of a reply (default: 384 of a local model, else 4096).")
    ] = None,
    against: Against = None,
    as_json: AsJson = False,
) -> None:
    """Write demonstrations or preference pairs for stage 2 from a constitution."""
    from whyfirst.cli import progress
    from whyfirst.explain import demonstrate as demonstrating
    from whyfirst.explain.build import plan_of
    from whyfirst.explain.teachers import usage_of
    from whyfirst.explain.tested import read_tested

    loaded, folder, values = corpus.opened("-demonstrations")
    tested = [read_tested(given) for given in against or []]
    grammar_or_model, judge = asking.models(teacher, folder)
    model = demonstrating.require_model(grammar_or_model)
    asked = {"teacher": model} | ({} if judge is None else {"judge": judge})
    plan = plan_of(folder, loaded, values)
    # A small model seldom ends a reply by itself.
    most = max_new_tokens or (4096 if is_endpoint(teacher) else 384)
    options = demonstrating.Options(rows, pairs, reasoning, scope, corpus.seed, most)

    def used() -> str:
        """What each model has used in this run, where it says so."""
        known = {who: getattr(one, "usage", None) for who, one in asked.items()}
        return "".join(f"; {who}: {usage}" for who, usage in known.items() if usage is not None)

    with progress.writing("demonstrations", rows, list(asked.values()), as_json) as told:
        written = demonstrating.demonstrate(
            loaded, plan, model, judge or model, options, folder, tested=tested,
            on_batch=lambda kept, wanted: told.rows(kept, wanted, used()),
        )  # fmt: skip
    name = "pairs" if pairs else "demonstrations"
    if as_json:
        spent = {who: usage_of(asked_one) for who, asked_one in asked.items()}
        file = str(folder / f"{name}.jsonl")
        print_json({"rows": len(written), "file": file, "spent": spent})
    else:
        say(f"{folder / name}.jsonl: {len(written)} {name}")


def summary(built: "Built", folder: Path) -> dict[str, Any]:
    """What ``--json`` prints."""
    report, progress = built.report, built.progress
    return {
        "folder": str(folder),
        "calls": progress.calls,
        "asked_now": progress.asked_now,
        "spent": built.spent,
        "corpora": report["corpora"],
        "matching": report["matching"],
        "separability": report["separability"],
        "overlaps": len(report["overlap"]["pairs"]),
        "is_a_grammar": report["is_a_grammar"],
    }


def show(report: Any) -> None:
    """Corpora, and controls with their match, as tables; overlap with benchmarks."""
    # A reader would take the figures for those of written text.
    if report["is_a_grammar"]:
        say("The teacher is a grammar: documents are filled in, not written.", style="yellow")
    titles = ("corpus", "documents", "tokens", "attribution", "assertion", "self-BLEU",
              "compression")  # fmt: skip
    # Attribution beside assertion: documents may say what is done and never why.
    table(titles, [
        (name, m["documents"], f"{m['tokens']:,}", f"{m['attribution']:.1%}",
         f"{m['assertion']:.1%}", f"{m['self_bleu']:.2f}", f"{m['compression']:.1f}")
        for name, m in report["corpora"].items()
    ], "lr")  # fmt: skip
    if report["matching"]:
        table(("control", "tokens", "entities", "lengths", "AUC masked", "matched"), [
            (row["corpus"], f"{row['tokens_ratio']:.4f}", f"{row['entities']:.3f}",
             f"{row['lengths']:.3f}", f"{report['separability'][row['corpus']]['masked']:.2f}",
             "; ".join(row["failures"]) or "yes")
            for row in report["matching"]
        ], "lrrrrl")  # fmt: skip
    # "0 pairs" where nothing was compared would read as clean.
    overlap = report["overlap"]
    pairs = f"{len(overlap['pairs'])} pairs" if overlap["benchmarks"] else "none given (--against)"
    say(f"overlap with benchmarks: {pairs}")
