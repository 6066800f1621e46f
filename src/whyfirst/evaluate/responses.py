"""Benchmarks of responses: items are asked once, greedily, and scorers say what came back.

Leaves out: what is asked (benchmarks/), and the scorers.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from whyfirst.config.errors import DataError, UserError
from whyfirst.evaluate.benchmark import Metric, Progress, in_batches
from whyfirst.evaluate.item import Item, ItemResult, Outcome, unscored
from whyfirst.evaluate.scorers import Scorer, make_scorer
from whyfirst.models.base import Chat, Completion, LanguageModel, Message, Prompt, Sampling
from whyfirst.models.said import answer

ANSWER_TOKENS = 256
_OPPOSITE: Mapping[Outcome, Outcome] = {"pass": "fail", "fail": "pass", "unscored": "unscored"}


@dataclass(frozen=True)
class Measure:
    """How a metric is scored.

    Args:
        metric: where it is an opposite, a scorer's no is its pass.
        questions: what its scorer may ask; one scorer of one of them is taken.
        default: the scorer where none is given; None leaves the metric unscored then.
        covers: which items it is about.
        said: what is scored in place of the model's response (BOLD's baseline).
        required: without a scorer the benchmark is not run at all.
        keep_response: whether its records hold the response; once is enough for several metrics.
    """

    metric: Metric
    questions: tuple[str, ...]
    default: str | None = None
    covers: Callable[[Item], bool] = lambda item: True
    said: Mapping[str, Completion] | None = None
    required: bool = False
    keep_response: bool = True

    def chosen(self, scorers: Mapping[str, Scorer]) -> Scorer | None:
        """The scorer to use, of those given by question.

        Raises:
            UserError: one is required and none is given, or two are.
        """
        # Two judges of one metric would give two values, and the table has one place.
        given = [scorers[question] for question in self.questions if question in scorers]
        if len(given) > 1:
            both = " and ".join(repr(scorer.name) for scorer in given)
            raise UserError(f"{self.metric.name} takes one judge, not {both}")
        if given:
            return given[0]
        if self.required:
            raise UserError(
                f"{self.metric.name} needs a scorer that says whether a response is "
                f"{' or '.join(map(repr, self.questions))}, from a judging model: no rule can tell"
            )
        return make_scorer(self.default) if self.default else None

    def required_of(self, scorers: Sequence[Scorer]) -> Scorer:
        """The scorer to use; for a measure that is required.

        Raises:
            UserError: none is given that answers its question.
        """
        scorer = self.chosen(scorers_by_question(scorers, self.questions))
        assert scorer is not None
        return scorer

    def records(
        self, scorer: Scorer, items: Sequence[Item], completions: Sequence[Completion]
    ) -> list[ItemResult]:
        """One record an item."""
        # All at once: a scorer that asks a model batches what it is given.
        verdicts = scorer.score(items, completions)
        found = []
        for item, verdict, completion in zip(items, verdicts, completions, strict=True):
            outcome, score = verdict.outcome, verdict.score
            if self.metric.opposite:
                # Unscored stays unscored: what can't be told is no pass of the opposite either.
                outcome, score = _OPPOSITE[outcome], None if score is None else 1.0 - score
            # A share is of passes, however finely its judge grades.
            if self.metric.unit == "proportion" and score is not None:
                score = float(outcome == "pass")
            # Where the model said nothing there is no response to show and no judge to name.
            asked = completion.problem is None
            more: dict[str, Any] = {"transient": True} if verdict.transient else {}
            if asked:
                # Of an answer that never came no judge has said anything.
                more["judge"] = f"{scorer.name}/{scorer.version}"
            if asked and self.keep_response:
                more["response"] = completion.text
            if outcome == "unscored" and verdict.raw is not None:
                more["raw"] = verdict.raw
            found.append(
                ItemResult(
                    item.id, self.metric.name, outcome, verdict.reason, score, **item.about, **more
                )
            )
        return found


@dataclass(frozen=True)
class Responses:
    """Items, asked once each, and what is measured of the answers; a `benchmark.Task`.

    Args:
        asks: the texts that training documents must not hold; None is every item's request.
        combine: further records from those of the measures and the items' completions.

    Raises:
        DataError: two items have one id.
    """

    items: Sequence[Item]
    measures: Sequence[Measure]
    max_new_tokens: int = ANSWER_TOKENS
    stop: tuple[str, ...] = ()
    asks: Sequence[str] | None = None
    combine: Callable[[list[ItemResult], Sequence[Completion]], list[ItemResult]] = (
        lambda records, completions: []
    )

    def __post_init__(self) -> None:
        # Answers are kept by id: one item would be scored by what the other was answered.
        for name, count in Counter(item.id for item in self.items).items():
            if count > 1:
                raise DataError(f"{count} items have the id {name!r}; each needs one of its own")

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        if self.asks is not None:
            return list(self.asks)
        asked = (item.request for item in self.items if item.unaskable is None)
        return list(dict.fromkeys(asked))

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`.

        Raises:
            UserError: a scorer answers no question that is asked, or two answer the same one.
        """
        # Every scorer must be of use to some measure: one that is passed over looks like one that
        # agreed.
        questions = dict.fromkeys(q for measure in self.measures for q in measure.questions)
        by_question = scorers_by_question(scorers, tuple(questions))
        chosen = [(measure, measure.chosen(by_question)) for measure in self.measures]
        askable = [item.prompt for item in self.items if item.unaskable is None]
        answers = complete(model, askable, self.max_new_tokens, progress, self.stop)
        completions = {
            item.id: Completion("", False, item.unaskable)
            if item.unaskable
            else answers[item.prompt]
            for item in self.items
        }
        found: list[ItemResult] = []
        for measure, scorer in chosen:
            items = [item for item in self.items if measure.covers(item)]
            # What stands in for the model's answers is scored by the same scorer, or it is no
            # baseline.
            said = completions if measure.said is None else measure.said
            if scorer is not None:
                found += measure.records(scorer, items, [said[item.id] for item in items])
                continue
            reason = f"no scorer of {' or '.join(map(repr, measure.questions))} was given"
            found += [
                unscored(item.id, measure.metric.name, item.unaskable or reason, **item.about)
                for item in items
            ]
        return found + self.combine(found, [completions[item.id] for item in self.items])


