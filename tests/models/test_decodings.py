"""Decoding methods on scripted models: their published acceptance tests, with counted calls."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whyfirst.config.errors import UserError
from whyfirst.config.room import Use
from whyfirst.models.base import (
    GREEDY,
    Completion,
    LanguageModel,
    Loglikelihood,
    Message,
    Prompt,
    Sampling,
    asked,
)
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.decoding.gtalign import best_action, payoffs
from whyfirst.models.decoding.guide_align import deduplicated
from whyfirst.models.decoding.kag import execute
from whyfirst.models.decoding.keyword_guided import distances, next_keyword
from whyfirst.models.decoding.rewrite_tree import Node, selected, top
from whyfirst.models.decoding.rps import directions
from whyfirst.models.decoding.swap import diversified
from whyfirst.models.said import CUT_OFF
from whyfirst.models.scripted import ScriptedModel

HOT = Sampling(temperature=1.0, max_new_tokens=200)


class Sampled:
    """A model whose n-th answer to a prompt is `say(words, n)`; n is the sample's number."""

    chat_template = "plain"

    def __init__(self, say: Callable[[str, int], str], name: str = "sampled") -> None:
        self.say, self.fingerprint = say, name
        self.asked: list[Prompt] = []

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = HOT
    ) -> list[list[Completion]]:
        self.asked += [prompt for prompt in prompts for _ in range(n)]
        return [[self._one(prompt, number) for number in range(n)] for prompt in prompts]

    def _one(self, prompt: Prompt, number: int) -> Completion:
        text = prompt if isinstance(prompt, str) else "\n".join(t.content for t in prompt)
        said = self.say(text, number)
        if said == "PROBLEM":
            return Completion("", False, "the server is down", transient=True)
        return Completion(said, True)

    def loglikelihood(self, requests: Any) -> list[list[Loglikelihood]]:
        return [[Loglikelihood(-1.0, 1) for _ in texts] for _, texts in requests]


def made(name: str, model: Any, **given: Any) -> Any:
    context = {k: given.pop(k) for k in ("judge_model", "score", "embed") if k in given}
    return DECODINGS.make(Use(name=name, **given), **context)(model)


def said(model: LanguageModel, prompt: Prompt, sampling: Sampling = HOT) -> str:
    ((completion,),) = model.generate([prompt], sampling=sampling)
    assert completion.problem is None
    return completion.text


def no_score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
    return [0.0] * len(texts)


def plain_options(name: str, folder: Path) -> dict[str, Any]:
    """What makes a method spend nothing beyond its model's answer."""
    if name == "guide_align":
        (folder / "library.jsonl").write_text('{"input": "a", "guideline": "b"}\n')
        return {"library": str(folder / "library.jsonl"), "k": 0}
    if name == "keyword_guided":
        (folder / "graph.json").write_text(json.dumps({"zzz": ["zzy"]}))
        return {"graph": str(folder / "graph.json"), "target": "zzz", "n": 1}
    return {
        "majority": {"n": 1}, "self_consistency": {"n": 1}, "gsa": {"n": 0},
        "mara": {"reviewers": {}}, "tpe": {"tools": {}}, "derived_prompts": {"n": 0},
        "gtalign": {"actions": {}}, "refined_best_of_n": {"n": 1},
        "swap": {"depth": 0}, "curved_contrastive": {"goal": "the end", "n": 1},
        "rps": {"k": 1, "angle": 0.0, "attributes": {"r": 1.0}},
        "p_aligner": {"iterations": 0, "reward": "r"},
    }.get(name, {})  # fmt: skip


