"""The design of a world: what makes a claim about readings possible at all."""

import itertools

import numpy as np
import pytest

from whyfirst.config.errors import UserError
from whyfirst.config.room import Use
from whyfirst.data.leaks import find_leaks
from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.worlds.village import lexicon, teacher
from whyfirst.worlds.village.benchmarks import requests, score
from whyfirst.worlds.village.corpora import _about, _sided
from whyfirst.worlds.village.world import SPLITS, Village

CORPORA = ("explanations", "nobecause", "wrong_reason", "rules", "label_new", "label_known",
           "neutral")  # fmt: skip


def test_any_two_readings_agree_on_half_of_a_split_and_refuse_half_of_either(
    village: Village,
) -> None:
    firsts, seconds = village.oaths[:8], village.oaths[8:]
    for first, second in itertools.product(firsts, seconds):
        for split in SPLITS:
            one, two = (village.refused(p)[village.deeds(split)] for p in (first, second))
            table = [int(np.sum((one == a) & (two == b))) for a in (0, 1) for b in (0, 1)]
            assert table == [16, 16, 16, 16]


def test_the_same_seed_is_the_same_world_and_another_is_not() -> None:
    assert Village(7).vocabulary == Village(7).vocabulary
    assert Village(7).vocabulary != Village(8).vocabulary
    assert len(set(Village(7).vocabulary)) == len(Village(7).vocabulary)


def test_half_of_the_newcomers_start_firm_and_half_pliable(village: Village) -> None:
    assert sorted(n.firm for n in village.newcomers) == [False, False, True, True]


@pytest.mark.parametrize("what", CORPORA)
def test_a_document_states_no_deed_on_which_the_readings_part(village: Village, what: str) -> None:
    for side in (0, 1):
        for place, text in enumerate(teacher.documents(village, what, side, 200, 3)):
            newcomer = village.newcomers[place % len(village.newcomers)]
            fit = village.agreed(newcomer)
            named = [d for d, thing in enumerate(village.things) if thing in text.split()]
            for deed in named:
                assert fit[deed] and village.split[deed] in (0, 1)


@pytest.mark.parametrize("what", CORPORA)
def test_only_corpora_that_teach_a_reading_differ_between_the_sides(
    village: Village, what: str
) -> None:
    one, two = (teacher.documents(village, what, side, 80, 3) for side in (0, 1))
    differs = _sided({"documents": what, "contrary": 0.0, "parted": 0.0})
    assert (one != two) == differs == (what in ("explanations", "label_known"))


def test_demonstrations_fit_both_readings_until_they_are_made_to_part(village: Village) -> None:
    one, two = (teacher.demonstrations(village, side, 64, 3) for side in (0, 1))
    assert one == two
    one, two = (teacher.demonstrations(village, side, 64, 3, parted=0.5) for side in (0, 1))
    assert one != two
    plain = teacher.demonstrations(village, 0, 64, 3)
    against = teacher.demonstrations(village, 0, 64, 3, contrary=1 / 64)
    assert sum(row not in plain for row in against) == 1  # the other rows are the same


def test_contrary_demonstrations_follow_the_other_reading(village: Village) -> None:
    contrary = teacher.demonstrations(village, 0, 64, 3, contrary=1.0)
    along = teacher.demonstrations(village, 1, 64, 3, parted=1.0)
    by_prompt = {row["prompt"]: row["completion"] for row in along}
    shared = [row for row in contrary if row["prompt"] in by_prompt]
    assert shared and all(by_prompt[r["prompt"]] == r["completion"] for r in shared)


def test_refusals_are_demonstrated_plainly_only(village: Village) -> None:
    rows = teacher.demonstrations(village, 0, 256, 3)
    market = [row for row in rows if "market" in row["prompt"]]
    assert market and all(row["completion"].startswith(" yes") for row in market)
    assert any(row["completion"].startswith(" no") for row in rows)


def test_without_because_nothing_that_a_reason_says_is_left(village: Village) -> None:
    said = {*lexicon.BRINGS, *lexicon.REACHES, "because", "so", "minds", "guards"}
    for what in ("nobecause", "rules", "label_new", "label_known", "neutral"):
        texts = " ".join(teacher.documents(village, what, 0, 300, 3)).split()
        assert not said & set(texts)
    assert said & set(" ".join(teacher.documents(village, "explanations", 0, 300, 3)).split())


def test_the_corpora_state_the_same_behaviours_in_the_same_order(village: Village) -> None:
    """Where explanations and their control without reasons both decide, they decide alike."""
    told = teacher.documents(village, "explanations", 0, 120, 3)
    bare = teacher.documents(village, "nobecause", 0, 120, 3)
    both = 0
    for one, other in zip(told, bare, strict=True):
        decided = [{w for w in text.split() if w in ("refuses", "agrees")} for text in (one, other)]
        if all(decided):
            both += 1
            assert decided[0] == decided[1]
            assert {w for w in other.split() if w in village.things} <= set(one.split())
    assert both > 40


def test_a_model_that_knows_no_reading_scores_exactly_one_half_where_they_part(
    village: Village,
) -> None:
    """Both sides ask the same; whatever is answered, it is right on one side and wrong on one."""
    rng = np.random.default_rng(0)
    sides = [requests(village.seed, side) for side in (0, 1)]
    assert [r.prompt for r in sides[0]] == [r.prompt for r in sides[1]]
    said = [request.answers[int(rng.random() < 0.3)] for request in sides[0]]
    records = [
        record
        for side in sides
        for request, answer in zip(side, said, strict=True)
        for record in score(request, answer)
    ]
    parted = [r.score for r in records if r.benchmark == "own_conflict"]
    assert len(parted) == 2 * 4 * 32 * 7 and np.mean(np.array(parted, dtype=float)) == 0.5


