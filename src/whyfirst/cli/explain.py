"""`whyfirst explain` and `whyfirst demonstrate`: their options and what they print.

Leaves out: the work (`explain/`), imported when a command runs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option
from typer.core import TyperGroup

from whyfirst.cli.options import AsJson, Constitution, KeyEnv, group
from whyfirst.cli.output import command, print_json, say
from whyfirst.config.errors import UserError
from whyfirst.config.suggest import did_you_mean

if TYPE_CHECKING:
    from whyfirst.models.base import LanguageModel

_LOCAL_TOKENS = 384  # of a reply: a small model seldom ends one by itself


class _WriteByDefault(TyperGroup):
    """``explain CONSTITUTION …`` is ``explain write CONSTITUTION …``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
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
Judge = Annotated[str | None, Option("--judge", help="A model that judges; named as a teacher is.")]
PriceIn = Annotated[
    float | None, Option("--price-in", min=0, help="Price of a million prompt tokens.")
]
PriceOut = Annotated[
    float | None, Option("--price-out", min=0, help="Price of a million completion tokens.")
]
MaxCost = Annotated[
    float | None,
    Option("--max-cost", help="Stop before teacher or judge pass it; needs both prices."),
]
MaxTokens = Annotated[
    int | None,
    Option("--max-tokens", help="Stop before teacher or judge use more in this run."),
]
Seed = Annotated[int, Option("--seed", help="Another seed, another corpus.")]
Out = Annotated[Path | None, Option("--out", help="The corpus' folder (default: corpora/NAME).")]
Against = Annotated[
    list[str] | None,
    Option("--against", help="A benchmark's file, or PATH:COLUMN; its prompts must not occur. "
           "Repeatable."),
]  # fmt: skip
Values = Annotated[
    str | None, Option("--values", help="Ids with commas (default: all); when planning.")
]
Tokenizer = Annotated[
    str | None, Option("--tokenizer", help="Count with it (default: words and marks).")
]


@explain_app.command("write")
@command
def write(
    constitution: Constitution,
    teacher: Teacher = "template",
    tokens: Annotated[
        int | None, Option("--tokens", min=1, help="Tokens to keep (or --documents).")
    ] = None,
    documents: Annotated[
        int | None, Option("--documents", min=1, help="Documents to keep.")
    ] = None,
    controls: Annotated[
        str, Option("--controls", help="Names with commas, all, or none.")
    ] = "none",
    out: Out = None,
    values: Values = None,
    seed: Seed = 0,
    tokenizer: Tokenizer = None,
    against: Against = None,
    judge: Judge = None,
    probe: Annotated[bool, Option("--probe", help="Only the first few documents.")] = False,
    pilot: Annotated[bool, Option("--pilot", help="Only the first dozens.")] = False,
    min_yield: Annotated[
        float, Option("--min-yield", min=0, max=1, help="Kept a call; below it, stop.")
    ] = 0.25,
    key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
) -> None:
    """Write a corpus; the same command continues a stopped one."""
    from whyfirst.cli import corpus_output, progress
    from whyfirst.constitution import load_constitution
    from whyfirst.explain import build as building
    from whyfirst.explain.explanation import CONTROLS
    from whyfirst.explain.opposing import Opposing
    from whyfirst.explain.tested import read_tested
    from whyfirst.explain.tokens import count_pieces, tokenizer_counter
    from whyfirst.explain.write import PILOT, PROBE, Limits

    loaded = load_constitution(constitution)
    tested = [read_tested(given) for given in against or []]
    folder = out or Path("corpora") / loaded.name
    asking = _asking(
        (teacher, judge), key_env=key_env, price_in=price_in, price_out=price_out,
        max_cost=max_cost, max_tokens=max_tokens,
    )  # fmt: skip
    chosen = None if values is None else tuple(values.split(","))
    plan = building.plan_of(folder, loaded, chosen)
    model = _open(teacher, folder, asking)
    # Prompts a call: an endpoint has its own concurrency, a local model its memory.
    prompts = 64 if _is_endpoint(teacher) else 8
    writer = building.make_teacher(model, teacher, loaded, plan, seed, prompts)
    named: tuple[Any, ...] = {"all": tuple(CONTROLS), "none": ()}.get(
        controls, tuple(controls.split(","))
    )
    for name in named:
        if name not in CONTROLS:
            hint = did_you_mean(name, CONTROLS)
            raise UserError(f"--controls: no {name!r}{hint} (known: {', '.join(CONTROLS)})")
    wanted = building.Wanted(
        seed=seed,
        limits=Limits(tokens, documents, PROBE if probe else PILOT if pilot else None, min_yield),
        controls=named,
        partial=probe or pilot,
    )
    judging = None if judge is None else _open(judge, folder, asking)
    with progress.writing("explanations", documents or 0, [model, judging], as_json) as told:
        built = building.build(
            loaded, writer, plan, wanted, folder, tested=tested,
            opposes=None if judging is None else Opposing(judging),
            count_tokens=count_pieces if tokenizer is None else tokenizer_counter(tokenizer),
            on_batch=lambda batch: told.rows(batch.kept, documents or 0, str(batch)),
            on_control=lambda name, done, total: told.rows(done, total, name),
        )  # fmt: skip
    if as_json:
        print_json(corpus_output.summary(built, folder))
        return
    corpus_output.show(built.report)
    say(f"audit: {folder / 'audit.html'}")


