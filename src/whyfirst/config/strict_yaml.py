"""YAML as plain data that remembers its lines, with every ambiguity refused.

Scalars follow YAML 1.2's core schema: only ``true`` and ``false`` are booleans (``no``, ``on`` and
dates stay text) and ``1e-3`` is a number. Anchors and merge keys (``<<``) work. Refused: duplicate
keys, custom tags, several documents, recursive aliases, numbers that no machine number holds, NUL,
and invisible characters in keys, which become names in results. Leaves out: schemas (`strict`).
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from whyfirst.config.bounded import MOST_DEPTH, read_text
from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.text import invisible

Location = tuple[str | int, ...]

# A parser in Python takes some eight seconds a megabyte; no study file comes near one.
_MAX_BYTES = 2**20
# Aliases and merge keys may repeat a block; a short file that unfolds to more nodes than this is a
# mistake.
_MAX_NODES = 200_000
_TAG = "tag:yaml.org,2002:"


# Its own table of resolvers: PyYAML's is shared, and its YAML 1.1 reads `no` as false.
class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2 scalars; used for composing only."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


for _kind, _pattern, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
    (
        "float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("merge", r"^<<$", "<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(_pattern), list(_first))


@dataclass
class YamlDocument:
    """One file as data: `lines` maps a location (keys and indices) to its line, from 1.

    `starts` maps it to where in the text its value begins: through an alias several locations have
    one. `problems` are (line, dotted key, message) that need no schema to be wrong, each once.
    """

    data: Any = None
    lines: dict[Location, int] = field(default_factory=dict)
    starts: dict[Location, int] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)

    def line(self, location: Location) -> int:
        """Line of the nearest enclosing location that exists."""
        return self.lines.get(self._there(location), 1)

    def written(self, location: Location) -> tuple[int, Location]:
        """Where in the text a location is written: two that are equal are one mistake."""
        there = self._there(location)
        # With the last piece: two keys may have one value, and what is missing has none.
        return self.starts.get(there, 0), location[-1:]

    def _there(self, location: Location) -> Location:
        while location and location not in self.lines:
            location = location[:-1]
        return location


def dotted(location: Location) -> str:
    """A location as people write it: ``stages.explain.seeds[2]``."""
    text = ""
    for piece in location:
        text += f"[{piece}]" if isinstance(piece, int) else ("." if text else "") + piece
    return text


def read_yaml(path: Path) -> YamlDocument:
    """Read one YAML file.

    Raises:
        ConfigError: the file is missing, not UTF-8 or not YAML; names file and line.
    """
    try:
        text = read_text(path, _MAX_BYTES)
    except DataError as error:
        raise ConfigError(str(error)) from error
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> YamlDocument:
    """Read YAML that stands in the file at `path`, or is called so.

    Raises:
        ConfigError: not YAML; names file and line.
    """
    try:
        # Composed and not constructed: nodes know their lines, and no tag makes an object.
        root = yaml.compose(text, Loader=_Loader)
        document = YamlDocument()
        if root is not None:
            builder = _Builder(path, document)
            document.data = builder.value(root, ())
            document.problems = list(builder.problems.values())
    except yaml.YAMLError as error:
        raise ConfigError(_syntax_message(path, error)) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply to read") from error
    return document


def _syntax_message(path: Path, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    line = f":{mark.line + 1}" if mark is not None else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    if "\\t" in problem:
        problem += " (YAML is indented with spaces)"
    return f"{path}{line}: not valid YAML: {problem}"


def _plain(node: yaml.Node) -> Any:
    """A scalar's value. ValueError says what is wrong with it."""
    kind, text = node.tag.removeprefix(_TAG), node.value
    match kind:
        case "str" | "merge":
            return _whole_characters(text)
        case "int":
            # The length first: a million digits take minutes to become a number.
            # Base 0 only where a prefix says so: Python would refuse 007, which YAML 1.2 reads as
            # 7.
            number = int(text[:24], 0 if text[:2] in ("0o", "0x") else 10)
            if len(text) > 24 or abs(number) >= 2**64:
                raise ValueError(f"a whole number of {len(text)} digits is too large")
            return number
        case "float" if not math.isfinite(float(text)):
            raise ValueError(f"the number {text[:20]} is too large")
        case "float":
            return float(text)
        case "bool" if text.lower() in ("true", "false"):
            return text.lower() == "true"
        case "null" if isinstance(node, yaml.ScalarNode):
            return None
    shown = f"!!{kind}" if node.tag.startswith(_TAG) else node.tag
    raise ValueError(f"the tag {shown} is not supported here; remove it")


