"""The column PoFT compares with: how likely aligned models find a response.

Fan et al. 2024, "Preference-Oriented Supervised Fine-Tuning", arXiv 2412.12865. Each model scores
with its own tokenizer and as a stage would train it on the row: asked in a chat where it has a
template, and with the end of the response. The mean over models of the mean log-probability a token
is `aligned_logp`. Leaves out: choosing the models, stages of `format: text`, and the end where a
model has no tokenizer here (an endpoint's).
"""

from collections.abc import Callable, Iterable, Iterator
from random import Random
from statistics import fmean
from typing import Any

from whyfirst.data.asking import as_trained, turns_of
from whyfirst.data.rows import text_of
from whyfirst.data.transforms import TRANSFORMS, LeftOut, Row, Said
from whyfirst.models.base import LanguageModel, Message, Prompt


@TRANSFORMS.enter(
    "aligned_likelihood",
    version="2",
    paper="Fan et al. 2024, arXiv 2412.12865",
    needs="prompt, completion; the aligned models",
    tested="the mean over models of log-probability over tokens",
    columns={"prompt": Said, "completion": Said},
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
    asked = [open_model(name) for name in models] or ([] if model is None else [model])
    if not asked:
        raise ValueError("aligned_likelihood: name at least one of `models`")
    scored = [one.loglikelihood([_request(one, row) for row in every]) for one in asked]
    for index, row in enumerate(every):
        said = [scores[index][0] for scores in scored]
        problem = next((s.problem for s in said if s.problem), None)
        if problem or not all(s.tokens for s in said):
            left_out(row, f"an aligned model can't score it: {problem or 'no tokens'}")
            continue
        yield {**row, "aligned_logp": fmean(s.logprob / s.tokens for s in said)}


def _request(model: Any, row: Row) -> tuple[Prompt, list[str]]:
    """A row's prompt, and the response with its end, as `model` would be trained on them."""
    prompt, said = row["prompt"], text_of(row["completion"])
    tokenizer = getattr(model, "tokenizer", None)
    if tokenizer is None:
        return (prompt if isinstance(prompt, str) else turns_of(prompt, "prompt")), [said]
    asked = as_trained(tokenizer, prompt, None)
    if not isinstance(asked, str):
        reply = Message("assistant", said.lstrip(" "))
        # The model puts the template's joint before the reply itself.
        said = model.template.exchange((*asked, reply))[1].removeprefix(model.template.joint)
    end = tokenizer.eos_token or ""
    return asked, [said if said.endswith(end) else said + end]
