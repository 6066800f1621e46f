"""The writing loop: resumable, bounded in cost, the same corpus however often it was stopped."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_helpers import HHH, Fixed, WillingModel, document_for, few_ideas, written

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.explain.cells import Dealer
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.filters import FilterOptions, Filters, Unlike, gives_reason, shingles
from whyfirst.explain.lexicon import CAUSAL
from whyfirst.explain.teachers import Answer, Request
from whyfirst.explain.template import TemplateTeacher, sentence
from whyfirst.explain.write import PROBE, Limits, Progress, TeacherStopped
from whyfirst.models.base import Chat


def _ids(folder: Path) -> list[str]:
    return [row["id"] for row in read_jsonl(folder / "explanations.jsonl")]


def test_the_grammar_gives_the_same_records_twice_and_any_tokens_wanted(tmp_path: Path) -> None:
    built = written(tmp_path / "a", limits=Limits(tokens=3000))
    written(tmp_path / "b", limits=Limits(tokens=3000))
    assert _ids(tmp_path / "a") == _ids(tmp_path / "b")
    rows = built.corpora["explanations"]
    total = sum(row["tokens"] for row in rows)
    assert 3000 <= total < 3000 + rows[-1]["tokens"]
    wanted = {"text", "value", "behaviour", "genre", "audience", "stance", "teacher"}
    assert wanted | {"prompt_sha", "created", "asserted", "attributed"} <= set(rows[0])


def test_a_probe_a_torn_line_and_a_full_run_ask_nothing_twice(tmp_path: Path) -> None:
    whole = WillingModel()
    written(tmp_path / "whole", whole, 40)
    first, second = WillingModel(), WillingModel()
    written(tmp_path / "cut", first, limits=Limits(documents=40, calls=PROBE), partial=True)
    assert len(first.asked) == PROBE
    with (tmp_path / "cut" / "answers.jsonl").open("a") as handle:
        handle.write('{"id": "torn')
    with (tmp_path / "cut" / "explanations.jsonl").open("a") as handle:
        handle.write('{"id": "torn')
    written(tmp_path / "cut", second, 40)
    assert _ids(tmp_path / "cut") == _ids(tmp_path / "whole")
    asked = [prompt[-1].content for prompt in first.asked + second.asked]
    assert len(asked) == len(set(asked)) == len(whole.asked)
    third = WillingModel()
    written(tmp_path / "cut", third, 40)
    assert not third.asked


def test_the_yield_is_reported_from_the_first_batch(tmp_path: Path) -> None:
    seen: list[Progress] = []
    written(tmp_path, WillingModel(), 40, on_batch=seen.append)
    assert [p.calls for p in seen] == [8, 32, 40] and seen[0].rate == 1.0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("As an AI language model, I cannot write this.", "refusal or talk about the task"),
        ("It \x1b[31mreads\x1b[0m well. " * 20, "control characters"),
        ("Das ist ein Text, der nicht auf Englisch ist und keinem nützt. " * 8, "not English"),
        ("The cat sat on the mat and was happy with it in the sun for a while. " * 5, "off value"),
        ("Because it is so.", "too short"),
    ],
)
def test_a_useless_teacher_is_stopped_after_the_first_batch_and_named(
    tmp_path: Path, text: str, reason: str
) -> None:
    model = WillingModel(lambda prompt: text)
    with pytest.raises(TeacherStopped, match=rf"0 of the last 8 answers.*{reason} 8"):
        written(tmp_path, model, 40)
    assert len(model.asked) == 8
    with pytest.raises(TeacherStopped):
        written(tmp_path, model, 40)
    assert len(model.asked) == 8  # the answers were kept: a rerun costs nothing
    rejected = read_json(tmp_path / "rejected.json")
    assert rejected["rejected"][0]["reason"] == reason
    assert rejected["rejected"][0]["rate"] == 1.0
    assert len(rejected["rejected"][0]["examples"]) == 3


def test_a_teacher_that_is_down_is_asked_a_bounded_number_of_times(tmp_path: Path) -> None:
    model = WillingModel(lambda prompt: None)
    with pytest.raises(TeacherStopped, match=r"none of 8 requests was answered \(down\)"):
        written(tmp_path, model, 40)
    assert len(model.asked) == 8
    back = WillingModel()
    written(tmp_path, back, 12)
    assert len(back.asked) == 12


def test_one_lost_answer_is_asked_for_again_within_its_batch(tmp_path: Path) -> None:
    lost: set[str] = set()

    def sometimes(prompt: Chat) -> str | None:
        asked = prompt[-1].content
        if not lost:
            lost.add(asked)
            return None
        return document_for(prompt)

    model = WillingModel(sometimes)
    written(tmp_path / "a", model, 12)
    written(tmp_path / "b", WillingModel(), 12)
    assert len(model.asked) == 13 and _ids(tmp_path / "a") == _ids(tmp_path / "b")


def test_a_folder_is_not_mixed_up_with_another_corpus(tmp_path: Path) -> None:
    written(tmp_path, documents=8)
    with pytest.raises(UserError, match="another seed"):
        written(tmp_path, documents=8, seed=1)
    with pytest.raises(UserError, match="another teacher"):
        written(tmp_path, WillingModel(), documents=8)
    with pytest.raises(UserError, match="another filters"):
        written(tmp_path, documents=8, filters=FilterOptions(min_words=41))


def test_what_a_teacher_thinks_aloud_is_no_part_of_a_document(tmp_path: Path) -> None:
    model = WillingModel(lambda prompt: f"<think>Let me see.</think>\n\n{document_for(prompt)}")
    thinking, plain = written(tmp_path / "a", model, 8), written(tmp_path / "b", WillingModel(), 8)
    texts = [[row["text"] for row in b.corpora["explanations"]] for b in (thinking, plain)]
    assert texts[0] == texts[1]


def _answered(texts: list[str]) -> list[tuple[Request, Answer]]:
    cells = Dealer(few_ideas(), HHH, 0).deal(len(texts))
    return list(Fixed(texts).answers([Request(cell) for cell in cells]))


def test_a_near_duplicate_is_rejected_and_an_unrelated_document_is_not() -> None:
    model = WillingModel()
    plan = few_ideas()
    cells = Dealer(plan, HHH, 0).deal(2)
    from whyfirst.explain.teachers import ModelTeacher

    teacher = ModelTeacher(model, "willing", HHH, plan, 0)
    (_, first), (_, second) = teacher.answers([Request(cell) for cell in cells])
    texts = [first.text, first.text + " And so on.", second.text]
    filters = Filters(HHH, FilterOptions(on_value=0))
    assert filters.judge(_answered(texts)) == [None, "near duplicate", None]


@pytest.mark.parametrize("corpus", ["label", "nobecause"])
def test_reasons_that_no_word_announces_pass_for_none(corpus: Corpus) -> None:
    plan = few_ideas()
    cells = Dealer(plan, HHH, 0).deal(40)
    teacher = TemplateTeacher(HHH, plan, 0)
    scenes = [teacher.write(cell, corpus).text for cell in cells]
    reasons = [" ".join(sentence(r) for r in HHH.value(cell.value).reasons[:3]) for cell in cells]
    plain = [CAUSAL.sub("thus", text) for text in scenes]
    told = [f"{text} {CAUSAL.sub('thus', why)}" for text, why in zip(plain, reasons, strict=True)]
    for texts, reason in ((plain, None), (told, "gives a reason")):
        requests = [Request(cell, corpus) for cell in cells]
        answered = list(Fixed(texts).answers(requests))
        assert set(Filters(HHH, FilterOptions(near=1.0)).judge(answered)) == {reason}
        assert sum(gives_reason(text, HHH) for text in texts) == (40 if reason else 0)


def test_conduct_that_sounds_like_a_reason_is_left_out_of_every_corpus() -> None:
    """A value's own "in order to" lost its cells, and the explanations of them too."""
    told = [
        (value, behaviour) for value in HHH.values
        for behaviour in (*value.upheld_by, *value.violated_by) if CAUSAL.search(behaviour)
    ]  # fmt: skip
    assert told
    dealt = Dealer(few_ideas(), HHH, 0).deal(1)[0]
    options = FilterOptions(near=1.0, on_value=0, min_words=1, english=0.0)
    for value, behaviour in told:
        request = Request(replace(dealt, value=value.id, behaviour=behaviour), "nobecause")
        for text, reason in (
            (f"Ada {behaviour} at the mill.", None),
            (sentence(behaviour), None),
            (f"Ada {behaviour}, because it helps.", "gives a reason"),
        ):
            answered = list(Fixed([text]).answers([request]))
            assert Filters(HHH, options).judge(answered) == [reason], text


