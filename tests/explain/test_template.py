"""The template teacher: corpora that differ in their grounds and in nothing else."""

import random
import re
from collections import Counter

import pytest

from whyfirst.constitution import Constitution, Value, load_constitution
from whyfirst.errors import UserError
from whyfirst.explain.explanation import Explanation
from whyfirst.explain.template import (
    _skeleton,
    crafts,
    explanations,
    grammar,
    neutral,
    rules,
    shuffled,
    teacher_fingerprint,
)
from whyfirst.files import sha256_json

HHH = load_constitution("hhh")
TEACHERS = (explanations, rules, shuffled, neutral)
SMALL = Constitution(
    name="small",
    values=[
        Value(
            id="calm",
            name="Calm",
            statement="The assistant stays calm",
            reasons=["AI safety needs calm."],
            upheld_by=["waits"],
            violated_by=[],
        )
    ],
)
SMALL_PAIR = Constitution(
    name="pair",
    values=[
        *SMALL.values,
        Value(
            id="care",
            name="Care",
            statement="The assistant takes care.",
            reasons=["Haste breaks things.", "Things are hard to mend."],
            upheld_by=["looks twice", "asks first"],
            violated_by=["runs"],
        ),
    ],
)
GOLDEN = "ae6796608f3c46453f6bdf2d92d1578e9f4ca34d7342645f1e7ddddb0845ac9e"


def _reasons(value: str) -> set[str]:
    return set(HHH.value(value).reasons)


def test_same_seed_same_bytes_and_a_longer_corpus_begins_with_the_shorter() -> None:
    for teach in TEACHERS:
        assert teach(HHH, 50, 3)[:20] == teach(HHH, 20, 3)
        assert teach(HHH, 20, 3) != teach(HHH, 20, 4)


def test_explanations_give_reasons_of_their_own_value() -> None:
    for document in explanations(HHH, 300, 0):
        assert document.grounds and set(document.grounds) <= _reasons(document.value)
        for ground in document.grounds:
            assert ground[1:-1] in document.text


def test_rules_give_behaviours_and_no_reason() -> None:
    every_reason = {reason[1:-1] for value in HHH.values for reason in value.reasons}
    for document in rules(HHH, 300, 0):
        value = HHH.value(document.value)
        stated = {f"The assistant always {b}." for b in value.upheld_by}
        stated |= {f"The assistant never {b}." for b in value.violated_by}
        assert document.grounds and set(document.grounds) <= stated
        assert not any(reason in document.text for reason in every_reason)
        assert not re.search(
            r"\b(because|[Ww]hy|reasons?|grounds?)\b",
            document.text.replace(document.behaviour, "").replace("has grounds to", ""),
        ), document.text


def test_shuffled_gives_true_reasons_of_another_value_only() -> None:
    everything = set().union(*(_reasons(v.id) for v in HHH.values))
    for document in shuffled(HHH, 300, 0):
        assert set(document.grounds) <= everything - _reasons(document.value)


def test_neutral_never_mentions_the_assistant_or_its_conduct() -> None:
    conduct = [b for v in HHH.values for b in v.upheld_by + v.violated_by]
    for document in neutral(HHH, 300, 0):
        assert document.value in {craft.id for craft in crafts()}
        assert "assistant" not in document.text
        assert not any(b in document.text for b in conduct)


def test_controls_share_genre_skeleton_and_behaviour_document_by_document() -> None:
    corpora = [teach(HHH, 200, 1) for teach in TEACHERS]
    for why, rule, wrong, other in zip(*corpora, strict=True):
        assert why.genre == rule.genre == wrong.genre == other.genre
        assert (why.value, why.behaviour) == (rule.value, rule.behaviour)
        assert (why.value, why.behaviour) == (wrong.value, wrong.behaviour)
        assert len(why.grounds) == len(rule.grounds) == len(wrong.grounds) == len(other.grounds)
        assert why.text.count("\n") == rule.text.count("\n") == other.text.count("\n")


def test_explanation_and_shuffled_differ_in_the_grounds_alone() -> None:
    for why, wrong in zip(explanations(HHH, 100, 2), shuffled(HHH, 100, 2), strict=True):
        assert _without_grounds(why) == _without_grounds(wrong)


def _without_grounds(document: Explanation) -> str:
    text = document.text
    for ground in document.grounds:
        text = re.sub(re.escape(ground[0]) + re.escape(ground[1:-1]), "#", text, flags=re.I)
    return text


def test_behaviours_and_genres_are_covered_evenly() -> None:
    behaviours = [b for v in HHH.values for b in v.upheld_by + v.violated_by]
    corpus = explanations(HHH, 5 * len(behaviours), 0)
    assert set(Counter(d.behaviour for d in corpus).values()) == {5}
    genres = Counter(d.genre for d in corpus)
    assert set(genres) == set(grammar().genres) and len(genres) >= 6
    assert max(genres.values()) - min(genres.values()) <= 1


def test_thousands_of_documents_are_distinct() -> None:
    for teach in TEACHERS:
        corpus = teach(HHH, 3000, 0)
        assert len({d.text for d in corpus}) >= 0.998 * len(corpus)


def test_chosen_values_only() -> None:
    assert {d.value for d in explanations(HHH, 100, 0, ["honest"])} == {"honest"}
    assert {d.value for d in shuffled(HHH, 100, 0, ["honest"])} == {"honest"}
    with pytest.raises(UserError, match="did you mean 'honest'"):
        explanations(HHH, 1, 0, ["honestt"])


def test_no_slot_or_markup_is_left_in_any_skeleton() -> None:
    for teach in TEACHERS:
        for document in teach(HHH, 400, 5):
            assert not re.search(r"[{}<>#|]|\.\.|  ", document.text), document.text


def test_grammar_is_well_formed() -> None:
    slots = {"S", "s", "A", "a", "it", "name", "Name", "statement", "does", "since", "ground"}
    slots |= {"also", "breaks", "P", "Q"}
    for genre, skeletons in grammar().genres.items():
        for seed in range(40):
            text = _skeleton(genre, "rules", random.Random(seed))
            assert set(re.findall(r"\{(\w+)\}", text)) <= slots
        for skeleton in skeletons:
            # Each document names its behaviour, says what opposes or goes with it, and grounds it.
            assert "{does}" in skeleton
            assert "{ground}" in skeleton


def test_a_constitution_of_one_bare_value_still_reads() -> None:
    document = explanations(SMALL, 1, 0)[0]
    assert "always waits" in document.text
    assert "The assistant stays calm." in document.text
    for text in (d.text for d in explanations(SMALL, 60, 0)):
        assert "because aI" not in text
    assert len(rules(SMALL, 20, 0)) == 20
    with pytest.raises(UserError, match="shuffled_first"):
        shuffled(SMALL, 1, 0)


def test_row_is_what_a_corpus_file_holds() -> None:
    row = explanations(HHH, 1, 0)[0].row()
    assert set(row) == {"text", "value", "behaviour", "genre", "teacher", "corpus", "grounds"}
    assert row["teacher"] == "template" and row["corpus"] == "explanations"


def test_documents_do_not_change_unnoticed() -> None:
    # Whoever changes code or grammar changes the fingerprint; a golden document guards the code.
    texts = [d.text for teach in TEACHERS for d in teach(SMALL_PAIR, 20, 0)]
    assert sha256_json(texts) == GOLDEN, "raise template.VERSION, then record the new hash here"
    assert len(teacher_fingerprint()) == 64
