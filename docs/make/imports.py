"""The package's real imports, and the floors of the house: who may import whom.

Imports inside functions count, those under ``if TYPE_CHECKING:`` don't: they are gone when the
program runs. Leaves out: imports by a string (a `Room`'s own packages, which it lists).
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "whyfirst"

#: modules that start a program, and so stand above all floors
ENTRANCES = frozenset({"whyfirst", "whyfirst.__main__"})
#: from the ground up; what stands on a floor may import from its own part and from floors below
FLOORS: tuple[tuple[str, ...], ...] = (
    ("config",),
    ("stats",),
    ("models",),
    ("data",),
    ("constitution", "worlds"),
    ("explain", "train", "evaluate"),
    ("probe",),
    ("report",),
    ("study",),
    ("interop", "worlds/*"),
    ("cli",),
)
#: a part of the house -> what it is, and the same for a small box
PARTS: Mapping[str, str] = {
    "cli": "the commands, each one's work imported when it is used",
    "interop": "our benchmarks as Inspect tasks, our results as its logs; lm-eval's results",
    "worlds/*": "each embedded world: base, corpora, benchmarks, rewards, probe items",
    "study": "the file, its plan, a kind of node a file, the store, the workers, the results",
    "report": "the schema of results.json, the page, the card, the terminal's summary",
    "probe": "measurements on activations and logits, tied to behaviour",
    "explain": "plans, teachers and filters of explanations; controls, audits, demonstrations",
    "train": "a kind of stage a file; objectives, rewards, checkpoints, PPO",
    "evaluate": "benchmarks, scorers, judges and calibrations, comparisons",
    "constitution": "values, the reasons behind them, and the file they stand in",
    "worlds": "what an embedded world is to a study",
    "data": "readers of public sets, leaks, splits; transforms and selectors of rows",
    "models": "language models behind one interface; templates, loading; decodings and edits",
    "stats": "intervals, crossed samples, power, Holm: numbers in, numbers out",
    "config": "strict YAML, files, errors; `Room` and `Use`, plug-ins",
}
ARTICLES: Mapping[str, str] = {
    "cli": "the commands",
    "interop": "Inspect, lm-eval",
    "worlds/*": "the embedded worlds",
    "study": "file, plan, nodes, store, workers",
    "report": "results.json and its page",
    "probe": "looking inside models",
    "explain": "explanations and controls",
    "train": "stages, objectives, rewards",
    "evaluate": "benchmarks, scorers, judges",
    "constitution": "values and their reasons",
    "worlds": "what a world is",
    "data": "public sets, transforms",
    "models": "language models, decodings, edits",
    "stats": "intervals, power",
    "config": "files, errors, Room and Use",
}


def imports(folder: Path = PACKAGE, package: str = "whyfirst") -> dict[str, set[str]]:
    """Module -> the package's modules it imports, itself left out."""
    files = {}
    for path in sorted(folder.rglob("*.py")):
        parts = (package, *path.relative_to(folder).with_suffix("").parts)
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    graph: dict[str, set[str]] = {}
    for module, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        named = set(_named(tree.body))
        # `from package import name` is the module package.name where there is one, else package.
        graph[module] = {
            f"{base}.{name}" if f"{base}.{name}" in files else base
            for base, name in named
            if base in files or f"{base}.{name}" in files
        } - {module}
    return graph


def _named(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, str]]:
    """(module, name) of every import that happens when the program runs."""
    for node in nodes:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _named(node.orelse)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        else:
            yield from _named(ast.iter_child_nodes(node))


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a ring, the first one again at the end; [] if none do."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def part_of(module: str) -> str:
    """The part of the house a module is in: ``train`` of ``whyfirst.train.kinds.sft``."""
    names = module.split(".")
    if names[1:2] == ["worlds"] and len(names) > 2:
        return "worlds/*"
    return names[1] if len(names) > 1 else ""


def floor_of(part: str) -> int:
    """The number of a part's floor, the ground being 0."""
    return next(number for number, parts in enumerate(FLOORS) if part in parts)


def arrows() -> dict[tuple[str, str], set[tuple[str, str]]]:
    """(part, part it imports from) -> the (module, module) that do."""
    found: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for module, needs in imports().items():
        for need in needs:
            ends = part_of(module), part_of(need)
            if ENTRANCES.isdisjoint((module, need)) and ends[0] != ends[1]:
                found.setdefault(ends, set()).add((module, need))
    return found
