"""CycleAlign: responses in the order on which the model and a ranker agree, ready to be learned.

Hong et al. 2023, "CycleAlign: Iterative Distillation from Black-box LLM to White-box Models for
Better Human Alignment", arXiv 2310.16271. The current model ranks its responses by their mean
log-probability; the ranker is the study's judge model, or rewards in its place. The longest common
order of the two is learned by the objective `cyclealign`, and shown to the ranker as an example
with the next prompts. A loop of stages makes the cycle. Leaves out: the paper's own words to the
ranker, which are not quoted here.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Annotated, Any

from whyfirst.config.errors import DataError
from whyfirst.config.strict import affects_output
from whyfirst.data.rows import text_of
from whyfirst.models.base import Sampling, asked
from whyfirst.study.sources import CORPORA, Note, Row, unnoted
from whyfirst.study.sources.sampling import (
    WHOLE,
    Labels,
    Progress,
    as_asked,
    as_long_as_may_be,
    by_rewards,
    reasons,
    reward_problems,
    reward_uses,
    sampled,
    without_responses,
)
from whyfirst.train.config_base import PromptFormat
from whyfirst.train.config_rl import RewardUse

_SHOWN = "Request: {request}\n{listed}\nFrom the best to the worst: {order}"
_LAST = "their numbers alone, as in: 2, 1, 3"


def agreement(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The longest common subsequence of two orders; of several equally long, one of them."""
    best: dict[tuple[int, int], list[int]] = {}
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(other) - 1, -1, -1):
            along = [one[i], *best.get((i + 1, j + 1), [])] if one[i] == other[j] else []
            best[i, j] = max(along, best.get((i + 1, j), []), best.get((i, j + 1), []), key=len)
    return best.get((0, 0), [])


def _ahead(options: Mapping[str, Any], given: Mapping[str, list[Row]]) -> list[Row]:
    rows, k = given["prompts"][: options["size"]], options["k"]
    made = as_long_as_may_be(rows, k, options["max_new_tokens"])
    ranks = list(range(1, k + 1))
    return [{**without_responses(row), "responses": said, "ranks": ranks} for row, said in made]


@CORPORA.enter(
    "cyclealign", seeded=True, rows_of=("prompts",), ahead=_ahead, check=reward_problems,
    uses=reward_uses, asks_judge=lambda options: not options["rewards"],
    # Pairs that prompts came with stood beside the responses drawn, which got the pairs' labels.
    revised=lambda options: WHOLE | {"responses given": "left out"},
    paper="Hong et al. 2023, arXiv 2310.16271",
)  # fmt: skip
def cyclealign(
    *,
    prompts: Annotated[str, affects_output(description="a corpus of the study with `prompt`")],
    k: Annotated[int, affects_output(ge=2, description="responses a prompt")] = 4,
    rewards: Annotated[
        tuple[RewardUse, ...], affects_output(description="who ranks; none: the judge model")
    ] = (),
    examples: Annotated[int, affects_output(ge=0, description="shown to the ranker")] = 2,
    at_once: Annotated[int, affects_output(ge=1, description="prompts until new examples")] = 16,
    max_new_tokens: Annotated[int, affects_output(ge=1, description="of one response")] = 64,
    temperature: Annotated[float, affects_output(gt=0)] = 1.0,
    size: Annotated[int | None, affects_output(ge=1, description="the first prompts")] = None,
    seed: int,
    model: Any,
    judge_model: Any = None,
    given: Mapping[str, list[Row]],
    kept: Path,
    progress: Progress,
    note: Note = unnoted,
    prompts_as: PromptFormat = None,
) -> list[Row]:
    """Responses of the current model, ranked as it and a ranker agree.

    Raises:
        DataError: they agree on no two responses to any prompt.
    """
    rows = given["prompts"][:size]
    sampling = Sampling(max_new_tokens, temperature, seed=seed)
    left_out: Counter[str] = Counter()
    drawn = sampled(model, rows, k, sampling, kept, progress, prompts_as, left_out)
    said = [list(dict.fromkeys(texts)) for texts in drawn]
    prompted = as_asked(model, rows, prompts_as)
    scored = model.loglikelihood(list(zip(prompted, said, strict=True)))
    told = by_rewards(rewards, rows, said, model, prompts_as) if rewards else []
    made: list[Row] = []
    for start in range(0, len(rows), at_once):
        places = range(start, min(start + at_once, len(rows)))
        shown = made[-examples:] if examples else []
        orders = [_order(told[at]) for at in places] if rewards else _ranked(
            judge_model, [rows[at] for at in places], [said[at] for at in places], shown
        )  # fmt: skip
        for at, order in zip(places, orders, strict=True):
            agreed = agreement(_order([s.logprob / max(s.tokens, 1) for s in scored[at]]), order)
            if len(agreed) > 1:
                texts = [said[at][number] for number in agreed]
                ranks = list(range(1, len(texts) + 1))
                made.append(without_responses(rows[at]) | {"responses": texts, "ranks": ranks})
            else:
                few = len(said[at]) < 2
                left_out["no two responses" if few else "the rankings agree on no two"] += 1
    note("left_out", {"0 cyclealign": dict(left_out)})
    if not made:
        raise DataError(
            f"cyclealign: no order on which two rankings of {len(rows)} prompts agree: "
            + reasons(left_out)
        )
    return made


def _order(labels: Labels) -> list[int]:
    """Indices from the best to the worst; those without a label are in no order."""
    known = {n: label for n, label in enumerate(labels) if label is not None}
    return sorted((n for n, label in known.items() if not isnan(label)), key=lambda n: -known[n])


def _ranked(
    ranker: Any, rows: Sequence[Row], said: Sequence[Sequence[str]], shown: Sequence[Row]
) -> list[list[int]]:
    """The ranker's orders; what it does not name is in no order."""
    head = [
        _SHOWN.format(request=text_of(row["prompt"]), listed=_listed(row["responses"][::-1]),
                      order=", ".join(str(n) for n in range(len(row["responses"]), 0, -1)))
        for row in shown
    ]  # fmt: skip
    asks = [
        "\n\n".join([*head, f"Request: {text_of(row['prompt'])}\n{_listed(texts)}\nRank the "
                     f"responses from the best to the worst. Answer with {_LAST}"])
        for row, texts in zip(rows, said, strict=True)
    ]  # fmt: skip
    replies = ranker.generate([asked(ask) for ask in asks], sampling=Sampling(max_new_tokens=32))
    named = [[int(n) - 1 for n in re.findall(r"\d+", reply[0].text)] for reply in replies]
    return [
        [n for n in dict.fromkeys(order) if 0 <= n < len(texts)]
        for order, texts in zip(named, said, strict=True)
    ]


def _listed(texts: Sequence[str]) -> str:
    return "\n".join(f"Response {n}: {text}" for n, text in enumerate(texts, 1))
