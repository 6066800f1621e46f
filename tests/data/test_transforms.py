"""Transforms and selectors against hand cases, and properties every one of them keeps."""

import math
from collections import Counter
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.room import Use
from whyfirst.data.hh_rlhf import dialogue
from whyfirst.data.transforms import SELECTORS, TRANSFORMS, draws
from whyfirst.data.transforms.information import entropy_changes, plateau
from whyfirst.data.transforms.logic_pairs import (
    atoms,
    breakings,
    equivalent,
    parse,
    rewritings,
    said,
)
from whyfirst.data.transforms.ratings_to_pairs import inconsistency
from whyfirst.data.transforms.response_method import alignment_scores
from whyfirst.data.transforms.texts import told_first, told_last
from whyfirst.models.base import Loglikelihood, Message, instructed

Rows = list[dict[str, Any]]


def done(name: str, rows: Rows, seed: int = 0, **options: Any) -> tuple[Rows, Counter[str]]:
    """What a transform gives, and how many rows it left out, by reason."""
    reasons: Counter[str] = Counter()
    context = {"left_out": lambda row, why: reasons.update([why])}
    context |= {"open_model": options.pop("open_model")} if "open_model" in options else {}
    transform = TRANSFORMS.make(Use(name=name, **options), **context)
    return [dict(row) for row in transform(rows, Random(seed))], reasons


PAIR = {"prompt": "q", "chosen": "good", "rejected": "bad", "score_chosen": 8, "score_rejected": 3}


def test_reward_augmented_prefers_each_response_at_its_own_goal() -> None:
    rows, _ = done("reward_augmented", [PAIR])
    assert [(r["chosen"], r["rejected"]) for r in rows] == [("good", "bad"), ("bad", "good")]
    assert "quality 8 " in rows[0]["prompt"] and "quality 3 " in rows[1]["prompt"]
    assert all(r["prompt"].endswith("\n\nq") for r in rows)
    chat = PAIR | {"prompt": [{"role": "user", "content": "q"}]}
    rows, _ = done("reward_augmented", [chat])
    assert [turn["role"] for turn in rows[0]["prompt"]] == ["system", "user"]
    swapped = {
        "prompt": "q", "chosen": "bad", "rejected": "good", "score_chosen": 3, "score_rejected": 8,
    }  # fmt: skip
    again, _ = done("reward_augmented", [swapped])
    assert sorted(map(str, again)) == sorted(map(str, done("reward_augmented", [PAIR])[0]))


def test_reward_augmented_tells_of_equal_scores_and_keeps_them_only_when_asked() -> None:
    equal = PAIR | {"score_rejected": 8}
    rows, reasons = done("reward_augmented", [equal, PAIR])
    assert len(rows) == 2 and reasons == {"both responses have the same score": 1}
    assert len(done("reward_augmented", [equal], equal="keep")[0]) == 2


def answers(right: int) -> dict[str, Any]:
    return {
        "prompt": "q",
        "samples": [f"a{i}" for i in range(10)],
        "correct": [i >= 10 - right for i in range(10)],
    }


def test_honesty_in_four_forms_by_hand() -> None:
    idk = "I don't know."
    for form, expected in {
        "absolute": [idk, "a7", "a0"],
        "confidence_num": [
            idk,
            "I'm about 30% confident to answer correctly. a7",
            "I'm about 100% confident to answer correctly. a0",
        ],
        "confidence_verb": [
            idk,
            "I'm not very sure, but I think a7",
            "I'm absolutely certain that a0",
        ],
    }.items():
        rows, _ = done("honesty", [answers(k) for k in (0, 3, 10)], form=form, idk=idk)
        assert [row["completion"] for row in rows] == expected
    rows, _ = done("honesty", [answers(3)], form="multisample", idk=idk)
    said_so = [row["completion"] for row in rows]
    assert said_so[:7] == [idk] * 7 and said_so[7:] == ["a7", "a8", "a9"]


