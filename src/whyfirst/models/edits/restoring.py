"""Which weights a surgery may put back, and what it is put back for: states of prompts, a task.

Leaves out: the course of a surgery (`recover_alignment`).
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import UserError
from whyfirst.models import chat
from whyfirst.models.base import Message
from whyfirst.models.hooks import decoder_layers

if TYPE_CHECKING:
    import torch


class Prompts:
    """Tokens of harmful and benign prompts, and of the benign ones' completions.

    Raises:
        UserError: one kind is missing, or a benign row has no completion; names the row.
    """

    def __init__(self, tokenizer: Any, rows: Sequence[Mapping[str, Any]]) -> None:
        self.harmful: list[list[int]] = []
        self.benign: list[list[int]] = []
        self._replies: list[list[int]] = []
        template = chat.choose(tokenizer)
        for number, row in enumerate(rows, 1):
            asked, said = row["prompt"], row.get("completion") or row.get("chosen") or ""
            start, turns = chat.start_tokens(tokenizer), None
            if not isinstance(asked, str):
                # A template writes the start token itself; a second one would be another prompt.
                start, turns = [], chat.read_turns(asked)
                asked = template.render(turns)
            if not isinstance(said, str):
                said = chat.read_turns(said)[-1].content
            if said and turns is not None:
                said = template.exchange((*turns, Message("assistant", said)))[1]
            ids, reply = (
                tokenizer(text, add_special_tokens=False)["input_ids"] for text in (asked, said)
            )
            if row["harmful"]:
                self.harmful.append(start + ids)
                continue
            if not reply:
                raise UserError(f"row {number}: a prompt that is not harmful needs a completion")
            self.benign.append(start + ids)
            self._replies.append(reply)
        if not self.harmful or not self.benign:
            raise UserError("needs rows with harmful: true and rows with harmful: false")

    def accuracy(self, model: Any) -> float:
        """Share of the completions' tokens that the model would write after the right ones."""
        import torch

        right = total = 0
        with torch.no_grad():
            for prompt, reply in zip(self.benign, self._replies, strict=True):
                ids = torch.tensor([prompt + reply], device=model.device)
                chosen = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].argmax(-1)
                right += int((chosen == ids[0, len(prompt) :]).sum())
                total += len(reply)
        return right / total


def _depth(model: Any) -> tuple[int, int]:
    """The layers that may change: from the first third, up to before the second."""
    count = len(decoder_layers(model))
    return count // 3, max(1, -(-2 * count // 3))


def eligible(model: Any) -> list[str]:
    """Names of the matrices of the middle third of a model's layers."""
    first, end = _depth(model)
    inside = {id(w) for layer in decoder_layers(model)[first:end] for w in layer.parameters()}
    return [n for n, w in model.named_parameters() if id(w) in inside and w.dim() == 2]


def direction(model: Any, prompts: Sequence[Sequence[int]]) -> "torch.Tensor":
    """Mean state (D,) at the prompts' last tokens, where the middle third ends."""
    import torch

    _, end = _depth(model)
    states = [
        model(input_ids=torch.tensor([ids], device=model.device), output_hidden_states=True)
        .hidden_states[end][0, -1]
        for ids in prompts
    ]  # fmt: skip
    return torch.stack(states).mean(0)


def misaligned(
    model: Any, prompts: Sequence[Sequence[int]], towards: "torch.Tensor", places: Sequence[str]
) -> "dict[str, torch.Tensor]":
    """Gradient of -cos(mean state, `towards`) in each of the weights named."""
    import torch

    weights = [model.get_parameter(name) for name in places]
    for weight in weights:
        weight.requires_grad_(True)
    loss = -torch.cosine_similarity(direction(model, prompts), towards, dim=0)
    return dict(zip(places, torch.autograd.grad(loss, weights), strict=True))


def largest(
    slopes: "Mapping[str, torch.Tensor]", now: "Mapping[str, torch.Tensor]",
    to: "Mapping[str, torch.Tensor]", budget: int,
    among: "Mapping[str, torch.Tensor] | None" = None,
) -> "dict[str, torch.Tensor]":  # fmt: skip
    """Masks of the weights, `budget` at most, whose move to `to` lowers the loss to first order.

    The change is (to - now) slope, and below 0 for each; those of the largest slopes are taken.
    """
    import torch

    lowers = {name: (now[name] - to[name]) * slope > 0 for name, slope in slopes.items()}
    if among is not None:
        lowers = {name: mask & among[name] for name, mask in lowers.items()}
    sizes = torch.cat([slopes[name].abs()[mask] for name, mask in lowers.items()])
    if budget < 1 or not len(sizes):
        return {name: torch.zeros_like(mask) for name, mask in lowers.items()}
    if len(sizes) <= budget:
        return lowers
    chosen = torch.zeros_like(sizes, dtype=torch.bool)
    chosen[sizes.topk(budget).indices] = True  # a threshold would take all of equal slopes
    found, start = {}, 0
    for name, mask in lowers.items():
        count = int(mask.sum())
        found[name] = torch.zeros_like(mask)
        found[name][mask] = chosen[start : start + count]
        start += count
    return found
