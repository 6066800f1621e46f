"""Representation engineering: directions of a contrast at several layers, as far as it pays.

Zou et al. 2023, arXiv 2310.01405, with the coefficient of Wolf et al. 2024, "Tradeoffs Between
Alignment and Helpfulness in Language Models with Representation Engineering", arXiv 2401.16332: one
is chosen where the marginal gain in behaviour meets the marginal loss in helpfulness. Leaves out:
other readers than difference of means and first principal component.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from whyfirst.config.errors import UserError
from whyfirst.config.files import text_rows
from whyfirst.models.edits import EDITS
from whyfirst.models.edits.trade_off import TradeOff, fit
from whyfirst.models.hooks import adding, check_layers, editing, reading

if TYPE_CHECKING:
    import torch


_SWEEP = (0.5, 1.0, 2.0)


def _beside(options: Any) -> Iterator[tuple[str, str]]:
    measured = ("preferences", "demonstrations")
    given = [name for name in measured if getattr(options, name) is not None]
    if options.coefficient is None:
        if len(given) < len(measured):
            yield "coefficient", "give it, or `preferences` and `demonstrations`"
        return
    for name in given + (["sweep"] if options.sweep != _SWEEP else []):
        yield name, "has no effect beside `coefficient`; it finds one where none is given"


@EDITS.enter(
    "repe",
    conflicts=_beside,
    paper="Wolf et al. 2024, arXiv 2401.16332",
    needs="pairs of texts; for a coefficient of its own choice also preferences and demonstrations",
    tested="r = 0 changes no bit; loss(2r) / loss(r) = 4; the fits' crossing by hand",
)
@contextmanager
def repe(
    model: Any,
    *,
    pairs: Path,
    layers: tuple[int, ...],
    coefficient: float | None = None,
    reader: Literal["means", "pca"] = "means",
    preferences: Path | None = None,
    demonstrations: Path | None = None,
    sweep: tuple[float, ...] = _SWEEP,
) -> Iterator[None]:
    """Add unit directions to the residual stream after some layers, at every position.

    Args:
        pairs: JSONL with `towards` and `away_from`, two texts that differ in what is steered.
        coefficient: times the directions; null: the one found by `sweep`.
        reader: how a direction is made of the pairs' differences.
        preferences: JSONL with prompt, chosen, rejected: what is to be gained.
        demonstrations: JSONL with prompt and completion: what is not to be lost.
        sweep: coefficients tried, none of them 0.
    """
    check_layers(model.model, layers)
    found = directions(model, pairs, layers, reader)
    if coefficient is None:
        assert preferences is not None and demonstrations is not None
        coefficient = swept(model, found, preferences, demonstrations, sweep).best
    with editing(model.model, {at: adding(one, coefficient) for at, one in found.items()}):
        yield


def directions(
    model: Any, pairs: Path, layers: tuple[int, ...], reader: str
) -> "dict[int, torch.Tensor]":
    """Layer -> direction (D,) of length 1, from `away_from` to `towards`."""
    import torch

    texts: list[dict[str, Any]] = text_rows(pairs, "towards", "away_from")
    gaps: dict[int, list[torch.Tensor]] = {layer: [] for layer in layers}
    with torch.no_grad(), reading(model.model) as states:
        for row in texts:
            ends = []
            for side in ("towards", "away_from"):
                ids = torch.tensor([model.encode_prompts([row[side]])[0]]).to(model.model.device)
                model.model(input_ids=ids, use_cache=False)
                ends.append({layer: states[layer][0, -1].float().cpu() for layer in layers})
            for layer in layers:
                gaps[layer].append(ends[0][layer] - ends[1][layer])
    found = {}
    for layer, rows in gaps.items():
        stacked = torch.stack(rows)
        mean = vector = stacked.mean(0)
        if reader == "pca":
            vector = torch.linalg.svd(stacked, full_matrices=False)[2][0]
            vector = vector * (1.0 if float(vector @ mean) >= 0 else -1.0)  # its sign is arbitrary
        if float(vector.norm()) == 0:
            raise UserError(f"repe: {pairs}: its pairs don't differ after layer {layer}")
        found[layer] = vector / vector.norm()
    return found


def swept(
    model: Any, found: "dict[int, torch.Tensor]", preferences: Path, demonstrations: Path,
    sweep: tuple[float, ...],
) -> TradeOff:  # fmt: skip
    """Gain (mean log-odds of chosen) and loss (mean nats a completion) over a sweep, fitted."""
    pairs: list[dict[str, Any]] = text_rows(preferences, "prompt", "chosen", "rejected")
    shown: list[dict[str, Any]] = text_rows(demonstrations, "prompt", "completion")

    def measured(coefficient: float) -> tuple[float, float]:
        with editing(model.model, {at: adding(one, coefficient) for at, one in found.items()}):
            odds = model.loglikelihood([(r["prompt"], [r["chosen"], r["rejected"]]) for r in pairs])
            kept = model.loglikelihood([(r["prompt"], [r["completion"]]) for r in shown])
        gain = sum(a.logprob - b.logprob for a, b in odds) / len(odds)
        return gain, -sum(one.logprob for (one,) in kept) / len(kept)

    start = measured(0.0)
    points = [measured(r) for r in sweep]
    gains = [gain - start[0] for gain, _ in points]
    return fit(sweep, gains, [loss - start[1] for _, loss in points])
