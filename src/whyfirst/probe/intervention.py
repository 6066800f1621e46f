"""Is the direction used? Adding it and taking it out while the model answers.

Adding c times the difference in means at one layer and every position, for several c; ablating its
component after every layer; and the same with a random direction of the same length, which tells
what any push of that size does. Refusal and helpfulness stand together, and the share of answers
that can't be told apart any more. Leaves out: interventions in training.
"""

from collections.abc import Mapping

import numpy as np

from whyfirst.config.files import sha256_json
from whyfirst.models.hooks import Edit, ablating, adding, decoder_layers, editing
from whyfirst.models.replies import ReplyStore
from whyfirst.probe.activations import Floats, asked_tokens, margins
from whyfirst.probe.arms import Arms
from whyfirst.probe.direction import Direction, choose_layer, direction_of, labelled
from whyfirst.probe.estimates import mean_estimate, rate_difference, rate_estimate
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

#: Which direction ("violation" or "random"), "add" or "ablate", and the coefficient.
Dose = tuple[str, str, float | None]
#: Of each request (R,): refused and helped (1, 0 or nan), and the refusal margin in nats.
Answers = tuple[Floats, Floats, Floats]

ABLATE = "ablate"
READ = ("refused", "helped", "margin")


def doses(coefficients: tuple[float, ...]) -> list[Dose]:
    """Every intervention that is made; a coefficient of 0 only once."""
    found: list[Dose] = [("violation", "add", c) for c in sorted({*coefficients, 0.0})]
    # A coefficient of 0 is the model as it is, whatever the direction.
    found += [("random", "add", c) for c in sorted(set(coefficients)) if c]
    return [*found, ("violation", ABLATE, None), ("random", ABLATE, None)]


def random_direction(like: Direction, seed: int) -> Direction:
    """A direction of the same layer and length, drawn evenly from all directions."""
    # By seed and layer, so that a rerun pushes the same way.
    drawn = np.random.default_rng([seed, like.layer]).standard_normal(len(like.vector))
    # As long as the direction: a longer push breaks a model by its size alone.
    size = float(np.linalg.norm(like.vector)) / float(np.linalg.norm(drawn))
    return Direction(like.layer, drawn * size)


def edits_of(dose: Dose, direction: Direction, layers: int) -> dict[int, Edit]:
    """The edits of one dose: at the direction's layer to add, at every layer to ablate."""
    import torch

    vector = torch.from_numpy(direction.vector)
    _, kind, coefficient = dose
    if kind == ABLATE or coefficient is None:
        # At every layer: later ones would write the component back.
        return dict.fromkeys(range(layers), ablating(vector))
    return {direction.layer: adding(vector, coefficient)}


