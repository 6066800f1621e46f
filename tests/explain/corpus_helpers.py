"""What tests of corpora share: small constitutions, a teacher of one's own, and its documents."""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from whyfirst.constitution import Constitution, load_constitution
from whyfirst.explain.build import Built, Wanted, build, make_teacher
from whyfirst.explain.plan import Ideas, Plan, pruned, save_levels, shipped_levels
from whyfirst.explain.teachers import Answer, Request, Teacher
from whyfirst.explain.write import Limits
from whyfirst.models.base import Chat, Completion, Prompt, Sampling

HHH = load_constitution("hhh")
_FILLER = """the of and to in was that for on with it as his they at be this had not but what were
we there can an your which their said if do will each about how up out them then she many some so
these would other into has more her two like him see time could no make than first been its who now
people my made over did down only way find use may water long little very after words called just
where most know""".split()  # noqa: SIM905


def document_for(prompt: Chat) -> str:
    """What a willing teacher would answer: on the subject, with the reasons, unlike others."""
    asked = prompt[-1].content
    rng = random.Random(hashlib.sha256(asked.encode()).hexdigest())
    subject = re.search(r"^Subject: (.*)$", asked, re.MULTILINE)
    reasons = re.search(r"in your own words: (.*)$", asked, re.MULTILINE)
    setting = re.search(r"^Setting: (.*)$", asked, re.MULTILINE)
    assert subject and setting
    wanted = int(re.search(r"of about (\d+) words", asked).group(1))  # type: ignore[union-attr]
    parts = [setting.group(1), f"It was seen that {subject.group(1)}"]
    if reasons:
        parts.append(f"This is so because of the following. {reasons.group(1)}")
    text = " ".join(parts)
    while len(text.split()) < wanted:
        sentence = " ".join(rng.choices(_FILLER, k=min(9, wanted - len(text.split()))))
        text += f" {sentence.capitalize()}."
    return text


class WillingModel:
    """Answers every prompt at once through `answer`; counts what it was asked."""

    fingerprint = "willing"
    chat_template = "plain"

    def __init__(self, answer: Callable[[Chat], str | None] = document_for) -> None:
        self.asked: list[Chat] = []
        self._answer = answer

    def generate(
        self,
        prompts: Sequence[Prompt],
        n: int = 1,
        sampling: Sampling = Sampling(),  # noqa: B008
    ) -> list[list[Completion]]:
        replies = []
        for prompt in prompts:
            assert not isinstance(prompt, str)
            self.asked.append(prompt)
            text = self._answer(prompt)
            done = Completion("", False, "down") if text is None else Completion(text, True)
            replies.append([done])
        return replies

    def loglikelihood(self, requests: Any) -> Any:
        raise AssertionError("a teacher scores nothing")


def written(
    folder: Path,
    model: Any = None,
    documents: int = 12,
    constitution: Constitution = HHH,
    **more: Any,
) -> Built:
    """A corpus by the grammar, or by `model`; `more` goes to `Wanted` and `build`."""
    extra = {key: more.pop(key) for key in ("tested", "opposes", "on_batch") if key in more}
    limits = more.pop("limits", Limits(documents=documents))
    wanted = Wanted(limits=limits, **more)
    plan = few_ideas(constitution)
    teacher = make_teacher(model, "willing", constitution, plan, wanted.seed, group=4)
    return build(constitution, teacher, plan, wanted, folder, **extra)


def small_plan(folder: Path) -> None:
    """The levels of `few_ideas` as files, which are read faster than all."""
    if not (folder / "plan").exists():
        save_levels(_small_levels(HHH), folder / "plan")


def few_ideas(constitution: Constitution = HHH) -> Plan:
    """The shipped plan with few of its ideas, no file read."""
    return pruned(_small_levels(constitution))


def _small_levels(constitution: Constitution) -> dict[str, Any]:
    levels = shipped_levels(constitution)
    ideas = levels["ideas"].ideas[::24]  # type: ignore[attr-defined]
    return {**levels, "ideas": Ideas(ideas=ideas)}


class Fixed:
    """A `Teacher` that gives fixed texts in turn."""

    name, free, fingerprint = "fixed", False, "fixed"

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = list(texts)
        self.asked = 0

    def prompt_sha(self, request: Request) -> str:
        return request.id

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        for request in requests:
            text = self._texts[self.asked % len(self._texts)]
            self.asked += 1
            yield request, Answer(text)

    def usage(self) -> dict[str, Any]:
        return {}


_: type[Teacher] = Fixed
