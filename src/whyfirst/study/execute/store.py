"""The content-addressed store: one folder per result, whole or absent.

    root/STORE.json                      layout version
    root/<kind>/<fingerprint>/...        a result, or what a killed attempt left of one
    root/<kind>/<fingerprint>/COMPLETE.json   file list and hashes, written last: only now it counts
    root/<kind>/<fingerprint>/INCOMPLETE.json   what a passing trouble left undone: to be completed
    root/locks/, root/logs/              one lock and, where there was output, one log per result
    root/checked/                        which bytes were found sound: size, times and inode
    root/aside/                          damaged results, moved out of the way and never deleted
    root/studies/, root/studies.lock     which studies use which results; held while that is written
    root/replies/                        what endpoints answered, so that nothing is asked twice

Leaves out: who computes what (`executor`), sizes and clearing up (`upkeep`), object storage.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import (
    atomic_write,
    disk_refusal,
    read_json,
    sync,
    sync_tree,
    write_json,
)
from whyfirst.config.process import Lock, LockTakenError, kept_in
from whyfirst.study.execute.marker import (
    LAYOUT,
    MARKER,
    find_changed,
    is_inside,
    list_files,
    read_marker,
)

UNFINISHED = "INCOMPLETE.json"
REPLIES = "replies"
ASIDE, CHECKED, STUDIES = "aside", "checked", "studies"
_STORE_FILE = "STORE.json"
_RESERVED = ("locks", "logs", REPLIES, ASIDE, CHECKED, STUDIES)
_KIND = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_SCARCE_BYTES = 256 * 1024


@dataclass(frozen=True)
class Incomplete:
    """What of a result is still to be done, and why: a trouble that passes, as a server down.

    Attributes:
        missing, total: items without an answer, and items in all.
        reason: the first one's, in words.
    """

    missing: int
    total: int
    reason: str

    def __str__(self) -> str:
        return f"{self.missing} of {self.total} items have no answer yet ({self.reason})"


class Store:
    """Results on disk under their fingerprints. Reading never writes; `create` comes first.

    Args:
        root: the store's folder; it may not exist yet.

    Raises:
        StoreError: `root` holds a store of another layout, or something that is no store.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root).absolute()
        if not self._check_layout() and self._foreign_entries() and not self._check_layout():
            raise StoreError(
                f"{self.root}: is neither empty nor a whyfirst store (it has no {_STORE_FILE}); "
                "choose another folder"
            )

    def _check_layout(self) -> bool:
        path = self.root / _STORE_FILE
        try:
            if not path.exists():
                return False
        except OSError as error:
            raise self._unusable(error) from error
        try:
            layout = read_json(path)["layout"]
        except (DataError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: can't be read as a store's layout: {error}") from error
        if layout != LAYOUT:
            raise StoreError(
                f"{path}: the store has layout {layout!r}, this version of whyfirst reads "
                f"{LAYOUT}; choose another store folder, or the whyfirst version that wrote it"
            )
        return True

    def _foreign_entries(self) -> bool:
        # Names with a dot are passed over: another process may be creating the store right now.
        # `whyfirst eval` keeps an endpoint's replies here before there is a store.
        try:
            names = [path.name for path in self.root.iterdir()]
            return any(not name.startswith(".") and name != REPLIES for name in names)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> StoreError:
        return StoreError(
            f"{self.root}: can't be used as a store: {error.strerror}; choose another"
        )

    def create(self) -> None:
        """Make the store's folders where they are missing.

        Raises:
            StoreError: they can't be written, or the file system doesn't keep locks.
        """
        if not self._check_layout():
            write_json(self.root / _STORE_FILE, {"layout": LAYOUT})
        with self.writing():
            for name in _RESERVED:
                (self.root / name).mkdir(exist_ok=True)
            locks_kept = kept_in(self.root / "locks")
        if not locks_kept:
            raise StoreError(
                f"{self.root}: its file system grants a lock to two at once, so that two commands "
                "could write one result; choose a folder on another file system (--store)"
            )

    def folder(self, kind: str, fingerprint: str) -> Path:
        """Where the result lives or will live; the folder may not exist."""
        if not _KIND.fullmatch(kind) or kind in _RESERVED:
            raise ValueError(f"not a node kind: {kind!r}")
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"not a fingerprint: {fingerprint!r}")
        return self.root / kind / fingerprint

    def beside(self, place: str, kind: str, fingerprint: str, ending: str) -> Path:
        """A result's file in one of the store's other folders."""
        return self.root / place / f"{self.folder(kind, fingerprint).name}.{kind}.{ending}"

    def log_path(self, kind: str, fingerprint: str) -> Path:
        """Where output and tracebacks of computing the result go."""
        return self.beside("logs", kind, fingerprint, "log")

    def lock(self, kind: str, fingerprint: str) -> Lock:
        """The lock on a result, held: its holder alone may write the result's folder.

        Raises:
            LockTakenError: another process holds it.
            StoreError: no lock can be had on this disk.
        """
        with self.writing():
            return Lock(self.beside("locks", kind, fingerprint, "lock"))

    def hold(
        self, kind: str, fingerprint: str, held: contextlib.ExitStack
    ) -> Literal["", "locked", "exists"]:
        """Lock a result for as long as `held` is open.

        Returns:
            Empty where the caller may compute it now, `locked` where another process holds it,
            `exists` where it is complete (and isn't held).

        Raises:
            StoreError: no lock can be had on this disk.
        """
        try:
            held.enter_context(self.lock(kind, fingerprint))
        except LockTakenError:
            return "locked"
        if self.complete(kind, fingerprint):
            held.close()
            return "exists"
        return ""

    # -- what is there -----------------------------------------------------------------------

    def marker(self, kind: str, fingerprint: str) -> dict[str, Any] | None:
        """`COMPLETE.json` of a complete result, None where the result isn't complete.

        Cheap enough for every node of a study: compares names and sizes, not hashes.

        Raises:
            StoreError: whether it is complete can't be told: no permission, a stale handle, a
                marker of a newer version. Only "not there" and damage mean not complete.
        """
        return read_marker(self.folder(kind, fingerprint))[0]

    def complete(self, kind: str, fingerprint: str) -> bool:
        """Whether the result is there: marker readable, every listed file with its size."""
        return self.marker(kind, fingerprint) is not None

    def damage(self, kind: str, fingerprint: str) -> str:
        """What is wrong with a result that was complete once; empty for one that is or never was.

        Raises:
            StoreError: as `marker`.
        """
        return read_marker(self.folder(kind, fingerprint))[1]

    def check(self, kind: str, fingerprint: str, *, afresh: bool = False) -> str:
        """What is wrong with a complete result's bytes; empty where they are as they were written.

        A file is hashed once and again when its size, times or inode have changed since.

        Args:
            afresh: hash every file, whatever was found before.

        Raises:
            StoreError: as `marker`, or a file can't be read.
        """
        folder, path = self.folder(kind, fingerprint), self._checked_path(kind, fingerprint)
        marker, damage = read_marker(folder)
        if marker is None:
            return damage or f"{folder}: not complete"
        seen: Any = None
        with contextlib.suppress(DataError):
            seen = None if afresh else read_json(path)
        known = seen if isinstance(seen, dict) else {}
        damage, found = find_changed(folder, marker, known)
        if not damage and found != known:
            # In a read-only store it is hashed again the next time.
            with contextlib.suppress(StoreError):
                write_json(path, found)
        return damage

    def incomplete(self, kind: str, fingerprint: str) -> Incomplete | None:
        """What an attempt left undone for a reason that passes; None where there is no such."""
        with contextlib.suppress(DataError, KeyError, TypeError):
            found = read_json(self.folder(kind, fingerprint) / UNFINISHED)
            return Incomplete(found["missing"], found["total"], str(found["reason"]))
        return None

    def _checked_path(self, kind: str, fingerprint: str) -> Path:
        return self.beside(CHECKED, kind, fingerprint, "json")

    # -- writing -----------------------------------------------------------------------------

    def prepare(self, kind: str, fingerprint: str) -> Path:
        """The folder to compute into; the caller holds the lock.

        What a killed attempt left stays, for the runner to resume from. A folder that was complete
        once and no longer is (a file cut or removed) can't be trusted: it is put aside.
        """
        folder = self.folder(kind, fingerprint)
        with self.writing():
            if os.path.lexists(folder / MARKER):
                self.put_aside(kind, fingerprint, self.damage(kind, fingerprint))
            folder.mkdir(parents=True, exist_ok=True)
        return folder

    def put_aside(self, kind: str, fingerprint: str, why: str) -> Path:
        """Move a result out of the way, with the reason beside it; the caller holds the lock."""
        place = self.root / ASIDE / f"{kind}.{fingerprint}.{secrets.token_hex(8)}"
        with self.writing():
            place.parent.mkdir(exist_ok=True)
            self.folder(kind, fingerprint).replace(place)
        write_json(place.with_name(f"{place.name}.json"), {"why": why})
        return place

    def finish(self, kind: str, fingerprint: str, about: Mapping[str, Any]) -> None:
        """Declare the folder's present files the result; the caller holds the lock.

        Args:
            about: further fields of the marker (label, inputs, payload, timings).

        Raises:
            StoreError: the disk refuses; the result then stays incomplete and nothing is lost.
            ValueError: the folder holds something that isn't a plain file or a folder.
        """
        folder = self.folder(kind, fingerprint)
        with self.writing():
            (folder / UNFINISHED).unlink(missing_ok=True)
            files, stamps = list_files(folder)
            # The marker must not reach the disk before the files it vouches for, nor before the
            # folders that name them.
            sync_tree(folder)
            sync(self.root)
        write_json(self._checked_path(kind, fingerprint), stamps)
        marker = {**about, "kind": kind, "fingerprint": fingerprint, "files": files}
        write_json(folder / MARKER, {**marker, "layout": LAYOUT})

    def leave(self, kind: str, fingerprint: str, what: Incomplete) -> None:
        """Keep the folder's files as a result still to be completed; the caller holds the lock."""
        write_json(self.folder(kind, fingerprint) / UNFINISHED, asdict(what))

    def adopt(self, kind: str, fingerprint: str, files: Mapping[str, bytes]) -> None:
        """Take in a complete result from another machine, marker included; as `finish`.

        Raises:
            StoreError: the disk refuses, or a name leads out of the result's folder; the result
                then stays incomplete.
        """
        folder = self.prepare(kind, fingerprint)
        for name in files:
            if not is_inside(name):
                raise StoreError(f"{folder}: refuses a file named {name!r} from another machine")
        with self.writing():
            # What a killed attempt left here is no part of what was computed there.
            shutil.rmtree(folder)
        for name in sorted(files, key=lambda name: (name == MARKER, name)):
            atomic_write(folder / name, files[name])

    # -- when the disk says no ---------------------------------------------------------------

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Inside, what the disk refuses is a `StoreError`."""
        try:
            yield
        except OSError as error:
            raise self.refusal(error) from error

    def refusal(self, error: BaseException) -> StoreError:
        """The StoreError for a write that `error` stopped."""
        where = getattr(error, "filename", None) or self.root
        reason = getattr(error, "strerror", None) or str(error)
        remedy = "free some space or make the folder writable"
        if getattr(error, "errno", None) == errno.EFBIG:
            remedy = "raise the limit of a file's size (ulimit -f)"
        return StoreError(
            f"{where}: can't be written: {reason}. Finished results are kept: {remedy}, then run "
            "the same command again"
        )

    def is_full(self) -> bool:
        """Whether the disk has (almost) no space left. False where that can't be known."""
        try:
            return shutil.disk_usage(self.root).free < _SCARCE_BYTES
        except OSError:
            return False

    def storage_failure(self, error: BaseException) -> StoreError | None:
        """A StoreError if `error` comes from the store's disk and not from the work itself.

        Libraries wrap what the disk said in errors of their own (or hide it: torch reports a short
        write as a wrong position), so the chain of causes and the free space count.
        """
        link: BaseException | None = error
        while link is not None:
            if isinstance(link, StoreError):
                return link
            inside = str(getattr(link, "filename", None) or "").startswith(str(self.root))
            if isinstance(link, PermissionError) and inside:
                return self.refusal(link)
            link = link.__cause__ or link.__context__
        if (refused := disk_refusal(error)) is not None:
            return self.refusal(refused)
        if self.is_full():
            return self.refusal(OSError(errno.ENOSPC, f"No space left on device ({error})"))
        return None
