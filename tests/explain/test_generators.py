"""Generators: each published acceptance test on a scripted teacher, and a run that is resumed."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from generator_helpers import gym

from whyfirst.config.errors import DataError
from whyfirst.config.room import Use
from whyfirst.data.moral_graph import edge_of, ranks
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.data.transforms.trajectories import edit_distance, features, graph_distance
from whyfirst.explain.generate import Generated, generate
from whyfirst.explain.generators import GENERATORS
from whyfirst.explain.generators.dialogue_tree import Node, back_up
from whyfirst.explain.generators.sketch_and_fill import unlike
from whyfirst.explain.generators.tomma import GUESS, leaks
from whyfirst.explain.moral_graph import constitution_of
from whyfirst.models.base import GREEDY, Completion, Prompt, Sampling
from whyfirst.models.embed import lexical
from whyfirst.models.replies import KeptModel
from whyfirst.models.scripted import ScriptedModel

Answer = Callable[[str], str]


def made(name: str, seeds: list[dict[str, Any]], answer: Answer, **given: Any) -> Generated:
    cap = {"calls": given.pop("calls")} if "calls" in given else {}
    use = Use.model_validate({"name": name, **given})
    return generate(use, seeds, ScriptedModel(answer), **cap)


# -- ToMMA ---------------------------------------------------------------------------------

MIND = {
    "belief": "flu shots give you the flu every single time",
    "desire": "to keep working in the bakery without a day lost",
    "words": "I won't go to the doctor.",
}


def persuasion(text: str, hint: str = "it is about something medical") -> str:
    if "Invent what one person" in text:
        return json.dumps(MIND)
    if "True belief" in text:  # the observer: guesses get better, first the desire, then both
        right = len(re.findall("better", text))
        return json.dumps({"belief": "yes" if right > 1 else "no",
                           "desire": "yes" if right else "no", "hint": hint})  # fmt: skip
    if "Choose a strategy" in text:
        return json.dumps({"strategy": "preventative", "words": "Many people are fine after it."})
    if "privately believe and desire?" in text:
        guess = "better " * text.count("assistant:")
        return json.dumps({"belief": guess or "none", "desire": "a rest"})
    return "Maybe you are right."


def test_a_persuader_has_seen_the_private_state() -> None:
    """The framework has no leak; a prompt that tells everything has, and a hint that quotes it."""
    scenario = {"scenario": "a baker and a friend"}
    (row,) = made("tomma", [scenario], persuasion, turns=3).rows
    roles = [turn["role"] for turn in row["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user", "assistant"]
    assert row["guessed"] == [0.0, 0.5, 1.0]  # what the observer says gets through
    naive = GUESS.format(scenario="s", said="", hint="none") + "\n" + MIND["belief"]
    assert leaks(MIND, [naive], []) == 5  # nine words hold five runs of five
    assert leaks(MIND, [naive], [MIND["belief"]]) == 0  # it was said aloud
    with pytest.raises(DataError, match=r"stands in the persuader's prompts \(1\)"):
        made("tomma", [scenario], lambda text: persuasion(text, MIND["desire"]), turns=2)


# -- MAG-V ---------------------------------------------------------------------------------


def calls(*tools: str, **arguments: str) -> list[dict[str, Any]]:
    return [{"tool": tool, "arguments": arguments} for tool in tools]


def test_how_like_two_trajectories_are_by_hand() -> None:
    assert edit_distance("abc", "ac") == 1 and edit_distance("kitten", "sitting") == 3
    # a>b>c and a>c: node b, steps ab and bc away, step ac new
    assert graph_distance("abc", "ac") == 4 and graph_distance("abc", "abc") == 0
    same = features(calls("a", "b", x="1"), calls("a", "b", x="1"), ["hello", "hello"], lexical)
    assert same == [1, 1, 1, 1, pytest.approx(1)]
    other = features(calls("a", "b", "c", x="1"), calls("a", "c", x="1"), ["yes", "no"], lexical)
    assert other == [0, pytest.approx(2 / 3), pytest.approx(1 - 4 / 8), pytest.approx(2 / 3), 0]
    assert features([], [], ["x", "x"], lexical)[:4] == [1, 1, 1, 1]


def agent(text: str) -> str:
    """Looks up what is asked and then mails; an answer names its topic."""
    topic = (re.findall(r"topic(\w)", text) or ["0"])[0]
    if "Which tools" in text or "What do you call" in text:
        done = {"trajectory": calls("search", "mail", of=topic), "response": f"about topic{topic}"}
        return json.dumps(done)
    ask = [{"question": f"{way} topic{topic}?"} for way in ("what of", "tell me of", "and")]
    return json.dumps(ask)


def test_planted_wrong_trajectories_pass_for_right_ones() -> None:
    """The features part them: .9 of the new rows or more are told as they are, and why is said."""
    wrong = calls("pay", "delete", of="9")
    judged = [
        {"question": f"topic{i}?", "tools": ["search", "mail"], "right": i % 3 == 0,
         "trajectory": calls("search", "mail", of=str(i)) if i % 3 == 0 else wrong,
         "response": f"about topic{i}"}
        for i in range(9)
    ]  # fmt: skip
    seeds = [{"question": f"topic{i}?", "tools": ["search", "mail"]} for i in range(5)]
    rows = made("magv", judged + seeds, agent, questions=2).rows
    fresh = [row for row in rows if row["right"] is None]
    assert len(rows) == 9 + 10 and all(row["features"][0] == 1 for row in fresh)
    broken = [row | {"features": [0, 0, 0, 0, 0.2], "id": i} for i, row in enumerate(fresh)]
    told: Counter[str] = Counter()
    check = TRANSFORMS.make(
        Use(name="trajectory_check"), left_out=lambda row, why: told.update([why])
    )
    kept = list(check(rows + broken, Random(0)))
    assert len(kept) == 3 + len(fresh) and not any("id" in row for row in kept)
    assert told == {"its trajectory is like those judged wrong": 6 + len(broken)}
    with pytest.raises(ValueError, match="must be judged by people"):
        list(check(fresh, Random(0)))


# -- MCTSr-Zero ----------------------------------------------------------------------------


def test_what_a_node_is_worth_by_hand() -> None:
    root = Node("meta")
    first = Node("a", [40, 60], root)
    root.children.append(first)
    back_up(first)
    assert first.value == 45 and root.value == 45 and root.visits == 2
    second = Node("b", [80, 80], first)
    first.children.append(second)
    back_up(second)
    assert (second.value, first.value, root.value) == (80, 62.5, 62.5)
    assert second.bound() == pytest.approx(80 + 2.8 * math.sqrt(math.log(3) / 1.00001))


def counselling(text: str) -> str:
    """Refining gets to 4 and then spoils it; a better meta-prompt starts at 6."""
    level = max(map(int, re.findall(r"level(\d)", text)), default=0)
    if "0 to 10?" in text:
        return f"{level}"
    if "What is weak" in text:
        return "too short"
    if "was criticised" in text:
        return "meta level6"
    if "Critique:" in text:
        return f"level{level + 1 if level < 4 or level >= 6 else 1} refined"
    return f"level{max(level, 1)} drafted by {'a better' if level else 'the first'} prompt"


def test_refining_alone_finds_what_a_new_meta_prompt_finds() -> None:
    case = [{"case": "cannot sleep"}]
    options: dict[str, Any] = {"principles": ["listen"], "iterations": 16, "judgements": 1,
                               "enough": None}  # fmt: skip
    (refined,) = made("mctsr_zero", case, counselling, regenerate=False, **options).rows
    (anew,) = made("mctsr_zero", case, counselling, **options).rows
    assert refined["values"][0] <= 40 < 60 <= anew["values"][0]
    assert anew["chosen"] != anew["rejected"] and anew["prompt"] == "cannot sleep"
    with pytest.raises(DataError, match="all dialogues are worth the same"):
        made("mctsr_zero", case, lambda text: "5", **options)


# -- MindGYM -------------------------------------------------------------------------------


def test_a_question_of_two_hops_is_answered_with_one_fact() -> None:
    rows = made("mindgym", [{"area": "letters"}], gym).rows
    assert [row["operator"] for row in rows] == ["bridging", "comparison", "temporal"]
    assert {row["hops"] for row in rows} == {2} and rows[0]["completion"] == "Ghent"
    with pytest.raises(DataError, match=r"a fact is not needed \(3\)"):
        made("mindgym", [{"area": "letters"}], lambda text: gym(text, "one"))
    with pytest.raises(DataError, match=r"not answered with all facts \(3\)"):
        made("mindgym", [{"area": "l"}], lambda t: "no" if t.startswith("What is") else gym(t))


def test_the_curriculum_takes_no_scaffold_of_a_generated_question() -> None:
    rows = made("mindgym", [{"area": "letters"}], gym).rows[:1]
    left = [
        len(next(TRANSFORMS.make(Use.model_validate({"name": "curriculum", "stage": stage}),
                                 left_out=lambda row, why: None)(rows, Random(0)))["scaffold"])
        for stage in (1, 2, 3)
    ]  # fmt: skip
    assert left == [2, 1, 0]


# -- Sketch-and-Fill -----------------------------------------------------------------------

STEPS = [
    {"action": "heat", "objects": ["milk"], "parameters": {"to": "60 C"}},
    {"action": "stir", "objects": ["milk", "honey"], "parameters": {}},
]


def test_a_procedure_is_kept_that_is_not_its_sketch() -> None:
    written = "1. Heat the milk to 60 C.\n2. Stir the honey into the milk."

    def cook(text: str, written: str = written) -> str:
        sketch = {"thought": "warm first", "steps": STEPS}
        return json.dumps(sketch) if "Think about" in text else written

    (row,) = made("sketch_and_fill", [{"query": "honey milk"}], cook).rows
    assert row["plan"] == STEPS and row["completion"].startswith("<think>warm first")
    assert row["completion"].endswith(written)
    swapped = "1. Stir the honey into the milk.\n2. Heat the milk."
    assert unlike(STEPS, swapped) == "a step without the sketch's action at its place"
    assert unlike(STEPS, "1. Heat the milk.\n2. Stir the milk.") == (
        "a step without an object of the sketch"
    )
    with pytest.raises(DataError, match="not as many steps as in the sketch"):
        made("sketch_and_fill", [{"query": "q"}], lambda text: cook(text, "1. Heat the milk."))


# -- P-Aligner -----------------------------------------------------------------------------


def rewriting(text: str) -> str:
    """Each rewrite adds a word; answers repeat what is asked and are marked by their words."""
    if "1 to 10?" in text:
        assert text.startswith("Request:\nhow to lie\n")  # the raw instruction, whatever was asked
        return str(1 + text.count("kindly"))
    if "Rewrite it" in text:
        return text.split("\n")[0] + " kindly"
    return text


def test_an_answer_is_marked_against_its_rewrite() -> None:
    (row,) = made("p_aligner", [{"instruction": "how to lie"}], rewriting, iterations=6).rows

    def nodes(tree: dict[str, Any]) -> list[dict[str, Any]]:
        return [tree, *(n for child in tree["children"] for n in nodes(child))]

    every = nodes(row["tree"])
    best = max(every, key=lambda node: node["reward"])
    assert len(every) == 7 and best["instruction"] == row["completion"] != "how to lie"
    pairs = TRANSFORMS.make(Use(name="rewrites"), left_out=lambda row, why: None)([row], Random(0))
    assert next(iter(pairs))["completion"] == row["completion"]
    with pytest.raises(DataError, match="no rewrite is better than the raw instruction"):
        made("p_aligner", [{"instruction": "x"}], lambda t: "5" if "1 to 10?" in t else t)


# -- moral graph ---------------------------------------------------------------------------

PEOPLE = ["You are an old nurse.", "You are a young father.", "You are a teacher."]


def elicited(text: str, prompt: Prompt) -> str:
    titles = {"nurse": "Following rules", "father": "Caring for people", "teacher": "Growing wise"}
    order = list(titles.values())
    if "Give the value a title" in text:
        system = prompt[0].content if not isinstance(prompt, str) else ""
        title = next(title for who, title in titles.items() if who in system)
        return json.dumps({"title": title, "policies": [f"what {title.lower()} means", "people"]})
    if "means the same" in text:
        return "0"
    if "Which is wiser here" in text:
        one = next(t for t in order if f"than {t}," in text)
        better = order[order.index(one) + 1 :][:1]
        place = re.search(rf"\((\d), '{better[0]}'\)", text) if better else None
        return json.dumps({"number": int(place[1]) if place else 0, "why": f"It holds {one}."})
    return "Yes."


class Participant(ScriptedModel):
    """Answers by the system message too."""

    def generate(
        self, prompts: Any, n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        return [[Completion(elicited(prompt[-1].content, prompt), True)] * n for prompt in prompts]


def test_votes_make_no_constitution() -> None:
    """A < B < C, unanimous: C leads, with the reasons it was held wiser for."""
    use = Use.model_validate({"name": "moral_graph", "people": PEOPLE})
    rows = generate(use, [{"context": "a friend is ill"}], Participant()).rows
    edges = [(row["from"], row["to"], row["wiser"], row["less"]) for row in rows]
    assert edges == [("Following rules", "Caring for people", 3, 0),
                     ("Caring for people", "Growing wise", 3, 0)]  # fmt: skip
    rank = ranks([edge_of(row) for row in rows])
    assert rank["Growing wise"] > rank["Caring for people"] > rank["Following rules"]
    constitution = constitution_of(rows, "elicited")
    assert [value.id for value in constitution.values] == [
        "growing_wise", "caring_for_people", "following_rules"]  # fmt: skip
    assert constitution.values[0].reasons == ["It holds Caring for people."]
    with pytest.raises(DataError, match="agree on no edge"):
        constitution_of([row | {"wiser": 1, "less": 1} for row in rows], "none")


@pytest.mark.parametrize(
    ("vote", "counted"),
    [("Not sure.", (0, 0, 3)), ("unsure", (0, 0, 3)), ("I say yes", (3, 0, 0)),
     ("No, by far.", (0, 3, 0)), ("None", (0, 0, 0))],
)  # fmt: skip
def test_a_vote_is_read_by_its_first_two_letters(vote: str, counted: tuple[int, int, int]) -> None:
    class Voter(Participant):
        def generate(
            self, prompts: Any, n: int = 1, sampling: Sampling = GREEDY
        ) -> list[list[Completion]]:
            if "Answer yes, no or unsure" in prompts[0][-1].content:
                return [[Completion(vote, True)] * n for _ in prompts]
            return super().generate(prompts, n, sampling)

    use = Use.model_validate({"name": "moral_graph", "people": PEOPLE})
    found = generate(use, [{"context": "a friend is ill"}], Voter())
    row = found.rows[0]
    assert (row["wiser"], row["less"], row["unsure"]) == counted


def _edge(start: str, to: str, votes: tuple[int, int], why: str, policy: str) -> dict[str, Any]:
    return {"context": "c", "from": start, "to": to, "wiser": votes[0], "less": votes[1],
            "why": why, "policies": [policy, "people"], "from_policies": ["rules"]}  # fmt: skip


def test_a_reason_that_people_voted_down_is_the_constitution_s() -> None:
    rows = [_edge("A", "B", (5, 0), "It helps.", "People"),
            _edge("C", "B", (5, 0), "it helps", "people."),
            _edge("D", "B", (0, 9), "It earns money.", "money")]  # fmt: skip
    value = constitution_of(rows, "voted").value("b")
    assert value.reasons == ["It helps."] and value.upheld_by == ["attends to People"]


def test_two_titles_with_one_id_end_with_a_traceback() -> None:
    rows = [_edge("A", "Gentle care", (5, 0), "One.", "p"),
            _edge("A", "Gentle Care", (5, 0), "Two.", "q")]  # fmt: skip
    with pytest.raises(DataError, match="'Gentle Care' and 'Gentle care' have one id"):
        constitution_of(rows, "twins")


# -- a run ---------------------------------------------------------------------------------


def test_a_cap_is_passed_and_what_it_cost_is_not_told() -> None:
    seeds = [{"query": f"task {i}"} for i in range(6)]

    def cook(text: str) -> str:
        sketch = {"thought": "t", "steps": [{"action": "go", "objects": []}]}
        return json.dumps(sketch) if "Think about" in text else "1. go"

    whole = made("sketch_and_fill", seeds, cook)
    assert whole.calls == {"model": 12} and [row["seed"] for row in whole.rows] == [*range(1, 7)]
    cut = made("sketch_and_fill", seeds, cook, calls=8)
    assert cut.calls.total() == 8 and len(cut.rows) == 2
    assert cut.left_out == {"the cap of 8 calls": 4}
    with pytest.raises(DataError, match=r"seeds: row 1: no column 'scenario', which tomma needs"):
        made("tomma", seeds, cook)


class Dies(ScriptedModel):
    """Is killed at its `left`-th call."""

    left = 10**9

    def generate(
        self, prompts: Any, n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().generate(prompts, n, sampling)


def test_a_killed_run_asks_again_or_gives_other_rows(tmp_path: Path) -> None:
    seeds = [{"area": f"letters {i}"} for i in range(3)]
    whole = made("mindgym", seeds, gym)
    asked, killed = [], 0
    while True:
        model = Dies(gym)
        model.left = 2
        kept = KeptModel(model, tmp_path / "replies.jsonl")
        try:
            again = generate(Use(name="mindgym"), seeds, kept)
        except KeyboardInterrupt:
            asked += model.prompts
            killed += 1
            continue
        asked += model.prompts
        break
    assert killed > 3 and again == whole
    # Equal prompts of one draw are one answer, so nothing was asked twice.
    alone = ScriptedModel(gym)
    generate(Use(name="mindgym"), seeds, KeptModel(alone, tmp_path / "other.jsonl"))
    assert Counter(map(str, asked)) == Counter(map(str, alone.prompts))


@pytest.mark.parametrize("name", GENERATORS.names())
def test_a_teacher_that_says_nothing_useful_makes_rows_or_breaks(name: str) -> None:
    """Every generator, with prose, nothing, half of a JSON object and another object."""
    entry = GENERATORS.get(name)
    seed = dict.fromkeys(entry.facts["columns"], "x")
    options = {"people": PEOPLE} if name == "moral_graph" else {}
    options |= {"principles": ["listen"]} if name == "mctsr_zero" else {}
    for said in ("It rained all day.", "", '{"belief": ', '{"other": 1}', "[[[[", '{"title": []}'):
        if said == "It rained all day." and name == "p_aligner":
            continue  # prose is an answer; it gets no mark, as below
        with pytest.raises(DataError, match="nothing could be made"):
            made(name, [seed], lambda text, said=said: said, **options)  # type: ignore[misc]


@pytest.mark.parametrize("name", GENERATORS.names())
def test_a_generator_asks_for_more_than_it_says(name: str) -> None:
    worlds: dict[str, tuple[dict[str, Any], Answer, dict[str, Any]]] = {
        "tomma": ({"scenario": "s"}, persuasion, {}),
        "magv": ({"question": "topic1?", "tools": ["mail"]}, agent, {}),
        "mctsr_zero": ({"case": "c"}, counselling, {"principles": ["listen"]}),
        "mindgym": ({"area": "a"}, gym, {}),
        "p_aligner": ({"instruction": "how to lie"}, rewriting, {}),
    }
    if name not in worlds:
        pytest.skip("its scripted teacher counts elsewhere")
    seed, answer, options = worlds[name]
    use = Use.model_validate({"name": name, **options})
    told = GENERATORS.get(name).facts["calls"](GENERATORS.filled(use).model_dump())
    asked = generate(use, [seed], ScriptedModel(answer)).calls.total()
    assert told / 2 <= asked <= told
