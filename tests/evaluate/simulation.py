"""Simulated studies whose true effect is known, to check intervals, tests and power against.

A simulated item passes with a probability whose logit adds an arm's effect to normal effects of
seed, topic, seed × topic and item. Seeds, topics and items have a part that the arms share (a hard
topic is hard for every arm) and a part of each arm's own (training noise). `simulate_worlds` draws
topics and newcomers anew for every seed. Left out: unscored items, correlated seeds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from whyfirst.stats.scores import Floats, Paired
from whyfirst.stats.worlds import Asked

# Items differ within a topic and topics within a seed even where the study's main spreads are 0.
ITEM_SD = 0.5
CELL_SD = 0.3


@dataclass(frozen=True)
class World:
    """The truth behind a simulated study; spreads and effects are in logits.

    Attributes:
        effects: what each arm adds; () shape (A,).
        seed_sd, topic_sd: spread of an arm's passes over seeds and over topics.
        n_seeds, n_topics, items_a_topic: the design.
        base: logit of the pass rate of an arm without effect.
        shared: the part of each variance that the arms have in common.
        modes: logits between two kinds of seeds, each as likely, drawn for each arm by itself: a
            training run that took and one that did not.
    """

    effects: tuple[float, ...]
    seed_sd: float
    topic_sd: float
    n_seeds: int
    n_topics: int
    items_a_topic: int
    base: float = 0.8
    shared: float = 0.5
    modes: float = 0.0

    def pass_rate(self, arm: int) -> float:
        """The arm's pass rate over all seeds, topics and items there could be."""
        spread = (self.seed_sd**2 + self.topic_sd**2 + ITEM_SD**2 + CELL_SD**2) ** 0.5
        nodes, weights = np.polynomial.hermite_e.hermegauss(61)
        logits = self.base + self.effects[arm] + spread * nodes
        rates = sum(
            0.5 / (1.0 + np.exp(-(logits + side * self.modes / 2.0))) for side in (-1.0, 1.0)
        )
        return float((rates * weights).sum() / weights.sum())


def simulate(world: World, rng: np.random.Generator) -> Paired:
    """Draw one study: every arm answers every item under every seed, values 0 or 1."""
    n_seeds, n_topics, n_items = world.n_seeds, world.n_topics, world.items_a_topic

    def normal(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape, dtype=np.float32)

    own = (1.0 - world.shared) ** 0.5
    spreads = (
        ((n_seeds, 1, 1), world.seed_sd),
        ((1, n_topics, 1), world.topic_sd),
        ((1, n_topics, n_items), ITEM_SD),
    )
    common = sum(normal(*shape) * (sd * world.shared**0.5) for shape, sd in spreads)
    values = np.empty((len(world.effects), n_seeds, n_topics * n_items))
    for arm, effect in enumerate(world.effects):
        logits = common + sum(normal(*shape) * (sd * own) for shape, sd in spreads)
        logits = logits + normal(n_seeds, n_topics, 1) * CELL_SD + (world.base + effect)
        if world.modes:
            sides = rng.choice((-0.5, 0.5), size=(n_seeds, 1, 1)).astype(np.float32)
            logits = logits + sides * world.modes
        draws = rng.random((n_seeds, n_topics, n_items), dtype=np.float32)
        values[arm] = (draws < 1.0 / (1.0 + np.exp(-logits))).reshape(n_seeds, -1)
    topics = np.repeat(np.arange(n_topics), n_items)
    present = np.ones(values.shape, dtype=np.bool_)
    return Paired(tuple(range(n_seeds)), topics, values, present, np.zeros(len(topics)))


@dataclass(frozen=True)
class Worlds:
    """The truth behind a simulated study of drawn worlds; spreads and effects are in logits.

    Attributes:
        effects: what each arm adds.
        world_sd: spread over worlds of what an arm does there, drawn for each arm by itself.
        newcomer_sd, topic_sd: spread within a world, alike for all arms.
        n_worlds, n_newcomers, n_topics: the design; every newcomer is asked of every topic once.
        base: logit of the pass rate of an arm without effect.
        modes: logits between two kinds of worlds, each as likely, drawn for each arm by itself.
        stuck: share of newcomers whom nothing moves: they pass in every arm, or in none.
    """

    effects: tuple[float, ...]
    world_sd: float
    newcomer_sd: float
    topic_sd: float
    n_worlds: int
    n_newcomers: int
    n_topics: int
    base: float = 0.0
    modes: float = 0.0
    stuck: float = 0.0


def simulate_worlds(truth: Worlds, rng: np.random.Generator) -> tuple[Paired, Asked]:
    """Draw one study of worlds, whose items are newcomers x topics; values 0 or 1."""
    worlds, people, topics = truth.n_worlds, truth.n_newcomers, truth.n_topics
    shape = (worlds, people, topics)
    common = (
        rng.normal(0.0, truth.newcomer_sd, (worlds, people, 1))
        + rng.normal(0.0, truth.topic_sd, (worlds, 1, topics))
        + rng.normal(0.0, ITEM_SD, shape)
    )
    stuck = np.arange(people) < round(truth.stuck * people)
    values = np.empty((len(truth.effects), worlds, people * topics))
    for arm, effect in enumerate(truth.effects):
        own = rng.normal(0.0, truth.world_sd, (worlds, 1, 1))
        own = own + truth.modes * rng.choice((-0.5, 0.5), (worlds, 1, 1))
        logits = truth.base + effect + own + common
        passed = rng.random(shape) < 1.0 / (1.0 + np.exp(-logits))
        passed[:, stuck] = np.arange(topics) % 2
        values[arm] = passed.reshape(worlds, -1)
    of_topic = np.tile(np.arange(topics), people)
    of_person = np.repeat(np.arange(people), topics)
    present = np.ones(values.shape, dtype=np.bool_)
    lined_up = Paired(
        tuple(range(worlds)), of_topic, values, present, np.zeros(len(of_topic)), worlds=True
    )
    return lined_up, Asked(of_topic, of_person, stuck[of_person])


def bootstrap_interval(difference: Floats, rng: np.random.Generator) -> tuple[float, float]:
    """The 95 % percentile interval of a bootstrap over rows (seeds) and columns (topics).

    Here to be compared with, not used: it is too narrow with few seeds. `difference` is (S, T);
    1,000 resamples (Owen 2007, the pigeonhole bootstrap).
    """
    n_seeds, n_topics = difference.shape
    seeds = rng.multinomial(n_seeds, np.full(n_seeds, 1.0 / n_seeds), size=1000) / n_seeds
    topics = rng.multinomial(n_topics, np.full(n_topics, 1.0 / n_topics), size=1000) / n_topics
    low, high = np.quantile(((seeds @ difference) * topics).sum(axis=1), (0.025, 0.975))
    return float(low), float(high)
