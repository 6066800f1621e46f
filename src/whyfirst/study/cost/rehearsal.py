"""A benchmark's run without a model: which items it will score, and what it will ask for them.

Any benchmark is run on a model that knows nothing and counts what it is asked; its records name
the items, topics, splits and framings of the design, its calls the tokens and judgements it will
take. Leaves out: how long answers will be (the most that may be generated is counted).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import Task
from whyfirst.evaluate.scorers import asks_a_model, make_scorer
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling
from whyfirst.study.results.table import Table

NOT_RUN = "rehearsed, not run"
_PROSE = (
    "there was once a small house by the river where nobody knew how many people had come to stay "
    "for the winter and what each of them would bring when summer returned to that quiet valley"
)
_WORDS = tuple(_PROSE.split())


@dataclass
class Tally:
    """What a model is asked in one run of a benchmark. Lengths of text are in characters.

    Attributes:
        calls: completions and scored prompts.
        read: all prompts and continuations that are read, each prompt once.
        generated: tokens, the most there can be.
        longest: the longest prompt with its continuation.
    """

    calls: int = 0
    read: int = 0
    generated: int = 0
    longest: int = 0


@dataclass
class Counting:
    """A `LanguageModel` that counts what it is asked.

    It says that it did not answer, or, with `talks`, gives the longest answer it may: words in
    their usual company, since a judge leaves aside what is no text.
    """

    talks: bool
    asked: Tally = field(default_factory=Tally)
    fingerprint: str = "rehearsal"
    chat_template: str = "rehearsal"

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        for prompt in prompts:
            self._read(prompt, ())
            self.asked.calls += n
            self.asked.generated += n * sampling.max_new_tokens
        answer = Completion("", False, NOT_RUN)
        if self.talks:
            count, words = sampling.max_new_tokens, len(_WORDS)
            said = (_WORDS[(at + at // words * 7) % words] for at in range(count))
            answer = Completion(" ".join(said), False)
        return [[answer] * n for _ in prompts]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        for prompt, texts in requests:
            self.asked.calls += 1
            self._read(prompt, texts)
        unknown = Loglikelihood(float("nan"), 0, NOT_RUN)
        return [[unknown] * len(texts) for _, texts in requests]

    def _read(self, prompt: Prompt, texts: Sequence[str]) -> None:
        parts = [prompt] if isinstance(prompt, str) else [turn.content for turn in prompt]
        length = sum(map(len, parts))
        self.asked.read += length + sum(map(len, texts))
        self.asked.longest = max(self.asked.longest, length + max(map(len, texts), default=0))


@dataclass(frozen=True)
class Rehearsal:
    """What a benchmark's run asks of the model and of the judges' model; its items by metric."""

    asked: Tally
    judging: Tally
    tables: dict[str, Table]

    @property
    def bytes(self) -> float:
        """About what its items take on disk: everything read or written, and each item's names."""
        items = sum(len(table.items) for table in self.tables.values())
        return float(self.asked.read + 4 * self.asked.generated + 200 * items)


def rehearse(design: str, judges: Sequence[str], task: Callable[[], Task]) -> Rehearsal | None:
    """Run a benchmark on nothing, once in a process for each design.

    Somebody's benchmark that needs real answers gives None.

    Args:
        design: what tells one state of the benchmark's options and data from another.
        judges: the scorers named for it; those that ask a model ask one that counts.
        task: makes what the benchmark asks.

    Raises:
        UserError: as the benchmark's run does.
    """
    if design in _REHEARSED:
        return _REHEARSED[design]
    nobody = Counting(talks=False)
    scorers = [make_scorer(spec, nobody) for spec in judges if asks_a_model(spec)]
    model = Counting(talks=bool(scorers))
    found: Rehearsal | None = Rehearsal(model.asked, nobody.asked, {})
    try:
        records = task().run(model, scorers, lambda done, total, what: None)
    except UserError:
        raise
    except Exception:
        # Somebody's benchmark that needs real answers: it is known when it runs.
        records, found = [], None
    for record in records:
        if found is not None:
            found.tables.setdefault(record.benchmark, Table()).add(0, record.to_json())
    _REHEARSED[design] = found
    return found


_REHEARSED: dict[str, Rehearsal | None] = {}  # by design
