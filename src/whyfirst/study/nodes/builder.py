"""The graph of a study as it grows: nodes added once, the files and models they are made from.

Fingerprints hold the kind of device (a GPU's sums are rounded in another order than a CPU's, so the
two give other weights and, now and then, other greedy answers) and no number of threads: at the
sizes trained on CPUs it moves nothing that is reported, and a store must serve machines of other
sizes; a stage's record names it. Leaves out: what is in a node (the other modules here), and the
files and models it names (`files`).
"""

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json
from whyfirst.config.plugins import source_of
from whyfirst.config.room import Room, Use
from whyfirst.evaluate.short import use_of_text
from whyfirst.models.gguf_file import described, is_gguf, is_packaged
from whyfirst.models.limits import limits_of
from whyfirst.models.reference import ModelRef
from whyfirst.study.execute.graph import Node, make_fingerprint
from whyfirst.study.materials import ScratchModel, WorldModel
from whyfirst.study.nodes.files import Files, Spec, located_to_ask
from whyfirst.study.nodes.kind import NodeKind
from whyfirst.study.schema import StudyFile
from whyfirst.worlds import WORLDS, World

# Behind it, in a node's id, the side of the world it differs on.
SIDE = "~"


@dataclass(frozen=True)
class Named:
    """A use in a node.

    Attributes:
        identity: what identifies it.
        moved: options that a run needs with whole paths.
        payload: the use with them.
    """

    identity: dict[str, Any]
    moved: dict[str, Any]
    payload: dict[str, Any]


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
        asked: benchmark -> what it asks, whoever answers.
        options: stage -> what decides it, whatever the seed and the arm.
        chained: (stages in a row, seed, side) -> the node of the last of them.
        files: what the study's file names.
    """

    study: StudyFile
    file: Path
    libraries: dict[str, str]
    device: str
    nodes: dict[str, Node] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    tokenizer_corpus: str | None = None
    keep_at: dict[str, tuple[int, ...]] = field(default_factory=dict)
    files: Files = field(init=False)
    sources: dict[str, Spec] = field(default_factory=dict)
    asked: dict[str, Spec] = field(default_factory=dict)
    options: dict[str, Spec] = field(default_factory=dict)
    chained: dict[tuple[tuple[str, ...], int, int], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.files = Files(self.file)

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

        Raises:
            ValueError: the id is taken by something else, whose results would be taken for this.
        """
        inputs = {f"{place}": self.nodes[read].fingerprint for place, read in enumerate(depends)}
        fingerprint = make_fingerprint(
            kind.name, kind.version if version is None else version, spec.config,
            inputs | spec.contents, self.libraries,
        )  # fmt: skip
        if id in self.nodes:
            if self.nodes[id].fingerprint != fingerprint:
                raise ValueError(f"{self.file}: two different nodes are called {id!r}")
            return id
        self.outside |= {f"{id}: {role}": sha for role, sha in spec.contents.items()}
        # Wherever the fingerprint holds a content, in its options or beside them.
        decides = json.dumps([spec.config, spec.contents], default=str)
        reads = {str(path): sha for path, sha in self.files.contents.items() if sha in decides}
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

    # -- what it names -------------------------------------------------------------------------

    def method(self, room: Room[Any], use: Use, used_by: str) -> Spec:
        """A use of a room, with the files it names found and, where it isn't ours, its source.

        What it needs besides (`extra`) is the use as `Use` reads it, with whole paths.
        """
        spec = Spec(room.decisive(use), extra={"name": use.name})
        facts, filled = room.get(use.name).facts, room.filled(use)
        for name, value in filled.model_dump().items():
            at = f"{used_by}.{name}"
            if isinstance(model := getattr(filled, name), ModelRef):
                found = located_to_ask(model, at, self.files)
                spec.config[name], value = found.config, found.extra
                spec.hold(name, found.contents)
            elif isinstance(value, Path):
                role = "data" if name == "path" else name
                spec.contents[role], value = self.files.data(str(use.options[name]), at)
                spec.places.append(name)
            elif name in facts.get("places", ()) and value is not None:
                place = self.files.shipped_or_file(value)
                # What ships counts by its name; a corpus' source hashes what it reads itself.
                if place == str(self.files.path(value)) and "inputs" not in facts:
                    spec.contents[name] = self.files.content(value, at)
                    spec.places.append(name)
                    del spec.config[name]
                value = place
            elif name in facts.get("models", ()) and value:
                spec.config[name], value = self._models(value, at, spec)
                spec.places.append(name)
            elif name in facts.get("methods", ()):
                inner_room = facts["methods"][name]
                inner = self.method(inner_room, use_of_text(inner_room, getattr(filled, name)), at)
                spec.config[name], value = {"name": inner.extra["name"]} | inner.config, inner.extra
                spec.hold(name, inner.contents)
                spec.places += [name] if inner.places else []
                # A method within one isn't in the outer one's version; nor was a first one ever.
                version = inner_room.get(inner.extra["name"]).version
                spec.contents |= {} if version == "1" else {f"version of {name}": version}
            spec.extra[name] = value
        source = source_of(room.get(use.name).function)
        spec.contents |= {"source": source} if source else {}
        return spec

    def _models(self, given: Any, used_by: str, spec: Spec) -> tuple[Any, Any]:
        """(what of them decides beside their content, their whole paths) of models in one word.

        Raises:
            ConfigError: none of that name is here.
        """
        labels, paths = [], []
        for number, text in enumerate([given] if isinstance(given, str) else given):
            place, mark, label = text.partition("#")
            if not is_packaged(place) and not self.files.path(place).exists():
                raise ConfigError(
                    f"{self.file}: {used_by}: {place!r} is no folder or file here; a study takes "
                    "such a model by its content, so fetch one of the Hub into a folder first"
                )
            found = located_to_ask(ModelRef(path=place), used_by, self.files)
            spec.hold(f"model {number}", found.contents)
            labels.append(label)
            paths.append(f"{found.extra['path']}{mark}{label}")
        return labels, paths[0] if isinstance(given, str) else paths

    def named(self, room: Room[Any], use: Use, used_by: str, role: str, spec: Spec) -> "Named":
        """Take a use that plays a role in a node into what the node is made of.

        What it names by a place counts by its content, and not by where it lies.
        """
        located = self.method(room, use, used_by)
        # A method that isn't ours is told by `Room.identity`.
        spec.hold(role, {part: sha for part, sha in located.contents.items() if part != "source"})
        options = {
            name: located.config[name] if name in located.places else given
            for name, given in use.options.items()
            if name not in located.places or name in located.config
        }
        identity = room.identity(Use.model_validate({"name": use.name, **options}))
        moved = {name: located.extra[name] for name in located.places}
        return Named(identity, moved, use.model_dump(mode="json") | moved)

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
        local = self.files.path(str(model.path))
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
