"""First-order formulas: read from text, spelled out over a finite domain, and compared.

Connectives: ¬ ~ !, ∧ & and, ∨ | or, → -> , ↔ <->, ⊕ ^, ∀x and ∃x. A formula is spelled out over the
constants that occur and some unnamed things beside them, and then is a propositional one, which
data/transforms/logic_pairs.py evaluates. Two formulas that differ in one such world are not
equivalent; two that differ in none are equivalent there, which for formulas without quantifiers is
a proof. Leaves out: functions, equality, and proofs over infinite domains.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

from whyfirst.data.transforms.logic_pairs import Formula, atoms, holds

#: Of one spelled-out comparison: 16,384 worlds.
MOST_ATOMS = 14
#: Parts within each other, and formulas that quantifiers stand for in a domain; a model that
#: repeats itself writes any number.
MOST_DEPTH, MOST_SPELLED = 100, 10**6
_TOKEN = re.compile(r"<->|->|[A-Za-z_]\w*|[¬~!∧&∨|→↔⊕^∀∃().,]|\S")
_WORDS = {"not": "¬", "~": "¬", "!": "¬", "and": "∧", "&": "∧", "or": "∨", "|": "∨", "->": "→",
          "<->": "↔", "^": "⊕", "forall": "∀", "exists": "∃"}  # fmt: skip
#: binds least first; → to the right, the others to the left
_LEVELS = ("↔⊕", "→", "∨", "∧")


def tokens(text: str) -> list[str]:
    """Its tokens, one spelling each."""
    return [_WORDS.get(token.lower(), token) for token in _TOKEN.findall(text)]


def read_formula(text: str) -> Any:
    """The tree of a formula: ("atom", name, terms), ("not", f), (∧ ∨ → ↔ ⊕ ∀ ∃, ...).

    Raises:
        ValueError: it is none, says where; or parts of it are too deep within each other.
    """
    # One list that every level eats from the front; what is left over was no part of a formula.
    rest = tokens(text)
    tree = _level(rest, 0, 0)
    if rest:
        raise ValueError(f"not a formula at {' '.join(rest)[:40]!r}")
    # A chain is read in a loop, and every later step goes down it.
    layer, depth = [tree], 0
    while layer:
        layer, depth = [part for one in layer for part in _parts(one)], depth + 1
        _check_depth(depth)
    return tree


def _parts(tree: Any) -> tuple[Any, ...]:
    if tree[0] == "atom":
        return ()
    return tuple(tree[2:] if tree[0] in ("∀", "∃") else tree[1:])


def _check_depth(depth: int) -> None:
    if depth > MOST_DEPTH:
        raise ValueError(f"a formula whose parts are more than {MOST_DEPTH} deep in each other")


def _level(rest: list[str], level: int, within: int) -> Any:
    if level == len(_LEVELS):
        return _unit(rest, within + 1)
    left = _level(rest, level + 1, within)
    while rest and rest[0] in _LEVELS[level]:
        sign = rest.pop(0)
        # The implication alone takes its own level on the right: a → b → c is a → (b → c).
        left = (sign, left, _level(rest, level + (sign != "→"), within + (sign == "→")))
    return left


def _unit(rest: list[str], within: int) -> Any:
    _check_depth(within)
    token = rest.pop(0) if rest else ""
    if token == "¬":
        return ("not", _unit(rest, within + 1))
    if token in ("∀", "∃"):
        name = _name(rest)
        if rest[:1] == ["."]:
            rest.pop(0)
        return (token, name, _unit(rest, within + 1))
    if token == "(":
        inner = _level(rest, 0, within)
        _take(rest, ")")
        return inner
    if not re.fullmatch(r"[A-Za-z_]\w*", token):
        raise ValueError(f"not a formula at {token[:40]!r}" if token else "a formula ends too soon")
    if rest[:1] != ["("]:
        return ("atom", token, ())
    rest.pop(0)
    terms = [_name(rest)]
    while rest[:1] == [","]:
        rest.pop(0)
        terms.append(_name(rest))
    _take(rest, ")")
    return ("atom", token, tuple(terms))


def _name(rest: list[str]) -> str:
    if not rest or not re.fullmatch(r"\w+", rest[0]):
        raise ValueError(f"a name is missing at {' '.join(rest)[:40]!r}")
    return rest.pop(0)


def _take(rest: list[str], token: str) -> None:
    if rest[:1] != [token]:
        raise ValueError(f"{token!r} is missing at {' '.join(rest)[:40]!r}")
    rest.pop(0)


def constants(tree: Any, bound: frozenset[str] = frozenset()) -> set[str]:
    """The terms that no quantifier binds."""
    if tree[0] == "atom":
        return set(tree[2]) - bound
    if tree[0] in ("∀", "∃"):
        return constants(tree[2], bound | {tree[1]})
    return set().union(*(constants(part, bound) for part in tree[1:]))


def _quantifiers(tree: Any) -> int:
    """How many stand within each other at most."""
    return (tree[0] in ("∀", "∃")) + max(map(_quantifiers, _parts(tree)), default=0)


def spelled_out(tree: Any, domain: Sequence[str], values: dict[str, str] | None = None) -> Formula:
    """The propositional formula that says the same of a domain, which is not empty."""
    named = values or {}
    if tree[0] == "atom":
        terms = ",".join(named.get(term, term) for term in tree[2])
        return f"{tree[1]}({terms})"
    if tree[0] in ("∀", "∃"):
        parts = [spelled_out(tree[2], domain, {**named, tree[1]: one}) for one in domain]
        whole = parts[0]
        for part in parts[1:]:
            whole = ("and" if tree[0] == "∀" else "or", whole, part)
        return whole
    parts = [spelled_out(part, domain, named) for part in tree[1:]]
    match tree[0]:
        case "↔":
            # In the three signs that the evaluator knows.
            return ("and", ("if", parts[0], parts[1]), ("if", parts[1], parts[0]))
        case "⊕":
            return ("not", ("and", ("if", parts[0], parts[1]), ("if", parts[1], parts[0])))
    return ({"∧": "and", "∨": "or", "→": "if"}.get(tree[0], tree[0]), *parts)


def differing_worlds(one: Any, other: Any, unnamed: int = 1) -> Iterator[dict[str, bool]]:
    """The worlds of a finite domain in which two formulas differ.

    Args:
        unnamed: things in the domain beside the constants, at least one thing in all.

    Raises:
        ValueError: too many atoms to go through the worlds, or quantifiers to spell out.
    """
    names = sorted(constants(one) | constants(other))
    # A thing beside the named ones: over the constants alone ∀x P(x) would be P(a) and P(b).
    domain = [*names, *(f"#{n}" for n in range(max(unnamed, int(not names))))]
    nested = max(_quantifiers(one), _quantifiers(other))
    if len(domain) ** nested > MOST_SPELLED:
        raise ValueError(f"{nested} quantifiers within each other are too many to spell out")
    a, b = spelled_out(one, domain), spelled_out(other, domain)
    # Of both: an atom that one of them never mentions is free in its worlds.
    every = sorted(atoms(a) | atoms(b))
    if len(every) > MOST_ATOMS:
        raise ValueError(f"{len(every)} atoms are too many to compare formulas over")
    for row in product((False, True), repeat=len(every)):
        world = dict(zip(every, row, strict=True))
        if holds(a, world) != holds(b, world):
            yield world


def same_formula(one: Any, other: Any, unnamed: int = 1) -> bool:
    """Whether two formulas are equivalent over the finite domain; see `differing_worlds`."""
    return next(differing_worlds(one, other, unnamed), None) is None
