"""`whyfirst eval`: benchmarks on one model, a table with intervals and the unscored.

Leaves out: comparing models (that is a study), and texts of items on the terminal (`--out` has
them).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from whyfirst.cli.output import nothing_printed, print_json, say, warn
from whyfirst.cli.scoring import FIELDS, in_order, show, show_gaps, summarise
from whyfirst.config.errors import DataError, UserError
from whyfirst.config.suggest import did_you_mean
from whyfirst.data.hub import data_path
from whyfirst.evaluate.benchmark import Benchmark, Metric, Task, benchmark_named
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import Scorer, make_scorer
from whyfirst.models.base import LanguageModel
from whyfirst.models.reference import ModelRef, open_model, parse_model


@dataclass(frozen=True)
class Request:
    """What `whyfirst eval` was asked; see the command's help."""

    model: ModelRef
    benchmarks: tuple[str, ...]
    data: tuple[str, ...] = ()
    limit: int | None = None
    world: int | None = None
    seed: int = 0
    judges: tuple[str, ...] = ()
    judge_model: ModelRef | None = None
    by: tuple[str, ...] | None = None
    out: Path | None = None
    log: Path | None = None


@dataclass(frozen=True)
class _Found:
    """What a run gave: every benchmark's items, and what answered them."""

    items: list[list[ItemResult]]
    fingerprint: str
    chat_template: str | None
    """None where no chat was asked."""


def request(
    *,
    model: str,
    benchmarks: str,
    judge_model: str | None,
    model_options: dict[str, Any],
    judge_key_env: str | None,
    by: str | None,
    **more: Any,
) -> Request:
    """A `Request` from the command's words.

    Raises:
        UserError: no such benchmark or field, or a model that isn't named rightly.
    """
    names = tuple(dict.fromkeys(name.strip() for name in benchmarks.split(",") if name.strip()))
    if not names:
        raise UserError("--benchmarks: name at least one; see `whyfirst list benchmarks`")
    given = {name: value for name, value in model_options.items() if value is not None}
    judging = None
    if judge_model is not None:
        keys = {} if judge_key_env is None else {"key_env": judge_key_env}
        judging = parse_model(judge_model, **keys)
    fields: tuple[str, ...] | None = None
    if by is not None:
        fields = tuple(name.strip() for name in by.split(",") if name.strip() not in ("", "none"))
        for name in fields:
            if name not in FIELDS:
                known = f"(known: {', '.join(FIELDS)}, none)"
                raise UserError(f"--by: no {name!r}{did_you_mean(name, FIELDS)} {known}")
    return Request(parse_model(model, **given), names, judge_model=judging, by=fields, **more)


def evaluate(request: Request, *, as_json: bool) -> None:
    """Run the benchmarks and print what they gave.

    Raises:
        UserError: an unknown benchmark, missing data, or a model that can't be loaded; the names
            and paths are checked before the model is.
    """
    chosen = [benchmark_named(name) for name in request.benchmarks]
    if request.log is not None:
        from whyfirst.interop.inspect_log import installed

        installed()  # said before an hour of scoring, not after
    tasks = _tasks(chosen, request)
    with nothing_printed(as_json):
        found = _score(request, chosen, tasks)
    by_metric: dict[str, list[ItemResult]] = {}
    for item in (item for items in found.items for item in items):
        by_metric.setdefault(item.benchmark, []).append(item)
    if request.out is not None:
        _write(request.out, [item for items in found.items for item in items])
    if request.log is not None:
        _write_logs(request.log, request, chosen, found)
    rows = [
        summarise(one, metric, by_metric[metric.name], _fields(request, one))
        for one, metric in _measured(chosen, by_metric)
    ]
    gaps = [gap for one, items in zip(chosen, found.items, strict=True) if one.gaps
            for gap in one.gaps(items)]  # fmt: skip
    if as_json:
        print_json({
            "model": request.model.name, "revision": request.model.revision,
            "fingerprint": found.fingerprint, "chat_template": found.chat_template,
            "metrics": [asdict(row) for row in rows], "gaps": [asdict(gap) for gap in gaps],
            "items": str(request.out) if request.out else None,
        })  # fmt: skip
        return
    show(rows, every_group=request.by is not None)
    show_gaps(gaps)
    if found.chat_template is not None:
        say(f"chat template: {_template(found.chat_template)}")
    judges = sorted({judge for row in rows for judge in row.judges})
    if judges:
        say(f"judged by: {', '.join(judges)}")
    if request.out is not None:
        say(f"items: {request.out}")
    if request.log is not None:
        say(f"logs: {request.log} (inspect view --log-dir {request.log})")


def _template(name: str) -> str:
    explained = {
        "tokenizer": "the tokenizer's own",
        "plain": "plain (Human:/Assistant:, since the model has none)",
        "endpoint": "the endpoint's own",
    }
    return explained.get(name, name)


def _measured(
    chosen: Sequence[Benchmark], by_metric: dict[str, list[ItemResult]]
) -> list[tuple[Benchmark, Metric]]:
    """The metrics that have items.

    Raises:
        UserError: a benchmark has none at all.
    """
    for one in chosen:
        if not any(metric.name in by_metric for metric in one.metrics):
            raise UserError(f"benchmark {one.name!r}: no items; raise --limit, or look at its data")
    found = in_order(chosen)
    empty = [metric.name for _, metric in found if metric.name not in by_metric]
    if empty:
        warn(f"without items: {', '.join(empty)}")
    return [(one, metric) for one, metric in found if metric.name in by_metric]


