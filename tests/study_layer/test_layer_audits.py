"""Every audit runs on a local model and at an endpoint, in a study and alone, and records alike."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import layer_models
import pytest
from loopback_server import LoopbackServer, Reply, chat_reply, text_reply

from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.audits.conditions import Shares
from whyfirst.evaluate.audits.entity_vote import DIVIDED
from whyfirst.evaluate.benchmark import BENCHMARKS, benchmark_named
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.scorers import make_scorer
from whyfirst.models.reference import ModelRef, open_model
from whyfirst.report.schema import Results, load_results
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.run import run_study

AUDITS = [
    name for name in BENCHMARKS.names()
    if BENCHMARKS.get(name).function.__module__.startswith("whyfirst.evaluate.audits.")
]  # fmt: skip
# As little as shows all of an audit.
FEW = {"limit": 2, "max_new_tokens": 4, "samples": 2, "orders": 2, "templates": 1}
JUDGED = {"fits": "fits", "helpful": "helpful", "aligned": "aligned", "coherent": "coherent"}
STUDY = """\
study: audited
title: Every audit
model: {{source: pretrained, {model}}}
judge_model: {{endpoint: '{url}', model: judge}}
corpora: {{}}
stages: {{}}
arms: {{base: []}}
seeds: 1
contrasts: []
benchmarks:
"""


@dataclass(frozen=True)
class Audited:
    """Where a study's model is, what its audits gave there and alone, and its results."""

    alone: dict[str, list[ItemResult]]
    within: dict[str, list[ItemResult]]
    results: Results


def says(request: dict[str, Any]) -> Reply:
    """A server that speaks and has no log-probabilities."""
    if "messages" in request["body"]:
        return chat_reply(*["<think>So.</think>Yes: 1, or 60."] * request["body"].get("n", 1))
    return text_reply(*[" Yes."] * request["body"].get("n", 1))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with LoopbackServer(says) as server:
        yield server.url


def options_of(name: str) -> dict[str, Any]:
    known = benchmark_named(name).options
    few = {key: value for key, value in FEW.items() if key in known}
    return few | ({"principles": ["Be kind", "Be brief"]} if "principles" in known else {})


def audited(folder: Path, model: dict[str, str], url: str) -> Audited:
    """Run every audit in one study, and each by itself on the same model."""
    lines = STUDY.format(model=", ".join(f"{k}: '{v}'" for k, v in model.items()), url=url)
    judge = open_model(ModelRef(endpoint=url, model="judge"))
    asked = open_model(ModelRef(**model))  # type: ignore[arg-type]
    alone = {}
    for name in AUDITS:
        declared, options = benchmark_named(name), options_of(name)
        judges = [JUDGED[q] for q in declared.questions if q in JUDGED]
        given = dict(options) | ({"judges": judges} if judges else {})
        if "data" in declared.options:
            for file, text in declared.example.items():
                (folder / name).mkdir(exist_ok=True)
                (folder / name / file).write_text(text, encoding="utf-8")
            given["data"], options["data"] = name, folder / name
        lines += f"  {name}: {given}\n".replace("'", '"').replace("None", "null")
        scorers = [make_scorer(judge_name, judge) for judge_name in judges]
        alone[name] = declared.task(**options).run(asked, scorers, lambda *_: None)
    file = folder / "audited.yaml"
    file.write_text(lines, encoding="utf-8")
    store = Store(folder / "store")
    done = run_study(file, store=store.root, out=folder / "out", workers=1)
    within = {
        node.name: [
            ItemResult.from_json(row) for row in read_jsonl(store.folder(*node.key) / "items.jsonl")
        ]
        for node in build_plan(file).nodes
        if node.kind == "evaluation"
    }
    return Audited(alone, within, load_results(done.results_path))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, url: str) -> Audited:
    folder = tmp_path_factory.mktemp("local")
    layer_models.build(folder / "model")
    return audited(folder, {"path": str(folder / "model")}, url)


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory, url: str) -> Audited:
    return audited(tmp_path_factory.mktemp("remote"), {"endpoint": url, "model": "m"}, url)


def structure(records: list[ItemResult]) -> set[tuple[str | None, ...]]:
    """What is recorded, whatever the answers were."""
    return {(r.benchmark, r.id, r.topic, r.split, r.framing) for r in records}


@pytest.mark.parametrize("name", AUDITS)
def test_an_audit_depends_on_where_and_how_it_is_run(
    local: Audited, remote: Audited, name: str
) -> None:
    declared = benchmark_named(name)
    here, there = structure(local.alone[name]), structure(remote.alone[name])
    # Whether principles agree on a pair, and so what it is recorded for, only answers tell.
    assert here <= there if name == "discretion" else here == there
    for run in (local, remote):
        assert structure(run.within[name]) == structure(run.alone[name])
        assert [(r.id, r.verdict, r.reason) for r in run.within[name]] == [
            (r.id, r.verdict, r.reason) for r in run.alone[name]
        ]
        for record in run.alone[name]:
            assert (record.score is None) == bool(record.reason)
        assert all(gap.note for gap in (declared.gaps or (lambda _: []))(run.alone[name]))
        # Every metric has its place in the results, scored or not.
        assert {record.benchmark for record in run.alone[name]} <= set(run.results.benchmarks)
    reasons = {str(record.reason) for record in remote.alone[name] if record.reason}
    assert all("Traceback" not in reason and "Error" not in reason for reason in reasons)


def test_an_audit_by_likelihood_has_no_number_of_a_local_model(
    local: Audited, remote: Audited, tmp_path: Path
) -> None:
    """A random model says nothing that can be judged; what it holds likely can always be read."""
    by_likelihood = []
    for name in AUDITS:
        declared, options = benchmark_named(name), options_of(name)
        if "data" in declared.options:
            for file, text in declared.example.items():
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / file).write_text(text, encoding="utf-8")
            options["data"] = tmp_path / name
        if isinstance(declared.task(**options), Shares):
            by_likelihood.append(name)
    assert len(by_likelihood) >= 9
    for name in by_likelihood:
        for record in local.alone[name]:
            told = record.reason in (DIVIDED, None) or "consensus" in str(record.reason)
            assert told, (name, record)
        # A server without log-probabilities says so, of every item.
        assert all(
            "endpoint" in str(r.reason) or "log" in str(r.reason) for r in remote.alone[name]
        )
