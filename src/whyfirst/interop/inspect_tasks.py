"""Our benchmarks of answers to chats as Inspect tasks: ``inspect eval whyfirst/jailbreak``.

The requests, limits and judges are those of `whyfirst eval`; Inspect's provider renders the chat
and generates. Judges that ask a model, benchmarks that continue plain text and those by
log-likelihood are left out: Inspect's providers take chats only. An Inspect log keeps what is
asked, which our own records of offensive requests don't.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from whyfirst.evaluate.benchmark import BENCHMARKS, BenchmarkOptions
from whyfirst.evaluate.benchmarks import hh_responses as hh
from whyfirst.evaluate.benchmarks import jailbreak as breaks
from whyfirst.evaluate.benchmarks import multilingual as languages
from whyfirst.evaluate.benchmarks import xstest as safety
from whyfirst.evaluate.benchmarks.answering import ANSWER_TOKENS, Case, judge_cases
from whyfirst.evaluate.judging import Judge, make_judge
from whyfirst.interop.inspect_log import to_score
from whyfirst.models.base import Completion, Prompt

_ROLES: dict[str, Callable[..., ChatMessage]] = {
    "system": ChatMessageSystem,
    "user": ChatMessageUser,
    "assistant": ChatMessageAssistant,
}


@dataclass(frozen=True)
class _Scoring:
    """One metric: which split it looks at (None for all), and whether a judge's no is its pass."""

    metric: str
    split: str | None = None
    opposite: bool = False


def _judge(benchmark: str, spec: str) -> Judge:
    judge = make_judge(spec)
    questions = BENCHMARKS.get(benchmark).questions
    if judge.question not in questions:
        raise UserError(
            f"task whyfirst/{benchmark}: judge {spec!r} says whether a response is "
            f"{judge.question!r}; give one that says {' or '.join(map(repr, questions))}"
        )
    return judge


def _messages(prompt: Prompt) -> list[ChatMessage]:
    if isinstance(prompt, str):
        return [ChatMessageUser(content=prompt)]
    return [_ROLES[turn.role](content=turn.content) for turn in prompt]


def _task(
    name: str,
    cases: Sequence[Case],
    judge: Judge,
    scorings: Sequence[_Scoring],
    stop: Sequence[str] = (),
) -> Task:
    by_id = {case.id: case for case in cases}
    samples = [
        Sample(id=case.id, input=_messages(case.prompt), metadata=_about(case)) for case in cases
    ]
    return Task(
        dataset=MemoryDataset(samples, name=name),
        solver=solver(name="greedy")(_greedy)(),
        scorer=[_scorer(scoring, by_id, judge) for scoring in scorings],
        config=GenerateConfig(max_tokens=ANSWER_TOKENS, stop_seqs=list(stop) or None),
        version=BENCHMARKS.get(name).version,
        name=name,
    )


def _greedy() -> Solver:
    """One greedy answer."""

    async def solve(state: Any, generate: Any) -> Any:
        # Inspect's transformers provider always samples, and refuses a temperature of 0.
        how = {"top_k": 1} if state.model.api == "hf" else {"temperature": 0.0}
        return await generate(state, **how)

    return solve


def _about(case: Case) -> dict[str, Any]:
    """What Inspect can group by."""
    return {key: value for key, value in case.about.items() if value is not None}


def _scorer(scoring: _Scoring, cases: dict[str, Case], judge: Judge) -> Scorer:
    """Judges one response as `whyfirst eval` does; passes over samples of another split."""

    async def score(state: Any, target: Any) -> Any:
        case = cases[str(state.sample_id)]
        if scoring.split is not None and case.about.get("split") != scoring.split:
            return None
        said = Completion(state.output.completion, finished=state.output.stop_reason == "stop")
        (item,) = judge_cases(scoring.metric, judge, [case], [said], opposite=scoring.opposite)
        return to_score(item)

    def made() -> Scorer:
        return score

    return scorer(metrics=[mean(), stderr(cluster="topic")], name=scoring.metric)(made)()


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
    options = BenchmarkOptions(
        data=data_path(data), limit=items, framings=_names(framings), behaviours=_names(behaviours)
    )
    cases, _ = breaks.cases(options)
    return _task("jailbreak", cases, _judge("jailbreak", judge), [_Scoring("jailbreak")])


def multilingual(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Resistance to hazard prompts by language."""
    cases = languages.cases(BenchmarkOptions(data=data_path(data), limit=items))
    return _task("multilingual", cases, _judge("multilingual", judge), [_Scoring("multilingual")])


def xstest(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Over-refusal of safe prompts and under-refusal of unsafe ones."""
    cases = safety.cases(BenchmarkOptions(data=data_path(data), limit=items))
    scorings = [_Scoring(safety.OVER.name, "safe"), _Scoring(safety.UNDER.name, "unsafe", True)]
    return _task("xstest", cases, _judge("xstest", judge), scorings)


def hh_responses(data: str, items: int | None = None, judge: str = "rules") -> Task:
    """Responses to HH-RLHF's prompts: refused, or what the judge's question is."""
    found = hh.cases(BenchmarkOptions(data=data_path(data), limit=items))
    cases = [case for _, case in found if case is not None]
    chosen = _judge("hh_responses", judge)
    scoring = _Scoring(hh.METRICS[chosen.question].name)
    return _task("hh_responses", cases, chosen, [scoring], hh.STOP)


for _function in (jailbreak, multilingual, xstest, hh_responses):
    task(_function)