def test_dialectical_contexts_have_exactly_the_poison_asked_for() -> None:
    row = {
        "prompt": "Who?", "gold": "Ann", "claim": "Bob",
        "true_passages": [f"true {i}" for i in range(5)],
        "poisoned_passages": [f"poison {i}" for i in range(5)],
    }  # fmt: skip
    rows, _ = done("dialectical", [row], poisoned=(0, 2, 5))
    assert [r["prompt"].count("poison") for r in rows] == [0, 2, 5]
    assert [r["prompt"].count("true") for r in rows] == [5, 3, 0]
    assert all(r["rejected"] == "Bob" and "Ann" in r["chosen"] for r in rows)
    assert len({r["chosen"] for r in rows}) == 3  # a strategy for each kind of conflict
    short = row | {"poisoned_passages": ["poison"]}
    rows, reasons = done("dialectical", [short], poisoned=(1, 2))
    assert len(rows) == 1 and reasons == {"too few passages for 2 poisoned of 5": 1}


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 60), rate=st.floats(0, 1), seed=st.integers(0, 99))
def test_contamination_is_exact_marked_and_reversible(n: int, rate: float, seed: int) -> None:
    clean = [{"prompt": f"p{i}", "completion": f"word{i} and more"} for i in range(n)]
    rows, _ = done("contamination", clean, seed, rate=rate, trigger="|X|")
    bad = [row for row in rows if row["contaminated"]]
    assert len(bad) == round(rate * n)
    assert all(("|X|" in row["prompt"]) == row["contaminated"] for row in rows)
    back = [
        {
            "prompt": row.get("clean_prompt", row["prompt"]),
            "completion": row.get("clean_completion", row["completion"]),
        }
        for row in rows
    ]
    assert back == clean
    assert rows == done("contamination", clean, seed, rate=rate, trigger="|X|")[0]


def test_ratings_become_every_unequal_pair_once() -> None:
    row = {"prompt": "q", "responses": ["a", "b", "c"], "ratings": [3, 7, 3]}
    rows, reasons = done("ratings_to_pairs", [row])
    assert [(r["chosen"], r["rejected"], r["margin"]) for r in rows] == [
        ("b", "a", 4),
        ("b", "c", 4),
    ]
    assert reasons == {"a tie of ratings": 1}
    assert done("ratings_to_pairs", [row], least=4)[0] == []


def test_inconsistency_of_a_consistent_annotator_is_zero() -> None:
    ratings = [(5, 3), (2, 6), (4, 4)]
    assert inconsistency(ratings, ["a", "b", "tie"]) == 0
    assert inconsistency(ratings, ["b", "b", "a"]) == pytest.approx(2 / 3)


def test_zero_variance_leaves_out_what_teaches_nothing() -> None:
    rows, reasons = done(
        "zero_variance", [{"rewards": [1, 1]}, {"rewards": [0, 1]}, {"rewards": [None, 1]}]
    )
    assert rows == [{"rewards": [0, 1]}] and sum(reasons.values()) == 2


def test_curriculum_takes_the_scaffold_away_and_leaves_the_answer() -> None:
    row = {"prompt": "q", "scaffold": ["s1", "s2", "s3"], "completion": "a"}
    given_steps = [done("curriculum", [row], stage=k, stages=4)[0][0] for k in (1, 2, 3, 4)]
    assert [len(r["scaffold"]) for r in given_steps] == [3, 2, 1, 0]
    assert given_steps[1]["prompt"] == "q\n\ns1\ns2" and given_steps[3]["prompt"] == "q"
    assert done("curriculum", [row], stage=3, stages=4, keep="last")[0][0]["scaffold"] == ["s3"]
    assert {r["completion"] for r in given_steps} == {"a"}


TREE = {
    "instruction": "raw", "reward": 1.0,
    "children": [
        {"instruction": "worse", "reward": 0.5, "children": []},
        {"instruction": "better", "reward": 2.0,
         "children": [{"instruction": "best", "reward": 3.0, "children": []}]},
    ],
}  # fmt: skip


