"""Which studies use which results of a store: `studies/NAME-HASH.json`, one for each.

Every run notes its own, so that clearing up knows what a registered or a running study needs. Of a
registered study it notes as well when results were put together (`studies/NAME.looks.jsonl`).
Leaves out: studies that ran before stores kept this, and what a study is (`whyfirst.study`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import append_jsonl, read_json, read_jsonl, sha256_json, write_json
from whyfirst.config.process import alive, identity
from whyfirst.study.execute.store import STUDIES, Store

Key = tuple[str, str]
LAYOUT = 1


@dataclass(frozen=True)
class StudyUse:
    """A study that computed into a store.

    Attributes:
        name: its own, with what the command changed in it.
        file: the study file.
        keys: its results, by kind and fingerprint.
        registered: whether it was registered when it was noted.
        runner: identity of the process that computes it; None where none does.
        path: where this is noted.
    """

    name: str
    file: str
    keys: frozenset[Key]
    registered: bool
    runner: dict[str, Any] | None
    path: Path

    @property
    def running(self) -> bool:
        """Whether a process computes it; of another machine's, that can't be denied."""
        return self.runner is not None and alive(self.runner) is not False

    @property
    def protected(self) -> str:
        """Why its results must stay; empty where they need not."""
        if self.running:
            return "is running"
        return (
            "is registered"
            if self.registered or registration_path(Path(self.file)).exists()
            else ""
        )


def note_study(store: Store, name: str, file: Path, keys: Iterable[Key], *, running: bool) -> None:
    """Write down that a study uses these results; again at its end, with `running` off.

    Raises:
        StoreError: the store can't be written.
    """
    whole = str(Path(file).absolute())
    plain = re.sub(r"[^a-zA-Z0-9._-]", "_", name)
    path = store.root / STUDIES / f"{plain}-{sha256_json([name, whole])[:8]}.json"
    registered = registration_path(file).exists()
    write_json(path, {
        "layout": LAYOUT, "study": name, "file": whole, "registered": registered,
        "runner": identity() if running else None, "keys": sorted(set(keys)),
    })  # fmt: skip


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
                note["study"], note["file"], keys, bool(note["registered"]), note["runner"], path
            )
        except (DataError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: can't be read, so what this study needs isn't known ({error}); remove "
                "the file if the study is of no interest"
            ) from error


def protected(store: Store, but: str = "") -> dict[Key, str]:
    """Results that a registered or running study needs, and which; `but` is left out by name."""
    return {
        key: f"{use.name} {use.protected}"
        for use in studies(store)
        if use.name != but and use.protected
        for key in use.keys
    }
