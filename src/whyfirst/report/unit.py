"""results.json, items.json and index.html as one unit: a manifest, written last, vouches for all.

Whoever writes one of them does so inside `one_unit`; whoever reads one asks `refuse_torn`. A kill
between two files leaves a manifest that names what was about to be written, so that nobody takes
new results with old items for a run. Leaves out: folders from before there were manifests, which
are read as they are.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, sha256_file, write_json

RESULTS_FILE, ITEMS_FILE, PAGE_FILE = "results.json", "items.json", "index.html"
FILES = (RESULTS_FILE, ITEMS_FILE, PAGE_FILE)
MANIFEST = "MANIFEST.json"
VERSION = 1


@contextlib.contextmanager
def one_unit(folder: Path, changed: Sequence[str] = FILES) -> Iterator[None]:
    """Inside, the named files of a report's folder are written; then they count, all at once.

    Raises:
        DataError: a file that isn't to be written is torn.
        StoreError: the folder can't be written.
    """
    others = [name for name in FILES if name not in changed]
    for name in others:  # what is kept must be what was vouched for, or the new manifest would lie
        refuse_torn(folder / name)
    kept = _hashes(folder, others)
    # A kill from here on leaves this, which names what may be torn.
    write_json(folder / MANIFEST, {"version": VERSION, "files": kept, "unfinished": [*changed]})
    yield
    files = kept | _hashes(folder, changed)
    write_json(folder / MANIFEST, {"version": VERSION, "files": files})


def is_whole(folder: Path) -> bool:
    """Whether results and page are there with their manifest, and every file is as it says."""
    try:
        for name in FILES:
            refuse_torn(folder / name)
    except DataError:
        return False
    wanted = (RESULTS_FILE, PAGE_FILE, MANIFEST)
    return all((folder / name).is_file() for name in wanted)


def refuse_torn(path: Path) -> None:
    """Refuse a file of a report that isn't the one its manifest vouches for.

    Raises:
        DataError: it was being written when the writing was cut off, or was changed since.
    """
    source = path.with_name(MANIFEST)
    if not source.is_file():
        return
    manifest: Any = read_json(source)
    try:
        if int(manifest["version"]) > VERSION:
            raise DataError(f"{source}: written by a newer version of whyfirst; use that one")
        known, left = dict(manifest["files"]), list(manifest.get("unfinished", ()))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{source}: not a report's manifest; {_REMEDY}") from error
    if path.name in left:
        raise DataError(f"{path}: writing the report was cut off, so it isn't whole; {_REMEDY}")
    if path.is_file() and known.get(path.name) != sha256_file(path):
        raise DataError(f"{path}: isn't what was written with the rest of the report; {_REMEDY}")
    if path.name in known and not path.is_file():
        raise DataError(f"{path}: is missing; {_REMEDY}")


_REMEDY = "run the study's command again to have the report written anew"


def _hashes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    return {name: sha256_file(folder / name) for name in names if (folder / name).is_file()}
