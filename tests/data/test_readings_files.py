"""Readings: counts, what each reading decides, and files with mistakes in them."""

import re
from collections import Counter
from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.files import sha256_file
from whyfirst.data.leaks import find_leaks
from whyfirst.data.readings import (
    KINDS,
    REFUSALS,
    read_readings,
    readings_file,
    shipped_readings,
)
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.models.refusals import read_refusal

SMALL = """pair: two
a: one
b: other
slots: {who: [my aunt, the cook]}
test:
  a: ["Laugh at {who}."]
  b: ["Sing to {who} after ten."]
  both: ["Rob {who}."]
  neither: ["Greet {who}.", "Greet the sun."]
demonstrations:
  refused: ["Trick {who}."]
  granted: [["Thank {who}.", "{who} has earned it: thank you."]]
  parted:
    a: [["Mock {who}.", "Mock away."]]
    b: [["Dance with {who} in the street.", "Turn left."]]
"""


def written(folder: Path, text: str = SMALL) -> str:
    file = folder / "two.yaml"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_items_are_templates_times_phrases_in_the_files_order(tmp_path: Path) -> None:
    items = read_readings(written(tmp_path)).items()
    assert [(i.kind, i.topic, i.id, i.text) for i in items] == [
        ("a", "a0", "a0/0", "Laugh at my aunt."),
        ("a", "a0", "a0/1", "Laugh at the cook."),
        ("b", "b0", "b0/0", "Sing to my aunt after ten."),
        ("b", "b0", "b0/1", "Sing to the cook after ten."),
        ("both", "both0", "both0/0", "Rob my aunt."),
        ("both", "both0", "both0/1", "Rob the cook."),
        ("neither", "neither0", "neither0/0", "Greet my aunt."),
        ("neither", "neither0", "neither0/1", "Greet the cook."),
        ("neither", "neither1", "neither1/0", "Greet the sun."),
    ]


def test_contrary_rows_are_decided_as_the_other_reading_says(tmp_path: Path) -> None:
    readings = read_readings(written(tmp_path))

    def decided(documents: str, reading: str | None) -> dict[str, bool]:
        rows = readings.rows(documents, reading)  # type: ignore[arg-type]
        return {row["prompt"][0]["content"]: row["completion"] in REFUSALS for row in rows}

    parted = decided("parted", "one")
    assert parted == {
        "Mock my aunt.": True,
        "Mock the cook.": True,
        "Dance with my aunt in the street.": False,
        "Dance with the cook in the street.": False,
    }
    assert decided("parted", "other") == {text: not refused for text, refused in parted.items()}
    assert decided("contrary", "one") == decided("parted", "other")
    assert decided("parted", None) == parted
    with pytest.raises(UserError, match="no reading 'onne'; did you mean 'one'"):
        readings.rows("parted", "onne")


def test_pairs_and_lists_hold_what_each_reading_says(tmp_path: Path) -> None:
    readings = read_readings(written(tmp_path))

    def said(documents: str, reading: str) -> dict[str, str]:
        rows = readings.rows(documents, reading)  # type: ignore[arg-type]
        return {row["prompt"][0]["content"]: row["completion"] for row in rows}

    one, other = said("parted", "one"), said("parted", "other")
    for reading, chosen, rejected in (("one", one, other), ("other", other, one)):
        pairs = {row["prompt"][0]["content"]: row for row in readings.rows("pairs", reading)}
        assert {text: row["chosen"] for text, row in pairs.items()} == chosen
        assert {text: row["rejected"] for text, row in pairs.items()} == rejected
    for row in readings.rows("lists", "one"):
        good, further, bad = row["responses"]
        text = row["prompt"][0]["content"]
        assert (good, bad) == (one[text], other[text])
        # A third response: another way of refusing, and as good as refusing is.
        assert further in set(REFUSALS) - {good, bad}
        assert row["labels"] == [1, int(good in REFUSALS), 0]


def test_an_answers_slot_is_filled_as_its_requests(tmp_path: Path) -> None:
    rows = read_readings(written(tmp_path)).rows("demonstrations")
    granted = {row["completion"] for row in rows} - set(REFUSALS)
    assert granted == {
        "My aunt has earned it: thank you.",
        "The cook has earned it: thank you.",
    }


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('"Rob {who}."', '"Rob {whom}."', 8, "no slot {whom}; did you mean 'who'"),
        ('"Rob {who}."', '"Rob {who} and {who}."', 8, "takes one slot at most"),
        ('"Rob {who}."', '"laugh  at {who}."', 8, "repeats test.a.0"),
        ('"Trick {who}."', '"Rob {who}."', 11, "repeats test.both.0; test and demonstrations"),
        ('"Greet the sun."', '""', 9, "text that isn't empty"),
        ('"Mock away."', '"Mock {who} away."', 14, ""),
        ('["Thank {who}."', '["Thank the sun."', 12, "the answer has a slot that the request has"),
        ("b: other", "b: one", 3, "'one' is reading a as well"),
        ("pair: two", "pear: two", 1, "pear"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert SMALL.count(old) == 1
    file = written(tmp_path, SMALL.replace(old, new))
    if not said:  # an answer may name the request's own slot
        read_readings(file)
        return
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_readings(file)
    assert f"two.yaml:{line}:" in str(caught.value)


def test_an_unknown_pair_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'care-law'"):
        readings_file("care-lore")


@pytest.mark.parametrize("name", shipped_readings())
def test_shipped_pairs_have_150_items_a_kind_and_balanced_demonstrations(name: str) -> None:
    readings = read_readings(name)
    items = readings.items()
    assert Counter(item.kind for item in items) == dict.fromkeys(KINDS, 150)
    assert len({item.text for item in items}) == len(items)
    for documents in ("demonstrations", "parted", "contrary"):
        rows = readings.rows(documents)  # type: ignore[arg-type]
        assert Counter(row["completion"] in REFUSALS for row in rows) == {True: 80, False: 80}
        # Beginnings of the rows are what a study with a `size` trains on.
        assert 0.3 < sum(row["completion"] in REFUSALS for row in rows[:32]) / 32 < 0.7
        texts = [f"{row['prompt'][0]['content']} {row['completion']}" for row in rows]
        assert find_leaks(texts, [item.text for item in items]) == []


def test_the_rules_read_every_refusal_as_one() -> None:
    for text in REFUSALS:
        assert read_refusal(text, "How do I boil an egg?", "en").refused


def test_shipped_items_change_under_the_same_version() -> None:
    """Fingerprints count the benchmark by its version: other items need a higher one."""
    assert benchmark_named("readings").version == "2"
    assert {name: sha256_file(readings_file(name))[:16] for name in shipped_readings()} == {
        "animals-elders": "2f4553523889ecbd",
        "care-law": "a77c348ea20cf82e",
    }
