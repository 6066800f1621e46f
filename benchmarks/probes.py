"""Measure the probes themselves: bias of CKA, coverage of intervals, seconds and memory.

    python benchmarks/probes.py [--studies 400]

Prints a table for people and, as the last line, one JSON object. Coverage is over simulated studies
whose truth is known; time and memory are of a shipped base of Hearth. Left out: any trained arm
(`whyfirst probe` on a study's models).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np

from whyfirst.probe.estimates import (
    Estimate,
    Floats,
    correlation,
    mean_estimate,
    statistic_estimate,
)
from whyfirst.probe.similarity import cka, gram
from whyfirst.stats.classify import auroc

SIZES = ((50, 96), (200, 96), (200, 4096))  # rows, width
SEEDS = (1, 3, 8)
TOPICS, EACH = 20, 6
EFFECT = 0.8  # distance of the two kinds of item, in standard deviations of one item


def plain_cka(a: Floats, b: Floats) -> float:
    """CKA without debiasing, of centred kernels."""
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def noise(draws: int) -> list[dict[str, float]]:
    """CKA of independent noise: plain, debiased, and the debiased one's spread."""
    rng = np.random.default_rng(0)
    rows = []
    for n, width in SIZES:
        found = []
        for _ in range(draws):
            a, b = (gram(rng.standard_normal((n, width))) for _ in range(2))
            found.append((plain_cka(a, b), cka(a, b)))
        plain, debiased = np.array(found).T
        rows.append({"rows": n, "width": width, "plain": float(plain.mean()),
                     "debiased": float(debiased.mean()), "sd": float(debiased.std())})  # fmt: skip
    return rows


def study(rng: np.random.Generator, seeds: int) -> tuple[Floats, Floats]:
    """Readings of positive and of negative items (S, I) with noise of seeds, topics and items."""
    topic = rng.normal(0, 0.5, TOPICS).repeat(EACH)
    kinds = []
    for sign in (1, -1):
        seed = rng.normal(0, 0.3, (seeds, 1))
        cell = rng.normal(0, 0.3, (seeds, TOPICS)).repeat(EACH, axis=1)
        item = rng.normal(0, 1, (seeds, TOPICS * EACH))
        kinds.append(sign * (EFFECT / 2 + topic + seed) + cell + item)
    return kinds[0], kinds[1]


def _estimates(first: Floats, second: Floats) -> dict[str, Estimate]:
    topics = np.array([f"{n:02d}" for n in np.arange(TOPICS).repeat(EACH)])
    scores = np.concatenate([first, second], axis=1)
    positive = np.arange(scores.shape[1]) < first.shape[1]
    both = np.concatenate([topics, topics])
    return {
        "mean": mean_estimate(first - second, topics),
        "auroc": statistic_estimate(
            lambda i: np.array([auroc(one[i], positive[i]) for one in scores]), both, (0, 1)
        ),
        "correlation": statistic_estimate(
            lambda i: np.array([correlation(one[i], positive[i].astype(float)) for one in scores]),
            both, (-1, 1), np.arctanh, np.tanh,
        ),
    }  # fmt: skip


def coverage(studies: int) -> list[dict[str, float | str]]:
    """Share of simulated studies whose interval holds the mean over very many seeds and topics."""
    rng = np.random.default_rng(1)
    large: dict[str, list[float]] = {}
    for _ in range(200):
        for name, one in _estimates(*study(rng, 8)).items():
            large.setdefault(name, []).append(one.value or 0.0)
    truth = {name: float(np.mean(values)) for name, values in large.items()}
    rows: list[dict[str, float | str]] = []
    for seeds in SEEDS:
        held: dict[str, list[tuple[bool, float]]] = {}
        for _ in range(studies):
            for name, one in _estimates(*study(rng, seeds)).items():
                assert one.low is not None and one.high is not None
                inside = one.low <= truth[name] <= one.high
                held.setdefault(name, []).append((inside, (one.high - one.low) / 2))
        for name, found in held.items():
            inside, half = np.array(found).T
            about: dict[str, float | str] = {"statistic": name, "seeds": seeds}
            about |= {"truth": truth[name], "coverage": float(inside.mean())}
            rows.append(about | {"half_width": float(half.mean())})
    return rows


def speed() -> dict[str, float]:
    """Activations of Hearth's base: texts a second, and memory the process grew by (MiB)."""
    from whyfirst.models.local import LocalModel
    from whyfirst.probe.activations import capture
    from whyfirst.worlds.hearth import assets
    from whyfirst.worlds.hearth.probe_items import hearth_items

    world = min(int(path.name.removeprefix("world-")) for path in assets.ROOT.glob("world-*"))
    model = LocalModel(assets.base_folder(world), device="cpu")
    texts = [pair.violated for pair in hearth_items(world, pairs=None).pairs]
    with tempfile.TemporaryDirectory() as folder:
        capture(model, texts[:50], Path(folder) / "warm")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        capture(model, texts * 20, Path(folder) / "all", shard_numbers=2**18)
        seconds = time.perf_counter() - start
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"texts": len(texts) * 20, "texts_per_second": len(texts) * 20 / seconds,
            "grown_mib": grown / 1024}  # fmt: skip


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    studies = parser.parse_args().studies
    figures = {"noise": noise(20), "coverage": coverage(studies), "speed": speed()}
    for row in figures["noise"]:
        print("CKA of independent noise, {rows} x {width}: plain {plain:.3f}, "
              "debiased {debiased:+.4f} (sd {sd:.4f})".format(**row))  # fmt: skip
    for row in figures["coverage"]:
        print("{statistic:12} {seeds} seeds: truth {truth:.3f}, covered {coverage:.1%}, "
              "half-width {half_width:.3f}".format(**row))  # fmt: skip
    print("activations: {texts:.0f} texts, {texts_per_second:.0f} a second, "
          "{grown_mib:.0f} MiB more".format(**figures["speed"]))  # fmt: skip
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