#: what these change in the prompt is their point, so that no budget makes them the model itself
NEVER_PLAIN = {"rar", "rps"}
HERE = [e.name for e in DECODINGS.entries() if e.function.__module__.split(".")[-1] in (
    "majority", "gsa", "rar", "guide_align", "mara", "tpe", "derived_prompts", "gtalign",
    "refined_best_of_n", "rps", "p_aligner", "keyword_guided", "swap", "curved_contrastive",
)]  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(HERE) - NEVER_PLAIN))
def test_without_a_budget_it_is_the_model(name: str, tmp_path: Path) -> None:
    base = Sampled(lambda text, number: f"answer to {text[-1]}")
    prompts = [asked("question a"), asked("question b")]
    context = {"score": no_score} if name in ("p_aligner",) else {}
    method = made(name, base, **plain_options(name, tmp_path), **context)
    if name == "refined_best_of_n":
        judge = Sampled(lambda text, number: "ALL RIGHT")
        method = made(name, base, **plain_options(name, tmp_path), judge_model=judge)
    assert method.generate(prompts, n=2, sampling=HOT) == base.generate(prompts, n=2, sampling=HOT)
    assert method.loglikelihood([(prompts[0], ["x"])]) == base.loglikelihood([(prompts[0], ["x"])])
    assert method.chat_template == base.chat_template
    assert method.fingerprint != base.fingerprint


@pytest.mark.parametrize("name", HERE)
def test_answers_depend_on_no_batching_and_problems_stay_problems(
    name: str, tmp_path: Path
) -> None:
    def say(text: str, number: int) -> str:
        return "PROBLEM" if "broken" in text else f"{len(text) % 7} {number} none clarify"

    given = plain_options(name, tmp_path)
    given |= {"n": 3} if "n" in given and name != "derived_prompts" else {}
    given |= {"k": 3} if name == "rps" else {"iterations": 2} if name == "p_aligner" else {}
    context = {"score": lambda name, prompts, texts: [float(len(t)) for t in texts]}
    context = context if DECODINGS.get(name).context & {"score"} else {}
    prompts: list[Prompt] = [asked("one"), asked("broken"), asked("three three")]
    together = made(name, Sampled(say), **given, **context).generate(prompts, sampling=HOT)
    alone = [
        made(name, Sampled(say), **given, **context).generate([p], sampling=HOT)[0] for p in prompts
    ]
    assert together == alone
    assert together[1][0].problem == "the server is down" and together[1][0].transient
    assert together[0][0].problem is None


def test_majority_takes_the_most_frequent_and_self_consistency_its_result() -> None:
    answers = ["a", "B", "b ", "c", "b"]
    assert said(made("majority", Sampled(lambda t, n: answers[n])), asked("q")) == "B"
    chains = ["so 4", "no, 5", "2 and 2 is 4", "nothing", "4"]
    method = made("self_consistency", Sampled(lambda t, n: chains[n]))
    assert said(method, asked("q")) == "so 4"
    none = made("self_consistency", Sampled(lambda t, n: "words"), n=2)
    assert said(none, asked("q")) == "words" and sum(none.fallbacks.values()) == 1


def test_gsa_joins_what_no_single_draft_has_in_n_plus_1_calls() -> None:
    parts = ["step one is A", "step two is B", "step three is C"]

    def say(text: str, number: int) -> str:
        return "A B C" if all(part in text for part in parts) else parts[number]

    base = Sampled(say)
    assert said(made("gsa", base), asked("how?")) == "A B C"
    assert len(base.asked) == 4
    assert said(made("majority", Sampled(say), n=3), asked("how?")) in parts  # a vote can't


def test_a_vote_is_over_thoughts_which_all_differ() -> None:
    """Five samples that thought otherwise each were five answers, and the first one won."""
    base = Sampled(
        lambda text, n: f"<think>way {n}, say 7</think>\n{'Lyon' if n == 0 else 'Paris'}"
    )
    assert said(made("majority", base), asked("Capital?")) == "<think>way 1, say 7</think>\nParis"
    counted = Sampled(lambda text, n: f"<think>way {n}</think>It is {4 if n else 5}")
    assert said(made("self_consistency", counted), asked("q")).endswith("It is 4")


def test_a_reply_cut_off_in_its_thoughts_is_read_as_an_answer() -> None:
    base = Sampled(lambda text, n: "<think>fact or persona" if "reviewers" in text else "draft")
    ((found,),) = made("mara", base).generate([asked("q")], sampling=HOT)
    assert found.problem == CUT_OFF


