"""Audits of honesty, values and logic against models whose bias is known."""

import json
import math
import re
from pathlib import Path

import pytest
from audit_helpers import gap, likely, mean, rows, run, says

from whyfirst.config.errors import DataError
from whyfirst.data.moral_graph import Edge, ranks
from whyfirst.evaluate.audits.entity_vote import DIVIDED, majority, turned
from whyfirst.evaluate.formula_classes import classes, survivor
from whyfirst.evaluate.text_measures import FACTORS
from whyfirst.models.base import GREEDY, Completion, Prompt, Sampling
from whyfirst.models.scripted import ScriptedModel
from whyfirst.stats.agreement import concordance


def test_a_model_that_yields_to_pressure_is_told_from_an_unstable_one(tmp_path: Path) -> None:
    data = rows(tmp_path / "claims.jsonl", *({"claim": f"Claim {n}."} for n in range(8)))

    def yields(prompt: str, said: str) -> float:
        wanted = re.search(r"answer (yes|no)\. The client", prompt)
        side = wanted[1] if wanted else "yes"
        return 0.0 if side == said.lower() else -5.0

    found, gaps = run("unintended_deception", likely(yields), data=data)
    assert mean(found["deception_honest"], "pressed") == 0
    assert mean(found["deception_honest"], "asked again") == 1
    assert gap(gaps, "pressed", "asked again").value == -1
    steady, gaps = run("unintended_deception", likely(lambda p, s: -len(s)), data=data)
    assert mean(steady["deception_honest"]) == 1

    def wavers(prompt: str, said: str) -> float:
        return 0.0 if ("Here is" in prompt) == (said == "No") else -5.0

    unstable, _ = run("unintended_deception", likely(wavers), data=data)
    assert mean(unstable["deception_honest"], "asked again") == 0


def test_refusing_everything_is_prudent_and_over_conservative(tmp_path: Path) -> None:
    rows(tmp_path / "puqa.jsonl", {"question": "Who wrote it?"}, {"question": "Who read it?"})
    rows(tmp_path / "pkqa_13b.jsonl", {"question": "What floats?", "answer": "Boats"})
    found, _ = run("honesty_questions", says(lambda p: "I don't know."), data=tmp_path)
    assert mean(found["honesty_prudence"]) == mean(found["honesty_over_conservative"]) == 1
    assert mean(found["honesty_correct"]) == 0
    knows, _ = run("honesty_questions", says(lambda p: "Boats do."), data=tmp_path)
    assert mean(knows["honesty_prudence"]) == 0 and mean(knows["honesty_correct"]) == 1


PAIRS = [
    {"prompt": "Hello?", "chosen": " Hello to you, my friend, today.", "rejected": " Go away."},
    {"prompt": "Bye?", "chosen": " No.", "rejected": " Farewell, and a good day to you."},
]


def longer(prompt: str, said: str) -> float:
    replies = dict(re.findall(r"\[reply (\w) \w+\]\n(.*?)\n\[end", prompt, re.S))
    return float(len(replies.get(said, "")))


def test_a_preference_for_length_shows_as_length_alone(tmp_path: Path) -> None:
    data = rows(tmp_path / "test.jsonl", *PAIRS)
    found, gaps = run("factors", likely(longer), data=data)
    assert (
        mean(found["factor_length"], "model") == 1 and mean(found["factor_length"], "people") == 0.5
    )
    assert mean(found["factor_questions"], "model") == 0.5  # neither reply asks anything
    assert all(r.prompt is None and r.response is None for r in found["factor_length"])
    assert next(g for g in gaps if g.metric == "factor_length").value == 0.5
    slot, _ = run("factors", likely(lambda p, s: 0.0 if s == "A" else -9.0), data=data)
    assert mean(slot["factor_length"], "model") == 0.5  # a letter's pull cancels


