"""Numbers and verdicts in words: a wrong sign, unit or claim would mislead every reader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.evaluate.benchmarks.perplexity import COMPRESSED
from whyfirst.report import words
from whyfirst.report.answer import Answer, answer
from whyfirst.report.conduct import base_losses
from whyfirst.report.parts import BOTH_WAYS
from whyfirst.report.schema import Benchmark, Cell, Results


def plain(text: str) -> str:
    return text.replace(words.SPACE, " ")


def answer_with(data: dict[str, Any], name: str = "", **changes: Any) -> Answer:
    """The answer after changing one contrast (the headline's unless named)."""
    for contrast in data["contrasts"]:
        if contrast["name"] == (name or data["headline"]):
            contrast.update(changes)
    return answer(Results.model_validate(data))


def check(found: Answer, question: str) -> tuple[str, str]:
    match = next(c for c in found.checks if c.question.startswith(question))
    return match.tone, plain(match.text)


def test_numbers_read_as_written_by_hand() -> None:
    assert plain(words.percent(0.78249)) == "78.2 %"
    assert words.points(0.241) == "+24.1"
    assert words.points(-0.0094) == "−0.9"
    assert words.points(-0.0001) == "0.0"
    assert words.percent(None) == "n/a"
    assert plain(words.p_text(0.00004)) == "p < 0.001"
    assert plain(words.p_text(0.0321)) == "p = 0.032"
    assert plain(words.p_text(0.839)) == "p = 0.84"
    assert words.plural(1, "seed") == "1 seed"
    assert words.plural(6720, "item") == "6,720 items"


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("*/*", "all items"),
        ("B/*", "split B"),
        ("*/plain", "asked plainly"),
        ("B/authority", "split B, authority framing"),
        ("B+C/unseen", "splits B and C, unseen framings"),
        ("A+B+C/game+pity", "splits A, B and C, game and pity framings"),
    ],
)
def test_cells_in_words(cell: str, said: str) -> None:
    assert words.cell_words(cell) == said


@given(st.floats(-1, 1))
def test_a_difference_never_loses_its_sign(value: float) -> None:
    text = words.points(value)
    assert text.startswith("+") == (round(value * 100, 1) > 0)
    assert text.startswith(words.MINUS) == (round(value * 100, 1) < 0)


def test_a_gain_is_said_with_its_size(data: dict[str, Any]) -> None:
    found = answer_with(data, difference=0.1, low=0.05, high=0.15)
    assert plain(found.title) == (
        "Teaching the reasons first: harmful requests refused up by 10.0 points"
    )
    assert found.tone == "good"
    assert "95 % interval +5.0 to +15.0" in plain(found.sentence)


def test_a_loss_is_said_as_a_loss(data: dict[str, Any]) -> None:
    found = answer_with(data, difference=-0.1, low=-0.15, high=-0.05)
    assert plain(found.title).endswith("down by 10.0 points")
    assert found.tone == "bad"


def test_an_interval_round_zero_is_no_detectable_difference(data: dict[str, Any]) -> None:
    found = answer_with(data, difference=0.02, low=-0.01, high=0.05)
    assert "no detectable difference" in found.title
    assert found.tone == "plain"


def test_lower_is_better_turns_the_verdict_round(data: dict[str, Any]) -> None:
    data["benchmarks"]["resistance"]["higher_is_better"] = False
    assert answer_with(data, difference=0.1, low=0.05, high=0.15).tone == "bad"


def test_a_difference_lost_to_correction_is_said(data: dict[str, Any]) -> None:
    found = answer_with(data, difference=0.03, low=0.001, high=0.06, p=0.04, p_adjusted=0.2)
    assert "not detectable after Holm's correction, p = 0.20" in plain(found.sentence)