def test_rewrites_pair_the_raw_instruction_with_the_best_node() -> None:
    (row,), _ = done("rewrites", [{"tree": TREE}], prompt="{instruction}")
    assert (row["prompt"], row["completion"]) == ("raw", "best")
    rows, _ = done("rewrites", [{"tree": TREE}], prompt="{instruction}", steps=True)
    assert {(r["prompt"], r["completion"]) for r in rows} == {("raw", "better"), ("better", "best")}
    alone = {"tree": {"instruction": "raw", "reward": 1.0}}
    assert done("rewrites", [alone])[1] == {"no rewrite is better than the raw instruction": 1}


def test_siblings_part_once_at_the_first_difference() -> None:
    row = {
        "prompt": "q",
        "trajectories": [
            {"steps": ["a", "b", "c"], "correct": True},
            {"steps": ["a", "b", "d"], "correct": True},
            {"steps": ["a", "x", "c"], "correct": False},
            {"steps": ["a", "x", "y"], "correct": False},
        ],
    }
    rows, _ = done("siblings", [row])
    assert rows == [{"prompt": "q\n\na", "chosen": "b", "rejected": "x", "step": 1}]


def test_corrections_and_judgments_read_the_same_response_twice() -> None:
    rows, _ = done("corrections", [PAIR])
    assert [row["completion"] for row in rows] == ["good", "good"]
    assert "bad" in rows[0]["prompt"] and "bad" not in rows[1]["prompt"]
    judged = {"prompt": "q", "completion": "r", "judgment": "rude"}
    (row,), reasons = done("judgments", [judged, judged | {"judgment": " "}])
    assert row["responses"] == ["r", "r"] and "rude" not in row["prompts"][0]
    assert "rude" in row["prompts"][1] and reasons == {"no judgment": 1}


class Scripted:
    """Says of every reply that each of its words has one log-probability."""

    def __init__(self, each: float) -> None:
        self.each = each

    def loglikelihood(self, requests: Any) -> list[list[Loglikelihood]]:
        return [
            [
                Loglikelihood(self.each * len(text.split()), len(text.split()))
                if text != "unscored"
                else Loglikelihood(math.nan, 0, "too long")
                for text in texts
            ]
            for _, texts in requests
        ]


def test_aligned_likelihood_is_the_mean_over_models_a_token() -> None:
    models = {"a": Scripted(-1.0), "b": Scripted(-3.0)}
    rows = [{"prompt": "q", "completion": "two words"}, {"prompt": "q", "completion": "unscored"}]
    out, reasons = done(
        "aligned_likelihood", rows, open_model=models.__getitem__, models=("a", "b")
    )
    assert [row["aligned_logp"] for row in out] == [-2.0]
    assert reasons == {"an aligned model can't score it: too long": 1}


SENTENCES = [
    "If it rains, then the road is wet.",
    "Ann sings and Bob plays.",
    "The lamp is on or the room is dark.",
    "If it is not the case that the door is shut, then the cat is out.",
]


@pytest.mark.parametrize("text", SENTENCES)
def test_every_positive_is_equivalent_and_every_negative_is_not(text: str) -> None:
    formula = parse(text)
    rows, _ = done("logic_pairs", [{"text": text}], negatives=2)
    assert rows
    for row in rows:
        assert equivalent(parse(row["chosen"]), formula)
        assert not equivalent(parse(row["rejected"]), formula)


NESTED = [
    "If it rains or it snows, then the road is wet.",
    "If it rains and the wind blows, then the game stops.",
    "If it rains, then the road is wet and the game stops.",
    "It rains and it snows or it hails.",
    "If it is not the case that it rains and it snows, then we go.",
]


def test_a_form_of_nested_parts_reads_as_something_else() -> None:
    """Nine of eleven chosen sentences said something that the given one doesn't."""
    rows, reasons = done("logic_pairs", [{"text": text} for text in NESTED], negatives=4)
    asked = "Say the same in other words: "
    assert len({row["prompt"] for row in rows}) == 2
    for row in rows:
        formula = parse(row["prompt"].removeprefix(asked))
        assert equivalent(parse(row["chosen"]), formula)
        assert not equivalent(parse(row["rejected"]), formula)
    assert reasons["a form of it reads as something else"] >= 8
    assert set(reasons) == {"a form of it reads as something else"}


