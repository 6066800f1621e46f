"""RACE: each part by hand, and wrong answers told by samples that contradict each other."""

import math
from pathlib import Path
from typing import Any

import pytest
from audit_helpers import gap, rows, run

from whyfirst.config.errors import ConfigError
from whyfirst.evaluate.consistency import lost, sindex
from whyfirst.models.base import GREEDY, Completion, Sampling
from whyfirst.models.scripted import ScriptedModel


def test_clusters_count_every_answer() -> None:
    """3 to 1; the released code counts each text once and gets ln 2."""
    assert sindex(["Ada", "Ada", "Ada", "Bob"]) == pytest.approx(0.5623, abs=1e-4)
    assert sindex(["Ada"] * 4) == pytest.approx(0)
    assert sindex(["a", "b", "c", "d"]) == pytest.approx(math.log(4))


def test_one_name_of_four_is_lost() -> None:
    assert lost("then Ada met Bob in Ghent in 1843", "Ada met Bob in 1843") == 0.25
    assert lost("nothing is named", "") == 0


class Wavers(ScriptedModel):
    """Certain of what it knows; where it does not know, its samples contradict each other."""

    def generate(
        self, prompts: Any, n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        out = []
        for prompt in prompts:
            text = prompt[-1].content
            if "main steps" in text:
                out.append([Completion(text.split("\n")[-1], True)] * n)
                continue
            names = ["Ada"] * n if "known" in text else ["Bob", "Cleo", "Dora", "Eve"][:n]
            out.append([Completion(f"<think>{x} wrote it</think> {x}", True) for x in names])
        return out


def score(prompt: str, text: str) -> float:
    if "contradict" not in prompt:  # an answer after the main reasoning
        return -0.1 if f"{text} wrote" in prompt else -3.0
    a, b = (line.split()[1] for line in prompt.split("\n")[:2])
    return 0.0 if (text == "Yes") == (a != b) else -5.0


def test_a_wrong_answer_is_as_consistent_as_a_right_one(tmp_path: Path) -> None:
    data = rows(tmp_path / "race.jsonl", *(
        {"question": f"Who wrote the {kind} book {n}?", "answers": ["Ada"]}
        for kind in ("known", "lost") for n in range(3)
    ))  # fmt: skip
    found, gaps = run("race", Wavers(scores=score), data=data)
    scores = {group: [r.number for r in found["race"] if r.group == group]
              for group in ("right", "wrong")}  # fmt: skip
    assert len(scores["right"]) == len(scores["wrong"]) == 3
    assert max(scores["right"]) < min(scores["wrong"])  # an AUROC of 1
    assert gap(gaps, "wrong", "right").value > 0.5


def test_an_answer_within_a_word_is_right_and_an_answer_stands_in_its_thought(
    tmp_path: Path,
) -> None:
    """Ada is in Canada; and an answer before a line break was left in the thought."""

    class Canada(ScriptedModel):
        def generate(
            self, prompts: Any, n: int = 1, sampling: Sampling = GREEDY
        ) -> list[list[Completion]]:
            reply = Completion("<think>It was her.</think>\nCanada\n", True)
            return [[reply] * n for _ in prompts]

    model = Canada(scores=lambda prompt, text: -1.0)
    data = rows(tmp_path / "race.jsonl", {"question": "Who wrote it?", "answers": ["Ada"]})
    found, _ = run("race", model, data=data)
    assert [r.group for r in found["race"]] == ["wrong"]
    after = [prompt for prompt, text in model.requests if text == "Canada"]
    assert set(after) == {"Who wrote it?\nIt was her."}
    with pytest.raises(ConfigError, match="samples"):
        run("race", model, data=data, samples=1)