def test_refusing_everything_is_not_hidden_by_a_gain(data: dict[str, Any]) -> None:
    found = answer_with(
        data, "explain_first-direct-helpfulness", difference=-0.3, low=-0.35, high=-0.25
    )
    tone, text = check(found, "Does the model still act?")
    assert tone == "bad"
    assert "It acts less" in text


def test_a_control_that_does_as_well_is_named(data: dict[str, Any]) -> None:
    found = answer_with(
        data, "explain_first-neutral_first-resistance", difference=0.01, low=-0.02, high=0.04
    )
    tone, text = check(found, "Is it the reasons")
    assert tone == "caution"
    assert "better than 3 of 4 controls" in text
    assert "neutral_first +1.0 (−2.0 to +4.0, not detectable)" in text


@pytest.mark.parametrize(
    ("first", "other", "tone"),
    [((0.7, 0.9), (0.1, 0.3), "good"), ((0.7, 0.9), (0.5, 0.65), "caution"),
     ((0.4, 0.6), (0.45, 0.65), "plain"), ((0.48, 0.52), (0.47, 0.53), "bad"),
     ((0.1, 0.3), (0.7, 0.9), "bad")],
)  # fmt: skip
def test_two_sided_test_needs_both_sides(
    data: dict[str, Any], first: tuple[float, float], other: tuple[float, float], tone: str
) -> None:
    for arm, (low, high) in (("explain_first", first), ("explain_other_first", other)):
        data["arms"][arm]["benchmarks"]["conflict"]["*/*"].update(
            low=low, high=high, value=(low + high) / 2
        )
    pair = ("explain_first", "explain_other_first", "conflict")
    for contrast in data["contrasts"]:
        if (contrast["a"], contrast["b"], contrast["benchmark"]) == pair:
            contrast.update(low=first[0] - other[1], high=first[1] - other[0])
    assert check(answer_with(data), "Do the reasons taught decide")[0] == tone


def test_one_seed_is_flagged(data: dict[str, Any]) -> None:
    tone, text = check(answer_with(data, unit="topics", n_seeds=1), "Could it be noise")
    assert tone == "caution"
    assert text.startswith("One seed only")


def test_registration_after_the_first_result_counts_against(data: dict[str, Any]) -> None:
    data["registration"].update(before_first_result=False)
    assert check(answer_with(data), "Was it fixed")[0] == "bad"
    data["registration"].update(registered=False)
    assert "exploratory" in check(answer_with(data), "Was it fixed")[1]


def test_a_stage_out_of_match_is_named(data: dict[str, Any]) -> None:
    data["matching"][1]["ok"] = False
    tone, text = check(answer_with(data), "Did the arms get as much")
    assert tone == "bad"
    assert "explain_first/explain" in text


def test_one_first_stage_for_all_is_not_called_matched(data: dict[str, Any]) -> None:
    """A study without a control was praised for matching an arm with itself."""
    for row in data["matching"]:
        row["stage"] = "explain"
    questions = [one.question for one in answer_with(data).checks]
    assert questions and not any("as much training" in question for question in questions)


def test_other_arms_and_scores_are_said_by_name(data: dict[str, Any]) -> None:
    data["benchmarks"]["resistance"].update(unit="score", title="MC2 mass")
    found = answer_with(data, a="rules_first", difference=0.05, low=0.01, high=0.09)
    assert found.title == "rules_first scored 0.050 higher than direct on MC2 mass"


def test_a_study_without_contrasts_still_has_an_answer(data: dict[str, Any]) -> None:
    data.update(contrasts=[], headline="")
    assert "compares no arms" in answer(Results.model_validate(data)).title


def test_one_training_run_is_no_finding_in_the_title(data: dict[str, Any]) -> None:
    found = answer_with(data, unit="topics", n_seeds=1)
    assert found.title.startswith("One training run, no conclusion.")
    assert found.tone == "caution"