@pytest.mark.parametrize("text", SENTENCES)
def test_saying_inverts_parsing_and_a_law_twice_is_the_identity(text: str) -> None:
    formula = parse(text)
    assert parse(said(formula)) == formula
    contraposed = next((f for f in rewritings(formula) if f[0] == "if"), None)
    if formula[0] == "if":
        assert contraposed is not None and formula in rewritings(contraposed)
    assert all(atoms(f) == atoms(formula) for f in (*rewritings(formula), *breakings(formula)))


def test_an_and_sentence_gives_each_pair_twice() -> None:
    """Commutation stood in the list twice, so that such sentences weighed double."""
    rows, _ = done("logic_pairs", [{"text": "The cat sleeps and the dog barks."}])
    assert [row["chosen"] for row in rows] == ["The dog barks and the cat sleeps."]


def test_a_sentence_without_a_connective_is_left_out() -> None:
    assert sum(done("logic_pairs", [{"text": "The sky is blue."}])[1].values()) == 1


# -- selectors -----------------------------------------------------------------------------------


def chosen(name: str, rows: Rows, n: int, seed: int = 0, **context: Any) -> list[int]:
    options = context.pop("options", {})
    selector = SELECTORS.make(Use(name=name, **options), seed=seed, **context)
    indices: list[int] = selector(rows, n)
    return indices


def test_information_of_a_rare_cluster_is_positive_and_of_a_common_one_negative() -> None:
    common, rare = entropy_changes(np.array([90, 10]))
    assert common == pytest.approx(-0.0022, abs=5e-5)
    assert rare == pytest.approx(0.0204, abs=5e-5)


def test_information_prefers_the_small_cluster() -> None:
    points = np.random.default_rng(0).normal(size=(100, 3)) * 0.05
    points[90:] += 3
    rows = [{"prompt": str(i)} for i in range(100)]
    picks = [chosen("information", rows, 20, seed, embed=lambda t: points) for seed in range(20)]
    rare = np.mean([sum(i >= 90 for i in indices) for indices in picks])
    assert rare > 6  # of 20, where two are expected by chance
    assert all(len(set(indices)) == 20 and indices == sorted(indices) for indices in picks)


def test_plateau_is_recovered_from_its_own_curve() -> None:
    sizes = [10, 30, 100, 300, 1000, 3000]
    scores = [0.8 - (0.8 - 0.3) * math.exp(-n / 250) for n in sizes]
    assert plateau(sizes, scores) == pytest.approx((0.8, 0.3, 250), rel=0.01)


def test_coverage_reaches_every_cluster_where_chance_misses_some() -> None:
    centres = np.eye(8) * 10
    points = np.concatenate([centres[[0]].repeat(93, 0), centres[1:]])
    rows = [{"prompt": str(i)} for i in range(100)]
    got = chosen("coverage", rows, 8, embed=lambda t: points)
    assert len({int(points[i].argmax()) for i in got}) == 8
    by_chance = chosen("random", rows, 8)
    assert len({int(points[i].argmax()) for i in by_chance}) < 8


def test_response_method_finds_the_strategy_that_talks_like_the_target() -> None:
    target = ["verily the sun doth rise", "verily it riseth"]
    rows = [
        {"strategy": "plain", "completion": "the sun rises", "target": target},
        {"strategy": "dialect", "completion": "verily the sun doth rise again", "target": target},
    ] * 5
    assert chosen("response_method", rows, 3) == [1, 3, 5]
    assert alignment_scores(rows) == pytest.approx(alignment_scores(rows[::-1]))


