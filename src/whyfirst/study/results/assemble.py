"""From finished nodes to results.json: cells, contrasts, curves, what was unscored.

Everything here is computed from the store's folders alone, so the same results come out whoever
computed the nodes and in whatever order. Leaves out: running (run.py), the match table
(origin.py), curves, examples and showing (report/).
"""

from collections import Counter
from dataclasses import asdict
from functools import cached_property
from importlib.metadata import version
from typing import Any

from whyfirst import __version__
from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, read_jsonl, sha256_file
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.comparison import Compared, summary
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.embed import lexical
from whyfirst.report import schema
from whyfirst.report.gather import Gathered, declared, gather
from whyfirst.report.items import File, collect_items
from whyfirst.report.parts import Comparison, Interval, ProbeRow, Used, UsedByRole
from whyfirst.stats.scores import Scores
from whyfirst.stats.statistics import contrast
from whyfirst.study.execute.executor import Outcome
from whyfirst.study.execute.graph import LIBRARIES
from whyfirst.study.execute.pool import device_kind
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import comparison, seam
from whyfirst.study.nodes.probe import FINDINGS, of_probes
from whyfirst.study.plan import Plan, first_stages
from whyfirst.study.register import registration
from whyfirst.study.results.contrasts import Contrasts
from whyfirst.study.results.finished import Finished, curves, examples
from whyfirst.study.results.origin import cautions, match_rows, origin, spent, stage_rows
from whyfirst.study.results.table import cell_names, cells, summarise, unscored_row