def test_a_loss_of_help_that_is_not_excluded_gets_no_tick(data: dict[str, Any]) -> None:
    name = "explain_first-direct-helpfulness"
    found = answer_with(data, name, difference=-0.49, low=-1.0, high=1.0, mde=1.0)
    tone, text = check(found, "Does the model still act?")
    assert tone == "caution"
    assert "no possible difference would have been found" in text


def test_the_headlines_arms_are_said_over_other_seeds_than_their_difference(
    data: dict[str, Any],
) -> None:
    """explain_first 50 %, direct 31 %, "a difference of +8": direct had a seed more."""
    rows = [
        {"seed": seed, "a": a, "b": b, "difference": a - b, "n_items": 4, "unscored": 0,
         "mcnemar_p": None}
        for seed, a, b in ((0, 0.5, 0.25), (1, 0.7, 0.75))
    ]  # fmt: skip
    found = answer_with(data, per_seed=rows, difference=0.1, low=-0.2, high=0.4, n_seeds=2)
    assert "explain_first 60.0 %, direct 50.0 %, a difference of +10.0 points" in plain(
        found.sentence
    )


def test_the_headlines_arms_are_said_over_other_answers_than_their_difference(
    data: dict[str, Any],
) -> None:
    """explain_first 90 %, direct 50 %, "a difference of +10": half of direct's were unscored."""
    for arm, value in (("explain_first", 0.9), ("direct", 0.5)):
        cell = data["arms"][arm]["benchmarks"]["resistance"]["B+C/unseen"]
        cell.update(value=value, n_seeds=1)
    row = {"seed": 0, "a": 0.6, "b": 0.5, "difference": 0.1, "n_items": 4, "unscored": 4,
           "mcnemar_p": None}  # fmt: skip
    found = answer_with(data, per_seed=[row], difference=0.1, low=-0.2, high=0.4, n_seeds=1)
    said = "explain_first 60.0 %, direct 50.0 %, a difference of +10.0 points"
    assert said in plain(found.sentence)


def test_complying_with_everything_is_praised_as_help(data: dict[str, Any]) -> None:
    headline = next(c for c in data["contrasts"] if c["name"] == data["headline"])
    helps = next(
        c for c in data["contrasts"]
        if (c["a"], c["b"], c["benchmark"]) == (headline["a"], headline["b"], "helpfulness")
    )  # fmt: skip
    helps.update(difference=0.2, low=0.1, high=0.3)
    tone, text = check(answer_with(data, difference=-0.4, low=-0.5, high=-0.3), "Does the model")
    assert tone == "caution" and "plain compliance" in text
    tone, _ = check(answer_with(data, difference=0.4, low=0.3, high=0.5), "Does the model")
    assert tone == "good"


def test_one_seed_claims_what_it_would_have_found(data: dict[str, Any]) -> None:
    """Its interval is over topics; another run may go the other way."""
    _, text = check(answer_with(data, unit="topics", n_seeds=1), "Could it be noise")
    assert "would have been found" not in text
    for arm in ("explain_first", "explain_other_first"):
        data["arms"][arm]["benchmarks"]["conflict"]["*/*"]["n_seeds"] = 1
    tone, text = check(answer_with(data), "Do the reasons")
    assert tone == "caution" and "One training run" in text


def over_refusal(data: dict[str, Any], base: float, others: float) -> dict[str, Any]:
    """A benchmark whose item passes when a safe prompt is refused, in every arm."""
    data["benchmarks"]["over"] = {
        "title": "Over-refusal", "definition": "safe prompts refused", "version": "1",
        "higher_is_better": False, "unit": "proportion", "happened": ["refused", "answered"],
    }  # fmt: skip
    for name, arm in data["arms"].items():
        value = base if name == "base" else others
        arm["benchmarks"]["over"] = {"*/*": {
            "value": value, "low": max(0.0, value - 0.05), "high": min(1.0, value + 0.05),
            "n": 250, "unscored": 0, "n_seeds": 2, "worst": value, "best": value,
        }}  # fmt: skip
    return data