def _asking(models: tuple[str | None, ...], **options: Any) -> dict[str, Any]:
    """Those of an endpoint's options that were given.

    Raises:
        UserError: none of the models is an endpoint, so that a cap or a price would do nothing.
    """
    # None is "not given"; 0 is a cap that somebody wants.
    given = {name: value for name, value in options.items() if value is not None}
    if given and not any(map(_is_endpoint, models)):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UserError(f"{flags}: only for a model at an endpoint (endpoint:URL#MODEL)")
    return given


def _is_endpoint(name: str | None) -> bool:
    return name is not None and name.startswith("endpoint:")


def _open(name: str, folder: Path, asking: dict[str, Any]) -> "LanguageModel | None":
    """The model of that name with its replies kept in the folder; None is the grammar."""
    if name == "template":
        return None
    from whyfirst.models.reference import open_model, parse_model

    return open_model(parse_model(name, **(asking if _is_endpoint(name) else {})), cache=folder)


@explain_app.command("plan")
@command
def plan(
    constitution: Constitution,
    teacher: Teacher = "template",
    documents: Annotated[
        int, Option("--documents", min=1, help="Show the coverage of this many.")
    ] = 2000,
    out: Out = None,
    values: Values = None,
    seed: Seed = 0,
    key_env: KeyEnv = None,
    as_json: AsJson = False,
) -> None:
    """Draw the plan, one editable file a level, and show what a corpus would cover."""
    from whyfirst.constitution import load_constitution
    from whyfirst.explain.build import plan_of
    from whyfirst.explain.cells import Cell, Dealer, coverage
    from whyfirst.explain.planning import plan_with

    loaded = load_constitution(constitution)
    folder = out or Path("corpora") / loaded.name
    chosen = None if values is None else values.split(",")
    model = _open(teacher, folder, _asking((teacher,), key_env=key_env))
    if model is not None:
        plan_with(model, loaded, folder / "plan", chosen)
    drawn = plan_of(folder, loaded, chosen)
    dealer = Dealer(drawn, loaded, seed)
    # Dealt as writing would deal them, each taken as kept, since nothing is rejected here.
    cells: list[Cell] = []
    while len(cells) < documents:
        dealt = dealer.deal(documents - len(cells))
        for cell in dealt:
            dealer.settle(cell, kept=True)
        cells += dealt
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
    most_overlaps: Annotated[
        int, Option("--most-overlaps", min=0, help="Documents that may repeat a prompt.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Measure a corpus and its controls; refuse what isn't matched or leaks."""
    from whyfirst.cli import corpus_output
    from whyfirst.explain import audit as audits
    from whyfirst.explain.audit_page import save_audit
    from whyfirst.explain.tested import read_tested

    report = audits.audit(corpus, [read_tested(given) for given in against or []])
    page = save_audit(report, corpus)
    if as_json:
        print_json(report)
    else:
        corpus_output.show(report)
        say(f"audit: {page}")
    # Last: who is refused wants to see the figures that say why.
    audits.refuse(report, most_overlaps)


@explain_app.command("mix")
@command
def mix(
    documents: Annotated[Path, Argument(metavar="DOCUMENTS", help="Rows of stage 1 (JSONL).")],
    replay: Annotated[Path, Option("--replay", help="Other rows (JSONL).")],
    share: Annotated[float, Option("--share", min=0, max=0.99, help="Replay's, of all tokens.")],
    out: Annotated[Path, Option("--out", help="The mixture (JSONL).")],
    seed: Seed = 0,
    tokenizer: Tokenizer = None,
    as_json: AsJson = False,
) -> None:
    """Mix replay into stage 1's documents, streaming."""
    from dataclasses import asdict

    from whyfirst.explain.mix import mix as mix_files
    from whyfirst.explain.tokens import count_pieces, tokenizer_counter

    count = count_pieces if tokenizer is None else tokenizer_counter(tokenizer)
    mixed = mix_files(documents, replay, out, share, seed, count)
    if as_json:
        print_json({"out": str(out), "share": mixed.share, **asdict(mixed)})
        return
    say(
        f"{out}: {mixed.documents} documents and {mixed.replay} replay rows "
        f"({mixed.share:.2%} of the tokens)"
    )


@command
def demonstrate(
    constitution: Constitution,
    teacher: Teacher,
    rows: Annotated[int, Option("--rows", min=1, help="How many to keep.")] = 500,
    pairs: Annotated[bool, Option("--pairs", help="Preference pairs.")] = False,
    reasoning: Annotated[
        bool, Option("--reasoning", help="With visible reasoning before the response.")
    ] = False,
    scope: Annotated[
        Literal["all", "narrow", "ambiguous"],
        Option("--scope", help="Rows that fit one value, several, or all."),
    ] = "all",
    max_new_tokens: Annotated[
        int | None,
        Option(
            "--max-new-tokens", min=1, help="Of a reply (default: 384 of a local model, else 4096)."
        ),
    ] = None,
    judge: Judge = None,
    out: Out = None,
    values: Values = None,
    seed: Seed = 0,
    against: Against = None,
    key_env: KeyEnv = None,
    price_in: PriceIn = None,
    price_out: PriceOut = None,
    max_cost: MaxCost = None,
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
) -> None:
    """Write demonstrations or preference pairs for stage 2 from a constitution."""
    from whyfirst.cli import progress
    from whyfirst.constitution import load_constitution
    from whyfirst.explain import demonstrate as demonstrating
    from whyfirst.explain.build import plan_of
    from whyfirst.explain.teachers import usage_of
    from whyfirst.explain.tested import read_tested

    loaded = load_constitution(constitution)
    tested = [read_tested(given) for given in against or []]
    folder = out or Path("corpora") / f"{loaded.name}-demonstrations"
    asking = _asking(
        (teacher, judge), key_env=key_env, price_in=price_in, price_out=price_out,
        max_cost=max_cost, max_tokens=max_tokens,
    )  # fmt: skip
    model = demonstrating.require_model(_open(teacher, folder, asking))
    judging = None if judge is None else _open(judge, folder, asking)
    asked = {"teacher": model} | ({} if judging is None else {"judge": judging})
    plan = plan_of(folder, loaded, None if values is None else values.split(","))
    most = max_new_tokens or (4096 if _is_endpoint(teacher) else _LOCAL_TOKENS)
    options = demonstrating.Options(rows, pairs, reasoning, scope, seed, most)

    def used() -> str:
        """What each model has used in this run, where it says so."""
        known = {who: getattr(one, "usage", None) for who, one in asked.items()}
        return "".join(f"; {who}: {usage}" for who, usage in known.items() if usage is not None)

    with progress.writing("demonstrations", rows, list(asked.values()), as_json) as told:
        written = demonstrating.demonstrate(
            loaded, plan, model, judging or model, options, folder, tested=tested,
            on_batch=lambda kept, wanted: told.rows(kept, wanted, used()),
        )  # fmt: skip
    name = "pairs" if pairs else "demonstrations"
    if as_json:
        spent = {who: usage_of(asked_one) for who, asked_one in asked.items()}
        file = str(folder / f"{name}.jsonl")
        print_json({"rows": len(written), "file": file, "spent": spent})
    else:
        say(f"{folder / name}.jsonl: {len(written)} {name}")
