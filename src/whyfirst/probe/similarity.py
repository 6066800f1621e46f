"""Which representations are alike, layer by layer: statements within a model, and models.

Within a model: is a violating statement closer to a bad outcome than its matched upholding one?
Between models: debiased linear CKA and RSA of the same statements, and whether an arm moved away
from the base by more than two seeds of that arm lie apart. Leaves out: what a direction in the
representation means (`direction`).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import numpy.typing as npt

from whyfirst.config.errors import UserError
from whyfirst.probe.arms import Arms
from whyfirst.probe.estimates import Floats, Indices, correlation, mean_estimate, statistic_estimate
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
from whyfirst.stats.statistics import holm

#: most statements compared between models: RSA's cost grows with the square
STATEMENTS = 200

Alike = Callable[[Floats, Floats], float]


def hsic(k: Floats, l: Floats) -> float:  # noqa: E741
    """Unbiased estimate of HSIC from two kernel matrices (N, N), N of at least 4.

    HSIC_1 = [tr(K'L') + 1'K'1 1'L'1 / ((n-1)(n-2)) - 2/(n-2) 1'K'L'1] / (n(n-3)), where K' and L'
    have zero diagonals (Song et al. 2012, JMLR 13, equation 5).
    """
    n = len(k)
    # Each statement is most like itself, which says nothing of two models and biases the plain
    # estimate upwards where there are few statements.
    a, b = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))
    rows_a, rows_b = a.sum(axis=0), b.sum(axis=0)
    whole = rows_a.sum() * rows_b.sum() / ((n - 1) * (n - 2))
    return float(((a * b).sum() + whole - 2 / (n - 2) * (rows_a @ rows_b)) / (n * (n - 3)))


def cka(k: Floats, l: Floats) -> float:  # noqa: E741
    """Debiased CKA of two kernel matrices (N, N): HSIC_1(K, L) / sqrt(HSIC_1(K, K) HSIC_1(L, L)).

    1 for kernels equal up to a factor, about 0 (of either sign) for independent ones. Sources:
    Kornblith et al. 2019 (arXiv 1905.00414), with the estimator of Nguyen et al. 2021
    (arXiv 2010.15327). nan where a representation doesn't vary.
    """
    # An unbiased estimate may fall below zero; then there is no similarity to speak of.
    size = hsic(k, k) * hsic(l, l)
    return hsic(k, l) / float(np.sqrt(size)) if size > 0 else float("nan")


def gram(states: Floats) -> Floats:
    """Linear kernel (N, N) of states (N, D), centred and scaled so that numbers stay moderate."""
    centred = states - states.mean(axis=0)
    kernel: Floats = centred @ centred.T
    # The scale cancels in CKA; this only keeps products within floats.
    np.divide(kernel, max(float(np.trace(kernel)) / len(kernel), 1e-30), out=kernel)
    return kernel


def dissimilarity(states: Floats) -> Floats:
    """1 - Pearson's r between the rows of states (N, D), as (N, N)."""
    found: Floats = np.subtract(1.0, np.corrcoef(states))
    return found


def rsa(a: Floats, b: Floats) -> float:
    """Spearman's rank correlation of two dissimilarity matrices' upper triangles.

    Source: Kriegeskorte, Mur and Bandettini 2008.
    """
    from scipy.stats import rankdata

    upper = np.triu_indices(len(a), 1)
    return correlation(rankdata(a[upper]), rankdata(b[upper]))


def association(states: Sequence[Floats]) -> Floats:
    """How much closer a violating statement is to bad outcomes than its upholding one (I,).

    [cos(v, n) - cos(v, p)] - [cos(u, n) - cos(u, p)], after the mean of all states is taken off:
    what all statements share (most of a raw cosine, Ethayarajh 2019) and what n and p have in
    common with every statement cancel.

    Args:
        states: of violating, upholding, bad-outcome and good-outcome statements, (I, D) each.
    """
    middle = np.concatenate(states).mean(axis=0)
    centred = [state - middle for state in states]
    sizes = [np.linalg.norm(one, axis=1, keepdims=True) for one in centred]
    v, u, n, p = (one / np.maximum(size, 1e-30) for one, size in zip(centred, sizes, strict=True))
    found: Floats = ((v - u) * (n - p)).sum(axis=1)
    return found


@probe(
    "representation_similarity",
    version="4",
    definition="by layer: `association`, how much closer (cosine, centred) violating statements "
    "are to bad outcomes than matched upholding ones are, and `control`, the same for another "
    "upholding statement; `cka` (linear, debiased) and `rsa` between models on the same "
    "statements; `shift`, 1 - cka to the base; `seed_shift`, 1 - cka between two seeds of an arm; "
    "`moved`, shift less seed_shift",
)
def representation_similarity(
    arms: Arms, items: Items, options: ProbeOptions, progress: Progress
) -> Findings:
    """Associations of every arm, similarities of every pair of arms, and what moved."""
    measures: list[Measure] = []
    behaved: list[Measure] = []
    said: list[str] = []
    whole = [p for p in items.pairs if p.negative_statement and p.positive_statement]
    for of, places in by_family(whole):
        progress(0, 2, "cosines of statements")
        pairs = [whole[n] for n in places]
        found, readings = _associations(arms, pairs, of)
        measures += found
        if items.requests(0):
            read = about_pairs(arms, pairs, readings)
            linked = links(arms, arms.names, read, {"layer": "mean", **of})
            behaved += linked
            said += cautions(linked, options, "the link between its cosines and refusal")
    progress(1, 2, "similarity of models")
    if not items.pairs:
        raise UserError("representation_similarity needs pairs of statements")
    measures += _between(arms, items.of(options.family_of(items)), options.base)
    for arm in dict.fromkeys(m.arm for m in measures if m.name == "shift"):
        own = [m for m in measures if m.name == "moved" and m.arm == arm]
        said.append(moved_in_words(arm, options.base, own))
    return Findings(measures, behaved, said, {"pairs": len(whole), "statements": STATEMENTS})


def moved_in_words(arm: str, base: str, own: Sequence[Measure]) -> str:
    """In which layers an arm moved from the base by more than its seeds lie apart, after Holm.

    Args:
        own: the arm's `moved`, one a layer; none where it has one seed.
    """
    known = [(m, m.estimate.p) for m in own if m.estimate.p is not None]
    if not known:
        told = f"its shift from {base} can't be told from retraining."
        return f"{arm} has fewer than three seeds: {told}"
    # Of thirty layers without an effect one's interval leaves out 0.
    adjusted = holm([p for _, p in known])
    layers = [
        str(measure.at["layer"]) for (measure, _), p in zip(known, adjusted, strict=True)
        if p < 0.05 and measure.estimate.sign > 0
    ]  # fmt: skip
    if not layers:
        return f"{arm} moved from {base} in no layer by more than its seeds do."
    return (
        f"{arm} moved from {base} by more than its seeds lie apart in layers "
        f"{', '.join(layers)} of {len(own)} (Holm)."
    )


def _associations(
    arms: Arms, pairs: Sequence[Pair], of: At
) -> tuple[list[Measure], dict[tuple[str, int], Floats]]:
    """Measures by arm and layer, and each pair's reading averaged over layers.

    Args:
        pairs: of one family, which `of` names.
    """
    sides: list[list[str]] = [
        [pair.violated for pair in pairs],
        [pair.upheld for pair in pairs],
        [str(pair.negative_statement) for pair in pairs],
        [str(pair.positive_statement) for pair in pairs],
        [pair.control or pair.upheld for pair in pairs],
    ]
    texts = list(dict.fromkeys(text for side in sides for text in side))
    place = {text: number for number, text in enumerate(texts)}
    where = [np.array([place[text] for text in side]) for side in sides]
    controlled = np.array([pair.control is not None for pair in pairs])
    topics = np.array([pair.about for pair in pairs])
    measures: list[Measure] = []
    readings: dict[tuple[str, int], Floats] = {}
    for arm in arms.names:
        stored = {seed: arms.states(arm, seed, texts) for seed in arms.seeds(arm)}
        layers = min(one.layers for one in stored.values())
        sums = dict.fromkeys(stored, np.zeros(len(pairs)))
        for layer in range(layers):
            real, null = [], []
            for seed, one in stored.items():
                v, u, n, p, c = (one.layer(layer)[index] for index in where)
                real.append(association([v, u, n, p]))
                # The control also upholds, so that it shows what any two statements differ by.
                null.append(np.where(controlled, association([c, u, n, p]), np.nan))
                # Averaged over layers: picking the best one by the requests would be looking at
                # the answer.
                sums[seed] = sums[seed] + real[-1] / layers
            for name, values in (("association", real), ("control", null)):
                estimate = mean_estimate(np.array(values), topics)
                if estimate.n:
                    measures.append(Measure(name, arm, estimate, {"layer": layer, **of}))
        readings |= {(arm, seed): total for seed, total in sums.items()}
    return measures, readings


def _between(arms: Arms, pairs: Sequence[Pair], base: str) -> list[Measure]:
    """CKA and RSA of each pair of arms, and how far each arm lies from the base."""
    first = _statements(pairs)
    texts = list(first)
    if len(texts) < 8:
        raise UserError(f"{len(texts)} statements are too few to compare models on; give more")
    topics = np.array([first[text] for text in texts])
    stored = {
        arm: {seed: arms.states(arm, seed, texts) for seed in arms.seeds(arm)} for arm in arms.names
    }
    layers = min(one.layers for seeds in stored.values() for one in seeds.values())
    measures: list[Measure] = []
    for layer in range(layers):
        states = {
            arm: {seed: one.layer(layer) for seed, one in seeds.items()}
            for arm, seeds in stored.items()
        }
        grams, others = (
            {arm: {s: make(one) for s, one in seeds.items()} for arm, seeds in states.items()}
            for make in (gram, dissimilarity)
        )
        for name, alike, matrices in (("cka", cka, grams), ("rsa", rsa, others)):
            for a, b in combinations(arms.names, 2):
                sides = [(_of(matrices, a, s), _of(matrices, b, s)) for s in arms.seeds(a, b)]
                estimate = statistic_estimate(_alike(alike, sides), topics, (-1.0, 1.0))
                measures.append(Measure(name, a, estimate, {"layer": layer, "with": b}))
        for arm in arms.names:
            measures += _shifts(arms, arm, base, grams, topics, layer)
    return measures


def _statements(pairs: Sequence[Pair]) -> dict[str, str]:
    """Statement -> its topic, both of each of some pairs."""
    # Evenly over the file, which is sorted by value more often than not.
    each = list({(pair.violated, pair.upheld): pair for pair in pairs}.values())
    places = np.linspace(0, len(each) - 1, min(len(each), STATEMENTS // 2)).round().astype(int)
    chosen = [each[place] for place in places]
    return {text: pair.about for pair in chosen for text in (pair.violated, pair.upheld)}


def _of(matrices: dict[str, dict[int, Floats]], arm: str, seed: int) -> Floats:
    """The arm's matrix for a seed, or its only one."""
    own = matrices[arm]
    return own[seed] if len(own) > 1 else next(iter(own.values()))


def _alike(alike: Alike, sides: Sequence[tuple[Floats, Floats]]) -> Callable[[Indices], Floats]:
    def each_seed(items: Indices) -> Floats:
        grid = np.ix_(items, items)
        return np.array([alike(a[grid], b[grid]) for a, b in sides])

    return each_seed


def pseudo_values(apart: Floats) -> Floats:
    """The delete-one-seed jackknife's pseudo-values of the mean distance of all pairs of seeds.

    S U − (S − 1) U₋ₛ, with U₋ₛ the mean over the pairs without seed s; their mean is U, and their
    variance over S is the jackknife's of U (Efron and Tibshirani 1993, chapter 11; for statistics
    of pairs Arvesen 1969). Two seeds have none, and get the distance itself.

    Args:
        apart: each seed's mean distance to the others, (S,).
    """
    seeds = len(apart)
    if seeds < 3:
        return apart
    return np.asarray(2 * (seeds - 1) / (seeds - 2) * apart - seeds / (seeds - 2) * apart.mean())


def _shifts(
    arms: Arms,
    arm: str,
    base: str,
    grams: dict[str, dict[int, Floats]],
    topics: npt.NDArray[np.str_],
    layer: int,
) -> list[Measure]:
    """1 - CKA to the base, between the arm's own seeds, and the difference of the two."""
    if base not in arms.names or arm == base:
        return []
    own = {seed: _of(grams, arm, seed) for seed in arms.seeds(arm, base)}
    to_base = _alike(cka, [(one, _of(grams, base, seed)) for seed, one in own.items()])

    def shift(items: Indices) -> Floats:
        return np.asarray(1.0 - to_base(items))

    def apart(items: Indices) -> Floats:
        """The jackknife's pseudo-value of each seed, whose mean is that of all pairs.

        Seeds' mean distances share their pairs and spread far less than independent ones would.
        """
        grid = np.ix_(items, items)
        # All pairs of seeds once.
        between = {
            frozenset(two): 1.0 - cka(own[two[0]][grid], own[two[1]][grid])
            for two in combinations(own, 2)
        }
        mine = [[value for two, value in between.items() if seed in two] for seed in own]
        return pseudo_values(np.array(mine).mean(axis=1))

    wanted: dict[str, Callable[[Indices], Floats]] = {"shift": shift}
    if len(own) > 1:
        wanted |= {"seed_shift": apart, "moved": lambda items: shift(items) - apart(items)}
    measures = []
    for name, statistic in wanted.items():
        estimate, note = statistic_estimate(statistic, topics), ""
        if name != "shift" and len(own) == 2:
            estimate = replace(estimate, low=None, high=None, p=None)
            note = "two seeds lie one distance apart, which says nothing of how others would"
        measures.append(Measure(name, arm, estimate, {"layer": layer, "with": base}, note))
    return measures
