"""A plug-in whose sign is flipped: what it made is stale, is computed anew, and nothing else is."""

import json
import subprocess
import sys
from pathlib import Path

import layer_helpers as layer
import pytest

REWARD = '''\
"""Few letters are good."""

from whyfirst.train.rewards import REWARDS


@REWARDS.enter("brief")
def brief(prompts, completions, completion_ids, **columns):
    """Minus the letters."""
    return [-float(len(text)) for text in completions]
'''
OBJECTIVE = '''\
"""The better response should be the likelier one."""

from whyfirst.train.objectives import OBJECTIVES


@OBJECTIVES.enter("likelier", references=0)
def likelier(scores):
    """Minus how much likelier it is."""
    return -scores.preferred(scores.logp.sum(-1))
'''
FLIPS = {
    "reward": ("reward.py", "-float(len(text))", "float(len(text))", "draw"),
    "objective": ("objective.py", "-scores.preferred", "scores.preferred", "like"),
}
STUDY = """\
study: flipped
title: Methods of a user's own
plugins: [reward.py, objective.py]
model: {source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 64}
corpora:
  texts: {source: file, path: texts.jsonl}
  prompts: {source: file, path: texts.jsonl}
  pairs: {source: file, path: pairs.jsonl}
stages:
  like: {data: pairs, train: {kind: prefer, batch_size: 2, updates: 3, min_updates: 1,
         max_length: 64, objective: likelier}}
  draw: {data: prompts, train: {kind: rloo, batch_size: 2, group_size: 2, updates: 2,
         min_updates: 1, max_length: 64, max_new_tokens: 4, rewards: [{name: brief}]}}
arms: {base: [], liked: [like], drawn: [draw]}
seeds: {default: 1}
benchmarks: {preference: {data: pairs.jsonl}}
contrasts:
  - {name: main, title: main, metric: preference_sum, a: liked, b: base}
headline: main
"""


def computed(store: Path) -> dict[str, int]:
    """Where each result is -> when it was declared complete."""
    return {str(path.parent): path.stat().st_mtime_ns for path in store.rglob("COMPLETE.json")}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished study with two plug-ins."""
    folder = tmp_path_factory.mktemp("flipped")
    (folder / "reward.py").write_text(REWARD)
    (folder / "objective.py").write_text(OBJECTIVE)
    (folder / "study.yaml").write_text(STUDY)
    things = ("kralet", "glimfen", "dorrow", "velp")
    prompts = [f"\n\nHuman: How do I use the {thing}?\n\nAssistant:" for thing in things]
    for name, rows in (
        ("texts", [{"text": p, "prompt": p} for p in prompts]),
        ("pairs", [{"prompt": p, "chosen": " Hold it.", "rejected": " Drop it!"} for p in prompts]),
    ):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, _, errors = layer.run(folder / "study.yaml", folder / "store", folder / "out")
    assert code == 0, errors
    return folder


@pytest.mark.parametrize("what", FLIPS)
def test_flipped_sign_keeps_the_old_results(ran: Path, what: str) -> None:
    name, old, new, stage = FLIPS[what]
    (ran / name).write_text(layer.changed((ran / name).read_text(), (old, new)))
    file, store = ran / "study.yaml", ran / "store"
    told = subprocess.run(
        [sys.executable, "-m", "whyfirst", "study", "status", str(file), "--store", str(store),
         "--json"], capture_output=True, text=True, check=True, env=layer.environment(),
    )  # fmt: skip
    stale = {f"seed0/{stage}", f"seed0/{stage}/preference"}
    assert set(json.loads(told.stdout)["missing"]) == stale
    before = computed(store)
    code, _, errors = layer.run(file, store, ran / "out")
    assert code == 0, errors
    after = computed(store)
    assert {place: after[place] for place in before} == before  # kept, and not written again
    assert sorted(Path(place).parent.name for place in set(after) - set(before)) == [
        "evaluation", "stage"
    ]  # fmt: skip