def _whole_characters(text: str) -> str:
    """Join what JSON writes as two escapes for one rare character and YAML reads as two halves.

    Raises:
        ValueError: half a character is left, or a NUL, which no path and no C string can hold.
    """
    if "\0" in text:
        raise ValueError("a NUL character; remove it")
    try:
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError("a \\u escape for half a character; write the character whole") from None


class _Builder:
    """Turns composed nodes into data, noting lines and problems in `document`."""

    def __init__(self, path: Path, document: YamlDocument) -> None:
        self.path = path
        self.document = document
        self.open_nodes: set[int] = set()
        self.count = 0
        # What is written once is told once, however often aliases repeat it.
        self.problems: dict[tuple[int, str], tuple[int, str, str]] = {}

    def _count(self, line: int) -> None:
        self.count += 1
        if self.count > _MAX_NODES:
            raise ConfigError(f"{self.path}:{line}: aliases unfold to over {_MAX_NODES} values")

    def value(self, node: yaml.Node, location: Location) -> Any:
        line = node.start_mark.line + 1
        self._count(line)
        if len(location) > MOST_DEPTH:
            raise ConfigError(f"{self.path}:{line}: nested more than {MOST_DEPTH} deep")
        # A key's own line, set by `_mapping`, is where a reader looks; a block begins below it.
        self.document.lines.setdefault(location, line)
        self.document.starts[location] = node.start_mark.index
        if id(node) in self.open_nodes:
            self._problem(node, location, "an alias that contains itself")
            return None
        self.open_nodes.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, location)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.value(n, (*location, i)) for i, n in enumerate(node.value)]
            return _plain(node)
        except ValueError as error:
            self._problem(node, location, str(error))
            return None
        finally:
            self.open_nodes.discard(id(node))

    def _problem(self, node: yaml.Node, location: Location, message: str) -> None:
        mark = node.start_mark
        self.problems.setdefault((mark.index, message), (mark.line + 1, dotted(location), message))

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, key_line, child in self._pairs(node, location):
            here = (*location, key)
            self.document.lines[here] = key_line
            result[key] = self.value(child, here)
        return result

    def _pairs(
        self, node: yaml.MappingNode, location: Location
    ) -> Iterator[tuple[str, int, yaml.Node]]:
        """Own pairs, then merged ones whose keys are still free: own keys win, earlier ones too."""
        seen: dict[str, int] = {}
        # Merged keys come last, so that a file's own keys stand first in what is shown of it.
        merged: list[yaml.Node] = []
        for key_node, child in node.value:
            line = key_node.start_mark.line + 1
            self._count(line)  # merged maps unfold as aliases do
            if key_node.tag == _TAG + "merge":
                merged += child.value if isinstance(child, yaml.SequenceNode) else [child]
                continue
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == _TAG + "null":
                self._problem(key_node, location, "a key must be a word or a number")
                continue
            try:
                key = _whole_characters(key_node.value)
            except ValueError as error:
                self._problem(key_node, location, str(error))
                continue
            if hidden := invisible(key):
                self._problem(key_node, location, f"a key with the invisible character {hidden}")
                continue
            if key in seen:
                said = f"duplicate key (first on line {seen[key]})"
                self._problem(key_node, (*location, key), said)
                continue
            seen[key] = line
            yield key, line, child
        for source in merged:
            if not isinstance(source, yaml.MappingNode) or id(source) in self.open_nodes:
                self._problem(source, location, "'<<' needs a mapping or a list of mappings")
                continue
            # A map that merges itself would be merged for ever.
            self.open_nodes.add(id(source))
            for key, key_line, child in self._pairs(source, location):
                if key not in seen:
                    seen[key] = key_line
                    yield key, key_line, child
            self.open_nodes.discard(id(source))
