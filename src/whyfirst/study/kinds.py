"""What each kind of node does: bases, corpora, stages, evaluations. Workers run `run_node`.

Each function reads the folders of the nodes it depends on and writes into its own; the executor
marks it complete. Leaves out: which nodes there are (planning/) and when they run (execute/).
"""

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from whyfirst.config.errors import PreflightError, UserError
from whyfirst.config.files import read_json, read_jsonl, write_json, write_jsonl
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import REPLIES
from whyfirst.study.results.spending import usage_of
from whyfirst.study.sources import ROWS, SOURCES, texts_of

if TYPE_CHECKING:
    from whyfirst.evaluate.benchmark import BenchmarkOptions
    from whyfirst.models.base import Completion, LanguageModel, Loglikelihood, Prompt, Sampling

Progress = Callable[[int, int, str], None]


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
    from whyfirst.models.loading import locate

    ref = read_json(folder / "reference.json")
    remote_code = ref.get("trust_remote_code", False)
    return str(locate(ref["path"], ref.get("revision"), trust_remote_code=remote_code))


def base(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """The model every arm starts from."""
    config = payload["config"]
    if config["source"] == "hearth":
        from whyfirst.worlds.hearth import assets

        assets.copy_base(config["world_seed"], folder / "model")
    elif config["source"] == "scratch":
        from whyfirst.models.scratch import ScratchConfig, build_scratch

        texts = [text for row in read_jsonl(folders[0] / ROWS) for text in texts_of(row)]
        shape = {name: config[name] for name in ScratchConfig.model_fields if name in config}
        build_scratch(ScratchConfig(**shape), texts, folder / "model", config["seed"])
    elif "adapter" in payload["model"]:
        _merge_adapter(payload["model"], folder / "model")
    else:
        write_json(folder / "reference.json", payload["model"])


def _merge_adapter(model: Mapping[str, Any], target: Path) -> None:
    """Save the model with its adapter in its weights: what every stage starts from."""
    from whyfirst.models.local import LocalModel

    merged = LocalModel(
        model["path"], "float32", "cpu", revision=model.get("revision"), adapter=model["adapter"]
    )
    merged.model.save_pretrained(target)
    merged.tokenizer.save_pretrained(target)


def corpus(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Rows a stage trains on, matched in tokens where the study gives a budget."""
    config = payload["config"]
    # What a teacher wrote is the last of the folders read.
    place = str(folders[-1]) if config["source"] == "written" else payload.get("path")
    rows = SOURCES[config["source"]](config, place)
    about: dict[str, Any] = {"corpus": config["corpus"], "unique": len(rows), "tokens": None}
    if config.get("tokens") is not None:
        rows, about = _matched(config, rows, model_folder(folders[0]))
    write_jsonl(folder / ROWS, rows)
    write_json(folder / "corpus.json", about | {"rows": len(rows)})


def written(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """All that a teacher writes under one name: explanations, controls and their audit."""
    from whyfirst.study.planning.writing import write

    config = payload["config"]
    machine = _machine(config) if "device" in config else {}
    replies = folder.parents[1] / REPLIES  # as in `evaluation`
    spent = write(payload, model_folder(folders[0]), folder, replies, progress)
    write_json(folder / "machine.json", machine | {"spent": spent})


def overlap(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Refuse documents of first stages that contain what a benchmark of the study asks.

    Raises:
        PreflightError: names every corpus with such documents, and their first rows.
    """
    from whyfirst.evaluate.benchmark import BENCHMARKS
    from whyfirst.train.overlap import find_overlaps

    benchmark = BENCHMARKS.get(payload["config"]["benchmark"])
    # Several seeds' corpora say the same things; a text is looked at once, where it comes first.
    first: dict[str, tuple[str, int]] = {}
    for place in folders:
        name = read_json(place / "corpus.json")["corpus"]
        for number, row in enumerate(read_jsonl(place / ROWS), 1):
            for text in texts_of(row):
                first.setdefault(text, (name, number))
    options = benchmark_options(payload["config"], payload.get("path"))
    asked = sorted(set(benchmark.prompts(options)))
    texts = sorted(first)
    found: dict[str, list[int]] = {}
    for hit in find_overlaps(texts, asked):
        name, number = first[texts[hit.text]]
        found.setdefault(name, []).append(number)
    if found:
        where = "; ".join(
            f"corpus {name!r}: {len(set(rows))} documents, the first of them row {min(rows)}"
            for name, rows in sorted(found.items())
        )
        raise PreflightError(
            f"documents of a first stage contain or nearly repeat what benchmark "
            f"{benchmark.name!r} asks ({where}); drop those documents or those items"
        )
    about = {"benchmark": benchmark.name, "version": benchmark.version}
    write_json(folder / "overlap.json", about | {"documents": len(texts), "prompts": len(asked)})


def match(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """Refuse first stages that would train on different numbers of tokens, before they do."""
    from whyfirst.study.planning.matching import refuse_unlike, trained_tokens
    from whyfirst.train.config import StageConfig
    from whyfirst.train.weights import load_tokenizer

    config: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    tokenizer = load_tokenizer(Path(model_folder(folders[0])))
    files = {
        name: place / ROWS for name, place in zip(payload["corpora"], folders[1:], strict=False)
    }
    replay = {"replay": folders[-1] / ROWS} if len(folders) - 1 > len(files) else {}
    tokens = {
        stage: trained_tokens(
            config, tokenizer, {"documents": files[corpus]} | replay, payload["config"]["seed"]
        )
        for stage, corpus in payload["config"]["stages"].items()
    }
    refuse_unlike(tokens)
    write_json(folder / "match.json", {"tokens": tokens})


def benchmark_options(config: Mapping[str, Any], path: str | None) -> "BenchmarkOptions":
    """What a node's configuration tells a benchmark, but for its judges."""
    from whyfirst.evaluate.benchmark import BenchmarkOptions

    return BenchmarkOptions(
        data=Path(path) if path else None,
        limit=config.get("limit"),
        seed=config.get("seed", 0),
        world_seed=config.get("world_seed"),
        held_out=config.get("held_out"),
        max_characters=config.get("max_characters"),
        max_new_tokens=config.get("max_new_tokens"),
        framings=_names(config, "framings"),
        behaviours=_names(config, "behaviours"),
    )


def _names(config: Mapping[str, Any], field: str) -> tuple[str, ...] | None:
    return tuple(config[field]) if config.get(field) is not None else None


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


def stage(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """One training stage, from the model of the node before it."""
    from whyfirst.train.config import StageConfig
    from whyfirst.train.kinds import kind_of
    from whyfirst.train.launch import run_launched
    from whyfirst.train.run import run_stage

    config: StageConfig = TypeAdapter(StageConfig).validate_python(payload["train"])
    data = {
        name: Path(model_folder(place)) if what == "model" else place / ROWS
        for (name, what), place in zip(
            kind_of(config).reads(config).items(), folders[1:], strict=True
        )
    }
    write_json(folder / "machine.json", _machine(payload["config"]) | {"dtype": config.dtype})
    run = run_stage if config.processes == 1 else run_launched
    run(config, Path(model_folder(folders[0])), data, folder, payload["config"]["seed"], progress)


def _machine(config: Mapping[str, Any]) -> dict[str, Any]:
    """What this process computes on, for the record; it must be of the kind that was planned.

    Raises:
        UserError: it is not, so the result would be kept under a fingerprint it doesn't have.
    """
    import torch

    found = torch.accelerator.current_accelerator(check_available=True)
    kind = found.type if found is not None else "cpu"
    if kind != config["device"]:
        raise UserError(
            f"the plan counts on a device of kind {config['device']!r}, and torch finds "
            f"{kind!r} here; set CUDA_VISIBLE_DEVICES to the GPUs to use (empty for none), or mend "
            "the driver"
        )
    name = torch.cuda.get_device_name() if kind == "cuda" else platform.machine()
    return {"device": kind, "device_name": name, "threads": torch.get_num_threads()}


def evaluation(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """One benchmark on one model: an item result a line, and what answered and judged."""
    from whyfirst.evaluate.benchmark import BENCHMARKS
    from whyfirst.evaluate.judging import make_judge
    from whyfirst.models.reference import ModelRef, open_model

    config = payload["config"]
    benchmark = BENCHMARKS.get(config["benchmark"])
    # Replies of endpoints are paid for: they are kept for every evaluation of the store.
    replies = folder.parents[1] / REPLIES
    machine = _machine(config) if "device" in config else {}
    given = dict(payload.get("model", {}))
    if "endpoint" not in given:
        given["path"] = _weights(folders[0], config["step"])
    model = Watched(open_model(ModelRef(**given), cache=replies))
    options = benchmark_options(config, payload.get("path"))
    asked: LanguageModel | None = None
    if "judge_model" in payload:
        asked = open_model(ModelRef(**payload["judge_model"]), cache=replies)
    judges = tuple(make_judge(spec, asked) for spec in payload.get("judges", ()))
    results = benchmark.run(model, replace(options, judges=judges), progress)
    write_items(folder / "items.jsonl", results)
    write_json(folder / "evaluation.json", {
        "benchmark": benchmark.name,
        "version": benchmark.version,
        "chat_template": model.chat_template if model.chats else None,
        "judges": sorted({result.judge for result in results if result.judge}),
    })  # fmt: skip
    names = {"model": given, "judge": payload.get("judge_model", {})}
    machine["spent"] = usage_of({
        ModelRef(**names[role]).name: one
        for role, one in (("model", model.inner), ("judge", asked)) if one is not None
    })  # fmt: skip
    if "device" in config:
        machine["dtype"] = str(model.inner.model.dtype).removeprefix("torch.")
    write_json(folder / "machine.json", machine)


def _weights(folder: Path, step: int | None) -> str:
    """The model of a node, or what it was after some updates."""
    return model_folder(folder) if step is None else str(folder / "kept" / f"step-{step}")


class Watched:
    """A model that remembers whether it was asked chats, for which its template matters."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.chats = inner, False

    @property
    def fingerprint(self) -> str:
        return str(self.inner.fingerprint)

    @property
    def chat_template(self) -> str:
        return str(self.inner.chat_template)

    def generate(
        self, prompts: Sequence["Prompt"], n: int = 1, sampling: "Sampling | None" = None
    ) -> "list[list[Completion]]":
        self.chats |= any(not isinstance(prompt, str) for prompt in prompts)
        more = {} if sampling is None else {"sampling": sampling}
        found: list[list[Completion]] = self.inner.generate(prompts, n=n, **more)
        return found

    def loglikelihood(
        self, requests: "Sequence[tuple[Prompt, Sequence[str]]]"
    ) -> "list[list[Loglikelihood]]":
        self.chats |= any(not isinstance(prompt, str) for prompt, _ in requests)
        found: list[list[Loglikelihood]] = self.inner.loglikelihood(requests)
        return found


def write_items(path: Path, results: Iterable[Any]) -> None:
    """Item results, without the fields that are empty."""
    rows = (result.to_json() for result in results)
    write_jsonl(path, ({k: v for k, v in row.items() if v is not None} for row in rows))


def probe(
    payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress
) -> None:
    """One probe on the models of several arms and seeds."""
    from whyfirst.study.planning import probes

    write_json(folder / "machine.json", _machine(payload["config"]))
    probes.run(payload, folders, folder, progress)


KINDS: dict[str, Callable[[Mapping[str, Any], list[Path], Path, Progress], None]] = {
    "base": base,
    "corpus": corpus,
    "written": written,
    "overlap": overlap,
    "match": match,
    "stage": stage,
    "evaluation": evaluation,
    "probe": probe,
}
