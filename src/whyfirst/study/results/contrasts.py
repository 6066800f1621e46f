"""A study's contrasts: lined up, compared, corrected together, and shown by kind of subject.

Leaves out: the statistics (stats/), and what a report says of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from whyfirst.config.errors import DataError
from whyfirst.evaluate.benchmark import Benchmark, Metric, Subject, benchmark_named
from whyfirst.report import schema
from whyfirst.report.parts import KindTable
from whyfirst.stats import statistics
from whyfirst.stats.scores import Scores, paired
from whyfirst.stats.worlds import Asked
from whyfirst.study.results.finished import Finished
from whyfirst.study.results.table import measured, summarise
from whyfirst.study.schema import ContrastConfig

#: a seed follows one reading where it decides so many of the deeds that tell them apart
FOLLOWS = 0.6
NOT_COMPUTED: dict[str, Any] = {
    "difference": None, "low": None, "high": None, "p": None, "mde": None, "n_items": 0,
    "n_seeds": 0, "unit": "seeds", "per_seed": [],
}  # fmt: skip


@dataclass(frozen=True)
class Contrasts:
    """The comparisons of a finished study."""

    work: Finished

    def rows(self) -> list[schema.Contrast]:
        """Every contrast; Holm's correction is over the primary ones, or over all that could be
        computed where the study names none."""
        study = self.work.study
        found = [self._compared(config) for config in study.contrasts]
        family = study.primary or tuple(config.name for config in study.contrasts)
        counted = {r.name: r for r in found if r is not None and r.name in family}
        adjusted = dict(zip(counted, statistics.holm([r.p for r in counted.values()]), strict=True))
        rows = []
        for config, result in zip(study.contrasts, found, strict=True):
            figures = dict(NOT_COMPUTED)
            if result is not None:
                figures = measured(result)
                readings = self._readings(config)
                for row in figures["per_seed"]:
                    row["reading"] = readings.get(row["seed"], "")
            else:
                figures["unscored"] = len(self._scores(config.a, config.metric, config.cell).items)
            rows.append(schema.Contrast(
                name=config.name, title=config.title,
                role="" if not study.primary else "primary" if config.name in study.primary
                else "secondary",
                kind="interaction" if config.is_interaction else "difference",
                a=config.a, b=config.b or config.demonstrations or "", benchmark=config.metric,
                cell=config.cell, p_adjusted=adjusted.get(config.name), **figures,
            ))  # fmt: skip
        return rows

    def _compared(self, config: ContrastConfig) -> statistics.Contrast | None:
        """None where no item is scored in all of its arms: no judge was given, say."""
        arms = [self._scores(arm, config.metric, config.cell) for arm in config.arms]
        lined_up = paired(arms, config.name)
        if not lined_up.comparable:
            return None
        asked = None
        # Whom each item is about, where the metric's benchmark can tell.
        tells = next((b.subject for b, m in self._declared() if m.name == config.metric), None)
        if tells is not None:
            about = [tells(item) for item in lined_up.items]
            who, kinds = (np.array([getattr(s, of) for s in about]) for of in ("who", "kind"))
            asked = Asked(lined_up.topics, who, kinds)
        return statistics.compare(lined_up, config.name, asked)

    def _scores(self, arm: str, metric: str, cell: str) -> Scores:
        scores = self.work.scores(arm, metric, cell)
        if scores is None:
            raise DataError(
                f"{self.work.plan.file}: no item of {metric!r} is in cell {cell!r} (arm {arm!r}); "
                "a benchmark's `limit` may be too low for the contrast"
            )
        return scores

    def _declared(self) -> Iterator[tuple[Benchmark, Metric]]:
        for name in self.work.study.benchmarks:
            benchmark = benchmark_named(name)
            for metric in benchmark.metrics:
                yield benchmark, metric

    def _readings(self, config: ContrastConfig) -> dict[int, str]:
        """Seed -> what the second arm's demonstrations were read as, where a metric can tell."""
        for benchmark, metric in self._declared():
            table = self.work.tables[config.b or config.a].get(metric.name)
            if metric.readings is None or table is None:
                continue
            scores = table.scores(config.cell, self.work.groups) or table.scores("*/*", {})
            assert scores is not None
            return _readings_of(scores, metric.readings, benchmark)
        return {}

    def kinds(self) -> list[KindTable]:
        """The headline's metric, and those it is read beside, with each kind of subject alone, on
        the 2 x 2 that leads the report."""
        study = self.work.study
        headline = next((c for c in study.contrasts if c.name == study.headline), None)
        of = {metric.name: (benchmark, metric) for benchmark, metric in self._declared()}
        benchmark, metric = of.get(headline.metric, (None, None)) if headline else (None, None)
        if benchmark is None or metric is None or benchmark.axes is None:
            return []
        if benchmark.subject is None:
            return []
        return [
            KindTable(benchmark=name, cell=f"{split}/{framing}", kinds=kinds)
            for name in (metric.name, *metric.beside)
            for _, split in benchmark.axes.splits
            for _, framing in benchmark.axes.framings
            if (kinds := self._by_kind(name, f"{split}/{framing}", benchmark.subject))
        ]

    def _by_kind(self, metric: str, cell: str, tells: Any) -> dict[str, dict[str, schema.Cell]]:
        found: dict[str, dict[str, schema.Cell]] = {}
        for arm in self.work.study.arms:
            scores = self.work.scores(arm, metric, cell)
            if scores is None:
                continue
            kind_of = {item: tells(item).kind for item in set(scores.items.tolist())}
            kinds = np.array([kind_of[item] for item in scores.items.tolist()])
            for kind in sorted(set(kind_of.values())):
                found.setdefault(kind, {})[arm] = summarise(scores.where(kinds == kind))
        return found


def _readings_of(scores: Scores, readings: tuple[str, str], benchmark: Benchmark) -> dict[int, str]:
    """Seed -> the reading followed, or "neither" where it is a coin's toss."""
    one_sided = Subject("", "", 0)
    tells = benchmark.subject or (lambda item: one_sided)
    sides = {item: tells(item).side for item in set(scores.items.tolist())}
    turned = np.array([sides[item] for item in scores.items.tolist()])
    first = np.where(turned == 0, scores.values, 1.0 - scores.values)
    found = {}
    for seed in np.unique(scores.seeds):
        mine = first[scores.seeds == seed]
        mine = mine[np.isfinite(mine)]
        if len(mine):
            share = float(mine.mean())
            leans = share >= FOLLOWS or share <= 1.0 - FOLLOWS
            found[int(seed)] = readings[share < FOLLOWS] if leans else "neither"
    return found