def test_arms_that_broke_alike_are_held_against_the_base(data: dict[str, Any]) -> None:
    """Over-refusal rose from 0 to 72.7 % in every trained arm: "No detectable loss"."""
    tone, text = check(answer_with(over_refusal(data, 0.0, 0.727)), "Did training break")
    assert tone == "bad"
    assert "Over-refusal: 0.0" in text
    assert "72.7 % to 72.7 % in every trained arm" in text
    tone, text = check(answer_with(over_refusal(data, 0.0, 0.04)), "Did training break")
    assert "Over-refusal" not in text
    # From 5 % (0 to 10) to 16 (11 to 21) is seen, to 16 (8 to 21) is not sure.
    seen = over_refusal(data, 0.05, 0.16)
    assert check(answer_with(seen), "Did training break")[0] == "bad"
    for name in set(seen["arms"]) - {"base"}:
        seen["arms"][name]["benchmarks"]["over"]["*/*"]["low"] = 0.08
    tone, text = check(answer_with(seen), "Did training break")
    assert tone == "caution" and "overlap" in text and "Over-refusal: 5.0 % in base" in text


def test_two_arms_at_the_end_of_the_scale_cannot_move(data: dict[str, Any]) -> None:
    for arm in ("explain_first", "direct"):
        data["arms"][arm]["benchmarks"]["resistance"]["B+C/unseen"]["value"] = 1.0
    found = answer_with(data, difference=0.0, low=0.0, high=0.0, p=1.0)
    assert found.title.startswith("No difference can show")
    assert "both arms at 100" in found.title
    assert found.tone == "caution"


def test_a_first_stage_that_taught_nothing_is_told(data: dict[str, Any]) -> None:
    row = {"value": 3.2, "low": 3.1, "high": 3.3, "n": 200, "n_seeds": 2, "title": "held-out loss",
           "unit": "score", "higher_is_better": False}  # fmt: skip
    data["recall"] = {"base": {"loss": row}, "explain_first": {"loss": row}}
    assert check(answer_with(data), "Did the first stage")[0] == "caution"
    less = row | {"value": 2.2, "low": 2.1, "high": 2.3}
    data["recall"]["explain_first"] = {"loss": less}
    tone, text = check(answer_with(data), "Did the first stage")
    assert tone == "good"
    assert "2.200 (3.200 in base)" in text


def test_what_the_seam_measured_of_the_base_is_no_unasked_arm(data: dict[str, Any]) -> None:
    """A study of a real model has no arm that was asked untrained; the base stands beside it."""
    row = {"value": 0.030, "low": 0.028, "high": 0.032, "n": 200, "n_seeds": 2,
           "title": "probability a token", "unit": "score", "higher_is_better": True}  # fmt: skip
    was = row | {"value": 0.018, "low": 0.016, "high": 0.020}
    data["recall"] = {"explain_first": {"held_out_documents": row,
                                        "held_out_documents_before": was}}  # fmt: skip
    tone, text = check(answer_with(data), "Did the first stage")
    assert tone == "good" and text.startswith("Yes.") and "0.030 (0.018 in base)" in text


@pytest.mark.parametrize(
    ("gain", "tone", "begins"),
    [((0.318, 0.035, 0.6), "good", "Yes."), ((0.2, -0.1, 0.5), "caution", "Can't tell"),
     ((0.01, -0.03, 0.05), "caution", "No: there was next to nothing")],
)  # fmt: skip
def test_a_gain_in_every_world_is_told_as_nothing_to_use_later(
    data: dict[str, Any], gain: tuple[float, float, float], tone: str, begins: str
) -> None:
    """Two intervals of three worlds each overlap; the paired difference does not reach 0."""
    row = {"value": 0.818, "low": 0.49, "high": 0.95, "n": 300, "n_seeds": 3}
    was = row | {"value": 0.5, "low": 0.2, "high": 0.8}
    paired = row | {"gain": dict(zip(("value", "low", "high"), gain, strict=True))}
    data["recall"] = {"base": {"recall": was}, "explain_first": {"recall": paired}}
    found, text = check(answer_with(data), "Did the first stage")
    assert found == tone and text.startswith(begins), text


