"""Rows that a language model writes with a published generator, from a file of seeds.

Leaves out: the generators (explain/generators) and their runs (explain/generate.py).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.config.room import Use, use_of
from whyfirst.config.strict import affects_output, runtime_only
from whyfirst.data.rows import iter_rows, texts_of
from whyfirst.explain.diversity import distinct, self_bleu
from whyfirst.explain.generate import check_seeds, generate
from whyfirst.explain.generators import GENERATORS
from whyfirst.explain.teachers import usage_by_name
from whyfirst.models.base import LanguageModel
from whyfirst.models.embed import embedder, encoder_of
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.models.replies import KeptModel, replies_file
from whyfirst.study.sources import CORPORA, Note, Row, unnoted

_CHARACTERS = 4  # of a token, where only a length is wanted


def _inputs(options: Mapping[str, Any], world: object) -> dict[str, str]:
    use = Use.model_validate(options["generator"])
    made_by = {"generator": sha256_json(GENERATORS.identity(use))}
    if encoder := encoder_of([GENERATORS.get(use.name).context]):
        made_by["embedding"] = sha256_json(encoder)
    return made_by


def _asks(options: Mapping[str, Any]) -> list[tuple[str, ModelRef | None]]:
    judge = options.get("judge")
    models = [("teacher", options.get("teacher"))] + ([] if judge is None else [("judge", judge)])
    return [(role, None if m is None else ModelRef.model_validate(m)) for role, m in models]


def _seeds(options: Mapping[str, Any]) -> list[Row]:
    rows = iter_rows(Path(options["seeds"]))
    return [row for row, _ in zip(rows, range(options.get("size") or 10**9), strict=False)]


def _calls(options: Mapping[str, Any]) -> int:
    use = Use.model_validate(options["generator"])
    entry, filled = GENERATORS.get(use.name), GENERATORS.filled(use).model_dump()
    most = len(_seeds(options)) * int(entry.facts["calls"](filled))
    return most if options.get("calls") is None else min(most, options["calls"])


def _ahead(options: Mapping[str, Any], given: Mapping[str, Any]) -> list[Row]:
    """A row a seed, of the longest answers there can be.

    Raises:
        DataError: a seed lacks a column.
    """
    use = Use.model_validate(options["generator"])
    gives = GENERATORS.get(use.name).facts["gives"]
    check_seeds(use, _seeds(options))
    text = "word " * (options["max_new_tokens"] * _CHARACTERS // len("word "))
    chat = [{"role": "user", "content": "word"}, {"role": "assistant", "content": text}]
    made = {name: chat if name == "messages" else "word" if name == "prompt" else text
            for name in gives}  # fmt: skip
    return [made for _ in _seeds(options)]


@CORPORA.enter(
    "generated",
    inputs=_inputs,
    asks=_asks,
    calls=_calls,
    ahead=_ahead,
    reads_base=lambda options: options.get("teacher") is None,
    several=lambda options: True,
)
def generated(
    *,
    generator: Annotated[
        Use, use_of(GENERATORS), affects_output(description="`whyfirst list generators`")
    ],
    seeds: Annotated[Path, runtime_only(description="rows it starts from; their content counts")],
    size: Annotated[int | None, affects_output(ge=1, description="seeds; null: all")] = None,
    teacher: Annotated[
        ModelRef | None, affects_output(description="who writes; null: the study's model")
    ] = None,
    judge: Annotated[
        ModelRef | None, affects_output(description="who judges; null: the teacher")
    ] = None,
    calls: Annotated[
        int | None, affects_output(ge=1, description="completions asked for at most; null: any")
    ] = None,
    max_new_tokens: Annotated[int, affects_output(ge=1, description="of one answer")] = 1024,
    temperature: Annotated[float, affects_output(ge=0)] = 0.7,
    writing_seed: Annotated[int, affects_output(ge=0, description="not the study's")] = 0,
    open_base: Callable[[], LanguageModel] | None = None,
    replies: Path | None = None,
    note: Note = unnoted,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[Row]:
    """What a generator has a model write, from a file of seeds."""
    refs = dict(_asks({"teacher": teacher, "judge": judge}))
    models = {role: _opened(ref, open_base, replies) for role, ref in refs.items()}
    rows = _seeds({"seeds": seeds, "size": size})
    made = generate(
        generator, rows, models["teacher"], models.get("judge"), calls=calls,
        max_new_tokens=max_new_tokens, temperature=temperature, seed=writing_seed,
        embed=embedder(),
        on_group=lambda done, all_, rows: progress(done, all_, f"{rows} rows"),
    )  # fmt: skip
    note("left_out", {f"0 {generator.name}": dict(made.left_out)})
    note("calls", dict(made.calls))
    texts = [text for row in made.rows for text in texts_of(row) if text]
    note("audit", {"distinct_2": distinct(texts, 2), "self_bleu": self_bleu(texts)})
    asked = ((ref.name, models[role]) for role, ref in refs.items() if ref is not None)
    note("spent", usage_by_name(asked))
    return made.rows


def _opened(
    ref: ModelRef | None, open_base: Callable[[], LanguageModel] | None, replies: Path | None
) -> LanguageModel:
    """A model that keeps what it answers."""
    if ref is not None:
        model = open_model(ref, cache=replies)
    elif open_base is not None:
        model = open_base()
    else:
        raise UserError("a generator without a teacher asks the study's model, which is not there")
    if replies is None or (ref is not None and ref.endpoint is not None):
        return model
    return KeptModel(model, replies_file(replies, model))
