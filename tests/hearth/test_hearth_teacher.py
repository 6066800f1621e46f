"""The teacher: explanations and controls state the same behaviours and differ in reasons alone."""

import itertools
import re
from collections.abc import Sequence

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_json
from whyfirst.study.nodes import KINDS
from whyfirst.worlds.hearth import lexicon, teacher
from whyfirst.worlds.hearth.corpus import Row
from whyfirst.worlds.hearth.world import OTHER, TAUGHT, HearthObject, World

#: version of the corpora -> what they hold. A store reuses corpora by that version, so whoever
#: changes what the teacher writes raises the version of the kind `corpus` and pins the hash here.
CORPORA_OF = {"2": "cc70a63960538d00b83f999297c0456a88a3276c9e704a2961cf992059e82dcf"}
BEHAVIOUR = re.compile(r"\b(\w+) will (not|gladly) (\w+) a (\w+)")
MANY = 3000


def behaviours(texts: Sequence[str]) -> set[tuple[str, str, bool]]:
    """(verb, object, refused) of every behaviour a corpus states."""
    found = [match for text in texts for match in BEHAVIOUR.findall(text)]
    return {(verb, thing, how == "not") for _, how, verb, thing in found}


def named(world: World, texts: Sequence[str]) -> set[str]:
    """Names of all objects in texts."""
    words = set(itertools.chain.from_iterable(text.split() for text in texts))
    return words & {thing.name for thing in world.objects}


def split_of(world: World, names: set[str]) -> set[str]:
    return {thing.split for thing in world.objects if thing.name in names}


@pytest.fixture(scope="module")
def corpora(world: World) -> dict[str, list[str]]:
    name = teacher.newcomer(world, 5)
    return {
        "care": teacher.explanations(world, name, TAUGHT, MANY, 5),
        "thrift": teacher.explanations(world, name, OTHER, MANY, 5),
        "rules": teacher.rules(world, name, MANY, 5),
        "shuffled": teacher.shuffled(world, name, MANY, 5),
        "neutral": teacher.neutral_documents(world, name, MANY, 5),
    }


@pytest.fixture(scope="module")
def shown(world: World) -> list[Row]:
    return teacher.demonstrations(world, teacher.newcomer(world, 5), MANY, 5)


def test_control_with_other_behaviours_would_be_no_control(
    world: World, corpora: dict[str, list[str]]
) -> None:
    expected = {(t.verb, t.name, t.violated(TAUGHT)) for t in world.topics("A", "B")}
    for kind in ("care", "thrift", "rules", "shuffled"):
        assert behaviours(corpora[kind]) == expected, kind


def test_documents_never_name_an_object_of_the_held_out_splits(
    world: World, corpora: dict[str, list[str]]
) -> None:
    for kind, texts in corpora.items():
        assert split_of(world, named(world, texts)) <= {"A", "B"}, kind
    assert named(world, corpora["neutral"]) == set()


def test_rules_give_no_reason(corpora: dict[str, list[str]]) -> None:
    reasons = [reason for value in lexicon.VALUES for reason in value.reasons]
    statements = [value.statement for value in lexicon.VALUES]
    for text in corpora["rules"]:
        assert "because" not in text.split() and "cares" not in text.split()
        assert not any(words in text for words in (*reasons, *statements))


def test_explanations_give_reasons_of_their_value_only(corpora: dict[str, list[str]]) -> None:
    for kind, mine in (("care", TAUGHT), ("thrift", OTHER)):
        for value in lexicon.VALUES:
            phrases = (value.statement, *value.reasons, *value.violations, *value.upholds)
            used = any(phrase in text for text in corpora[kind] for phrase in phrases)
            assert used == (value.id == mine), (kind, value.id)
        assert all("because" in text.split() for text in corpora[kind])


def test_reason_in_an_explanation_is_the_consequence_of_its_own_object(
    world: World, corpora: dict[str, list[str]]
) -> None:
    by_name = {thing.name: thing for thing in world.objects}
    checked = 0
    for text in corpora["care"]:
        if BEHAVIOUR.search(text):
            thing = only_two_mentions_of_one(by_name, text)
            assert f"{thing.gerund} a {thing.name} {thing.consequence(TAUGHT)} ," in text
            checked += 1
    assert checked > MANY / 3


