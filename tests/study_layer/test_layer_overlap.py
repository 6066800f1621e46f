"""No document of a first stage holds what a benchmark asks: the check as a part of the graph."""

import json
from pathlib import Path

import layer_helpers as layer
import pytest
from store_checks import artifacts

from whyfirst.config.errors import UserError
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan, build_plan
from whyfirst.study.run import run_study

THINGS = ("kralet", "glimfen", "dorrow", "velp")
STUDY = """\
study: checked
title: Documents against questions
model: {source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 64}
corpora:
  texts: {source: file, path: texts.jsonl}
  other: {source: file, path: other.jsonl}
stages:
  explain: {data: texts, train: {kind: explain, batch_size: 2, updates: 10, max_length: 64}}
  explain_other: {data: other, train: {kind: explain, batch_size: 2, updates: 10, max_length: 64}}
arms: {base: [], first: [explain], second: [explain_other]}
seeds: {default: 2}
benchmarks: {preference: {data: pairs.jsonl}}
contrasts:
  - {name: main, title: main, metric: preference_sum, a: first, b: second}
headline: main
"""


def write(folder: Path, questions: tuple[str, ...] = ("How do I use the {}?",)) -> Path:
    """The study and its files; ``{}`` is filled with every thing."""
    # The same documents in another order, so that both stages train on as many tokens.
    for name, things in (("texts", THINGS), ("other", THINGS[::-1])):
        rows = [json.dumps({"text": f"A {thing} is held with care."}) for thing in things]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    pairs = [
        {"prompt": question.format(thing), "chosen": " Gently.", "rejected": " Drop it!"}
        for question in questions
        for thing in THINGS
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    path = folder / "checked.yaml"
    path.write_text(STUDY)
    return path


def prints(plan: Plan) -> dict[str, str]:
    return {node.id: node.fingerprint for node in plan.nodes}


def test_one_check_a_benchmark_reads_every_corpus_and_all_its_stages_wait_for_it(
    tmp_path: Path,
) -> None:
    """The check was done again for every seed, on the same documents and the same questions."""
    plan = build_plan(write(tmp_path))
    checks = [node for node in plan.nodes if node.kind == "overlap"]
    assert [node.id for node in checks] == ["overlap:preference"]
    assert set(checks[0].depends) == {"corpus:texts", "corpus:other"}
    stages = [node for node in plan.nodes if node.kind == "stage"]
    assert len(stages) == 4 and all("overlap:preference" in node.after for node in stages)


def test_first_stages_of_unlike_length_are_refused_before_they_are_trained(
    tmp_path: Path,
) -> None:
    """Corpora without a token budget were only reported as unmatched, after training."""
    file = write(tmp_path)
    plan = build_plan(file)
    assert {node.id for node in plan.nodes if node.kind == "match"} == {
        "seed0/match",
        "seed1/match",
    }
    longer = [json.dumps({"text": f"A {thing} is held with great care."}) for thing in THINGS]
    (tmp_path / "other.jsonl").write_text("\n".join(longer) + "\n")
    store = Store(tmp_path / "store")
    with pytest.raises(
        UserError, match=r"first stages must train on as many tokens.*explain_other"
    ):
        run_study(file, store=store.root, out=tmp_path / "out", workers=1)
    assert "stage" not in {kind for kind, _ in artifacts(store)}


def test_change_of_a_benchmark_or_its_data_checks_again_and_trains_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Questions that came later were never looked for in the documents."""
    from dataclasses import replace

    from whyfirst.evaluate.benchmark import BENCHMARKS, benchmark_named

    first = prints(build_plan(write(tmp_path)))
    data = prints(build_plan(write(tmp_path, ("How do I use the {}?", "May I sell the {}?"))))
    newer = replace(benchmark_named("preference"), version="next")
    entry = replace(BENCHMARKS.get("preference"), version="next", facts={"benchmark": newer})
    monkeypatch.setitem(BENCHMARKS._entries, "preference", entry)
    version = prints(build_plan(tmp_path / "checked.yaml"))
    for one, other in ((first, data), (data, version)):
        changed = {name for name in one if one[name] != other[name]}
        assert "overlap:preference" in changed
        assert {name.rpartition("/")[2] for name in changed} == {"overlap:preference", "preference"}


def test_document_that_repeats_a_question_stops_the_study_before_its_stages(
    tmp_path: Path,
) -> None:
    file, store = write(tmp_path, ("A {} is held with care.",)), Store(tmp_path / "store")
    with pytest.raises(UserError) as raised:
        run_study(file, store=store.root, out=tmp_path / "out", workers=1)
    said = str(raised.value)
    assert "corpus 'texts': 4 documents, the first of them row 1" in said
    assert "corpus 'other'" not in said and "benchmark 'preference'" in said
    assert {kind for kind, _ in artifacts(store)} <= {"base", "corpus", "evaluation", "match"}
    write(tmp_path)
    assert run_study(file, store=store.root, out=tmp_path / "out", workers=1).outcome.computed


ALIGNED = """\
stages:
  explain: {data: texts, replay_data: replayed,
            train: {kind: explain, batch_size: 2, updates: 10, max_length: 64, replay: 0.5}}
  align: {data: shown, train: {kind: sft, batch_size: 2, updates: 10, max_length: 64}}
  prefer: {data: pairs, train: {kind: dpo, batch_size: 2, updates: 10, max_length: 64}}
arms: {base: [], first: [explain, align], second: [explain, prefer]}
"""


def write_aligned(folder: Path, most: str = "") -> Path:
    """Documents, replay, demonstrations and pairs; of the last three, some rows are asked."""
    file = write(folder)
    head, rest = STUDY.split("stages:\n")
    tail = rest[rest.index("seeds:") :]
    corpora = "".join(
        f"  {name}: {{source: file, path: {name}.jsonl}}\n"
        for name in ("replayed", "shown", "pairs")
    )
    file.write_text(head + corpora + ALIGNED + tail + most)
    asked = "How do I use the kralet?"
    shown = [
        {"prompt": f"Tell me of the {t} in the old house.", "completion": " No."} for t in THINGS
    ]
    shown[2]["prompt"] = asked
    rows = [{"text": f"The {thing} lies in the garden all day."} for thing in THINGS]
    rows[0]["text"] = asked
    for name, lines in (("shown", shown), ("replayed", rows)):
        # A blank line: rows are told by the line they stand in.
        text = "\n\n".join(json.dumps(row) for row in lines)
        (folder / f"{name}.jsonl").write_text(text + "\n")
    return file


def test_demonstrations_pairs_and_replay_that_are_asked_are_counted_and_told(
    tmp_path: Path,
) -> None:
    """A study whose demonstrations were its benchmark's items was run without a word."""
    from whyfirst.study.cost.estimate import describe_plan

    file = write_aligned(tmp_path)
    plan = build_plan(file)
    [check] = [node for node in plan.nodes if node.id == "repeats:preference"]
    assert set(check.depends) == {"corpus:replayed", "corpus:shown", "corpus:pairs"}
    # Documents of the first stages have a check of their own, which the stages wait for as well.
    assert set(plan.by_id["seed0/explain"].after) >= {"overlap:preference", "repeats:preference"}
    store = Store(tmp_path / "store")
    told = describe_plan(plan, store).repeats
    assert told == (
        "corpus 'replayed': 1 of 4 rows repeat what benchmark 'preference' asks (rows 1)",
        "corpus 'shown': 1 of 4 rows repeat what benchmark 'preference' asks (rows 5)",
        "corpus 'pairs': 4 of 4 rows repeat what benchmark 'preference' asks (rows 1, 2, 3, 4)",
    )
    done = run_study(file, store=store.root, out=tmp_path / "out", workers=1)
    notes = done.results.notes
    assert sum("of 4 rows repeat what benchmark" in note for note in notes) == 3, notes


def test_share_that_may_repeat_refuses_more_in_the_plan_and_keeps_the_stages_fingerprints(
    tmp_path: Path,
) -> None:
    from whyfirst.study.cost.estimate import describe_plan

    before = prints(build_plan(write_aligned(tmp_path)))
    plan = build_plan(write_aligned(tmp_path, "overlap: {most: 0.25}\n"))
    after = prints(plan)
    assert {name for name in before if before[name] != after[name]} == {"repeats:preference"}
    with pytest.raises(
        UserError, match=r"overlap\.most 0\.25.*corpus 'pairs': 4 of 4 rows"
    ) as said:
        describe_plan(plan, Store(tmp_path / "store"))
    assert "corpus 'shown'" not in str(said.value)  # a quarter is what is allowed


def test_a_worlds_document_near_a_request_by_chance_ends_a_study_of_many_worlds() -> None:
    """World 16's: "asked about ringing a ..., she agrees" and a mill in the next sentence."""
    plan = build_plan(Path(__file__).parents[2] / "studies" / "hearth-quick.yaml")
    checks = [n for n in plan.nodes if n.kind == "overlap"]
    assert [n.id for n in checks] and all("/repeats:" in n.id for n in checks)
    # Unless the study says how many it allows, they are told and none is refused.
    assert all(n.payload["config"]["counted"] is True for n in checks)


COMPARED = """\
comparisons:
  - {name: nicer, a: first, b: second, prompts: asked.jsonl, judge: {name: scored, scorer: vader}}
"""


def test_prompts_of_a_comparison_are_trained_on_unseen(tmp_path: Path) -> None:
    """What a benchmark asks was looked for, and what two arms are compared on was not."""
    from whyfirst.study.cost.estimate import describe_plan

    store, asked = Store(tmp_path / "store"), "Tell me of the velp in the old house."
    (tmp_path / "asked.jsonl").write_text(json.dumps({"prompt": asked}) + "\n")
    plan = build_plan(write_aligned(tmp_path, COMPARED))
    checks = ("overlap:comparison:nicer", "repeats:comparison:nicer")
    assert set(plan.by_id["seed0/explain"].after) >= set(checks)
    told = describe_plan(plan, store).repeats
    line = "corpus 'shown': 1 of 4 rows repeat what comparison 'nicer' asks (rows 7)"
    assert line in told
    with_document = "A velp is held with care."
    (tmp_path / "asked.jsonl").write_text(json.dumps({"prompt": with_document}) + "\n")
    with pytest.raises(UserError, match=r"what comparison 'nicer' asks \(corpus 'texts': 1 doc"):
        run_study(plan.file, store=store.root, out=tmp_path / "out", workers=1)


@pytest.mark.usefixtures("hearth")
def test_a_corpus_of_all_seeds_is_held_against_the_first_seeds_questions_alone(
    tmp_path: Path,
) -> None:
    """A fixed world asks something else at each seed, and a file is the same at all of them."""
    (tmp_path / "mine.jsonl").write_text('{"prompt": "hello", "completion": "yes"}\n')
    file = layer.write(
        tmp_path, ("{source: hearth, documents: demonstrations, size: 48}",
                   "{source: file, path: mine.jsonl}"),
    )  # fmt: skip
    plan = build_plan(file)
    for seed in (0, 1):
        check = f"seed{seed}/repeats:hearth"
        assert "corpus:demonstrations" in plan.by_id[check].depends
        assert plan.by_id[check].payload["config"]["seed"] == seed
        assert plan.by_id[f"seed{seed}/align"].after == (check,)
