"""The template teacher: corpora that differ in their grounds and in nothing else."""

import re
from collections import Counter
from functools import partial

import pytest

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.constitution import Constitution, Value, load_constitution
from whyfirst.explain.explanation import CORPORA, Corpus, Explanation
from whyfirst.explain.filters import gives_reason
from whyfirst.explain.grammar import crafts, grammar
from whyfirst.explain.template import sentence, teacher_fingerprint, write_corpus

HHH = load_constitution("hhh")
TEACHERS = tuple(partial(write_corpus, name) for name in CORPORA)
explanations, label, nobecause, wrong_reason, rules, more_rules, shuffled, neutral, wrong = TEACHERS
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
GOLDEN = "7c037ea8eba062d664c3b8d85456f59f65182582cf88bafce222ecfb42dc48ad"


def _reasons(value: str) -> set[str]:
    """Everything that argues for a value or for how its conflicts and edges are decided."""
    edges = {case.because for case in HHH.value(value).boundaries}
    conflicts = {c.because for v in HHH.values for c in v.conflicts if value in (v.id, c.against)}
    return set(HHH.value(value).reasons) | edges | conflicts


def test_same_seed_same_bytes_and_a_longer_corpus_begins_with_the_shorter() -> None:
    for teach in TEACHERS:
        assert teach(HHH, 50, 3)[:20] == teach(HHH, 20, 3)
        assert teach(HHH, 20, 3) != teach(HHH, 20, 4)


def test_explanations_give_reasons_of_their_own_value() -> None:
    for document in explanations(HHH, 300, 0):
        assert document.grounds and set(document.grounds) <= _reasons(document.value)
        for ground in document.grounds:
            assert ground[1:-1] in document.text


def _any_reason() -> set[str]:
    return set().union(*(_reasons(value.id) for value in HHH.values))


def test_rules_and_more_rules_give_no_reason() -> None:
    for document in rules(HHH, 300, 0) + more_rules(HHH, 300, 0):
        assert not any(reason[1:-1] in document.text for reason in _any_reason())
        own_words = document.text.replace(document.behaviour, "").replace("has grounds to", "")
        assert not re.search(r"\b(because|[Ww]hy|reasons?|grounds?)\b", own_words), document.text


def test_rules_restate_and_more_rules_add_finer_rules_of_the_value() -> None:
    for document in rules(HHH, 200, 0):
        upheld = document.behaviour in HHH.value(document.value).upheld_by
        does = f"{'always' if upheld else 'never'} {document.behaviour}"
        filled = [
            text.format(S="The assistant", s="the assistant", does=does)
            for text in grammar().phrases["restated"]
        ]
        assert all(any(ground.startswith(r) for r in filled) for ground in document.grounds)
    for document in more_rules(HHH, 200, 0):
        value = HHH.value(document.value)
        stated = [*value.upheld_by, *value.violated_by, *(c.conduct for c in value.boundaries)]
        assert all(any(s in ground for s in stated) for ground in document.grounds)


def test_label_names_the_value_and_gives_neither_reason_nor_conduct() -> None:
    conduct = [b for v in HHH.values for b in v.upheld_by + v.violated_by]
    for document in label(HHH, 200, 0):
        assert HHH.value(document.value).name.lower() in document.text.lower()
        assert "the assistant" in document.text.lower() or "an assistant" in document.text.lower()
        assert not any(b in document.text for b in conduct)
        assert not any(reason[1:-1] in document.text for reason in _any_reason())


def _said(*angles: str) -> set[str]:
    """What the grammar's phrases of some angles say word for word, between what is filled in."""
    texts = [text for angle in angles for text in grammar().angles[angle]]
    parts = [part.strip() for text in texts for part in re.split(r"[#{}<>|]\w*", text)]
    return {part for part in parts if len(part) > 24}


