"""Rooms: the one way in for everything that can be named in a study file.

A `Room` holds the methods of one kind by name: benchmarks, judges, objectives, rewards, decodings.
What is entered is a function. Its keyword-only parameters are the method's options, typed, and
checked with file and line before anything runs; those the room calls its context (`model`, say) are
given by whoever runs it. A `Use` is one method named in a file, with its options.

A room is filled from four places, all found on first use: every module of its own packages, the
module called like the room in each package of `whyfirst.worlds`, the entry points of installed
packages (group ``whyfirst.<kind>``), and plug-ins: files named by `plugins:` in a study or by
``--plugin``. Leaves out: unloading.
"""

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import entry_points
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError, did_you_mean
from whyfirst.config.plugins import source_of
from whyfirst.config.strict import (
    LocatedError,
    affects_output,
    as_before,
    decisive,
    notes,
    problems_of,
)

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])
Problem = tuple[tuple[str | int, ...], str]
_WORLDS = "whyfirst.worlds"


class Use(BaseModel):
    """A method named in a file: ``{name: dpo, beta: 0.2}``, or just ``dpo``.

    Every key but `name` is an option of the method; `options` gives them.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = affects_output(description="which method")

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        """The options given, by name."""
        return dict(self.model_extra or {})


@dataclass(frozen=True)
class Option:
    """One option of a method; `required` where it has no default."""

    name: str
    type: Any
    default: Any
    required: bool

    @property
    def may_be_null(self) -> bool:
        """Whether null is one of its values."""
        kind = get_args(self.type)[0] if get_origin(self.type) is Annotated else self.type
        return type(None) in get_args(kind)


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A method as it was entered.

    Attributes:
        function: what was entered.
        context: names of its keyword-only parameters that are no options.
        version: raised whenever the same options and inputs would give other results.
        paper: where the method was published, as ``Author et al. 2024, arXiv 2401.00001``.
        needs: what it cannot do without (columns, references, data), in a few words.
        tested: the identity or hand-computed value that its tests hold it to, in a few words.
        conflicts: what is wrong with options that are right one by one (as one that another leaves
            without effect): from all of them, defaults included, to (option, message).
        facts: what the room's kind keeps beside it, e.g. a reward's ``columns``.
    """

    name: str
    function: Callable[..., T]
    context: frozenset[str] = frozenset()
    version: str = "1"
    paper: str = ""
    licence: str = ""
    needs: str = ""
    tested: str = ""
    conflicts: Callable[[Any], Iterable[tuple[str, str]]] | None = None
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def parameters(self) -> list[inspect.Parameter]:
        """The keyword-only parameters."""
        # By name only: what stands by position is the method's own input.
        every = inspect.signature(self.function).parameters.values()
        return [p for p in every if p.kind is inspect.Parameter.KEYWORD_ONLY]

    @cached_property
    def options(self) -> tuple[Option, ...]:
        """Its options, in the order of the function's parameters."""
        hints = get_type_hints(self.function, include_extras=True)
        return tuple(
            Option(p.name, hints.get(p.name, Any), p.default, p.default is p.empty)
            for p in self.parameters
            if p.name not in self.context
        )

    @cached_property
    def schema(self) -> type[BaseModel]:
        """The options as a model that refuses unknown ones and takes values strictly."""
        fields: dict[str, Any] = {
            o.name: (o.type, ... if o.required else o.default) for o in self.options
        }
        # Frozen, since what is filled in here is part of a fingerprint.
        config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
        return create_model(f"{self.name}_options", __config__=config, **fields)

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]

    @property
    def leaves_out(self) -> str:
        """What the method's own module says that it leaves out."""
        text = " ".join((inspect.getdoc(inspect.getmodule(self.function)) or "").split())
        return text.partition("Leaves out")[2].lstrip(": ").removeprefix("out")

    @property
    def example(self) -> str:
        """The line that names it in a study file, its required options marked."""
        given = "".join(f", {o.name}: ..." for o in self.options if o.required)
        return f"{{name: {self.name}{given}}}"