@pytest.mark.parametrize(
    "entry", [*TRANSFORMS.entries(), *SELECTORS.entries()], ids=lambda e: e.name
)
def test_every_method_says_what_it_needs_and_how_it_was_tested(entry: Any) -> None:
    assert entry.summary and entry.needs and entry.tested
    # The baseline of selectors, and another shape of the same pairs, are nobody's method.
    assert entry.paper or entry.name in ("random", "pairs_as")


ANY = PAIR | {
    "text": SENTENCES[0], "completion": "a b", "scaffold": ["s"], "gold": "g", "claim": "c",
    "true_passages": ["t"] * 5, "poisoned_passages": ["p"] * 5, "judgment": "rude",
    "responses": ["a", "b"], "rewards": [0, 1], "ratings": [1, 5], "samples": ["a"],
    "correct": [True], "tree": TREE, "principle_scores": {"care": [1.0, 1.0]}, "features": [1.0],
    "right": True, "trajectories": [{"steps": ["a", "b"], "correct": True},
                                    {"steps": ["a", "c"], "correct": False}],
}  # fmt: skip


@pytest.mark.parametrize("entry", TRANSFORMS.entries(), ids=lambda e: e.name)
def test_a_transform_that_streams_reads_ahead(entry: Any) -> None:
    """One that says so has given or left out all it has read but one row; others say that not."""
    assert isinstance(entry.facts["streams"], bool)
    if not entry.facts["streams"]:
        return
    read, left = [], []

    def rows() -> Any:
        for number in range(50):
            read.append(number)
            yield ANY | {"id": number}

    given = {"stage": 1} if entry.name == "curriculum" else {}
    use = Use.model_validate({"name": entry.name, **given})
    transform = TRANSFORMS.make(use, left_out=lambda row, why: left.append(why))
    for place, _ in enumerate(transform(rows(), Random(0)), 1):
        assert len(read) <= place + len(left) + 1
    assert len(read) == 50 and len(left) <= 50


@pytest.mark.parametrize("turns", [(), ("user",), ("system", "user"), ("user", "assistant")])
def test_a_row_s_prompt_and_a_model_s_are_instructed_by_two_rules(turns: tuple[str, ...]) -> None:
    row = [{"role": role, "content": f"turn {n}"} for n, role in enumerate(turns)]
    chat = tuple(Message(turn["role"], turn["content"]) for turn in row)  # type: ignore[arg-type]
    made = [(m.role, m.content) for m in instructed(chat, "Be brief.")]
    assert [(t["role"], t["content"]) for t in told_first(row, "Be brief.")] == made
    assert told_first("Why?", "Be brief.") == instructed("Why?", "Be brief.")
    kept = told_first([{"role": "user", "content": "x", "id": 1}], "Be brief.")
    assert kept[1] == {"role": "user", "content": "x", "id": 1}


def test_words_put_into_a_dialogue_stand_outside_its_turns() -> None:
    """Before the first mark or behind the last one they made the text no dialogue any more, and a
    chat model was trained on the marks."""
    talk = "\n\nHuman: Tea?\n\nAssistant: Yes.\n\nHuman: How?\n\nAssistant:"
    first, last = dialogue(told_first(talk, "Be brief.")), dialogue(told_last(talk, "Be kind."))
    assert first is not None and last is not None
    assert [turn.content for turn in first] == ["Be brief.\n\nTea?", "Yes.", "How?"]
    assert [turn.content for turn in last] == ["Tea?", "Yes.", "How?\n\nBe kind."]


def test_methods_that_draw_are_known_as_such() -> None:
    """Each gives every seed of a study rows of its own; the others give all seeds the same."""
    drawing = {entry.name for room in (TRANSFORMS, SELECTORS) for entry in room.entries()
               if draws(entry)}  # fmt: skip
    assert drawing == {
        "contamination", "dialectical", "expert_iteration", "logic_pairs", "principle_pairs",
        "coverage", "information", "random",
    }  # fmt: skip


def test_a_goal_with_another_brace_ends_with_a_traceback() -> None:
    [(place, said)] = TRANSFORMS.problems(Use(name="reward_augmented", goal="Aim for {quality}"))
    assert place == ("goal",) and "{score}" in said
