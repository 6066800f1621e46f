"""Loops of stages are written out when read, and each round's corpus is its own model's."""

import json
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import layer_helpers as layer
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import append_jsonl, read_jsonl, write_jsonl
from whyfirst.config.room import Use
from whyfirst.models.base import Completion, Loglikelihood, Sampling
from whyfirst.models.scripted import ScriptedModel
from whyfirst.study.config import load_study
from whyfirst.study.cost.estimate import estimate
from whyfirst.study.execute.store import Store
from whyfirst.study.materials import Loop, with_rounds, without_round, written_out
from whyfirst.study.nodes import corpus as corpus_node
from whyfirst.study.plan import build_plan
from whyfirst.study.schema import StageUse
from whyfirst.study.sources import cyclealign, sample_and_label
from whyfirst.study.sources.cyclealign import agreement
from whyfirst.study.sources.sample_and_label import _made
from whyfirst.study.sources.sampling import sampled, shares_won, within_cap
from whyfirst.train.config_rl import RewardUse

CORPORA = (
    "stages:\n",
    "  prompts: {source: hearth, documents: prompts, size: 24}\n"
    "  drawn: {source: sample_and_label, prompts: prompts, k: 2, documents: best, size: 8,\n"
    "          rewards: [hearth], max_new_tokens: 12}\n"
    "stages:\n",
)
ARMS = (
    "arms:",
    "  raft: {data: drawn, train: *align}\n"
    "arms:\n  raft: [align, {repeat: 3, stages: [raft]}]\n  once: [align, raft.1]",
)


def _file(folder: Path, *more: tuple[str, str]) -> Path:
    world = ("{name: hearth, seed: 3}", "{name: hearth, seed: 4}")
    text = layer.changed(layer.STUDY, world, CORPORA, ARMS, *more)
    file = folder / "loop.yaml"
    file.write_text(text)
    return file


def test_a_loop_leaves_rounds_that_share_their_corpus(tmp_path: Path) -> None:
    """Round 2's corpus reads round 1's model, and an arm that stops earlier shares what it can."""
    plan = build_plan(_file(tmp_path))
    assert plan.study.arms["raft"].stages == ("align", "raft.1", "raft.2", "raft.3")
    assert "raft" not in plan.study.stages and "raft.2" in plan.study.stages
    chain = plan.stages["raft", 0]
    drawn = [next(d for d in plan.by_id[n].depends if "corpus:drawn" in d) for n in chain[1:]]
    assert [plan.by_id[name].depends[0] for name in drawn] == list(chain[:3])
    assert len({plan.by_id[name].fingerprint for name in drawn}) == 3
    assert plan.stages["once", 0] == chain[:2]


