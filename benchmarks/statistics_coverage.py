"""Measure the statistics: coverage, false positives and power on simulated studies.

    python benchmarks/statistics_coverage.py [--studies 2000]

Prints a table for people and, as the last line, one JSON object. Simulates binary items with random
seeds, topics and items (tests/evaluate/simulation.py) and analyses each study as a report would;
the bootstrap over seeds and topics (a quarter of the studies) and a t-test on the seeds alone
stand beside it. Left out: anything trained.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "evaluate"))
from simulation import World, bootstrap_interval, simulate

from whyfirst.stats.crossed import estimate
from whyfirst.stats.power import mde
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import compare, mean_over_seeds, two_sided

SEEDS = (3, 8, 40)
DESIGNS = ((20, 25), (60, 12))  # topics, items a topic
SPREADS = ((0.3, 0.3), (0.3, 1.0), (0.6, 0.6), (1.0, 0.3), (1.0, 1.0), (0.0, 0.0))  # logits
EFFECT = 0.8  # logits


def worlds(effects: tuple[float, ...]) -> Iterator[World]:
    """Every combination of seeds, design and spreads."""
    for n_seeds, (topics, items), (seed_sd, topic_sd) in itertools.product(SEEDS, DESIGNS, SPREADS):
        yield World(effects, seed_sd, topic_sd, n_seeds, topics, items)


def coverage(world: World, studies: int, rng: np.random.Generator) -> dict[str, float]:
    """Analyse many studies of one world: coverage of three intervals, and rejections."""
    truth = world.pass_rate(0) - world.pass_rate(1)
    found = np.zeros((studies, 4))
    bootstrap = []
    for index in range(studies):
        arms = simulate(world, rng)
        result = compare(arms, "simulated")
        cells = (arms.values[0] - arms.values[1]).reshape(
            world.n_seeds, world.n_topics, world.items_a_topic
        )
        if index < studies // 4:
            low, high = bootstrap_interval(cells.mean(axis=2), rng)
            bootstrap.append(low <= truth <= high)
        seeds_only = two_sided(estimate(cells.mean(axis=(1, 2))[:, None], np.zeros(1)), 1.0)
        found[index] = (
            result.low <= truth <= result.high,
            result.p < 0.05,
            (result.high - result.low) / 2,
            seeds_only[0] <= truth <= seeds_only[1],
        )
    names = ("coverage", "rejected", "half_width", "seeds_only")
    figures = dict(zip(names, (float(mean) for mean in found.mean(axis=0)), strict=True))
    return {**figures, "bootstrap": float(np.mean(bootstrap))}


def one_arm(world: World, studies: int, rng: np.random.Generator) -> float:
    """Coverage of `mean_over_seeds` for the first arm."""
    hits, truth = 0, world.pass_rate(0)
    seeds = np.repeat(np.arange(world.n_seeds), world.n_topics * world.items_a_topic)
    items = np.tile(np.arange(world.n_topics * world.items_a_topic), world.n_seeds)
    for _ in range(studies):
        values = simulate(world, rng).values[0].ravel()
        interval = mean_over_seeds(Scores(seeds, items, items // world.items_a_topic, values))
        hits += interval.low <= truth <= interval.high
    return hits / studies


def interaction_rejected(world: World, studies: int, rng: np.random.Generator) -> float:
    """How often the interaction of four equal arms is called real."""
    return float(np.mean([compare(simulate(world, rng), "i").p < 0.05 for _ in range(studies)]))


def planned_power(
    spreads: tuple[float, float, float], n_seeds: int, studies: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The planned minimum detectable effect and how often studies with it reach p < 0.05."""
    topics, items = 40, 10
    seed_sd, topic_sd, residual_sd = spreads
    effect = mde(*spreads, n_seeds=n_seeds, n_topics=topics, n_items=topics * items)
    labels = np.repeat(np.arange(topics), items)
    hits = 0
    for _ in range(studies):
        values = effect + seed_sd * rng.standard_normal((n_seeds, 1))
        values = values + np.repeat(topic_sd * rng.standard_normal((1, topics)), items, axis=1)
        values = values + residual_sd * rng.standard_normal((n_seeds, topics * items))
        hits += two_sided(estimate(values, labels), np.inf)[2] < 0.05
    return effect, hits / studies


