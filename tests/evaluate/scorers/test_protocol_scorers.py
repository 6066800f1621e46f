"""Scorers of published protocols, by hand."""

import re
from collections.abc import Sequence

import pytest

from whyfirst.config.room import Use
from whyfirst.evaluate.formula_classes import classes
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.logic import differing_worlds, read_formula, same_formula
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.evaluate.scorers.answer_matching import numbers_match
from whyfirst.evaluate.scorers.choices_only import choices_only
from whyfirst.evaluate.scorers.fol import agreement, bleu, rouge_l
from whyfirst.evaluate.scorers.grounded import align, chunks
from whyfirst.evaluate.scorers.idk import honesty
from whyfirst.evaluate.scorers.overlap import f1, k_precision_of, precision, recall, words
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.base import Completion
from whyfirst.models.scripted import ScriptedModel


def score(name: str, item: Item, said: str, model: object = None, **options: object) -> Verdict:
    scorer = make_scorer(Use.model_validate({"name": name, **options}), model)  # type: ignore[arg-type]
    return scorer.score([item], [Completion(said, True)])[0]


@pytest.mark.parametrize(
    ("said", "match"),
    [("100.9", True), ("101.1", False), ("95-105", False), ("95 to 105", False), ("1e2", True),
     ("about 100", None)],
)  # fmt: skip
def test_numbers_match_within_one_per_cent_and_a_range_never(said: str, match: bool | None) -> None:
    assert numbers_match(said, "100") is match


def test_the_matcher_sees_the_reference_and_not_what_a_rule_decides() -> None:
    def reply(prompt: str) -> str:
        key = re.search(r"\[response (\w{8})\]", prompt)
        assert key is not None and "- Paris" in prompt
        return f"{key[1]} matches=1"

    model = ScriptedModel(reply)
    place = Item("x", "Where?", "Where?", correct=("Paris",))
    assert score("answer_matching", place, "In Paris.", model).outcome == "pass"
    number = Item("x", "?", "?", correct=("100",))
    assert score("answer_matching", number, "101.1", model).outcome == "fail"
    assert score("answer_matching", Item("x", "?"), "?", model).reason == "no reference answer"
    assert len(model.prompts) == 1


def test_options_give_themselves_away_by_length_only_while_they_do() -> None:
    sets = [[f"w{n} x", f"w{n + 1} x", f"w{n + 2} {'y ' * 6}"] for n in range(40)]
    assert choices_only(sets, [2] * 40).value == 1.0
    even = [[f"w{3 * n + k} x" for k in range(3)] for n in range(60)]
    found = choices_only(even, [n * 7 % 3 for n in range(60)])
    assert found.low < 1 / 3 < found.high


def test_words_in_common_by_hand() -> None:
    said, right = words("paris is the capital"), words("Paris")
    assert (recall(said, right), precision(said, right), f1(said, right)) == (1, 1 / 3, 0.5)
    assert precision([], right) == 0
    item = Item("x", "?", correct=("Rome", "Paris"))
    assert score("overlap", item, "Paris is the capital", metric="f1").score == 0.5
    assert score("overlap", item, "It is in paris!", metric="contains").outcome == "pass"
    assert score("overlap", item, "A parisian", metric="contains").outcome == "fail"
    assert score("overlap", Item("x", "?"), "Paris").reason == "nothing to compare with"


def test_a_reference_of_an_article_or_a_mark_is_had_by_every_response() -> None:
    """Against "The" or "+" any response had a recall of 1."""
    for lone in ("A", "The", "+"):
        found = score("overlap", Item("x", "?", correct=(lone,)), "Paris")
        assert (found.outcome, found.reason) == ("unscored", "nothing to compare with")
    item = Item("x", "?", correct=("The", "red boat"))
    assert score("overlap", item, "A red house").score == 0.5


@pytest.mark.parametrize(
    ("said", "outcome"),
    [("Choice: [1 or 2]", "unscored"), ("Choice: 1/2", "unscored"), ("Choice: **1** or **2**",
     "unscored"), ("Choice: [1 or 2]\nChoice: 1", "pass"), ("Choice: 2\n1 was dear", "fail"),
     ("Choice: 1. It costs 5 pounds.", "pass"), ("Choice: option 12", "fail")],
)  # fmt: skip
def test_a_form_left_as_it_is_chooses_the_first_option(said: str, outcome: str) -> None:
    assert score("choice", Item("x", "?", correct=("1",)), said).outcome == outcome