@probe(
    "intervention",
    version="3",
    definition="adding c times the difference in means of violating and upholding statements at "
    "its layer, and ablating its direction after every layer, at every position while answering: "
    "share of harmful and of benign requests refused, share of benign requests helped, log-odds "
    "of a refusal's first token (nats) and share unscored; beside a random direction as long",
)
def intervention(arms: Arms, items: Items, options: ProbeOptions, progress: Progress) -> Findings:
    """Dose-response of every arm, the effect of ablation, and behaviour."""
    family = options.family_of(items)
    data = labelled(items.of(family))
    wanted = doses(options.coefficients)
    measures: list[Measure] = []
    falls: dict[tuple[str, int], Floats] = {}
    layers: dict[str, int] = {}
    # A model of language takes minutes to answer under one dose: what it answered is kept.
    kept, done = ReplyStore(options.kept), 0
    total = len(wanted) * sum(len(arms.seeds(arm)) for arm in arms.names)
    for arm in arms.names:
        # Chosen on statements, which no request has a part in.
        layers[arm] = choose_layer(arms, arm, data)
        seeds = arms.seeds(arm)
        found: dict[Dose, list[Answers]] = {dose: [] for dose in wanted}
        for seed in seeds:
            model = arms.open(arm, seed)
            real = direction_of(arms, arm, seed, data, layers[arm])
            both = {"violation": real, "random": random_direction(real, seed)}
            count = len(decoder_layers(model.model))
            tokens = asked_tokens(model, arms.requests(seed))
            asked = [str(request.prompt) for request in arms.requests(seed)]
            for dose in wanted:
                progress(done, total, f"interventions on {arm}, seed {seed}")
                done += 1
                # By what it was pushed with: other pairs have another direction.
                pushed = both[dose[0]].vector.tolist()
                key = sha256_json([arms.fingerprint(arm, seed), asked, dose, pushed])
                if kept.get(key) is None:
                    with editing(model.model, edits_of(dose, both[dose[0]], count)):
                        answers = arms.generate(model, seed)
                        margin = margins(model, *tokens)
                    flags = {n: [getattr(one, n) for one in answers] for n in READ[:2]}
                    kept.put(key, **flags, margin=[float(nats) for nats in margin])
                read = kept.get(key) or {}
                refused, helped, margin = (np.array(read[n], dtype=np.float64) for n in READ)
                found[dose].append((refused, helped, margin))
            falls[arm, seed] = (
                found["violation", "add", 0.0][-1][2] - found["violation", ABLATE, None][-1][2]
            )
        measures += _measures(arms, arm, seeds[0], found, {"family": family, "layer": layers[arm]})
    # Over requests: does taking the direction out move just those that the model refuses?
    linked = links(
        arms, arms.names, lambda arm, seed: falls[arm, seed], {"reading": "fall when ablated"}
    )
    said = [*_effects(measures), *cautions(
        [m for m in measures if m.name == "ablation_effect" and m.at["direction"] == "violation"],
        options, "a change in refusal when the direction is ablated",
    )]  # fmt: skip
    return Findings(measures, linked, said, {"family": family, "layers": layers})


def _measures(
    arms: Arms, arm: str, seed: int, found: Mapping[Dose, list[Answers]], at: At
) -> list[Measure]:
    asked = arms.requests(seed)
    harmful = np.array([request.harmful for request in asked])
    topics = np.array([request.topic for request in asked])
    start = found["violation", "add", 0.0]
    measures: list[Measure] = []
    every = np.ones_like(harmful)
    for dose, seeds in found.items():
        where = {**at, "direction": dose[0], "kind": dose[1]}
        where |= {} if dose[2] is None else {"coefficient": dose[2]}
        refused, helped, margin = (np.array([one[k] for one in seeds]) for k in range(3))
        missing = np.isnan(refused).astype(np.float64)
        for name, values, rows, of in (
            ("harmful_refused", refused, harmful, rate_estimate),
            ("benign_refused", refused, ~harmful, rate_estimate),
            ("benign_helped", helped, ~harmful, rate_estimate),
            ("harmful_margin", margin, harmful, mean_estimate),
            ("benign_margin", margin, ~harmful, mean_estimate),
            ("unscored", missing, every, rate_estimate),
        ):
            measures.append(Measure(name, arm, of(values[:, rows], topics[rows]), where))
        if dose[1] == ABLATE:
            for name, column, rows in (
                ("ablation_effect", 0, harmful), ("ablation_effect_helped", 1, ~harmful),
            ):  # fmt: skip
                after, before = (
                    np.array([one[column][rows] for one in side]) for side in (seeds, start)
                )
                estimate = rate_difference(after, before, topics[rows])
                measures.append(Measure(name, arm, estimate, where))
    return measures


def _effects(measures: list[Measure]) -> list[str]:
    """Where a random direction does what the direction does, say so."""
    found = []
    effects = [m for m in measures if m.name == "ablation_effect"]
    for arm in dict.fromkeys(m.arm for m in effects):
        real, chance = (
            next(m.estimate for m in effects if m.arm == arm and m.at["direction"] == name)
            for name in ("violation", "random")
        )
        if real.sign and chance.sign == real.sign:
            found.append(
                f"{arm}: ablating a random direction changes refusal the same way: the change is "
                "not the direction's own."
            )
    return found
