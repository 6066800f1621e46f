"""Asking a model and having its answers judged: what every benchmark of responses shares.

Decoding is greedy. A prompt that doesn't fit the context, and a response that its judge can't
judge, come out unscored with that reason. Leaves out: what is asked, and the judges.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.evaluate.benchmark import (
    BENCHMARKS,
    BenchmarkOptions,
    ItemResult,
    Progress,
    Verdict,
    unscored,
)
from whyfirst.evaluate.judging import JUDGES, Exchange, Judge, Judgement
from whyfirst.models.base import Completion, LanguageModel, Prompt, Sampling

ANSWER_TOKENS = 256
_AT_ONCE = 256  # prompts between two progress reports; enough for batches of like lengths
_OPPOSITE: Mapping[Verdict, Verdict] = {"pass": "fail", "fail": "pass", "unscored": "unscored"}


@dataclass(frozen=True)
class Case:
    """One thing to ask.

    Args:
        id: the item.
        prompt: what the model is sent.
        request: what is asked in plain words, for the judge.
        about: further fields of its `ItemResult`.
        language: ISO 639-1 code of the expected response.
        correct, incorrect: reference answers, for the judges that compare with them.
    """

    id: str
    prompt: Prompt
    request: str
    about: Mapping[str, Any] = field(default_factory=dict)
    language: str = "en"
    correct: tuple[str, ...] = ()
    incorrect: tuple[str, ...] = ()


def judges_for(name: str, options: BenchmarkOptions) -> dict[str, Judge]:
    """The judges that were given, by their question.

    Raises:
        UserError: one answers no question of the benchmark, or two answer the same one.
    """
    questions = BENCHMARKS.get(name).questions
    found: dict[str, Judge] = {}
    for judge in (options.judge, *options.judges):
        if judge is None:
            continue
        if judge.question not in questions:
            raise UserError(
                f"benchmark {name!r}: the judge {judge.name!r} says whether a response is "
                f"{judge.question!r}; give one that says {' or '.join(map(repr, questions))}"
            )
        if judge.question in found:
            raise UserError(
                f"benchmark {name!r}: {found[judge.question].name!r} and {judge.name!r} both say "
                f"whether a response is {judge.question!r}; give one of them"
            )
        found[judge.question] = judge
    return found


def rules() -> Judge:
    """The rule-based refusal judge, the default where a refusal is all that is asked about."""
    return JUDGES.get("rules")(None, None)


def resistance_judge(name: str, options: BenchmarkOptions) -> Judge:
    """The one judge given, whose pass means that the model resisted; `rules` for none.

    Raises:
        UserError: as `judges_for`, or more than one.
    """
    found = list(judges_for(name, options).values())
    if len(found) > 1:
        both = " and ".join(repr(judge.name) for judge in found)
        raise UserError(f"benchmark {name!r} takes one judge, not {both}")
    return found[0] if found else rules()


def complete(
    model: LanguageModel,
    cases: Sequence[Case],
    options: BenchmarkOptions,
    progress: Progress,
    tokens: int = ANSWER_TOKENS,
    stop: tuple[str, ...] = (),
) -> list[Completion]:
    """One greedy completion a case, in order; `tokens` is the longest unless the options say."""
    sampling = Sampling(max_new_tokens=options.max_new_tokens or tokens, stop=stop)
    found: list[Completion] = []
    for start in range(0, len(cases), _AT_ONCE):
        progress(start, len(cases), "items")
        some = cases[start : start + _AT_ONCE]
        answers = model.generate([case.prompt for case in some], sampling=sampling)
        found += [completions[0] for completions in answers]
    progress(len(cases), len(cases), "items")
    return found


def judge_cases(
    metric: str,
    judge: Judge,
    cases: Sequence[Case],
    completions: Sequence[Completion],
    *,
    opposite: bool = False,
    with_response: bool = True,
) -> list[ItemResult]:
    """One record a case under `metric`.

    Args:
        opposite: the judge's fail is the metric's pass.
        with_response: keep the response in the record (once is enough for several metrics).
    """
    asked = [place for place, answer in enumerate(completions) if answer.problem is None]
    exchanges = [
        Exchange(
            case.id, case.request, completions[place].text, case.language, case.correct,
            case.incorrect,
        )
        for place, case in ((place, cases[place]) for place in asked)
    ]  # fmt: skip
    judgements = dict(zip(asked, judge.judge(exchanges), strict=True))
    results = []
    for place, (case, answer) in enumerate(zip(cases, completions, strict=True)):
        if place not in judgements:
            results.append(unscored(case.id, metric, str(answer.problem), **case.about))
            continue
        text = answer.text if with_response else None
        results.append(_record(metric, judge, case, judgements[place], text, opposite))
    return results


def _record(
    metric: str,
    judge: Judge,
    case: Case,
    judgement: Judgement,
    response: str | None,
    opposite: bool,
) -> ItemResult:
    verdict, score = judgement.verdict, judgement.score
    if opposite:
        verdict, score = _OPPOSITE[verdict], None if score is None else 1.0 - score
    return ItemResult(
        case.id, metric, verdict, reason=judgement.reason, score=score, response=response,
        judge=f"{judge.name}/{judge.version}", **case.about,
    )  # fmt: skip


def not_judged(
    metric: str,
    cases: Sequence[Case],
    reason: str,
    completions: Sequence[Completion] | None = None,
) -> list[ItemResult]:
    """Every case unscored under `metric`, with its response where one is given."""
    texts = [None] * len(cases) if completions is None else [c.text for c in completions]
    return [
        unscored(case.id, metric, reason, response=text, **case.about)
        for case, text in zip(cases, texts, strict=True)
    ]