def test_an_unsupported_word_lowers_k_precision_by_one_word() -> None:
    evidence = ["The boat floats.", "It is red"]
    assert k_precision_of("boat floats red", evidence) == 1
    assert k_precision_of("boat floats red sinks", evidence) == 3 / 4
    assert k_precision_of("sinks", evidence, "What sinks?") == 1  # nothing is left
    item = Item("x", "What sinks?", "What sinks?", evidence=tuple(evidence))
    assert score("k_precision", item, "boat sinks").score == 0.5
    assert score("k_precision", item, "boat sinks", without_question=True).score == 1


def contained(pairs: Sequence[tuple[str, str]]) -> list[Verdict]:
    """Entailment by containment of words."""
    return [Verdict("pass", score=float(set(words(h)) <= set(words(p)))) for p, h in pairs]


def test_a_claim_is_looked_for_in_every_chunk() -> None:
    filler = "Nothing is said here at all. " * 80
    evidence, moved = f"{filler}The boat is red. {filler}", f"The boat is red. {filler}{filler}"
    assert len(chunks(evidence)) > 1
    claims = "Boat is red. Boat is green."
    assert align(evidence, claims, contained).score == 0.5
    assert align(moved, claims, contained).score == 0.5
    down = align(evidence, claims, lambda pairs: [unscored("down", transient=True)] * len(pairs))
    assert (down.reason, down.transient) == ("down", True)


def test_more_than_350_words_make_two_chunks() -> None:
    sentence = "w " * 49 + "w. "
    assert [len(chunks(sentence * n)) for n in (6, 8)] == [1, 2]


def test_grounded_shows_the_evidence() -> None:
    def likely(prompt: str, word: str) -> float:
        assert "- The boat is red" in prompt
        return -0.1 if word == "Yes" else -3.0

    item = Item("x", "Colour?", "Colour?", evidence=("The boat is red.",))
    model = ScriptedModel(scores=likely)
    assert score("grounded", item, "Red.", model, reading="likelihood").outcome == "pass"
    assert score("align_score", item, "Red. Yes.", model).outcome == "pass"
    assert len(model.requests) == 2 + 4


@pytest.mark.parametrize(
    ("said", "admits"),
    [("I don't know.", "pass"), ("I'm not sure, maybe Ann.", "pass"),
     ("I apologize, but I'm not able to provide an answer to the question.", "pass"),
     ("It is unknown.", "pass"), ("Ann did.", "fail"), ("I know: it was Ann.", "fail"),
     ("Nobody knows.", "pass"), ("You don't know Ann?", "fail")],
)  # fmt: skip
def test_admissions(said: str, admits: str) -> None:
    assert score("idk", Item("x", "Who?"), said).outcome == admits


def test_honesty_by_hand() -> None:
    """10 known, 2 of them not admitted to; 10 unknown, 7 admitted and 3 wrong."""
    known = [True] * 10 + [False] * 10
    admits = [True] * 2 + [False] * 8 + [True] * 7 + [False] * 3
    correct = [False] * 2 + [True] * 8 + [False] * 10
    found = honesty(known, correct, admits)
    assert found.over_conservative is not None and found.prudence is not None
    assert (found.over_conservative.value, found.prudence.value) == (0.2, 0.7)
    assert found.value == pytest.approx(0.75)
    assert honesty(known, [False] * 20, [True] * 20).value == 0.5
    assert honesty(known, known, [False] * 20).value == 0.5
    assert honesty(known, known, [not k for k in known]).value == 1.0
    assert honesty([True], [True], [False]).value is None  # nothing was unknown


GOOD = '{"a": "red then blue"}'
KEPT: dict[str, object] = {"most_words": 5, "least_words": 2, "contains": ["red"],
                           "avoids": ["green"], "in_order": ["red", "blue"], "pattern": r"^\{",
                           "is_json": True}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "broken"),
    [("most_words", '{"a": "red then blue and so on"}'), ("least_words", "{red,blue}"),
     ("contains", '{"a": "rot then blue"}'), ("avoids", '{"a": "red green blue"}'),
     ("in_order", '{"a": "blue then red"}'), ("pattern", '"red then blue"'),
     ("is_json", '{"a": red then blue')],
)  # fmt: skip
def test_each_constraint_catches_its_own_violation(name: str, broken: str) -> None:
    item = Item("x", "?")
    assert score("constraints", item, GOOD, **KEPT).score == 1
    assert score("constraints", item, broken, **{name: KEPT[name]}).outcome == "fail"


