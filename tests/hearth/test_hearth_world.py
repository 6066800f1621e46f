"""The world: the same from its seed everywhere, and laid out as the design's splits say."""

import subprocess
import sys
from collections import Counter
from dataclasses import asdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.files import sha256_json
from whyfirst.worlds.hearth import lexicon
from whyfirst.worlds.hearth.world import CELL_SIZES, OTHER, TAUGHT, World

#: what World(1) is. A change here changes every figure of every Hearth study: rebuild the bases,
#: raise the version of nodes/corpus.py and the benchmarks' versions, register anew.
WORLD_1 = "bf9d8ca15b99a78f1361cdff2dfaea618207cab1824bf49163592a5c881a3186"
HASH_OF = """
import sys
from dataclasses import asdict
from whyfirst.config.files import sha256_json
from whyfirst.worlds.hearth.world import World
w = World(int(sys.argv[1]))
print(sha256_json([[asdict(o) for o in w.objects], w.characters, w.newcomers, w.vocabulary]))
"""


def world_hash(world: World) -> str:
    objects = [asdict(thing) for thing in world.objects]
    return sha256_json([objects, world.characters, world.newcomers, world.vocabulary])


def test_world_that_changes_unnoticed_would_change_every_study() -> None:
    assert world_hash(World(1)) == WORLD_1


def test_world_is_the_same_in_a_process_with_another_hash_seed() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HASH_OF, "3"], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "77", "PATH": ""},
    )  # fmt: skip
    assert run.stdout.strip() == world_hash(World(3)) != world_hash(World(4))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000))
def test_splits_and_cells_are_as_designed_in_every_world(seed: int) -> None:
    world = World(seed)
    found = Counter(
        (thing.split, (thing.violated(TAUGHT), thing.violated(OTHER))) for thing in world.objects
    )
    designed = {
        (split, cell): size for split, cells in CELL_SIZES.items() for cell, size in cells.items()
    }
    assert found == designed
    names = [thing.name for thing in world.objects]
    assert len(set(names)) == len(names)  # no object in two splits
    everybody = world.characters + world.newcomers
    words = [*world.words, *names, *everybody]
    assert len(set(words)) == len(words)  # no name is a word, nobody is called like a thing
    assert all(thing.verb in dict(lexicon.VERBS) for thing in world.objects)


def test_taught_and_other_value_agree_wherever_demonstrations_or_documents_are(
    world: World,
) -> None:
    for thing in world.topics("A", "B"):
        assert thing.violated(TAUGHT) == thing.violated(OTHER)
    cells = {(t.violated(TAUGHT), t.violated(OTHER)) for t in world.topics("C")}
    assert len(cells) == 4
    assert all(t.violated(TAUGHT) != t.violated(OTHER) for t in world.topics("D"))


def test_no_object_is_wholly_good_or_bad_and_each_consequence_fits_its_value(world: World) -> None:
    for thing in world.objects:
        assert 0 < sum(thing.violates) < len(lexicon.VALUES)
        for value in lexicon.VALUES:
            side = value.violations if thing.violated(value.id) else value.upholds
            assert thing.consequence(value.id) in side


def test_no_consequence_tells_two_values_or_two_sides() -> None:
    phrases = [p for value in lexicon.VALUES for p in (*value.violations, *value.upholds)]
    assert len(set(phrases)) == len(phrases)
    statements = [value.statement for value in lexicon.VALUES]
    reasons = [reason for value in lexicon.VALUES for reason in value.reasons]
    assert len(set(statements)) == 4 and len(set(reasons)) == len(reasons)


def test_name_of_an_object_says_nothing_about_harm() -> None:
    # Endings are shared by harmful and benign objects; over many worlds they go with neither.
    counts: Counter[tuple[str, bool]] = Counter()
    for seed in range(40):
        for thing in World(seed).objects:
            counts[thing.name[-2:], thing.violated(TAUGHT)] += 1
    for ending in ("et", "en", "ig", "op", "uk"):
        bad, good = counts[ending, True], counts[ending, False]
        assert abs(bad / (bad + good) - 0.5) < 0.05


def test_every_framing_names_who_what_and_the_asker_so_that_only_its_words_differ() -> None:
    for text in lexicon.FRAMINGS.values():
        assert all(text.count("{" + part + "}") == 1 for part in "avo") and "{n}" in text
        words = text.split()
        assert words.index("{v}") == words.index("{o}") - 2  # "light a kralet" in each
    assert lexicon.PLAIN in lexicon.FRAMINGS and lexicon.CONFOUNDED in lexicon.FRAMINGS
    assert set(lexicon.UNSEEN) | {lexicon.PLAIN, lexicon.CONFOUNDED} == set(lexicon.FRAMINGS)
    assert len(lexicon.UNSEEN) == 7


def test_vocabulary_lists_no_word_twice_and_in_a_fixed_order(world: World) -> None:
    vocabulary = world.vocabulary
    assert len(set(vocabulary)) == len(vocabulary)
    assert world.words == sorted(world.words)
    assert all(one < other for one, other in pairwise(world.words))


@pytest.mark.parametrize("seed", [1, 2, 101, 102])
def test_worlds_of_the_studies_can_be_made(seed: int) -> None:
    assert len(World(seed).objects) == 208
