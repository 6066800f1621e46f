"""What every language model can do: continue a prompt, and say how likely a continuation is.

A prompt is either the final text or a chat, which the model turns into text by its chat template
(chat.py) or an endpoint takes as messages. Leaves out: hidden states (see the probes), and how a
model is loaded or run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True)
class Message:
    """One turn of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


Chat = tuple[Message, ...]
"""Turns, the last one the user's: the model answers it. A model that runs here also goes on with an
answer that is begun: the last turn is then the assistant's, as far as it goes."""
Prompt = str | Chat
"""Final text, used as it is, or a chat."""


def asked(text: str, system: str | None = None) -> Chat:
    """The chat of one user message, after a system message if given."""
    user = Message("user", text)
    return (user,) if system is None else (Message("system", system), user)


def instructed(prompt: Prompt, instruction: str) -> Prompt:
    """The prompt after an instruction: a system message, or a first paragraph."""
    if isinstance(prompt, str):
        return f"{instruction}\n\n{prompt}"
    if prompt and prompt[0].role == "system":
        return (Message("system", f"{prompt[0].content}\n\n{instruction}"), *prompt[1:])
    return (Message("system", instruction), *prompt)


@dataclass(frozen=True)
class Sampling:
    """How to generate.

    Args:
        max_new_tokens: most tokens to add to a prompt.
        temperature: 0 is greedy; else the softmax temperature.
        top_p: keep the smallest set of most likely tokens with at least this probability.
        stop: texts that end a completion; the text before the first of them is kept.
        seed: with the prompt and the completion's number it decides every draw, so a sample
            doesn't depend on what else is in the batch.
    """

    max_new_tokens: int = 64
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens must be at least 1, not {self.max_new_tokens}")
        if self.temperature < 0:
            raise ValueError(f"temperature must be 0 or more, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p must lie in (0, 1], not {self.top_p}")
        if "" in self.stop:
            raise ValueError("a stop text must not be empty")


GREEDY = Sampling()


def before_stop(text: str, stop: Sequence[str]) -> str:
    """The text before the first of the stop texts, or all of it."""
    # The earliest of them all, and not the first in the list: which one is named first means
    # nothing.
    return text[: min([len(text), *(text.find(s) for s in stop if s in text)])]


@dataclass(frozen=True)
class Completion:
    """One continuation: its text without special tokens, exactly as decoded (no stripping).

    Args:
        text: the continuation, which stands behind its prompt as it is; the reply to a chat comes
            without the white space its template puts before a reply.
        finished: it ended by itself (end token or stop text) and was not cut off.
        problem: why nothing could be generated, e.g. a prompt longer than the context; else None.
        transient: the problem may be gone when the same is asked again (a server that is down).
    """

    text: str
    finished: bool
    problem: str | None = None
    transient: bool = False


@dataclass(frozen=True)
class Loglikelihood:
    """Natural-log probability of a continuation given its prompt.

    Args:
        logprob: summed over the continuation's tokens; NaN if `problem` is set.
        tokens: how many tokens the continuation has (0 for an empty one, whose logprob is 0).
        problem: why it could not be computed, e.g. longer than the context; else None.
        transient: as for a `Completion`.
    """

    logprob: float
    tokens: int
    problem: str | None = None
    transient: bool = False


class LanguageModel(Protocol):
    """A model, or an inference-time method wrapped round one."""

    @property
    def fingerprint(self) -> str:
        """Hash of everything that decides its answers; equal only for interchangeable models."""
        ...

    @property
    def chat_template(self) -> str:
        """What turns a chat into text: ``tokenizer``, a shipped template's name (``plain`` is a
        base model's ``Human:``/``Assistant:``), a file's name or ``endpoint``; results that used
        chats say so."""
        ...

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """`n` completions for each prompt, in the prompts' order."""
        ...

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """For each (prompt, continuations): one `Loglikelihood` a continuation, in order.

        After a text the continuation stands as it is, spaces and all; after a chat it is the
        reply, put where the template puts one.
        """
        ...
