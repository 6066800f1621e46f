"""What is read of a study's files before any work: a run ends at once on files it can't use.

Costs about what ``whyfirst plan`` does, loads no model, and is left out of a finished study's run.
Leaves out: rows that can't be there yet (a teacher's, and what is made with a model).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter

from whyfirst import __version__
from whyfirst.config.errors import ConfigError, DataError, UserError
from whyfirst.config.plugins import source_of
from whyfirst.data.checks import Finding, check_rows, columns_of
from whyfirst.data.rows import Which, prompts_in, shaped
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.folder import check_weights, fast_tokenizer, tokenizer_folder
from whyfirst.models.gguf_file import is_gguf
from whyfirst.study.execute.graph import Node, by_name
from whyfirst.study.execute.known import keep, recalled
from whyfirst.study.execute.store import Store
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes import comparison, corpus, evaluation
from whyfirst.study.nodes.rows_ahead import rows_ahead
from whyfirst.study.plan import Plan, refuse_empty_cells, refuse_unknown_parts, unused
from whyfirst.study.sources import CORPORA, Row, has_model_write
from whyfirst.train.config import StageConfig
from whyfirst.train.config_rl import Online
from whyfirst.train.kinds import data_names, kind_of

Readers = Sequence[tuple[Node, str]]
"""The stages that read a corpus, each with what it calls the rows."""
# Rows that are brought to tokens: of a longer corpus, as many spread over the whole of it.
_ENCODED = 2000


def refuse_unusable(plan: Plan, store: Store) -> tuple[str, ...]:
    """Refuse a study whose model, corpora or benchmarks can't be used as they lie there.

    Args:
        store: keeps what was found of a corpus, so that the same rows aren't read again.

    Returns:
        What will run all the same and a reader should know: parts that no arm uses, unknown words.

    Raises:
        UserError: a broken model folder, a corpus with rows that a stage would refuse, benchmark
            data that can't be read, a contrast that would compare nothing, a part of a cell that
            no item has, or decoding that would change nothing; names the file.
    """
    model, ref, told = None, plan.study.model, unused(plan)
    if plan.model_place is not None:
        folder = Path(plan.model_place)
        # The base of an adapter may have to be fetched first.
        model = folder if (folder / "config.json").is_file() else None
        # Of a GGUF file there is no more than its config and tokenizer before it is read.
        if model is not None and isinstance(ref, PretrainedModel) and not is_gguf(str(ref.path)):
            check_weights(folder)
            adapter = plan.by_id["base"].payload["model"].get("adapter")
            fast_tokenizer(tokenizer_folder([folder, *([Path(adapter)] if adapter else [])]))
    of_rows, new = _of_corpora(plan, store, model)
    told += of_rows
    evaluation.rehearsals(plan.nodes)
    try:
        comparison.refuse_unaskable(plan.nodes)
    except DataError as error:
        raise DataError(f"{plan.file}: {error}") from error
    refuse_empty_cells(plan, reading=True)
    refuse_unknown_parts(plan)
    told += _idle_decoding(plan)
    # A mistake leaves no store behind, so that one is made only now.
    for of, said in new:
        keep(store, "rows", of, said)
    return tuple(dict.fromkeys(told))


def _idle_decoding(plan: Plan) -> list[str]:
    """Benchmarks that arms' decoding changes nothing of: what they ask for is likelihoods alone.

    Those are the model's own whatever method it answers by (`whyfirst.models.decoding`); of a
    method that isn't ours that isn't known.

    Raises:
        ConfigError: an arm that is asked for nothing else.
    """
    study, found = plan.study, evaluation.rehearsals(plan.nodes)
    alike = [name for name in study.benchmarks if name in found and found[name].only_likelihoods]
    decoded = [
        name
        for name, arm in study.arms.items()
        if arm.decoding and not any(source_of(DECODINGS.get(u.name).function) for u in arm.decoding)
    ]
    compared = {arm for one in study.comparisons for arm in (one.a, one.b)}
    for name in decoded:
        if len(alike) == len(study.benchmarks) and name not in compared:
            raise ConfigError(
                f"{plan.file}: arms.{name}.decoding: changes nothing that is measured: every "
                f"benchmark ({', '.join(alike)}) asks only for likelihoods; add one that asks for "
                "responses, or a comparison of the arm's"
            )
    return [only_likelihoods(name) for name in alike if decoded]


def only_likelihoods(benchmark: str) -> str:
    """What a reader is told of decoding and a benchmark that asks for no response."""
    return f"decoding changes nothing of benchmark {benchmark}, which asks only for likelihoods"


def _of_corpora(
    plan: Plan, store: Store, model: Path | None
) -> tuple[list[str], list[tuple[Any, list[str]]]]:
    """What a reader should know of the corpora's rows; and what of it the store doesn't know yet.

    Raises:
        DataError: as `_check_corpus`, naming the study's file and the corpus.
    """
    # Corpus -> the stages that read it, each with what it calls the rows.
    readers: dict[str, list[tuple[Node, str]]] = {}
    for name, (stage, *_) in by_name(plan.nodes, "stage").items():
        use = plan.study.stages[name]
        read = [given for given in (use.data, use.replay_data) if given]
        for given, data in zip(read, data_names(use.train), strict=False):
            readers.setdefault(given, []).append((stage, data))
    told: list[str] = []
    new: list[tuple[Any, list[str]]] = []
    for name, (node, *_) in by_name(plan.nodes, "corpus").items():
        source = plan.study.corpora[name]
        drawn = source.name == "written" or has_model_write(source.name)
        asks = "asks" in CORPORA.get(source.name).facts
        if not drawn and (asks or not corpus.reads_base(source)):
            at, reading = f"{plan.file}: corpora.{name}", readers.get(name, [])
            of = _inputs(node, reading, model)
            said: list[str] | None = recalled(store, "rows", of, list[str])
            if said is None:
                try:
                    said = _check_corpus(plan, node, reading, model)
                except DataError as error:
                    raise DataError(f"{at}: {error}") from error
                new.append((of, said))
            told += [f"{at}: {message}" for message in said]
    return told, new


def _inputs(node: Node, readers: Readers, model: Path | None) -> Any:
    """Everything that `_check_corpus` follows from."""
    read = [(*stage.key, data, stage.payload["train"]) for stage, data in readers]
    # The file may have another name now, under which its rows are told of.
    return [__version__, *node.key, node.payload["use"], read, bool(model)]


def _check_corpus(plan: Plan, node: Node, readers: Readers, model: Path | None) -> list[str]:
    """Refuse rows of a corpus that a stage would refuse, and a corpus without rows.

    What is told of rows that it wouldn't refuse comes back.

    Args:
        readers: the stages that read it, each with what it calls the rows.
        model: the folder of the model they start from.
    """
    path = Path(node.payload["use"].get("path", node.payload["use"]["name"]))
    # Of what models are asked for, rows like those they will write.
    facts = CORPORA.get(node.payload["use"]["name"]).facts
    rows: list[Row] | None = None
    if "asks" not in facts:
        rows = rows_ahead(node)
    elif "transforms" not in node.payload:
        rows = facts["ahead"](node.payload["use"], {})
    told: list[str] = []
    if rows is None:
        return told
    if not rows:
        raise DataError(f"{path}: no usable rows")
    # A budget leaves out some of the rows, and nobody knows yet which: they may be too long.
    if node.payload["config"].get("tokens") is not None or "asks" in facts:
        model = None
    for stage, data in readers:
        train: StageConfig = TypeAdapter(StageConfig).validate_python(stage.payload["train"])
        try:
            findings = _findings(train, data, rows, path, model)
            refused = [found for found in findings if found.level == "refuse"]
            if refused:
                said = "; ".join(f"{found.check}: {found.message}" for found in refused)
                raise DataError(f"{path}: {said}")
            warned = [f for f in findings if (f.check, f.level) == ("unknown tokens", "warn")]
            told += [found.message for found in warned]
        except UserError as error:
            kind = plan.study.stages[stage.name].train.kind
            raise DataError(f"{error}; stages.{stage.name} ({kind}) reads it") from error
    return told


def _findings(
    train: StageConfig, data: str, rows: list[Row], path: Path, model: Path | None
) -> list[Finding]:
    """What a stage would find of rows, in their source's words and lines.

    Args:
        data: what it calls the rows.
        model: the folder of the model it starts from; without it no token is known.

    Raises:
        UserError: rows that it can't read at all.
    """
    kind, turns = kind_of(train), cast(Which, getattr(train, "turns", "last"))
    made = list(shaped(rows, path, turns) if kind.encode else prompts_in(rows, path))
    kind.check(train, data, made, path)
    if kind.encode is None and not isinstance(train, Online):
        return []  # a surgery trains on none of its rows
    if model is None:
        return check_rows(made, columns_of(made[0])) if kind.encode else []
    from whyfirst.train import preflight
    from whyfirst.train.prompts import prompts_of
    from whyfirst.train.weights import load_tokenizer

    tokenizer = load_tokenizer(model, train.chat_template)
    some = made[:: -(-len(made) // _ENCODED)]
    # It answers the prompts of its rows itself, so there is nothing to encode.
    if kind.encode is None:
        assert isinstance(train, Online)
        prompts = prompts_of(tokenizer, some, path, 0.0, train.format)
        return preflight.examine_prompt_rows(train, tokenizer, model, prompts)
    longest = train.max_length if train.truncation == "refuse" else None
    found = check_rows(made, columns_of(made[0]), tokenizer, longest)
    # Tokens would tell of the same rows again.
    if any(one.level == "refuse" for one in found):
        return found
    encoded = kind.encode(train, tokenizer, {data: (some, path)})
    return preflight.examine_rows(train, tokenizer, model, encoded)