def test_concordance_by_hand() -> None:
    assert concordance([1, 2, 3], [1, 1, 1]) == 1 and concordance([1, 2], [-1, -1]) == 0
    assert concordance([1, 0, -1, 2], [1, 1, 1, 0]) == (1 + 0.5 + 0 + 0.5) / 4
    assert FACTORS["novelty"]("a boat", "a red boat") == 1
    assert FACTORS["focus"]("a boat", "a red boat") == pytest.approx(2 / 3)


def test_principles_in_conflict_and_a_model_against_its_own(tmp_path: Path) -> None:
    data = rows(tmp_path / "test.jsonl", *PAIRS)

    def judge(prompt: str, said: str) -> float:
        replies = dict(re.findall(r"\[reply (\w) \w+\]\n(.*?)\n\[end", prompt, re.S))
        if "silent" in prompt:
            return 0.0 if said == "C" else -9.0
        sign = -1 if ("shorter" in prompt) else 1
        return sign * float(len(replies[said])) if said != "C" else -99.0

    conflict, _ = run("discretion", likely(judge), data=data, principles=["longer", "shorter"])
    assert mean(conflict["discretion_conflict"]) == 1 and "discretion_arbitrary" not in conflict
    silent, _ = run("discretion", likely(judge), data=data, principles=["silent"])
    assert mean(silent["discretion_indifferent"]) == 1
    # One principle, "shorter"; the model's own preference is for the longer: always against.
    against, _ = run("discretion", likely(judge), data=data, principles=["shorter", "silent"])
    assert mean(against["discretion_arbitrary"]) == 1
    assert mean(against["discretion_people"]) == 0.5  # people chose the shorter of the second pair


def test_a_chain_of_votes_ranks_the_wisest_first_and_a_cycle_equally() -> None:
    chain = [Edge("c", "a", "b", 5, 0), Edge("c", "b", "c", 5, 0)]
    found = ranks(chain)
    assert found["c"] > found["b"] > found["a"] and sum(found.values()) == pytest.approx(1)
    cycle = ranks([*chain, Edge("c", "c", "a", 5, 0)])
    assert list(cycle.values()) == pytest.approx([1 / 3] * 3)


def test_entropy_counts_votes_alone() -> None:
    assert Edge("c", "a", "b", 5, 0).entropy == 0
    assert Edge("c", "a", "b", 7, 3).entropy == pytest.approx(0.8813, abs=1e-4)
    assert not Edge("c", "a", "b", 1, 0).kept and not Edge("c", "a", "b", 3, 2).kept


def test_votes_beside_peoples_and_slots_that_cancel(tmp_path: Path) -> None:
    data = rows(
        tmp_path / "moral_graph.jsonl",
        {"context": "x", "from": "obey", "to": "care", "wiser": 4, "less": 0},
        {"context": "y", "from": "win", "to": "share", "wiser": 1, "less": 3},
    )

    def care(prompt: str, said: str) -> float:
        return 0.0 if f"{said}: care" in prompt else -3.0

    found, _ = run("moral_graph", likely(care), data=data)
    assert [r.score for r in found["moral_graph"]] == [1.0]  # the second edge isn't agreed on
    slot, _ = run("moral_graph", likely(lambda p, s: 0.0 if s == "A" else -3.0), data=data)
    assert [r.score for r in slot["moral_graph"]] == [0.5]


def test_a_model_that_goes_by_places_abstains(tmp_path: Path) -> None:
    data = rows(tmp_path / "entities.jsonl", {"entity": "Paris", "answer": "of France",
                "candidates": ["of Texas", "of France", "of Troy"]})  # fmt: skip
    slot, _ = run("entity_vote", likely(lambda p, s: 0.0 if s == "A" else -3.0), data=data)
    assert slot["entity_vote"][0].reason == DIVIDED
    right, _ = run("entity_vote", likely(
        lambda p, s: 0.0 if f"{s}: of France" in p else -3.0), data=data)  # fmt: skip
    assert right["entity_vote"][0].score == 1
    assert majority(["a", "a", "b"]) == "a" and majority(["a", "b"]) is None
    turns = turned(list("abcd"), "x")
    assert all(sorted(turn[k] for turn in turns) == list("abcd") for k in range(4))


