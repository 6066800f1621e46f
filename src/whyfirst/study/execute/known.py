"""What was found once and holds for as long as what it was found of: kept in a store.

Leaves out: results (`store`), and whether bytes are as they were written (`Store.check`).
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import read_json, sha256_json, write_json
from whyfirst.study.execute.store import CHECKED, Store

T = TypeVar("T")


def known(store: Store, what: str, of: Any, form: Any, find: Callable[[], T]) -> T:
    """What `find` finds, which the store may know already; None isn't kept.

    Args:
        what: names the finding: ``speed``.
        of: everything that it follows from, JSON-able.
        form: its type; what the store has in another is found anew.
    """
    found: T | None = recalled(store, what, of, form)
    if found is not None:
        return found
    new = find()
    if new is not None:
        keep(store, what, of, new)
    return new


def recalled(store: Store, what: str, of: Any, form: Any) -> Any:
    """What the store knows, None where that is nothing; as `known`."""
    with contextlib.suppress(DataError, KeyError, TypeError, ValueError):
        return TypeAdapter(form).validate_python(read_json(_path(store, what, of))["found"])
    return None


def keep(store: Store, what: str, of: Any, found: Any) -> None:
    """Let the store know it; one that can't be written doesn't, and it is found again."""
    with contextlib.suppress(StoreError):
        # A folder with this file alone would be refused as no store.
        store.create()
        data = TypeAdapter(type(found)).dump_python(found, mode="json")
        write_json(_path(store, what, of), {"found": data})


def _path(store: Store, what: str, of: Any) -> Path:
    return store.root / CHECKED / f"{what}-{sha256_json(of)[:32]}.json"
