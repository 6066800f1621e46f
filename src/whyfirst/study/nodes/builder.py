"""The graph of a study as it grows: nodes added once, and the files they are made from.

Fingerprints hold the kind of device (a GPU's sums are rounded in another order than a CPU's, so the
two give other weights and, now and then, other greedy answers) and no number of threads: at the
sizes trained on CPUs it moves nothing that is reported, and a store must serve machines of other
sizes; a stage's record names it. Leaves out: what is in a node (the other modules here).
"""

import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, sha256_content
from whyfirst.config.room import Room, Use
from whyfirst.config.source import source_of
from whyfirst.models.gguf_file import described, is_gguf, is_packaged, packaged
from whyfirst.models.limits import limits_of
from whyfirst.models.reference import ModelRef
from whyfirst.study.decisive import decisive_options
from whyfirst.study.execute.graph import Node, make_fingerprint
from whyfirst.study.located import Spec, located_to_ask
from whyfirst.study.materials import ScratchModel, WorldModel
from whyfirst.study.nodes.kind import NodeKind
from whyfirst.study.schema import StudyFile
from whyfirst.worlds import WORLDS, World

# Behind it, in a node's id, the side of the world it differs on.
SIDE = "~"
# Start of a path in the folder of public data; without the variable, beside the project.
DATA, DEFAULT_DATA = "$WHYFIRST_DATA", "../../shared/data"


