"""ActivationReasoning: concepts are read off the stream, rules follow from them, and steer it.

Helff et al. 2025, "ActivationReasoning: Logical Reasoning in Latent Activation Spaces", arXiv
2510.18184. A concept's direction is the difference of means over labelled texts, its threshold the
one of the best balanced accuracy; reasoning is per token. Leaves out: sparse autoencoders, whose
features may be given as `directions`, and concepts of whole sequences.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import text_rows
from whyfirst.models.edits import EDITS
from whyfirst.models.edits.rules import Rule, chain, parse
from whyfirst.models.hooks import check_layers, editing, reading

if TYPE_CHECKING:
    import torch

    Detectors = dict[str, tuple[torch.Tensor, float]]


def _of_no_effect(options: Any) -> Iterator[tuple[str, str]]:
    try:
        concluded = {parse(rule).then for rule in options.rules}
    except UserError as error:
        yield "rules", str(error)
        return
    for name in options.steer:
        if name not in concluded:
            yield "steer", f"no rule concludes {name!r}; write one, as 'a -> {name}'"


@EDITS.enter(
    "activation_reasoning",
    conflicts=_of_no_effect,
    paper="Helff et al. 2025, arXiv 2510.18184",
    needs="texts labelled with concepts",
    tested="the stream moves by alpha times its norm; chaining is the truth table; no rule, no bit",
)
@contextmanager
def activation_reasoning(
    model: Any,
    *,
    examples: Path,
    layer: int,
    rules: tuple[str, ...],
    steer: dict[str, float],
    alpha: float = 0.5,
    directions: Path | None = None,
) -> Iterator[None]:
    """Steer towards concepts where rules say so.

    Args:
        examples: JSONL with `text` and `concepts`, a list of those it is about.
        rules: as ``weapon & !history -> refuse``.
        steer: concept -> weight of its direction, where it holds; below 0 away from it.
        alpha: length of the change over that of the stream.
        directions: safetensors with one tensor (D,) a concept, in place of differences of means.
    """
    check_layers(model.model, [layer])
    given = None
    if directions is not None:
        from safetensors.torch import load_file

        given = load_file(directions)
    detectors = detect(model, examples, layer, given)
    listed = [parse(rule) for rule in rules]
    named = {n for r in listed for n in (*r.given, *r.absent)} - {r.then for r in listed}
    if unknown := sorted((named | set(steer)) - set(detectors)):
        raise UserError(f"activation_reasoning: no example has the concept {', '.join(unknown)}")
    with editing(model.model, {layer: lambda h: reasoned(h, detectors, listed, steer, alpha)}):
        yield


def reasoned(
    stream: "torch.Tensor", detectors: "Detectors", rules: list[Rule], steer: dict[str, float],
    alpha: float,
) -> "torch.Tensor":  # fmt: skip
    """The stream (B, T, D), moved by alpha |h| towards what the rules conclude of each token."""
    import torch

    # Concepts that rules speak of and nothing detects are false until they follow.
    seen = {n: stream.float() @ d.to(stream.device) > at for n, (d, at) in detectors.items()}
    derived = chain(rules, seen)
    concluded = {rule.then for rule in rules}
    push = torch.zeros_like(stream, dtype=torch.float32)
    for name, weight in steer.items():
        if name in concluded:
            push += weight * derived[name][..., None] * detectors[name][0].to(stream.device)
    unit = torch.nn.functional.normalize(push, dim=-1)  # stays 0 where nothing follows
    length = stream.float().norm(dim=-1, keepdim=True)
    moved: torch.Tensor = stream + (alpha * length * unit).to(stream)
    return moved


def detect(
    model: Any, examples: Path, layer: int, given: "dict[str, torch.Tensor] | None"
) -> "Detectors":
    """Concept -> (direction (D,) of length 1, threshold), from the texts' last tokens.

    Raises:
        UserError: a concept that all examples have, or none, or without a direction.
    """
    import torch

    rows: list[dict[str, Any]] = text_rows(examples, "text", lists=("concepts",))
    with torch.no_grad(), reading(model.model) as states:
        ends = []
        for row in rows:
            ids = torch.tensor([model.encode_prompts([row["text"]])[0]]).to(model.model.device)
            model.model(input_ids=ids, use_cache=False)
            ends.append(states[layer][0, -1].float().cpu())
    stacked = torch.stack(ends)
    found: Detectors = {}
    for name in sorted({name for row in rows for name in row["concepts"]}):
        has = torch.tensor([name in row["concepts"] for row in rows])
        if bool(has.all()):
            raise UserError(f"activation_reasoning: {examples}: every example is about {name!r}")
        if given is not None and name not in given:
            raise UserError(f"activation_reasoning: `directions` has no tensor {name!r}")
        vector = stacked[has].mean(0) - stacked[~has].mean(0) if given is None else given[name]
        if float(vector.float().norm()) == 0:  # over it NaN, which no threshold would ever meet
            raise UserError(
                f"activation_reasoning: {name!r} has no direction: its texts don't differ"
            )
        unit = vector.float() / vector.float().norm()
        found[name] = unit, threshold(stacked @ unit, has)
    return found


def threshold(scores: "torch.Tensor", has: "torch.Tensor") -> float:
    """The cut, halfway between two scores (N,), whose balanced accuracy is highest."""
    import torch

    ordered = torch.tensor(sorted(set(scores.tolist())))
    cuts = [float(c) for c in (ordered[:-1] + ordered[1:]) / 2] or [float(ordered[0])]

    def balanced(cut: float) -> float:
        said = scores > cut
        return float(said[has].float().mean() + (~said[~has]).float().mean())

    return max(cuts, key=balanced)