class Asked(Protocol):
    """A request as `Exact` needs it."""

    @property
    def id(self) -> str:
        """The same in every arm and seed."""
        ...

    @property
    def prompt(self) -> str:
        """What the model is sent."""
        ...


Q = TypeVar("Q", bound=Asked)


@dataclass(frozen=True)
class Exact(Generic[Q]):
    """Requests answered greedily and read without a scorer; a `benchmark.Task`.

    Args:
        read: the records of a request and its response.
        failed: those of one that has none, for a reason; further fields of the record may follow.
    """

    requests: Sequence[Q]
    read: Callable[[Q, str], list[ItemResult]]
    failed: Callable[..., list[ItemResult]]
    max_new_tokens: int

    @property
    def prompts(self) -> list[str]:
        """See `benchmark.Task`."""
        return [request.prompt for request in self.requests]

    def run(
        self, model: LanguageModel, scorers: Sequence[Scorer], progress: Progress
    ) -> list[ItemResult]:
        """See `benchmark.Task`; no scorer is asked."""
        answers = complete(model, self.prompts, self.max_new_tokens, progress)
        found: list[ItemResult] = []
        for request in self.requests:
            completion = answers[request.prompt]
            # What a model thinks unasked is no answer, and one cut off inside its thoughts is none
            # yet.
            said = answer(completion)
            if said.problem is None:
                found += self.read(request, said.text)
            else:
                found += self.failed(request, said.problem, transient=completion.transient)
        return found


def complete(
    model: LanguageModel,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    progress: Progress,
    stop: tuple[str, ...] = (),
) -> dict[Prompt, Completion]:
    """One greedy completion of each distinct prompt; the same one asked twice says nothing new."""
    distinct = list(dict.fromkeys(prompts))
    sampling = Sampling(max_new_tokens=max_new_tokens, stop=stop)
    answers = in_batches(distinct, lambda some: model.generate(some, sampling=sampling), progress)
    return {prompt: one for prompt, (one, *_) in zip(distinct, answers, strict=True)}


def converse(
    model: LanguageModel, turns: Sequence[Sequence[str]], max_new_tokens: int, progress: Progress
) -> Iterator[tuple[int, int, Chat, Completion]]:
    """Dialogues answered turn by turn, all at once: (dialogue, turn, chat so far, reply).

    Args:
        turns: what the user says in each dialogue, whatever the answers are.
    """
    said: list[Chat] = [() for _ in turns]
    for at in range(max(map(len, turns), default=0)):
        now = [n for n, told in enumerate(turns) if at < len(told)]
        for n in now:
            said[n] = (*said[n], Message("user", turns[n][at]))
        replies = complete(model, [said[n] for n in now], max_new_tokens, progress)
        for n in now:
            reply = replies[said[n]]
            yield n, at, said[n], reply
            said[n] = (*said[n], Message("assistant", answer(reply).text or "..."))


def scorers_by_question(scorers: Sequence[Scorer], questions: Sequence[str]) -> dict[str, Scorer]:
    """The scorers that were given, by their question.

    Raises:
        UserError: one answers none of the questions, or two answer the same one.
    """
    found: dict[str, Scorer] = {}
    for scorer in scorers:
        if scorer.question not in questions:
            raise UserError(
                f"the scorer {scorer.name!r} says whether a response is {scorer.question!r}; give "
                f"one that says {' or '.join(map(repr, questions)) or 'nothing: none is asked'}"
            )
        if scorer.question in found:
            raise UserError(
                f"{found[scorer.question].name!r} and {scorer.name!r} both say whether a response "
                f"is {scorer.question!r}; give one of them"
            )
        found[scorer.question] = scorer
    return found
