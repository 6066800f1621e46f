"""Our benchmarks of answers to chats as Inspect tasks: ``inspect eval whyfirst/jailbreak``.

The requests, limits and judges are those of `whyfirst eval`; Inspect's provider renders the chat
and generates. Judges that ask a model, benchmarks that continue plain text and those by
log-likelihood are left out: Inspect's providers take chats only. An Inspect log keeps what is
asked, which our own records of offensive requests don't.
"""

from collections.abc import Callable
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.scorer import Scorer, mean, scorer, stderr
from inspect_ai.solver import Solver, solver

from whyfirst.config.errors import UserError
from whyfirst.data.hub import data_path
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.responses import Measure, Responses
from whyfirst.evaluate.scorers import Scorer as Judge
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.interop.inspect_log import to_score
from whyfirst.models.base import Completion
from whyfirst.models.base import asked as asked_chat

_ROLES: dict[str, Callable[..., ChatMessage]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


def _task(name: str, judge: str, **options: Any) -> Task:
    """What a benchmark asks under some options, as a task with its own measures.

    Raises:
        UserError: the judge answers no question of the benchmark.
    """
    declared, chosen = benchmark_named(name), make_scorer(judge)
    if chosen.question not in declared.questions:
        raise UserError(
            f"task whyfirst/{name}: judge {judge!r} says whether a response is "
            f"{chosen.question!r}; give one that says "
            f"{' or '.join(map(repr, declared.questions))}"
        )
    asked = declared.task(**options)
    # Of the four benchmarks below, all are.
    assert isinstance(asked, Responses)
    by_id = {item.id: item for item in asked.items if item.unaskable is None}
    samples = []
    for item in by_id.values():
        turns = asked_chat(item.prompt) if isinstance(item.prompt, str) else item.prompt
        messages = [_ROLES[turn.role](content=turn.content) for turn in turns]
        # What Inspect can group by.
        about = {key: value for key, value in item.about.items() if value is not None}
        samples.append(Sample(id=item.id, input=messages, metadata=about))
    measures = [m for m in asked.measures if chosen.question in m.questions]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=solver(name="greedy")(greedy)(),
        scorer=[scorer_of(measure, by_id, chosen) for measure in measures],
        config=GenerateConfig(max_tokens=asked.max_new_tokens, stop_seqs=list(asked.stop) or None),
        version=declared.version,
        name=name,
    )


def greedy() -> Solver:
    """One greedy answer."""

    async def solve(state: Any, generate: Any) -> Any:
        # Inspect's transformers provider always samples, and refuses a temperature of 0.
        how = {"top_k": 1} if state.model.api == "hf" else {"temperature": 0.0}
        return await generate(state, **how)

    return solve


def scorer_of(measure: Measure, items: dict[str, Item], judge: Judge) -> Scorer:
    """Scores one response as `whyfirst eval` does; passes over samples it doesn't cover."""

    async def score(state: Any, target: Any) -> Any:
        item = items[str(state.sample_id)]
        # None leaves the sample out of this metric; a zero would count it.
        if not measure.covers(item):
            return None
        # Cut at the token limit is not finished: some judges must know.
        said = Completion(state.output.completion, finished=state.output.stop_reason == "stop")
        return to_score(measure.records(judge, [item], [said])[0])

    def made() -> Scorer:
        return score

    return scorer(metrics=[mean(), stderr(cluster="topic")], name=measure.metric.name)(made)()


def _names(text: str | list[str] | None) -> tuple[str, ...] | None:
    """Words with commas, as the command line gives them (Inspect makes a list of them)."""
    if text is None:
        return None
    parts = text.split(",") if isinstance(text, str) else text
    return tuple(part.strip() for part in parts)


def jailbreak(
    data: str,
    items: int | None = None,
    framings: str | list[str] | None = None,
    behaviours: str | list[str] | None = None,
    judge: str = "rules",
) -> Task:
    """Resistance to harmful requests, plain and in framings; see docs/benchmarks.md."""
    return _task(
        "jailbreak", judge, data=data_path(data), limit=items, framings=_names(framings),
        behaviours=_names(behaviours),
    )  # fmt: skip


def multilingual(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Resistance to hazard prompts by language."""
    return _task("multilingual", judge, data=data_path(data), limit=items)


def xstest(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Over-refusal of safe prompts and under-refusal of unsafe ones."""
    return _task("xstest", judge, data=data_path(data), limit=items)


def hh_responses(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Responses to HH-RLHF's prompts: refused, or what the judge's question is."""
    return _task("hh_responses", judge, data=data_path(data), limit=items)


for _function in (jailbreak, multilingual, xstest, hh_responses):
    task(_function)
