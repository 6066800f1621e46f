"""Named things that third parties can add to: benchmarks, objectives, rewards, probes.

A registry is filled by decorators. The project's own modules and the entry points of installed
packages (group ``whyfirst.<kind>``) are imported on first use, once. Leaves out: configuration of
what is registered, and unloading.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points
from types import ModuleType
from typing import Generic, TypeVar

from whyfirst.config.errors import UserError
from whyfirst.config.suggest import did_you_mean

T = TypeVar("T")
F = TypeVar("F")


class Registry(Generic[T]):
    """Things of one kind by name.

    Args:
        kind: plural noun, e.g. ``"benchmarks"``; also the last part of the entry point group.
        modules: the project's own modules whose decorators fill the registry, imported on first
            use so that naming a registry costs nothing.
    """

    def __init__(self, kind: str, modules: Iterable[str] = ()) -> None:
        self.kind = kind
        self.failures: dict[str, str] = {}
        self._modules = tuple(modules)
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[F], F]:
        """Decorator: enter what it decorates under `name`.

        Raises:
            ValueError: the name is taken by something else.
        """

        def enter(item: F) -> F:
            taken = self._items.get(name)
            if taken is not None and taken is not item:
                raise ValueError(f"{self.kind}: {name!r} is registered twice")
            self._items[name] = item  # type: ignore[assignment]
            return item

        return enter

    def get(self, name: str) -> T:
        """The thing called `name`.

        Raises:
            UserError: nothing has that name; gives the nearest one and plug-ins that failed.
        """
        self._load()
        if name in self._items:
            return self._items[name]
        known = ", ".join(sorted(self._items)) or "none"
        failed = "".join(f"; plug-in {n!r} failed to load: {e}" for n, e in self.failures.items())
        hint = did_you_mean(name, self._items)
        raise UserError(f"{self.kind}: no {name!r}{hint} (known: {known}){failed}")

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._items)

    def items(self) -> list[tuple[str, T]]:
        """All (name, thing) pairs, sorted by name."""
        return [(name, self._items[name]) for name in self.names()]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True  # first, so that a module may ask for names while it is imported
        try:
            for module in self._modules:
                import_module(module)
        except BaseException:
            self._loaded = False
            raise
        for entry in sorted(entry_points(group=f"whyfirst.{self.kind}"), key=lambda e: e.name):
            # One broken package must not take the whole tool down, nor go unmentioned.
            try:
                loaded = entry.load()
            except Exception as error:
                self.failures[entry.name] = f"{type(error).__name__}: {error}"
                continue
            if not isinstance(loaded, ModuleType) and loaded not in self._items.values():
                self._items.setdefault(entry.name, loaded)
