"""The content-addressed store: one folder per result, whole or absent.

    root/STORE.json                      layout version
    root/<kind>/<fingerprint>/...        a result, or what a killed attempt left of one
    root/<kind>/<fingerprint>/COMPLETE.json   file list and hashes, written last: only now it counts
    root/locks/, root/logs/              one lock and, where there was output, one log per result
    root/replies/                        what endpoints answered, so that nothing is asked twice

Leaves out: who computes what (`executor`), garbage collection, and stores on object storage.
"""

import contextlib
import errno
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import (
    atomic_write,
    disk_refusal,
    read_json,
    sha256_file,
    sync,
    write_json,
)

LAYOUT = 1
MARKER = "COMPLETE.json"
_STORE_FILE = "STORE.json"
REPLIES = "replies"
_RESERVED = ("locks", "logs", REPLIES)
_KIND = re.compile(r"[a-z0-9][a-z0-9_-]*")
_FINGERPRINT = re.compile(r"[0-9a-f]{8,64}")
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{16}\.tmp")  # what a killed `atomic_write` leaves
_SCARCE_BYTES = 256 * 1024


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
        """Make the store's folders where they are missing. StoreError if they can't be written."""
        if not self._check_layout():
            write_json(self.root / _STORE_FILE, {"layout": LAYOUT})
        try:
            for name in _RESERVED:
                (self.root / name).mkdir(exist_ok=True)
        except OSError as error:
            raise self.refusal(error) from error

    def folder(self, kind: str, fingerprint: str) -> Path:
        """Where the result lives or will live; the folder may not exist."""
        if not _KIND.fullmatch(kind) or kind in _RESERVED:
            raise ValueError(f"not a node kind: {kind!r}")
        if not _FINGERPRINT.fullmatch(fingerprint):
            raise ValueError(f"not a fingerprint: {fingerprint!r}")
        return self.root / kind / fingerprint

    def lock_path(self, kind: str, fingerprint: str) -> Path:
        """The lock whose holder alone may write the result's folder."""
        return self.root / "locks" / f"{self.folder(kind, fingerprint).name}.{kind}.lock"

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
        from filelock import FileLock, Timeout

        try:
            held.enter_context(FileLock(self.lock_path(kind, fingerprint), blocking=False))
        except Timeout:
            return "locked"
        except (OSError, NotImplementedError) as error:
            raise self.refusal(error) from error
        if self.complete(kind, fingerprint):
            held.close()
            return "exists"
        return ""

    def log_path(self, kind: str, fingerprint: str) -> Path:
        """Where output and tracebacks of computing the result go."""
        return self.root / "logs" / f"{self.folder(kind, fingerprint).name}.{kind}.log"

    def marker(self, kind: str, fingerprint: str) -> dict[str, Any] | None:
        """`COMPLETE.json` of a complete result, None where the result isn't complete.

        Cheap enough for every node of a study: compares names and sizes, not hashes.
        """
        folder = self.folder(kind, fingerprint)
        try:
            marker = read_json(folder / MARKER)
            whole = all(
                (folder / name).stat().st_size == entry["bytes"]
                for name, entry in marker["files"].items()
            )
        except (OSError, DataError, KeyError, TypeError, AttributeError):
            return None
        return marker if whole and marker.get("fingerprint") == fingerprint else None

    def complete(self, kind: str, fingerprint: str) -> bool:
        """Whether the result is there: marker readable, every listed file with its size."""
        return self.marker(kind, fingerprint) is not None

    def prepare(self, kind: str, fingerprint: str) -> Path:
        """The folder to compute into; the caller holds the lock.

        What a killed attempt left stays, for the runner to resume from. A folder that was complete
        once and no longer is (a file cut or removed) can't be trusted and starts empty.
        """
        folder = self.folder(kind, fingerprint)
        try:
            if (folder / MARKER).exists():
                # Moved away in one step first: a kill halfway through a deletion would leave
                # damaged files that look like a partial attempt.
                rubbish = self.root / f".discarded-{secrets.token_hex(8)}"
                folder.replace(rubbish)
                shutil.rmtree(rubbish)
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self.refusal(error) from error
        return folder

    def finish(self, kind: str, fingerprint: str, about: Mapping[str, Any]) -> None:
        """Declare the folder's present files the result; the caller holds the lock.

        Args:
            about: further fields of the marker (label, inputs, payload, timings).

        Raises:
            StoreError: the disk refuses; the result then stays incomplete and nothing is lost.
            ValueError: the folder holds something that isn't a plain file or a folder.
        """
        folder = self.folder(kind, fingerprint)
        try:
            files = {}
            for path in _files(folder):
                if _TEMPORARY.fullmatch(path.name):
                    path.unlink()
                    continue
                # The marker must not reach the disk before the files it vouches for.
                sync(path)
                entry = {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
                files[path.relative_to(folder).as_posix()] = entry
        except OSError as error:
            raise self.refusal(error) from error
        marker = {**about, "kind": kind, "fingerprint": fingerprint, "files": files}
        write_json(folder / MARKER, {**marker, "layout": LAYOUT})

    def adopt(self, kind: str, fingerprint: str, files: Mapping[str, bytes]) -> None:
        """Take in a complete result from another machine, marker included; as `finish`.

        Raises:
            StoreError: the disk refuses; the result then stays incomplete.
        """
        folder = self.prepare(kind, fingerprint)
        try:
            # What a killed attempt left here is no part of what was computed there.
            shutil.rmtree(folder)
        except OSError as error:
            raise self.refusal(error) from error
        for name in sorted(files, key=lambda name: (name == MARKER, name)):
            atomic_write(folder / name, files[name])

    def refusal(self, error: BaseException) -> StoreError:
        """The StoreError for a write that `error` stopped."""
        where = getattr(error, "filename", None) or self.root
        reason = getattr(error, "strerror", None) or str(error)
        return StoreError(
            f"{where}: can't be written: {reason}. Finished results are kept: free some space or "
            "make the folder writable, then run the same command again"
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


def _files(folder: Path) -> list[Path]:
    """All files of a result, sorted, without the marker. ValueError for links and the like."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise ValueError(f"{path}: a result may hold plain files and folders only")
        if path.is_file() and path != folder / MARKER:
            found.append(path)
    return found
