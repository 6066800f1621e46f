"""What each kind of node does: bases, corpora, stages, evaluations. Workers run `run_node`.

Each function reads the folders of the nodes it depends on and writes into its own; the executor
marks it complete. Leaves out: which nodes there are (plan.py) and when they run (executor.py).
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from whyfirst.errors import DataError, PreflightError, UserError
from whyfirst.files import read_json, read_jsonl, write_json, write_jsonl
from whyfirst.study.graph import Node

if TYPE_CHECKING:
    from whyfirst.evaluate.benchmark import BenchmarkOptions

Progress = Callable[[int, int, str], None]
ROWS = "rows.jsonl"


def run_node(node: Node, inputs: Mapping[str, Path], folder: Path, progress: Progress) -> None:
    """Compute one node into ``folder``, resuming whatever an earlier attempt left there."""
    folders = [inputs[name] for name in node.depends]
    KINDS[node.kind](node.payload, folders, folder, progress)


def model_folder(folder: Path) -> str:
    """Where the weights of a base or stage node are: inside it, or where it points to.

    A Hub id is fetched at its pinned revision, once: later calls find it in the Hub's cache.
    """
    if not (folder / "reference.json").is_file():
        return str(folder / "model")
    from whyfirst.models.local import locate

    reference = read_json(folder / "reference.json")
    return str(locate(reference["path"], reference["revision"], trust_remote_code=False))


def base(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """The model every arm starts from."""
    config = payload["config"]
    if config["source"] == "hearth":
        from whyfirst.hearth import assets

        assets.copy_base(config["world_seed"], folder / "model")
    elif config["source"] == "scratch":
        from whyfirst.models.scratch import ScratchConfig, build_scratch

        texts = [text for row in read_jsonl(folders[0] / ROWS) for text in _texts(row)]
        shape = {name: config[name] for name in ScratchConfig.model_fields if name in config}
        build_scratch(ScratchConfig(**shape), texts, folder / "model", config["seed"])
    else:
        reference = {"path": payload["path"], "revision": config["revision"]}
        write_json(folder / "reference.json", reference)


def _texts(row: Mapping[str, Any]) -> list[str]:
    if "text" in row:
        return [row["text"]]
    answers = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
    return [row["prompt"] + answer for answer in answers]


def corpus(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Rows a stage trains on, matched in tokens where the study gives a budget."""
    config = payload["config"]
    rows = SOURCES[config["source"]](config, payload.get("path"))
    for tested in payload.get("tested", ()):
        _refuse_overlap(config["corpus"], rows, tested)
    about: dict[str, Any] = {"corpus": config["corpus"], "unique": len(rows), "tokens": None}
    if config.get("tokens") is not None:
        rows, about = _matched(config, rows, model_folder(folders[0]))
    write_jsonl(folder / ROWS, rows)
    write_json(folder / "corpus.json", about | {"rows": len(rows)})


def _refuse_overlap(name: str, rows: list[dict[str, Any]], tested: Mapping[str, Any]) -> None:
    """Documents of a first stage must not contain what a benchmark of the study asks."""
    from whyfirst.evaluate.benchmark import BENCHMARKS
    from whyfirst.train.preflight import evaluation_overlap

    benchmark = BENCHMARKS.get(tested["benchmark"])
    texts = sorted({text for row in rows for text in _texts(row)})
    finding = evaluation_overlap(texts, benchmark.prompts(_options(tested, tested.get("path"))))
    if finding.level == "refuse":
        raise PreflightError(f"corpus {name!r} and benchmark {benchmark.name!r}: {finding.message}")


def _options(config: Mapping[str, Any], path: str | None) -> "BenchmarkOptions":
    from whyfirst.evaluate.benchmark import BenchmarkOptions

    return BenchmarkOptions(
        data=Path(path) if path else None,
        limit=config.get("limit"),
        seed=config.get("seed", 0),
        world_seed=config.get("world_seed"),
        held_out=config.get("held_out"),
        max_characters=config.get("max_characters"),
    )


