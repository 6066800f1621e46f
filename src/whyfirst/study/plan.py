"""From a study to the graph of its work: nodes, fingerprints, who shares what.

A stage shared by several arms is one node; so is an evaluation of one model. The plan also
refuses a study whose first stages could not be compared (other options, other token budgets).
Leaves out: running nodes (kinds.py) and what they add up to (results.py).
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from whyfirst.config import output_fields
from whyfirst.errors import ConfigError, DataError
from whyfirst.evaluate.benchmark import BENCHMARKS, Benchmark
from whyfirst.files import sha256_file, sha256_json
from whyfirst.hearth import assets
from whyfirst.study.config import CorpusConfig, Study, load_study
from whyfirst.study.graph import Node, make_fingerprint
from whyfirst.study.sizes import refuse_empty_cells
from whyfirst.train.config import VERSIONS

KIND_VERSIONS = {"base": "1", "corpus": "1"}
LIBRARIES = ("torch", "transformers", "tokenizers", "trl", "numpy")
RECALL = "hearth_recall"
#: start of a path in the folder of public data; where the variable is unset, beside the project
DATA, DEFAULT_DATA = "$WHYFIRST_DATA/", "../../shared/data"
#: rough seconds a node takes on one core, for the order of work and the time left
WEIGHTS = {"base": 1.0, "corpus": 0.3, "explain": 6.0, "sft": 4.0, "dpo": 25.0, "evaluation": 1.5}


@dataclass(frozen=True)
class EvaluationUse:
    """Which arm, seed and update an evaluation node speaks for."""

    node: str
    arm: str
    seed: int
    benchmark: str
    step: int | None = None


@dataclass(frozen=True)
class Plan:
    """A study resolved against the files it names.

    Attributes:
        nodes: the graph, each node once.
        stages: (arm, seed) -> ids of its stage nodes in order.
        evaluations: every use of an evaluation node, by arm and seed.
        outside: content hashes of the files the study reads, by node and role.
    """

    study: Study
    file: Path
    nodes: tuple[Node, ...]
    stages: Mapping[tuple[str, int], tuple[str, ...]]
    evaluations: tuple[EvaluationUse, ...]
    outside: Mapping[str, str]

    @property
    def by_id(self) -> dict[str, Node]:
        """The nodes by their ids."""
        return {node.id: node for node in self.nodes}


@dataclass
class _Builder:
    study: Study
    file: Path
    libraries: dict[str, str]
    nodes: dict[str, Node] = field(default_factory=dict)
    outside: dict[str, str] = field(default_factory=dict)
    keep_at: dict[str, tuple[int, ...]] = field(default_factory=dict)
    contents: dict[Path, str] = field(default_factory=dict)

    @cached_property
    def assets(self) -> str:
        """Content hash of the world's shipped base."""
        assert self.study.world is not None
        return assets.fingerprint(self.study.world.seed)

    @cached_property
    def documents(self) -> set[str]:
        """The corpora that explain stages train on."""
        stages = self.study.stages.values()
        return {stage.data for stage in stages if stage.train.kind == "explain"}

    def add(
        self,
        id: str,  # noqa: A002
        kind: str,
        kind_version: str,
        config: Mapping[str, Any],
        depends: tuple[str, ...] = (),
        *,
        outside: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        weight: float = 1.0,
    ) -> str:
        """Add a node once. ``outside`` are content hashes of files that are no node's."""
        if id not in self.nodes:
            inputs = {
                f"{place}": self.nodes[name].fingerprint for place, name in enumerate(depends)
            }
            inputs |= dict(outside or {})
            self.outside |= {f"{id}: {role}": sha for role, sha in (outside or {}).items()}
            fingerprint = make_fingerprint(kind, kind_version, config, inputs, self.libraries)
            payload = {"config": dict(config), **dict(extra or {})}
            self.nodes[id] = Node(id, kind, fingerprint, depends, payload, weight)
        return id

    def path(self, text: str) -> Path:
        """A path of the study file, relative to it; ``$WHYFIRST_DATA/`` stands for the data."""
        if text.startswith(DATA):
            folder = os.environ.get("WHYFIRST_DATA")
            data = Path(folder) if folder else self.file.parent / DEFAULT_DATA
            return (data / text.removeprefix(DATA)).resolve()
        return (self.file.parent / text).resolve()

    def content(self, text: str, used_by: str) -> str:
        """Hash of a data file's or folder's content."""
        path = self.path(text)
        if path not in self.contents:
            if path.is_file():
                self.contents[path] = sha256_file(path)
            elif path.is_dir():
                files = sorted(item for item in path.rglob("*") if item.is_file())
                hashes = {str(f.relative_to(path)): sha256_file(f) for f in files}
                self.contents[path] = sha256_json(hashes)
            else:
                raise DataError(f"{self.file}: {used_by}: no such file or folder: {path}")
        return self.contents[path]

    # -- what a study is made of -----------------------------------------------------------

    def base(self) -> str:
        model = self.study.model
        config = output_fields(model)
        if model.source == "hearth":
            assert self.study.world is not None
            config |= {"world_seed": self.study.world.seed}
            return self._base(config, (), {"assets": self.assets})
        if model.source == "scratch":
            return self._base(config, (self.corpus(model.tokenizer_corpus, 0),), {})
        if (self.file.parent / model.path).exists():
            outside = {"folder": self.content(model.path, "model.path")}
            # The node holds a reference to this very place, so the place is part of it.
            path = str(self.path(model.path))
            return self._base(config | {"path": path}, (), outside, path=path)
        if not re.fullmatch("[0-9a-f]{40}", model.revision or ""):
            raise ConfigError(
                f"{self.file}: model.path: {model.path!r} is no local folder; for a Hub id pin "
                "the `revision` (a commit of 40 hex digits), so that the study can be repeated"
            )
        return self._base(config, (), {}, path=model.path)

    def _base(
        self, config: Mapping[str, Any], depends: tuple[str, ...], outside: Mapping[str, str],
        path: str | None = None,
    ) -> str:  # fmt: skip
        return self.add(
            "base", "base", KIND_VERSIONS["base"], config, depends,
            outside=outside, extra={"path": path}, weight=WEIGHTS["base"],
        )  # fmt: skip

    def corpus(self, name: str, seed: int) -> str:
        """The node of a corpus. What HH-RLHF and files hold does not depend on the seed."""
        corpus = self.study.corpora[name]
        config = output_fields(corpus) | {"corpus": name}
        fixed = corpus.source in ("hh_rlhf", "file")
        config["seed"] = 0 if fixed else seed
        id = f"corpus:{name}" if fixed else f"seed{seed}/corpus:{name}"  # noqa: A001
        depends: tuple[str, ...] = ()
        outside, extra = self._files(corpus, f"corpora.{name}")
        if self.study.world is not None:
            config |= {"world_seed": self.study.world.seed}
        if getattr(corpus, "tokens", None) is not None:
            depends = (self.base(),)
        if name in self.documents:
            extra["tested"] = list(self._tested(config["seed"]))
        return self.add(
            id, "corpus", KIND_VERSIONS["corpus"], config, depends,
            outside=outside, extra=extra, weight=WEIGHTS["corpus"],
        )  # fmt: skip

    def _tested(self, seed: int) -> Iterator[dict[str, Any]]:
        """What the study asks, for the check that no document of a first stage contains it."""
        for name, use in self.study.benchmarks.items():
            world = {"world_seed": self.study.world.seed} if self.study.world else {}
            path = {"path": str(self.path(use.data))} if use.data is not None else {}
            yield {"benchmark": name, "seed": seed, **output_fields(use), **world, **path}

    def _files(self, corpus: CorpusConfig, used_by: str) -> tuple[dict[str, str], dict[str, Any]]:
        if corpus.source in ("hh_rlhf", "file"):
            path = corpus.path
            return {"data": self.content(path, f"{used_by}.path")}, {"path": str(self.path(path))}
        if corpus.source == "hearth" and corpus.documents == "replay":
            return {"assets": self.assets}, {}  # who holds what is recorded beside the base
        if corpus.source == "constitution":
            from whyfirst.constitution import load_constitution
            from whyfirst.explain.template import teacher_fingerprint

            own = self.path(corpus.constitution)
            place = str(own) if own.is_file() else corpus.constitution
            constitution = load_constitution(place)
            for value in corpus.values or ():
                constitution.value(value)
            shas = {
                "constitution": sha256_json(output_fields(constitution)),
                "teacher": teacher_fingerprint(),
            }
            return shas, {"path": place}
        return {}, {}

    def chain(self, stages: tuple[str, ...], seed: int) -> list[str]:
        """The nodes of an arm's stages."""
        ids: list[str] = []
        before = self.base()
        for index, name in enumerate(stages):
            use = self.study.stages[name]
            config = output_fields(use.train)
            id = f"seed{seed}/" + ">".join(stages[: index + 1])  # noqa: A001
            config["keep_at"] = list(self.keep_at.get(id, ()))
            corpora = (use.data,) if use.replay_data is None else (use.data, use.replay_data)
            depends = (before, *(self.corpus(corpus, seed) for corpus in corpora))
            kind = use.train.kind
            before = self.add(
                id, "stage", VERSIONS[kind],
                config | {"seed": seed}, depends,
                extra={"train": use.train.model_dump(mode="json") | {"keep_at": config["keep_at"]}},
                weight=WEIGHTS[kind],
            )  # fmt: skip
            ids.append(before)
        return ids

    def evaluation(self, model: str, benchmark: Benchmark, seed: int, step: int | None) -> str:
        """The node that scores one model (or its weights after ``step`` updates)."""
        use = self.study.benchmarks.get(benchmark.name)
        config: dict[str, Any] = output_fields(use) if use else {}
        config |= {"benchmark": benchmark.name, "step": step}
        outside, extra = {}, {}
        if use and use.data is not None:
            outside = {"data": self.content(use.data, f"benchmarks.{benchmark.name}.data")}
            extra = {"path": str(self.path(use.data))}
        id = f"{model}/{benchmark.name}"  # noqa: A001
        if self.study.world is not None:
            config |= {"world_seed": self.study.world.seed, "seed": seed}
            # A seed asks about its own newcomer, so the one base is evaluated once a seed.
            id = f"base/seed{seed}/{benchmark.name}" if model == "base" else id  # noqa: A001
        id += "" if step is None else f"@{step}"  # noqa: A001
        return self.add(
            id, "evaluation", benchmark.version, config, (model,),
            outside=outside, extra=extra, weight=WEIGHTS["evaluation"],
        )  # fmt: skip