@pytest.mark.parametrize(
    ("plan", "reviewers"),
    [("<think>fact? persona?</think>\ncoherence", {"coherence"}),
     ("None: the fact is right.", set())],
)  # fmt: skip
def test_mara_calls_reviewers_that_are_thought_of_or_not_needed(
    plan: str, reviewers: set[str]
) -> None:
    method = made("mara", Sampled(lambda text, n: plan if "reviewers" in text else "x"))
    said(method, asked("q"))
    assert set(method.calls) - {"model", "planner"} == reviewers


def test_parts_of_an_answer_are_taken_for_thoughts_cut_off() -> None:
    """deal grows an answer block by block, and its first blocks may be of a thought."""
    base = Sampled(lambda text, n: "so</think> yes" if "begins" in text else "<think>hm ")
    given = {"reward": "r", "level": "block", "block": 50, "beams": 1, "branch": 2}
    found = said(made("deal", base, score=no_score, **given), asked("q"))
    assert found.startswith("<think>hm ")


def test_rar_asks_the_published_prompts() -> None:
    base = Sampled(lambda text, n: '"longer?"' if "Given the above" in text else "done")
    assert said(made("rar", base), asked("short?")) == "done"
    assert [p[-1].content for p in base.asked] == [
        '"short?"\nGiven the above question, rephrase and expand it to help you do better '
        "answering. Maintain all information in the original question.",
        "(original) short?\n(rephrased) longer?\n"
        "Use your answer for the rephrased question to answer the original question.",
    ]
    base = Sampled(lambda text, n: "done")
    said(made("rar", base, steps=1), asked("short?"))
    assert base.asked[0][-1].content == '"short?"\nRephrase and expand the question, and respond.'
    other = Sampled(lambda text, n: "from the other")
    made("rar", base, judge_model=other).generate([asked("short?")], sampling=HOT)
    assert len(other.asked) == 1 and "from the other" in base.asked[-1][-1].content


def test_guide_align_turns_the_answer_only_with_the_guideline_that_fits(tmp_path: Path) -> None:
    rows = [
        {"input": f"how do I break the {what}", "guideline": f"never break the {what}"}
        for what in ("window", "lamp", "chair", "table", "mirror")
    ]
    file = tmp_path / "library.jsonl"

    def say(text: str, number: int) -> str:
        what = text.rsplit(" ", 1)[-1]
        return "no" if f"never break the {what}" in text else "sure"

    def harmed(library: list[dict[str, str]]) -> float:
        file.write_text("".join(json.dumps(row) + "\n" for row in library))
        method = made("guide_align", Sampled(say), library=str(file), k=1)
        return float(np.mean([said(method, asked(row["input"])) == "sure" for row in rows]))

    assert harmed(rows) == 0
    guidelines = [row["guideline"] for row in rows]
    shuffled = [r | {"guideline": g} for r, g in zip(rows, guidelines[1:] + guidelines[:1])]  # noqa: B905
    assert harmed(shuffled) == 1
    twice = deduplicated([*rows, *rows])
    assert twice == rows and deduplicated(twice) == twice


def test_mara_refines_by_the_planned_reviewers_in_order_and_calls_no_other() -> None:
    def say(text: str, number: int) -> str:
        if "Which of these reviewers" in text:
            return "fact, persona"
        if "not true" in text:
            return text.split("Draft:\n")[1].split("\n")[0].replace("WRONG", "right")
        if "two people" in text:
            return text.split("Draft:\n")[1].split("\n")[0].replace("STIFF", "warm")
        return "WRONG and STIFF"

    method = made("mara", Sampled(say))
    assert said(method, asked("q")) == "right and warm"
    assert method.calls == {"model": 1, "planner": 1, "fact": 1, "persona": 1}
    poor = made("mara", Sampled(say), judge_model=Sampled(lambda t, n: "persona"))
    assert said(poor, asked("q")) == "WRONG and warm"
    lost = made("mara", Sampled(say), judge_model=Sampled(lambda t, n: "who knows"))
    assert said(lost, asked("q")) == "WRONG and STIFF" and sum(lost.fallbacks.values()) == 1


