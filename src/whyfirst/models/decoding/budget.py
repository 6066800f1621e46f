"""What an inference-time method spends: a language model that counts what it is asked.

Every model that a method asks is wrapped once, under its role (the model itself, a judge, a
reward), so that a method can be set beside its base model at equal cost. Leaves out: caps on
spending, and prices (models/spend.py).
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from whyfirst.models.base import GREEDY, Completion, LanguageModel, Loglikelihood, Prompt, Sampling


@dataclass
class Spent:
    """What one role was asked for.

    Attributes:
        calls: completions and scored continuations.
        prompt_tokens, completion_tokens: read and written; continuations that are scored are read.
            None without a tokenizer (an endpoint tells its own usage).
        seconds: within the calls, of the clock.
    """

    calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    seconds: float = 0.0


@dataclass
class Budget:
    """What was spent, by role; `methods` are what spent it, the innermost first, by name."""

    roles: dict[str, Spent] = field(default_factory=dict)
    methods: list[tuple[str, Any]] = field(default_factory=list)

    def counting(self, model: LanguageModel, role: str, tokenizer: Any = None) -> "Counted":
        """The model, with everything it is asked counted under `role`, in a tokenizer's tokens."""
        return Counted(model, self.roles.setdefault(role, Spent()), tokenizer)

    @property
    def fallbacks(self) -> dict[str, int]:
        """How often a method fell back to something simpler, by the method and its reason."""
        return {
            f"{name}: {reason}": count
            for name, method in self.methods
            for reason, count in getattr(method, "fallbacks", {}).items()
        }

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Role -> the fields of `Spent`."""
        return {role: asdict(spent) for role, spent in self.roles.items()}


@dataclass
class Counted:
    """A `LanguageModel` that counts, and remembers whether it was asked chats."""

    inner: LanguageModel
    spent: Spent = field(default_factory=Spent)
    tokenizer: Any = None
    chats: bool = False

    @property
    def fingerprint(self) -> str:
        return str(self.inner.fingerprint)

    @property
    def chat_template(self) -> str:
        return str(self.inner.chat_template)

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`."""
        with self._timed(prompts):
            answers = self.inner.generate(prompts, n=n, sampling=sampling)
        self.spent.calls += sum(map(len, answers))
        self._read([_words(prompt) for prompt in prompts for _ in range(n)])
        said = [completion.text for given in answers for completion in given]
        self.spent.completion_tokens = self._added(self.spent.completion_tokens, said)
        return answers

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """See `LanguageModel.loglikelihood`."""
        with self._timed([prompt for prompt, _ in requests]):
            scores = self.inner.loglikelihood(requests)
        self.spent.calls += sum(map(len, scores))
        self._read([_words(prompt) + text for prompt, texts in requests for text in texts])
        return scores

    @contextmanager
    def _timed(self, prompts: Sequence[Prompt]) -> Iterator[None]:
        self.chats |= any(not isinstance(prompt, str) for prompt in prompts)
        start = time.perf_counter()
        yield
        self.spent.seconds += time.perf_counter() - start

    def _read(self, texts: Sequence[str]) -> None:
        self.spent.prompt_tokens = self._added(self.spent.prompt_tokens, texts)

    def _added(self, before: int | None, texts: Sequence[str]) -> int | None:
        if self.tokenizer is None or before is None:
            return None
        found = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
        return before + sum(map(len, found))


def _words(prompt: Prompt) -> str:
    """The words of a prompt; a chat without what its template puts round them."""
    return prompt if isinstance(prompt, str) else "\n".join(turn.content for turn in prompt)