class Assembler(Finished):
    """What a report shows, a method for each part."""

    @cached_property
    def gathered(self) -> Gathered:
        """Groups, gaps and judges, read off the items of the final models of benchmarks that have
        any."""
        named = [benchmark_named(name) for name in self.study.benchmarks]
        told = [b.name for b in named if b.by or b.gaps or self._answered(b.name)[0]]
        files = [
            (use.arm, use.seed, self.folders[use.node] / "items.jsonl")
            for use in self.plan.evaluations
            if use.step is None and not use.seam and use.benchmark in told
        ]
        return gather(files, told, summarise, worlds=self.study.drawn)

    def shown(self) -> list[File]:
        """(arm, seed, items.jsonl) of what the item browser shows: every evaluation of an arm's
        final model. Worlds give their items the same names, so of those the first is shown."""
        files = [(arm, seed, path) for arm in self.study.arms for seed, path in self.items(arm)]
        return [file for file in files if file[1] == 0] if self.study.drawn else files

    def arms(self) -> dict[str, schema.Arm]:
        """Every arm with every cell of every metric."""
        asked = [contrast.cell for contrast in self.study.contrasts]
        result = {}
        for arm, use in self.study.arms.items():
            tables = self.tables[arm]
            names = cell_names(tables, self.groups, asked)
            result[arm] = schema.Arm(
                stages=list(use.stages),
                edits=[edit.name for edit in use.edits],
                decoding=[method.name for method in use.decoding],
                used=self._used(arm) if use.dressed else None,
                description=self.study.arm_notes.get(arm, ""),
                benchmarks={
                    metric: dict(cells(table, names, self.groups))
                    for metric, table in tables.items()
                },
            )
        return result

    def _used(self, arm: str) -> Used | None:
        """What an arm's answers took, beside its final answers alone."""
        nodes = [
            use.node for use in self.plan.evaluations
            if use.arm == arm and use.step is None and not use.seam
        ]  # fmt: skip
        told = [read_json(self.folders[node] / "machine.json") for node in nodes]
        found = [machine["budget"] for machine in told]
        fallbacks: Counter[str] = Counter()
        for machine in told:
            fallbacks.update(machine.get("fallbacks", {}))
        methods = [DECODINGS.get(use.name) for use in self.study.arms[arm].decoding]
        config = self.plan.by_id[nodes[0]].payload["config"] if nodes else {}
        compares = any("embed" in method.context for method in methods)

        def total(role: str, *names: str) -> float:
            spent = [budget[role] for budget in found if role in budget]
            return sum(one[name] or 0 for one in spent for name in names)

        tokens, asked = ("prompt_tokens", "completion_tokens"), ("model", "judge", "reward")
        return Used(
            calls=int(sum(total(role, "calls") for role in asked)),
            tokens=int(sum(total(role, *tokens) for role in asked)),
            base_calls=int(total("answers", "calls")),
            base_tokens=int(total("answers", *tokens)),
            seconds=total("answers", "seconds"),
            roles={
                role: UsedByRole(calls=int(total(role, "calls")), tokens=int(total(role, *tokens)))
                for role in asked if any(role in budget for budget in found)
            },
            fallbacks=dict(fallbacks),
            embedding=config.get("embedding", lexical.__name__) if compares else None,
        )  # fmt: skip

    def unscored(self) -> list[schema.UnscoredRow]:
        """What could not be scored, by arm and metric."""
        return [
            unscored_row(arm, metric, table)
            for arm, tables in self.tables.items()
            for metric, table in tables.items()
        ]

    def recall(self) -> dict[str, dict[str, schema.Recall]]:
        """What each arm's model knew after its first stage (the base: before any)."""
        held = {arm: self._held(arm) for arm in self.study.arms}
        base = next((arm for arm, use in self.study.arms.items() if not use.stages), "")
        result: dict[str, dict[str, schema.Recall]] = {}
        for arm, scores in held.items():
            for metric, after in scores.items():
                about: dict[str, Any] = {}
                if metric in seam.METRICS:  # a world's own recall is told by its benchmark
                    unit = "score" if "documents" in metric else "proportion"
                    about = {"title": seam.METRICS[metric], "unit": unit}
                # A world asks its untrained arm; elsewhere the seam measures the base beside it.
                before = held.get(base, {}).get(metric) or scores.get(metric + schema.BEFORE)
                if before is not None and before is not after:
                    about["gain"] = _gain(after, before, metric)
                cell = summarise(after)
                # A document longer than the context was not measured, and is no answer.
                kept = cell.model_dump(include={"value", "low", "high", "n_seeds"})
                result.setdefault(arm, {})[metric] = schema.Recall(**kept, n=cell.answers, **about)
        return result

    def _held(self, arm: str) -> dict[str, Scores]:
        """What an arm's model was asked at its seam, by metric."""
        measured_at_seams = (
            (seed, self.folders[node] / "items.jsonl")
            for (of, seed), node in self.plan.seams.items()
            if of == arm
        )
        tables = self.read((*self.items(arm, seam=True), *measured_at_seams))
        found = {metric: table.scores("*/*", self.groups) for metric, table in tables.items()}
        return {metric: scores for metric, scores in found.items() if scores is not None}

    def comparisons(self) -> list[Comparison]:
        """The win rates of the study's comparisons, in the order of its file."""
        found = []
        for use in self.study.comparisons:
            place = self.folders[f"comparison:{use.name}"] / comparison.ROWS
            figures = asdict(summary([Compared.from_json(row) for row in read_jsonl(place)]))
            figures.pop("inconsistent")
            for name in ("win_rate", "position_bias"):
                if figures[name] is not None:
                    figures[name] = dict(zip(("value", "low", "high"), figures[name], strict=True))
            found.append(Comparison(
                name=use.name, title=use.title or use.name, a=use.a, b=use.b,
                calibrations=[one.name for one in use.calibrations], note="", **figures,
            ))  # fmt: skip
        return found

    def benchmarks(self) -> dict[str, schema.Benchmark]:
        """What each metric that occurs means."""
        used = {metric for tables in self.tables.values() for metric in tables}
        found = {}
        for name in self.study.benchmarks:
            benchmark = benchmark_named(name)
            judges, templates = self._answered(name)
            for metric in benchmark.metrics:
                if metric.name in used:
                    found[metric.name] = schema.Benchmark(
                        title=metric.title,
                        definition=metric.definition,
                        version=benchmark.version,
                        higher_is_better=metric.higher_is_better,
                        unit=metric.unit,
                        judges=judges,
                        chat_templates=templates,
                        **declared(benchmark, metric),
                    )
        return found

    def _answered(self, benchmark: str) -> tuple[list[str], list[str]]:
        """The judges and chat templates that a benchmark's scores come from, over all arms."""
        judges: set[str] = set()
        templates: set[str] = set()
        for use in self.plan.evaluations:
            if use.benchmark == benchmark:
                about = read_json(self.folders[use.node] / "evaluation.json")
                judges.update(about["judges"])
                templates.update([about["chat_template"]] if about["chat_template"] else [])
        return sorted(judges), sorted(templates)