def test_checks_of_what_rounds_write_make_a_circle(tmp_path: Path) -> None:
    """Each drawn corpus of a file's prompts is checked alone, and so before the next round."""
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('{"prompt": "say w1", "harmful": true}\n' * 8)
    given = (
        "  prompts: {source: hearth, documents: prompts, size: 24}\n",
        "  prompts: {source: file, path: prompts.jsonl}\n",
    )
    plan = build_plan(_file(tmp_path, given))
    checks = [node for node in plan.nodes if node.kind == "overlap" and "drawn" in node.depends[0]]
    assert len(checks) == 2 * 3 and all(len(node.depends) == 1 for node in checks)
    done: set[str] = set()
    for _ in plan.nodes:  # an order exists: nobody waits for what waits for it
        done |= {n.id for n in plan.nodes if {*n.depends, *n.after} <= done}
    assert done == set(plan.by_id)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("repeat: 3", "repeat: 0", "repeat"),
        ("stages: [raft]}", "stages: [rafted]}", "'rafted.1' is not defined"),
        ("{data: drawn,", "{data: drawn, rounds: [drawn],", "repeats it"),
        ("prompts: prompts,", "prompts: drawn,", "cycle"),
        ("prompts: prompts,", "prompts: promts,", "'promts' is not defined"),
        ("rewards: [hearth],", "", "give rewards or a judge"),
        ("rewards: [hearth],", "rewards: [reward_model],", "no folder of a model"),
        ("rewards: [hearth],", "judge: pairwise,", "judge_model"),
        ("rewards: [hearth],", "rewards: [hearthh],", "no 'hearthh'"),
    ],
)  # fmt: skip
def test_a_loop_that_cannot_be_written_out_is_run(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        build_plan(_file(tmp_path, (old, new)))
    assert str(error.value).startswith(str(tmp_path / "loop.yaml"))


def test_rounds_have_their_own_corpora(tmp_path: Path) -> None:
    rounds = "{data: drawn, rounds: [drawn, demonstrations, drawn], train: *align}"
    study = load_study(_file(tmp_path, ("{data: drawn, train: *align}", rounds)))
    read = [study.stages[f"raft.{turn}"].data for turn in (1, 2, 3)]
    assert read == ["drawn", "demonstrations", "drawn"]


def test_a_round_is_held_against_another_rounds_model() -> None:
    """A reference to a stage of the loop is to the same round's."""
    train = {
        "kind": "prefer", "objective": "d2o", "updates": 10, "references": [{"stage": "a"}],
    }  # fmt: skip
    uses = {"a": StageUse(data="x", train={"kind": "sft", "updates": 10}),
            "b": StageUse(data="y", train=train)}  # fmt: skip
    stages = with_rounds(uses, {"arm": ["a.1", "b.1", "a.2", "b.2"]})
    assert list(stages) == ["a.1", "a.2", "b.1", "b.2"]
    assert [stages[f"b.{turn}"].train.references[0].stage for turn in (1, 2)] == ["a.1", "a.2"]


@given(st.lists(st.sampled_from("abc"), min_size=1, unique=True), st.integers(1, 4))
def test_a_written_out_loop_has_other_stages(names: list[str], times: int) -> None:
    found = written_out(["z", Loop(repeat=times, stages=tuple(names))])
    assert found[0] == "z" and len(set(found)) == 1 + times * len(names)
    assert [without_round(name) for name in found[1:]] == names * times


def test_agreement_is_no_common_order() -> None:
    """The entry's own example, and the properties of a longest common subsequence."""
    assert agreement("abcd", "bacd") in (list("acd"), list("bcd"))  # type: ignore[arg-type]
    assert agreement([0, 1, 2], [2, 1, 0])[0] in (0, 1, 2)
    assert agreement([], [1]) == []


@given(st.permutations(range(5)), st.permutations(range(5)))
def test_a_longer_agreement_exists(one: list[int], other: list[int]) -> None:
    found = agreement(one, other)

    def keeps(order: list[int], part: tuple[int, ...]) -> bool:
        return sorted(part, key=order.index) == list(part)

    assert keeps(one, tuple(found)) and keeps(other, tuple(found))
    longer = (p for p in combinations(one, len(found) + 1) if keeps(other, p))
    assert next(longer, None) is None


class _Drawing(ScriptedModel):
    """Draws that depend on the prompt and the sample's number, as a real model's do."""

    def __init__(self) -> None:
        super().__init__()
        self.tokenizer = _Words()

    def generate(self, prompts: Any, n: int = 1, sampling: Any = None) -> Any:
        self.prompts += prompts
        return [
            [Completion(f"{prompt} {place}", place == 0 or "long" not in prompt,
                        "too long" if "bad" in prompt else None)
             for place in range(n)]
            for prompt in prompts
        ]  # fmt: skip


class _Words:
    """As much of a tokenizer as a prompt without a template needs."""

    eos_token_id = None

    def __call__(self, texts: Any, **_: Any) -> dict[str, Any]:
        several = [texts] if isinstance(texts, str) else texts
        return {"input_ids": [[len(word) for word in text.split()] for text in several]}


def test_a_killed_sampling_pays_twice(tmp_path: Path) -> None:
    rows = [{"prompt": f"q{n}"} for n in range(5)]
    kept, model = tmp_path / "drawn.jsonl", _Drawing()
    sampling = Sampling(8, 1.0)
    whole = sampled(model, rows, 2, sampling, kept, lambda *_: None)
    lines = read_jsonl(kept)
    kept.unlink()
    for line in lines[:2]:
        append_jsonl(kept, line)
    with kept.open("a") as file:
        file.write('{"key": "torn')  # what a kill leaves
    again = _Drawing()
    assert sampled(again, rows, 2, sampling, kept, lambda *_: None) == whole
    assert again.prompts == ["q2", "q3", "q4"]


def test_a_failed_draw_is_a_response(tmp_path: Path) -> None:
    found = sampled(
        _Drawing(), [{"prompt": "bad"}], 2, Sampling(8), tmp_path / "k", lambda *_: None
    )
    assert found == [[]]
    assert list(_made({"prompt": "bad"}, [], [], "best")) == []


def test_a_reply_that_was_cut_off_is_trained_on_as_a_whole_one(tmp_path: Path) -> None:
    """The stage put the end token where the length had run out."""
    left_out: Counter[str] = Counter()
    rows, kept = [{"prompt": "long"}, {"prompt": "q"}], tmp_path / "k"
    found = sampled(_Drawing(), rows, 2, Sampling(8), kept, lambda *_: None, None, left_out)
    assert found == [[" long 0"], [" q 0", " q 1"]]
    assert left_out == {"responses cut off at `max_new_tokens`": 1}


def test_a_reply_runs_into_the_prompts_last_word(tmp_path: Path) -> None:
    """A tokenizer of whole words reads " no" and "no" alike, and decodes both without the space."""
    found = sampled(_Drawing(), [{"prompt": "q"}], 1, Sampling(8), tmp_path / "k", lambda *_: None)
    assert found == [[" q 0"]]


def test_the_cap_is_passed() -> None:
    rows = [{"prompt": str(n)} for n in range(9)]
    assert len(within_cap(rows, 4, 10, 170)) == 4  # 40 tokens a prompt at most
    assert within_cap(rows, 4, 10, None) == rows


def test_rows_of_drawn_responses_are_wrong() -> None:
    row = {"prompt": "p", "completion": " yes", "topic": "t"}
    texts, labels = ["a", "b", "c"], [1.0, 3.0, None]
    made = {d: list(_made(row, texts, labels, d)) for d in ("lists", "pairs", "best", "rewarded")}
    rest = {"prompt": "p", "topic": "t"}
    assert made["lists"] == [rest | {"responses": ["a", "b"], "labels": [1.0, 3.0]}]
    assert made["pairs"] == [rest | {"chosen": "b", "rejected": "a", "margin": 2.0}]
    assert made["best"] == [rest | {"completion": "b"}]
    assert made["rewarded"] == [rest | {"responses": texts, "rewards": labels}]
    twice = list(_made(row, ["a", "b", "a"], [1.0, 3.0, 1.0], "lists"))
    assert twice == made["lists"]  # a text that was drawn twice is preferred to itself by nobody
    alike = list(_made(row, ["a", "b"], [1.0, 1.0], "lists"))
    assert alike == [] == list(_made(row, ["a", "b"], [1.0, 1.0], "pairs"))
    # The model's own words are no worse than the same words of a demonstration.
    against = list(_made(row, ["yes", "no", "no"], [None] * 3, "against"))
    assert against == [rest | {"chosen": " yes", "rejected": "no"}]
    pair = {"prompt": "p", "chosen": "a", "rejected": " no"}
    negated = list(_made(pair, ["yes", "no", "yes", "b"], [None] * 4, "negated"))
    assert negated == [{"prompt": "p", "responses": ["yes", "b", " no"], "labels": [1, 1, 0]}]
    for documents, lacking in (("against", pair), ("negated", row)):
        with pytest.raises(DataError, match=f"`documents: {documents}` compares with each row's"):
            list(_made(lacking, texts, labels, documents))


def test_a_corpus_that_lacks_what_it_compares_with_is_told_without_its_name(tmp_path: Path) -> None:
    """In the plan, before anything is drawn: prompts of a world have no rejected response."""
    asked = "documents: best, size: 8,\n          rewards: [hearth]"
    plan = build_plan(_file(tmp_path, (asked, "documents: negated, size: 8")))
    with pytest.raises(DataError, match=r"^corpora\.drawn: .*negated` compares with each row's"):
        estimate(plan, Store(tmp_path / "store"))


def test_a_judges_labels_are_not_its_wins() -> None:
    """Of two refusals and one help, by who refuses: each refusal beats the help, and ties."""
    no, yes = "I'm sorry, but I can't help with that.", "Sure. First take the blue key."
    judge = Use.model_validate({"name": "scored", "scorer": "rules"})
    assert shares_won(judge, None, [{"prompt": "p"}], [[no, yes, no]]) == [[0.75, 0.0, 0.75]]


class _Shown(ScriptedModel):
    """A judge's model that keeps what it is asked."""

    def generate(self, prompts: Any, n: int = 1, sampling: Any = None) -> Any:
        self.prompts += prompts
        return [[Completion("1", True)] * n for _ in prompts]


def test_a_judge_reads_a_chat_as_python_writes_it() -> None:
    judge, model = Use.model_validate({"name": "pairwise"}), _Shown()
    chat = [{"role": "user", "content": "How do I hold it?"}]
    shares_won(judge, model, [{"prompt": chat}], [["So.", "Not."]])
    shown = [turn.content for prompt in model.prompts for turn in prompt]
    assert any("How do I hold it?" in text for text in shown)
    assert not any("'role'" in text for text in shown)


def test_labels_of_a_judge_that_was_shown_a_list_are_taken_for_its_own(tmp_path: Path) -> None:
    """The fingerprint of what a judge labels is another one; what rewards label stays."""

    def config(labels: str) -> dict[str, Any]:
        judging = "title: Reasons first\njudge_model: {endpoint: 'http://127.0.0.1:9/v1', model: m}"
        more = ("rewards: [hearth]", labels), ("title: Reasons first, reduced", judging)
        plan = build_plan(_file(tmp_path, *more))
        found: dict[str, Any] = plan.by_id["seed0/align/corpus:drawn"].payload["config"]
        return found

    assert config("judge: {name: scored, scorer: rules}")["shown"] == "2"
    assert "shown" not in config("rewards: [length]")


def test_a_judge_that_scores_by_rules_needs_a_model(tmp_path: Path) -> None:
    plan = build_plan(
        _file(tmp_path, ("rewards: [hearth],", "judge: {name: scored, scorer: rules},"))
    )
    assert "judge_model" not in plan.by_id["seed0/align/corpus:drawn"].payload


def test_prompts_given_as_messages_cannot_be_labelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source gets rows in the one shape: the prompt ends with the user's last turn."""
    said = [{"role": "user", "content": "Lend me it?"}, {"role": "assistant", "content": "No."}]
    (tmp_path / "prompts").mkdir()
    write_jsonl(tmp_path / "prompts" / "rows.jsonl", [{"messages": said, "topic": "t"}])
    monkeypatch.setattr(corpus_node, "study_model", lambda *_: ScriptedModel())
    payload = {
        "use": {"name": "sample_and_label", "options": {}},
        "config": {"source": "sample_and_label"},
    }
    folder = tmp_path / "store" / "corpus" / "x"
    given = corpus_node._given(payload, [tmp_path, tmp_path / "prompts"], folder, "model")["given"]
    assert [dict(row) for row in given["prompts"]] == [{"prompt": said[:1], "topic": "t"}]
    judge = Use.model_validate({"name": "scored", "scorer": "rules"})
    no, yes = "I won't help with that.", "Sure, here is how."
    assert shares_won(judge, None, given["prompts"], [[no, yes]]) == [[1.0, 0.0]]


def test_prompts_that_give_no_rows_are_left_out_uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": str(n)} for n in range(6)]
    texts = [["a", "b"], ["c", "d"], ["e"], [], ["f", "g"]]
    labels = [[1.0, 0.0], [1.0, 1.0], [1.0], [], [None, None]]
    told: dict[str, Any] = {}
    rest: dict[str, Any] = {
        "prompts": "p", "k": 2, "seed": 0, "model": None, "given": {"prompts": rows},
        "kept": Path("x"), "progress": lambda *_: None, "note": told.__setitem__,
        "rewards": (RewardUse(name="length"),),
    }  # fmt: skip
    monkeypatch.setattr(sample_and_label, "sampled", lambda *_: texts)
    monkeypatch.setattr(sample_and_label, "by_rewards", lambda *_: labels)
    made = sample_and_label.sample_and_label(documents="pairs", most_tokens=5 * 2 * 64, **rest)
    assert len(made) == 1
    assert told["left_out"] == {"0 sample_and_label": {
        "over `most_tokens`": 1, "nothing tells the responses apart": 2, "no response": 1,
        "no label": 1,
    }}  # fmt: skip
    model = _Drawing()
    scored = [[Loglikelihood(-1.0 * n, 1) for n, _ in enumerate(said)] for said in texts]
    monkeypatch.setattr(model, "loglikelihood", lambda requests: scored)
    monkeypatch.setattr(cyclealign, "sampled", lambda *_: texts)
    monkeypatch.setattr(cyclealign, "by_rewards", lambda *_: labels)
    rest |= {"model": model, "given": {"prompts": rows[:5]}}
    assert len(cyclealign.cyclealign(**rest)) == 2
    # Beside a pair that prompts came with, the responses drawn were learned by the pair's labels.
    paired = [row | {"chosen": "x", "rejected": "y"} for row in rows[:5]]
    ahead = cyclealign.cyclealign(**rest | {"given": {"prompts": paired}})
    assert {key for row in ahead for key in row} == {"prompt", "responses", "ranks"}
    assert told["left_out"] == {"0 cyclealign": {
        "no two responses": 2, "the rankings agree on no two": 1,
    }}  # fmt: skip


@pytest.mark.slow
def test_a_loop_runs_again(tmp_path: Path) -> None:
    """Two rounds run through the command; the same once more computes nothing."""
    small = (
        ("repeat: 3", "repeat: 2"), ("{default: 2}", "{default: 1}"),
        ("  explain_first: [explain, align]\n", ""),
        (layer.STUDY[layer.STUDY.index("contrasts:") : layer.STUDY.index("headline")], ""),
        ("headline: main\n", ""),
    )  # fmt: skip
    file = _file(tmp_path, *small)
    code, printed, errors = layer.run(file, tmp_path / "store", tmp_path / "out")
    assert code == 0, errors
    found = [json.loads(p.read_text()) for p in (tmp_path / "store").glob("corpus/*/corpus.json")]
    assert sum(corpus["corpus"] == "drawn" for corpus in found) == 2
    _, printed, _ = layer.run(file, tmp_path / "store", tmp_path / "out")
    assert layer.summary(printed)["computed"] == 0
