"""What a probe is, the record its figures are kept in, how they go with conduct, and running one.

A probe is a registered function from arms and items to measures. To add one: decorate its function
with `probe` and name its file under `plugins:` (in a package of your own: the entry point group
``whyfirst.probes``). A reading is held against whether a harmful request was refused; benign ones
are left out, since any reading that tells the two kinds apart would correlate with refusing. Leaves
out: showing results (report/, cli/probing.py), and cause and effect
(`intervention`, `patching`).
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyfirst.config.errors import UserError, did_you_mean
from whyfirst.config.room import Room
from whyfirst.explain import explanation
from whyfirst.probe.arms import Arms, Model
from whyfirst.probe.estimates import Estimate, Floats, Indices, correlation, statistic_estimate
from whyfirst.probe.pairs import Items, Pair

Progress = Callable[[int, int, str], None]  # done, total, what
At = Mapping[str, str | int | float]

#: By its usual name, an arm of every control that there are documents of, and one of more training:
#: where they show an effect too, it isn't the explanations. A study's own are read off its arms.
CONTROLS = (*(f"{documents}_first" for documents in explanation.CONTROLS), "direct_longer")
#: Those that read no reasons at all.
WITHOUT = tuple(arm for arm in CONTROLS if arm.removesuffix("_first") not in explanation.REASONED)


@dataclass(frozen=True)
class ProbeOptions:
    """What a run may be told.

    Args:
        base: the arm that shifts are measured from, if it is among the models.
        direct: the arm others are set against and patched into, if it is among them.
        method: the arm a claim is made for.
        controls: arms that must not show what the method shows.
        family: which pairs give the direction that interventions use, and the statements that
            models are compared on; None is the first family.
        coefficients: multiples of the difference in means that interventions add.
        shuffles: trainings with shuffled labels.
        folder: where activations are kept, and found again by a later call with the same models
            and texts; None is a temporary folder.
        kept: file of what models answered under interventions, for a later call with the same
            models, pairs and requests; None keeps nothing.
    """

    base: str = "base"
    direct: str = "direct"
    method: str = "explain_first"
    controls: tuple[str, ...] = CONTROLS
    family: str | None = None
    coefficients: tuple[float, ...] = (-2.0, -1.0, 0.0, 1.0, 2.0)
    shuffles: int = 10
    folder: Path | None = None
    kept: Path | None = None

    def family_of(self, items: Items) -> str:
        """The family of pairs that gives the direction, and that models are compared on.

        Raises:
            UserError: no such family; gives the nearest one.
        """
        if not items.families:
            raise UserError("no pairs of statements; give a file of pairs")
        if self.family is None:
            return items.families[0]
        if self.family not in items.families:
            hint = did_you_mean(self.family, items.families)
            raise UserError(f"no family {self.family!r} of pairs{hint} ({items.families})")
        return self.family


@dataclass(frozen=True)
class Measure:
    """One number of a probe.

    Args:
        name: what was measured, as the probe's definition names it.
        arm: of which arm.
        estimate: the number with its interval.
        at: where: any of family, value, layer, framing, coefficient, than, donor and the like.
        note: what limits it; "" otherwise.
    """

    name: str
    arm: str
    estimate: Estimate
    at: At = field(default_factory=dict)
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """As JSON types; `at` keeps its own object."""
        figures = asdict(self.estimate)
        del figures["p"]
        told = {"name": self.name, "arm": self.arm, "at": dict(self.at), "note": self.note}
        return told | figures


@dataclass(frozen=True)
class Findings:
    """What a probe's function gives.

    Args:
        measures: the numbers.
        behaviour: correlations of the probe's reading with the verdict, one an arm.
        cautions: what a reader must know before believing them, in plain words.
        settings: what was chosen on the way, e.g. the layer.
    """

    measures: Sequence[Measure]
    behaviour: Sequence[Measure] = ()
    cautions: Sequence[str] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


Run = Callable[[Arms, Items, ProbeOptions, Progress], Findings]


PROBES: Room[Findings] = Room(
    "probes",
    "whyfirst.probe.logit_difference",
    "whyfirst.probe.similarity",
    "whyfirst.probe.direction",
    "whyfirst.probe.intervention",
    "whyfirst.probe.patching",
)


def probe(name: str, *, version: str, definition: str) -> Callable[[Run], Run]:
    """Decorator: enter a run function.

    Args:
        version: changes whenever a number could.
        definition: what its figures are, in a sentence that leaves no second reading.
    """
    return PROBES.enter(name, version=version, definition=definition)


@dataclass(frozen=True)
class ProbeResult:
    """One probe's findings and what they are of.

    Args:
        models: arm -> seed -> fingerprint of the model.
    """

    probe: str
    version: str
    definition: str
    models: Mapping[str, Mapping[int, str]]
    findings: Findings

    def to_json(self) -> dict[str, Any]:
        """As JSON types, without NaN: what is undefined is null."""
        return {
            "probe": self.probe,
            "version": self.version,
            "definition": self.definition,
            "models": {
                arm: {str(seed): mark for seed, mark in seeds.items()}
                for arm, seeds in self.models.items()
            },
            "settings": dict(self.findings.settings),
            "measures": [measure.to_json() for measure in self.findings.measures],
            "behaviour": [measure.to_json() for measure in self.findings.behaviour],
            "cautions": list(self.findings.cautions),
        }


def lacking(
    names: Sequence[str], arms: Sequence[str], items: Items, direct: str = ProbeOptions.direct
) -> dict[str, str]:
    """Which of the project's own probes can't be run on these arms and items, and why.

    Args:
        names: probes that are wanted.
        arms: the arms that there are.
        direct: the arm others are patched into.
    """
    # Only what can be told without loading a model; a probe says the rest itself.
    reasons: dict[str, str] = {}
    if not any(pair.negative and pair.positive for pair in items.pairs):
        reasons["logit_difference"] = "the pairs have no outcomes to continue with"
    if len({pair.value for pair in items.pairs}) < 2:
        # A direction needs a value to learn from and another to be tried on.
        reasons |= dict.fromkeys(("direction", "intervention"), "the pairs are of one value")
    if not items.requests(0):
        reasons |= dict.fromkeys(("intervention", "patching"), "there are no requests")
    elif direct not in arms or len(arms) < 2:
        reasons["patching"] = f"it needs the arm {direct!r} and another one"
    return {name: reasons[name] for name in names if name in reasons}


def no_progress(done: int, total: int, what: str) -> None:
    """Tell nobody."""


def run_probes(
    names: Sequence[str],
    models: Mapping[str, Model | Mapping[int, Model]],
    items: Items,
    options: ProbeOptions | None = None,
    progress: Progress = no_progress,
) -> list[ProbeResult]:
    """Run several probes; what they share (activations, answers) is computed once.

    Args:
        models: arm -> model, or arm -> seed -> model; a model is a `LocalModel`, a folder, a
            Hub id or a function that loads one. An arm with one model (the base) stands beside
            every seed of the others.

    Raises:
        UserError: an unknown probe, no models, items a probe can't do without, or a model that
            isn't a causal decoder.
    """
    # All names before any model is loaded.
    chosen = [PROBES.get(name) for name in names]
    chosen_options = options or ProbeOptions()
    # Activations of two models over thousands of texts are gigabytes that nobody asked to keep.
    with tempfile.TemporaryDirectory(prefix="whyfirst-probe-") as temporary:
        arms = Arms(models, items, chosen_options.folder or Path(temporary))
        # One after the other over the same arms: activations and answers are then computed once.
        found = [one.function(arms, items, chosen_options, progress) for one in chosen]
        prints = arms.fingerprints()
    return [
        ProbeResult(one.name, one.version, str(one.facts["definition"]), prints, findings)
        for one, findings in zip(chosen, found, strict=True)
    ]


def run_probe(
    name: str,
    models: Mapping[str, Model | Mapping[int, Model]],
    items: Items,
    options: ProbeOptions | None = None,
    progress: Progress = no_progress,
) -> ProbeResult:
    """Run one probe; see `run_probes`."""
    return run_probes([name], models, items, options, progress)[0]


#: (arm, seed) -> the probe's reading of each request of the seed (R,), nan where it has none.
Readings = Callable[[str, int], Floats]


def correlate(readings: Floats, refused: Floats, topics: Sequence[str]) -> Estimate:
    """Pearson's r between a reading and a verdict of 0 or 1 (point-biserial), over seeds.

    The interval is taken on Fisher's z = artanh r (Fisher 1921).

    Args:
        readings, refused: (S, R), nan where there is none.
        topics: (R,).
    """
    both = np.isfinite(readings) & np.isfinite(refused)
    # Each seed has its own gaps; a request no seed can judge is no item.
    used = both.any(axis=0)

    def each_seed(items: Indices) -> Floats:
        result = np.full(len(readings), np.nan)
        for seed in range(len(readings)):
            own = items[both[seed][used][items]]
            # Two points always lie on a line.
            if len(own) > 2:
                result[seed] = correlation(readings[seed][used][own], refused[seed][used][own])
        return result

    def fisher(r: Floats) -> Floats:
        # Cut short of 1, where z would be infinite and the interval with it.
        return np.arctanh(np.clip(r, -1 + 1e-12, 1 - 1e-12))

    return statistic_estimate(each_seed, np.array(topics)[used], (-1.0, 1.0), fisher, np.tanh)


def links(
    arms: Arms, names: Sequence[str], reading: Readings, at: At, verdict: Readings | None = None,
    beside: str | None = None,
) -> list[Measure]:  # fmt: skip
    """The correlation for each arm, over harmful requests.

    Args:
        verdict: 1 or 0 for each request; None is whether the arm itself refused.
        beside: an arm whose seeds alone count, since the reading is against it.
    """
    found = []
    for arm in names:
        seeds = arms.seeds(arm) if beside is None else arms.seeds(arm, beside)
        asked = [arms.requests(seed) for seed in seeds]
        # The ids are the same for every seed, so the first one's requests stand for all.
        harmful = np.array([request.harmful for request in asked[0]])
        topics = [request.topic for request in asked[0] if request.harmful]
        read = np.array([reading(arm, seed)[harmful] for seed in seeds])
        verdicts = np.array([(verdict or arms.refused)(arm, seed)[harmful] for seed in seeds])
        estimate = correlate(read, verdicts, topics)
        note = ""
        if not np.isfinite(read).any():
            note = "no request is about what the pairs are about"
        elif estimate.value is None:
            note = "every verdict, or every reading, is the same: nothing to correlate"
        elif not estimate.measured:
            note = "too few requests have the rarer verdict to give an interval"
        found.append(Measure("reading_and_refusal", arm, estimate, dict(at), note))
    return found


def about_pairs(
    arms: Arms, pairs: Sequence[Pair], found: Mapping[tuple[str, int], Floats]
) -> Readings:
    """The reading of what a request is about: the mean of the pairs with its topic and value.

    Args:
        found: (arm, seed) -> a reading of each pair (I,).
    """

    def reading(arm: str, seed: int) -> Floats:
        known: dict[tuple[str, str], list[float]] = {}
        for pair, own in zip(pairs, found[arm, seed].tolist(), strict=True):
            if pair.topic:
                known.setdefault((pair.value, pair.topic), []).append(own)
        return np.array([
            np.mean(known.get((r.value, r.topic), np.nan)) for r in arms.requests(seed)
        ])  # fmt: skip

    return reading


def cautions(measures: Sequence[Measure], options: ProbeOptions, what: str) -> list[str]:
    """What the controls say about the method's effect, in plain words.

    Args:
        measures: one an arm, all of one kind.
        what: the effect, as a noun phrase: "the link between reading and refusal".
    """
    by_arm: Mapping[str, Measure] = {measure.arm: measure for measure in measures}
    method = by_arm.get(options.method)
    if method is None:
        return []
    # What has no interval isn't known to be none.
    if not method.estimate.measured:
        why = f": {method.note}" if method.note else ""
        return [f"{options.method}: {what} could not be measured{why}."]
    # Nothing to explain away: whether controls show it too is then no question.
    if not method.estimate.sign:
        return [f"{options.method}: {what} is not distinguishable from none."]
    found = []
    # A control that wasn't probed, or not measured, clears nobody.
    controls = [arm for arm in options.controls if arm in by_arm and by_arm[arm].estimate.measured]
    for arm in controls:
        if by_arm[arm].estimate.sign == method.estimate.sign:
            found.append(
                f"{arm} shows {what} too ({_said(by_arm[arm])}; {options.method} "
                f"{_said(method)}): so it isn't the explanations alone that bring it about."
            )
    if not controls and options.direct not in options.controls:
        found.append(f"no control arm was measured: {what} may not be due to the explanations.")
    return found


def _said(measure: Measure) -> str:
    one = measure.estimate
    return f"{one.value:.2f}, {one.low:.2f} to {one.high:.2f}"
