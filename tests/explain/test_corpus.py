"""Whole corpora: controls that match, gates that refuse, audits that see, files others can read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpus_helpers import HHH, WillingModel, document_for, written

from whyfirst.config.errors import DataError, PreflightError, UserError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.explain import audit as audits
from whyfirst.explain.audit import audit_html
from whyfirst.explain.build import Built
from whyfirst.explain.compare import compare, entities, gate
from whyfirst.explain.diversity import compression_ratio, distinct, self_bleu
from whyfirst.explain.explanation import CONTROLS
from whyfirst.explain.match import TOLERANCE
from whyfirst.explain.separate import separability
from whyfirst.explain.tells import tells
from whyfirst.explain.tested import PromptSet, leaks, read_tested
from whyfirst.explain.write import TeacherStopped
from whyfirst.models.base import Chat
from whyfirst.stats.classify import auroc


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Built]]:
    folder = tmp_path_factory.mktemp("whole")
    yield folder, written(folder, documents=50, controls=CONTROLS)


def test_all_controls_are_matched_on_the_same_cells(whole: tuple[Path, Built]) -> None:
    corpora = whole[1].corpora
    assert set(corpora) == {"explanations", *CONTROLS}
    main = corpora["explanations"]
    total = sum(row["tokens"] for row in main)
    for name in CONTROLS:
        rows = corpora[name]
        assert [row["cell"] for row in rows] == [row["cell"] for row in main]
        assert [row["genre"] for row in rows] == [row["genre"] for row in main]
        assert abs(sum(row["tokens"] for row in rows) - total) <= TOLERANCE * total
    assert not [row for row in whole[1].report["matching"] if row["failures"]]


def test_attribution_tells_reasons_from_rules_and_assertion_does_not(
    whole: tuple[Path, Built],
) -> None:
    measured = whole[1].report["corpora"]
    assert measured["explanations"]["attribution"] > 0.9
    for name in ("rules", "more_rules", "shuffled", "neutral"):
        assert measured[name]["attribution"] < 0.1
    assert measured["rules"]["assertion"] > 0.95 > 0.1 > measured["neutral"]["assertion"]


def test_a_matched_pair_is_only_told_apart_by_the_manipulated_words(
    whole: tuple[Path, Built],
) -> None:
    separable = whole[1].report["separability"]
    assert all(abs(separable[name]["masked"] - 0.5) < 0.15 for name in CONTROLS)
    assert separable["rules"]["unmasked"] > 0.95


def test_a_word_that_gives_a_corpus_away_is_found() -> None:
    rows = [{"cell": str(i), "text": f"the same words number {i % 7} here"} for i in range(60)]
    marked = [{**row, "text": row["text"] + " moreover"} for row in rows]
    assert separability(marked, rows, ()) == 1.0
    assert separability(marked, rows, ("moreover",)) == 0.5
    assert separability(rows, rows, ()) == 0.5


def test_auc_by_hand() -> None:
    # Pairs (positive, negative): 3>1, 3>2, 2>1 and one tie of 2 with 2: 3.5 of 4.
    assert auroc(np.array([3.0, 2.0, 1.0, 2.0]), np.array([True, True, False, False])) == 3.5 / 4


def test_diversity_by_hand() -> None:
    assert distinct(["a b a b"], 1) == 0.5 and distinct(["a b a b"], 2) == 2 / 3
    assert self_bleu(["one two three four five"] * 5) == pytest.approx(1.0)
    assert self_bleu(["one two three four", "five six seven eight"]) < 0.1
    assert compression_ratio(["abc"] * 500) > 20 > compression_ratio(["abc"])


def test_coverage_counts_every_document_and_shows_what_is_empty(
    whole: tuple[Path, Built],
) -> None:
    table = whole[1].report["coverage"]
    counted = sum(n for row in table["behaviours"] for n in row["genres"])
    assert counted == len(whole[1].corpora["explanations"])
    assert table["cells"] == len(table["behaviours"]) * len(table["genres"])
    assert table["empty"] > 0 and max(n for r in table["behaviours"] for n in r["genres"]) == 1


def test_the_audit_is_json_and_a_page_that_hostile_text_can_not_run_in(
    whole: tuple[Path, Built],
) -> None:
    folder, built = whole
    assert read_json(folder / "audit.json") == json.loads(json.dumps(built.report))
    hostile = dict(built.report, constitution="</title><script>alert(1)</script>\x1b[2J")
    page = audit_html(hostile)
    assert "<script" not in page and "\x1b" not in page and "\\x1b" in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy and "default-src" in policy.group(1) and "style=" not in page
    assert "filled in from a grammar" in page


def test_the_page_shows_the_same_cell_in_every_corpus(whole: tuple[Path, Built]) -> None:
    corpora, shown = whole[1].corpora, whole[1].report["side_by_side"]
    assert len(shown) == audits.SHOWN == len({one["genre"] for one in shown})
    for one in shown:
        assert list(one["texts"]) == list(corpora)
        for name, rows in corpora.items():
            (row,) = [row for row in rows if row["cell"] == one["cell"]]
            assert one["texts"][name] == row["text"]
    page = audit_html(dict(whole[1].report, side_by_side=[dict(shown[0], texts={"x": "a <b> c"})]))
    assert "<h4>x</h4><pre>a &lt;b&gt; c</pre>" in page
    torn = {"explanations": corpora["explanations"], "rules": corpora["rules"][:1]}
    assert [s["cell"] for s in audits.side_by_side(torn)] == [corpora["rules"][0]["cell"]]


def test_datasets_reads_what_was_written(
    whole: tuple[Path, Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import load_dataset

    folder, built = whole
    rows = built.corpora["explanations"]
    for kind, name in (("parquet", "explanations.parquet"), ("json", "explanations.jsonl")):
        loaded = load_dataset(
            kind, data_files=str(folder / name), split="train", cache_dir=str(tmp_path)
        )
        assert loaded.num_rows == len(rows) and loaded[0]["text"] == rows[0]["text"]
        assert set(loaded.column_names) == set(rows[0])
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nconfigs:") and "filled in, not written" in card


def test_documents_that_repeat_a_benchmark_are_listed_and_refused(
    whole: tuple[Path, Built],
) -> None:
    folder, built = whole
    row = built.corpora["explanations"][3]
    prompt = " ".join(row["text"].split()[:40])
    report = audits.audit(folder, [PromptSet("quiz", ("something else entirely", prompt))])
    pairs = [p for p in report["overlap"]["pairs"] if p["document"] == row["id"]]
    assert pairs and {p["prompt"] for p in pairs} == {2}
    with pytest.raises(PreflightError, match="quiz prompt 2") as caught:
        audits.refuse(report)
    assert prompt not in str(caught.value)
    audits.refuse(report, most_overlaps=len(built.corpora) * 50)


def test_each_difference_between_two_corpora_is_refused_with_the_table(
    whole: tuple[Path, Built],
) -> None:
    main = whole[1].corpora["explanations"]
    assert not compare("same", main, main).failures
    longer = [{**row, "tokens": row["tokens"] + 2} for row in main]
    elsewhere = [{**row, "domain": "moon"} for row in main]
    renamed = [
        {**row, "text": re.sub(r"\b(?!I\b)[A-Z][a-z]+", "Zebedee", row["text"])} for row in main
    ]
    uneven = [{**row, "tokens": 2 * row["tokens"] if i % 2 else 0} for i, row in enumerate(main)]
    fewer = f"{len(main) - 1} documents against {len(main)}"
    for rows, word in ((longer, "tokens differ"), (main[1:], fewer),
                       (elsewhere, "a domain differs"), (renamed, "entities differ"),
                       (uneven, "lengths differ")):  # fmt: skip
        comparison = compare("other", rows, main)
        assert any(word in failure for failure in comparison.failures), word
        with pytest.raises(PreflightError, match=r"(?s)not matched.*other: \d+ documents"):
            gate([comparison.row()])


def test_entities_are_counted_and_not_only_noted() -> None:
    many, one = entities(["Mara met Otto. Otto left, said Otto."], ["mara met otto, Otto left"])
    assert not many and one == {}  # both are seen in lower case: ordinary words
    assert entities(["Then Mara met Otto. Otto then left."])[0] == {"Mara": 1, "Otto": 2}


def test_marks_of_a_generator_are_found() -> None:
    statement = HHH.value("honest").statement
    texts = [
        f"In a world of change, it is 2031 and Elara smiled. {statement}",
        "In a world of hope, our brilliant friend Elara spoke.",
        "A) yes\nB) no\nAnswer: B",
        "Something else happened on a wet road.",
    ]
    found = {tell.name: tell for tell in tells(texts, HHH, today=2030)}
    assert found["recurring names"].cases[0] == ("Elara", 2)
    assert found["dates around today"].share == 0.25 == found["recitation"].share
    assert found["formulaic openings"].cases[0] == ("in a world", 2)
    assert found["uniform praise"].share == 0.25 == found["answer format"].share


def test_a_stale_control_does_not_survive_another_run(tmp_path: Path) -> None:
    written(tmp_path, documents=16, controls=("wrong",))
    built = written(tmp_path, documents=8)
    assert set(built.corpora) == {"explanations"} and not (tmp_path / "wrong.jsonl").exists()


def test_a_model_s_controls_are_asked_for_in_length_and_matched(tmp_path: Path) -> None:
    model = WillingModel()
    built = written(tmp_path, model, 16, controls=("rules",))
    assert len(built.corpora["rules"]) == len(built.corpora["explanations"]) >= 13
    by_kind = [p[-1].content for p in model.asked]
    assert sum("because it is the rule" in text for text in by_kind) == 16
    again = WillingModel()
    written(tmp_path, again, 16, controls=("rules",))
    assert not again.asked


def test_a_teacher_whose_controls_run_short_is_refused(tmp_path: Path) -> None:
    def short(prompt: Chat) -> str:
        text = document_for(prompt)
        rules = "because it is the rule" in prompt[-1].content
        return " ".join(text.split()[:150]) + "." if rules else text

    with pytest.raises(UserError, match=r"can't be matched in tokens: .* of 24 documents"):
        written(tmp_path, WillingModel(short), 24, controls=("rules",))


def test_a_teacher_that_refuses_a_control_is_stopped_before_all_cells_are_paid_for(
    tmp_path: Path,
) -> None:
    def refusing(prompt: Chat) -> str:
        rules = "because it is the rule" in prompt[-1].content
        return "I'm sorry, I can't help with that." if rules else document_for(prompt)

    model = WillingModel(refusing)
    with pytest.raises(TeacherStopped, match="refusal or talk about the task"):
        written(tmp_path, model, 90, controls=("rules", "shuffled"))
    asked = sum("because it is the rule" in prompt[-1].content for prompt in model.asked)
    assert asked == 2 * 64  # a batch, twice, and neither the rest nor the next control
    seen = read_json(tmp_path / "rejected.json")
    assert seen["kept"] == 90 and seen["controls"]["rules"]["seen"] == asked
    assert len(seen["controls"]["rules"]["rejected"][0]["examples"]) == 3


def test_lengths_of_few_documents_may_differ_by_chance_and_of_many_may_not() -> None:
    def rows(lengths: list[int]) -> list[dict[str, object]]:
        same = {"genre": "essay", "domain": "home", "text": "nothing here"}
        return [{"tokens": n, **same} for n in lengths]

    # A quarter of the documents is longer than any of the others: a distance of 0.25.
    few, many = [10, 11, 12, 13], [10, 11, 12, 13] * 50
    for lengths, failures in ((few, 0), (many, 1)):
        other = [14 if n == 10 else n for n in lengths]
        found = compare("rules", rows(other), rows(lengths))
        assert found.lengths == 0.25
        assert sum("lengths" in failure for failure in found.failures) == failures


def test_a_benchmark_s_file_is_read_by_its_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,Goal\n1,do this\n2,\n3,do that\n")
    assert read_tested(f"{tmp_path}/a.csv").prompts == ("do this", "do that")
    (tmp_path / "b.jsonl").write_text('{"x": "one"}\n{"x": "two"}\n')
    assert read_tested(f"{tmp_path}/b.jsonl:x").prompts == ("one", "two")
    with pytest.raises(DataError, match="no column of prompts is known"):
        read_tested(f"{tmp_path}/b.jsonl")
    with pytest.raises(DataError, match="no column 'goul'"):
        read_tested(f"{tmp_path}/a.csv:goul")
    with pytest.raises(DataError, match="can't be read"):
        read_tested(f"{tmp_path}/none.csv")


def test_prompts_of_messages_in_other_letters_are_never_found(tmp_path: Path) -> None:
    """`ö` was compared as `u00f6`; and a row without the first row's column was passed over."""
    said = "Wie öffne ich die Tür, ohne dass jemand es hört, und wer würde mir dabei helfen?"
    file = tmp_path / "chats.jsonl"
    chat = {"prompt": [{"role": "user", "content": said}]}
    file.write_text(json.dumps(chat) + "\n" + json.dumps({"prompt": None}) + "\n")
    tested = read_tested(str(file))
    assert tested.prompts == (said,)
    assert leaks([f"Am Abend hieß es: {said}"], [tested]) == {0: "chats"}
    file.write_text(json.dumps(chat) + "\n" + json.dumps({"question": said}) + "\n")
    with pytest.raises(DataError, match="row 2: no column 'prompt', which others have"):
        read_tested(str(file))


def test_a_folder_without_a_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no explanations\.jsonl"):
        audits.audit(tmp_path, [])


def test_rows_of_a_growing_corpus_can_be_read(whole: tuple[Path, Built]) -> None:
    rows = read_jsonl(whole[0] / "explanations.jsonl")
    kept = len(whole[1].corpora["explanations"])
    assert len({row["id"] for row in rows}) == len(rows) == kept >= 45  # of 50, all matched


def test_one_scene_in_hundreds_refuses_a_control_without_reasons() -> None:
    report: dict[str, Any] = {"overlap": {"pairs": []}, "matching": []}
    audits.refuse(report | {"corpora": {"label": {"reason_rate": 1 / 400}}})
    with pytest.raises(PreflightError, match=r"label: 2\.0% of its documents give a reason"):
        audits.refuse(report | {"corpora": {"label": {"reason_rate": 0.02}}})