def assemble(
    plan: Plan, store: Store, outcome: Outcome, command: str
) -> tuple[schema.Results, dict[str, Any]]:
    """Everything a report shows, from a finished plan: the results, and the items to browse."""
    study, work = plan.study, Assembler(plan, store)
    contrasts = Contrasts(work)
    shown = of_probes(study, first_stages(study)).shown
    results = schema.Results(
        schema_version=2,
        study=_about(plan, store),
        command=command,
        versions={"whyfirst": __version__}
        | {name: version(name) for name in LIBRARIES}
        | {"device": device_kind()},
        seeds=_seeds(plan),
        arms=work.arms(),
        benchmarks=work.benchmarks(),
        contrasts=contrasts.rows(),
        headline=study.headline or "",
        matching=match_rows(plan, work.folders),
        unscored=work.unscored(),
        recall=work.recall(),
        curves=curves(work),
        examples=examples(study, work.items),
        **vars(work.gathered),
        comparisons=work.comparisons(),
        kinds=contrasts.kinds(),
        probes=[
            ProbeRow.model_validate(read_json(work.folders[f"probe:{name}"] / FINDINGS) | shown)
            for name in (study.probe.probes if study.probe else ())
        ],
        spent=spent(work.folders.values()),
        stages=stage_rows(plan),
        registration=registration(plan, store),
        fingerprints={node.id: node.fingerprint for node in plan.nodes},
        claimed=list(study.claimed),
        notes=cautions(plan, store, work.folders),
        seconds={name: round(seconds, 3) for name, seconds in outcome.seconds.items()},
        memory_mb_peak=outcome.memory_mb_peak,
        cost=schema.Cost(
            computed=len(outcome.computed),
            reused=len(outcome.reused),
            seconds_total=round(sum(outcome.seconds.values()), 3),
        ),
    )
    return results, collect_items(work.shown(), results)


def describes(results: schema.Results, plan: Plan, store: Store) -> bool:
    """Whether results are of this plan, study file and registration as they are now."""
    return (
        results.fingerprints == {node.id: node.fingerprint for node in plan.nodes}
        and results.study == _about(plan, store)
        and results.registration == registration(plan, store)
        and results.seeds == _seeds(plan)
        and results.versions.get("whyfirst") == __version__
    )


def _seeds(plan: Plan) -> dict[str, list[int]]:
    return {arm: list(plan.study.seeds_of(arm)) for arm in plan.study.arms}


def _about(plan: Plan, store: Store) -> schema.Study:
    study, file = plan.study, plan.file
    return schema.Study(
        name=study.study,
        title=study.title,
        description=study.description,
        file=file.name,
        file_sha256=sha256_file(file),
        value=study.value or "",
        other_value=study.other_value,
        world=study.world.model_dump() if study.world else None,
        overrides=plan.overrides.record,
        sisters=study.sisters,
        **origin(plan, store.folder(*next(n.key for n in plan.nodes if n.kind == "base"))),
    )


def _gain(after: Scores, before: Scores, name: str) -> Interval | None:
    """By how much more a model holds than before, paired by item and seed."""
    try:
        found = contrast(after, before, name)
    except DataError:  # no seed in common, or nothing that both were scored on
        return None
    return Interval(value=found.difference, low=found.low, high=found.high)
