"""`whyfirst eval`: benchmarks on one model, a table with intervals and the unscored.

Leaves out: comparing models (that is a study), and texts of items on the terminal (`--out` has
them).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from whyfirst.cli.options import AsJson, Decoding, KeyEnv, decoded, names, open_asked, spending
from whyfirst.cli.output import command, nothing_printed, print_json, say, warn
from whyfirst.config.errors import DataError, UserError, did_you_mean

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
class ModelOptions:
    """The model to evaluate, as `models.reference.parse_model` takes it."""

    model: Annotated[str, Option(help="A model folder, a Hub id, or endpoint:URL#MODEL.")]
    revision: Annotated[str | None, Option(help="Branch, tag or commit of a Hub id.")] = None
    dtype: Annotated[str | None, Option(help="float32, bfloat16 or float16.")] = None
    device_map: Annotated[str | None, Option(help="Spread over devices, e.g. auto.")] = None
    adapter: Annotated[str | None, Option(help="A LoRA adapter: folder or ORG/NAME@COMMIT.")] = None
    chat_template: Annotated[
        str | None, Option(help="A shipped name, a .jinja file, or tokenizer.")
    ] = None
    key_env: KeyEnv = None
    trust_remote_code: Annotated[
        bool, Option("--trust-remote-code", help="Run the model's own code (needs a commit).")
    ] = False

    @property
    def reference(self) -> "ModelRef":
        """The model by its name, with the options that were given."""
        from whyfirst.models.reference import parse_model

        given = {name: v for name, v in vars(self).items() if v is not None and v is not False}
        return parse_model(given.pop("model"), **given)


@dataclass(frozen=True)
class JudgeOptions:
    """Who says what a response is, and whom they ask."""

    judge: Annotated[
        list[str] | None, Option(help="Who says what a response is; see `whyfirst list scorers`.")
    ] = None
    judge_model: Annotated[str | None, Option(help="Whom the judge asks; as --model.")] = None
    judge_key_env: Annotated[
        str | None, Option(help="Variable with the key of the judge's endpoint.")
    ] = None

    @cached_property
    def asker(self) -> "LanguageModel | None":
        """The model that judges, and that methods of decoding ask."""
        if self.judge_model is None:
            return None
        return open_asked(self.judge_model, key_env=self.judge_key_env)

    def refuse_unasked(self, decoding: list[str] | None) -> None:
        """Refuse a model that nobody would ask, and a key for none.

        Raises:
            UserError: no judge and no method of decoding asks a model.
        """
        from whyfirst.cli.options import decoding_uses
        from whyfirst.evaluate.scorers import asks_a_model
        from whyfirst.models.decoding import DECODINGS

        if self.judge_model is None:
            if self.judge_key_env is not None:
                raise UserError("--judge-key-env: is of --judge-model, and none is given")
            return
        methods = [DECODINGS.get(use["name"]) for use in decoding_uses(decoding)]
        asked = any("judge_model" in method.context for method in methods)
        if not asked and not any(map(asks_a_model, self.judge or ())):
            raise UserError(
                "--judge-model: nobody would ask it; name a judge that asks a model (--judge), or "
                "a --decoding that does"
            )

    def scorers(self, chosen: Sequence["Benchmark"]) -> dict[str, tuple["Scorer", ...]]:
        """Benchmark -> the judges given that answer one of its questions.

        Raises:
            UserError: a judge that no benchmark asks, or one that needs a model and has none.
        """
        from whyfirst.evaluate.scorers import make_scorer

        asker = self.asker
        judges: dict[str, tuple[Scorer, ...]] = {benchmark.name: () for benchmark in chosen}
        for spec in self.judge or ():
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


@dataclass(frozen=True)
class ItemOptions:
    """What is asked: benchmarks, and where their data are."""

    benchmarks: Annotated[str, Option(help="Names with commas; see `whyfirst list benchmarks`.")]
    data: Annotated[
        list[str] | None,
        Option(help="PATH or hub:ORG/NAME[@REVISION] (one folder serves all), or BENCHMARK=PATH."),
    ] = None
    limit: Annotated[int | None, Option(min=1, help="About this many items of each.")] = None
    world: Annotated[int | None, Option(min=0, help="World seed, for a world's benchmarks.")] = None
    seed: Annotated[
        int | None,
        Option(min=0, help="The arm's seed (default: 0); of a village, the side of the world."),
    ] = None

    def chosen(self) -> list["Benchmark"]:
        """What the benchmarks declare.

        Raises:
            UserError: none is named, or one is unknown.
        """
        from whyfirst.evaluate.benchmark import benchmark_named

        if not (found := [benchmark_named(name) for name in names(self.benchmarks)]):
            raise UserError("--benchmarks: name at least one; see `whyfirst list benchmarks`")
        return found

    def tasks(self, chosen: Sequence["Benchmark"]) -> list["Task"]:
        """What every benchmark asks, its data read.

        Raises:
            UserError: data are missing, or given to none of the benchmarks.
            DataError: they can't be read, or hold no item.
        """
        from whyfirst.data.hub import data_path
        from whyfirst.evaluate.benchmark import BENCHMARKS

        known = [benchmark.name for benchmark in chosen]
        own: dict[str, str] = {}
        plain: str | None = None
        for text in self.data or ():
            owner, equals, path = text.partition("=")
            if owner in own if equals else plain is not None:
                raise UserError(f"--data {text}: there is another for the same; give one of them")
            if equals and owner in known:
                own[owner] = path
            if not equals or Path(text).exists():
                plain = text
            elif owner not in known:
                # Its "=" isn't part of a path's name, so it is a slip in the benchmark's.
                hint = did_you_mean(owner, known)
                raise UserError(
                    f"--data {text}: {owner!r} is none of the benchmarks asked for{hint} "
                    f"({', '.join(known)})"
                )
        # What nothing reads would look as if it had been read.
        reading = [one.name for one in chosen if "data" in one.options]
        idle = [f"{name}={path}" for name, path in own.items() if name not in reading]
        if plain is not None and not set(reading) - set(own) and plain.partition("=")[0] not in own:
            idle.append(plain)
        if idle:
            raise UserError(f"--data {idle[0]}: no benchmark asked for reads it")
        unlimited = [one.name for one in chosen if "limit" not in one.options]
        if self.limit is not None and unlimited:
            warn(f"--limit changes nothing for {', '.join(unlimited)}: all of it is asked")
        taken = {name for one in known for name in BENCHMARKS.get(one).context}
        for name, value in (("world", self.world), ("seed", self.seed)):
            if value is not None and name not in taken:
                warn(f"--{name} changes nothing for {', '.join(known)}")
        tasks = []
        for benchmark in chosen:
            name = benchmark.name
            given = own.get(name, plain)
            if given is None and not benchmark.needs.startswith("nothing"):
                # The remedy as it has to be typed.
                prefix = "" if len(chosen) == 1 else f"{name}="
                raise UserError(f"benchmark {name!r} needs --data {prefix}PATH: {benchmark.needs}")
            try:
                data = None if given is None else data_path(given)
            except UserError as error:
                raise UserError(f"--data: {error}") from None
            options: dict[str, Any] = {"limit": self.limit, "data": data}
            # A world's benchmark has no data, and some have no limit.
            options = {key: value for key, value in options.items() if key in benchmark.options}
            # Where one folder serves all, what is wrong may be that it doesn't serve this one.
            shared = data is not None and len(chosen) > 1 and given == plain
            hint = f"; give it its own with --data {name}=PATH" if shared else ""
            try:
                task = benchmark.task(seed=self.seed or 0, world=self.world, **options)
            except DataError as error:
                raise DataError(f"benchmark {name!r}: {error}{hint}") from None
            if data is not None and not task.prompts:
                raise DataError(f"benchmark {name!r}: {data} holds no items{hint}")
            tasks.append(task)
        return tasks


@command
def evaluate(
    model: ModelOptions,
    items: ItemOptions,
    judges: JudgeOptions,
    decoding: Decoding = None,
    by: Annotated[
        str | None, Option(help="Break down by framing, group, split, topic, value, or none.")
    ] = None,
    out: Annotated[Path | None, Option(help="Write every item to this JSONL file.")] = None,
    log: Annotated[
        Path | None, Option(help="Write an Inspect log of each benchmark into this folder.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score one model on benchmarks."""
    from whyfirst.cli.progress import steps
    from whyfirst.cli.scoring import FIELDS, in_order, show, summarise
    from whyfirst.evaluate.item import chosen as known
    from whyfirst.models.reference import open_model
    from whyfirst.study.execute.store import REPLIES
    from whyfirst.study.run import default_store

    chosen, reference = items.chosen(), model.reference
    fields = None if by is None else [name for name in names(by) if name != "none"]
    known(fields, FIELDS, "--by field")
    if log is not None:
        from whyfirst.interop.inspect_log import installed, write_log

        installed()  # said before an hour of scoring, not after
    judges.refuse_unasked(decoding)
    # Every file is read before the model, which may take minutes to load.
    tasks = items.tasks(chosen)
    if decoding:
        warn_of_idle_decoding(chosen, tasks)
    results: list[list[ItemResult]] = []
    with nothing_printed(as_json):
        scorers = judges.scorers(chosen)
        # Replies are kept by what was asked, so another run of the same costs nothing.
        inner = open_model(reference, cache=default_store() / REPLIES)
        # Counted, so that the record knows whether any chat was asked and by which template.
        asked, budget = decoded(inner, decoding, judges.asker)
        for one, task in zip(chosen, tasks, strict=True):
            warn_of_unknown_words(inner, one.name, task)
            with steps(one.name) as progress:
                results.append(task.run(asked, scorers[one.name], progress))
    template = asked.chat_template if asked.chats else None  # None where no chat was asked
    measured = in_order(chosen, results)
    if out is not None:
        from whyfirst.study.nodes.evaluation import write_items

        write_items(out, [item for found in results for item in found])
    rows = [
        # Broken down as asked, else by all that the benchmark declares.
        summarise(one, metric, found, one.by if fields is None else fields)
        for one, metric, found in measured
    ]
    gaps = []
    for one, found in zip(chosen, results, strict=True):
        gaps += one.gaps(found) if one.gaps else []
        if log is not None:
            about = {"fingerprint": asked.fingerprint, "chat_template": template}
            write_log(log / f"{one.name}.eval", one, found, reference.name, about)
    if as_json:
        print_json({
            "model": reference.name, "revision": reference.revision,
            "fingerprint": asked.fingerprint, "chat_template": template,
            "metrics": [asdict(row) for row in rows], "gaps": [gap.to_json() for gap in gaps],
            "items": str(out) if out else None,
            "decoding": decoding or [], "budget": budget.to_json() if decoding else {},
            "fallbacks": budget.fallbacks,
        })  # fmt: skip
        return
    show(rows, gaps, every_group=fields is not None)
    for line in spending(budget) if decoding else ():
        say(line)
    judged_by = ", ".join(sorted({judge for row in rows for judge in row.judges}))
    say_where(template, judged_by, out, log)


def say_where(template: str | None, judges: str, out: Path | None, log: Path | None) -> None:
    """Say what the answers were made with and where all of it lies, as far as it is there."""
    for title, text in (
        ("chat template", template and _TEMPLATES.get(template, template)),
        ("judged by", judges),
        ("items", out),
        ("logs", log and f"{log} (inspect view --log-dir {log})"),
    ):
        if text:
            say(f"{title}: {text}")


def warn_of_idle_decoding(chosen: Sequence["Benchmark"], tasks: Sequence["Task"]) -> None:
    """Likelihoods are the model's own whatever method it answers by."""
    from whyfirst.study.cost.parts import rehearsed
    from whyfirst.study.reading import only_likelihoods

    for one, task in zip(chosen, tasks, strict=True):
        found = rehearsed((), lambda task=task: task)  # type: ignore[misc]
        if found is not None and found.only_likelihoods:
            warn(only_likelihoods(one.name))


def warn_of_unknown_words(model: "LanguageModel", name: str, task: "Task") -> None:
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