def robustness(studies: int) -> dict[str, dict[str, float]]:
    """Coverage outside the table's assumptions, by condition and number of seeds."""
    conditions = {
        "pass rates near 1, equal": ({"base": 2.5}, (0.0, 0.0), 0.6, 12, 0.0),
        "pass rates near 1, effect": ({"base": 2.5}, (0.8, 0.0), 1.0, 12, 0.0),
        "arms share 90 %": ({"shared": 0.9}, (0.5, 0.0), 0.6, 12, 0.0),
        "arms share nothing": ({"shared": 0.0}, (0.5, 0.0), 0.6, 12, 0.0),
        "a tenth unscored": ({}, (0.5, 0.0), 0.6, 12, 0.1),
        "3 items a topic": ({}, (0.5, 0.0), 0.6, 3, 0.0),
    }
    rng = np.random.default_rng(77)
    found: dict[str, dict[str, float]] = {}
    for name, (other, effects, spread, items, unscored) in conditions.items():
        for n_seeds in SEEDS:
            world = World(effects, spread, spread, n_seeds, 40, items, **other)
            truth, hits = world.pass_rate(0) - world.pass_rate(1), 0
            for _ in range(studies):
                arms = simulate(world, rng)
                arms.values[rng.random(arms.values.shape) < unscored] = np.nan
                result = compare(arms, name)
                hits += result.low <= truth <= result.high
            found.setdefault(name, {})[str(n_seeds)] = hits / studies
        print(f"coverage, {name}: {found[name]}", flush=True)
    return found


def all_or_none(studies: int) -> dict[str, float]:
    """Coverage of one arm whose topics nearly all pass or fail as a whole, in a few or many."""
    rng = np.random.default_rng(78)
    found = {}
    for n_seeds, (topics, items), (base, topic_sd) in itertools.product(
        (1, 3), ((12, 7), (12, 25), (32, 7)), ((8.0, 4.0), (5.0, 3.0), (4.0, 1.0))
    ):
        world = World((0.0,), 0.3 * (n_seeds > 1), topic_sd, n_seeds, topics, items, base=base)
        name = f"{n_seeds} seeds, {topics} x {items}, {world.pass_rate(0):.1%}, topics {topic_sd}"
        found[name] = one_arm(world, studies, rng)
        print(f"one arm near 1, {name}: {found[name]:.1%}", flush=True)
    return found


def main() -> None:
    """Run all measurements and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    rng = np.random.default_rng(20261)
    started = time.perf_counter()
    rows = []
    print(f"{studies} simulated studies a row; spreads in logits; figures in percent")
    print("seeds topics items seed_sd topic_sd | coverage half-width rejected-when-equal | "
          "bootstrap seeds-only coverage | one-arm coverage")  # fmt: skip
    for changed, equal in zip(worlds((EFFECT, 0.0)), worlds((0.0, 0.0)), strict=True):
        row = coverage(changed, studies, rng)
        row["false_positives"] = coverage(equal, studies, rng)["rejected"]
        row["one_arm"] = one_arm(changed, max(1, studies // 4), rng)
        design = {"seeds": changed.n_seeds, "topics": changed.n_topics,
                  "items": changed.n_topics * changed.items_a_topic,
                  "seed_sd": changed.seed_sd, "topic_sd": changed.topic_sd}  # fmt: skip
        rows.append({**design, **row})
        print("{:5d} {:6d} {:5d} {:7.1f} {:8.1f}".format(*design.values()), end=" | ")
        print("{coverage:8.1%} {half_width:10.1%} {false_positives:19.1%} | {bootstrap:9.1%} "
              "{seeds_only:10.1%} | {one_arm:8.1%}".format(**row), flush=True)  # fmt: skip
    interactions = {}
    for n_seeds in SEEDS:
        world = World((0.0,) * 4, 0.6, 0.6, n_seeds, 20, 25)
        interactions[str(n_seeds)] = interaction_rejected(world, studies, rng)
    print("interaction of four equal arms called real:", interactions)
    power = []
    for n_seeds, spreads in itertools.product(
        SEEDS, ((0.1, 0.05, 0.5), (0.05, 0.1, 0.5), (0.1, 0.0, 0.5))
    ):
        effect, reached = planned_power(spreads, n_seeds, studies, rng)
        power.append({"seeds": n_seeds, "spreads": spreads, "mde": effect, "power": reached})
        print(f"planned power 80 %: {n_seeds} seeds, spreads {spreads}: effect {effect:.3f} found "
              f"in {reached:.1%}", flush=True)  # fmt: skip
    figures = {"studies": studies, "rows": rows, "interaction_false_positives": interactions,
               "power": power, "robustness": robustness(studies),
               "all_or_none": all_or_none(max(1, studies // 2)),
               "seconds": round(time.perf_counter() - started, 1)}  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