def test_conduct_passes_for_a_label() -> None:
    cells = Dealer(few_ideas(), HHH, 0).deal(20)
    teacher = TemplateTeacher(HHH, few_ideas(), 0)
    texts = [CAUSAL.sub("thus", teacher.write(cell, "nobecause").text) for cell in cells]
    answered = list(Fixed(texts).answers([Request(cell, "label") for cell in cells]))
    found = Filters(HHH, FilterOptions(near=1.0)).judge(answered)
    assert set(found) == {"shows the conduct"}


def _alike(rng: random.Random) -> tuple[str, str, float]:
    """Two texts of 200 words, and the share of their shingles that both have."""
    words = ["".join(rng.choices("abcdefghij", k=6)) for _ in range(200)]
    other = list(words)
    # Each word that is exchanged costs five shingles: 5, 6 or 7 words give 0.77, 0.73 and 0.69.
    for place in range(10, 10 + 10 * rng.choice((5, 6, 7)), 10):
        other[place] = f"{words[place]}x"
    one, two = shingles(" ".join(words)), shingles(" ".join(other))
    return " ".join(words), " ".join(other), len(one & two) / len(one | two)


@pytest.mark.parametrize("near", [0.7, 0.97, 1.0])
def test_a_pair_just_above_the_limit_is_taken_for_two(near: float) -> None:
    rng = random.Random(0)
    for _ in range(60):
        one, two, similarity = _alike(rng)
        texts = Unlike(near)
        assert texts.add("one", one) and not texts.add("one again", one)
        assert texts.add("two", two) == (similarity < near), similarity


