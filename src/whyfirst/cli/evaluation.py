"""`whyfirst eval`: benchmarks on one model, a table with intervals and the unscored.

Leaves out: comparing models (that is a study), and texts of items on the terminal (`--out` has
them).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from whyfirst.cli.options import AsJson, KeyEnv, names
from whyfirst.cli.output import command, nothing_printed, print_json, say, warn
from whyfirst.config.errors import DataError, UserError
from whyfirst.config.suggest import did_you_mean

if TYPE_CHECKING:
    from whyfirst.evaluate.benchmark import Benchmark, Task
    from whyfirst.evaluate.item import ItemResult
    from whyfirst.evaluate.scorers import Scorer
    from whyfirst.models.base import LanguageModel
    from whyfirst.models.reference import ModelRef

#: what a model's answers were rendered with, where that is no template's name
_TEMPLATES = {
    "tokenizer": "the tokenizer's own",
    "plain": "plain (Human:/Assistant:, since the model has none)",
    "endpoint": "the endpoint's own",
}


@dataclass(frozen=True)
class Request:
    """What `whyfirst eval` was asked; see the command's help."""

    model: "ModelRef"
    benchmarks: tuple[str, ...]
    data: Sequence[str]
    limit: int | None
    world: int | None
    seed: int
    judges: Sequence[str]
    judge_model: "ModelRef | None"
    by: tuple[str, ...] | None
    out: Path | None
    log: Path | None


@dataclass(frozen=True)
class _Measured:
    """What a run gave: every benchmark's items, and what answered them."""

    items: list[list["ItemResult"]]
    fingerprint: str
    chat_template: str | None
    """None where no chat was asked."""


