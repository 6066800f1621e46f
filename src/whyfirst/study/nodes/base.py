"""The model every arm starts from: a world's, one built from scratch, or a pretrained one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.config.room import Use
from whyfirst.config.strict import decisive
from whyfirst.data.rows import texts_of
from whyfirst.models.base import LanguageModel
from whyfirst.models.gguf_file import convert, is_gguf
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.study.materials import PretrainedModel, ScratchModel
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.files import Spec, locate
from whyfirst.study.nodes.kind import NodeKind, Progress
from whyfirst.study.sources import ROWS
from whyfirst.worlds import WORLDS, World

BUILD_SECONDS = 120.0  # roughly, of a world's base


def plan(builder: Builder, seed: int = 0) -> str:
    """The node of the model every arm starts from: one, or one for each draw of a world."""
    model = builder.study.model
    known = "base" if builder.world is None else builder.world_at(seed)[0].base_id
    # Asked for by every stage and corpus: the files of a base are hashed once.
    if known in builder.nodes:
        return known
    if isinstance(model, PretrainedModel):
        spec = locate(model, "model", builder.files)
        spec.config["source"], spec.extra = "pretrained", {"model": spec.extra}
        return builder.add("base", KIND, spec)
    if isinstance(model, ScratchModel):
        assert builder.tokenizer_corpus is not None
        return builder.add("base", KIND, Spec(decisive(model)), (builder.tokenizer_corpus,))
    world, made = builder.world_at(seed)
    assets = world.base_fingerprint()
    # A shipped one can change under the plan: every node that reads it checks it again.
    if world.ships:
        builder.files.contents[world.base_folder()] = assets
    spec = Spec(decisive(model) | dict(world.identity), {"assets": assets}, {"world": made})
    return builder.add(world.base_id, KIND, spec, weight=_seconds(world), rank=seed)


def _seconds(world: World) -> float:
    """Roughly: a base that was built before, as those of the shipped studies, is copied."""
    try:
        world.base_folder()
    except UserError:
        return BUILD_SECONDS
    return 1.0


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """The weights, or where they are."""
    config = payload["config"]
    if "world" in payload:
        WORLDS.make(Use(**payload["world"])).copy_base(folder / "model", progress)
    elif config["source"] == "scratch":
        from whyfirst.models.scratch import ScratchConfig, build_scratch

        texts = [text for row in read_jsonl(folders[0] / ROWS) for text in texts_of(row)]
        shape = {name: config[name] for name in ScratchConfig.model_fields if name in config}
        build_scratch(ScratchConfig(**shape), texts, folder / "model", config["seed"])
    elif "adapter" in payload["model"]:
        from whyfirst.models.local import LocalModel

        # Every stage starts from whole weights, the adapter in them.
        ref = payload["model"]
        place, adapter = ref["path"], ref["adapter"]
        merged = LocalModel(place, "float32", "cpu", revision=ref.get("revision"), adapter=adapter)
        merged.model.save_pretrained(folder / "model")
        merged.tokenizer.save_pretrained(folder / "model")
    elif is_gguf(payload["model"].get("path", "")):  # an endpoint has none
        progress(0, 1, "reading the GGUF file")
        convert(Path(payload["model"]["path"]), folder / "model")
    else:
        write_json(folder / "reference.json", payload["model"])


def asked_id(model: str, seed: int, arm: str | None, in_world: bool) -> str:
    """How the ids of what is asked of a model begin.

    Args:
        model: its node.
        arm: the arm that answers, where it puts something round its model.
        in_world: whether the study is in a world.
    """
    # A seed asks about its own part of the world, so the one base is asked once a seed.
    place = f"base/seed{seed}" if in_world and model == "base" else model
    return f"{place}+{arm}" if arm else place


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


def study_model(payload: Mapping[str, Any], weights: str) -> LanguageModel:
    """A node's model with the weights in a folder, answering as the study says of its model.

    Everything that asks a study's model opens it here: its dtype and chat template decide what it
    answers, and a model opened by its folder alone would have those of the folder.
    """
    given = payload.get("model", {})
    return open_model(ModelRef(**given if "endpoint" in given else {**given, "path": weights}))


KIND = NodeKind("base", run, version="1")
