"""What is read of a study's files before any work: a run ends at once on files it can't use.

Costs about what ``whyfirst plan`` does, loads no model, and is left out of a finished study's run.
Leaves out: data of other sources than files (hh_rlhf and what is written are read by their nodes).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.checks import Finding, check_rows, columns_of
from whyfirst.data.rows import shaped
from whyfirst.models.folder import check_weights, fast_tokenizer, tokenizer_folder
from whyfirst.models.gguf_file import is_gguf
from whyfirst.study.nodes import corpus, evaluation, stage
from whyfirst.study.plan import Plan, refuse_empty_cells
from whyfirst.study.schema import PretrainedModel
from whyfirst.train.kinds import data_names, kind_of


def refuse_unusable(plan: Plan) -> None:
    """Refuse a study whose model, corpora or benchmarks can't be used as they lie there.

    Raises:
        UserError: a broken model folder, a corpus without a stage's columns, benchmark data that
            can't be read, or a contrast that would compare nothing; names the file.
    """
    _check_model(plan)
    _check_corpora(plan)
    evaluation.rehearsals(plan.nodes)
    refuse_empty_cells(plan, reading=True)


def _check_model(plan: Plan) -> None:
    """A local folder of the study's own; an adapter's base may have to be fetched first."""
    model = plan.study.model
    if not isinstance(model, PretrainedModel) or plan.model_place is None:
        return
    folder = Path(plan.model_place)
    if not (folder / "config.json").is_file() or is_gguf(str(model.path)):
        return
    check_weights(folder)
    adapter = plan.by_id["base"].payload["model"].get("adapter")
    fast_tokenizer(tokenizer_folder([folder] if adapter is None else [folder, Path(adapter)]))


def _check_corpora(plan: Plan) -> None:
    """Every `source: file` corpus that a stage reads, by the study's own name and file."""
    named = {
        node.payload["config"]["corpus"]: node.payload
        for node in plan.nodes
        if node.kind == "corpus" and node.payload["config"]["source"] == "file"
    }
    readers: dict[str, list[tuple[str, str]]] = {}  # corpus -> (stage, name of the data)
    for reader, name, data in _reads(plan):
        readers.setdefault(name, []).append((reader, data))
    for name, payload in named.items():
        try:
            rows = corpus.rows_of(payload)
        except DataError as error:
            raise DataError(f"{plan.file}: corpora.{name}: {error}") from error
        for reader, data in readers.get(name, ()):
            train = plan.study.stages[reader].train
            path = Path(payload["use"]["path"])
            try:
                kind_of(train).check(train, data, rows, path)
                if kind_of(train).encode is not None:  # it trains on the responses of its rows
                    made = list(shaped(rows, path, getattr(train, "turns", "last")))
                    _refuse(check_rows(made, columns_of(made[0])), path)
            except DataError as error:
                raise DataError(
                    f"{plan.file}: corpora.{name}: {error}; stages.{reader} ({train.kind}) reads it"
                ) from error


def _refuse(findings: Sequence[Finding], path: Path) -> None:
    """What training would refuse of the rows alone, before anything is paid for."""
    bad = [f"{found.check}: {found.message}" for found in findings if found.level == "refuse"]
    if bad:
        raise DataError(f"{path}: " + "; ".join(bad))


def _reads(plan: Plan) -> Iterator[tuple[str, str, str]]:
    """(stage, corpus, name of the data) of everything a stage of an arm trains on."""
    ids = (node.id for node in plan.nodes if node.kind == "stage")
    for name in dict.fromkeys(map(stage.stage_name, ids)):
        use = plan.study.stages[name]
        corpora = [corpus for corpus in (use.data, use.replay_data) if corpus]
        for corpus_name, data in zip(corpora, data_names(use.train), strict=False):
            yield name, corpus_name, data
