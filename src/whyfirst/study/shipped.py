"""Where the studies that ship with the package lie: beside its code, or in a checkout's `studies/`.

Leaves out: stores and run folders (study/run.py), and the other things that ship (constitutions,
the worlds' bases), which lie inside the package and are found by their own modules.
"""

from pathlib import Path

from whyfirst.config.errors import UserError, did_you_mean

_PACKAGE = Path(__file__).parent.parent


def studies_folder() -> Path:
    """The folder of the shipped studies; a wheel holds a copy of the repository's."""
    packaged = _PACKAGE / "studies"
    return packaged if packaged.is_dir() else _PACKAGE.parent.parent / "studies"


def shipped_studies() -> list[str]:
    """Names of the shipped studies, sorted."""
    return sorted(path.stem for path in studies_folder().glob("*.yaml"))


def shipped_study(name: str) -> Path:
    """The file of a shipped study.

    Raises:
        UserError: there is none of that name; gives the nearest one.
    """
    names = shipped_studies()
    if name not in names:
        known = ", ".join(names) or "none"
        raise UserError(f"no shipped study {name!r}{did_you_mean(name, names)} (shipped: {known})")
    return studies_folder() / f"{name}.yaml"


def study_file(given: str) -> Path:
    """A study named on the command line: a file, or the bare name of a shipped study.

    Raises:
        UserError: it is neither.
    """
    path = Path(given)
    if path.is_file():
        return path
    if given in shipped_studies():
        return shipped_study(given)
    what = "is a folder, not a study file" if path.is_dir() else "no such file"
    hint = did_you_mean(given, shipped_studies())
    raise UserError(
        f"{given}: {what}, and no shipped study{hint} (shipped: {', '.join(shipped_studies())})"
    )
