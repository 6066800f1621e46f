"""Token rewards of a model that corrects responses: what it would have written itself is good.

Zhou et al. 2024, "Sequence to Sequence Reward Modeling: Improving RLHF by Language Feedback", arXiv
2409.00162. The model is one that an `sft` stage trained on rows of the transform `corrections`.
Magnitudes of 1 and -1 are this file's. Leaves out: rewards of single tokens in the stages that
generate, which take their sum; the objective `token_reward` takes them one by one.
"""

from collections.abc import Sequence
from typing import Any

from whyfirst.data.transforms.corrections import REQUEST
from whyfirst.data.transforms.texts import told_last
from whyfirst.train.rewards import REWARDS, text


def signs(agrees: Sequence[bool]) -> list[float]:
    """1 a token up to the first one the model would not write; from there -1 for each such one."""
    first = next((at for at, one in enumerate(agrees) if not one), len(agrees))
    return [1.0 if at < first else 0.0 if one else -1.0 for at, one in enumerate(agrees)]


def token_rewards(model: Any, prompt: Any, said: str) -> list[float]:
    """The reward of each token of a response, as `model` tokenises it.

    Up to the first difference, what the model would write greedily is the response itself: one
    pass over it with the response given says what each token is worth.
    """
    import torch

    from whyfirst.train.encode import encode_exchange

    request = told_last(prompt, REQUEST.replace("{response}", said))
    # As an `sft` stage lays out its rows, on which the model was trained.
    head, whole = (encode_exchange(model.tokenizer, request, text, False) for text in ("", said))
    if len(whole) > model.context or len(whole) == len(head):
        return []
    with torch.inference_mode():
        ids = torch.tensor([whole], device=model.model.device)
        chosen = model.model(input_ids=ids, use_cache=False).logits[0, len(head) - 1 : -1]
    return signs((chosen.argmax(-1) == ids[0, len(head) :]).tolist())


@REWARDS.enter(
    "seq2seq",
    version="2",
    paper="Zhou et al. 2024, arXiv 2409.00162",
    needs="a model trained on corrections (path)",
    tested="a copying model gives 1 a token; the sign changes where it writes something else",
)
def seq2seq(
    prompts: list[Any],
    completions: list[Any],
    completion_ids: list[list[int]],
    *,
    model: Any,
    **columns: Any,
) -> list[float | None]:
    """Sum of the rewards of a response's tokens; None where it has none, or too many."""
    rows = [token_rewards(model, p, text(c)) for p, c in zip(prompts, completions, strict=True)]
    return [sum(row) if row else None for row in rows]
