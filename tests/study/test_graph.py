"""Fingerprints, order and refusals of a graph of nodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import UserError
from whyfirst.study.execute.graph import Node, check_graph, make_fingerprint, remaining_path


def node(name: str, *depends: str, weight: float = 1.0) -> Node:
    return Node(name, "step", "0" * 24, depends, weight=weight)


def test_fingerprint_is_the_hash_of_canonical_json() -> None:
    # sha256 of {"config":{"lr":0.1},"inputs":{},"kind":"sft","kind_version":"1","libraries":{}}
    assert make_fingerprint("sft", "1", {"lr": 0.1}, {}, {}) == "31c5fea0f37add4a6a2e7b21"


def test_fingerprint_ignores_key_order_and_sees_every_part() -> None:
    args = ("sft", "1", {"a": 1, "b": 2}, {"model": "x"}, {"torch": "2"})
    same = make_fingerprint(*args)
    assert same == make_fingerprint("sft", "1", {"b": 2, "a": 1}, {"model": "x"}, {"torch": "2"})
    changed = [
        ("dpo", *args[1:]),
        ("sft", "2", *args[2:]),
        (*args[:2], {"a": 1, "b": 3}, *args[3:]),
        (*args[:3], {"model": "y"}, args[4]),
        (*args[:4], {"torch": "3"}),
    ]
    assert len({same, *(make_fingerprint(*other) for other in changed)}) == 6


def test_fingerprint_refuses_nan_rather_than_never_matching_again() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        make_fingerprint("sft", "1", {"lr": float("nan")}, {}, {})


def test_node_survives_json() -> None:
    original = Node("a", "step", "ab" * 12, ("b", "c"), {"deep": [1, None]}, 2.5)
    assert Node.from_json(original.to_json()) == original


def test_cycle_is_spelled_out() -> None:
    with pytest.raises(UserError, match="cycle: b needs c needs b"):
        check_graph([node("a"), node("b", "a", "c"), node("c", "b"), node("d", "c")])


def test_unknown_dependency_is_named() -> None:
    with pytest.raises(UserError, match="a depends on ghost"):
        check_graph([node("a", "ghost")])


def test_duplicate_id_is_named() -> None:
    with pytest.raises(UserError, match="twice: a"):
        check_graph([node("a"), node("b"), node("a")])


def test_remaining_path_is_the_longest_chain_by_weight() -> None:
    order = check_graph(
        [node("top", "l", "r", weight=1), node("l", "b", weight=5), node("r", "b"), node("b")]
    )
    assert remaining_path(order) == {"b": 7.0, "l": 6.0, "r": 2.0, "top": 1.0}


@given(st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=12), st.randoms())
def test_order_respects_every_dependency(edges: list[set[int]], rng: st.DrawFn) -> None:
    nodes = [node(str(i), *(str(j) for j in deps if j < i)) for i, deps in enumerate(edges)]
    rng.shuffle(nodes)  # type: ignore[attr-defined]
    order = check_graph(nodes)
    place = {item.id: at for at, item in enumerate(order)}
    assert sorted(place) == sorted(item.id for item in nodes)
    assert all(place[name] < place[item.id] for item in nodes for name in item.depends)
