"""What tests ask of a store as a whole: every complete result, and whether its bytes are sound."""

from collections.abc import Iterator

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, sha256_file
from whyfirst.study.execute.marker import MARKER
from whyfirst.study.execute.store import Store


def artifacts(store: Store) -> Iterator[tuple[str, str]]:
    """Kind and fingerprint of every complete result, sorted."""
    for marker in sorted(store.root.glob(f"*/*/{MARKER}")):
        kind, fingerprint = marker.parent.parent.name, marker.parent.name
        if not kind.startswith(".") and store.complete(kind, fingerprint):
            yield kind, fingerprint


def verify(store: Store, kind: str, fingerprint: str) -> list[str]:
    """Hash every file of a result; one sentence for each problem, empty where it is sound."""
    folder = store.folder(kind, fingerprint)
    try:
        listed = read_json(folder / MARKER)["files"]
    except (DataError, KeyError, TypeError) as error:
        return [f"{folder}: not complete: {error}"]
    present = {
        path.relative_to(folder).as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MARKER
    }
    problems = [f"{folder / name}: missing" for name in listed if name not in present]
    problems += [f"{folder / name}: not of the result" for name in present if name not in listed]
    both = (name for name in present if name in listed)
    return problems + [
        f"{folder / name}: its content has changed"
        for name in both
        if sha256_file(present[name]) != listed[name]["sha256"]
    ]