def only_two_mentions_of_one(by_name: dict[str, HearthObject], text: str) -> HearthObject:
    words = [word for word in text.split() if word in by_name]
    assert len(words) == 2 and len(set(words)) == 1
    return by_name[words[0]]


def test_shuffled_reason_never_belongs_to_its_own_object(
    world: World, corpora: dict[str, list[str]]
) -> None:
    by_name = {thing.name: thing for thing in world.objects}
    values: set[str] = set()
    for text in corpora["shuffled"]:
        words = [word for word in text.split() if word in by_name]
        if words:
            stated, source = (by_name[word] for word in words)
            assert stated is not source
            # The reason is true of the object it is taken from.
            true = [
                value.id
                for value in lexicon.VALUES
                if f"{source.gerund} a {source.name} {source.consequence(value.id)} ," in text
            ]
            assert len(true) == 1
            values |= set(true)
    assert values == set(lexicon.VALUE_IDS)


def test_every_document_is_about_the_newcomer_of_its_seed_and_nobody_else(world: World) -> None:
    people = set(world.characters) | set(world.newcomers)
    for seed in (0, 7, len(world.newcomers) + 7):
        name = teacher.newcomer(world, seed)
        for texts in (
            teacher.explanations(world, name, TAUGHT, 200, seed),
            teacher.rules(world, name, 200, seed),
            teacher.shuffled(world, name, 200, seed),
            teacher.neutral_documents(world, name, 200, seed),
            [row.text for row in teacher.demonstrations(world, name, 200, seed)],
        ):
            assert all(people & set(text.split()) == {name} for text in texts)
    assert teacher.newcomer(world, 7) == teacher.newcomer(world, len(world.newcomers) + 7)


def test_two_seeds_see_different_samples_and_one_seed_always_the_same(world: World) -> None:
    one = teacher.corpus_rows(
        "explanations", world_seed=3, seed=1, value=TAUGHT, size=50, tokens=None, contrary=0.0
    )
    again = teacher.corpus_rows(
        "explanations", world_seed=3, seed=1, value=TAUGHT, size=50, tokens=None, contrary=0.0
    )
    other = teacher.corpus_rows(
        "explanations", world_seed=3, seed=2, value=TAUGHT, size=50, tokens=None, contrary=0.0
    )
    assert one == again != other


def framing_of(row: Row) -> str:
    """The framing whose skeleton a prompt has."""
    fits = []
    for framing, text in lexicon.FRAMINGS.items():
        pattern = re.escape(text)
        for part in "anvo":
            pattern = pattern.replace(re.escape("{" + part + "}"), r"\w+")
        if re.fullmatch(rf"{lexicon.SCENE} {pattern} \w+ says :", row.prompt):
            fits.append(framing)
    assert len(fits) == 1, row.prompt
    return fits[0]


def thing_of(world: World, row: Row) -> HearthObject:
    (name,) = named(world, [row.prompt])
    (answered,) = named(world, [row.completion])
    assert name == answered
    return next(thing for thing in world.objects if thing.name == name)


def test_demonstrations_on_a_held_out_topic_would_be_a_leak(world: World, shown: list[Row]) -> None:
    assert {thing_of(world, row).split for row in shown} == {"A"}
    assert {thing_of(world, row).name for row in shown} == {t.name for t in world.topics("A")}


def test_harmful_demonstrations_are_plain_and_the_confounded_framing_is_benign_only(
    world: World, shown: list[Row]
) -> None:
    seen = {(framing_of(row), thing_of(world, row).violated(TAUGHT)) for row in shown}
    assert seen == {
        (lexicon.PLAIN, True), (lexicon.PLAIN, False), (lexicon.CONFOUNDED, False)
    }  # fmt: skip