class Room(Generic[T]):
    """The methods of one kind.

    Args:
        kind: plural noun, e.g. ``"objectives"``; also the end of the entry points' group.
        packages: the project's own packages (every module of them is imported) and modules.
        context: keyword-only parameters that are no options, since the runner gives them.
    """

    def __init__(self, kind: str, *packages: str, context: Iterable[str] = ()) -> None:
        self.kind = kind
        self.failures: dict[str, str] = {}
        self._packages = packages
        self._context = frozenset(context)
        self._reserved = {"name"}
        self._entries: dict[str, Entry[T]] = {}
        self._loaded = False
        self._plugins = 0

    def enter(self, name: str, **facts: Any) -> Callable[[F], F]:
        """Decorator: enter a function under `name`.

        Args:
            facts: the fields of `Entry` (version, paper, licence, needs, tested, conflicts); others
                are kept in its `facts`.

        Raises:
            ValueError: the name is taken by something else, or an option's is reserved.
        """
        # What every kind has is a field; what one kind keeps beside it goes to its facts.
        known = {k: facts.pop(k) for k in Entry.__dataclass_fields__ if k in facts}

        def decorate(function: F) -> F:
            taken = self._entries.get(name)
            # A module that is imported again enters its own functions anew.
            again = taken is not None and (
                (taken.function.__module__, taken.function.__qualname__)
                == (function.__module__, function.__qualname__)
            )
            if taken is not None and not again:
                raise ValueError(f"{self.kind}: {name!r} is entered twice")
            keys = inspect.signature(function).parameters
            entry: Entry[T] = Entry(
                name, function, self._context & set(keys), facts=MappingProxyType(facts), **known
            )
            self._refuse_reserved(entry)
            self._entries[name] = entry
            return function

        return decorate

    def reserve(self, keys: Iterable[str]) -> None:
        """Keep names from being options: keys that the section which names a method has itself.

        Raises:
            ValueError: a method entered before has an option of that name.
        """
        self._reserved |= set(keys)
        for entry in self._entries.values():
            self._refuse_reserved(entry)

    def _refuse_reserved(self, entry: Entry[T]) -> None:
        # By its parameters: types may name what isn't imported yet.
        options = {p.name for p in entry.parameters} - entry.context
        if taken := sorted(options & self._reserved):
            raise ValueError(
                f"{self.kind}: {entry.name!r} has the option {taken[0]!r}, which is a key of the "
                "section that names it; call it something else"
            )

    def get(self, name: str) -> Entry[T]:
        """The entry called `name`.

        Raises:
            UserError: nothing has that name; gives the nearest one, and plug-ins that failed.
        """
        self._load()
        if name in self._entries:
            return self._entries[name]
        failed = "".join(f"; plug-in {n!r} failed to load: {e}" for n, e in self.failures.items())
        raise UserError(self._unknown(name) + failed)

    def _unknown(self, name: str) -> str:
        known = ", ".join(sorted(self._entries)) or "none"
        return f"{self.kind}: no {name!r}{did_you_mean(name, self._entries)} (known: {known})"

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._entries)

    def entries(self) -> list[Entry[T]]:
        """All entries, by name."""
        return [self._entries[name] for name in self.names()]

    def problems(self, use: Use) -> Iterator[Problem]:
        """What is wrong with a use: (place within it, message)."""
        self._load()
        if use.name not in self._entries:
            yield ("name",), self._unknown(use.name)
            return
        entry = self._entries[use.name]
        try:
            filled = entry.schema.model_validate_json(_json(use.options), strict=True)
        except ValidationError as error:
            yield from problems_of(error, entry.schema)
            return
        for option, said in entry.conflicts(filled) if entry.conflicts is not None else ():
            yield (option,), said

    def checked(self, use: Use) -> Use:
        """The use, if its name and options are right; for a validator of a file's schema.

        Raises:
            LocatedError: every problem, each at its place.
        """
        problems = list(self.problems(use))
        if problems:
            raise LocatedError(problems)
        return use

    def filled(self, use: Use) -> BaseModel:
        """All options of a use that `problems` has nothing against, defaults included."""
        return self.get(use.name).schema.model_validate_json(_json(use.options), strict=True)

    def make(self, use: Use | str, **context: Any) -> Any:
        """The method with its options bound, and with what it wants of the context.

        Where the function has parameters left to be given (an objective's scores, a reward's
        completions), it comes back as a function of them; else it is called, and what it makes
        comes back (a judge, a benchmark).

        Raises:
            UserError: no such method, a wrong option, or something of the context is missing.
        """
        named = Use(name=use) if isinstance(use, str) else use
        entry = self.get(named.name)
        problems = [f"{'.'.join(map(str, at))}: {text}" for at, text in self.problems(named)]
        if problems:
            raise ConfigError(f"{self.kind}: {named.name}: " + "; ".join(problems))
        filled = self.filled(named)
        options = {o.name: getattr(filled, o.name) for o in entry.options}
        # A method is given what it asks for and never sees the rest.
        wanted = {name: context[name] for name in entry.context if name in context}
        needed = {p.name for p in entry.parameters if p.default is p.empty}
        lacking = sorted((entry.context & needed) - set(wanted))
        if lacking:
            raise UserError(f"{self.kind}: {named.name} needs a {' and a '.join(lacking)}")
        bound = partial(entry.function, **options, **wanted)
        # What a caller has to give stands by position and has no default: then it is no recipe for
        # a thing, but the method itself.
        positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        left = inspect.signature(bound).parameters.values()
        is_method = any(p.kind in positional and p.default is p.empty for p in left)
        return bound if is_method else bound()

    def identity(self, use: Use | str) -> dict[str, Any]:
        """What identifies a use in a fingerprint: name, version, options, and the source.

        The project's own methods count by their version; others by a hash of the module that
        defines them and of what it imports from beside itself.
        """
        named = Use(name=use) if isinstance(use, str) else use
        entry = self.get(named.name)
        mark: dict[str, Any] = {"name": named.name, "version": entry.version}
        if named.options:
            mark["options"] = named.options
        # A method of one's own has no version that anybody keeps; its text is one.
        source = source_of(entry.function)
        return mark if source is None else mark | {"source": source}

    def decisive(self, use: Use) -> dict[str, Any]:
        """The options of a use that decide its results, defaults included; files count elsewhere.

        An option that says nothing of itself decides; one of type `Path` is a file, which counts by
        its content and not by where it lies.
        """
        filled, found = self.filled(use), {}
        for name in type(filled).model_fields:
            value = getattr(filled, name)
            runs_only = notes(type(filled), name).get("affects") == "runtime"
            if not (runs_only or isinstance(value, Path) or as_before(filled, name)):
                found[name] = decisive(value)
        return found

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True  # first, so that a module may ask for names while it is imported
            try:
                # Every module, or a method would be missing until something else happened to
                # import it.
                for module in self._own_modules():
                    importlib.import_module(module)
            except BaseException:
                self._loaded = False
                raise
            self._load_entry_points()
        plugins.load_all()

    def _own_modules(self) -> Iterator[str]:
        for package in self._packages:
            yield package
            for path in getattr(importlib.import_module(package), "__path__", ()):
                yield from (f"{package}.{m.name}" for m in pkgutil.iter_modules([path]))
        worlds = importlib.import_module(_WORLDS)
        for world in pkgutil.iter_modules(worlds.__path__):
            module = f"{_WORLDS}.{world.name}.{self.kind}"
            # A plain module there is what the worlds share.
            if world.ispkg and importlib.util.find_spec(module) is not None:
                yield module

    def _load_entry_points(self) -> None:
        for entry in sorted(entry_points(group=f"whyfirst.{self.kind}"), key=lambda e: e.name):
            # One broken package must not take the whole tool down, nor go unmentioned; one that
            # exits is broken too.
            try:
                loaded = entry.load()
            except (Exception, SystemExit) as error:
                self.failures[entry.name] = f"{type(error).__name__}: {error}"
                continue
            # A package whose module used the decorator has entered itself already.
            functions = [e.function for e in self._entries.values()]
            if not isinstance(loaded, ModuleType) and loaded not in functions:
                self.enter(entry.name)(loaded)


def use_of(room: Room[Any]) -> Any:
    """The validator that makes a field's `Use` one of a room: ``Annotated[Use, use_of(ROOM)]``."""
    return AfterValidator(room.checked)


_OPTIONS = TypeAdapter(dict[str, Any])  # made once: a large plan fills thousands of uses


def _json(options: Mapping[str, Any]) -> bytes:
    return _OPTIONS.dump_json(dict(options))
