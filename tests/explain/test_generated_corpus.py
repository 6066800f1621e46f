"""A corpus that a generator writes in a study: kept, resumed, counted, told before and after."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from generator_helpers import gym
from loopback_server import LoopbackServer, Reply, chat_reply, question, used_by
from written_helpers import prints, run_nodes

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.study.cost.estimate import estimate
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan, build_plan
from whyfirst.study.reading import refuse_unusable
from whyfirst.study.results.origin import spent

STUDY = """\
study: generated
title: Rows a model writes
model: {{source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 512}}
corpora:
  texts: {{source: file, path: texts.jsonl}}
  made: {{source: generated, seeds: areas.jsonl, generator: {generator}{more}}}
stages:
  learn: {{data: made, train: {{kind: sft, batch_size: 2, updates: 10, max_length: 256}}}}
arms: {{base: [], learned: [learn]}}
seeds: 1
benchmarks: {{preference: {{data: pairs.jsonl}}}}
"""

GRAPH = "{name: moral_graph, people: [You are old., You are young.]}"


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    def teach(request: dict[str, Any]) -> Reply:
        return chat_reply(gym(question(request)), usage=used_by(20, 30))

    with LoopbackServer(teach) as running:
        yield running


def study(folder: Path, generator: str = "mindgym", more: str = "") -> Path:
    rows = {
        "texts": [{"text": f"word{n} and word{n + 1} by the river"} for n in range(40)],
        "areas": [{"area": f"letters {n}", "context": f"a friend is ill {n}"} for n in range(4)],
        "pairs": [{"prompt": f"Is {n} held?", "chosen": " Yes.", "rejected": " No."}
                  for n in range(4)],
    }  # fmt: skip
    for name, listed in rows.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    file = folder / "study.yaml"
    file.write_text(STUDY.format(generator=generator, more=f", {more}" if more else ""))
    return file


def test_rows_are_asked_for_twice_or_their_loss_is_not_told(
    tmp_path: Path, server: LoopbackServer
) -> None:
    teacher = f'teacher: {{endpoint: "{server.url}", model: m}}'
    bare = "transforms: [{name: curriculum, stage: 3}]"
    plan = build_plan(study(tmp_path, more=f"{teacher}, {bare}"))
    folder = run_nodes(plan, tmp_path / "store", "corpus:made")["corpus:made"]
    rows, about = read_jsonl(folder / "rows.jsonl"), read_json(folder / "corpus.json")
    assert len(rows) == about["rows"] == 3 and all(row["scaffold"] == [] for row in rows)
    # Four areas got the same question for each of three operators; three rows are new.
    assert about["left_out"] == {"0 mindgym": {"repeats an earlier row": 9}, "1 curriculum": {}}
    assert about["calls"] == {"model": 24, "solver": 36} and 0 < about["audit"]["distinct_2"] < 1
    assert list(spent([folder])) == [f"m at {server.url}"]
    asked = len(server.requests)
    again = build_plan(study(tmp_path, more=teacher))
    assert prints(again, "corpus") != prints(plan, "corpus")
    whole = run_nodes(again, tmp_path / "store", "corpus:made")["corpus:made"]
    assert len(server.requests) == asked  # the answers were kept
    assert read_jsonl(whole / "rows.jsonl")[0]["scaffold"] != []


def test_the_fingerprint_misses_what_decides_the_rows(tmp_path: Path) -> None:
    teacher = 'teacher: {endpoint: "http://127.0.0.1:9/v1", model: m%s}'

    def corpora(**given: str) -> set[str]:
        return prints(build_plan(study(tmp_path, **given)), "corpus")

    plain = corpora(more=teacher % "")
    assert corpora(more=teacher % ", price_in: 1, price_out: 2, max_cost: 3") == plain
    for other in (
        {"more": (teacher % "").replace("model: m", "model: n")},
        {"more": teacher % "" + ", calls: 100"},
        {"more": teacher % "" + ", writing_seed: 1"},
        {"generator": "{name: mindgym, hops: 3}", "more": teacher % ""},
    ):
        assert len(corpora(**other) & plain) == 1, other  # the file of texts alone is the same


def test_the_plan_does_not_say_what_will_be_asked(tmp_path: Path) -> None:
    teacher = 'teacher: {endpoint: "http://127.0.0.1:9/v1", model: m, price_in: 1, price_out: 2}'

    def told(more: str) -> tuple[str, str, int, float | None]:
        plan: Plan = build_plan(study(tmp_path, more=more))
        (row,) = estimate(plan, Store(tmp_path / "store")).teachers
        return row.written, row.role, row.calls, row.price

    # Four areas, three operators, two questions and the solver's three answers each.
    assert told(f"{teacher}, max_new_tokens: 100") == ("made", "teacher", 60, 60 * 300 / 1e6)
    assert told(f"{teacher}, max_new_tokens: 100, calls: 10, size: 3")[2] == 10
    assert told("max_new_tokens: 100")[3] == 0.0  # the study's own model


def test_a_wrong_generator_is_found_after_the_plan(tmp_path: Path) -> None:
    for generator, message in {
        "mindgim": r"study.yaml:7: corpora.made.generator.name: .*did you mean 'mindgym'",
        "{name: mindgym, hopps: 3}": r"study.yaml:7: corpora.made.generator.hopps: unknown",
    }.items():
        with pytest.raises(ConfigError, match=message):
            build_plan(study(tmp_path, generator))
    with pytest.raises(
        DataError,
        match=r"study.yaml: corpora.made: seeds: row 1: no column 'scenario', which tomma needs",
    ):
        refuse_unusable(build_plan(study(tmp_path, "tomma")), Store(tmp_path / "store"))
    with pytest.raises(DataError, match=r"corpora.made: .*stages.learn \(sft\) reads it"):
        refuse_unusable(build_plan(study(tmp_path, GRAPH)), Store(tmp_path / "store"))
