"""K responses of the current model to each prompt, labelled by rewards or a judge.

The current model is the one that the stage which reads the corpus starts from: in a loop, each
round's own. What is made of the responses is `documents`; transforms make more of it. Leaves out:
rewards with a model of their own (`path`), and sampling at an endpoint.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from whyfirst.config.errors import DataError
from whyfirst.config.room import Room, Use
from whyfirst.config.strict import affects_output
from whyfirst.evaluate.judges import JUDGES
from whyfirst.models.base import Sampling
from whyfirst.study.sources import CORPORA, Note, Row, unnoted
from whyfirst.study.sources.sampling import (
    WHOLE,
    Labels,
    Progress,
    as_long_as_may_be,
    by_rewards,
    reasons,
    reward_problems,
    reward_uses,
    sampled,
    shares_won,
    within_cap,
    without_responses,
)
from whyfirst.train.config_base import PromptFormat
from whyfirst.train.config_rl import RewardUse

Documents = Literal["against", "negated", "lists", "pairs", "best", "rewarded"]
# What takes no labels, and the prompts' column that it compares with.
_UNLABELLED = {"against": "completion", "negated": "rejected"}


def _check(options: Mapping[str, Any], world: object) -> Iterator[tuple[str | None, str]]:
    labels = bool(options["rewards"]) + (options["judge"] is not None)
    if labels != (options["documents"] not in _UNLABELLED):
        yield None, "give rewards or a judge; `documents: against` and `negated` take neither"
    yield from reward_problems(options, world)


def _uses(options: Mapping[str, Any]) -> dict[str, tuple[Room[Any], Use]]:
    judge = options["judge"]
    found = {} if judge is None else {"judge": (JUDGES, Use.model_validate(judge))}
    return {**reward_uses(options), **found}


def _ahead(options: Mapping[str, Any], given: Mapping[str, list[Row]]) -> list[Row]:
    k, length = options["k"], options["max_new_tokens"]
    rows = within_cap(given["prompts"][: options["size"]], k, length, options["most_tokens"])
    made = (
        _made(row, said, list(range(k)), options["documents"])
        for row, said in as_long_as_may_be(rows, k, length)
    )
    return [row for rows in made for row in rows]


@CORPORA.enter(
    "sample_and_label", seeded=True, rows_of=("prompts",), check=_check, uses=_uses, ahead=_ahead,
    # A chat was shown to judges as Python writes a list.
    revised=lambda options: WHOLE | ({} if options["judge"] is None else {"shown": "2"}),
)  # fmt: skip
def sample_and_label(
    *,
    prompts: Annotated[str, affects_output(description="a corpus of the study with `prompt`")],
    documents: Annotated[Documents, affects_output(description="what is made of them")],
    k: Annotated[int, affects_output(ge=1, description="responses a prompt")] = 4,
    rewards: Annotated[
        tuple[RewardUse, ...], affects_output(description="what labels them, summed by weight")
    ] = (),
    judge: Annotated[
        Use | None, affects_output(description="or who: the label is the share of pairs won")
    ] = None,
    max_new_tokens: Annotated[int, affects_output(ge=1, description="of one response")] = 64,
    temperature: Annotated[float, affects_output(gt=0)] = 1.0,
    size: Annotated[int | None, affects_output(ge=1, description="the first prompts")] = None,
    most_tokens: Annotated[
        int | None, affects_output(ge=1, description="fewer prompts where all could be more")
    ] = None,
    seed: int,
    model: Any,
    judge_model: Any = None,
    given: Mapping[str, list[Row]],
    kept: Path,
    progress: Progress,
    note: Note = unnoted,
    prompts_as: PromptFormat = None,
) -> list[Row]:
    """Responses of the current model, labelled: lists, pairs, the best, or against the given ones.

    Args:
        documents: ``lists`` (prompt, responses, labels), ``pairs`` (best and worst), ``best``
            (prompt, completion), ``rewarded`` (prompt, responses, rewards; for transforms),
            ``against``: the given completion is chosen, each response rejected; or ``negated``
            (d2o): the responses, labelled 1, and the given rejected one, 0.

    Raises:
        DataError: a prompt comes without what `documents` compares with, or nothing is left:
            every prompt's responses are labelled alike.
    """
    rows = within_cap(given["prompts"][:size], k, max_new_tokens, most_tokens)
    sampling = Sampling(max_new_tokens, temperature, seed=seed)
    left_out: Counter[str] = Counter()
    said = sampled(model, rows, k, sampling, kept, progress, prompts_as, left_out)
    labels: list[Labels] = [[None] * len(texts) for texts in said]
    if rewards:
        labels = by_rewards(rewards, rows, said, model, prompts_as)
    elif judge is not None:
        labels = shares_won(judge, judge_model, rows, said)
    left_out["over `most_tokens`"] = len(given["prompts"][:size]) - len(rows)
    made: list[Row] = []
    for row, texts, scores in zip(rows, said, labels, strict=True):
        found = list(_made(row, texts, scores, documents))
        made += found
        if not found:
            left_out[_nothing_made(texts, scores, documents)] += 1
    note("left_out", {"0 sample_and_label": dict(+left_out)})
    if not made:
        raise DataError(
            f"sample_and_label: no {documents} of {len(rows)} prompts' responses: "
            f"{reasons(+left_out)}; raise k, temperature or max_new_tokens"
        )
    return made


def _nothing_made(texts: list[str], labels: Labels, documents: str) -> str:
    """Why a prompt's responses give no row."""
    if not texts:
        return "no response"
    if documents in _UNLABELLED:
        return "every response is the given one"
    if all(label is None for label in labels):
        return "no label"
    return "nothing tells the responses apart"


def _made(row: Mapping[str, Any], texts: list[str], labels: Any, documents: str) -> Iterator[Row]:
    """The rows that one prompt's responses give; none where there is no better and worse."""
    rest = without_responses(row)
    if column := _UNLABELLED.get(documents):
        given = row.get(column)
        if not given:
            raise DataError(f"sample_and_label: `documents: {documents}` compares with each row's "
                            f"`{column}`; a row of `prompts` has none")  # fmt: skip
        # White space apart: a demonstration may begin with some, which no sample does.
        others = {" ".join(said.split()): said for said in texts}
        others.pop(" ".join(given.split()), None)
        said = list(others.values())
        if documents == "against":
            yield from (rest | {"chosen": given, "rejected": other} for other in said)
        elif said:
            yield rest | {"responses": [*said, given], "labels": [*([1] * len(said)), 0]}
        return
    if documents == "rewarded":
        yield rest | {"responses": texts, "rewards": labels}
        return
    # What was drawn twice is one response: a list must not prefer a text to itself.
    once = {said: label for said, label in zip(texts, labels, strict=True) if label is not None}
    known = list(once.items())
    best, worst = (pick(known, key=lambda one: one[1], default=("", 0.0)) for pick in (max, min))
    if best[1] > worst[1] and documents == "lists":
        yield rest | {"responses": [s for s, _ in known], "labels": [label for _, label in known]}
    elif best[1] > worst[1] and documents == "pairs":
        yield rest | {"chosen": best[0], "rejected": worst[0], "margin": best[1] - worst[1]}
    elif documents == "best" and known:
        yield rest | {"completion": best[0]}
