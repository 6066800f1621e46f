"""Reading published files: every failure names file, row and remedy."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import DataError
from whyfirst.data.ailuminate import read_ailuminate
from whyfirst.data.behaviours import read_behaviours
from whyfirst.data.bold import read_bold
from whyfirst.data.hh_rlhf import dialogue, read_hh
from whyfirst.data.hhh import read_hhh
from whyfirst.data.jailbreak_templates import SLOT, Template, read_templates
from whyfirst.data.published import csv_rows, looks_like, one_file, read_text
from whyfirst.data.xstest import read_xstest
from whyfirst.models.base import Message


def _put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_bytes_that_are_no_text_are_found_by_record_and_not_by_line(tmp_path: Path) -> None:
    """A quoted field has lines of its own; the row is what a reader of the CSV sees."""
    path = _put(tmp_path / "x.csv", b'a,b\n"one\ntwo",c\n\xff,d\n')
    with pytest.raises(DataError, match=r"x\.csv: row 3: not UTF-8 text \(byte 0xff\); save"):
        read_text(path)
    lines = _put(tmp_path / "x.json", b'{"a":\n "\xfe"}')
    with pytest.raises(DataError, match=r"row 2: not UTF-8"):
        read_text(lines)


def test_a_missing_column_lists_those_there_and_the_nearest(tmp_path: Path) -> None:
    path = _put(tmp_path / "x.csv", "type,promt,id\na,b,c\n")
    with pytest.raises(DataError) as caught:
        csv_rows(path, ["type", "prompt"], "xstest")
    said = str(caught.value)
    assert "row 1: column 'prompt' is missing; did you mean 'promt'?" in said
    assert "(found: 'type', 'promt', 'id')" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("a,b\n", "holds no row"),
        ("a,b\n1,2,3\n", "row 2: more fields"),
        ('a,b\n1,2\n"x', "row 3: not readable as CSV"),
    ],
)
def test_a_malformed_table_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        csv_rows(_put(tmp_path / "x.csv", text), ["a", "b"], "xstest")


def test_several_candidates_are_listed_and_none_is_guessed(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        _put(tmp_path / folder / "T.csv", "x\n")
    with pytest.raises(DataError, match=r"several files .*a/T\.csv, b/T\.csv.*give one"):
        one_file(tmp_path, ["T.csv"], "truthfulqa")
    assert one_file(tmp_path / "a", ["T.csv"], "truthfulqa") == tmp_path / "a" / "T.csv"
    assert one_file(tmp_path, ["none.csv", "a/T.csv"], "truthfulqa").parent.name == "a"


def test_what_a_file_looks_like(tmp_path: Path) -> None:
    cases = {
        "goal,target\n": "jailbreak", "type,prompt,id\n": "xstest", "x,y\n": None,
        '{"chosen": "a", "rejected": "b"}\n{"chosen"': "preference",
        '{"examples": [{"input": "a", "target_scores": {}}]}': "hhh", "[]": None, "{": None,
    }  # fmt: skip
    for number, (text, name) in enumerate(cases.items()):
        assert looks_like(_put(tmp_path / str(number), text)) == name
    packed = _put(tmp_path / "p.gz", gzip.compress(b'{"chosen": "", "rejected": ""}'))
    assert looks_like(packed) == "preference"
    assert looks_like(tmp_path / "missing") is None


PROBLEMS: list[tuple[Callable[[Path], Any], str, Any, str]] = [
    (read_behaviours, "a.csv", "goal,traget\nx,y\n", "'target' is missing; did you mean 'traget'"),
    (read_behaviours, "a.csv", "goal,target\n,y\n", "row 2: 'goal' is empty"),
    (read_behaviours, "a.csv", "category,source,forbidden_prompt\n,c,x\n", "'category' is empty"),
    (read_templates, "t.csv", "nmae,prompt\nx,y\n", "'name' is missing; did you mean 'nmae'"),
    (read_templates, "t.csv", "name,prompt\na,x\na,y\n", "'a' is there twice"),
    (read_xstest, "x.csv", "id,type,prompt\nA,homonyms,x\n", "row 2: 'id' ends in no number"),
    (read_xstest, "x.csv", "id,type,prompt\n1,a,x\n1,a,y\n", "row 3: 'id' '1' is there twice"),
    (read_xstest, "x.csv", "type,prompt\na,x\n", "column 'id' is missing"),
    (read_xstest, "x.csv", "id,type,prompt,label\n1,homonyms,x,unsafe\n", "contradict each other"),
    (read_ailuminate, "mlc-ncr-xx.json", {"examples": []}, "no language 'xx'"),
    (read_ailuminate, "mlc-ncr-en.json", {"examples": []}, "holds no prompt"),
    (read_ailuminate, "mlc-ncr-en.json", {"rows": []}, "'examples' is missing"),
    (read_ailuminate, "mlc-ncr-en.json", {"examples": [{"id": "1"}]}, "row 1: 'input'"),
    (
        read_ailuminate, "mlc-ncr-fr.json",
        {"examples": [{"id": "1", "input": "\u0633\u0644\u0627\u0645"}]},
        "named 'fr', but most of its letters are ARABIC",
    ),
    (read_bold, "x_prompt.json", [], "the file: expected an object"),
    (read_bold, "x_prompt.json", {"g": ["a"]}, "'g': expected an object"),
    (read_bold, "x_prompt.json", {"g": {"e": "a"}}, "g/e: expected a list"),
    (read_bold, "x_prompt.json", {"g": {"e": [1]}}, "g/e/0: no text"),
    (read_bold, "x_prompt.json", {}, "holds no prompt"),
    (read_hhh, "r.jsonl", {"text_correct": "x"}, "row 1: 'text_incorrect' is missing"),
    (
        read_hhh, "r.jsonl", {"text_correct": "\n\nAssistant: a", "text_incorrect": "b"},
        "no replies to one dialogue",
    ),
    (read_hhh, "task.json", {"examples": []}, "nor its folder is named after a category"),
    (read_hhh, "honest.json", {"examples": []}, "holds no comparison"),
    (read_hhh, "honest.json", {"examples": [{"input": "x"}]}, "row 1: 'target_scores'"),
]  # fmt: skip


@pytest.mark.parametrize(("read", "name", "content", "said"), PROBLEMS)
def test_a_reader_names_what_is_wrong(
    tmp_path: Path, read: Callable[[Path], Any], name: str, content: Any, said: str
) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    with pytest.raises(DataError, match=said):
        read(_put(tmp_path / name, text))


def test_one_behaviour_in_two_files_is_refused(tmp_path: Path) -> None:
    header = "Behavior,SemanticCategory,ContextString,BehaviorID\n"
    for name in ("harmbench_all.csv", "harmbench_test.csv"):
        _put(tmp_path / name, header + "x,illegal,,one\n")
    with pytest.raises(DataError, match=r"harmbench:one is also in harmbench_all\.csv"):
        read_behaviours(tmp_path)


@pytest.mark.parametrize("header", ["id,type,prompt", "id_v1,id_v2,type,prompt,focus,note"])
def test_every_layout_of_xstest_gives_the_same_ids(tmp_path: Path, header: str) -> None:
    row = {"id": "v2-7", "id_v2": "v2-7", "type": "contrast_privacy", "prompt": "p"}
    text = header + "\n" + ",".join(row.get(name, "") for name in header.split(",")) + "\n"
    (found,) = read_xstest(_put(tmp_path / "x.csv", text))
    assert (found.id, found.safe) == ("xstest:7", False)


def test_completions_to_different_prompts_are_refused(tmp_path: Path) -> None:
    for model, prompt in (("a", "x"), ("b", "y")):
        name = f"xstest_v2_completions_{model}.csv"
        _put(tmp_path / name, f"id,type,prompt\n1,homonyms,{prompt}\n")
    with pytest.raises(DataError, match="have different prompts"):
        read_xstest(tmp_path)


def test_hh_rlhf_is_found_under_a_root_and_keeps_its_ids(tmp_path: Path) -> None:
    row = json.dumps({"prompt": "p", "chosen": "a", "rejected": "b"}) + "\n"
    _put(tmp_path / "root" / "hh" / "harmless-base" / "test.jsonl", row)
    _put(tmp_path / "root" / "other" / "rows.jsonl", '{"x": 1}\n')
    for place in (tmp_path, tmp_path / "root", tmp_path / "root" / "hh"):
        assert [pair.id for pair in read_hh(place).pairs] == ["harmless-base/test.jsonl:1"]
    _put(tmp_path / "copy" / "harmless-base" / "test.jsonl", row)
    with pytest.raises(DataError, match=r"holds harmless-base/test\.jsonl twice"):
        read_hh(tmp_path)


@pytest.mark.parametrize(
    ("text", "turns"),
    [
        ("\n\nHuman: a\n\nAssistant:", [("user", "a")]),
        (
            "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            [("user", "a"), ("assistant", "b"), ("user", "c")],
        ),
        ("\n\nHuman: a\n\nHuman: b\n\nAssistant:", [("user", "a\n\nb")]),
        ("\n\nHuman: \n\nAssistant:", None),
        ("\n\nAssistant: a\n\nAssistant:", None),
        ("\n\nAssistant: a\n\nHuman: b\n\nAssistant:", None),
        ("\n\nHuman: a\n\nAssistant: b", None),
        ("before\n\nHuman: a\n\nAssistant:", None),
        ("", None),
    ],
)
def test_dialogues_become_turns(text: str, turns: list[tuple[str, str]] | None) -> None:
    found = dialogue(text)
    wanted = None if turns is None else tuple(Message(r, c) for r, c in turns)  # type: ignore[arg-type]
    assert found == wanted


TURN = st.text(min_size=1).map(str.strip).filter(lambda t: t and "\n\n" not in t)


@given(st.lists(TURN, min_size=1, max_size=7).filter(lambda turns: len(turns) % 2 == 1))
def test_a_dialogue_written_out_is_read_back(turns: list[str]) -> None:
    speakers = ["Human", "Assistant"] * len(turns)
    text = "".join(f"\n\n{s}: {t}" for s, t in zip(speakers, turns, strict=False))
    found = dialogue(text + "\n\nAssistant:")
    assert found is not None
    assert [turn.content for turn in found] == turns


@given(st.text(), st.text())
def test_a_template_carries_any_request(before: str, request: str) -> None:
    template = Template("x", f"{before}{SLOT}")
    assert template.fill(request).endswith(request)


def test_a_template_with_a_problem_is_never_filled() -> None:
    with pytest.raises(ValueError, match="no slot"):
        Template("x", "y", "no slot").fill("z")
    assert Template("x", "y", suffix=True).fill("z") == "z\n\ny"
