"""The study file, from one YAML file to one report: read strictly, its names held together.

What the command line changes in it (a value, another model, less of everything) is recorded in the
results, beside the command. Leaves out: the sections (schema.py), and what is resolved against
files (plan.py).
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError, model_validator

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError, did_you_mean
from whyfirst.config.files import sha256_json
from whyfirst.config.strict import LocatedError, load_yaml, problems_of
from whyfirst.config.strict_yaml import YamlDocument, dotted, parse_yaml, read_yaml
from whyfirst.models.reference import ENDPOINT_ONLY, ModelRef, parse_model
from whyfirst.study import names
from whyfirst.study.materials import with_rounds, without_round
from whyfirst.study.schema import StudyFile


class Study(StudyFile):
    """The whole file, its loops written out."""

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        try:
            stages = with_rounds(self.stages, {arm: use.stages for arm, use in self.arms.items()})
        except ConfigError as error:
            raise LocatedError([(("stages",), str(error))]) from error
        study = self if stages == self.stages else self.model_copy(update={"stages": stages})
        problems = [
            (tuple(without_round(p) if isinstance(p, str) else p for p in at), said)
            for at, said in names.problems(study)
        ]
        if problems:
            raise LocatedError(list(dict.fromkeys(problems)))
        return study


def load_study(path: Path, changes: Sequence[str] = ()) -> Study:
    """Read and check a study file.

    Its plug-ins are loaded first, here and in every process started from here: what they enter is
    named in it.

    Args:
        changes: ``KEY=VALUE`` each, in place of what the file says (see `Overrides`).

    Raises:
        ConfigError: everything wrong with it, a line each, before anything is loaded.
    """
    document = read_yaml(path)
    _change(document, changes)
    named = document.data.get("plugins") if isinstance(document.data, dict) else None
    for index, given in enumerate(named if isinstance(named, list) else ()):
        try:
            if isinstance(given, str):
                plugins.use([path.parent / given])
        except UserError as error:
            line = document.line(("plugins", index))
            raise ConfigError(f"{path}:{line}: plugins[{index}]: {error}") from error
    try:
        return load_yaml(path, Study, lambda document: _change(document, changes))
    except ConfigError as error:
        if not changes:
            raise
        raise ConfigError(f"{error}\n(with{Overrides(changes=tuple(changes)).words})") from None


def _change(document: YamlDocument, changes: Sequence[str]) -> None:
    if not isinstance(document.data, dict):
        return  # which is what is wrong with it
    for given in changes:
        key, equals, text = given.partition("=")
        if not equals:
            raise ConfigError(f"--set {given}: give KEY=VALUE, e.g. seeds.default=5")
        value = parse_yaml(text, Path(f"--set {key}"))
        document.problems += [(1, key, said) for _, _, said in value.problems]
        *within, last = key.split(".")
        at: Any = document.data
        for depth, part in enumerate(within, 1):
            inside = at.get(part)
            if not isinstance(inside, dict):
                known = [name for name in at if isinstance(at[name], dict)]
                raise ConfigError(
                    f"--set {given}: the study file has no section {'.'.join(within[:depth])!r}"
                    f"{did_you_mean(part, known)} (there are {', '.join(known) or 'none'})"
                )
            at = inside
        at[last] = value.data


# Tokens of a budget that `limit` leaves for each row it leaves of other corpora.
TOKENS_A_ROW = 1000


@dataclass(frozen=True)
class Overrides:
    """Args:
    model: a folder, a Hub id or ``endpoint:URL#MODEL`` in place of the study's model.
    limit: items of each benchmark, rows of each corpus (or 1,000 tokens a row of its budget) and
        rows of each update at most; updates to the least a stage may have, or as many if more.
    changes: ``KEY=VALUE`` each, before the other two: a key as messages write it
        (``stages.align.train.updates``; of an anchor, that use alone) and its value in YAML.
    """

    model: str | None = None
    limit: int | None = None
    changes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """As they stand on the command line, with a space in front; empty without any."""
        given = [f" --set {shlex.quote(change)}" for change in self.changes]
        given += [f" --model {shlex.quote(self.model)}"] if self.model is not None else []
        return "".join(given) + (f" --limit {self.limit}" if self.limit is not None else "")

    @property
    def record(self) -> dict[str, str]:
        """For results.json."""
        changes = shlex.join(self.changes) or None
        given = {"model": self.model, "limit": self.limit, "set": changes}
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def suffix(self) -> str:
        """For the run's folder, so that a trial doesn't overwrite the study's own report."""
        model = f"-{Path(self.model.rpartition('#')[2]).name}" if self.model else ""
        changes = f"-set-{sha256_json(self.changes)[:6]}" if self.changes else ""
        return changes + model + (f"-limit{self.limit}" if self.limit is not None else "")

    @classmethod
    def recorded(cls, record: Mapping[str, str]) -> "Overrides":
        """Those whose `record` it is.

        Raises:
            ValueError: it is no record.
        """
        limit, changes = record.get("limit"), tuple(shlex.split(record.get("set", "")))
        return cls(record.get("model"), None if limit is None else int(limit), changes)

    def read(self, file: Path) -> Study:
        """The study, changed.

        Raises:
            ConfigError: the file is no valid study, or what comes out is none; says where.
        """
        study = load_study(file, self.changes)
        if self.model is None and self.limit is None:
            return study
        data = study.model_dump(mode="json", by_alias=True)
        # What a benchmark isn't given is not given as null.
        for name, use in study.benchmarks.items():
            data["benchmarks"][name] = use.model_dump(mode="json", exclude_unset=True)
        if self.model is not None:
            # A path on the command line starts where the command is given, not at the study file.
            local = Path(self.model).expanduser()
            text = str(local.resolve()) if local.exists() else self.model
            named = parse_model(text, **_kept(study.model, parse_model(text)))
            given = named.model_dump(mode="json", exclude_unset=True)
            data["model"] = {"source": "pretrained"} | given
        if self.limit is not None:
            _limit(data, self.limit, study)
        try:
            return Study.model_validate(data)
        except ValidationError as error:
            told = [f"{dotted(at)}: {said}" for at, said in problems_of(error, Study)]
            raise ConfigError(f"{file}, with{self.words}: " + "; ".join(told)) from None


