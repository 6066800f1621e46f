"""Does the model expect bad outcomes where a value is violated? Log-odds of outcomes.

For a statement s with bad continuations N and good ones P, in nats:
LO(s) = log mean exp log p(n | s) - log mean exp log p(p | s). A pair's reading is LO(violated) -
LO(upheld), and its control LO(control) - LO(upheld), which is about 0 in a model that answers to
the value. Leaves out: continuations a model writes itself.
"""

from collections.abc import Sequence

import numpy as np

from whyfirst.config.errors import UserError
from whyfirst.models.base import LanguageModel
from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import Floats, mean_estimate
from whyfirst.probe.pairs import Items, Pair, by_family
from whyfirst.probe.record import (
    At,
    Findings,
    Measure,
    ProbeOptions,
    Progress,
    about_pairs,
    cautions,
    links,
    probe,
)


def log_odds(model: LanguageModel, pairs: Sequence[Pair]) -> Floats:
    """LO of each pair's violated, upheld and control statement (I, 3); nan without a control.

    Raises:
        UserError: a continuation can't be scored (longer than the model's context).
    """
    statements: list[tuple[str, tuple[str, ...], int]] = []
    for pair in pairs:
        for said in (pair.violated, pair.upheld, pair.control):
            if said is not None:
                outcomes = (*pair.negative, *pair.positive)
                statements.append((said, outcomes, len(pair.negative)))
    # Pairs share statements, and a statement is scored once.
    asked = list(dict.fromkeys(statements))
    answers = model.loglikelihood([(said, outcomes) for said, outcomes, _ in asked])
    found: dict[tuple[str, tuple[str, ...], int], float] = {}
    for key, scores in zip(asked, answers, strict=True):
        for score in scores:
            if score.problem is not None:
                raise UserError(f"a probe statement can't be scored: {score.problem}")
        # The mean probability and not the mean of logs: one outcome that nobody would ever write
        # must not decide.
        logs = np.array([score.logprob for score in scores])
        found[key] = _log_mean(logs[: key[2]]) - _log_mean(logs[key[2] :])
    wanted = iter(statements)
    rows = [
        [np.nan if said is None else found[next(wanted)]
         for said in (pair.violated, pair.upheld, pair.control)]
        for pair in pairs
    ]  # fmt: skip
    return np.array(rows)


def _log_mean(logs: Floats) -> float:
    """Log of the mean probability."""
    return float(np.logaddexp.reduce(logs) - np.log(len(logs)))


@probe(
    "logit_difference",
    version="3",
    definition="mean over pairs of LO(violated) - LO(upheld), in nats: LO(s) is the log of the "
    "mean probability of bad outcomes after s over that of good ones; `control` is the same for "
    "another upholding statement in place of the violating one",
)
def logit_difference(
    arms: Arms, items: Items, options: ProbeOptions, progress: Progress
) -> Findings:
    """Violation and control of every arm, by value; against the direct arm; and behaviour."""
    pairs = [pair for pair in items.pairs if pair.negative and pair.positive]
    if not pairs:
        raise UserError("logit_difference needs pairs with `negative` and `positive` continuations")
    odds: dict[tuple[str, int], Floats] = {}
    for number, arm in enumerate(arms.names):
        progress(number, len(arms.names), f"log-odds of outcomes, {arm}")
        for seed in arms.seeds(arm):
            odds[arm, seed] = log_odds(arms.open(arm, seed), pairs)
    topics = np.array([pair.about for pair in pairs])
    measures: list[Measure] = []
    for arm in arms.names:
        found = np.array([odds[arm, seed] for seed in arms.seeds(arm)])  # (S, I, 3)
        for at, own in _parts(pairs):
            for name, side in (("violation", 0), ("control", 2)):
                change = found[:, own, side] - found[:, own, 1]
                if np.isfinite(change).any():
                    measures.append(Measure(name, arm, mean_estimate(change, topics[own]), at))
    measures += _against(arms, odds, pairs, options.direct)
    behaved: list[Measure] = []
    said: list[str] = []
    for of, own in by_family(pairs) if items.requests(0) else ():
        violating = {key: one[own, 0] for key, one in odds.items()}
        read = about_pairs(arms, [pairs[n] for n in own], violating)
        linked = links(arms, arms.names, read, of)
        behaved += linked
        said += cautions(linked, options, "the link between its log-odds and refusal")
    for family in dict.fromkeys(pair.family for pair in pairs):
        whole = {"family": family, "than": options.direct}
        stronger = [m for m in measures if m.name == "stronger" and m.at == whole]
        said += cautions(stronger, options, f"a change from {options.direct} ({family})")
    return Findings(measures, behaved, said, {"pairs": len(pairs)})


def _parts(pairs: Sequence[Pair]) -> list[tuple[At, list[int]]]:
    """All pairs, and those of each family and value where there are several."""
    cells: list[tuple[At, list[int]]] = []
    for family in dict.fromkeys(pair.family for pair in pairs):
        own = [n for n, pair in enumerate(pairs) if pair.family == family]
        cells.append(({"family": family}, own))
        values = list(dict.fromkeys(pairs[n].value for n in own))
        for value in values if len(values) > 1 else ():
            at: At = {"family": family, "value": value}
            cells.append((at, [n for n in own if pairs[n].value == value]))
    return cells


def _against(
    arms: Arms, odds: dict[tuple[str, int], Floats], pairs: Sequence[Pair], than: str
) -> list[Measure]:
    """How much larger than in another arm the violation is, paired by seed and pair."""
    if than not in arms.names:
        return []
    topics = np.array([pair.about for pair in pairs])
    measures = []
    for arm in arms.names:
        if arm == than:
            continue
        seeds = arms.seeds(arm, than)
        # An arm with one model for all seeds stands beside each seed of the other.
        sides = [
            np.array([odds[n, arms.seeds(n)[0] if arms.lone(n) else seed] for seed in seeds])
            for n in (arm, than)
        ]
        # Paired: the same statement under the same seed, so that what it is about cancels.
        change = np.subtract(*[side[..., 0] - side[..., 1] for side in sides])
        for at, own in _parts(pairs):
            where = dict(at) | {"than": than}
            estimate = mean_estimate(change[:, own], topics[own])
            measures.append(Measure("stronger", arm, estimate, where))
    return measures
