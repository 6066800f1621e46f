"""Scorers that ask a language model to grade one response by a rubric.

Any `LanguageModel` serves, an endpoint too. A reply that can't be parsed, is out of range or is
itself a refusal is unscored. A model that writes nothing parsable is asked one yes-or-no question
and read by its probabilities (``reading: likelihood``). Leaves out: the rubrics themselves
(scorers/rubrics.py), and comparing two responses (judges/pairwise.py).
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whyfirst.evaluate.asking import (
    SAMPLING,
    SYSTEM,
    UNPARSED,
    key_for,
    material,
    question,
    read_reply,
)
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.likeliest import likeliest
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.base import Completion, LanguageModel, Loglikelihood, asked

_WHOLE = re.compile(r"-?[0-9]+")
Reading = Literal["generation", "likelihood"]


def by_likelihood(options: Any) -> bool:
    """Whether a scorer's options read probabilities; the fact ``graded`` of a yes-or-no rubric."""
    return bool(options.reading == "likelihood")


Grades = Mapping[str, int]


@dataclass(frozen=True)
class Grade:
    """One whole number the judge is asked for, `low` to `high` inclusive."""

    name: str
    low: int
    high: int
    meaning: str

    @property
    def form(self) -> str:
        """As it stands in the line to fill in."""
        return f"{self.name}=<{self.low} {'or' if self.high == self.low + 1 else 'to'} {self.high}>"


@dataclass(frozen=True)
class Rubric:
    """What a judge grades.

    Args:
        question: what a pass means.
        task: what the model is told to do.
        grades: what it is asked for.
        passed, score: from grades to the verdict and to a score in [0, 1] that rises with it.
        derived: further figures for the record, from grades.
        yes_no: the one question of the reading by likelihood; yes is a pass.
    """

    name: str
    version: str
    question: str
    task: str
    grades: tuple[Grade, ...]
    passed: Callable[[Grades], bool]
    score: Callable[[Grades], float]
    yes_no: str
    derived: Callable[[Grades], Mapping[str, float]] = lambda _: {}


class RubricScorer(Scorer):
    """Grades by one rubric with one model.

    Args:
        reading: ``generation`` reads the model's reply; ``likelihood`` compares its probabilities
            of "Yes" and "No", of which the score is the share of "Yes".
    """

    def __init__(
        self, rubric: Rubric, model: LanguageModel, reading: Reading = "generation"
    ) -> None:
        self.rubric = rubric
        self.model = model
        self.reading = reading
        self.name = rubric.name
        self.question = rubric.question
        # The judge's own model is part of its version: another one is another judge.
        how = "" if reading == "generation" else f"-{reading}"
        self.version = f"{rubric.version}{how}-{model.fingerprint[:12]}"

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; an empty response is unscored without asking."""
        # Nothing was said, so there is nothing to grade; a judge would find some reason all the
        # same.
        asked = [place for place, text in enumerate(responses) if text.strip()]
        shown = [(items[place], responses[place]) for place in asked]
        by = self._by_reply if self.reading == "generation" else self._by_likelihood
        found = dict(zip(asked, by(shown) if shown else [], strict=True))
        return [found.get(place) or unscored("empty response") for place in range(len(responses))]

    def _by_reply(self, shown: Sequence[tuple[Item, str]]) -> list[Verdict]:
        grades = "\n".join(
            f"- {grade.name}: a whole number from {grade.low} to {grade.high}: {grade.meaning}"
            for grade in self.rubric.grades
        )
        form = " ".join(grade.form for grade in self.rubric.grades)
        keys, prompts = [], []
        for item, response in shown:
            key, parts = self._material(item, response)
            keys.append(key)
            prompts.append(question([*parts, f"Grade:\n{grades}"], form, key))
        replies = self.model.generate(prompts, sampling=SAMPLING)
        return [
            graded(self.rubric, reply, key) for (reply,), key in zip(replies, keys, strict=True)
        ]

    def _by_likelihood(self, shown: Sequence[tuple[Item, str]]) -> list[Verdict]:
        requests = []
        for item, response in shown:
            _, parts = self._material(item, response)
            parts.append(f"{self.rubric.yes_no} Answer Yes or No.")
            requests.append((asked("\n\n".join(parts), SYSTEM), ("Yes", "No")))
        return [likelier(yes, no) for yes, no in self.model.loglikelihood(requests)]

    def _material(self, item: Item, response: str) -> tuple[str, list[str]]:
        """The key, and the task with the material."""
        # Over everything that is shown, since any of it might hold a key that was known before.
        key = key_for(item.request, response, *item.correct, *item.incorrect, *item.evidence)
        parts = [self.rubric.task, material("request", item.request, key)]
        for name, texts in (
            ("true reference answers", item.correct),
            ("false reference answers", item.incorrect),
            ("evidence", item.evidence),
        ):
            if texts:
                parts.append(material(name, "\n".join(f"- {text}" for text in texts), key))
        return key, [*parts, material("response", response, key)]


def graded(rubric: Rubric, reply: Completion, key: str) -> Verdict:
    """Read one reply; unscored where it can't be parsed or a grade is out of range."""
    found = read_reply(reply, key, [grade.name for grade in rubric.grades])
    if found.reason is not None:
        return unscored(found.reason, reply.text, found.transient)
    grades: dict[str, int] = {}
    for grade in rubric.grades:
        text = found.values[grade.name]
        if not _WHOLE.fullmatch(text):
            return unscored(f"{UNPARSED}: {grade.name} is not a whole number", reply.text)
        # The length first: a judge may write a thousand digits.
        if len(text) > 9 or not grade.low <= int(text) <= grade.high:
            span = f"{grade.low} to {grade.high}"
            return unscored(f"judge grade out of range: {grade.name} is not {span}", reply.text)
        grades[grade.name] = int(text)
    return Verdict(
        "pass" if rubric.passed(grades) else "fail",
        score=float(rubric.score(grades)),
        raw=reply.text,
        grades={**grades, **rubric.derived(grades)},
    )


def likelier(yes: Loglikelihood, no: Loglikelihood) -> Verdict:
    """Pass where "Yes" is likelier; the score is its share of the two. A draw is unscored."""
    # The one comparison of likelihoods there is: a failed answer is no vote.
    best = likeliest([yes, no])
    if best.reason == "tie":
        return unscored("judge finds Yes and No equally likely")
    if best.reason is not None:
        return unscored(f"judge has no likelihood: {best.reason}", transient=best.transient)
    # Cut where exp would overflow; the share is 0 to fifteen digits long before.
    share = 1.0 / (1.0 + math.exp(min(700.0, no.logprob - yes.logprob)))
    return Verdict("pass" if best.place == 0 else "fail", score=share)


def parse_rate(verdicts: Sequence[Verdict]) -> float | None:
    """Share of the model's replies that could be parsed; None where there is no reply.

    A grade out of range and the judge's own refusal count as not parsed.
    """
    # Empty responses were never put to the model and say nothing of how well it is read.
    replies = [verdict for verdict in verdicts if verdict.raw is not None]
    if not replies:
        return None
    return sum(verdict.outcome != "unscored" for verdict in replies) / len(replies)