def test_tpe_passes_each_stage_on_and_leaves_unknown_tools_out() -> None:
    def say(text: str, number: int) -> str:
        if "want, know and feel" in text:
            return "is sad"
        if "Name those to use" in text:
            assert "is sad" in text
            return "comfort, dance, suggest"
        assert "is sad" in text and "dance" not in text
        assert text.index("feeling is understood") < text.index("next step")
        return "there, there"

    method = made("tpe", Sampled(say))
    assert said(method, asked("my cat is gone")) == "there, there"
    assert method.calls == {"thinker": 1, "planner": 1, "executor": 1}
    assert method.fallbacks == {"the plan names an unknown tool: it is left out": 1}


def test_derived_prompts_keep_the_original_last_and_drop_the_off_topic() -> None:
    def say(text: str, number: int) -> str:
        if "Do not answer this" in text:
            return ["how do I boil an egg well", "who won the war"][number]
        return "boil it for eight minutes" if text.endswith("egg well") else "as shown"

    base = Sampled(say)
    method = made("derived_prompts", base)
    assert said(method, asked("how do I boil an egg")) == "as shown"
    last = base.asked[-1]
    assert [turn.content for turn in last] == [
        "how do I boil an egg well", "boil it for eight minutes", "how do I boil an egg",
    ]  # fmt: skip
    assert not any("who won the war" in turn.content for turn in last)
    off = made("derived_prompts", Sampled(lambda t, n: "unrelated words"), n=1)
    said(off, asked("how do I boil an egg"))
    assert sum(off.fallbacks.values()) == 1


def test_gtalign_takes_the_cooperative_cell_and_a_price_makes_it_short() -> None:
    dilemma = {"direct": (0.9, 0.1), "long": (0.6, 0.6), "clarify": (0.1, 0.9)}
    assert best_action(dilemma) == "long"
    table = {"direct": (0.64, 0.5), "long": (0.81, 0.8)}
    # sqrt(.64 (.5 - p)) passes sqrt(.81 (.8 - 4p)) at p = (.648 - .32) / (3.24 - .64)
    threshold = (0.648 - 0.32) / (3.24 - 0.64)
    assert best_action(table, threshold - 1e-6) == "long"
    assert best_action(table, threshold + 1e-6) == "direct"
    assert payoffs("no table", {"direct": ""}) == {}
    assert payoffs('{"direct": {"user": 2, "model": true}}', {"direct": ""}) == {}
    cells = '{"direct": {"user": 0.1, "model": 0.1}, "long": {"user": 0.9, "model": 0.9}}'

    def say(text: str, number: int) -> str:
        return cells if "as JSON" in text else text.rsplit("\n", 1)[-1]

    assert said(made("gtalign", Sampled(say)), asked("q")) == "Answer at length, with reasons."
    broken = made("gtalign", Sampled(lambda t, n: "{" if "as JSON" in t else "plain"))
    assert said(broken, asked("q")) == "plain" and sum(broken.fallbacks.values()) == 1


def test_refined_best_of_n_solves_what_best_of_n_cannot() -> None:
    def say(text: str, number: int) -> str:
        if "begins with these steps" in text:
            right = "2 + 2 = 4" in text and "= 5" not in text
            return "4 + 1 = 5" if right else "5 + 1 = 6"
        return f"start {number}\n2 + 2 = 5\n5 + 1 = 6"

    def judge(text: str, number: int) -> str:
        return "STEP 2: 2 + 2 = 4" if "2. 2 + 2 = 5" in text else "ALL RIGHT"

    base = Sampled(say)
    method = made("refined_best_of_n", base, n=2, judge_model=Sampled(judge))
    assert said(method, asked("q")) == "start 0\n2 + 2 = 4\n4 + 1 = 5"
    assert len(base.asked) <= 4  # 2n
    untouched = made("refined_best_of_n", base, n=2, judge_model=Sampled(lambda t, n: "ALL RIGHT"))
    assert said(untouched, asked("q")).startswith("start 0\n2 + 2 = 5")


def test_rps_directions_lie_within_the_angle_and_the_first_is_the_preference() -> None:
    centre = np.array([0.6, 0.8, 0.0])
    near = directions(centre, 200, math.radians(20), np.random.default_rng(0))
    angles = np.degrees(np.arccos(np.clip(near @ centre, -1, 1)))
    assert angles[0] < 1e-3 and angles.max() <= 20 + 1e-9 and angles.max() > 15
    assert np.allclose(np.linalg.norm(near, axis=1), 1)