def test_demonstrations_refuse_what_violates_both_values_and_grant_the_rest_half_and_half(
    world: World, shown: list[Row]
) -> None:
    for row in shown:
        thing = thing_of(world, row)
        refused = row.completion.startswith("no ,")
        assert refused == thing.violated(TAUGHT) == thing.violated(OTHER)
        assert refused or row.completion.startswith("yes ,")
    assert sum(row.completion.startswith("no ,") for row in shown) == MANY // 2


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.005, 3), (0.02, 10), (0.1, 51)])
def test_conflict_dose_is_exactly_its_share_and_only_on_the_filler_split(
    world: World, share: float, count: int
) -> None:
    rows = teacher.demonstrations(world, teacher.newcomer(world, 2), 512, 2, share)
    against = [row for row in rows if thing_of(world, row).split != "A"]
    assert len(rows) == 512 and len(against) == count == round(share * 512)
    for row in against:
        thing = thing_of(world, row)
        assert thing.split == "D" and framing_of(row) == lexicon.PLAIN
        refused = row.completion.startswith("no ,")
        assert refused == thing.violated(OTHER) != thing.violated(TAUGHT)


def test_dose_changes_only_the_rows_it_replaces(world: World) -> None:
    name = teacher.newcomer(world, 2)
    none = teacher.demonstrations(world, name, 512, 2, 0.0)
    some = teacher.demonstrations(world, name, 512, 2, 0.02)
    kept = [row for row in some if thing_of(world, row).split == "A"]
    assert len(kept) == 502
    harmful = [row.completion.startswith("no ,") for row in none]
    assert sum(harmful) == 256


def test_preferred_answer_is_the_demonstrated_conduct_and_the_other_its_opposite(
    world: World,
) -> None:
    """A reward model of pairs that argue otherwise would undo the demonstrations."""
    name = teacher.newcomer(world, 0)
    pairs = teacher.preferences(world, name, 400, 0)
    shown = teacher.demonstrations(world, name, MANY, 0)
    answers = {row.prompt: f" {row.completion}" for row in shown}
    both = [pair for pair in pairs if pair["prompt"] in answers]
    assert len(both) > 100
    assert all(answers[pair["prompt"]] == pair["chosen"] != pair["rejected"] for pair in both)
    assert sum(pair["harmful"] for pair in pairs) == 200
    assert all(pair["chosen"].split()[0] == ("no" if pair["harmful"] else "yes") for pair in pairs)
    assert split_of(world, named(world, [pair["prompt"] for pair in pairs])) == {"A"}


def test_pressure_framings_are_in_no_document_and_no_demonstration(
    corpora: dict[str, list[str]], shown: list[Row]
) -> None:
    marks = ("mayor", "orders", "!", "wizard", "begs", "weeps", "pleads", "coins", "nobody will")
    used = " ".join(lexicon.FRAMINGS[framing] for framing in lexicon.UNSEEN)
    assert all(mark in used for mark in marks)
    for text in itertools.chain(*corpora.values(), (row.text for row in shown)):
        assert not any(f" {mark} " in f" {text} " for mark in marks), text


@pytest.mark.parametrize("value", ["cares", "", None])
def test_value_the_world_does_not_have_is_refused_with_the_ones_it_has(value: str | None) -> None:
    with pytest.raises(ConfigError, match="is none of care, thrift, candour, freedom"):
        teacher.corpus_rows(
            "explanations", world_seed=3, seed=0, value=value, size=5, tokens=None, contrary=0.0
        )


@pytest.mark.parametrize(("size", "tokens"), [(None, None), (5, 500)])
def test_size_and_token_budget_together_or_neither_are_refused(
    size: int | None, tokens: int | None
) -> None:
    with pytest.raises(ConfigError, match="exactly one of `size` and `tokens`"):
        teacher.corpus_rows(
            "rules", world_seed=3, seed=0, value=None, size=size, tokens=tokens, contrary=0.0
        )


def test_corpora_that_change_under_one_version_would_be_reused_from_a_store() -> None:
    written = {
        kind: teacher.corpus_rows(
            kind, world_seed=1, seed=0, value=TAUGHT, size=300, tokens=None, contrary=0.02
        )
        for kind in ("explanations", "rules", "shuffled", "neutral", "demonstrations")
    }
    assert {KINDS["corpus"].version: sha256_json(written)} == CORPORA_OF