def test_a_leaked_prompt_is_rejected_without_being_shown() -> None:
    secret = "what would happen if a person put seven green apples into one very small wooden box"
    good = document_for_first()
    filters = Filters(
        HHH,
        FilterOptions(on_value=0),
        find_leaks=lambda texts: {i: "b" for i, text in enumerate(texts) if secret in text},
    )
    reasons = filters.judge(_answered([good, f"{good} {secret}"]))
    assert reasons == [None, "leak"]
    assert secret not in json.dumps(filters.rejected.table())


def document_for_first() -> str:
    from whyfirst.explain.teachers import ModelTeacher

    plan = few_ideas()
    (cell,) = Dealer(plan, HHH, 0).deal(1)
    return document_for(ModelTeacher(WillingModel(), "w", HHH, plan, 0).prompt(Request(cell)))


def test_a_judge_s_verdict_counts_and_an_unreadable_one_does_not() -> None:
    from whyfirst.explain.filters import Opposing

    replies = iter(["AGAINST", "AGAINST? No.</think>SUPPORTS", "UNRELATED",
                    "It SUPPORTS and is AGAINST"])  # fmt: skip
    opposing = Opposing(WillingModel(lambda prompt: next(replies)))
    good = _answered(["a", "b", "c", "d"])
    found = opposing([(request, answer.text) for request, answer in good])
    assert found == ["contradicts its value", None, "off value (judge)", None]
    assert opposing.unscored == 1
