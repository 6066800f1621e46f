"""Changes to a model that training did not make, by name.

An **edit** is reversible: ``(model: LocalModel, *, options) -> ContextManager``, a hook that is in
place while the arm answers. A **surgery** is permanent: ``(model, reference, *, options) ->
model``, weights to weights, run by a stage of kind `recover`. Entered with
``@EDITS.enter(name, ...)`` and ``@SURGERIES.enter(name, ...)``, each in a file of its own here. A
surgery that asks for `rows` by a keyword-only parameter is given those of the stage's data, and the
model's `tokenizer`.
"""

from contextlib import AbstractContextManager
from typing import Any

from whyfirst.config.room import Room

EDITS: Room[AbstractContextManager[Any]] = Room("edits", __name__)
SURGERIES: Room[Any] = Room("surgeries", __name__, context=("rows", "tokenizer"))