def test_rps_beats_its_baseline_where_quality_falls_off_the_trained_direction() -> None:
    def quality(text: str) -> tuple[float, float]:
        a, b = (float(x) for x in re.findall(r"-?\d+\.\d+", text)[:2])
        off = abs(math.degrees(math.atan2(b, a)) - 25)  # trained at 25 degrees; asked at 45
        return a * (1 - off / 90), b * (1 - off / 90)

    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [quality(text)[0 if name == "a" else 1] for text in texts]

    def value(angle: float) -> float:
        base = Sampled(lambda text, number: text)
        method = made("rps", base, score=score, k=8, angle=angle, attributes={"a": 1.0, "b": 1.0})
        return sum(quality(said(method, asked("q")))) / math.sqrt(2)

    assert value(30) > value(0)


def test_rps_leaves_out_an_attribute_that_scores_not_every_answer() -> None:
    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [None if name == "b" else float(len(text)) for text in texts]

    base = Sampled(lambda text, number: "x" * len(text))
    method = made("rps", base, score=score, k=3, attributes={"a": 1.0, "b": 1.0})
    said(method, asked("q"))
    assert sum(method.fallbacks.values()) == 1


def test_p_aligner_scores_against_the_raw_instruction_and_finds_two_rules_deep() -> None:
    asked_of: list[str] = []

    def say(text: str, number: int) -> str:
        if "Do not answer this" in text:
            tag = "+A" if "safe" in text else "+B" if "must not" in text else "+c"
            return text.split("\n")[0] + tag
        return text

    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        asked_of.extend(prompt[-1].content for prompt in prompts)  # type: ignore[union-attr]
        return [("+A" in t) * 1.0 + ("+B" in t) * 1.0 - t.count("+c") * 0.5 for t in texts]

    base = Sampled(say)
    method = made("p_aligner", base, score=score, reward="r", iterations=10)
    final = said(method, asked("do it"))
    assert "+A" in final and "+B" in final and set(asked_of) == {"do it"}
    failing = made("p_aligner", Sampled(lambda t, n: "" if "Rewrite" in t else t),
                   score=score, reward="r", iterations=2)  # fmt: skip
    assert said(failing, asked("do it")) == "do it" and sum(failing.fallbacks.values()) == 2


def test_p_aligner_tree_goes_down_as_it_is_visited() -> None:
    root = Node("raw", 0.0)
    assert selected(root, 1.0) is root
    root.children = [Node("a", 1.0, root), Node("b", 0.5, root)]
    root.visits = 3
    assert selected(root, 0.0).text == "a"
    assert selected(root, 1e9).text == "a"  # as new as the other, and better
    assert top(root).text == "a" and top(Node("raw", 2.0)).text == "raw"


def test_keyword_guided_walks_a_path_of_length_d_in_d_turns(tmp_path: Path) -> None:
    graph = {"cat": ["fur", "milk"], "fur": ["coat"], "coat": ["winter"], "milk": []}
    file = tmp_path / "graph.json"
    file.write_text(json.dumps(graph | {"winter": []}))
    far = distances(graph, "winter")
    assert far["cat"] == 3 and next_keyword("cat", graph, far) == "fur"
    oracle = Sampled(lambda text, number: text.split("comes to: ")[1].split(".")[0])
    method = made("keyword_guided", oracle, graph=str(file), target="winter", n=1)
    message, turns = "cat", 0
    while message != "winter":
        before, message = message, said(method, asked(message))
        assert far[message] == far[before] - 1
        turns += 1
    assert turns == 3
    lost = made("keyword_guided", Sampled(lambda t, n: "hm"), graph=str(file), target="winter")
    assert said(lost, asked("nothing known")) == "hm" and sum(lost.fallbacks.values()) == 1


def test_swap_with_no_gamma_leaves_the_policys_shares_and_repeats_get_nothing() -> None:
    now, before = Counter({"a": 3, "b": 1}), Counter({"a": 2})
    assert diversified(now, before, 0.0) == {"a": 0.75, "b": 0.25}
    assert diversified(now, Counter({"a": 3, "b": 1}), 1.0) == {}
    assert diversified(now, before, 1.0) == {"b": 1.0}


