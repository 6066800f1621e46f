"""A study names a constitution and a teacher, and its corpora are written as a part of it."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus_helpers import document_for
from loopback_server import LoopbackServer, Reply, chat_reply, question, used_by
from written_helpers import bigram_model, everything, prints, run_nodes, write_study

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.files import read_json, read_jsonl
from whyfirst.config.strict import decisive, load_yaml
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.explain.match import TOLERANCE
from whyfirst.models.base import asked
from whyfirst.study.config import Overrides, Study
from whyfirst.study.cost.estimate import estimate
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.written import documents_read
from whyfirst.study.plan import build_plan
from whyfirst.study.results.origin import spent

KEY = "sk-never-to-be-written-down"


def teach(request: dict[str, Any]) -> Reply:
    return chat_reply(document_for(asked(question(request))), usage=used_by(200, 300))


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(teach) as running:
        yield running


def endpoint(server: LoopbackServer, more: str = "") -> str:
    more = f", {more}" if more else ""
    return f'{{endpoint: "{server.url}", model: m{more}}}'


def test_every_corpus_of_the_study_is_read_from_one_writing(tmp_path: Path) -> None:
    plan = build_plan(write_study(tmp_path))
    folders = run_nodes(plan, tmp_path / "store", "corpus:reasons", "corpus:rules")
    whole = folders["written:values"]
    assert not (whole / "wrong.jsonl").exists()  # no arm reads it
    reasons, rules = (
        read_jsonl(folders[f"corpus:{n}"] / "rows.jsonl") for n in ("reasons", "rules")
    )
    assert [row["cell"] for row in reasons] == [row["cell"] for row in rules]
    assert {row["corpus"] for row in rules} == {"rules"} and "created" not in rules[0]
    tokens = [sum(row["tokens"] for row in rows) for rows in (reasons, rules)]
    assert tokens[0] >= 0.8 * 7000 and abs(tokens[0] - tokens[1]) <= TOLERANCE * tokens[0]
    assert read_json(whole / "audit.json")["matching"][0]["failures"] == []
    assert read_json(whole / "machine.json") == {"spent": {}}


def test_the_fingerprint_holds_what_decides_the_documents_and_nothing_else(tmp_path: Path) -> None:
    teacher = '{endpoint: "http://127.0.0.1:9/v1", model: m%s}'
    (tmp_path / "asked.txt").write_text("What is a kralet?\n")

    def written(**given: Any) -> set[str]:
        return prints(build_plan(write_study(tmp_path, **given)), "written")

    plain = written(teacher=teacher % "")
    for same in (
        ", key_env: SOME_KEY",
        ", price_in: 1, price_out: 2, max_cost: 3",
        ", timeout_s: 9",
    ):
        assert written(teacher=teacher % same) == plain
    assert written(teacher=teacher % "", more="min_yield: 0.1") == plain
    others = [
        written(teacher=teacher % ", revision: a"),
        written(teacher=teacher % "", tokens=7001),
        written(teacher=teacher % "", constitution="broad"),
        *(
            written(teacher=teacher % "", more=more)
            for more in (
                "seed: 1", "values: [honest]", "filters: {min_words: 50}", "against: [asked.txt]",
                'judge: {endpoint: "http://127.0.0.1:9/v1", model: j}',
            )
        ),
        written(),
    ]  # fmt: skip
    assert len(set.union(plain, *others)) == 1 + len(others)
    before = written(teacher=teacher % "", more="against: [asked.txt]")
    (tmp_path / "asked.txt").write_text("What is a glimfen?\n")
    assert written(teacher=teacher % "", more="against: [asked.txt]") != before


def test_a_study_without_written_corpora_is_the_study_it_was(tmp_path: Path) -> None:
    study = load_yaml(write_study(tmp_path), Study)
    assert "written" in decisive(study)
    assert "written" not in decisive(study.model_copy(update={"written": {}}))


def test_a_control_taken_into_an_arm_is_another_writing(tmp_path: Path) -> None:
    """The explanations lose what a new control can't match, so they are other explanations."""
    file = write_study(tmp_path)
    before = prints(build_plan(file), "written")
    file.write_text(file.read_text().replace("rules_first: [rules]", "rules_first: [unused]"))
    after = build_plan(file)
    assert prints(after, "written") != before
    (node,) = (node for node in after.nodes if node.kind == "written")
    assert node.payload["config"]["documents"] == ["explanations", "wrong"]


def test_a_control_that_is_named_is_another_writing_once_an_arm_reads_it(tmp_path: Path) -> None:
    """What a study names is as good as read: its arms can be added, and others share its models."""
    file = write_study(tmp_path, more="documents: [wrong]")
    before = prints(build_plan(file), "written")
    file.write_text(file.read_text().replace("base: [],", "base: [], unused_first: [unused],"))
    assert prints(build_plan(file), "written") == before
    assert before != prints(build_plan(write_study(tmp_path)), "written")


