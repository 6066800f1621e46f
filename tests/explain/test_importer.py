"""Importing a specification: nothing is lost, and what is missing is marked."""

import os
from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.constitution import load_constitution
from whyfirst.explain.importer import (
    import_markdown,
    sections,
    skeleton_yaml,
    split_sentences,
    third_person,
)

SPEC = """# Overview {#overview}

A text without duties.

## Be kind {#be_kind authority=user}

The assistant should proactively greet people, see [the rule](#be_brief). It must not mock them,
because mockery stays (e.g. in memory). The assistant should never shout.

**Example**: a greeting

~~~xml
# not a heading
<user>hello</user>
~~~

## Be brief

Always be brief. See [?](#be_kind)!
"""
DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
MODEL_SPEC = DATA / "principles" / "model_spec.md"


def _imported(tmp_path: Path, text: str) -> Path:
    (tmp_path / "spec.md").write_text(text)
    skeleton = import_markdown(tmp_path / "spec.md", "mine")
    (tmp_path / "mine.yaml").write_text(skeleton_yaml(skeleton, "spec.md"))
    return tmp_path / "mine.yaml"


def test_headings_norms_examples_and_references_are_kept(tmp_path: Path) -> None:
    (tmp_path / "spec.md").write_text(SPEC)
    skeleton = import_markdown(tmp_path / "spec.md", "mine")
    kind, brief = skeleton.data["values"]
    assert (kind["id"], kind["name"], brief["id"]) == ("be_kind", "Be kind", "be_brief")
    assert kind["upheld_by"] == ["is kind", "proactively greets people, see the rule"]
    assert kind["violated_by"] == ["shouts"]
    assert kind["reasons"] == ["It must not mock them, because mockery stays (e.g. in memory)."]
    source = kind["source"]
    assert source["line"] == 5 and source["headings"] == ["Overview", "Be kind"]
    assert source["examples"] == [
        {"title": "a greeting", "text": "# not a heading\n<user>hello</user>"}
    ]
    assert source["references"] == ["be_brief"] and len(source["normative"]) == 3
    assert brief["statement"] == "Always be brief."
    assert brief["source"]["references"] == ["be_kind"]
    assert skeleton.without_norms == [(1, "Overview")]
    assert skeleton.to_fill == ["values[1].reasons[0]"]


def test_the_skeleton_loads_once_what_is_marked_is_written(tmp_path: Path) -> None:
    place = _imported(tmp_path, SPEC)
    with pytest.raises(ConfigError, match=r"values\[1\].reasons\[0\]: still marked FILL:"):
        load_constitution(place)
    text = place.read_text()
    place.write_text(text.replace("FILL: why this holds, as a whole sentence", "Time is short."))
    assert [v.id for v in load_constitution(place).values] == ["be_kind", "be_brief"]


def test_a_file_without_norms_or_headings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no heading with a sentence that says must"):
        _imported(tmp_path, "# Title\n\nNothing is asked.\n")


def test_sentences_and_verbs() -> None:
    assert split_sentences("One, e.g. this. Two (so)! Three?") == [
        "One, e.g. this.", "Two (so)!", "Three?"
    ]  # fmt: skip
    assert third_person("politely push back.") == "politely pushes back"
    assert third_person("avoid or censor topics") == "avoids or censors topics"
    assert third_person("be warm") == "is warm" and third_person("try again") == "tries again"
    assert third_person("have care") == "has care" and third_person("stay calm") == "stays calm"


def test_what_begins_with_no_verb_is_conjugated_all_the_same(tmp_path: Path) -> None:
    """ "Not only answer" stood on the side that breaks the value, and "nos topic is off limits",
    "comply withs" and "alwayses use" were behaviours that nobody was asked to look at."""
    spec = "".join(f"## {title}\n\n{norm}\n\n" for title, norm in (
        ("No topic is off limits", "The assistant should not only answer but also explain."),
        ("Always use the voice", "The assistant should not hesitate to ask."),
        ("Comply with laws", "The assistant must not rely on rumours."),
        ("Flattery", "The assistant should by default be brief."),
    ))  # fmt: skip
    (tmp_path / "spec.md").write_text(spec)
    skeleton = import_markdown(tmp_path / "spec.md", "mine")
    found = [(value["upheld_by"], value["violated_by"]) for value in skeleton.data["values"]]
    assert found == [
        (["FILL: The assistant should not only answer but also explain."], []),
        (["uses the voice", "FILL: The assistant should not hesitate to ask."], []),
        (["complies with laws"], ["relies on rumours"]),
        (["FILL: The assistant should by default be brief."], []),
    ]
    assert "values[1].upheld_by[1]" in skeleton.to_fill


@pytest.mark.data
@pytest.mark.skipif(not MODEL_SPEC.is_file(), reason="needs ../shared/data/principles")
def test_a_published_specification_becomes_a_constitution(tmp_path: Path) -> None:
    text = MODEL_SPEC.read_text()
    skeleton = import_markdown(MODEL_SPEC, "spec")
    values = skeleton.data["values"]
    found = sections(text)
    assert len(values) + len(skeleton.without_norms) == len(found) > 70
    titles = [e["title"] for s in found for e in s.examples if e["title"]]
    assert len(titles) == text.count("\n**Example**")
    assert sum(len(v["source"]["references"]) for v in values) > 80
    marked = skeleton_yaml(skeleton, "model_spec.md")
    parts = marked.split("FILL:")
    filled = "".join(f"{part}Written {n}:" for n, part in enumerate(parts[:-1])) + parts[-1]
    (tmp_path / "spec.yaml").write_text(filled)
    assert len(load_constitution(tmp_path / "spec.yaml").values) == len(values)