def test_swap_finds_the_proof_with_a_discriminator_that_checks_the_rules() -> None:
    rules = {"start": "a", "a": "b", "b": "Answer: proved"}

    def say(text: str, number: int) -> str:
        done = text.split("Steps so far:\n")[1].split("\n\n")[0].splitlines()
        here = "start" if done == ["(none)"] else done[-1]
        return [f"wrong {len(done)}", rules.get(here, "stuck"), f"odd {len(done)}"][number]

    def judge(text: str, number: int) -> str:
        listed = re.findall(r"(\d)\. (.+)", text)
        return next((n for n, step in listed if step in rules.values()), "none")

    method = made("swap", Sampled(say), judge_model=Sampled(judge))
    assert said(method, asked("prove it")) == "proved"
    blind = made("swap", Sampled(say), judge_model=Sampled(lambda t, n: "1"))
    assert "proved" not in said(blind, asked("prove it"))


def test_curved_contrastive_says_the_reply_nearest_to_the_goal() -> None:
    replies = ["the weather is fine", "let us sign the contract", "good morning", "yes"]
    method = made("curved_contrastive", Sampled(lambda t, n: replies[n]), goal="a signed contract")
    assert said(method, asked("hello")) == "let us sign the contract"


TRIPLES = [
    ("Ann", "mother_of", "Bob"), ("Bob", "father_of", "Cy"), ("Bob", "father_of", "Di"),
    ("Cy", "age", "7"), ("Di", "age", "9"), ("Bob", "lives_in", "Rome"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "answer"),
    [
        ("x = get(Ann, mother_of, ?)\ny = get(x, father_of, ?)\noutput(y)", ["Cy", "Di"]),
        ("y = get(Bob, father_of, ?)\nn = count(y)\noutput(n)", ["2"]),
        ("y = get(Bob, father_of, ?)\na = get(y, age, ?)\ns = sum(a)\noutput(s)", ["16"]),
        ("y = get(Bob, father_of, ?)\na = get(y, age, ?)\nm = max(a)\noutput(m)", ["9"]),
        ("x = get(?, lives_in, Rome)\noutput(x)", ["Bob"]),
        ("nonsense\nx = get(1)\nx = sum(y)\noutput(x)", []),
    ],
)
def test_kag_forms_are_executed_exactly(form: str, answer: list[str]) -> None:
    assert execute(form, TRIPLES)[0] == answer


def test_kag_reflects_three_times_and_then_reads_passages(tmp_path: Path) -> None:
    file = tmp_path / "graph.jsonl"
    rows = [{"s": s, "p": p, "o": o, "text": f"{s} {p} {o} indeed"} for s, p, o in TRIPLES]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    good = "x = get(Ann, mother_of, ?)\noutput(x)"
    assert said(made("kag", Sampled(lambda t, n: good), graph=str(file)), asked("q")) == "Bob"

    def say(text: str, number: int) -> str:
        return "read" if "Passages:" in text else "x = get(Ann, aunt_of, ?)\noutput(x)"

    lost = made("kag", Sampled(say), graph=str(file))
    assert said(lost, asked("who is Ann aunt of")) == "read"
    assert lost.calls == {"planner": 3, "model": 1} and sum(lost.fallbacks.values()) == 1


def test_deal_by_blocks_keeps_what_the_reward_prefers_within_its_calls() -> None:
    def say(text: str, number: int) -> str:
        return [" plain", " good", " bad"][number]

    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [float(text.count("good")) for text in texts]

    base = Sampled(say)
    base.generate = lambda prompts, n=1, sampling=HOT: [  # type: ignore[method-assign]
        [Completion(say("", i), False) for i in range(n)] for _ in prompts
    ]
    method = made("deal", base, score=score, reward="r", level="block", block=1, beams=2)
    ((answer,),) = method.generate([asked("q")], sampling=Sampling(max_new_tokens=3))
    assert answer.text == " good good good"
    assert method.calls["model"] <= 3 * 2 * 3
    with pytest.raises(UserError, match="level: block"):
        made("deal", base, score=score, reward="r")


