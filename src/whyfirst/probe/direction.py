"""One direction for "violates a value": is there one, and does it hold for other values?

Difference in means and logistic regression, trained on all values but one and tested on that one,
layer by layer; set against the same training with shuffled labels; then read where the answer to a
request begins, framing by framing. Leaves out: directions of nonlinear probes, and whether the
model uses what is read (`intervention`).
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import UserError
from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import Floats, Indices, statistic_estimate
from whyfirst.probe.pairs import Items, Pair
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
from whyfirst.stats import classify
from whyfirst.stats.classify import Flags, auroc

Fit = Callable[[Floats, Flags], Floats]
Statistic = Callable[[Indices], Floats]


def difference_in_means(states: Floats, violated: Flags) -> Floats:
    """Mean of violating states (N, D) less that of upholding ones: (D,), not scaled.

    Sources: Belrose 2023 ("Diff-in-means concept editing is worst-case optimal"); Marks and
    Tegmark 2023 (arXiv 2310.06824).
    """
    found: Floats = states[violated].mean(axis=0) - states[~violated].mean(axis=0)
    return found


def logistic(states: Floats, violated: Flags) -> Floats:
    """Weights (D,) of a logistic regression with an L2 penalty, on standardised states.

    It gives w on the scale of the states; see `stats.classify.logistic`.
    """
    middle, spread = states.mean(axis=0), states.std(axis=0)
    # A number that never varies carries no label, and dividing by its spread would make it huge.
    spread = np.where(spread > 1e-12, spread, 1.0)
    # Back on the scale of the states, where the direction is read off them.
    weights: Floats = classify.logistic((states - middle) / spread, violated)[:-1] / spread
    return weights


FITS: dict[str, Fit] = {"difference_in_means": difference_in_means, "logistic": logistic}


@dataclass(frozen=True)
class Labelled:
    """Statements of one family: texts, whether each violates, its value and its topic."""

    texts: list[str]
    violated: Flags
    values: npt.NDArray[np.str_]
    topics: npt.NDArray[np.str_]


def labelled(pairs: Sequence[Pair]) -> Labelled:
    """Both statements of every pair; a statement of several pairs of a value counts once.

    Raises:
        UserError: fewer than two values, so that none can be held out.
    """
    rows: dict[tuple[str, str], tuple[bool, str]] = {}
    for pair in pairs:
        # By value and text: the upholding statement of five pairs would else weigh five times.
        rows.setdefault((pair.value, pair.violated), (True, pair.about))
        rows.setdefault((pair.value, pair.upheld), (False, pair.about))
    values = np.array([value for value, _ in rows])
    if len(set(values.tolist())) < 2:
        raise UserError(
            "a direction is trained on some values and tested on others: give pairs of at least "
            "two values"
        )
    return Labelled(
        [text for _, text in rows],
        np.array([bad for bad, _ in rows.values()]),
        values,
        np.array([topic for _, topic in rows.values()]),
    )


def held_out(states: Floats, data: Labelled, fit: Fit, value: str) -> Floats:
    """Scores (M,) of the statements of `value` on the direction of all other values.

    nan where the other values' statements are all of one kind.
    """
    test, texts = data.values == value, np.array(data.texts)
    # Another value's statements: else the direction could be the value's topic and no violation.
    # And none of the same words, whatever it is called there: labels go together over values, so
    # that a direction that only knows statements by heart would do better than chance.
    train = ~test & ~np.isin(texts, texts[test])
    if len(set(data.violated[train].tolist())) < 2:
        return np.full(int(test.sum()), np.nan)
    found: Floats = states[test] @ fit(states[train], data.violated[train])
    return found


def shuffled(data: Labelled, number: int) -> Labelled:
    """The same statements with labels permuted within each value, the same way every time."""
    digest = hashlib.sha256(f"shuffle {number}".encode()).digest()
    rng = np.random.default_rng(list(digest[:8]))
    labels = data.violated.copy()
    for value in sorted(set(data.values.tolist())):
        # Within each value, so that shuffled labels keep its share of violations: a null that
        # differs in balance as well would be too easy to beat.
        own = np.flatnonzero(data.values == value)
        labels[own] = labels[rng.permutation(own)]
    return Labelled(data.texts, labels, data.values, data.topics)


@dataclass(frozen=True)
class Direction:
    """A direction of one arm and seed, of all values.

    Args:
        layer: after which layer.
        vector: (D,), the difference in means: from upholding to violating.
    """

    layer: int
    vector: Floats


@probe(
    "direction",
    version="3",
    definition="AUROC of statements that violate a value against those that uphold it, on a "
    "direction trained on the other values (`auroc`); the same trained with shuffled labels "
    "(`shuffled`) and the difference (`selectivity`, Hewitt and Liang 2019); `framing`, AUROC of "
    "harmful against benign requests on the direction of all values where the answer begins",
)
def direction(arms: Arms, items: Items, options: ProbeOptions, progress: Progress) -> Findings:
    """Held-out AUROC by layer, selectivity, framings and behaviour, for each family of pairs."""
    measures: list[Measure] = []
    behaved: list[Measure] = []
    said: list[str] = []
    chosen: dict[str, dict[str, int]] = {}
    for family in items.families:
        data = labelled(items.of(family))
        for number, arm in enumerate(arms.names):
            progress(number, len(arms.names), f"directions of {family}, {arm}")
            measures += _held_out_measures(arms, arm, family, data, options)
        layers = {arm: best_layer(measures, arm, family) for arm in arms.names}
        chosen[family] = layers
        if not items.requests(0):
            continue
        # Each request's projection on its own model's direction, in units of its length.
        readings: dict[tuple[str, int], Floats] = {}
        for arm, layer in layers.items():
            for seed in arms.seeds(arm):
                vector = direction_of(arms, arm, seed, data, layer).vector
                states = arms.request_states(arm, seed).layer(layer)
                readings[arm, seed] = states @ vector / max(float(vector @ vector), 1e-30)
        for arm in arms.names:
            measures += _framings(arms, arm, family, layers[arm], readings)
        linked = links(
            arms, arms.names, lambda arm, seed, of=readings: of[arm, seed],  # type: ignore[misc]
            {"family": family},
        )  # fmt: skip
        behaved += linked
        what = f"the link between the direction ({family}) and refusal"
        said += cautions(linked, options, what)
    # Where the direction that is read and changed doesn't carry over to another value, say so.
    for measure in measures:
        at = measure.at
        if measure.name != "selectivity" or at["method"] != "difference_in_means":
            continue
        family = str(at["family"])
        above = measure.estimate
        if at["layer"] == chosen[family][measure.arm] and above.measured and above.sign <= 0:
            said.append(
                f"{measure.arm}: the direction of {family} does no better than shuffled labels on "
                f"a value left out, even at its best layer ({at['layer']})."
            )
    return Findings(measures, behaved, said, {"layers": chosen, "shuffles": options.shuffles})


def _held_out_measures(
    arms: Arms, arm: str, family: str, data: Labelled, options: ProbeOptions
) -> list[Measure]:
    stored = [arms.states(arm, seed, data.texts) for seed in arms.seeds(arm)]
    mixed = [shuffled(data, number) for number in range(options.shuffles)]
    measures: list[Measure] = []
    for layer in range(min(one.layers for one in stored)):
        states = [one.layer(layer) for one in stored]
        for method, fit in FITS.items():
            at: At = {"family": family, "method": method, "layer": layer}
            real = _auroc_of(states, data, [data], fit)
            estimate = statistic_estimate(real, data.topics, (0.0, 1.0))
            measures.append(Measure("auroc", arm, estimate, at))
            for value in dict.fromkeys(data.values.tolist()):
                one = _auroc_of(states, data, [data], fit, value)
                # Over its own statements: others would count as items and topics of it.
                own = np.flatnonzero(data.values == value)
                estimate = statistic_estimate(
                    lambda items, of=one, own=own: of(own[items]),  # type: ignore[misc]
                    data.topics[own], (0.0, 1.0),
                )  # fmt: skip
                measures.append(Measure("auroc", arm, estimate, dict(at) | {"value": value}))
            if not mixed:
                continue
            null = _auroc_of(states, data, mixed, fit)
            chance = statistic_estimate(null, data.topics, (0.0, 1.0))
            measures.append(Measure("shuffled", arm, chance, at))
            above = statistic_estimate(
                lambda items, a=real, b=null: np.subtract(a(items), b(items)),  # type: ignore[misc]
                data.topics, (-1.0, 1.0),
            )  # fmt: skip
            measures.append(Measure("selectivity", arm, above, at))
    return measures


def _auroc_of(
    states: Sequence[Floats],
    data: Labelled,
    trained: Sequence[Labelled],
    fit: Fit,
    only: str | None = None,
) -> Statistic:
    """Mean AUROC over held-out values (or one) and trainings; items are left out of tests only."""
    values = [only] if only is not None else list(dict.fromkeys(data.values.tolist()))
    scores = np.full((len(states), len(trained), len(data.texts)), np.nan)
    for s, state in enumerate(states):
        for t, labels in enumerate(trained):
            for value in values:
                # Trained once on everything: a jackknife that trained anew for each group would
                # take G times as long, and its interval is of the test items.
                scores[s, t, data.values == value] = held_out(state, labels, fit, value)

    def each_seed(items: Indices) -> Floats:
        parts = {value: items[data.values[items] == value] for value in values}
        return np.array([
            np.mean([
                auroc(one[part], data.violated[part]) for one in scores[s]
                for part in parts.values()
            ])
            for s in range(len(states))
        ])  # fmt: skip

    return each_seed


def best_layer(measures: Sequence[Measure], arm: str, family: str) -> int:
    """The layer where the difference in means does best on statements of held-out values.

    Statements choose it; what is then read or changed in requests took no part.
    """
    found = [
        m for m in measures
        if m.name == "auroc" and m.arm == arm and "value" not in m.at
        and m.at["family"] == family and m.at["method"] == "difference_in_means"
    ]  # fmt: skip
    # Of equally good layers the later one: nearer to where the answer is decided.
    best = max(found, key=lambda m: (m.estimate.value or 0.0, int(m.at["layer"])))
    return int(best.at["layer"])


def choose_layer(arms: Arms, arm: str, data: Labelled) -> int:
    """`best_layer` without the rest of the probe."""
    stored = [arms.states(arm, seed, data.texts) for seed in arms.seeds(arm)]
    everything = np.arange(len(data.texts))

    def quality(layer: int) -> float:
        states = [one.layer(layer) for one in stored]
        return float(np.mean(_auroc_of(states, data, [data], difference_in_means)(everything)))

    return max(range(min(one.layers for one in stored)), key=lambda n: (quality(n), n))


def direction_of(arms: Arms, arm: str, seed: int, data: Labelled, layer: int) -> Direction:
    """The difference in means over all values of one model."""
    states = arms.states(arm, seed, data.texts).layer(layer)
    return Direction(layer, difference_in_means(states, data.violated))


def _framings(
    arms: Arms, arm: str, family: str, layer: int, readings: dict[tuple[str, int], Floats]
) -> list[Measure]:
    seeds = arms.seeds(arm)
    asked = arms.requests(seeds[0])
    harmful = np.array([request.harmful for request in asked])
    framings = np.array([request.framing for request in asked])
    topics = np.array([request.topic for request in asked])
    scores = np.array([readings[arm, seed] for seed in seeds])
    measures = []
    for framing in ("*", *dict.fromkeys(framings.tolist())):
        own = np.flatnonzero((framings == framing) | (framing == "*"))

        def each_seed(items: Indices, own: Indices = own) -> Floats:
            return np.array([auroc(one[own][items], harmful[own][items]) for one in scores])

        at: At = {"family": family, "layer": layer, "framing": framing}
        estimate = statistic_estimate(each_seed, topics[own], (0.0, 1.0))
        measures.append(Measure("framing", arm, estimate, at))

    def shift(items: Indices) -> Floats:
        """Against the same model's benign requests: a projection's zero means nothing by itself."""
        bad, good = items[harmful[items]], items[~harmful[items]]
        if not len(bad) or not len(good):
            return np.full(len(scores), np.nan)
        return np.asarray(scores[:, bad].mean(axis=1) - scores[:, good].mean(axis=1))

    apart = statistic_estimate(shift, topics)
    measures.append(Measure("reading", arm, apart, {"family": family, "layer": layer}))
    return measures
