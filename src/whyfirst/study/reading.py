"""What is read of a study's files before any work: a run ends at once on files it can't use.

Costs about what ``whyfirst plan`` does, loads no model, and is left out of a finished study's run.
Leaves out: rows that can't be there yet (a teacher's, and what is made with a model).
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter

from whyfirst.config.errors import DataError, UserError
from whyfirst.data.checks import Finding, check_rows, columns_of
from whyfirst.data.rows import Which, prompts_in, shaped
from whyfirst.models.folder import check_weights, fast_tokenizer, tokenizer_folder
from whyfirst.models.gguf_file import is_gguf
from whyfirst.study.execute.graph import Node
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes import corpus, evaluation
from whyfirst.study.plan import Plan, refuse_empty_cells
from whyfirst.study.sources import CORPORA, Row, has_model_write
from whyfirst.train.config import StageConfig
from whyfirst.train.config_rl import Online
from whyfirst.train.kinds import data_names, kind_of

_ENCODED = 2000
"""Rows that are brought to tokens: of a longer corpus, as many spread over the whole of it."""


def refuse_unusable(plan: Plan) -> None:
    """Refuse a study whose model, corpora or benchmarks can't be used as they lie there.

    Raises:
        UserError: a broken model folder, a corpus with rows that a stage would refuse, benchmark
            data that can't be read, or a contrast that would compare nothing; names the file.
    """
    _check_corpora(plan, _checked_model(plan))
    evaluation.rehearsals(plan.nodes)
    refuse_empty_cells(plan, reading=True)


def _checked_model(plan: Plan) -> Path | None:
    """The local folder of the study's own model, where there is one and it is whole.

    An adapter's base may have to be fetched first; of a GGUF file there is no more than its config
    and tokenizer before it is read.
    """
    model = plan.study.model
    if not isinstance(model, PretrainedModel) or plan.model_place is None:
        return None
    folder = Path(plan.model_place)
    if not (folder / "config.json").is_file():
        return None
    if is_gguf(str(model.path)):
        return folder
    check_weights(folder)
    adapter = plan.by_id["base"].payload["model"].get("adapter")
    fast_tokenizer(tokenizer_folder([folder] if adapter is None else [folder, Path(adapter)]))
    return folder


def _check_corpora(plan: Plan, model: Path | None) -> None:
    """Every corpus that can be read now, by its name and the study's own file, for its readers."""
    corpora: dict[str, Node] = {}
    stages: dict[str, Node] = {}
    for node in plan.nodes:
        if node.kind == "corpus":
            corpora.setdefault(node.name, node)
        elif node.kind == "stage":
            stages.setdefault(node.name, node)
    readers: dict[str, list[tuple[str, str]]] = {}  # corpus -> (stage, name of the data)
    for name in stages:
        use = plan.study.stages[name]
        read = [given for given in (use.data, use.replay_data) if given]
        for given, data in zip(read, data_names(use.train), strict=False):
            readers.setdefault(given, []).append((name, data))
    for name, node in corpora.items():
        source = plan.study.corpora[name]
        facts = CORPORA.get(source.name).facts
        reads_base = facts.get("reads_base", lambda options: False)
        unread = source.name == "written" or has_model_write(source.name)
        if unread or (reads_base(source.options) and "asks" not in facts):
            continue
        try:
            rows: list[Row] | None
            if "asks" in facts:  # rows like those a model will write
                rows = facts["ahead"](node.payload["use"], {})
                rows = None if "transforms" in node.payload else rows
            else:
                rows = corpus.transformed_ahead(node.payload, corpus.rows_of(node.payload))
        except DataError as error:
            raise DataError(f"{plan.file}: corpora.{name}: {error}") from error
        path = Path(node.payload["use"].get("path", source.name))
        if rows is None:
            continue
        if not rows:
            raise DataError(f"{plan.file}: corpora.{name}: {path}: no usable rows")
        # A budget leaves out some of the rows, and nobody knows yet which: they may be too long.
        opened = model if source.options.get("tokens") is None and "asks" not in facts else None
        for reader, data in readers.get(name, ()):
            try:
                _check_rows(stages[reader], data, rows, path, opened)
            except UserError as error:
                kind = plan.study.stages[reader].train.kind
                raise DataError(
                    f"{plan.file}: corpora.{name}: {error}; stages.{reader} ({kind}) reads it"
                ) from error


def _check_rows(node: Node, data: str, rows: list[Row], path: Path, model: Path | None) -> None:
    """What a stage would refuse of rows, in their source's words and lines.

    Args:
        node: the stage's.
        data: what it calls the rows.
        model: the folder of the model it starts from; without it no token is known.

    Raises:
        UserError: there is such a row.
    """
    train: StageConfig = TypeAdapter(StageConfig).validate_python(node.payload["train"])
    encode = kind_of(train).encode
    which: Which = getattr(train, "turns", "last")
    made = list(shaped(rows, path, which) if encode else prompts_in(rows, path))
    kind_of(train).check(train, data, made, path)
    if model is None:
        _refuse(check_rows(made, columns_of(made[0])) if encode else [], path)
        return
    from whyfirst.train import preflight
    from whyfirst.train.prompts import prompts_of
    from whyfirst.train.weights import load_tokenizer

    tokenizer = load_tokenizer(model, train.chat_template)
    some = made[:: -(-len(made) // _ENCODED)]
    if encode is None:  # it answers the prompts of its rows
        assert isinstance(train, Online)
        prompts = prompts_of(tokenizer, some, path, 0.0, train.format)
        _refuse(preflight.examine_prompt_rows(train, tokenizer, model, prompts), path)
        return
    longest = train.max_length if train.truncation == "refuse" else None
    _refuse(check_rows(made, columns_of(made[0]), tokenizer, longest), path)
    encoded = encode(train, tokenizer, {data: (some, path)})
    _refuse(preflight.examine_rows(train, tokenizer, model, encoded), path)


def _refuse(findings: Sequence[Finding], path: Path) -> None:
    """What training would refuse of the rows alone, before anything is paid for."""
    bad = [f"{found.check}: {found.message}" for found in findings if found.level == "refuse"]
    if bad:
        raise DataError(f"{path}: " + "; ".join(bad))
