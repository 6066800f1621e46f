"""Constitutions: what ships is complete, and a bad one is refused at its line."""

from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import output_fields, undeclared_fields
from whyfirst.constitution import Constitution, load_constitution, shipped_constitutions

GOOD = """name: mine
values:
  - id: calm
    name: Calm
    statement: The assistant stays calm.
    reasons:
      - Calm helps.
    upheld_by:
      - waits
    violated_by:
      - shouts
"""


def _errors(tmp_path: Path, text: str) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_constitution(path)
    return str(caught.value).replace(f"{path}", "")


def test_shipped_hhh_is_complete_and_reads_as_the_teacher_needs_it() -> None:
    assert "hhh" in shipped_constitutions()
    constitution = load_constitution("hhh")
    assert [v.id for v in constitution.values] == ["helpful", "honest", "harmless"]
    everything = []
    for value in constitution.values:
        assert len(value.reasons) >= 8
        assert len(value.upheld_by) >= 10 and len(value.violated_by) >= 10
        assert all(r[0].isupper() and r.endswith(".") for r in value.reasons)
        behaviours = value.upheld_by + value.violated_by
        # "the assistant never ..." needs a verb in the third person, and no full stop inside.
        assert all(b[0].islower() and b.split()[0].endswith("s") for b in behaviours)
        assert not any("." in b for b in behaviours)
        # What and why are kept apart, or the rules control would carry reasons.
        assert not any(" because " in text for text in [value.statement, *behaviours])
        everything += behaviours + value.reasons
    assert len(set(everything)) == len(everything)


def test_own_file_loads_from_its_path(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(GOOD)
    constitution = load_constitution(str(tmp_path / "c.yaml"))
    assert constitution.value("calm").reasons == ["Calm helps."]
    with pytest.raises(UserError, match="no value 'calmm'; did you mean 'calm'"):
        constitution.value("calmm")


def test_duplicate_id_is_refused_at_its_line(tmp_path: Path) -> None:
    second = GOOD.split("values:\n")[1]
    message = _errors(tmp_path, GOOD + second)
    assert message == (":12: values[1].id: the id 'calm' is taken by values[0]; rename one")


def test_value_without_reasons_is_refused_at_its_line(tmp_path: Path) -> None:
    empty = GOOD.replace("    reasons:\n      - Calm helps.\n", "    reasons: []\n")
    expected = ":6: values[0].reasons: value 'calm' has no reasons; give at least one"
    assert _errors(tmp_path, empty) == expected
    absent = GOOD.replace("    reasons:\n      - Calm helps.\n", "")
    assert _errors(tmp_path, absent) == ":3: values[0].reasons: missing; this key is required"


def test_repeated_or_contradictory_behaviours_are_refused(tmp_path: Path) -> None:
    message = _errors(tmp_path, GOOD.replace("- shouts", "- Waits."))
    assert message == ":11: values[0].violated_by[0]: repeats upheld_by[0]; remove one of them"


def test_no_behaviours_no_values_and_blank_texts_are_refused(tmp_path: Path) -> None:
    bare = GOOD.replace("\n      - waits", " []").replace("\n      - shouts", " []")
    assert "has no behaviours" in _errors(tmp_path, bare)
    assert "no values" in _errors(tmp_path, "name: x\nvalues: []\n")
    assert "empty text" in _errors(tmp_path, GOOD.replace("- waits", "- ' '"))


def test_unknown_name_offers_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'hhh'\? \(shipped: animals, broad, "):
        load_constitution("hhhh")


def test_name_and_description_do_not_change_a_fingerprint() -> None:
    assert undeclared_fields(Constitution) == []
    assert list(output_fields(load_constitution("hhh"))) == ["values"]