def _kept(model: object, instead: ModelRef) -> dict[str, Any]:
    """What a study's file says of its own model that holds for another in its place, too.

    A key goes to no other host than the one it was written down for.
    """
    if not isinstance(model, ModelRef):
        return {}
    names = {"dtype", "device_map", "chat_template"}
    if instead.endpoint is not None:
        here, there = (urlsplit(one.endpoint or "").netloc for one in (model, instead))
        names = set(ENDPOINT_ONLY) - {"model"} - ({"key_env"} if here != there else set())
    given = model.model_dump(exclude_unset=True, include=names)
    return {name: value for name, value in given.items() if value is not None}


NONE = Overrides()


def _limit(data: dict[str, Any], limit: int, study: Study) -> None:
    def cut(part: dict[str, Any], key: str, most: int = limit) -> None:
        part[key] = min(part.get(key) or most, most)

    for use in (*data["benchmarks"].values(), *data["comparisons"]):
        cut(use, "limit")
    for corpus in data["corpora"].values():
        if corpus.get("tokens") is not None:
            cut(corpus, "tokens", limit * TOKENS_A_ROW)
        elif "size" in corpus:
            cut(corpus, "size")
    for use in data["written"].values():
        cut(use, "tokens", limit * TOKENS_A_ROW)
    for use in data["stages"].values():
        # As few updates as a stage may have, of so few rows as its groups allow.
        train = use["train"]
        cut(train, "updates", max(train["min_updates"], limit))
        # So few rows needn't divide among processes.
        train |= {"epochs": None, "processes": 1, "fsdp": False}
        train["warmup_updates"] = min(train["warmup_updates"], train["updates"] // 2)
        if "minibatch_size" in train:
            train["minibatch_size"] = min(train["minibatch_size"], limit)
        unit = train.get("group_size") or train.get("minibatch_size") or 1
        train["batch_size"] = min(train["batch_size"], max(1, limit // unit) * unit)
        micro = train["micro_batch_size"]
        if micro is not None and train["batch_size"] % micro:
            train["micro_batch_size"] = 1
    probe, curve = data.get("probe"), data.get("curve")
    if probe is not None and not (probe["pairs"] or probe["constitution"]):
        cut(probe, "limit")
    if curve is not None:
        last = [study.arms[arm].stages[-1] for arm in curve["arms"]]
        most = min(data["stages"][name]["train"]["updates"] for name in last)
        curve["at"] = [step for step in curve["at"] if step < most]
        data["curve"] = curve if curve["at"] else None
