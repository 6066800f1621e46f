"""An arm is stages, and what is put round its model when it answers: edits, decoding, plug-ins."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import layer_helpers as layer
import pytest
import torch
from safetensors.torch import save_file

from whyfirst.config import plugins
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.study.config import load_study
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import Plan, build_plan, unused
from whyfirst.study.reading import refuse_unusable
from whyfirst.train.rewards import REWARDS

DIRECT = "  direct: [align]\n"
SHOUTING = '''\
"""A model that says no to everything, as a user's own file."""

from dataclasses import replace

from whyfirst.models.base import GREEDY
from whyfirst.models.decoding import DECODINGS


class Refusing:
    def __init__(self, model):
        self.model, self.fingerprint = model, model.fingerprint + "refusing"
        self.chat_template = model.chat_template

    def generate(self, prompts, n=1, sampling=GREEDY):
        found = self.model.generate(prompts, n=n, sampling=sampling)
        return [[replace(one, text="no , never") for one in row] for row in found]

    def loglikelihood(self, requests):
        return self.model.loglikelihood(requests)


@DECODINGS.enter("refusing")
def refusing(model, *, loud: bool = False):
    """Says no."""
    return Refusing(model)
'''
ARMS = (
    DIRECT,
    DIRECT
    + "  same: {stages: [align], edits: [{name: steer, layer: 0, coefficient: 0.0, direction: "
    "d.safetensors}]}\n  drawn: {stages: [align], decoding: [{name: best_of_n, n: 2}]}\n"
    "  never: {stages: [align], decoding: [refusing]}\n",
)
TITLE = "title: Reasons first, reduced"
PLUGINS = (TITLE, f"{TITLE}\nplugins: [mine.py]")


@pytest.fixture(scope="session")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plug-in, one file for this process: what it enters has its name for good."""
    file = tmp_path_factory.mktemp("plugin") / "mine.py"
    file.write_text(SHOUTING)
    return file


@pytest.fixture
def own(mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a study with a direction; other tests' processes know nothing of the plug-in."""
    monkeypatch.setenv(plugins.VARIABLE, "")
    save_file({"d": torch.ones(16)}, tmp_path / "d.safetensors")
    (tmp_path / "mine.path").write_text(str(mine))
    return tmp_path


def planned(folder: Path, *changes: tuple[str, str]) -> Plan:
    named = (TITLE, f"{TITLE}\nplugins: [{(folder / 'mine.path').read_text()}]")
    return build_plan(layer.write(folder, named, ARMS, *changes))


def test_dressed_arm_is_never_measured_as_it_answers(own: Path, base_assets: Path) -> None:
    """From the file to results.json, by the real command and its worker processes."""
    (own / "mine.py").write_text(SHOUTING)
    file = layer.write(own, PLUGINS, ARMS, ("{default: 2}", "1"), ("limit: 120", "limit: 60"))
    code, _, errors = layer.run(file, own / "store", own / "out", base_assets)
    assert code == 0, errors
    arms = layer.results(own / "out")["arms"]
    assert arms["same"]["benchmarks"] == arms["direct"]["benchmarks"]  # coefficient 0
    refused = arms["never"]["benchmarks"]["resistance"]["*/*"]
    assert (refused["value"], refused["unscored"]) == (1.0, 0)
    assert arms["never"]["benchmarks"]["helpfulness"]["*/*"]["value"] == 0.0
    assert [arms[name]["decoding"] for name in ("never", "drawn")] == [["refusing"], ["best_of_n"]]
    assert arms["same"]["edits"] == ["steer"] and arms["direct"]["used"] is None
    used = arms["drawn"]["used"]
    assert used["calls"] == 4 * used["base_calls"] == 4 * 60  # two drafts, and both are scored
    assert used["tokens"] > used["base_tokens"] > 0
    same = arms["same"]["used"]
    assert (same["calls"], same["tokens"]) == (same["base_calls"], same["base_tokens"])
    said = subprocess.run(
        [sys.executable, "-m", "whyfirst", "chat", str(own / "out"), "--arms", "never,direct",
         "--store", str(own / "store"), "--plugin", str(own / "mine.py"), "--json"],
        input="the mason asks nosba to pour a namtig\n", env=layer.environment(base_assets),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    # As the benchmarks asked it: a chat with the weights alone is a chat with another arm.
    never, direct = (a["text"] for a in json.loads(said.stdout)["prompts"][0]["answers"])
    assert never == "no , never" != direct


def test_plain_list_is_no_arm_of_stages(tmp_path: Path, hearth: Path) -> None:
    plain = build_plan(layer.write(tmp_path / "a"))
    whole = build_plan(layer.write(tmp_path / "b", (DIRECT, "  direct: {stages: [align]}\n")))
    assert {n.id: n.fingerprint for n in plain.nodes} == {n.id: n.fingerprint for n in whole.nodes}


CHANGED = {
    "an option": ("n: 2", "n: 3", "drawn"),
    "a coefficient": ("coefficient: 0.0", "coefficient: 0.5", "same"),
    "an option of a plug-in": ("[refusing]", "[{name: refusing, loud: true}]", "never"),
}


@pytest.mark.parametrize("what", CHANGED)
def test_method_round_a_model_counts_for_nothing(own: Path, hearth: Path, what: str) -> None:
    """What it changes is the evaluation of its arm, and nothing that is trained."""
    old, new, arm = CHANGED[what]
    before = {n.id: n.fingerprint for n in planned(own).nodes}
    after = {n.id: n.fingerprint for n in planned(own, (old, new)).nodes}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"seed{seed}/align+{arm}/hearth" for seed in (0, 1)}


def test_a_reward_of_another_version_gives_answers_of_the_old(
    own: Path, hearth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = ("n: 2", "n: 2, by: repetition")
    before = {n.id: n.fingerprint for n in planned(own, by).nodes}
    entry = replace(REWARDS.get("repetition"), version="7")
    monkeypatch.setitem(REWARDS._entries, "repetition", entry)
    after = {n.id: n.fingerprint for n in planned(own, by).nodes}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"seed{seed}/align+drawn/hearth" for seed in (0, 1)}


def test_direction_with_other_numbers_counts_for_nothing(own: Path, hearth: Path) -> None:
    before = {n.id: n.fingerprint for n in planned(own).nodes}
    save_file({"d": torch.zeros(16)}, own / "d.safetensors")
    after = {n.id: n.fingerprint for n in planned(own).nodes}
    changed = {name.rpartition("/")[0] for name in before if before[name] != after[name]}
    assert changed == {"seed0/align+same", "seed1/align+same"}


def test_source_of_a_plug_in_counts_for_nothing(
    own: Path, hearth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {n.id: n.fingerprint for n in planned(own).nodes}
    other = own / "other"
    other.mkdir()
    (other / "mine.py").write_text(SHOUTING.replace("no , never", "yes , always"))
    save_file({"d": torch.ones(16)}, other / "d.safetensors")
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom whyfirst.study.plan import build_plan\n"
        "print(json.dumps({n.id: n.fingerprint for n in build_plan(Path(sys.argv[1])).nodes}))"
    )
    file = layer.write(other, PLUGINS, ARMS)
    after = layer.script(script, str(file), assets=hearth)
    changed = {name.rpartition("/")[0] for name in before if before[name] != after[name]}
    assert changed == {"seed0/align+never", "seed1/align+never"}


MISTAKES = {
    "no such edit": ("name: steer", "name: ster", r":27: .*edits: no 'ster'; did you mean 'steer'"),
    "option of no edit": ("layer: 0", "layr: 0", "did you mean 'layer'"),
    "value of another type": ("n: 2", "n: two", "expected a whole number"),
    "no such file": ("d.safetensors", "e.safetensors", "no such file or folder: .*e.safetensors"),
    "no such plug-in": ("mine.py", "yours.py", r":3: plugins\[0\]: plug-in .*yours.py: no such"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistake_is_found_while_it_runs(own: Path, hearth: Path, what: str) -> None:
    old, new, said = MISTAKES[what]
    with pytest.raises(UserError, match=said):
        planned(own, (old, new))


def test_model_at_an_endpoint_is_steered_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "study: s\ntitle: t\nmodel: {source: pretrained, endpoint: 'http://127.0.0.1:9/v1', "
        "model: m}\ncorpora: {}\nstages: {}\narms: {base: [], up: {edits: [{name: steer, layer: 0, "
        "direction: d}]}}\nseeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    with pytest.raises(ConfigError, match=r":6: arms.up.edits: a model at an endpoint has no act"):
        load_study(path)


def test_likelihoods_of_replies_are_asked_of_an_endpoint_which_has_none(tmp_path: Path) -> None:
    """Each draft is paid for, and the first one is taken."""
    path = tmp_path / "s.yaml"
    text = (
        "study: s\ntitle: t\nmodel: {source: pretrained, endpoint: 'http://127.0.0.1:9/v1', "
        "model: m}\ncorpora: {}\nstages: {}\narms: {base: [], up: {decoding: [BEST]}}\n"
        "seeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    path.write_text(text.replace("BEST", "best_of_n"))
    said = r":6: arms.up.decoding.0.: 'best_of_n' has no likelihoods of replies at an endpoint"
    with pytest.raises(ConfigError, match=said):
        load_study(path)
    path.write_text(text.replace("BEST", "{name: best_of_n, by: random}"))
    load_study(path)


def test_store_of_an_arm_without_stages_is_shared(own: Path, hearth: Path) -> None:
    """The base, dressed: its evaluation is the arm's own, its weights are the base's."""
    found = planned(own, ("  never: {stages: [align]", "  never: {stages: []"))
    store = Store(own / "store")
    node = found.by_id["base/seed0+never/hearth"]
    assert node.depends == ("base",) and not store.complete(*node.key)
    assert node.fingerprint != found.by_id["base/seed0/hearth"].fingerprint


def test_reward_of_tokens_scores_responses_without_any_as_empty() -> None:
    """`length` gave 0 for every draft, so that best of n by it was the first of n."""
    from types import SimpleNamespace

    from whyfirst.config.errors import UserError
    from whyfirst.study.nodes.within import _score

    tokenizer = SimpleNamespace(eos_token_id=0, encode=lambda text, **special: text.split())
    said = ["one", "one two three"]
    assert _score(tokenizer, "length", ["p", "p"], said) == [-2.0, -4.0]  # with their ends
    with pytest.raises(UserError, match="counts tokens"):
        _score(None, "length", ["p", "p"], said)


def test_reward_of_likelihoods_scores_by_the_arms_model_and_is_counted() -> None:
    """`confidence` fell over for want of a model, once the answers were drawn."""
    from functools import partial

    from whyfirst.models.decoding.budget import Budget
    from whyfirst.models.scripted import ScriptedModel
    from whyfirst.study.nodes.within import _score

    model, budget = ScriptedModel(scores=lambda _, text: -float(len(text))), Budget()
    scoring = partial(budget.counting, model, "reward")
    said = ["a long answer", "short"]
    assert _score(None, "confidence", ["p", "p"], said, scoring=scoring) == [-13.0, -5.0]
    assert budget.roles["reward"].calls == 4  # each draft's reasoning, and all of it


@pytest.mark.parametrize(
    ("by", "said"), [("exact_match", "reads the column 'answer'"), ("reward_model", "is a model")]
)
def test_reward_that_decoding_cannot_score_by_is_told_before_anything_runs(
    own: Path, hearth: Path, by: str, said: str
) -> None:
    change = f"  never: {{stages: [align], decoding: [{{name: best_of_n, by: {by}}}]}}\n"
    with pytest.raises(ConfigError, match=f"arms.never.decoding.0: the reward '{by}' {said}"):
        planned(own, ("  never: {stages: [align], decoding: [refusing]}\n", change))


LIKELIHOODS = (
    ("benchmarks:\n  hearth: {limit: 120}", "benchmarks:\n  hearth_recall: {}"),
    ("metric: resistance, cell: B+C/unseen", "metric: recall_reason, cell: '*/*'"),
    ("  - {name: help, title: help, metric: helpfulness, cell: \"*/*\", a: explain_first, "
     "b: direct}\n", ""),
)  # fmt: skip
BEST = (DIRECT, DIRECT + "  drawn: {stages: [align], decoding: [{name: best_of_n, n: 2}]}\n")
IDLE = "decoding changes nothing of benchmark hearth_recall, which asks only for likelihoods"


def test_decoding_of_an_arm_that_is_asked_for_likelihoods_alone_is_idle(
    own: Path, hearth: Path
) -> None:
    """`best_of_n` on benchmarks of likelihoods gave the plain arm's numbers without a word."""
    with pytest.raises(ConfigError, match=r"arms\.drawn\.decoding: changes nothing that is mea"):
        refuse_unusable(build_plan(layer.write(own, BEST, *LIKELIHOODS)), Store(own / "store"))
    both = ("benchmarks:\n  hearth: {limit: 120}", "benchmarks:\n  hearth: {limit: 120}\n"
            "  hearth_recall: {}")  # fmt: skip
    assert IDLE in refuse_unusable(build_plan(layer.write(own, BEST, both)), Store(own / "store"))
    (own / "p.jsonl").write_text('{"prompt": "the mason asks nosba to pour a namtig"}\n')
    compared = ("headline: main", "headline: main\ncomparisons: [{name: c, a: drawn, b: direct, "
                "prompts: p.jsonl, judge: {name: scored, scorer: vader}}]")  # fmt: skip
    assert IDLE in refuse_unusable(
        build_plan(layer.write(own, BEST, compared, *LIKELIHOODS)), Store(own / "store")
    )
    told = refuse_unusable(build_plan(layer.write(own, *LIKELIHOODS)), Store(own / "store"))
    assert not [said for said in told if "decoding" in said]


def test_a_method_of_ones_own_is_taken_for_one_that_leaves_likelihoods(
    own: Path, hearth: Path
) -> None:
    named = (TITLE, f"{TITLE}\nplugins: [{(own / 'mine.path').read_text()}]")
    refusing = (DIRECT, DIRECT + "  never: {stages: [align], decoding: [refusing]}\n")
    told = refuse_unusable(
        build_plan(layer.write(own, named, refusing, *LIKELIHOODS)), Store(own / "store")
    )
    assert not [said for said in told if "decoding" in said]


def test_a_judge_model_that_nobody_asks_is_told(own: Path, hearth: Path) -> None:
    asked = ("model: {source: hearth}", "model: {source: hearth}\njudge_model: {endpoint: "
             "http://127.0.0.1:9/v1, model: m}")  # fmt: skip
    told = [said for said in unused(build_plan(layer.write(own, asked))) if "judge" in said]
    assert len(told) == 1 and told[0].startswith("judge_model: nobody asks it")
    judging = (DIRECT, DIRECT + "  drawn: {stages: [align], decoding: [rar]}\n")
    told = unused(build_plan(layer.write(own, asked, judging)))
    assert not [said for said in told if "judge" in said]