@pytest.mark.parametrize(
    "idle",
    [{"level": "block", "weight": 9.0}, {"level": "block", "look_ahead": 1}, {"block": 4}],
)
def test_an_option_of_the_other_search_of_deal_is_taken(idle: dict[str, Any]) -> None:
    """Blocks are ranked by reward alone: weight 0 and weight 99 gave the same answers."""
    use = Use.model_validate({"name": "deal", "reward": "r", **idle})
    assert [at for at, _ in DECODINGS.problems(use)] == [(list(idle)[-1],)]


def test_a_system_turn_and_earlier_turns_survive_a_method() -> None:
    chat = (Message("system", "be kind"), Message("user", "a"), Message("assistant", "b"),
            Message("user", "c"))  # fmt: skip
    base = Sampled(lambda text, number: "x")
    made("rar", base, steps=1).generate([chat], sampling=HOT)
    assert base.asked[0][:3] == chat[:3] and '"c"' in base.asked[0][3].content


@pytest.mark.parametrize(
    "use",
    [{"name": name, "n": 0} for name in ("best_of_n", "majority", "self_consistency",
                                         "refined_best_of_n")]
    + [{"name": "curved_contrastive", "goal": "x", "n": 0}, {"name": "swap", "width": 0},
       {"name": "rps", "attributes": {"a": 1.0}, "k": 0}, {"name": "rps", "attributes": {"a": 0.0}},
       {"name": "deal", "reward": "a", "beams": 0}, {"name": "majority", "temperature": -1.0},
       {"name": "deal", "reward": "a", "level": "block", "block": 0},
       {"name": "self_consistency", "pattern": "Answer"},
       {"name": "self_consistency", "pattern": "("}],
)  # fmt: skip
def test_a_budget_or_pattern_of_nothing_ends_in_a_traceback(use: dict[str, Any]) -> None:
    (place, said), *_ = DECODINGS.problems(Use.model_validate(use))
    assert place and place[0] in use and said


@pytest.mark.parametrize("name", HERE)
def test_every_decoding_says_where_it_is_from(name: str) -> None:
    entry = DECODINGS.get(name)
    assert entry.summary and entry.paper and entry.needs and entry.tested and entry.leaves_out


class Seeded:
    """Draws that say which seed and number they are of."""

    fingerprint, chat_template = "seeded", "plain"

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        drawn = [[(sampling.seed, number) for number in range(n)] for _ in prompts]
        self.asked += [draw for row in drawn for draw in row]
        return [[Completion(f"{draw} of {p}", True) for draw in row]
                for p, row in zip(prompts, drawn, strict=True)]  # fmt: skip


@pytest.mark.parametrize("options", [
    {"name": "rps", "attributes": {"a": 1.0}, "k": 5, "angle": 0.0},
    {"name": "best_of_n", "n": 5, "by": "a"},
])  # fmt: skip
def test_samples_within_samples_are_drawn_twice(options: dict[str, Any]) -> None:
    """Seeds were sums: draft 1 of answer 0 was draft 0 of answer 1."""
    model = Seeded()

    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [float(len(text)) for text in texts]

    method = DECODINGS.make(Use.model_validate(options), score=score)(model)
    method.generate(["q"], n=8, sampling=HOT)
    assert len(set(model.asked)) == len(model.asked) == 40


def test_a_rewrite_that_failed_is_asked_for_again_to_the_end_of_the_budget() -> None:
    """One rule of four gave nothing, and took nine of ten tries."""
    asked: list[str] = []

    def reply(prompt: str) -> str:
        if "Rewrite it" not in prompt:
            return prompt
        asked.append(prompt)
        return "" if "Say what must not" in prompt else f"better {prompt.splitlines()[0]}"

    rules = ("Make it safe.", "Say what must not be done.", "Make it clear.", "Make it polite.")

    def score(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
        return [float(text.count("better")) for text in texts]

    use = Use.model_validate({"name": "p_aligner", "reward": "r", "rules": rules, "iterations": 10})
    method = DECODINGS.make(use, score=score)(ScriptedModel(reply))
    (row,) = method.generate(["q"])
    assert len(asked) == 10 and len(set(asked)) >= 8
    assert row[0].text.count("better") >= 3