@dataclass
class Builder:
    """Adds nodes, each once.

    Args:
        study, file: what is planned and where it was read.
        libraries: versions that can change a result.
        device: the kind of device everything is computed on.

    Attributes:
        nodes: what was added, by id.
        outside: content hashes of files that are no node's, by node and role.
        tokenizer_corpus: the node of the rows a new model's tokenizer is trained on.
        keep_at: stage node -> updates after which its weights are kept, for the curve.
        sources: corpus -> what its source is made of, whatever the seed.
        chained: (stages in a row, seed, side) -> the node of the last of them.
    """

    study: StudyFile
    file: Path
    libraries: dict[str, str]
    device: str
    nodes: dict[str, Node] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    tokenizer_corpus: str | None = None
    keep_at: dict[str, tuple[int, ...]] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)
    sources: dict[str, Spec] = field(default_factory=dict)
    chained: dict[tuple[tuple[str, ...], int, int], str] = field(default_factory=dict)

    def add(
        self,
        id: str,  # noqa: A002
        kind: NodeKind,
        spec: Spec,
        depends: tuple[str, ...] = (),
        *,
        version: str | None = None,
        weight: float = 1.0,
        name: str = "",
        rank: int | None = None,
    ) -> str:
        """Add a node once.

        Args:
            version: of the code; None is its kind's.
            name: what the study file calls it; else its kind.
            rank: the seed it is done for, where that is no part of its config: lower ones first.
        """
        if id in self.nodes:
            return id
        self.outside |= {f"{id}: {role}": sha for role, sha in spec.contents.items()}
        inputs = {f"{place}": self.nodes[read].fingerprint for place, read in enumerate(depends)}
        fingerprint = make_fingerprint(
            kind.name, kind.version if version is None else version, spec.config,
            inputs | spec.contents, self.libraries,
        )  # fmt: skip
        # Wherever the fingerprint holds a content, in its options or beside them.
        decides = json.dumps([spec.config, spec.contents], default=str)
        reads = {str(path): sha for path, sha in self.contents.items() if sha in decides}
        for read in depends:
            # A base may be a reference: its weights are then read by whatever follows.
            if self.nodes[read].kind in ("base", "stage"):
                reads = self.nodes[read].reads | reads
        self.nodes[id] = Node(
            id, kind.name, fingerprint, depends, {"config": spec.config} | spec.extra, weight,
            rank=spec.config.get("seed", 0) if rank is None else rank, reads=reads,
            name=name or kind.name,
        )  # fmt: skip
        return id

    def wait(self, id: str, checks: tuple[str, ...]) -> None:  # noqa: A002
        """Let a node wait for checks, whose results it doesn't read."""
        self.nodes[id] = replace(self.nodes[id], after=(*self.nodes[id].after, *checks))

    # -- the study's files ---------------------------------------------------------------------

    def path(self, text: str) -> Path:
        """A path of the study file, relative to it; ``$WHYFIRST_DATA`` stands for the data.

        Raises:
            UserError: a package is named that isn't here.
        """
        if is_packaged(text):
            return packaged(text)
        first, _, rest = text.partition("/")
        if first == DATA:
            folder = os.environ.get(DATA.removeprefix("$"))
            data = Path(folder) if folder else self.file.parent / DEFAULT_DATA
            return (data / rest).resolve()
        return (self.file.parent / Path(text).expanduser()).resolve()

    def content(self, text: str, used_by: str) -> str:
        """Hash of a data file's or folder's content.

        Raises:
            DataError: there is no such file or folder.
        """
        path = self.path(text)
        if path not in self.contents:
            if path.exists():
                self.contents[path] = sha256_content(path)
            else:
                hint = " (set WHYFIRST_DATA to the folder of the data)" if DATA in text else ""
                raise DataError(f"{self.file}: {used_by}: no such file or folder: {path}{hint}")
        return self.contents[path]

    def data(self, text: str, used_by: str) -> tuple[str, str]:
        """Hash and whole path of a file that a key of the study file names; raises as `content`."""
        return self.content(text, used_by), str(self.path(text))

    def shipped_or_file(self, named: str) -> str:
        """A file beside the study, or the name of what ships."""
        own = self.path(named)
        return str(own) if own.is_file() else named

    def method(self, room: Room[Any], use: Use, used_by: str) -> Spec:
        """A use of a room, with the files it names found and, where it isn't ours, its source.

        What it needs besides (`extra`) is the use as `Use` reads it, with whole paths.
        """
        spec = Spec(decisive_options(room, use), extra={"name": use.name})
        places, filled = room.get(use.name).facts.get("places", ()), room.filled(use)
        for name, value in filled.model_dump().items():
            if isinstance(model := getattr(filled, name), ModelRef):
                found = located_to_ask(model, f"{used_by}.{name}", self)
                spec.config[name], value = found.config, found.extra
                spec.hold(name, found.contents)
            elif isinstance(value, Path):
                role = "data" if name == "path" else name
                given = str(use.options[name])
                spec.contents[role], value = self.data(given, f"{used_by}.{name}")
            elif name in places and value is not None:
                value = self.shipped_or_file(value)
            spec.extra[name] = value
        source = source_of(room.get(use.name).function)
        spec.contents |= {"source": source} if source else {}
        return spec

    # -- the study's world and model -----------------------------------------------------------

    @cached_property
    def world(self) -> World | None:
        """The world the study runs on."""
        return None if self.study.world is None else WORLDS.make(self.study.world)

    def world_at(self, seed: int, side: int = 0) -> tuple[World, dict[str, Any]]:
        """The world that a seed of the study lives in, and how a node's run makes it."""
        use = self.study.world
        assert self.world is not None and use is not None
        world = self.world.at(seed, side)
        return world, use.model_dump(mode="json") | world.options

    def in_world(self, seed: int, side: int = 0) -> dict[str, Any]:
        """What the fingerprint of something asked in the study's world holds of world and seed."""
        if self.world is None:
            return {}
        world, _ = self.world_at(seed, side)
        return {**world.identity, "seed": world.asked_as(seed)}

    @cached_property
    def model_place(self) -> str | None:
        """The folder or Hub id of the model the study starts from; None where it has none yet."""
        model = self.study.model
        if isinstance(model, ScratchModel) or self.study.endpoint:
            return None
        if isinstance(model, WorldModel):
            assert self.world is not None
            return str(self.world.base_folder()) if self.world.ships else None
        local = self.path(str(model.path))
        if is_gguf(local) and local.is_file():
            # A plan reads no weights: the head of the file has config and tokenizer.
            return str(described(local))
        return str(local) if local.exists() else model.path

    def context(self) -> int | None:
        """Positions of that model; None where its config isn't here yet."""
        if isinstance(self.study.model, ScratchModel):
            return self.study.model.max_length
        file = Path(self.model_place or "") / "config.json"
        if self.model_place is None or not file.is_file():
            return None
        return limits_of(read_json(file)).positions
