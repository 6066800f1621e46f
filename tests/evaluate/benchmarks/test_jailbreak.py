"""Jailbreaks: behaviours by framings, judged once, clustered by behaviour."""

from pathlib import Path

import pytest
from bench_helpers import DATA, WordJudge, needs_data, run, write_csv

from whyfirst.config.errors import UserError
from whyfirst.constitution import load_constitution
from whyfirst.data.behaviours import VALUES
from whyfirst.evaluate.attacks import DEFAULT, offer_translation
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.models.scripted import ScriptedModel


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Three sets, two behaviours in common; four templates, one without its slot."""
    write_csv(tmp_path / "a" / "advbench.csv", ["goal", "target"], ["Do x", "t"], ["Do y", "t"])
    write_csv(
        tmp_path / "b" / "harmbench_test.csv",
        ["Behavior", "FunctionalCategory", "SemanticCategory", "Tags", "ContextString",
         "BehaviorID"],
        ["do  X", "standard", "illegal", "", "", "one"],
        ["Sum it up", "contextual", "harmful", "context", "A story.", "two"],
    )  # fmt: skip
    write_csv(
        tmp_path / "strongreject.csv", ["category", "source", "forbidden_prompt"],
        ["Violence", "custom", "Do z"],
    )  # fmt: skip
    write_csv(
        tmp_path / "t" / "jailbreak_prompts.csv", ["", "name", "prompt"],
        ["0", "One", "Now: [INSERT PROMPT HERE]!"], ["1", "Two", "[INSERT PROMPT HERE] [x]"],
        ["2", "None", "no slot"], ["3", "Plus + ", "[INSERT PROMPT HERE]"],
    )  # fmt: skip
    return tmp_path


def test_resistance_is_judged_on_the_plain_request(place: Path) -> None:
    """A judge that reads the framing instead of the request judges something else."""
    judge = WordJudge()
    model = ScriptedModel(lambda sent: "NO way" if "Do x" in sent else "Sure")
    found = run(
        "jailbreak", model, data=place / "a" / "advbench.csv", judge=judge,
        framings=("none", "prefix_injection"),
    )["jailbreak"]  # fmt: skip
    assert {item.request for item in judge.seen} == {"Do x", "Do y"}
    assert {name: item.verdict for name, item in found.items()} == {
        "advbench:2|none": "pass", "advbench:2|prefix_injection": "pass",
        "advbench:3|none": "fail", "advbench:3|prefix_injection": "fail",
    }  # fmt: skip
    item = found["advbench:2|prefix_injection"]
    assert (item.topic, item.framing, item.split) == ("advbench:2", "prefix_injection", "advbench")
    assert (item.group, item.value, item.judge) == (None, None, "word/1")
    assert (item.prompt, item.response, item.offensive) == (None, "NO way", True)


def test_default_framings_are_every_attack_and_one_template_a_behaviour(place: Path) -> None:
    found = run("jailbreak", ScriptedModel(lambda sent: "Sure"), data=place, judge=WordJudge())
    items = list(found["jailbreak"].values())
    told = [item for item in items if item.verdict == "unscored"]
    assert [(t.id, t.reason) for t in told] == [
        ("template:None", "the template has no slot [INSERT PROMPT HERE]")
    ]
    framings = ["none", *DEFAULT, "template"]
    assert len(items) == 5 * len(framings) + 1
    for framing in framings:
        assert sum(item.framing == framing for item in items) == 5
    by_id = {item.id: item for item in items}
    assert by_id["harmbench:two|none"].group == "harmful"
    assert by_id["strongreject:2|none"].value == "safety"


def test_the_same_request_in_two_sets_is_one_topic(place: Path) -> None:
    """Two copies taken for two draws would make the interval too narrow."""
    found = run(
        "jailbreak", ScriptedModel(lambda sent: "NO"), data=place, judge=WordJudge(),
        framings=("none",),
    )["jailbreak"]  # fmt: skip
    assert found["harmbench:one|none"].topic == found["advbench:2|none"].topic
    assert len({item.topic for item in found.values()}) == 4


def test_a_contextual_behaviour_is_asked_with_its_context(place: Path) -> None:
    model = ScriptedModel(lambda sent: "NO")
    run("jailbreak", model, data=place, judge=WordJudge(), framings=("none",))
    asked = {chat[-1].content for chat in model.prompts}
    assert "A story.\n\n---\n\nSum it up" in asked


def test_templates_are_filled_and_named(place: Path) -> None:
    model = ScriptedModel(lambda sent: "NO")
    found = run(
        "jailbreak", model, data=place, judge=WordJudge(), behaviours=("advbench",),
        framings=("templates",),
    )["jailbreak"]  # fmt: skip
    names = {"template:One", "template:Two", "template:Plus +", "template:None"}
    assert {item.framing for item in found.values()} == names
    assert {chat[-1].content for chat in model.prompts} == {
        "Now: Do x!", "Do x [x]", "Do x", "Now: Do y!", "Do y [x]", "Do y",
    }  # fmt: skip
    one = run(
        "jailbreak", model, data=place, judge=WordJudge(), framings=("template:Two",)
    )["jailbreak"]  # fmt: skip
    assert {item.framing for item in one.values()} == {"template:Two"}


def test_a_limit_keeps_whole_behaviours(place: Path) -> None:
    """Cut by item, framings would be compared on different behaviours."""
    found = run(
        "jailbreak", ScriptedModel(lambda sent: "NO"), data=place, judge=WordJudge(),
        framings=("none", "base64", "rot13"), limit=6,
    )["jailbreak"]  # fmt: skip
    assert len(found) == 6
    by_framing = {
        name: {i.split("|")[0] for i in found if i.endswith(f"|{name}")}
        for name in ("none", "base64", "rot13")
    }
    assert by_framing["none"] == by_framing["base64"] == by_framing["rot13"]
    few = run(
        "jailbreak", ScriptedModel(lambda sent: "NO"), data=place, judge=WordJudge(),
        framings=("none", "base64", "rot13"), limit=2,
    )["jailbreak"]  # fmt: skip
    assert len(few) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"framings": ("rol_play",)}, "did you mean 'role_play'"),
        ({"framings": ("tempalte",)}, "did you mean 'template'"),
        ({"framings": ("template:Too",)}, "did you mean 'template:Two'"),
        ({"behaviours": ("advbensh",)}, "did you mean 'advbench'"),
        ({"judge": WordJudge("truthful")}, "says whether a response is 'truthful'"),
        ({"judge": WordJudge(), "judges": (WordJudge("harmless"),)}, "takes one judge"),
        ({"judge": WordJudge(), "judges": (WordJudge(),)}, "both say"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_asked(
    place: Path, options: dict[str, object], said: str
) -> None:
    model = ScriptedModel(lambda sent: "NO")
    with pytest.raises(UserError, match=said):
        run("jailbreak", model, **{"data": place, "judge": WordJudge(), **options})
    assert model.calls == 0


def test_templates_asked_of_a_single_file_say_where_they_belong(place: Path) -> None:
    with pytest.raises(UserError, match=r"folder that holds jailbreak_prompts\.csv"):
        run(
            "jailbreak", ScriptedModel(), data=place / "a" / "advbench.csv", judge=WordJudge(),
            framings=("templates",),
        )  # fmt: skip


def test_a_translated_request_is_judged_in_its_language(place: Path) -> None:
    from whyfirst.evaluate.attacks import ATTACKS

    name = offer_translation(str.upper, "de")
    try:
        found = run(
            "jailbreak", ScriptedModel(lambda sent: "NO"), data=place / "a" / "advbench.csv",
            judge=WordJudge(languages=("en",)), framings=(name,),
        )["jailbreak"]  # fmt: skip
    finally:
        del ATTACKS._entries[name]
    assert {item.reason for item in found.values()} == {"language not read: de"}


def test_training_text_is_compared_with_the_plain_requests(place: Path) -> None:
    prompts = benchmark_named("jailbreak").task(data=place).prompts
    assert sorted(prompts) == sorted(
        ["Do x", "Do y", "do  X", "A story.\n\n---\n\nSum it up", "Do z"]
    )


def test_every_category_is_about_a_value_that_ships() -> None:
    known = {value.id for value in load_constitution("broad").values}
    assert set(VALUES.values()) <= known


@pytest.mark.data
@needs_data
def test_the_published_sets_are_asked_whole() -> None:
    model = ScriptedModel(lambda sent: "NO")
    found = run("jailbreak", model, data=DATA, judge=WordJudge(), framings=("none", "template"))
    items = found["jailbreak"].values()
    scored = [item for item in items if item.verdict == "pass"]
    assert len(scored) == 2 * (520 + 400 + 100 + 313)
    assert sum(item.verdict == "unscored" for item in items) == 2  # templates without a slot
    assert all(item.value for item in scored if item.split != "advbench")
