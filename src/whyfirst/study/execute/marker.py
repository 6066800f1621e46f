"""`COMPLETE.json`, the marker that makes a folder a result: listing files, and holding them to it.

Only "not there" means that a result isn't complete. What is there and isn't as listed is damage,
told in words; what can't be told (no permission, a stale handle of a network disk, a newer version)
is an error. Leaves out: where results lie and who may write them (`store`).
"""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import read_json, sha256_file

LAYOUT = 1
MARKER = "COMPLETE.json"
# What a killed `atomic_write` leaves.
TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")


def read_marker(folder: Path) -> tuple[dict[str, Any] | None, str]:
    """The marker of a result, and what is wrong with the result: names and sizes, not hashes.

    Returns:
        None and nothing where there is no marker; None and the damage where it vouches for a
        result that isn't there as listed.

    Raises:
        StoreError: it can't be told.
    """
    path = folder / MARKER
    try:
        marker = read_json(path)
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None, ""
        if isinstance(error.__cause__, OSError):
            raise _untold(path, error.__cause__) from error
        return None, str(error)
    try:
        if int(marker.get("layout", LAYOUT)) > LAYOUT:
            raise StoreError(
                f"{path}: written by a newer version of whyfirst (layout {marker['layout']}); "
                "use that version, or another store folder"
            )
        if marker.get("fingerprint") != folder.name:
            return None, f"{path}: is the marker of another result"
        # Folders that are known to be no links: a result may hold thousands of files.
        known = {folder}
        for name, entry in marker["files"].items():
            if not isinstance(entry["sha256"], str):
                raise TypeError
            if damage := _misfit(folder, name, entry["bytes"], known):
                return None, damage
    except OSError as error:
        raise _untold(folder, error) from error
    except (KeyError, TypeError, ValueError, AttributeError):
        return None, f"{path}: not a marker's content"
    return marker, ""


def _untold(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"{error.filename or path}: can't be read, so whether this result is complete can't be "
        f"told: {error.strerror}. Nothing was changed; make it readable (whose file is it?), or "
        "choose another store folder"
    )


def _misfit(folder: Path, name: str, size: int, known: set[Path]) -> str:
    """What is wrong with a listed file, without reading it. `known`: folders looked at before."""
    path = folder / name
    if not is_inside(name):
        return f"{folder / MARKER}: lists {name!r}, outside its folder"
    try:
        if path.parent not in known:
            for parent in list(path.relative_to(folder).parents)[:-1]:
                if (folder / parent).is_symlink():
                    return f"{folder / parent}: a link, in place of a folder of the result"
            known.add(path.parent)
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path}: missing"
    if not stat.S_ISREG(found.st_mode):
        return f"{path}: no plain file"
    return "" if found.st_size == size else f"{path}: {found.st_size} bytes instead of {size}"


def is_inside(name: str) -> bool:
    """Whether a file's name in a result leads nowhere else."""
    path = Path(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def plain_files(folder: Path) -> list[Path]:
    """All files of a result, sorted, without the marker. ValueError for links and the like."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path}: a result may hold plain files and folders only")
        if path.is_file() and path != folder / MARKER:
            found.append(path)
    return found


def list_files(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A result's files for its marker, and their stamps; what killed writes left is removed."""
    files, stamps = {}, {}
    for path in plain_files(folder):
        if TEMPORARY.fullmatch(path.name):
            path.unlink()
            continue
        name, now = path.relative_to(folder).as_posix(), stamp(path.lstat())
        files[name] = {"bytes": now[0], "sha256": sha256_file(path)}
        stamps[name] = [*now, files[name]["sha256"]]
    return files, stamps


def find_changed(
    folder: Path, marker: Mapping[str, Any], seen: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """What is wrong with a result's bytes, and the stamps of the files that are sound.

    Args:
        seen: stamps of files that were found sound before; those are not hashed again.

    Raises:
        StoreError: a file can't be read.
    """
    stamps: dict[str, Any] = {}
    for name, entry in marker["files"].items():
        path = folder / name
        try:
            stamps[name] = [*stamp(path.lstat()), entry["sha256"]]
            if seen.get(name) != stamps[name] and sha256_file(path) != entry["sha256"]:
                return f"{path}: its content has changed since it was written", stamps
        except (OSError, DataError) as error:
            raise StoreError(f"{path}: can't be read to be checked: {error}") from error
    return "", stamps


def stamp(found: os.stat_result) -> list[int]:
    """What changes with a file's content; the change time too, which no program can set back."""
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
