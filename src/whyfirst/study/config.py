"""The study file, from one YAML file to one report: read strictly, its names held together.

Leaves out: the sections (schema.py) and what is resolved against files (plan.py).
"""

from pathlib import Path

from pydantic import model_validator

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import LocatedError, load_yaml
from whyfirst.config.strict_yaml import read_yaml
from whyfirst.study import names
from whyfirst.study.loops import with_rounds, without_round
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
