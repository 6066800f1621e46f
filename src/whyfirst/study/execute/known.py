"""What was found once and holds for as long as what it was found of: kept in a store.

Leaves out: results (`store`), and whether bytes are as they were written (`Store.check`).
"""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import TypeAdapter

from whyfirst.config.errors import DataError, StoreError
from whyfirst.config.files import read_json, sha256_json, write_json
from whyfirst.study.execute.store import CHECKED, Store

T = TypeVar("T")


def known(
    store: Store, what: str, of: Any, form: Any, find: Callable[[], T], *, create: bool = True
) -> T:
    """What `find` finds, which the store may know already; None isn't kept.

    Args:
        what: names the finding: ``speed``.
        of: everything that it follows from, JSON-able.
        form: its type; what the store has in another is found anew.
        create: make a store that isn't there yet; else nothing is kept where there is none.
    """
    path = store.root / CHECKED / f"{what}-{sha256_json(of)[:32]}.json"
    adapter: TypeAdapter[T] = TypeAdapter(form)
    with contextlib.suppress(DataError, KeyError, TypeError, ValueError):
        return adapter.validate_python(read_json(path)["found"])
    found = find()
    if found is not None and (create or store.root.exists()):
        # In a store that can't be written it is found again the next time.
        with contextlib.suppress(StoreError):
            # A folder with this file alone would be refused as no store.
            store.create()
            write_json(path, {"found": adapter.dump_python(found, mode="json")})
    return found
