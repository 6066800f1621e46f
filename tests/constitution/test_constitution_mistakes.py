"""Every mistake of a constitution is told at once, whichever part of the reader finds it."""

from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.constitution import load_constitution

BAD = """\
name: bad
values:
  - id: candour
    name: Candour
    statement: The assistant says what it knows.
    reasons: []
    upheld_by: [says it]
    violated_by: [hides it]
    conflicts: [{against: tact, wins: candour, when: both apply, because: a fault hurts}]
  - id: candour
    name: Candour again
    statement: The assistant says so.
    reasons: [It helps.]
    upheld_by: [says so]
    violated_by: [does not]
  - id: tact
    name: Tact
    statement: The assistant is kind.
    reasons: [It helps.]
    upheld_by: [is kind]
    violated_by: [is not]
    conflicts:
      - {against: candour, wins: tact, when: both apply, because: a word hurts}
      - {against: candour, wins: charm, when: both apply, because: a word hurts}
"""


def test_a_value_without_reasons_hides_neither_a_second_id_nor_a_circle(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    with pytest.raises(ConfigError) as caught:
        load_constitution(file)
    told = [line.removeprefix(str(file)) for line in str(caught.value).splitlines()]
    assert [line.split(": ")[0] for line in told] == [":6", ":10", ":23", ":24"]
    assert "has no reasons" in told[0] and "is taken by values[0]" in told[1]
    assert "go round in a circle" in told[2] and "is not part of this conflict" in told[3]