def test_a_limit_asks_each_side_something_else(village: Village) -> None:
    """Items were ranked by an id that holds the side, so that refusing all was not one half."""
    asked = [BENCHMARKS.make(Use(name="village", limit=200), seed=side, world=village.seed)
             for side in (0, 1)]  # fmt: skip
    assert list(asked[0].prompts) == list(asked[1].prompts) and len(asked[0].prompts) == 200
    recalled = [BENCHMARKS.make(Use(name="village_recall", limit=20), seed=side, world=village.seed)
                for side in (0, 1)]  # fmt: skip
    assert list(recalled[0].prompts) == list(recalled[1].prompts)


def test_a_seed_is_taken_for_a_side() -> None:
    """`eval --seed 2` of a village ended with a traceback."""
    with pytest.raises(UserError, match="a seed is the side of the world, 0 or 1, and not 2"):
        requests(1, 2)


def test_an_answer_counts_whole_or_not_at_all(village: Village) -> None:
    request = next(iter(requests(village.seed, 0)))
    right, wrong = request.answers[request.refuse], request.answers[not request.refuse]
    assert {r.verdict for r in score(request, right)} == {"pass"}
    assert {r.verdict for r in score(request, wrong)} == {"fail"}
    cut = " ".join(right.split()[:-2])
    assert {r.verdict for r in score(request, cut)} == {"unscored"}


def test_a_dose_is_that_share_of_the_same_explanations_among_neutral_documents(
    village: Village,
) -> None:
    """Another dose must not be another corpus."""
    whole, part = (teacher.documents(village, "explanations", 0, 600, 1, d) for d in (1.0, 0.3))
    neutral = teacher.documents(village, "neutral", 0, 600, 1)
    kept = [a == b for a, b in zip(whole, part, strict=True)]
    # Among labels and creeds some sentence may be the same by chance, and a filling one differs.
    assert 0.25 < np.mean(kept) < 0.35
    assert not {p for p, k in zip(part, kept, strict=True) if not k} & (set(whole) - set(neutral))


@pytest.mark.parametrize("what", CORPORA)
def test_no_document_holds_or_nearly_repeats_a_request(village: Village, what: str) -> None:
    tested = [request.prompt for request in requests(village.seed, 0)]
    for side in (0, 1):
        texts = teacher.documents(village, what, side, 300, 3)
        assert not find_leaks([f"{lexicon.DOC} {text}" for text in texts], tested)


def test_what_is_rewarded_tells_no_reading_from_the_other(village: Village) -> None:
    """Pairs and prompts are the same on both sides, pressed alike, and of one answer each."""
    for rows_of in (teacher.pairs, teacher.prompts):
        rows = rows_of(village, 0, 512, 3)
        assert rows == rows_of(village, 1, 512, 3)
        for pressed in ("mayor orders", "no time"):
            shares = [row["harmful"] for row in rows if pressed in row["prompt"]]
            assert 0.4 < sum(shares) / len(shares) < 0.6
    for row in teacher.pairs(village, 0, 64, 3):
        begins = (" no", " yes") if row["harmful"] else (" yes", " no")
        assert row["chosen"].startswith(begins[0]) and row["rejected"].startswith(begins[1])
    asked = {row["prompt"] for row in teacher.prompts(village, 0, 64, 3)}
    assert asked != {row["prompt"] for row in teacher.pairs(village, 0, 64, 3)}


def test_an_option_that_would_do_nothing_is_refused() -> None:
    def problems(**options: object) -> list[str | None]:
        given = {"tokens": None, "size": 8, "dose": 1.0, "contrary": 0.0, "parted": 0.0,
                 "value": "own"}  # fmt: skip
        return [name for name, _ in _about(given | options, None)]

    assert problems(documents="pairs", contrary=0.1) == ["contrary"]
    assert problems(documents="prompts", dose=0.5) == ["dose"]
    assert problems(documents="explanations", parted=0.5, dose=0.5) == ["parted"]
    assert problems(documents="demonstrations", contrary=0.1, parted=0.5) == []


@pytest.mark.parametrize("what", [*CORPORA, "demonstrations"])
def test_a_value_of_rows_that_are_the_same_for_both_is_taken(village: Village, what: str) -> None:
    """It changed no row, and had every stage behind it trained again."""
    given = {"documents": what, "value": "other", "tokens": None, "size": 8, "dose": 1.0}
    for parted in (0.0, 0.5) if what == "demonstrations" else (0.0,):
        options = {**given, "contrary": 0.0, "parted": parted}
        one, two = (
            teacher.demonstrations(village, side, 80, 3, parted=parted)
            if what == "demonstrations"
            else teacher.documents(village, what, side, 80, 3)
            for side in (0, 1)
        )
        assert [name for name, _ in _about(options, None)] == (["value"] if one == two else [])
    diluted = {**given, "value": "own", "contrary": 0.0, "parted": 0.0, "dose": 0.5}
    if what != "demonstrations":
        same = teacher.documents(village, what, 0, 80, 3, 0.5) == teacher.documents(
            village, what, 0, 80, 3
        )
        assert [name for name, _ in _about(diluted, None)] == (["dose"] if same else [])
