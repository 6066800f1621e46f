"""The column PoFT compares with: how likely aligned models find a response.

Fan et al. 2024, "Preference-Oriented Supervised Fine-Tuning", arXiv 2412.12865. Each model scores
with its own tokenizer; the mean over models of the mean log-probability a token is `aligned_logp`.
Leaves out: choosing the models.
"""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from statistics import fmean

from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row
from whyfirst.models.base import LanguageModel, Message, Prompt


@TRANSFORMS.enter(
    "aligned_likelihood",
    paper="Fan et al. 2024, arXiv 2412.12865",
    needs="prompt, completion; the aligned models",
    tested="the mean over models of log-probability over tokens",
    columns=("prompt", "completion"),
    streams=False,
    models=("models",),
)
def aligned_likelihood(
    rows: Iterable[Row],
    rng: Random,
    *,
    left_out: LeftOut,
    open_model: Callable[[str], LanguageModel],
    model: LanguageModel | None = None,
    models: tuple[str, ...] = (),
) -> Iterator[Row]:
    """The rows with `aligned_logp`, nats a token.

    Args:
        models: the aligned models, as a study writes a model (a folder, a GGUF file, a Hub id);
            none: the model that the corpus' own node reads.

    Raises:
        ValueError: no model is named, and none is at hand.
    """
    every = list(rows)
    requests = [(_prompt(row["prompt"]), [row["completion"]]) for row in every]
    asked = [open_model(name) for name in models] or ([] if model is None else [model])
    if not asked:
        raise ValueError("aligned_likelihood: name at least one of `models`")
    scored = [one.loglikelihood(requests) for one in asked]
    for index, row in enumerate(every):
        said = [scores[index][0] for scores in scored]
        problem = next((s.problem for s in said if s.problem), None)
        if problem or not all(s.tokens for s in said):
            left_out(row, f"an aligned model can't score it: {problem or 'no tokens'}")
            continue
        yield {**row, "aligned_logp": fmean(s.logprob / s.tokens for s in said)}


def _prompt(prompt: str | list[dict[str, str]]) -> Prompt:
    if isinstance(prompt, str):
        return prompt
    return tuple(Message(turn["role"], turn["content"]) for turn in prompt)  # type: ignore[arg-type]