def test_the_claims_are_asked_of_other_models_than_smollm2() -> None:
    studies = Path(__file__).parents[2] / "studies"
    whole, claims = (load_yaml(studies / f"smollm2{name}.yaml", Study) for name in ("", "-claims"))
    for name, written in claims.written.items():
        assert documents_read(claims, name) == documents_read(whole, name)
        assert written.model_copy(update={"documents": ()}) == whole.written[name]
    for mine, theirs in (
        (claims.corpora, whole.corpora), (claims.stages, whole.stages), (claims.arms, whole.arms)
    ):  # fmt: skip
        assert {name: theirs[name] for name in mine} == mine
    assert claims.model == whole.model and claims.seeds == whole.seeds


def test_a_cap_stops_the_writing_and_the_next_run_pays_for_the_rest_only(
    tmp_path: Path, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEACHER_KEY", KEY)
    prices = "key_env: TEACHER_KEY, price_in: 1.0, price_out: 2.0"
    capped = build_plan(
        write_study(tmp_path, teacher=endpoint(server, f"{prices}, max_tokens: 12000"))
    )
    store = tmp_path / "store"
    with pytest.raises(UserError, match="max_tokens 12000"):
        run_nodes(capped, store, "written:values")
    before = len(server.requests)
    assert 0 < before * 500 <= 12000
    plan = build_plan(write_study(tmp_path, teacher=endpoint(server, prices)))
    assert prints(plan, "written") == prints(capped, "written")
    folder = run_nodes(plan, store, "written:values")["written:values"]
    questions = [question(request) for request in server.requests]
    assert len(questions) == len(set(questions)) > before
    assert {r["headers"].get("Authorization") for r in server.requests} == {f"Bearer {KEY}"}
    assert not [name for name, data in everything(store).items() if KEY.encode() in data]
    told = spent([folder])[f"m at {server.url}"]
    assert told.startswith(f"{len(questions)} calls, {500 * len(questions)} tokens, cost")
    again = len(server.requests)
    run_nodes(plan, store, "written:values")
    assert len(server.requests) == again


def test_the_plan_counts_what_a_teacher_and_a_judge_are_asked(tmp_path: Path) -> None:
    teacher = '{endpoint: "http://127.0.0.1:9/v1", model: m, price_in: 1, price_out: 3}'
    judge = 'judge: {endpoint: "http://127.0.0.1:9/v1", model: j}'
    plan = build_plan(write_study(tmp_path, teacher=teacher, tokens=100_000, more=judge))
    store = Store(tmp_path / "store")
    writer, judging = estimate(plan, store).teachers
    # 250 words are taken as 333 tokens: 300 documents, and one of the rules for each.
    assert (writer.role, writer.calls, writer.tokens_out) == ("teacher", 2 * 300, 2 * 300 * 333)
    assert writer.price == pytest.approx((writer.tokens_in + 3 * writer.tokens_out) / 1e6)
    assert 150 < writer.tokens_in / writer.calls < 500
    assert (judging.role, judging.calls, judging.price) == ("judge", 300, None)
    assert not estimate(build_plan(write_study(tmp_path)), store).teachers


def test_a_trial_writes_less(tmp_path: Path) -> None:
    plan = build_plan(write_study(tmp_path, tokens=400_000), Overrides(limit=6))
    (node,) = (node for node in plan.nodes if node.kind == "written")
    assert node.payload["config"]["tokens"] == 6000


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("written: values, documents: rules", "written: valeus, documents: rules",
         r"corpora\.rules\.written: 'valeus' is not defined .*; did you mean 'values'"),
        ("teacher: template", "teacher: gpt",
         r"written\.values\.teacher: .*'template' \(the grammar\)"),
        ("teacher: template", "teacher: {endpoint: 'http://h/v1'}",
         r"written\.values\.teacher\.model: missing"),
        ("teacher: template", "teacher: {endpoint: 'http://h/v1', model: m, key_env: sk-live-1}",
         r"key_env: is the NAME of an environment variable"),
        ("tokenizer_corpus: texts", "tokenizer_corpus: reasons", r"tokenizer_corpus: a cycle"),
        ("teacher: template", "teacher: template, plan: here, values: [honest]",
         r"written\.values\.values: has no effect beside `plan`"),
        ("constitution: hhh", "constitution: hhhh", "hhhh"),
        ("teacher: template", "teacher: template, values: [honesty]", "honesty"),
        ("teacher: template", "teacher: template, against: [none.csv]",
         r"written\.values\.against\.0: no such file"),
        ("teacher: template", "teacher: {path: org/name}",
         r"written\.values\.teacher\.path: .*pin"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_written(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    file = write_study(tmp_path)
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises((ConfigError, UserError), match=said) as caught:
        build_plan(file)
    assert "sk-live-1" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_a_study_killed_while_its_teacher_writes_asks_nothing_twice(
    tmp_path: Path, seed: int
) -> None:
    """The real command and a real server: killed at a random moment, then run to its report."""
    after = random.Random(seed).randint(5, 40)

    def slowly(request: dict[str, Any]) -> Reply:
        if request["body"] is None:  # the kill came while it was sent
            return Reply(status=400)
        return Reply(teach(request).body, wait=0.2)

    with LoopbackServer(slowly) as server:
        file = write_study(tmp_path, teacher=endpoint(server))
        store = tmp_path / "store"
        first = study_run(file, store, tmp_path / "out")
        while len(server.requests) < after and first.poll() is None:
            time.sleep(0.01)
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
        time.sleep(0.5)  # what was under way at the server ends
        before = len(questions(server))
        (kept,) = (store / "replies").glob("replies-*.jsonl")
        on_disk = len(read_jsonl(kept, allow_torn_tail=True))
        again = study_run(file, store, tmp_path / "out")
        _, errors = again.communicate(timeout=600)
        assert again.returncode == 0, errors
        times = Counter(questions(server))
        # Only what was under way when the kill came, and so never arrived, is asked again.
        assert sum(n > 1 for n in times.values()) == before - on_disk
        assert max(times.values()) <= 2
        whole = build_plan(file)
        unbroken = run_nodes(whole, tmp_path / "unbroken", "corpus:reasons", "corpus:rules")
    for name in ("reasons", "rules"):
        (node,) = (node for node in whole.nodes if node.id == f"corpus:{name}")
        rows, others = (
            read_jsonl(place / "rows.jsonl")
            for place in (store / node.kind / node.fingerprint, unbroken[node.id])
        )
        assert [row["id"] for row in rows] == [row["id"] for row in others]
    told = read_json(tmp_path / "out" / "report" / "results.json")
    assert f"m at {server.url}" in told["spent"]
    assert all(row["ok"] for row in told["matching"])


def study_run(file: Path, store: Path, out: Path) -> "subprocess.Popen[str]":
    """The real command, in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "whyfirst", "study", "run", str(file), "--store", str(store),
         "--out", str(out), "--workers", "1", "--json"],
        cwd=file.parent, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def questions(server: LoopbackServer) -> list[str]:
    """What the server was asked, in full."""
    return [question(request) for request in server.requests if request["body"] is not None]


@pytest.mark.slow
def test_a_local_model_teaches_a_study(tmp_path: Path) -> None:
    """A bigram model of the grammar's documents, in the Hub's layout and loaded from its folder."""
    bigram_model(tmp_path / "teacher")
    one_corpus = "rules_first: [rules]"
    file = write_study(tmp_path, teacher="{path: teacher}", tokens=3000)
    file.write_text(file.read_text().replace(one_corpus, "rules_first: [explain]"))
    plan = build_plan(file)
    folders = run_nodes(plan, tmp_path / "store", "corpus:reasons")
    rows = read_jsonl(folders["corpus:reasons"] / "rows.jsonl")
    assert sum(row["tokens"] for row in rows) >= 3000
    assert {row["teacher"] for row in rows} == {"teacher"}  # as the study names it
    (node,) = (node for node in plan.nodes if node.kind == "written")
    assert node.payload["config"]["teacher"] == {"revision": None}
    answers = folders["written:values"] / "answers.jsonl"
    asked_once = answers.read_bytes()
    run_nodes(plan, tmp_path / "store", "written:values")
    assert answers.read_bytes() == asked_once
    (tmp_path / "teacher" / "generation_config.json").write_text('{"temperature": 0.5}')
    assert prints(build_plan(file), "written") != prints(plan, "written")


ASKING = '''\
from whyfirst.data.transforms import TRANSFORMS


@TRANSFORMS.enter("asks_the_base", columns=("text",), streams=False)
def asks_the_base(rows, rng, *, left_out, model=None):
    """Rows with who was asked."""
    for row in rows:
        yield {**row, "asked": type(model).__name__}
'''


def test_a_transform_asks_the_base_of_every_corpus_but_a_written_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given no model there, and so fell back on whatever it does without."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    monkeypatch.setattr(plugins, "_loaded", dict(plugins._loaded))
    TRANSFORMS.names()
    monkeypatch.setattr(TRANSFORMS, "_entries", dict(TRANSFORMS._entries))
    file = write_study(tmp_path)
    (tmp_path / "asking.py").write_text(ASKING)
    text = file.read_text().replace("title:", "plugins: [asking.py]\ntitle:", 1)
    made = "documents: explanations, transforms: [asks_the_base]}"
    file.write_text(text.replace("documents: explanations}", made))
    plan = build_plan(file)
    folders = run_nodes(plan, tmp_path / "store", "corpus:reasons", "corpus:rules")
    rows = read_jsonl(folders["corpus:reasons"] / "rows.jsonl")
    assert {row["asked"] for row in rows} == {"LocalModel"}
    assert "asked" not in read_jsonl(folders["corpus:rules"] / "rows.jsonl")[0]