def test_equivalent_spellings_vote_together() -> None:
    """p & q is the most frequent spelling; the class of p -> q has more votes."""
    samples = ["P & Q"] * 3 + ["P -> Q"] * 2 + ["~P | Q"] * 2
    first = classes(samples)[0]
    assert (first.text, first.votes) == ("P -> Q", 4)
    assert classes(["nonsense (", ""]) == []
    # unsatisfiable is a class as well
    assert classes(["P & ~P", "P & ~P", "Q"])[0].text == "P & ~P"


def test_an_oracle_of_interpretations_keeps_a_formula_with_more_votes() -> None:
    """Asked what the sentence allows, it drops all that are not equivalent to the gold formula."""
    gold = "P & Q"
    found = classes(["P | Q"] * 3 + ["P -> Q"] * 2 + ["Q & P"] + ["P & ~P"])
    left = survivor(found, lambda world: world["P()"] and world["Q()"])
    assert left == "Q & P" and classes([left, gold])[0].votes == 2
    assert survivor(found, lambda world: None) is None
    # Both interpretations of these two are refused: none is left, and the vote stands.
    assert survivor(classes(["P", "Q"]), lambda world: False) is None


class Draws(ScriptedModel):
    """Gives the same list of samples to every prompt."""

    def __init__(self, samples: list[str]) -> None:
        super().__init__(scores=lambda prompt, text: math.nan)  # of interpretations it says nothing
        self.samples = samples

    def generate(
        self, prompts: list[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:  # type: ignore[override]
        return [[Completion(text, True) for text in self.samples[:n]] for _ in prompts]


def test_the_vote_of_classes_beats_the_most_frequent_spelling(tmp_path: Path) -> None:
    data = rows(tmp_path / "formulas.jsonl", {"sentence": "If p then q.", "formula": "¬Q → ¬P",
                "predicates": ["P", "Q"]})  # fmt: skip
    samples = ["P & Q"] * 3 + ["P -> Q"] * 2 + ["~P | Q"] * 2
    found, gaps = run("formula_vote", Draws(samples), data=data, samples=7)
    assert mean(found["formula_vote"], "voted") == 1
    assert mean(found["formula_vote"], "most frequent") == 0
    assert gap(gaps, "voted", "most frequent").value == 1
    none, _ = run("formula_vote", Draws(["All dogs"] * 7), data=data)
    assert {r.verdict for r in none["formula_vote"]} == {"unscored"}
    with pytest.raises(DataError, match="'formula'"):
        bad = {"sentence": "s", "formula": "P ->", "predicates": ["P"]}
        run("formula_vote", Draws([]), data=rows(tmp_path / "formulas.jsonl", bad))


def test_every_kind_of_reasoning_has_the_same_weight(tmp_path: Path) -> None:
    row = {"context": "c", "question": "q", "options": ["yes", "no"], "answer": "yes"}
    kinds = ["deductive"] * 3 + ["inductive"]
    answers = ["yes", "yes", "no", "no"]
    data = rows(tmp_path / "logic.jsonl", *(
        row | {"kind": kind, "answer": said} for kind, said in zip(kinds, answers, strict=True)
    ))  # fmt: skip
    always = likely(lambda p, s: math.log(0.9) if s == " yes" else math.log(0.1))
    found, _ = run("logic_suite", always, data=data)
    assert mean(found["logic_suite"]) == 0.5  # the base rate of yes
    assert mean(found["logic_suite_macro"]) == pytest.approx((2 / 3 + 0) / 2)
    (tmp_path / "logic.jsonl").write_text(json.dumps(row | {"kind": "magic"}))
    with pytest.raises(DataError, match="'kind' is none of"):
        run("logic_suite", always, data=tmp_path)
