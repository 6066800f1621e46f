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
from whyfirst.study.schema import StudyFile


class Study(StudyFile):
    """The whole file."""

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        problems = list(names.problems(self))
        if problems:
            raise LocatedError(problems)
        return self


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
