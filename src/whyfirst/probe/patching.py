"""How much of the difference between two arms lies in which layer: copying activations across.

While the recipient reads a harmful request, the stream after layer k is replaced by the donor's,
at the last position or at all of them; everything above k is the recipient's own. Leaves out:
single heads and MLPs, and paths between layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from whyfirst.config.errors import UserError
from whyfirst.models.engine.batching import batches
from whyfirst.models.hooks import Edit, decoder_layers, editing, reading
from whyfirst.probe.activations import Floats, asked_tokens, last_logits, margin_of, padded
from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import (
    Estimate,
    Indices,
    mean_estimate,
    rate_difference,
    statistic_estimate,
)
from whyfirst.probe.pairs import Items
from whyfirst.probe.record import (
    At,
    Findings,
    Measure,
    ProbeOptions,
    Progress,
    cautions,
    links,
    probe,
)

if TYPE_CHECKING:
    import torch

    from whyfirst.models.local import LocalModel

LAST, ALL = "last", "all"


def copying(donor: torch.Tensor, ends: torch.Tensor | None) -> Edit:
    """Replace the stream by the donor's (B, T, D), at each row's position of `ends` (B,) or all."""

    import torch

    def edit(stream: torch.Tensor) -> torch.Tensor:
        given = donor.to(stream)
        if ends is None:
            return given
        changed = stream.clone()
        line = torch.arange(len(ends), device=stream.device)
        changed[line, ends.to(stream.device)] = given[line, ends.to(stream.device)]
        return changed

    return edit


def patched_margins(
    donor: LocalModel,
    recipient: LocalModel,
    rows: Sequence[Sequence[int]],
    a: Sequence[int],
    b: Sequence[int],
    places: Sequence[tuple[int, str]],
) -> Floats:
    """The recipient's refusal margin with one layer's stream copied from the donor (P, R).

    Args:
        rows: token ids of prompts, read alike by both models.
        a, b: first token of refusal and of help for each row.
        places: (layer, "last" or "all").
    """
    import torch

    result = np.full((len(places), len(rows)), np.nan)
    # Both read the same batch, so the smaller memory decides.
    budget = min(donor.batch_tokens, recipient.batch_tokens)
    with torch.inference_mode():
        for batch in batches([len(row) for row in rows], budget, max_rows=256):
            chosen = [rows[index] for index in batch]
            inputs, ends = padded(chosen, donor.model.device)
            with reading(donor.model) as states:
                last_logits(donor.model, inputs, ends)
            inputs, ends = padded(chosen, recipient.model.device)
            firsts = [a[index] for index in batch], [b[index] for index in batch]
            for place, (layer, positions) in enumerate(places):
                edit = copying(states[layer], ends if positions == LAST else None)
                with editing(recipient.model, {layer: edit}):
                    logits = last_logits(recipient.model, inputs, ends)
                result[place, batch] = margin_of(logits, *firsts)
    return result


@probe(
    "patching",
    version="3",
    definition="copying the stream after layer k from each arm into the direct arm while it reads "
    "a harmful request, at the last position or all: `margin_shift`, the change of the log-odds "
    "of a refusal's first token against help's (nats); `share`, that change over the difference "
    "between the arms (ratio of means); `refusal_shift`, change of the share with positive "
    "log-odds",
)
def patching(arms: Arms, items: Items, options: ProbeOptions, progress: Progress) -> Findings:
    """Shift and share by donor, layer and positions, and whether it goes with the donor's conduct.

    Raises:
        UserError: there is no direct arm or no other arm, or two models that read texts or are
            built differently.
    """
    to = options.direct
    if to not in arms.names or len(arms.names) < 2:
        raise UserError(
            f"patching copies other arms' activations into {to!r}: give it and at least one other "
            f"arm (given: {', '.join(arms.names)})"
        )
    measures: list[Measure] = []
    rises: dict[tuple[str, int], Floats] = {}
    donors = [arm for arm in arms.names if arm != to]
    for number, donor in enumerate(donors):
        progress(number, len(donors), f"patching {donor} into {to}")
        seeds = arms.seeds(donor, to)
        runs = []
        for seed in seeds:
            runs.append(_run(arms, donor, to, seed))
            rises[donor, seed] = runs[-1][2].mean(axis=0) - runs[-1][1]
        places = runs[0][3]
        measures += _measures(arms, donor, to, seeds[0], [run[:3] for run in runs], places)
    linked = [
        link for donor in donors if not arms.lone(donor)
        for link in links(
            arms, [donor], lambda arm, seed: rises[arm, seed], {"reading": "mean margin shift"},
            beside=to,
        )
    ]  # fmt: skip
    return Findings(measures, linked, _said(measures, options), {"recipient": to})


#: Margins of the donor (R,), the recipient (R,) and the patched recipient (P, R).
Shifted = tuple[Floats, Floats, Floats]


def _run(
    arms: Arms, donor: str, to: str, seed: int
) -> tuple[Floats, Floats, Floats, list[tuple[int, str]]]:
    given, taking = arms.open(donor, seed), arms.open(to, seed)
    asked = arms.requests(seed)
    tokens = asked_tokens(given, asked)
    depth = len(decoder_layers(given.model))
    alike = depth == len(decoder_layers(taking.model)) and (
        given.model.config.get_text_config().hidden_size
        == taking.model.config.get_text_config().hidden_size
    )
    if not alike or tokens != asked_tokens(taking, asked):
        raise UserError(
            f"{donor} and {to} differ in layers, width or tokenizer: activations of one can't be "
            "copied into the other"
        )
    # At the last position what has been gathered there; at all of them what was read as well.
    places = [(layer, where) for where in (LAST, ALL) for layer in range(depth)]
    patched = patched_margins(given, taking, *tokens, places)
    return arms.margins(donor, seed), arms.margins(to, seed), patched, places


def _measures(
    arms: Arms,
    donor: str,
    to: str,
    seed: int,
    runs: Sequence[Shifted],
    places: Sequence[tuple[int, str]],
) -> list[Measure]:
    harmful = np.array([request.harmful for request in arms.requests(seed)])
    topics = np.array([r.topic for r in arms.requests(seed) if r.harmful])
    given, own = (np.array([run[k][harmful] for run in runs]) for k in (0, 1))
    gap = mean_estimate(given - own, topics)
    measures = [Measure("margin_gap", donor, gap, {"into": to})]
    for place, (layer, positions) in enumerate(places):
        at: At = {"into": to, "layer": layer, "positions": positions}
        after = np.array([run[2][place][harmful] for run in runs])
        measures.append(Measure("margin_shift", donor, mean_estimate(after - own, topics), at))
        # The sign of the margin is the model's choice at its first token.
        first, then = ((side > 0).astype(np.float64) for side in (own, after))
        measures.append(Measure("refusal_shift", donor, rate_difference(then, first, topics), at))
        # A share of a gap that may be nil is a ratio to noise.
        if gap.sign:
            shift, whole = after - own, given - own
            each = partial(ratio_of_means, shift, whole)
            share, note = statistic_estimate(each, topics), ""
        else:
            share = Estimate(None, None, None, gap.n, gap.n_seeds, gap.unit)
            note = "the arms don't differ by more than chance, so there is nothing to share out"
        measures.append(Measure("share", donor, share, at, note))
    return measures


def ratio_of_means(above: Floats, below: Floats, items: Indices) -> Floats:
    """What each seed says of mean above / mean below over seeds and items: (S,), its mean that.

    R + (a_s - R b_s) / b, whose variance over seeds is the ratio's by the delta method (Cochran,
    Sampling Techniques, 1977, section 6.3): a seed's own ratio, as a request's, has no mean where
    what it is divided by is near 0.

    Args:
        above, below: (S, R).
    """
    over, under = above[:, items].mean(axis=1), below[:, items].mean(axis=1)
    ratio = over.mean() / under.mean()
    return np.asarray(ratio + (over - ratio * under) / under.mean())


def _said(measures: Sequence[Measure], options: ProbeOptions) -> list[str]:
    gaps = {m.arm: m for m in measures if m.name == "margin_gap"}
    found = cautions(
        list(gaps.values()), options, f"a difference from {options.direct} in log-odds of refusing"
    )
    shares = [m for m in measures if m.name == "share" and m.at["positions"] == LAST]
    for control in (arm for arm in options.controls if arm in gaps):
        own = [m for m in shares if m.arm == control and m.estimate.sign > 0]
        if own and any(m.arm == options.method and m.estimate.sign > 0 for m in shares):
            found.append(f"patching {control} carries its difference over as well.")
    return found
