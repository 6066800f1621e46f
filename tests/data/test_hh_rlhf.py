"""Preference pairs: no byte changed, no row lost, every unusable row named."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.data.hh_rlhf import Pair, read_hh, split_by_prompt_hash, split_hh
from whyfirst.study.sources import CORPORA

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
START = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three\n\nAssistant:"
ROWS = [
    {"chosen": START + " yes", "rejected": START + " no"},
    {"chosen": START + " yes", "rejected": "\n\nHuman: other\n\nAssistant: no"},
    {"chosen": START + " yes", "rejected": START + "  \n"},
    {"chosen": "no reply here", "rejected": START + " no"},
    {"chosen": START + " a", "rejected": START + " b\n\nHuman: more?\n\nAssistant: c"},
    {"prompt": "Q:", "chosen": " good", "rejected": " bad"},
]


def _write(path: Path, rows: list[dict[str, str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def test_every_row_is_a_pair_or_is_skipped_with_its_number_and_reason(tmp_path: Path) -> None:
    found = read_hh(_write(tmp_path / "rows.jsonl", ROWS))
    assert [pair.row for pair in found.pairs] == [1, 6]
    assert found.pairs[0] == Pair(1, START, " yes", " no", "rows.jsonl")
    assert found.pairs[1].prompt == "Q:"
    assert {row.row: row.reason for row in found.skipped} == {
        2: "the dialogues differ before the last reply",
        3: "the rejected reply is empty",
        4: "the chosen dialogue has no reply of the assistant",
        5: "the dialogues differ before the last reply",
    }


def test_compressed_files_and_folders_read_alike(tmp_path: Path) -> None:
    _write(tmp_path / "set" / "a" / "test.jsonl.gz", ROWS[:1])
    _write(tmp_path / "set" / "b" / "test.jsonl", ROWS[:1])
    found = read_hh(tmp_path / "set")
    assert [pair.id for pair in found.pairs] == ["a/test.jsonl.gz:1", "b/test.jsonl:1"]
    assert (found.pairs[0].prompt, found.pairs[0].chosen) == (START, " yes")


@pytest.mark.parametrize(
    "line", ["{torn", '{"chosen": "a"}', '{"chosen": 1, "rejected": "b"}', "[]", '"x"', "\xff"]
)
def test_an_unreadable_row_stops_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json.dumps(ROWS[0]).encode() + b"\n\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(DataError, match=r"rows\.jsonl: row 3: "):
        read_hh(path)


def test_missing_empty_and_torn_inputs_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_hh(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match=r"holds no \.jsonl"):
        read_hh(tmp_path)
    torn = _write(tmp_path / "torn.jsonl.gz", ROWS)
    torn.write_bytes(torn.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"torn\.jsonl\.gz: can't be read"):
        read_hh(torn)


TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(str.strip)


@settings(max_examples=100, deadline=None)
@given(prompt=TEXT, chosen=TEXT, rejected=TEXT)
def test_prompt_and_reply_join_to_the_published_dialogue(
    prompt: str, chosen: str, rejected: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    start = f"\n\nHuman: {prompt}\n\nAssistant:"
    path = tmp_path_factory.mktemp("hh") / "one.jsonl"
    found = read_hh(_write(path, [{"chosen": start + chosen, "rejected": start + rejected}]))
    if "\n\nAssistant:" in chosen + rejected:
        return
    (pair,) = found.pairs
    assert (pair.prompt + pair.chosen, pair.prompt + pair.rejected) == (
        start + chosen,
        start + rejected,
    )


def _pairs(prompts: list[str]) -> list[Pair]:
    return [Pair(number, prompt, "a", "b") for number, prompt in enumerate(prompts, start=1)]


@settings(max_examples=100, deadline=None)
@given(prompts=st.lists(st.text(max_size=4)), share=st.floats(0, 1))
def test_no_prompt_is_on_both_sides_and_order_does_not_matter(
    prompts: list[str], share: float
) -> None:
    pairs = _pairs(prompts)
    train, held = split_by_prompt_hash(pairs, share)
    assert sorted([*train, *held], key=lambda p: p.row) == pairs
    assert not {p.prompt for p in train} & {p.prompt for p in held}
    turned, _ = split_by_prompt_hash(pairs[::-1], share)
    assert turned[::-1] == train
    more, _ = split_by_prompt_hash(pairs, share / 2)
    assert {p.row for p in train} <= {p.row for p in more}, "a smaller share moves nothing else"


def test_the_share_is_about_what_was_asked_and_its_ends_are_exact() -> None:
    pairs = _pairs([f"prompt {i}" for i in range(4000)])
    assert abs(len(split_by_prompt_hash(pairs, 0.3)[1]) - 1200) < 4 * (4000 * 0.3 * 0.7) ** 0.5
    assert split_by_prompt_hash(pairs, 0)[1] == []
    assert split_by_prompt_hash(pairs, 1)[0] == []
    with pytest.raises(ValueError, match="held_out"):
        split_by_prompt_hash(pairs, 1.5)


def test_the_split_keeps_unusable_rows_and_leaves_out_only_long_pairs(tmp_path: Path) -> None:
    path = _write(tmp_path / "rows.jsonl", ROWS)
    train, held = split_hh(path, 0.5)
    everything = read_hh(path)
    assert len(train.pairs) + len(held.pairs) == len(everything.pairs)
    assert len(train.skipped) + len(held.skipped) == len(everything.skipped)
    short = split_hh(path, 0.0, max_characters=10)[0].pairs
    assert [pair.prompt for pair in short] == ["Q:"]


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "hh-rlhf").is_dir(), reason=f"no HH-RLHF data under {DATA}")
def test_the_published_test_file_reads_whole() -> None:
    found = read_hh(DATA / "hh-rlhf")
    assert len(found.pairs) + len(found.skipped) == 2312
    reasons = sorted(row.reason for row in found.skipped)
    assert reasons.count("the dialogues differ before the last reply") == 5
    assert len(reasons) == 9  # the other four have an empty reply
    assert all(p.prompt.endswith("\n\nAssistant:") for p in found.pairs)
    train, held = split_by_prompt_hash(found.pairs, 0.5)
    assert not {p.prompt for p in train} & {p.prompt for p in held}


def test_rows_that_are_no_pair_are_left_out_untold(tmp_path: Path) -> None:
    good = {"prompt": "\n\nHuman: a\n\nAssistant:", "chosen": " b", "rejected": " c"}
    rows = [good, good | {"chosen": " "}, good | {"rejected": ""}]
    path = tmp_path / "hh.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told: dict[str, Any] = {}
    use = Use.model_validate(
        {"name": "hh_rlhf", "path": path, "documents": "pairs", "held_out": 1e-9}
    )
    assert len(list(CORPORA.make(use, note=told.__setitem__))) == 1
    assert told["left_out"] == {
        "0 hh_rlhf": {"the chosen reply is empty": 1, "the rejected reply is empty": 1}
    }


def test_the_first_folder_is_all_there_is_of_a_size(tmp_path: Path) -> None:
    """Each folder of HH-RLHF is another kind of request; long pairs went untold."""
    for folder in ("harmless-base", "helpful-base"):
        rows = [
            {"prompt": f"\n\nHuman: {folder} {n}\n\nAssistant:", "chosen": " b", "rejected": " c"}
            for n in range(40)
        ]
        _write(tmp_path / folder / "train.jsonl", [*rows, rows[0] | {"chosen": " long" * 20}])
    options = {"path": tmp_path, "documents": "pairs", "held_out": 1e-9, "max_characters": 60}
    told: dict[str, Any] = {}

    def made(size: int) -> list[str]:
        use = Use.model_validate({"name": "hh_rlhf", **options, "size": size})
        return [row["prompt"] for row in CORPORA.make(use, note=told.__setitem__)]

    few, more = made(20), made(30)
    kinds = ["harmless" in prompt for prompt in few]
    assert 4 <= sum(kinds) <= 16 and kinds == sorted(kinds, reverse=True)
    assert set(few) < set(more) and len(few) == 20
    assert told["left_out"] == {"0 hh_rlhf": {"longer than `max_characters`": 2}}