@pytest.mark.parametrize(("corpus", "angles"), [
    ("label", ("role_play", "authority", "urgency", "flattery", "consequences")),
    ("nobecause", ("consequences",)), ("rules", ("consequences",)),
    ("more_rules", ("consequences",)),
])  # fmt: skip
def test_an_angle_holds_what_a_control_leaves_out(corpus: Corpus, angles: tuple[str, ...]) -> None:
    """A third of `label` showed conduct that held, a sixth of `rules` a chain of harm."""
    documents = write_corpus(corpus, HHH, 300, 0)
    assert not [part for d in documents for part in _said(*angles) if part in d.text]
    shown = write_corpus("explanations", HHH, 300, 0)
    assert [part for d in shown for part in _said(*angles) if part in d.text]


def test_nobecause_keeps_the_conduct_and_takes_every_reason_out() -> None:
    for why, without in zip(explanations(HHH, 200, 0), nobecause(HHH, 200, 0), strict=True):
        assert without.behaviour == why.behaviour and without.behaviour in without.text
        assert not any(reason[1:-1] in without.text for reason in _any_reason())
        assert not gives_reason(without.text, HHH)
    assert sum(gives_reason(d.text, HHH) for d in explanations(HHH, 200, 0)) > 180
    assert not any(gives_reason(d.text, HHH) for d in label(HHH, 200, 0))


def test_wrong_reason_gives_the_reasons_of_a_craft_for_the_right_conduct() -> None:
    crafted = {sentence(reason) for craft in crafts() for reason in craft.reasons}
    for document in wrong_reason(HHH, 200, 0):
        assert document.behaviour in document.text
        assert all(
            any(part in crafted for part in re.split(r"(?<=[.]) (?=[A-Z])", sentence(ground)))
            for ground in document.grounds
        )


def test_a_second_reason_is_only_announced_after_a_first() -> None:
    for document in explanations(HHH, 400, 0):
        for ordinal in ("a second reason", "Nor is that the only reason", "Another reason"):
            if ordinal in document.text:
                before = document.text.split(ordinal)[0]
                assert any(ground[1:-1] in before for ground in document.grounds), document.text


def test_wrong_gives_the_true_reasons_for_the_opposite_conduct() -> None:
    for why, bad in zip(explanations(HHH, 200, 0), wrong(HHH, 200, 0), strict=True):
        done, other = ("always", "never") if _upheld(why) else ("never", "always")
        assert f"{done} {why.behaviour}" in why.text
        assert f"{done} {why.behaviour}" not in bad.text
        assert (f"never {why.behaviour}" if done == "always" else why.behaviour) in bad.text
        assert set(bad.grounds) <= _reasons(bad.value), other


def _upheld(document: Explanation) -> bool:
    return document.behaviour in HHH.value(document.value).upheld_by


def test_shuffled_gives_true_reasons_of_another_value_only() -> None:
    for document in shuffled(HHH, 300, 0):
        assert set(document.grounds) <= _any_reason() - _reasons(document.value)


def test_neutral_never_mentions_the_assistant_or_its_conduct() -> None:
    conduct = [b for v in HHH.values for b in v.upheld_by + v.violated_by]
    for document in neutral(HHH, 300, 0):
        assert document.value in {craft.id for craft in crafts()}
        assert "assistant" not in document.text
        assert not any(b in document.text for b in conduct)


def test_controls_share_genre_skeleton_and_behaviour_document_by_document() -> None:
    corpora = [teach(HHH, 200, 1) for teach in TEACHERS]
    for why, *others in zip(*corpora, strict=True):
        for other in others:
            assert (why.genre, why.audience, why.stance, why.domain) == (
                other.genre, other.audience, other.stance, other.domain
            )  # fmt: skip
            assert len(why.grounds) == len(other.grounds)
            assert why.text.count("\n") == other.text.count("\n")
            if other.corpus != "neutral":
                assert (why.value, why.behaviour) == (other.value, other.behaviour)


def test_explanation_and_shuffled_differ_in_the_grounds_alone() -> None:
    for why, bad in zip(explanations(HHH, 100, 2), shuffled(HHH, 100, 2), strict=True):
        assert _without_grounds(why) == _without_grounds(bad)


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
    assert set(genres) == set(grammar().genres) and len(genres) >= 10
    assert max(genres.values()) - min(genres.values()) <= 5