def test_a_judge_is_trusted_on_answers_unlike_those_it_was_measured_on(
    data: dict[str, Any],
) -> None:
    for row in data["judges"].values():
        row["kappa"] = {"value": 0.95, "low": 0.9, "high": 0.99}
    data["corrected"] = [row | {"problem": ""} for row in data["corrected"]]
    assert check(answer_with(data), "Can the judge")[0] == "good"
    first = data["corrected"][0]
    first |= {"corrected": None, "problem": "6 of 8 responses are shorter than ..."}
    tone, text = check(answer_with(data), "Can the judge")
    assert tone == "caution" and first["arm"] in text and "unlike" in text
    first["problem"] = BOTH_WAYS
    assert check(answer_with(data), "Can the judge")[0] == "good"


def test_a_doubled_perplexity_breaks_nothing(data: dict[str, Any]) -> None:
    """Ten points of a size mean a perplexity in the hundreds; giving another reason breaks none."""
    trained = [arm for arm in data["arms"] if arm != "base"]
    name = next(iter(data["arms"]["base"]["benchmarks"]))
    for arm, row in data["arms"].items():
        value = 0.128 if arm == "base" else 0.155
        cell = row["benchmarks"][name]["*/*"]
        row["benchmarks"][name] = {"*/*": cell | {
            "value": value, "low": value - 0.005, "high": value + 0.005
        }}  # fmt: skip
    results = Results.model_validate(data)
    size: dict[str, Any] = {"higher_is_better": False, "good": "pass", "readings": None}

    def lost(**more: Any) -> set[str]:
        row = results.benchmarks[name].model_copy(update=size | more)
        changed = {**results.benchmarks, name: row}
        return set(base_losses(results.model_copy(update={"benchmarks": changed}), name))

    assert lost() == set()
    assert lost(much=COMPRESSED.much) == set(trained)
    assert lost(much=COMPRESSED.much, good="neither") == set()


def test_a_correction_is_claimed_only_where_it_was_made(data: dict[str, Any]) -> None:
    data["corrected"] = [row | {"corrected": None, "problem": "p"} for row in data["corrected"]]
    assert "corrected" not in check(answer_with(data), "Can the judge")[1]


@pytest.mark.parametrize(
    ("unit", "higher", "good"),
    [("proportion", True, "pass"), ("proportion", False, "fail"), ("score", False, "pass")],
)
def test_an_older_file_says_which_verdict_is_good(
    data: dict[str, Any], unit: str, higher: bool, good: str
) -> None:
    """Refusing to say how to kill a mosquito was a green pass."""
    row = {
        "title": "t",
        "definition": "d",
        "version": "1",
        "higher_is_better": higher,
        "unit": unit,
    }
    assert Benchmark.model_validate(row).good == good


def test_controls_that_no_correction_covers_pass_as_corrected(data: dict[str, Any]) -> None:
    """Four secondary contrasts at p = .045 were called better after Holm's correction."""
    controls = ("rules_first", "shuffled_first", "neutral_first", "direct_longer")
    for row in data["contrasts"]:
        if row["name"] != data["headline"]:
            row.update(role="secondary", p_adjusted=None)
        if row["b"] in controls:
            row.update(difference=0.03, low=0.001, high=0.059, p=0.045)
    tone, text = check(answer_with(data), "Is it the reasons")
    assert tone == "bad" and "better than none of 4 controls (after Holm's correction)" in text
    # An arm with the same documents and less after them is no control of those documents.
    data["arms"]["rules_first"]["stages"] = ["explain"]
    assert "of 3 controls" in check(answer_with(data), "Is it the reasons")[1]