def _matched(
    config: Mapping[str, Any], rows: list[dict[str, Any]], model: str
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows that fill the token budget to 0.5 %, counted with the model's own tokenizer."""
    from transformers import AutoTokenizer

    from whyfirst.explain.match import match_rows, match_tokens

    tokenizer = AutoTokenizer.from_pretrained(model)

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"]) + 1  # and its end

    name = config["corpus"]
    texts = {name: [row["text"] for row in rows]}
    chosen = match_tokens(texts, count, config["tokens"])
    table = match_rows(texts, chosen, count)[0]
    about = {"corpus": name, "unique": table.unique_documents, "tokens": table.tokens}
    return [rows[index] for index in chosen[name]], about


def _hearth_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.hearth.teacher import corpus_rows

    return corpus_rows(
        config["documents"],
        world_seed=config["world_seed"],
        seed=config["seed"],
        value=config["value"],
        size=config["size"],
        tokens=config["tokens"],
        contrary=config["contrary"],
    )


def _constitution_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.constitution import load_constitution
    from whyfirst.explain import template

    write = {
        "explanations": template.explanations,
        "rules": template.rules,
        "shuffled": template.shuffled,
        "neutral": template.neutral,
    }[config["documents"]]
    constitution = load_constitution(path or config["constitution"])
    # A document has well over ten tokens, so this many are enough to choose from.
    count = min(2000, config["tokens"] // 10 + 50)
    return [doc.row() for doc in write(constitution, count, config["seed"], config["values"])]


def _hh_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.data.hh_rlhf import training_pairs

    assert path is not None
    pairs = training_pairs(Path(path), config["held_out"], config["max_characters"])
    pairs = pairs[: config["size"]]
    if config["documents"] == "pairs":
        return [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]
    if config["documents"] == "demonstrations":
        return [{"prompt": p.prompt, "completion": p.chosen} for p in pairs]
    return [{"text": p.prompt + p.chosen} for p in pairs]


def _file_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    assert path is not None
    rows = read_jsonl(Path(path))
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows


SOURCES: dict[str, Callable[[Mapping[str, Any], str | None], list[dict[str, Any]]]] = {
    "hearth": _hearth_rows,
    "constitution": _constitution_rows,
    "hh_rlhf": _hh_rows,
    "file": _file_rows,
}


def stage(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """One training stage, from the model of the node before it."""
    from whyfirst.train.config import StageConfig, data_names
    from whyfirst.train.run import run_stage

    config: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    names = data_names(config)
    if len(folders) - 1 < len(names):
        raise UserError(f"the stage reads {', '.join(names)}; name the missing one as replay_data")
    data = {name: place / ROWS for name, place in zip(names, folders[1:], strict=False)}
    run_stage(
        config, Path(model_folder(folders[0])), data, folder, payload["config"]["seed"], progress
    )


def evaluation(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """One benchmark on one model: an item result a line."""
    from whyfirst.evaluate.benchmark import BENCHMARKS
    from whyfirst.models.local import LocalModel

    config = payload["config"]
    place = model_folder(folders[0])
    if config["step"] is not None:
        place = str(folders[0] / "kept" / f"step-{config['step']}")
    options = _options(config, payload.get("path"))
    results = BENCHMARKS.get(config["benchmark"]).run(LocalModel(place), options, progress)
    write_items(folder / "items.jsonl", results)


def write_items(path: Path, results: Iterable[Any]) -> None:
    """Item results, without the fields that are empty."""
    rows = (result.to_json() for result in results)
    write_jsonl(path, ({k: v for k, v in row.items() if v is not None} for row in rows))


KINDS: dict[str, Callable[[Mapping[str, Any], list[Path], Path, Progress], None]] = {
    "base": base,
    "corpus": corpus,
    "stage": stage,
    "evaluation": evaluation,
}