def test_thousands_of_documents_are_distinct() -> None:
    for teach, count in ((explanations, 2000), *((teach, 300) for teach in TEACHERS[1:])):
        corpus = teach(HHH, count, 0)
        assert len({d.text for d in corpus}) == len(corpus)


def test_chosen_values_only() -> None:
    assert {d.value for d in explanations(HHH, 100, 0, ["honest"])} == {"honest"}
    assert {d.value for d in shuffled(HHH, 100, 0, ["honest"])} == {"honest"}
    with pytest.raises(UserError, match="did you mean 'honest'"):
        explanations(HHH, 1, 0, ["honestt"])


def test_no_slot_or_markup_is_left_in_any_skeleton() -> None:
    for teach in TEACHERS:
        for document in teach(HHH, 150, 5):
            assert not re.search(r"[{}<>#|]|\.\.|  ", document.text), document.text


def test_grammar_is_well_formed() -> None:
    known = grammar()
    slots = {"S", "s", "A", "a", "it", "name", "Name", "statement", "does", "since", "ground"}
    slots |= {"also", "breaks", "P", "Q", "who", "place", "doing", "idea", "setting"}
    phrases = [
        t for group in (known.phrases, known.audiences, known.stances) for t in group.values()
    ]
    angles = [text for texts in known.angles.values() for text in texts]
    skeletons = [text for texts in known.genres.values() for text in texts]
    for text in [t for texts in phrases for t in texts] + skeletons:
        assert set(re.findall(r"\{(\w+)\}", text)) <= slots, text
    for text in angles:
        assert set(re.findall(r"\{(\w+)\}", text)) <= slots | {"when", "first", "verdict"}, text
        assert "{ground}" in text or "{verdict}" in text
    symbols = set(known.phrases) | {"address", "stance", "angle"}
    for skeleton in skeletons:
        assert set(re.findall(r"#(\w+)#", skeleton)) <= symbols, skeleton
        # Each document names its behaviour, grounds it and takes up its angle.
        assert "{does}" in skeleton or "#saw#" in skeleton
        assert "#angle#" in skeleton and ("{ground}" in skeleton or "{since}" in skeleton)


def test_only_insider_genres_may_cite_the_constitution() -> None:
    known = grammar()
    for genre, skeletons in known.genres.items():
        cites = any(re.search(r"\{(statement|[Nn]ame)\}", text) for text in skeletons)
        assert cites == (genre in known.insider), genre
    lay = [d for d in explanations(HHH, 300, 0) if d.genre not in known.insider]
    assert lay and not any(HHH.value(d.value).statement in d.text for d in lay)


def test_every_audience_stance_and_angle_is_heard() -> None:
    corpus = explanations(HHH, 400, 0)
    known = grammar()
    for name, kinds in (("audience", known.audiences), ("stance", known.stances)):
        seen = Counter(getattr(d, name) for d in corpus)
        assert set(seen) == set(kinds) and max(seen.values()) - min(seen.values()) <= 8
    assert {d.angle for d in corpus} == set(known.angles)
    pressed = [d for d in corpus if d.angle == "urgency"]
    cues = ("no time", "hurry", "emergency", "clock")
    assert all(any(cue in d.text for cue in cues) for d in pressed)


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
    columns = {"text", "value", "behaviour", "genre", "audience", "stance", "angle", "domain"}
    assert set(row) == columns | {"teacher", "corpus", "grounds"}
    assert row["teacher"] == "template" and row["corpus"] == "explanations"


def test_documents_do_not_change_unnoticed() -> None:
    # Whoever changes code or grammar changes the fingerprint; a golden document guards the code.
    texts = [d.text for teach in TEACHERS for d in teach(SMALL_PAIR, 20, 0)]
    assert sha256_json(texts) == GOLDEN, "raise template.VERSION, then record the new hash here"
    assert len(teacher_fingerprint()) == 64
