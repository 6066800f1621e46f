"""The graph of a study as it grows: nodes added once, and the files they are made from.

Fingerprints hold the kind of device (a GPU's sums are rounded in another order than a CPU's, so the
two give other weights and, now and then, other greedy answers) and no number of threads: at the
sizes trained on CPUs it moves nothing that is reported, and a store must serve machines of other
sizes; a stage's record names it. Leaves out: what is in a node (the other modules here).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, sha256_content
from whyfirst.config.room import Room, Use
from whyfirst.models.gguf_file import described, is_gguf
from whyfirst.models.limits import limits_of
from whyfirst.models.packaged import is_packaged, packaged
from whyfirst.models.reference import ModelRef
from whyfirst.study.decisive import decisive_options
from whyfirst.study.execute.graph import Node, make_fingerprint
from whyfirst.study.located import located_to_ask
from whyfirst.study.materials import ScratchModel, WorldModel
from whyfirst.study.nodes.kind import NodeKind
from whyfirst.study.schema import StudyFile
from whyfirst.worlds import WORLDS, World

SIDE = "~"
"""Behind it, in a node's id, the side of the world it differs on."""
DATA, DEFAULT_DATA = "$WHYFIRST_DATA", "../../shared/data"
"""Start of a path in the folder of public data; without the variable, beside the project."""


@dataclass
class Builder:
    """Adds nodes, each once.

    Args:
        study, file: what is planned and where it was read.
        kinds: the kinds of node there are.
        libraries: versions that can change a result.
        device: the kind of device everything is computed on.

    Attributes:
        nodes: what was added, by id.
        outside: content hashes of files that are no node's, by node and role.
        keep_at: stage node -> updates after which its weights are kept, for the curve.
    """

    study: StudyFile
    file: Path
    kinds: Mapping[str, NodeKind]
    libraries: dict[str, str]
    device: str
    nodes: dict[str, Node] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    keep_at: dict[str, tuple[int, ...]] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)

    def plan(self, kind: str, *args: Any) -> str:
        """The node of a kind, with what it reads: kinds know each other by name alone."""
        plan = self.kinds[kind].plan
        assert plan is not None, kind
        return plan(self, *args)

    def add(
        self,
        id: str,  # noqa: A002
        kind: str,
        config: Mapping[str, Any],
        depends: tuple[str, ...] = (),
        *,
        version: str | None = None,
        outside: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        weight: float = 1.0,
        name: str = "",
        rank: int | None = None,
    ) -> str:
        """Add a node once.

        Args:
            config: what decides its result, for the fingerprint and the run.
            version: of the code; None is its kind's.
            outside: content hashes of files that are no node's, by role.
            rank: the seed it is done for, where that is no part of its config: lower ones first.
            extra: what its run needs besides, and what decides nothing: where files are, say.
            name: what the study file calls it; else its kind.
        """
        if id not in self.nodes:
            version = self.kinds[kind].version if version is None else version
            inputs = {
                f"{place}": self.nodes[read].fingerprint for place, read in enumerate(depends)
            }
            inputs |= dict(outside or {})
            self.outside |= {f"{id}: {role}": sha for role, sha in (outside or {}).items()}
            fingerprint = make_fingerprint(kind, version, config, inputs, self.libraries)
            payload = {"config": dict(config), **dict(extra or {})}
            rank = config.get("seed", 0) if rank is None else rank
            # Wherever the fingerprint holds a content, in its options or beside them.
            decides = json.dumps([config, dict(outside or {})], default=str)
            reads = {str(path): sha for path, sha in self.contents.items() if sha in decides}
            for read in depends:  # a base that is a reference: its weights are read by what follows
                if self.nodes[read].kind in ("base", "stage"):
                    reads = self.nodes[read].reads | reads
            self.nodes[id] = Node(
                id, kind, fingerprint, depends, payload, weight, rank=rank, reads=reads,
                name=name or kind,
            )  # fmt: skip
        return id

    def on_side(self, id: str, side: int, *reads: str) -> str:  # noqa: A002
        """The id of a node on a side: another one only where what it reads differs there."""
        return f"{id}{SIDE}{side}" if any(SIDE in name for name in reads) else id

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

    def shipped_or_file(self, named: str) -> str:
        """A file beside the study, or the name of what ships."""
        own = self.path(named)
        return str(own) if own.is_file() else named

    def located(
        self, room: Room[Any], use: Use, used_by: str
    ) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
        """A use of a room, with the files it names found.

        Returns:
            What of its options decides results; content hashes by role (a plug-in's source among
            them); the use as `Use` reads it, with whole paths.
        """
        runnable: dict[str, Any] = {"name": use.name}
        contents: dict[str, str] = {}
        entry = room.get(use.name)
        filled, decides = room.filled(use), decisive_options(room, use)
        for name, value in filled.model_dump().items():
            if isinstance(given := getattr(filled, name), ModelRef):
                found = located_to_ask(given, f"{used_by}.{name}", self, self.file)
                decides[name], value = found.identity, found.runnable
                contents |= {f"{name} {part}": sha for part, sha in found.contents.items()}
            elif isinstance(value, Path):
                role = "data" if name == "path" else name
                contents[role] = self.content(str(use.options[name]), f"{used_by}.{name}")
                value = str(self.path(str(use.options[name])))
            elif name in entry.facts.get("places", ()) and value is not None:
                value = self.shipped_or_file(value)
            runnable[name] = value
        source = room.identity(use).get("source")
        contents |= {"source": source} if source else {}
        return decides, contents, runnable

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

    def world_base(self, world: World) -> str:
        """Hash of a world's base model, which a node that reads a shipped one checks again."""
        found = world.base_fingerprint()
        if world.ships:
            self.contents[world.base_folder()] = found
        return found

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
            return str(described(local))  # a plan reads no weights
        return str(local) if local.exists() else model.path

    def context(self) -> int | None:
        """Positions of that model; None where its config isn't here yet."""
        if isinstance(self.study.model, ScratchModel):
            return self.study.model.max_length
        file = Path(self.model_place or "") / "config.json"
        if self.model_place is None or not file.is_file():
            return None
        return limits_of(read_json(file)).positions
