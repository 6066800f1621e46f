"""Teachers behind one interface: the grammar, and any language model.

A teacher is given requests and gives back answers one after another, each as soon as it is there,
so that each can be written down before the next is waited for. Leaves out: what becomes of an
answer (`write.py`). No reply is ever taken from a cache: two equal requests are two documents.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

from whyfirst.config.files import sha256_json
from whyfirst.config.strict import output_fields
from whyfirst.constitution import Constitution
from whyfirst.explain import prompts, template
from whyfirst.explain.cells import Cell
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.grammar import Craft, crafts
from whyfirst.explain.plan import Plan
from whyfirst.models.base import Chat, LanguageModel, Sampling
from whyfirst.models.said import VERSION as REPLY_VERSION
from whyfirst.models.said import answer

#: words asked for where nothing else is known, and tokens allowed for a document and its reasoning
WORDS, MOST_TOKENS = 250, 4096
TEMPERATURE = 1.0


@dataclass(frozen=True)
class Request:
    """One document to ask for; `attempt` tells a second try from the first."""

    cell: Cell
    corpus: Corpus = "explanations"
    attempt: int = 0
    words: int = WORDS

    @property
    def id(self) -> str:
        """Names the record: which cell, in which corpus, at which attempt."""
        return f"{self.corpus}-{self.cell.id}-{self.attempt}"


@dataclass(frozen=True)
class Answer:
    """What came back.

    Args:
        text: the document, or whatever the teacher said.
        finished: it ended by itself.
        problem: why there is no text; else None.
        grounds: what it gives as grounds, where the teacher knows.
        value, behaviour: what it is about, where that is not the cell's (the neutral corpus).
    """

    text: str
    finished: bool = True
    problem: str | None = None
    grounds: tuple[str, ...] = ()
    value: str | None = None
    behaviour: str | None = None


class Teacher(Protocol):
    """Who writes.

    Attributes:
        name: goes into each record.
        free: costs nothing and always gives the same document, so that answers needn't be kept.
    """

    name: str
    free: bool

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides what this teacher writes for a request."""
        ...

    def prompt_sha(self, request: Request) -> str:
        """SHA-256 of what is asked."""
        ...

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """One answer a request, in any order."""
        ...

    def usage(self) -> dict[str, Any]:
        """What was spent since the teacher was made, by name; empty where nothing is known."""
        ...


class GrammarTeacher:
    """The template teacher: offline, instant, and a grammar."""

    name = template.TEACHER
    free = True

    def __init__(self, constitution: Constitution, plan: Plan, seed: int) -> None:
        self._teacher = template.TemplateTeacher(constitution, plan, seed)
        self._seed = seed

    @cached_property
    def fingerprint(self) -> str:
        """As studies have it."""
        return template.teacher_fingerprint()

    def prompt_sha(self, request: Request) -> str:
        """Of the request itself: a grammar is asked nothing."""
        return sha256_json([self.fingerprint, self._seed, request.id])

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """The documents, in order."""
        for request in requests:
            document = self._teacher.write(request.cell, request.corpus, request.attempt)
            yield request, Answer(
                document.text, grounds=document.grounds, value=document.value,
                behaviour=document.behaviour,
            )  # fmt: skip

    def usage(self) -> dict[str, Any]:
        """Nothing."""
        return {}


class ModelTeacher:
    """A language model.

    Args:
        model: local or behind an endpoint. An endpoint's own store of replies is what keeps the
            answers of a call that a kill cut short.
        group: prompts a call.
    """

    free = False

    def __init__(
        self,
        model: LanguageModel,
        name: str,
        constitution: Constitution,
        plan: Plan,
        seed: int,
        group: int = 8,
    ) -> None:
        self.name, self._model, self._group = name, model, group
        self._constitution, self._plan, self._seed = constitution, plan, seed
        self._sampling = Sampling(max_new_tokens=MOST_TOKENS, temperature=TEMPERATURE, seed=seed)

    @property
    def fingerprint(self) -> str:
        """Of the model, what it is asked and the sampling."""
        return sha256_json([self._model.fingerprint, asking_fingerprint()])

    def prompt(self, request: Request) -> Chat:
        """What is asked."""
        return asked_for(request, self._constitution, self._plan, self._seed)

    def prompt_sha(self, request: Request) -> str:
        """Of the messages."""
        return sha256_json([[m.role, m.content] for m in self.prompt(request)])

    def answers(self, requests: Sequence[Request]) -> Iterator[tuple[Request, Answer]]:
        """Each as soon as it is there."""
        for start in range(0, len(requests), self._group):
            group = requests[start : start + self._group]
            # In groups, so that a killed call loses one group and a local model isn't handed
            # everything.
            replies = self._model.generate([self.prompt(r) for r in group], 1, self._sampling)
            for request, (reply,) in zip(group, replies, strict=True):
                said = answer(reply)
                found = Answer(said.text.strip(), reply.finished, said.problem)
                if request.corpus == "neutral":
                    craft = _craft(request, self._seed)
                    behaviour = prompts.craft_behaviour(request.cell, craft)
                    found = replace(found, value=craft.id, behaviour=behaviour)
                yield request, found

    def usage(self) -> dict[str, Any]:
        """What the model says it has used, where it says so."""
        return usage_of(self._model)


def asked_for(request: Request, constitution: Constitution, plan: Plan, seed: int) -> Chat:
    """What a model is asked for one document."""
    cell = request.cell
    return prompts.document_prompt(
        cell,
        request.corpus,
        constitution,
        plan.subdomain(cell.subdomain),
        _craft(request, seed),
        request.words,
        # Every request is its own: no cache on the way may replay one document for another.
        request.id,
    )


def _craft(request: Request, seed: int) -> Craft:
    # As the grammar chooses it, so that both teachers' neutral corpora are about the same crafts.
    return random.Random(f"{seed}/{request.cell.id}/craft").choice(crafts())


def asking_fingerprint() -> str:
    """Hash of all but the model that decides what a model writes: prompts, crafts, sampling."""
    # How replies are read counts too: another reading gives other documents from the same replies.
    asked = [prompts.VERSION, REPLY_VERSION, WORDS, MOST_TOKENS, TEMPERATURE]
    return sha256_json([asked, [output_fields(craft) for craft in crafts()]])


def usage_of(model: object) -> dict[str, Any]:
    """Numbers of a model's ``usage`` (tokens and price), or nothing where it keeps none."""
    used = getattr(model, "usage", None)
    if used is None:
        return {}
    # An endpoint counts in a dataclass, a wrapper of one in a mapping.
    items: Mapping[str, Any] = used if isinstance(used, Mapping) else vars(used)
    return {name: n for name, n in items.items() if isinstance(n, int | float)}


def usage_by_name(asked: Iterable[tuple[str, object]]) -> dict[str, dict[str, Any]]:
    """Name -> what a model has used, of those that count it."""
    used = {name: usage_of(model) for name, model in asked}
    return {name: usage for name, usage in used.items() if usage}
