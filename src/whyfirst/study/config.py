"""The study file, from one YAML file to one report: read strictly, its names held together.

What the command line changes in it (another model, less of everything) is recorded in the results,
beside the command. Leaves out: the sections (schema.py), what is resolved against files (plan.py),
and any other change, which belongs into the study file.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import LocatedError, load_yaml, problems_of
from whyfirst.config.strict_yaml import dotted, read_yaml
from whyfirst.models.reference import ModelRef, parse_model
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


def load_study(path: Path) -> Study:
    """Read and check a study file.

    Its plug-ins are loaded first, here and in every process started from here: what they enter is
    named in it.

    Raises:
        ConfigError: everything wrong with it, a line each, before anything is loaded.
    """
    document = read_yaml(path)
    named = document.data.get("plugins") if isinstance(document.data, dict) else None
    for index, given in enumerate(named if isinstance(named, list) else ()):
        try:
            if isinstance(given, str):
                plugins.use([path.parent / given])
        except UserError as error:
            line = document.line(("plugins", index))
            raise ConfigError(f"{path}:{line}: plugins[{index}]: {error}") from error
    return load_yaml(path, Study)


# Tokens of a budget that `limit` leaves for each row it leaves of other corpora.
TOKENS_A_ROW = 1000


@dataclass(frozen=True)
class Overrides:
    """Args:
    model: a folder, a Hub id or ``endpoint:URL#MODEL`` in place of the study's model.
    limit: items of each benchmark, rows of each corpus (or 1,000 tokens a row of its budget) and
        rows of each update at most; updates to the least a stage may have, or as many if more.
    """

    model: str | None = None
    limit: int | None = None

    @property
    def words(self) -> str:
        """As they stand on the command line, with a space in front; empty without any."""
        model = f" --model {shlex.quote(self.model)}" if self.model is not None else ""
        return model + (f" --limit {self.limit}" if self.limit is not None else "")

    @property
    def record(self) -> dict[str, str]:
        """For results.json."""
        given = {"model": self.model, "limit": self.limit}
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def suffix(self) -> str:
        """For the run's folder, so that a trial doesn't overwrite the study's own report."""
        model = f"-{Path(self.model.rpartition('#')[2]).name}" if self.model else ""
        return model + (f"-limit{self.limit}" if self.limit is not None else "")

    def apply(self, study: Study, file: Path) -> Study:
        """The changed study.

        Raises:
            ConfigError: what comes out is no valid study; says where.
        """
        if self == NONE:
            return study
        data = study.model_dump(mode="json", by_alias=True)
        if self.model is not None:
            # Run as the study's own is (dtype, chat template) where the file says so.
            kept: dict[str, Any] = {}
            if isinstance(study.model, ModelRef) and not self.model.startswith("endpoint:"):
                names = ("dtype", "device_map", "chat_template")
                kept = {n: value for n in names if (value := getattr(study.model, n)) is not None}
            # A path on the command line starts where the command is given, not at the study file.
            local = Path(self.model).expanduser()
            named = parse_model(str(local.resolve()) if local.exists() else self.model, **kept)
            given = named.model_dump(mode="json", exclude_unset=True)
            data["model"] = {"source": "pretrained"} | given
        if self.limit is not None:
            _limit(data, self.limit, study)
        try:
            return Study.model_validate(data)
        except ValidationError as error:
            told = [f"{dotted(at)}: {said}" for at, said in problems_of(error, Study)]
            raise ConfigError(f"{file}, with{self.words}: " + "; ".join(told)) from None


NONE = Overrides()


def _limit(data: dict[str, Any], limit: int, study: Study) -> None:
    def cut(part: dict[str, Any], key: str, most: int = limit) -> None:
        part[key] = min(part[key] or most, most)

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
