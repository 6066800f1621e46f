"""The nodes of a study's graph: what each computes, from which inputs, under which fingerprint.

A stage shared by several arms is one node; so is an evaluation of one model. Fingerprints hold the
kind of device (a GPU's sums are rounded in another order than a CPU's, so the two give other
weights and, now and then, other greedy answers) and no number of threads: at the sizes trained on
CPUs it moves nothing that is reported, and a store must serve machines of other sizes; a stage's
record names it. Leaves out: which nodes a study needs (plan.py) and running them (kinds.py).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import read_json, sha256_file, sha256_json
from whyfirst.evaluate.benchmark import BENCHMARKS, Benchmark
from whyfirst.study import models
from whyfirst.study.config import Study, decisive
from whyfirst.study.execute.graph import Node, make_fingerprint
from whyfirst.study.planning.corpora import add_corpus
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.kinds import KINDS, data_names, kind_of
from whyfirst.worlds.hearth import assets

#: code versions of the kinds of node that have none of their own elsewhere
KIND_VERSIONS = {"base": "1", "corpus": "2", "written": "1", "overlap": "1", "match": "1"}
#: start of a path in the folder of public data; where the variable is unset, beside the project
DATA, DEFAULT_DATA = "$WHYFIRST_DATA", "../../shared/data"
#: rough seconds a node takes on one core, for the order of work and the time left
WEIGHTS = {
    "base": 1.0, "corpus": 0.2, "written": 60.0, "overlap": 0.2, "match": 0.3, "evaluation": 1.5,
}  # fmt: skip


@dataclass
class Builder:
    """Adds nodes, each once.

    Args:
        study, file: what is planned and where it was read.
        libraries: versions that can change a result.
        device: the kind of device everything is computed on.
    """

    study: Study
    file: Path
    libraries: dict[str, str]
    device: str
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
        return {stage.data for stage in stages if "documents" in data_names(stage.train)}

    @cached_property
    def files(self) -> models.Files:
        """How the study's models and judges find their files."""
        return models.Files(self.path, self.content)

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
            rank = config.get("seed", 0)
            self.nodes[id] = Node(id, kind, fingerprint, depends, payload, weight, rank=rank)
        return id

    def path(self, text: str) -> Path:
        """A path of the study file, relative to it; ``$WHYFIRST_DATA`` stands for the data."""
        first, _, rest = text.partition("/")
        if first == DATA:
            folder = os.environ.get(DATA.removeprefix("$"))
            data = Path(folder) if folder else self.file.parent / DEFAULT_DATA
            return (data / rest).resolve()
        return (self.file.parent / Path(text).expanduser()).resolve()

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
                hint = f" (set WHYFIRST_DATA to the folder of the data)" if DATA in text else ""  # noqa: F541
                raise DataError(f"{self.file}: {used_by}: no such file or folder: {path}{hint}")
        return self.contents[path]

    # -- the base --------------------------------------------------------------------------

    def base(self) -> str:
        """The node of the model every arm starts from."""
        model = self.study.model
        if model.source == "pretrained":
            found = models.locate(model, "model", self.files, self.file)
            config = {"source": "pretrained"} | found.identity
            return self._base(config, (), found.contents, {"model": found.runnable})
        config = decisive(model)
        if model.source == "scratch":
            return self._base(config, (self.corpus(model.tokenizer_corpus, 0),), {}, {})
        assert self.study.world is not None
        config |= {"world_seed": self.study.world.seed}
        return self._base(config, (), {"assets": self.assets}, {})

    def _base(
        self, config: Mapping[str, Any], depends: tuple[str, ...], outside: Mapping[str, str],
        extra: Mapping[str, Any],
    ) -> str:  # fmt: skip
        return self.add(
            "base", "base", KIND_VERSIONS["base"], config, depends,
            outside=outside, extra=extra, weight=WEIGHTS["base"],
        )  # fmt: skip

    @cached_property
    def model_place(self) -> str | None:
        """The folder or Hub id of the model the study starts from; None where it has none yet."""
        model = self.study.model
        if model.source == "hearth":
            assert self.study.world is not None
            return str(assets.base_folder(self.study.world.seed))
        if model.source == "scratch" or model.path is None:
            return None
        local = self.path(model.path)
        return str(local) if local.exists() else model.path

    def context(self) -> int | None:
        """Positions of that model; None where its config isn't here yet."""
        if self.study.model.source == "scratch":
            return self.study.model.max_length
        file = Path(self.model_place or "") / "config.json"
        if self.model_place is None or not file.is_file():
            return None
        config = read_json(file)
        found = config.get("max_position_embeddings", config.get("n_positions"))
        return found if isinstance(found, int) else None

    # -- corpora ---------------------------------------------------------------------------

    def most_rows(self) -> dict[str, int | None]:
        """The most rows each corpus can have, where that costs next to nothing to know."""
        most: dict[str, int | None] = {}
        for name, corpus in self.study.corpora.items():
            most[name] = getattr(corpus, "size", None)
            if corpus.source == "file" and self.path(corpus.path).is_file():
                lines = self.path(corpus.path).read_bytes().count(b"\n") + 1
                most[name] = min(lines, corpus.size or lines)
        return most

    def corpus(self, name: str, seed: int) -> str:
        """The node of a corpus."""
        return add_corpus(self, name, seed)

    def check_overlap(self) -> None:
        """Add the checks that no document of a first stage holds what a benchmark asks.

        A check is a node of its own, one for each benchmark (and for each seed, where the seed
        decides what is asked), over the documents of all corpora and seeds at once: it is done
        again when a benchmark, its data or a document changes, and nothing is trained again for it.
        The stages that read the documents wait for it.
        """
        named = {name: node for name, node in self.nodes.items() if node.kind == "corpus"}
        read = {n: c for n, c in named.items() if c.payload["config"]["corpus"] in self.documents}
        by_seed: dict[int, list[str]] = {}
        for name, node in read.items():
            seed = node.payload["config"]["seed"] if self.study.world is not None else 0
            by_seed.setdefault(seed, []).append(name)
        for seed, corpora in by_seed.items():
            checks = tuple(self._overlap(name, seed, corpora) for name in self.study.benchmarks)
            for name, node in self.nodes.items():
                if node.kind == "stage" and set(corpora) & set(node.depends):
                    self._wait(name, checks)

    def _wait(self, stage: str, checks: tuple[str, ...]) -> None:
        node = self.nodes[stage]
        self.nodes[stage] = replace(node, after=(*node.after, *checks))

    def check_matched(self, firsts: Sequence[str], seed: int) -> None:
        """Add the check that first stages without a token budget train on as many tokens.

        Args:
            firsts: the first stages of a seed's arms; they wait for it.
        """
        uses = {name: self.study.stages[name] for name in firsts}
        budgets = [getattr(self.study.corpora[u.data], "tokens", None) for u in uses.values()]
        if len(uses) < 2 or None not in budgets:
            return
        corpora = {u.data: self.corpus(u.data, seed) for u in uses.values()}
        replay = next(iter(uses.values())).replay_data  # the same for all
        extra = () if replay is None else (self.corpus(replay, seed),)
        first = next(iter(uses.values()))
        config = {
            "train": decisive(first.train),
            "stages": {name: use.data for name, use in uses.items()},
            "seed": seed,
        }
        check = self.add(
            f"seed{seed}/match", "match", KIND_VERSIONS["match"], config,
            (self.base(), *corpora.values(), *extra),
            extra={"train": first.train.model_dump(mode="json"), "corpora": list(corpora)},
            weight=WEIGHTS["match"],
        )  # fmt: skip
        for name in uses:
            self._wait(f"seed{seed}/{name}", (check,))

    def _overlap(self, name: str, seed: int, corpora: list[str]) -> str:
        use, benchmark = self.study.benchmarks[name], BENCHMARKS.get(name)
        config = decisive(use) | {"benchmark": name, "version": benchmark.version}
        config.pop("judges", None)  # who judges the answers changes no question
        id, extra = f"overlap:{name}", {}  # noqa: A001
        if self.study.world is not None:
            config |= {"world_seed": self.study.world.seed, "seed": seed}
            id = f"seed{seed}/{id}"  # noqa: A001
        if use.data is not None:
            config["data"] = self.content(use.data, f"benchmarks.{name}.data")
            extra = {"path": str(self.path(use.data))}
        return self.add(
            id, "overlap", KIND_VERSIONS["overlap"], config, tuple(corpora),
            extra=extra, weight=WEIGHTS["overlap"],
        )  # fmt: skip

    # -- stages and evaluations ------------------------------------------------------------

    def chain(self, stages: tuple[str, ...], seed: int) -> list[str]:
        """The nodes of an arm's stages; a reward model among them serves those behind it."""
        ids: list[str] = []
        before, reward = self.base(), ""
        for index, name in enumerate(stages):
            use = self.study.stages[name]
            config = decisive(use.train)
            id = f"seed{seed}/" + ">".join(stages[: index + 1])  # noqa: A001
            config["keep_at"] = list(self.keep_at.get(id, ()))
            corpora = (use.data,) if use.replay_data is None else (use.data, use.replay_data)
            depends = (before, *(self.corpus(corpus, seed) for corpus in corpora))
            if use.reward_from is not None:
                # From the study's model and not from the arm's: one reward model for every arm.
                depends += (self.chain((use.reward_from,), seed)[-1],)
            elif REWARD_MODEL in data_names(use.train):
                depends += (reward,)
            kind = kind_of(use.train)
            outside, train = self._rewards(name)
            node = self.add(
                id, "stage", KINDS.get(use.train.kind).version,
                config | {"seed": seed, "device": self.device}, depends,
                outside=outside, extra={"train": train | {"keep_at": config["keep_at"]}},
                weight=kind.seconds,
            )  # fmt: skip
            ids.append(node)
            if kind.makes == "reward_model":  # the next stage starts where this one did
                reward = node
            else:
                before = node
        return ids

    def _rewards(self, name: str) -> tuple[dict[str, str], dict[str, Any]]:
        """A stage's options with the whole paths of its reward models, and their hashes."""
        options: dict[str, Any] = self.study.stages[name].train.model_dump(mode="json")
        contents: dict[str, str] = {}
        gold = [options["gold"]] if options.get("gold") else []
        for index, use in enumerate([*options.get("rewards", []), *gold]):
            if use["path"] is not None:
                used_by = f"stages.{name}.train.rewards.{index}.path"
                contents[f"reward {index}"] = self.content(use["path"], used_by)
                use["path"] = str(self.path(use["path"]))
        return contents, options

    def evaluation(self, model: str, benchmark: Benchmark, seed: int, step: int | None) -> str:
        """The node that scores one model (or its weights after ``step`` updates)."""
        use = self.study.benchmarks.get(benchmark.name)
        config: dict[str, Any] = decisive(use) if use else {}
        config |= {"benchmark": benchmark.name, "step": step}
        outside, extra = self._answered_by(config)
        if use and use.data is not None:
            outside["data"] = self.content(use.data, f"benchmarks.{benchmark.name}.data")
            extra["path"] = str(self.path(use.data))
        self._judged_by(benchmark, config, outside, extra)
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

    def _answered_by(self, config: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
        """What an evaluation of the study's models holds of how they answer."""
        model = self.study.model
        if model.source != "pretrained":
            config["device"] = self.device
            return {}, {}
        if model.endpoint is not None:
            return {}, {"model": models.locate(model, "model", self.files, self.file).runnable}
        config["device"] = self.device
        identity, runnable = models.answering(model, self.files)
        config |= identity
        return {}, {"model": runnable}

    def _judged_by(
        self, benchmark: Benchmark, config: dict[str, Any], outside: dict[str, str],
        extra: dict[str, Any],
    ) -> None:  # fmt: skip
        """Put a benchmark's judges into its evaluation.

        Raises:
            ConfigError: a judge that answers no question of the benchmark, or asks a model where
                the study names none.
        """
        if not benchmark.questions:
            return
        use = self.study.benchmarks.get(benchmark.name)
        at = f"benchmarks.{benchmark.name}.judges"
        named = [models.named_judge(spec, at, self.files) for spec in (use.judges if use else ())]
        for judge in named:
            if judge.question not in benchmark.questions:
                raise ConfigError(
                    f"{self.file}: {at}: {judge.spec!r} says whether a response is "
                    f"{judge.question!r}, and the benchmark asks whether it is "
                    f"{' or '.join(map(repr, benchmark.questions))}"
                )
            if judge.asks and self.study.judge_model is None:
                raise ConfigError(f"{self.file}: {at}: {judge.spec!r} asks a model: name it as "
                                  "`judge_model`")  # fmt: skip
        # The rules judge where no other does, so their version counts as well.
        rules = models.named_judge("rules", at, self.files)
        config["judges"] = [judge.identity for judge in (*named, rules)]
        extra["judges"] = [judge.spec for judge in named]
        if any(judge.asks for judge in named) and self.study.judge_model is not None:
            found = models.locate(self.study.judge_model, "judge_model", self.files, self.file)
            answers, runnable = models.answering(self.study.judge_model, self.files)
            config["judge_model"] = found.identity | answers
            outside |= {f"judge {role}": sha for role, sha in found.contents.items()}
            extra["judge_model"] = found.runnable | runnable