def test_one_training_run_beats_every_control(data: dict[str, Any]) -> None:
    for row in data["contrasts"]:
        row.update(unit="topics", n_seeds=1, per_seed=row["per_seed"][:1], worlds=None)
    tone, text = check(answer_with(data), "Is it the reasons")
    assert tone == "caution" and "One training run" in text


def test_what_stands_beside_a_headline_is_taken_for_acting(data: dict[str, Any]) -> None:
    """Answering more that is unsafe was told as acting less, from whichever metric came first."""
    data["benchmarks"]["helpfulness"]["acts"] = None
    assert not [c for c in answer_with(data).checks if c.question.startswith("Does the model")]


def test_a_benchmark_on_which_guessing_is_right_half_the_time_cannot_break(
    data: dict[str, Any],
) -> None:
    """HHH falling from 90 to 50 % in every arm was no loss, since it has a chance level."""
    data["benchmarks"]["hhh"] = data["benchmarks"]["why"] | {"title": "HHH", "chance": 0.5}
    for arm, row in data["arms"].items():
        value = 0.9 if arm == "base" else 0.5
        row["benchmarks"]["hhh"] = {"*/*": row["benchmarks"]["why"]["*/*"] | {
            "value": value, "low": value - 0.02, "high": value + 0.02}}  # fmt: skip
    tone, text = check(answer_with(data), "Did training break")
    assert tone == "bad" and "HHH" in text
    # And it is none of two readings.
    data["benchmarks"] = {"hhh": data["benchmarks"].pop("hhh"), **data["benchmarks"]}
    assert "HHH" not in check(answer_with(data), "Do the reasons taught decide")[1]


def test_arms_of_which_nothing_could_be_scored_broke_nothing(data: dict[str, Any]) -> None:
    for arm, row in data["arms"].items():
        for cells in row["benchmarks"].values():
            level = {"value": 0.5, "low": 0.48, "high": 0.52}
            gone = {"value": None, "low": None, "high": None, "unscored": cells["*/*"]["n"]}
            cells["*/*"].update(level if arm == "base" else gone)
    assert check(answer_with(data), "Did training break")[0] == "caution"


def test_two_arms_own_intervals_say_that_they_dont_part(data: dict[str, Any]) -> None:
    """62 % (34 to 90) and 38 % (10 to 66) were "No: they don't part"."""
    data["contrasts"] = [c for c in data["contrasts"] if c["benchmark"] != "conflict"]
    for arm, level in (("explain_first", 0.62), ("explain_other_first", 0.38)):
        cell = data["arms"][arm]["benchmarks"]["conflict"]["*/*"]
        cell.update(value=level, low=level - 0.28, high=level + 0.28)
    assert check(answer_with(data), "Do the reasons taught decide")[0] == "plain"


def test_a_plan_amended_with_results_at_hand_was_fixed_before_looking(
    data: dict[str, Any],
) -> None:
    data["registration"].update(deviations=[], before_first_result=True, amendments=[])
    assert check(answer_with(data), "Was it fixed")[0] == "good"
    late = {"at": "2025-01-02T00:00:00", "reason": "x", "sha256": "a" * 64,
            "changes": ["headline"], "results": 90, "looks": 0}  # fmt: skip
    data["registration"]["amendments"] = [late]
    tone, text = check(answer_with(data), "Was it fixed")
    assert tone == "caution" and "with results at hand" in text
    data["registration"].update(amendments=[], before_first_result=None)
    assert check(answer_with(data), "Was it fixed")[0] == "caution"


def test_an_answer_without_a_score_counts_as_one(data: dict[str, Any]) -> None:
    cell = Cell(value=0.5, low=0.1, high=0.9, n=30, unscored=18, n_seeds=3, worst=0.2, best=0.8)
    assert "12 answers, 3 seeds" in words.scored(cell, None)
