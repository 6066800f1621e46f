"""Looking after a store: what it holds, what can go, whether its bytes are what was written.

Nothing that a registered or running study needs is ever removed, nor what a process holds. What is
removed is moved away first, in one step, so that a kill leaves a whole result or none. Leaves out:
damaged results, which are put aside (`store`), and replies of endpoints, which were paid for.
"""

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import write_json
from whyfirst.config.suggest import did_you_mean
from whyfirst.study.execute.lock import LockTakenError
from whyfirst.study.execute.marker import MARKER, TEMPORARY, plain_files
from whyfirst.study.execute.store import ASIDE, CHECKED, Store
from whyfirst.study.execute.studies import Key, protected, studies

WEIGHTS = ".safetensors"
# A folder that a killed saving of weights left.
_UNFINISHED_SAVE = re.compile(r"\.[^.].*\.tmp")
# A temporary file outside any result, so old, belongs to nobody who still runs.
_OLD_S = 3600.0


@dataclass(frozen=True)
class Holding:
    """One result or what there is of it: complete, `incomplete`, or `partial` from a killed try."""

    key: Key
    state: str
    size: int


def holdings(store: Store) -> Iterator[Holding]:
    """Every result's folder, with its bytes on disk."""
    for folder in sorted(store.root.glob("*/*")):
        try:
            key = folder.parent.name, folder.name
            if store.folder(*key) != folder or not folder.is_dir():
                continue
        except ValueError:
            continue  # no result's folder
        state = "partial"
        if store.complete(*key):
            state = "complete"
        elif store.incomplete(*key) is not None:
            state = "incomplete"
        yield Holding(key, state, tree_size(folder))


def tree_size(path: Path) -> int:
    """Bytes of a file or of all files in a folder, links not followed."""
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def verify(store: Store) -> Iterator[tuple[Key, str]]:
    """Hash every file of every complete result; yield the damaged, which are put aside."""
    for folder in sorted({path.parent for path in store.root.glob(f"*/*/{MARKER}")}):
        key = folder.parent.name, folder.name
        if key[0] in (ASIDE, CHECKED):
            continue
        damage = store.check(*key, afresh=True)
        if not damage:
            marker = store.marker(*key) or {}
            known = {*marker.get("files", {}), *marker.get("removed", {})}
            try:
                names = {path.relative_to(folder).as_posix() for path in plain_files(folder)}
                strangers = sorted(names - known)
                damage = f"{folder / strangers[0]}: not of the result" if strangers else ""
            except ValueError as error:
                damage = str(error)
        if damage:
            try:
                with store.lock(*key):
                    place = store.put_aside(*key, damage)
                yield key, f"{damage} (put aside: {place})"
            except LockTakenError as error:
                yield key, f"{damage} (in use by {error})"


def garbage(store: Store) -> Iterator[Path]:
    """What killed processes left and what was put aside: of no use to any study."""
    yield from sorted(store.root.glob(".discarded-*"))
    yield from sorted((store.root / ASIDE).glob("*"))
    now = time.time()
    for place in (store.root, *(path for path in store.root.iterdir() if path.is_dir())):
        for path in place.glob(".*"):
            old = now - path.lstat().st_mtime > _OLD_S
            if old and (TEMPORARY.fullmatch(path.name) or path.name.startswith(".probe-")):
                yield path
    for holding in holdings(store):
        folder = store.folder(*holding.key)
        with contextlib.suppress(LockTakenError), store.lock(*holding.key):
            for path in sorted(folder.rglob(".*")):
                inner = any(part.endswith(".tmp") for part in path.relative_to(folder).parts[:-1])
                if not inner and _UNFINISHED_SAVE.fullmatch(path.name):
                    yield path
            for name in (store.marker(*holding.key) or {}).get("removed", {}):
                # A kill came between the marker and the removal.
                if (folder / name).is_file():
                    yield folder / name


def collect(store: Store, *, dry: bool) -> tuple[int, int]:
    """Remove `garbage`; how many files and folders that was, and their bytes.

    Args:
        dry: count only.
    """
    count = size = 0
    for path in garbage(store):
        count, size = count + 1, size + tree_size(path)
        if not dry:
            _remove(path)
    return count, size


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path}: can't be removed: {error.strerror}") from error


def prunable(store: Store, names: Sequence[str], *, unnamed: bool) -> list[Holding]:
    """Results that only the named studies use, and with `unnamed` those that no study does.

    Raises:
        UserError: a name isn't known, or its study is registered or running.
    """
    uses = list(studies(store))
    for name in names:
        named = [use for use in uses if use.name == name]
        if not named:
            hint = did_you_mean(name, sorted({use.name for use in uses}))
            raise UserError(f"{store.root}: no study {name!r} here{hint}")
        for use in named:
            if use.protected:
                raise UserError(f"{name}: {use.protected}, so what it needs stays ({use.file})")
    kept = {key for use in uses if use.name not in names for key in use.keys}
    known = kept | {key for use in uses for key in use.keys}
    return [h for h in holdings(store) if h.key not in kept and (unnamed or h.key in known)]


def prune(store: Store, names: Sequence[str], *, unnamed: bool) -> list[Holding]:
    """Remove what `prunable` names, but for what a process holds; what was removed.

    Raises:
        UserError: as `prunable`.
        StoreError: the disk refuses.
    """
    gone = []
    for holding in prunable(store, names, unnamed=unnamed):
        with contextlib.suppress(LockTakenError), store.lock(*holding.key):
            rubbish = store.root / f".discarded-{secrets.token_hex(8)}"
            with store.writing():
                store.folder(*holding.key).replace(rubbish)
            _remove(rubbish)
            store.beside(CHECKED, *holding.key, "json").unlink(missing_ok=True)
            store.log_path(*holding.key).unlink(missing_ok=True)
            gone.append(holding)
    for use in studies(store):
        if use.name in names:
            use.path.unlink(missing_ok=True)
    return gone


def shed(store: Store, keys: Sequence[Key], study: str, *, inside: str = "") -> int:
    """Remove the weights of complete results, which stay complete; the bytes that freed.

    The marker keeps what was removed; a node that needs it later has it computed again.

    Args:
        study: on whose behalf; what another registered or running study needs stays.
        inside: only weights below this folder of the result.
    """
    freed, needed = 0, protected(store, but=study)
    for key in keys:
        if key in needed:
            continue
        with contextlib.suppress(LockTakenError), store.lock(*key):
            marker = store.marker(*key)
            files = (marker or {}).get("files", {})
            gone = {n: e for n, e in files.items() if n.endswith(WEIGHTS) and n.startswith(inside)}
            if marker is None or not gone:
                continue
            left = {name: entry for name, entry in files.items() if name not in gone}
            removed = {**marker.get("removed", {}), **gone}
            # First the marker: a kill then leaves files too many (`garbage`) and none too few.
            write_json(store.folder(*key) / MARKER, {**marker, "files": left, "removed": removed})
            for name, entry in gone.items():
                _remove(store.folder(*key) / name)
                freed += entry["bytes"]
    return freed
