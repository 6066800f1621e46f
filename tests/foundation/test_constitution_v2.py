"""Conflicts, boundary cases, imported skeletons and the shipped schema."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.strict import undeclared_fields
from whyfirst.constitution import (
    Constitution,
    constitution_schema,
    load_constitution,
    shipped_constitutions,
)

TWO = """name: two
values:
  - id: a
    name: A
    statement: The assistant is a.
    reasons: [A helps.]
    upheld_by: [waits]
    violated_by: []
    conflicts:
      - {against: b, wins: a, when: both pull, because: A lasts.}
  - id: b
    name: B
    statement: The assistant is b.
    reasons: [B helps.]
    upheld_by: [goes]
    violated_by: []
    conflicts:
      - {against: c, wins: b, when: both pull, because: B lasts.}
  - id: c
    name: C
    statement: The assistant is c.
    reasons: [C helps.]
    upheld_by: [stays]
    violated_by: []
"""


def _errors(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_constitution(path)
    return str(caught.value).replace(f"{path}", "")


def test_a_cycle_of_winners_is_refused_at_the_conflict_that_closes_it(tmp_path: Path) -> None:
    cycle = TWO + "    conflicts: [{against: a, wins: c, when: x y, because: C lasts.}]\n"
    assert _errors(tmp_path, cycle) == (
        ":25: values[2].conflicts[0].wins: the winners go round in a circle "
        "('c' over 'a' over 'b' over 'c'); turn one of them"
    )


def test_two_values_can_not_each_win_against_the_other(tmp_path: Path) -> None:
    text = TWO.replace("{against: c, wins: b", "{against: a, wins: b")
    assert ":18: values[1].conflicts[0].wins: the winners go round" in _errors(tmp_path, text)


def test_the_same_conflict_told_from_both_sides_is_no_cycle(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TWO.replace("{against: c, wins: b", "{against: a, wins: a"))
    assert len(load_constitution(path).values) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("against: b", "against: bb", "no value 'bb'; did you mean 'b'? (known: a, b, c)"),
        ("wins: a", "wins: c", "'c' is not part of this conflict; give 'a' or 'b'"),
        ("against: b, wins: a", "against: a, wins: a", "value 'a' can't conflict with itself"),
    ],
)
def test_a_conflict_with_the_wrong_value_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    found = _errors(tmp_path, TWO.replace(old, new, 1))
    assert found.startswith(":10: values[0].conflicts[0].") and message in found


def test_what_an_import_left_to_write_is_refused_until_written(tmp_path: Path) -> None:
    text = TWO.replace("[B helps.]", "['FILL: why']").replace("[stays]", "['FILL: what']")
    found = _errors(tmp_path, text).splitlines()
    assert [line.split(":")[1] for line in found] == ["14", "23"]
    assert all("still marked FILL:" in line for line in found)


def test_the_shipped_schema_is_current_and_says_what_the_loader_says() -> None:
    shipped = json.loads(
        (files("whyfirst") / "constitutions" / "constitution.schema.json").read_text()
    )
    assert shipped == constitution_schema(), "write constitution_schema() to that file again"
    assert shipped["additionalProperties"] is False
    assert "affects" not in json.dumps(shipped)


@pytest.mark.parametrize("name", shipped_constitutions())
def test_every_shipped_constitution_reads_as_the_teacher_needs_it(name: str) -> None:
    constitution = load_constitution(name)
    texts: list[str] = []
    for value in constitution.values:
        assert len(value.reasons) >= 6
        assert len(value.upheld_by) >= 5 and len(value.violated_by) >= 5 and value.boundaries
        assert all(r[0].isupper() and r.endswith(".") for r in value.reasons)
        behaviours = value.upheld_by + value.violated_by + [c.conduct for c in value.boundaries]
        assert all(b.split()[0].endswith("s") and "." not in b for b in behaviours)
        # What and why are kept apart, or the rules control would carry reasons.
        whats = [value.statement, *behaviours, *(c.case for c in value.boundaries)]
        assert not any(" because " in text for text in whats)
        texts += behaviours + value.reasons
    assert len(set(texts)) == len(texts)


def test_broad_has_a_dozen_values_and_both_have_conflicts() -> None:
    assert len(load_constitution("broad").values) == 12
    for name in ("hhh", "broad"):
        assert any(v.conflicts for v in load_constitution(name).values)


def test_every_field_says_whether_it_reaches_a_document() -> None:
    assert undeclared_fields(Constitution) == []
