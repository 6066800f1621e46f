"""Plans: what a person prunes costs nothing, and coverage is known before anything is asked."""

from collections import Counter
from pathlib import Path

import pytest
from corpus_helpers import HHH, WillingModel, few_ideas, small_plan

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.explain.build import plan_of
from whyfirst.explain.cells import Cell, Dealer, coverage
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.grammar import crafts
from whyfirst.explain.plan import LEVELS, Plan, load_plan, pruned, shipped_levels
from whyfirst.explain.teachers import ModelTeacher, Request, asked_for
from whyfirst.explain.template import phrase, sentence


def _dealt(plan: Plan, count: int, batch: int, seed: int = 0) -> list[Cell]:
    dealer = Dealer(plan, HHH, seed)
    cells: list[Cell] = []
    while len(cells) < count:
        new = dealer.deal(min(batch, count - len(cells)))
        for cell in new:
            dealer.settle(cell, kept=True)
        cells += new
    return cells


def test_every_pair_of_behaviour_and_genre_is_met_before_any_is_met_twice() -> None:
    plan = pruned(shipped_levels(HHH))
    pairs = len(plan.assertions) * len(plan.types.genres)
    cells = _dealt(plan, pairs, 64)
    assert coverage(cells)["behaviour_genre_pairs"] == len(cells) == pairs
    assert len({cell.id for cell in cells}) == pairs


def test_cells_do_not_depend_on_how_many_are_dealt_at_once() -> None:
    plan = pruned(shipped_levels(HHH))
    assert _dealt(plan, 100, 7) == _dealt(plan, 100, 64) != _dealt(plan, 100, 64, seed=1)


def test_what_is_rejected_is_dealt_again_before_what_is_covered_and_not_for_ever() -> None:
    plan = pruned(shipped_levels(HHH, ["honest"]))
    plan = Plan(plan.assertions[:2], plan.types.model_copy(update={"genres": ["essay", "memo"]}),
                plan.subdomains, plan.ideas)  # fmt: skip
    dealer = Dealer(plan, HHH, 0)
    hopeless = (plan.assertions[0].behaviour, "essay")
    kept: Counter[tuple[str, str]] = Counter()
    for _ in range(40):
        (cell,) = dealer.deal(1)
        pair = (cell.behaviour, cell.genre)
        dealer.settle(cell, kept=pair != hopeless)
        kept[pair] += pair != hopeless
    assert sum(kept.values()) >= 20  # half of the draws at the most go to the hopeless pair
    others = [n for pair, n in kept.items() if pair != hopeless]
    assert max(others) - min(others) <= 1


def test_pruning_a_domain_removes_all_that_is_below_it(tmp_path: Path) -> None:
    small_plan(tmp_path)
    place = tmp_path / "plan" / "domains.yaml"
    text = place.read_text()
    place.write_text(text.replace("name: care and health\n  keep: true",
                                  "name: care and health\n  keep: false"))  # fmt: skip
    plan = load_plan(tmp_path / "plan", HHH)
    assert "health" not in {s.domain for s in plan.subdomains}
    assert not any(i.subdomain in ("ward", "pharmacy") for i in plan.ideas)
    assert "health" not in {cell.domain for cell in _dealt(plan, 60, 60)}


def test_an_edited_plan_is_kept_and_each_level_lies_in_a_file(tmp_path: Path) -> None:
    shipped = plan_of(tmp_path, HHH, ["honest"])
    place = tmp_path / "plan"
    assert {p.stem for p in place.glob("*.yaml")} == set(LEVELS)
    small_plan(tmp_path / "edited")
    (tmp_path / "edited" / "plan" / "ideas.yaml").replace(place / "ideas.yaml")
    edited = plan_of(tmp_path, HHH)
    assert {a.value for a in edited.assertions} == {"honest"}
    assert len(edited.ideas) < len(shipped.ideas)
    assert edited.fingerprint == plan_of(tmp_path, HHH, ["honest"]).fingerprint
    with pytest.raises(UserError, match=r"for the values honest; choose another folder"):
        plan_of(tmp_path, HHH, ["helpful"])
    with pytest.raises(UserError, match="no value 'honesty'"):
        plan_of(tmp_path, HHH, ["honesty"])


@pytest.mark.parametrize(
    ("level", "old", "new", "message"),
    [
        ("subdomains", "domain: health", "domain: helth", "no domain 'helth'; did you mean"),
        ("types", "- essay", "- esay", "no genre 'esay'; did you mean 'essay'"),
        ("assertions", "behaviour: admits what it does not know", "behaviour: admits it",
         "no behaviour 'admits it' on that side"),
        ("ideas", "subdomain: ward", "subdomain: wards", "no subdomain 'wards'"),
        ("domains", "name: care", "nam: care", "did you mean 'name'"),
        # The first of two would have been pruned and the second dealt under its name.
        ("subdomains", "id: pharmacy", "id: ward", "'ward' is there twice; keep one"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_level_is_named(
    tmp_path: Path, level: str, old: str, new: str, message: str
) -> None:
    small_plan(tmp_path)
    place = tmp_path / "plan" / f"{level}.yaml"
    place.write_text(place.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=message) as caught:
        load_plan(tmp_path / "plan", HHH)
    assert f"{level}.yaml" in str(caught.value)


def test_a_plan_with_nothing_left_is_refused(tmp_path: Path) -> None:
    small_plan(tmp_path)
    place = tmp_path / "plan" / "domains.yaml"
    place.write_text(place.read_text().replace("keep: true", "keep: false"))
    with pytest.raises(ConfigError, match="no ideas left"):
        load_plan(tmp_path / "plan", HHH)


def test_every_document_is_asked_for_the_same_reasons() -> None:
    """Before any behaviour meets a genre twice, a model is asked for all that there is to say."""
    plan = few_ideas()
    cells = _dealt(plan, 600, 64)
    assert {cell.number for cell in cells} == {0}
    asked: dict[Corpus, set[str]] = {}
    for corpus in ("explanations", "shuffled", "neutral", "wrong_reason"):
        texts = [asked_for(Request(cell, corpus), HHH, plan, 0)[-1].content for cell in cells]
        values = [*HHH.values, *crafts()]
        said = [s for v in values for s in (*map(sentence, v.reasons), *v.upheld_by)]
        said += [phrase(case.case) for v in values for case in v.boundaries]
        asked[corpus] = {s for s in said if any(s in text for text in texts)}
    own = {sentence(r) for value in HHH.values for r in value.reasons}
    cases = {phrase(case.case) for value in HHH.values for case in value.boundaries}
    assert own | cases <= asked["explanations"] and own <= asked["shuffled"]
    assert {b for craft in crafts() for b in craft.upheld_by} <= asked["neutral"]
    assert {sentence(r) for craft in crafts() for r in craft.reasons} <= asked["wrong_reason"]


def test_a_neutral_document_is_recorded_under_another_behaviour_than_asked_for() -> None:
    plan, model = few_ideas(), WillingModel()
    teacher = ModelTeacher(model, "willing", HHH, plan, 0)
    requests = [Request(cell, "neutral") for cell in _dealt(plan, 40, 8)]
    answers = [answer for _, answer in teacher.answers(requests)]
    for prompt, answer in zip(model.asked, answers, strict=True):
        assert answer.behaviour and f" {answer.behaviour}." in prompt[-1].content