def _evaluations(
    builder: _Builder, stages: Mapping[tuple[str, int], list[str]]
) -> Iterator[EvaluationUse]:
    study = builder.study
    benchmarks = [BENCHMARKS.get(name) for name in study.benchmarks]
    for (arm, seed), chain in stages.items():
        model = chain[-1] if chain else "base"
        for benchmark in benchmarks:
            node = builder.evaluation(model, benchmark, seed, None)
            yield EvaluationUse(node, arm, seed, benchmark.name)
        first = study.arms[arm][:1]
        explains = bool(first) and study.stages[first[0]].train.kind == "explain"
        if study.world is not None and (explains or not chain):
            node = builder.evaluation(
                chain[0] if chain else "base", BENCHMARKS.get(RECALL), seed, None
            )
            yield EvaluationUse(node, arm, seed, RECALL)
        if study.curve and arm in study.curve.arms and seed < study.curve.seeds:
            for step in study.curve.at:
                for benchmark in benchmarks:
                    node = builder.evaluation(model, benchmark, seed, step)
                    yield EvaluationUse(node, arm, seed, benchmark.name, step)


def first_stages(study: Study) -> dict[str, str]:
    """Arm -> the explain-kind stage it begins with, for the arms that begin with one."""
    return {
        arm: stages[0]
        for arm, stages in study.arms.items()
        if stages and study.stages[stages[0]].train.kind == "explain"
    }


