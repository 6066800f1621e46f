"""Looking after a store: which studies use what, what it holds, what can go, whether it is sound.

Every run notes its results in `studies/NAME-HASH.json`, so that clearing up knows what a registered
or a running study needs; of a registered one also when results were put together
(`studies/NAME.looks.jsonl`). Nothing that such a study needs is ever removed, nor what a process
holds. What is removed is moved away first, in one step, so that a kill leaves a whole result or
none. Leaves out: damaged results, which are put aside (`store`), and replies of endpoints, which
were paid for.
"""

import contextlib
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from whyfirst.config.errors import DataError, StoreError, UserError, did_you_mean
from whyfirst.config.files import append_jsonl, read_json, read_jsonl, sha256_json, write_json
from whyfirst.config.process import LockTakenError, alive, identity
from whyfirst.study.execute.marker import MARKER, TEMPORARY, plain_files
from whyfirst.study.execute.store import ASIDE, CHECKED, STUDIES, Store

Key = tuple[str, str]
LAYOUT = 2
WEIGHTS = ".safetensors"
# A folder that a killed saving of weights left.
_UNFINISHED_SAVE = re.compile(r"\.[^.].*\.tmp")
# A temporary file outside any result, so old, belongs to nobody who still runs.
_OLD_S = 3600.0
_PATIENCE_S = 10.0  # with another command that writes the same note


@dataclass(frozen=True)
class StudyUse:
    """A study that computed into a store.

    Attributes:
        name: its own, with what the command changed in it.
        file: the study file.
        keys: its results, by kind and fingerprint.
        registered: whether it was registered when it was noted.
        runners: identities of the processes that compute it, those that were killed too.
        path: where this is noted.
    """

    name: str
    file: str
    keys: frozenset[Key]
    registered: bool
    runners: tuple[dict[str, Any], ...]
    path: Path

    @property
    def running(self) -> bool:
        """Whether a process computes it; of another machine's, that can't be denied."""
        return any(alive(runner) is not False for runner in self.runners)

    @property
    def protected(self) -> str:
        """Why its results must stay; empty where they need not."""
        if self.running:
            return "is running"
        registered = self.registered or registration_path(Path(self.file)).exists()
        return "is registered" if registered else ""


def note_study(store: Store, name: str, file: Path, keys: Iterable[Key], *, running: bool) -> None:
    """Write down that a study uses these results; again at its end, with `running` off.

    Raises:
        StoreError: the store can't be written.
    """
    whole = str(Path(file).absolute())
    plain = re.sub(r"[^a-zA-Z0-9._-]", "_", name)
    path = store.root / STUDIES / f"{plain}-{sha256_json([name, whole])[:8]}.json"
    registered = registration_path(file).exists()
    me = identity()
    # Two commands on one study: the first to end must not say that nobody runs it.
    with store.writing(), FileLock(store.root / f"{STUDIES}.lock", timeout=_PATIENCE_S):
        others: list[dict[str, Any]] = []
        # None is there yet, or none that can be read: it is written anew as a whole.
        with contextlib.suppress(DataError, AttributeError, TypeError):
            others = [
                one for one in _runners(read_json(path)) if one != me and alive(one) is not False
            ]
        write_json(path, {
            "layout": LAYOUT, "study": name, "file": whole, "registered": registered,
            "runners": [*others, me] if running else others, "keys": sorted(set(keys)),
        })  # fmt: skip


def _runners(note: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    # Notes of before there could be several have one or none.
    one = note.get("runner")
    return tuple(note.get("runners", () if one is None else (one,)))


def note_look(store: Store, name: str, seeds: Mapping[str, int]) -> None:
    """Write down that results of so many seeds an arm are put together; once for as many.

    Raises:
        StoreError: the store can't be written.
    """
    before = looks(store, name)
    if not before or before[-1]["seeds"] != dict(seeds):
        at = datetime.now(UTC).isoformat(timespec="seconds")
        append_jsonl(_looks(store, name), {"at": at, "seeds": dict(seeds)})


def looks(store: Store, name: str) -> list[dict[str, Any]]:
    """When results of a registered study were put together, and of how many seeds an arm."""
    path = _looks(store, name)
    return read_jsonl(path, allow_torn_tail=True) if path.exists() else []


def _looks(store: Store, name: str) -> Path:
    return store.root / STUDIES / f"{name}.looks.jsonl"


def registration_path(file: Path) -> Path:
    """Where a study file's registration is."""
    return file.with_name(f"{file.stem}.registration.json")


def studies(store: Store) -> Iterator[StudyUse]:
    """Every study that was noted, by name.

    Raises:
        StoreError: a note can't be read, so that nobody knows what it would protect.
    """
    for path in sorted((store.root / STUDIES).glob("*.json")):
        try:
            note = read_json(path)
            if note["layout"] > LAYOUT:
                raise StoreError(f"{path}: written by a newer version of whyfirst; use that one")
            keys = frozenset((str(kind), str(fingerprint)) for kind, fingerprint in note["keys"])
            yield StudyUse(
                note["study"], note["file"], keys, bool(note["registered"]), _runners(note), path
            )
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: can't be read, so what this study needs isn't known ({error}); remove "
                "the file if the study is of no interest"
            ) from error


def protected(store: Store, but: str = "") -> dict[Key, str]:
    """Results that a registered or running study needs, and which; `but` is left out by name."""
    return {
        key: f"{use.name} {why}"
        for use in studies(store)
        if use.name != but and (why := use.protected)
        for key in use.keys
    }


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
            if old and TEMPORARY.fullmatch(path.name):
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
            if why := use.protected:
                raise UserError(f"{name}: {why}, so what it needs stays ({use.file})")
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