def _fields(request: Request, benchmark: Benchmark) -> tuple[str, ...]:
    """What a benchmark's metrics are broken down by: as asked, else by all it declares."""
    return benchmark.by if request.by is None else request.by


def _tasks(chosen: Sequence[Benchmark], request: Request) -> list[Task]:
    """What every benchmark asks; the data are read here, before the model is loaded, so that a
    wrong file is told at once."""
    _check_owners(request)
    result = []
    for benchmark in chosen:
        given = _data_of(benchmark.name, request.data)
        if given is None and not benchmark.needs.startswith("nothing"):
            one = "" if len(chosen) == 1 else f"{benchmark.name}="
            raise UserError(
                f"benchmark {benchmark.name!r} needs --data {one}PATH: {benchmark.needs}"
            )
        try:
            data = None if given is None else data_path(given)
        except UserError as error:
            raise UserError(f"--data: {error}") from None
        options = {"limit": request.limit, "data": data}
        own = {name: value for name, value in options.items() if name in benchmark.options}
        shared = data is not None and len(chosen) > 1 and given in request.data
        hint = f"; give it its own with --data {benchmark.name}=PATH" if shared else ""
        try:
            task = benchmark.task(seed=request.seed, world=request.world, **own)
        except DataError as error:
            raise DataError(f"benchmark {benchmark.name!r}: {error}{hint}") from None
        if data is not None and not task.prompts:
            raise DataError(f"benchmark {benchmark.name!r}: {data} holds no items{hint}")
        result.append(task)
    return result


def _check_owners(request: Request) -> None:
    """``NAME=PATH`` of a benchmark that isn't asked for is a slip, unless such a path exists."""
    for text in request.data:
        owner, equals, _ = text.partition("=")
        if equals and owner not in request.benchmarks and not Path(text).exists():
            hint = did_you_mean(owner, request.benchmarks)
            raise UserError(
                f"--data {text}: {owner!r} is none of the benchmarks asked for{hint} "
                f"({', '.join(request.benchmarks)})"
            )


def _data_of(name: str, given: Sequence[str]) -> str | None:
    """The data of one benchmark: its own `NAME=PATH`, else the plain `PATH` of all."""
    plain: str | None = None
    for text in given:
        owner, equals, path = text.partition("=")
        if equals and owner == name:
            return path
        if not equals or Path(text).exists():
            plain = text
    return plain


def _score(request: Request, chosen: Sequence[Benchmark], tasks: Sequence[Task]) -> _Found:
    from whyfirst.cli.progress import steps
    from whyfirst.models.decoding.budget import Counted
    from whyfirst.study.execute.store import REPLIES
    from whyfirst.study.run import default_store

    replies = default_store() / REPLIES
    judges = _judges(request, chosen, replies)
    inner = open_model(request.model, cache=replies)
    model = Counted(inner)
    results = []
    for benchmark, task in zip(chosen, tasks, strict=True):
        _warn_of_unknown_words(inner, benchmark.name, task)
        with steps(benchmark.name) as progress:
            results.append(task.run(model, judges[benchmark.name], progress))
    template = model.chat_template if model.chats else None
    return _Found(results, model.fingerprint, template)


def _judges(
    request: Request, chosen: Sequence[Benchmark], replies: Path
) -> dict[str, tuple[Scorer, ...]]:
    """Benchmark -> the judges given that answer one of its questions.

    Raises:
        UserError: a judge that no benchmark asks, or one that needs a model and has none.
    """
    asked = None
    if request.judge_model is not None:
        asked = open_model(request.judge_model, cache=replies)
    found: dict[str, tuple[Scorer, ...]] = {benchmark.name: () for benchmark in chosen}
    for spec in request.judges:
        try:
            judge = make_scorer(spec, asked)
        except UserError as error:
            hint = "" if asked is not None else " (--judge-model)"
            raise UserError(f"--judge: {error}{hint}") from None
        takers = [one.name for one in chosen if judge.question in one.questions]
        if not takers:
            questions = sorted({question for one in chosen for question in one.questions})
            known = " or ".join(map(repr, questions)) or "nothing"
            raise UserError(
                f"--judge {spec}: it says whether a response is {judge.question!r}; the "
                f"benchmarks asked for want to know {known}"
            )
        for name in takers:
            found[name] += (judge,)
    return found


def _warn_of_unknown_words(model: LanguageModel, name: str, task: Task) -> None:
    """A tokenizer that can't spell a benchmark's prompts gives scores that mean nothing."""
    tokenizer = getattr(model, "tokenizer", None)
    unknown = None if tokenizer is None else tokenizer.unk_token_id
    if tokenizer is None or unknown is None:
        return
    prompts = task.prompts[:500]
    encoded = tokenizer(prompts, add_special_tokens=False)["input_ids"]
    tokens = [token for ids in encoded for token in ids]
    share = sum(token == unknown for token in tokens) / max(1, len(tokens))
    if share > 0.01:
        warn(
            f"{name}: {share:.0%} of the prompts' tokens are unknown words to this "
            "model's tokenizer; its scores say little (of a world: is it the right --world?)"
        )


def _write(path: Path, items: Sequence[ItemResult]) -> None:
    from whyfirst.study.nodes.evaluation import write_items

    write_items(path, items)


def _write_logs(folder: Path, request: Request, chosen: Sequence[Benchmark], found: _Found) -> None:
    from whyfirst.interop.inspect_log import write_log

    about = {"fingerprint": found.fingerprint, "chat_template": found.chat_template}
    for benchmark, items in zip(chosen, found.items, strict=True):
        write_log(folder / f"{benchmark.name}.eval", benchmark, items, request.model.name, about)