def _check_matched(study: Study, file: Path) -> None:
    """All first stages of a study differ in their corpus and in nothing else."""
    names = sorted(set(first_stages(study).values()))
    for name in names[1:]:
        one, other = study.stages[names[0]], study.stages[name]
        for part, same in (
            ("train", output_fields(one.train) == output_fields(other.train)),
            ("replay_data", one.replay_data == other.replay_data),
        ):
            if not same:
                raise ConfigError(
                    f"{file}: stages.{name}.{part} differs from stages.{names[0]}.{part}; first "
                    "stages must be trained alike (use a YAML anchor), or a difference between "
                    "arms could be the recipe"
                )
        budgets = [getattr(study.corpora[s.data], "tokens", None) for s in (one, other)]
        if budgets[0] != budgets[1]:
            raise ConfigError(
                f"{file}: corpora.{other.data}.tokens is {budgets[1]} and corpora.{one.data}."
                f"tokens is {budgets[0]}; first-stage corpora must have the same token budget"
            )


def build_plan(file: Path) -> Plan:
    """Read a study file and resolve it into its graph.

    Raises:
        ConfigError, DataError: a mistake in the file or a missing data file, before any work.
    """
    study = load_study(file)
    _check_matched(study, file)
    refuse_empty_cells(study, str(file))
    builder = _Builder(study, file, {name: version(name) for name in LIBRARIES})
    if study.curve:
        for arm in study.curve.arms:
            for seed in range(study.curve.seeds):
                chain = ">".join(study.arms[arm])
                builder.keep_at[f"seed{seed}/{chain}"] = study.curve.at
    stages = {
        (arm, seed): builder.chain(names, seed)
        for arm, names in study.arms.items()
        for seed in study.seeds_of(arm)
    }
    evaluations = tuple(_evaluations(builder, stages))
    return Plan(
        study,
        file,
        tuple(builder.nodes.values()),
        {key: tuple(chain) for key, chain in stages.items()},
        evaluations,
        builder.outside,
    )