@command
def evaluate(
    model: Annotated[str, Option(help="A model folder, a Hub id, or endpoint:URL#MODEL.")],
    benchmarks: Annotated[str, Option(help="Names with commas; see `whyfirst list benchmarks`.")],
    data: Annotated[
        list[str] | None,
        Option(help="PATH or hub:ORG/NAME[@REVISION] (one folder serves all), or BENCHMARK=PATH."),
    ] = None,
    limit: Annotated[int | None, Option(min=1, help="About this many items of each.")] = None,
    judge: Annotated[
        list[str] | None,
        Option(help="Who says what a response is; see `whyfirst list scorers`."),
    ] = None,
    judge_model: Annotated[str | None, Option(help="Whom the judge asks; as --model.")] = None,
    judge_key_env: Annotated[
        str | None, Option(help="Variable with the key of the judge's endpoint.")
    ] = None,
    by: Annotated[
        str | None, Option(help="Break down by framing, group, split, topic, value, or none.")
    ] = None,
    world: Annotated[
        int | None, Option(min=0, help="World seed, for a world's benchmarks.")
    ] = None,
    seed: Annotated[int, Option(min=0, help="The arm's seed.")] = 0,
    revision: Annotated[str | None, Option(help="Branch, tag or commit of a Hub id.")] = None,
    dtype: Annotated[str | None, Option(help="float32, bfloat16 or float16.")] = None,
    device_map: Annotated[str | None, Option(help="Spread over devices, e.g. auto.")] = None,
    adapter: Annotated[
        str | None, Option(help="A LoRA adapter: folder or ORG/NAME@COMMIT.")
    ] = None,
    chat_template: Annotated[
        str | None, Option(help="A shipped name, a .jinja file, or tokenizer.")
    ] = None,
    key_env: KeyEnv = None,
    trust_remote_code: Annotated[
        bool, Option("--trust-remote-code", help="Run the model's own code (needs a commit).")
    ] = False,
    out: Annotated[Path | None, Option(help="Write every item to this JSONL file.")] = None,
    log: Annotated[
        Path | None, Option(help="Write an Inspect log of each benchmark into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score one model on benchmarks."""
    from whyfirst.cli.scoring import FIELDS
    from whyfirst.models.reference import parse_model

    chosen = names(benchmarks)
    if not chosen:
        raise UserError("--benchmarks: name at least one; see `whyfirst list benchmarks`")
    options = {
        "revision": revision, "dtype": dtype, "device_map": device_map, "adapter": adapter,
        "chat_template": chat_template, "key_env": key_env,
        "trust_remote_code": trust_remote_code or None,
    }  # fmt: skip
    asked = parse_model(model, **{name: v for name, v in options.items() if v is not None})
    keys = {} if judge_key_env is None else {"key_env": judge_key_env}
    asker = None if judge_model is None else parse_model(judge_model, **keys)
    fields = None if by is None else tuple(name for name in names(by) if name != "none")
    for name in fields or ():
        if name not in FIELDS:
            known = f"(known: {', '.join(FIELDS)}, none)"
            raise UserError(f"--by: no {name!r}{did_you_mean(name, FIELDS)} {known}")
    run(Request(asked, chosen, data or (), limit, world, seed, judge or (), asker, fields, out,
                log), as_json=as_json)  # fmt: skip


def run(request: Request, *, as_json: bool) -> None:
    """Run the benchmarks and print what they gave.

    Raises:
        UserError: an unknown benchmark, missing data, or a model that can't be loaded; the names
            and paths are checked before the model is.
    """
    from whyfirst.cli.scoring import in_order, show, show_gaps, summarise
    from whyfirst.evaluate.benchmark import benchmark_named

    chosen = [benchmark_named(name) for name in request.benchmarks]
    if request.log is not None:
        from whyfirst.interop.inspect_log import installed

        installed()  # said before an hour of scoring, not after
    # Every file is read before the model, which may take minutes to load.
    tasks = _tasks(chosen, request)
    with nothing_printed(as_json):
        measured = _score(request, chosen, tasks)
    every = [item for items in measured.items for item in items]
    by_metric: dict[str, list[ItemResult]] = {}
    for item in every:
        by_metric.setdefault(item.benchmark, []).append(item)
    for one in chosen:
        if not any(metric.name in by_metric for metric in one.metrics):
            raise UserError(f"benchmark {one.name!r}: no items; raise --limit, or look at its data")
    if empty := [m.name for _, m in in_order(chosen) if m.name not in by_metric]:
        warn(f"without items: {', '.join(empty)}")
    _write(request, chosen, measured, every)
    rows = [
        # Broken down as asked, else by all that the benchmark declares.
        summarise(one, metric, by_metric[metric.name], one.by if request.by is None else request.by)
        for one, metric in in_order(chosen)
        if metric.name in by_metric
    ]
    gaps = [gap for one, items in zip(chosen, measured.items, strict=True) if one.gaps
            for gap in one.gaps(items)]  # fmt: skip
    if as_json:
        print_json({
            "model": request.model.name, "revision": request.model.revision,
            "fingerprint": measured.fingerprint, "chat_template": measured.chat_template,
            "metrics": [asdict(row) for row in rows], "gaps": [asdict(gap) for gap in gaps],
            "items": str(request.out) if request.out else None,
        })  # fmt: skip
        return
    show(rows, every_group=request.by is not None)
    show_gaps(gaps)
    template = measured.chat_template
    if template is not None:
        say(f"chat template: {_TEMPLATES.get(template, template)}")
    if judges := sorted({judge for row in rows for judge in row.judges}):
        say(f"judged by: {', '.join(judges)}")
    if request.out is not None:
        say(f"items: {request.out}")
    if request.log is not None:
        say(f"logs: {request.log} (inspect view --log-dir {request.log})")


def _write(
    request: Request, chosen: Sequence["Benchmark"], measured: _Measured,
    every: Sequence["ItemResult"],
) -> None:  # fmt: skip
    """Write the items and logs that were asked for."""
    if request.out is not None:
        from whyfirst.study.nodes.evaluation import write_items

        write_items(request.out, every)
    if request.log is not None:
        from whyfirst.interop.inspect_log import write_log

        about = {"fingerprint": measured.fingerprint, "chat_template": measured.chat_template}
        for one, items in zip(chosen, measured.items, strict=True):
            write_log(request.log / f"{one.name}.eval", one, items, request.model.name, about)


def _tasks(chosen: Sequence["Benchmark"], request: Request) -> list["Task"]:
    """What every benchmark asks; the data are read here, before the model is loaded, so that a
    wrong file is told at once."""
    from whyfirst.data.hub import data_path

    own: dict[str, str] = {}
    plain: str | None = None
    for text in request.data:
        owner, equals, path = text.partition("=")
        if equals and owner in request.benchmarks:
            own.setdefault(owner, path)
        if not equals or Path(text).exists():
            plain = text
        elif owner not in request.benchmarks:
            # Its "=" isn't part of a path's name, so it is a slip in the benchmark's.
            hint = did_you_mean(owner, request.benchmarks)
            raise UserError(
                f"--data {text}: {owner!r} is none of the benchmarks asked for{hint} "
                f"({', '.join(request.benchmarks)})"
            )
    tasks = []
    for benchmark in chosen:
        name = benchmark.name
        given = own.get(name, plain)
        if given is None and not benchmark.needs.startswith("nothing"):
            prefix = "" if len(chosen) == 1 else f"{name}="
            raise UserError(f"benchmark {name!r} needs --data {prefix}PATH: {benchmark.needs}")
        try:
            data = None if given is None else data_path(given)
        except UserError as error:
            raise UserError(f"--data: {error}") from None
        options = {"limit": request.limit, "data": data}
        options = {key: value for key, value in options.items() if key in benchmark.options}
        shared = data is not None and len(chosen) > 1 and given == plain
        hint = f"; give it its own with --data {name}=PATH" if shared else ""
        try:
            task = benchmark.task(seed=request.seed, world=request.world, **options)
        except DataError as error:
            raise DataError(f"benchmark {name!r}: {error}{hint}") from None
        if data is not None and not task.prompts:
            raise DataError(f"benchmark {name!r}: {data} holds no items{hint}")
        tasks.append(task)
    return tasks


def _score(request: Request, chosen: Sequence["Benchmark"], tasks: Sequence["Task"]) -> _Measured:
    from whyfirst.cli.progress import steps
    from whyfirst.models.decoding.budget import Counted
    from whyfirst.models.reference import open_model
    from whyfirst.study.execute.store import REPLIES
    from whyfirst.study.run import default_store

    replies = default_store() / REPLIES
    asker = None if request.judge_model is None else open_model(request.judge_model, cache=replies)
    judges = _judges(request.judges, asker, chosen)
    # Replies are kept by what was asked, so another run of the same costs nothing.
    inner = open_model(request.model, cache=replies)
    model = Counted(inner)
    results = []
    for benchmark, task in zip(chosen, tasks, strict=True):
        _warn_of_unknown_words(inner, benchmark.name, task)
        with steps(benchmark.name) as progress:
            results.append(task.run(model, judges[benchmark.name], progress))
    return _Measured(results, model.fingerprint, model.chat_template if model.chats else None)


def _judges(
    specs: Sequence[str], asker: "LanguageModel | None", chosen: Sequence["Benchmark"]
) -> dict[str, tuple["Scorer", ...]]:
    """Benchmark -> the judges given that answer one of its questions.

    Raises:
        UserError: a judge that no benchmark asks, or one that needs a model and has none.
    """
    from whyfirst.evaluate.scorers import make_scorer

    judges: dict[str, tuple[Scorer, ...]] = {benchmark.name: () for benchmark in chosen}
    for spec in specs:
        try:
            judge = make_scorer(spec, asker)
        except UserError as error:
            hint = "" if asker is not None else " (--judge-model)"
            raise UserError(f"--judge: {error}{hint}") from None
        # A judge that answers another question would give verdicts that look right.
        takers = [one.name for one in chosen if judge.question in one.questions]
        if not takers:
            questions = sorted({question for one in chosen for question in one.questions})
            known = " or ".join(map(repr, questions)) or "nothing"
            raise UserError(
                f"--judge {spec}: it says whether a response is {judge.question!r}; the "
                f"benchmarks asked for want to know {known}"
            )
        for name in takers:
            judges[name] += (judge,)
    return judges


def _warn_of_unknown_words(model: "LanguageModel", name: str, task: "Task") -> None:
    """A tokenizer that can't spell a benchmark's prompts gives scores that mean nothing."""
    tokenizer = getattr(model, "tokenizer", None)
    unknown = None if tokenizer is None else tokenizer.unk_token_id
    if tokenizer is None or unknown is None:
        return
    # Some hundreds show it: a vocabulary that doesn't fit misses in every other prompt.
    encoded = tokenizer(task.prompts[:500], add_special_tokens=False)["input_ids"]
    tokens = [token for ids in encoded for token in ids]
    share = sum(token == unknown for token in tokens) / max(1, len(tokens))
    if share > 0.01:
        warn(
            f"{name}: {share:.0%} of the prompts' tokens are unknown words to this "
            "model's tokenizer; its scores say little (of a world: is it the right --world?)"
        )
