"""Dialogue between roles: the one loop under methods that ask models in turn.

A method's script is a generator for one prompt: it yields what to ask of which role and is sent the
answers. All prompts' scripts run side by side, and what they ask of one role at the same moment is
asked in one batch, so that a method is as fast as its model's batching. A script reads what was
said, without the thought before it; the reply that it gives as its answer keeps its own. Leaves
out: search over partial answers (search.py).
"""

from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, TypeVar

from whyfirst.config.files import sha256_json
from whyfirst.models.base import (
    GREEDY,
    Completion,
    LanguageModel,
    Loglikelihood,
    Message,
    Prompt,
    Sampling,
)
from whyfirst.models.said import answer

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What a script asks: `n` completions of a prompt from a role.

    Args:
        part: what comes is a part of an answer, thought and all, and is handed on as it is.
    """

    prompt: Prompt
    sampling: Sampling
    role: str = "model"
    n: int = 1
    part: bool = False


Script = Generator[list[Request], list[list[Completion]], Completion]
"""Yields requests, is sent a list of completions for each, and returns its answer."""


@dataclass(frozen=True)
class Answered(Completion):
    """What a reply says, and the whole reply with the thought before it."""

    whole: Completion | None = None


class Unanswered(Exception):
    """Thrown into a script whose request has a problem; uncaught, the problem is its answer.

    A reply that was cut off inside its thoughts is one.
    """

    def __init__(self, completion: Completion) -> None:
        super().__init__(completion.problem)
        self.completion = completion


@dataclass
class Dialogue:
    """A language model whose answers a script makes from other models' answers.

    Args:
        model: the model that is wrapped; what is asked of no other role is asked of it.
        name, options: of the method, for the fingerprint.
        script: (prompt, sampling of the answer) -> the script of one prompt.
        roles: further roles' models.

    Attributes:
        calls: completions asked for, by role.
        fallbacks: how often the method fell back to something simpler, by reason.
    """

    model: LanguageModel
    name: str
    options: Mapping[str, Any]
    script: Callable[[Prompt, Sampling], Script]
    roles: Mapping[str, LanguageModel] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    fallbacks: Counter[str] = field(default_factory=Counter)

    @property
    def fingerprint(self) -> str:
        others = {role: model.fingerprint for role, model in self.roles.items()}
        return sha256_json([self.model.fingerprint, self.name, dict(self.options), others])

    @property
    def chat_template(self) -> str:
        return self.model.chat_template

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; greedy, one answer is made and repeated."""
        repeats = 1 if sampling.temperature == 0 else n
        scripts = [
            self.script(prompt, nth(sampling, number, self.name))
            for prompt in prompts
            for number in range(repeats)
        ]
        played = play(scripts, self._ask)
        answers = [p.completion if isinstance(p, Unanswered) else _whole(p) for p in played]
        rows = [answers[start : start + repeats] for start in range(0, len(answers), repeats)]
        return [[row[number % repeats] for number in range(n)] for row in rows]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """The wrapped model's."""
        return self.model.loglikelihood(requests)

    def _ask(self, requests: Sequence[Request]) -> list[list[Completion]]:
        """All requests' completions, those alike but for their prompt in one call."""
        groups: dict[tuple[str, int, Sampling], list[int]] = {}
        for place, request in enumerate(requests):
            groups.setdefault((request.role, request.n, request.sampling), []).append(place)
        found: dict[int, list[Completion]] = {}
        for (role, n, sampling), places in groups.items():
            self.calls[role] += n * len(places)
            model = self.roles.get(role, self.model)
            prompts = [requests[place].prompt for place in places]
            given = model.generate(prompts, n=n, sampling=sampling)
            found |= dict(zip(places, given, strict=True))
        return [found[place] for place in range(len(requests))]


def _answered(reply: Completion) -> Completion:
    found = answer(reply)
    if found.problem is not None:
        return replace(reply, problem=found.problem)
    return Answered(found.text, reply.finished, whole=reply) if found.thought else reply


def _whole(reply: Completion) -> Completion:
    return (reply.whole or reply) if isinstance(reply, Answered) else reply


def play(
    scripts: Sequence[Generator[list[Request], list[list[Completion]], T]],
    ask: Callable[[list[Request]], list[list[Completion]]],
) -> list[T | Unanswered]:
    """Every script to its end: what it returns, or the problem that it did not catch."""
    ends: dict[int, T | Unanswered] = {}
    waiting: dict[int, list[Request]] = {}

    def step(index: int, replies: list[list[Completion]] | None) -> None:
        script = scripts[index]
        failed = next((c for r in replies or () for c in r if c.problem is not None), None)
        try:
            if replies is None:
                waiting[index] = next(script)
            elif failed is not None:
                waiting[index] = script.throw(Unanswered(failed))
            else:
                waiting[index] = script.send(replies)
        except StopIteration as ended:
            ends[index] = ended.value
        except Unanswered as problem:
            ends[index] = problem

    for index in range(len(scripts)):
        step(index, None)
    while waiting:
        asked, waiting_now = dict(waiting), sorted(waiting)
        waiting.clear()
        replies = ask([r for index in waiting_now for r in asked[index]])
        for index in waiting_now:
            count = len(asked[index])
            read = [
                row if request.part else [_answered(reply) for reply in row]
                for request, row in zip(asked[index], replies[:count], strict=True)
            ]
            step(index, read)
            replies = replies[count:]
    return [ends[index] for index in range(len(scripts))]


def nth(sampling: Sampling, number: int, of: str = "") -> Sampling:
    """The sampling of the `number`-th sample, from 0: another seed for each but the first.

    By a hash: sums would meet where samples are drawn within samples.

    Args:
        of: what is sampled, where it lies within other samples; the second answer's first draft
            would be the first answer's second one.
    """
    if not number:
        return sampling
    drawn = sha256(f"{sampling.seed}/{of}/{number}".encode()).digest()[:6]
    return replace(sampling, seed=int.from_bytes(drawn, "big"))


def drawn(sampling: Sampling, temperature: float) -> Sampling:
    """The sampling of drafts: as diverse as `temperature`, unless the answer's own is higher."""
    return replace(sampling, temperature=max(temperature, sampling.temperature))


def words(prompt: Prompt) -> str:
    """What is asked: a text as it is, or the last message of a chat."""
    return prompt if isinstance(prompt, str) else prompt[-1].content


def rephrased(prompt: Prompt, text: str) -> Prompt:
    """The prompt with other words in place of what is asked; earlier turns stay."""
    if isinstance(prompt, str):
        return text
    return (*prompt[:-1], Message(prompt[-1].role, text))