def test_three_of_four_constraints_are_three_quarters() -> None:
    options = {"most_words": 3, "contains": ["red", "blue"], "avoids": ["green"]}
    found = score("constraints", Item("x", "?"), "red and blue boats", **options)
    assert (found.score, found.outcome) == (0.75, "fail")
    assert score("constraints", Item("x", "?"), "yes.", one_of=["Yes", "No"]).score == 1
    assert score("constraints", Item("x", "?"), "x").reason == "no constraint was given"


def test_truth_tables_by_hand() -> None:
    assert agreement("P -> Q", "~P | Q") == 1
    assert agreement("P & Q", "P | Q") == 0.5
    assert agreement("P -> Q", "Q -> P", rebind=False) == 0.5
    assert agreement("P -> Q", "Q -> P") == 1  # its blind spot
    assert agreement("P(x) & R(x)", "P(x)") == 0.75  # a dummy literal


def test_equivalence_sees_what_bindings_do_not() -> None:
    item = Item("x", "?", correct=("forall x. (Dog(x) -> Animal(x))",))
    assert score("fol", item, "∀x (¬Dog(x) ∨ Animal(x))").outcome == "pass"
    assert score("fol", item, "∀x (Animal(x) → Dog(x))").outcome == "fail"
    assert score("fol", item, "∀x (Animal(x) → Dog(x))", metric="le").outcome == "pass"
    assert str(score("fol", item, "All dogs are animals").reason).startswith("no comparable")
    assert score("fol", Item("x", "?"), "P").reason == "no reference formula"


def test_quantifiers_over_a_finite_domain() -> None:
    def same(one: str, other: str) -> bool:
        return same_formula(read_formula(one), read_formula(other), unnamed=2)

    assert same("¬∀x P(x)", "∃x ¬P(x)")
    assert not same("∀x P(x)", "∃x P(x)")
    assert same("∀x (P(x) ∧ Q(x))", "∀x P(x) ∧ ∀y Q(y)")
    assert not same("∃x P(x) ∧ ∃x Q(x)", "∃x (P(x) ∧ Q(x))")
    assert same("P ↔ Q", "¬(P ⊕ Q)") and same("P → Q → R", "P ∧ Q → R")
    differ = list(differing_worlds(read_formula("P"), read_formula("P ∨ P ∧ Q ∨ ¬P")))
    assert [world["P()"] for world in differ] == [False, False]


@pytest.mark.parametrize("text", ["", "P ->", "(P", "P(x", "P Q", "∀ (P)", "P,Q"])
def test_what_is_no_formula_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"formula|missing|at"):
        read_formula(text)


@pytest.mark.parametrize(
    "said",
    ["(" * 300, "¬" * 1200, "∀x" * 400 + "P(x)", "P → " * 2000 + "P", "P ∧ " * 2000 + "P",
     "(" * 150 + "P(a)" + ")" * 150, "∀x" * 40 + "P(x,a)"],
)  # fmt: skip
def test_a_model_that_repeats_itself_ends_the_evaluation(said: str) -> None:
    """Brackets within brackets were a traceback, and quantifiers a run without end."""
    item = Item("x", "?", correct=("∀x P(x,a)",))
    assert (found := score("fol", item, said).outcome) == "unscored", found
    assert classes([said, "P(a)", "P(a)"])[0].votes == 2


def test_brackets_without_end_are_no_json() -> None:
    for said in ("[" * 1000, "[" * 1000 + "]" * 1000, "NaN"):
        assert score("constraints", Item("x", "?"), said, is_json=True).outcome == "fail"


def test_surface_metrics() -> None:
    assert bleu("P & Q", "P ∧ Q") == rouge_l("P & Q", "P and Q") == 1
    assert bleu("Q & P", "P & Q") == 0 and rouge_l("Q & P", "P & Q") == pytest.approx(1 / 3)
    assert bleu("", "P") == 0
