"""Two arms' responses to the same prompts, put to a judge: from the file to the win rate."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import layer_helpers as layer
import pytest

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import read_jsonl
from whyfirst.evaluate.item import Item
from whyfirst.models.base import asked
from whyfirst.study.config import load_study
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes import comparison
from whyfirst.study.plan import build_plan
from whyfirst.study.reading import refuse_unusable

MINE = '''\
"""A model that says one thing, a judge of length, and a calibration that turns a judge round."""

from dataclasses import replace

from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES, Judge, Preference
from whyfirst.models.base import GREEDY
from whyfirst.models.decoding import DECODINGS


class Says:
    def __init__(self, model, text):
        self.model, self.text = model, text
        self.fingerprint, self.chat_template = model.fingerprint + text, model.chat_template

    def generate(self, prompts, n=1, sampling=GREEDY):
        found = self.model.generate(prompts, n=n, sampling=sampling)
        return [[replace(one, text=self.text) for one in row] for row in found]

    def loglikelihood(self, requests):
        return self.model.loglikelihood(requests)


@DECODINGS.enter("says")
def says(model, *, text: str):
    """Says one thing."""
    return Says(model, text)


class Longer(Judge):
    name, version, criterion = "longer", "1", "longer"

    def decide(self, pairs, samples):
        def one(pair):
            a, b = len(pair.a.text), len(pair.b.text)
            return Preference("a" if a > b else "b" if b > a else "tie", consistent=True)

        return [one(pair) for pair in pairs]


@JUDGES.enter("longer")
def longer():
    """Prefers the longer one."""
    return Longer()


class Turned(Judge):
    def __init__(self, judge):
        self.judge, self.criterion = judge, judge.criterion
        self.name, self.version = judge.name + " turned", judge.version

    def decide(self, pairs, samples):
        return [one.swapped for one in self.judge.decide(pairs, samples)]


@CALIBRATIONS.enter("turned")
def turned(judge):
    """The other way round."""
    return Turned(judge)
'''
ARMS = (
    "  direct: [align]\n",
    "  direct: [align]\n"
    "  short: {decoding: [{name: says, text: 'no'}]}\n"
    "  long: {stages: [align], decoding: [{name: says, text: 'no , never'}]}\n",
)
COMPARISONS = """headline: main
plugins: [mine.py]
comparisons:
  - {name: length, a: long, b: short, prompts: p.jsonl, judge: longer}
  - {name: turned, title: The other way round, a: long, b: short, prompts: p.jsonl, judge: longer,
     calibrations: [turned], limit: 2}
  - {name: alike, a: short, b: short_too, prompts: p.jsonl, judge: longer}
"""
ALIKE = ("  short:", "  short_too: {decoding: [{name: says, text: 'no'}]}\n  short:")


def write(folder: Path) -> Path:
    (folder / "mine.py").write_text(MINE)
    rows = [{"prompt": f"may I use the kralet {k} ?", "topic": f"t{k % 2}"} for k in range(4)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arms = (ARMS[0], layer.changed(ARMS[1], ALIKE))
    return layer.write(folder, arms, ("headline: main\n", COMPARISONS), ("limit: 120", "limit: 8"),
                       ("cell: B+C/unseen", 'cell: "*/*"'))  # fmt: skip


def test_judge_is_asked_and_its_preferences_reach_nobody(tmp_path: Path, base_assets: Path) -> None:
    code, _, errors = layer.run(write(tmp_path), tmp_path / "store", tmp_path / "out", base_assets)
    assert code == 0, errors
    found = {one["name"]: one for one in layer.results(tmp_path / "out")["comparisons"]}
    won = found["length"]
    # 4 prompts at 2 seeds, all won by the longer one
    assert (won["wins"], won["ties"], won["losses"], won["unscored"]) == (8, 0, 0, 0)
    assert (won["win_rate"]["value"], won["n_prompts"], won["n_seeds"]) == (1.0, 4, 2)
    assert (won["judge"], won["unit"], won["title"]) == ("longer/1", "seeds", "length")
    lost = found["turned"]
    assert (lost["wins"], lost["losses"], lost["win_rate"]["value"]) == (0, 4, 0.0)
    assert (lost["calibrations"], lost["title"]) == (["turned"], "The other way round")
    assert found["alike"]["win_rate"]["value"] == 0.5 and found["alike"]["ties"] == 8
    (folder,) = {p.parent for p in (tmp_path / "store").rglob("compared.jsonl")
                 if len(read_jsonl(p)) == 4}  # fmt: skip
    assert {row["winner"] for row in read_jsonl(folder / "compared.jsonl")} == {"b"}


MISTAKES = {
    "arm that is not": ("{name: length, a: long,", "{name: length, a: lng,", "did you mean 'long'"),
    "judge that is not": ("judge: longer}\n  - {name: turned", "judge: lnger}\n  - {name: turned",
                          "judges: no 'lnger'; did you mean 'longer'"),
    "arm and itself": ("a: short, b: short_too", "a: short, b: short", "an arm with itself"),
    "one name for two": ("{name: turned", "{name: length", "'length' comes twice"),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_mistake_is_found_while_it_runs(tmp_path: Path, base_assets: Path, what: str) -> None:
    """In a process of its own: what a plug-in enters has its name for good."""
    old, new, said = MISTAKES[what]
    file = write(tmp_path)
    file.write_text(layer.changed(file.read_text(), (old, new)))
    code, printed, errors = layer.run(file, tmp_path / "store", tmp_path / "out", base_assets)
    layer.one_message(code, printed, errors, said)


def test_judge_that_asks_a_model_asks_nobody(tmp_path: Path, hearth: Path) -> None:
    named = "comparisons:\n  - {name: c, a: direct, b: base, prompts: hearth, judge: pairwise}\n"
    file = layer.write(tmp_path, ("headline: main\n", f"headline: main\n{named}"))
    assert load_study(file).comparisons[0].judge.name == "pairwise"
    with pytest.raises(ConfigError, match="'pairwise' asks a model: name it as `judge_model`"):
        build_plan(file)


@pytest.mark.parametrize(
    ("benchmark", "own", "longest"),
    [("", "", 256), ("max_new_tokens: 16, ", "", 16), ("", ", max_new_tokens: 99", 99),
     ("max_new_tokens: 16, ", ", max_new_tokens: 99", 99)],
)  # fmt: skip
def test_longest_response_is_the_comparison_s_own_where_it_says_one(
    tmp_path: Path, hearth: Path, benchmark: str, own: str, longest: int
) -> None:
    """The benchmark's key of the same name had the last word, without a word."""
    (tmp_path / "q.jsonl").write_text('{"prompt": "may I use the kralet ?"}\n')
    named = ("comparisons:\n  - {name: c, a: direct, b: base, prompts: own_questions, judge: "
             f"{{name: scored, scorer: rules}}{own}}}\n")  # fmt: skip
    file = layer.write(
        tmp_path, ("headline: main\n", f"headline: main\n{named}"),
        ("benchmarks:\n", f"benchmarks:\n  own_questions: {{{benchmark}data: q.jsonl}}\n"),
    )  # fmt: skip
    found = [n.payload["config"] for n in build_plan(file).nodes if n.kind == "responses"]
    assert found and {config["max_new_tokens"] for config in found} == {longest}


@pytest.mark.parametrize(
    ("row", "said"),
    [({"prompt": "may I ?"}, r"q.jsonl: row 2: repeats the prompt or id of row 1"),
     ({"id": "x", "prompt": "b"}, r"row 3: repeats the prompt or id of row 2 \(x\)"),
     ({"prompt": [{"role": "user"}]}, "row 2: 'prompt' message 1: content must be text"),
     ({"prompt": ["may I ?"]}, "row 2: 'prompt' message 1 is no {role, content}"),
     ({"prompt": [{"role": "human", "content": "a"}]}, "row 2: 'prompt' message 1: role must"),
     ({"prompt": [{"role": "assistant", "content": "a"}]}, "row 2: .*end with the user's turn")],
)  # fmt: skip
def test_prompts_that_no_report_takes_end_the_study_at_its_end(
    tmp_path: Path, hearth: Path, row: dict[str, object], said: str
) -> None:
    """A prompt that came twice did, and a malformed turn was a traceback."""
    rows = [{"prompt": "may I ?"}, *([{"id": "x", "prompt": "a"}] if "id" in row else []), row]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    named = ("comparisons:\n  - {name: c, a: direct, b: base, prompts: q.jsonl, judge: "
             "{name: scored, scorer: rules}}\n")  # fmt: skip
    file = layer.write(tmp_path, ("headline: main\n", f"headline: main\n{named}"))
    with pytest.raises(DataError, match=f"comparisons.c.prompts: .*{said}"):
        refuse_unusable(build_plan(file), Store(file.parent / "store"))
    # What no limit reaches is not asked.
    if "repeats" in said:
        text = file.read_text().replace("prompts: q.jsonl", "prompts: q.jsonl, limit: 1")
        file.write_text(text)
        refuse_unusable(build_plan(file), Store(file.parent / "store"))


@pytest.mark.parametrize(
    ("prompts", "said"),
    [("hearth", "comparisons.c.prompts: benchmark 'hearth' asks for no responses"),
     ("q.jsonl", "comparisons.c.prompts: .*row 2: needs a `prompt`")],
)  # fmt: skip
def test_prompts_that_cannot_be_asked_fail_once_all_is_trained(
    tmp_path: Path, hearth: Path, prompts: str, said: str
) -> None:
    (tmp_path / "q.jsonl").write_text('{"prompt": "may I ?"}\n{"prmpt": "may I ?"}\n')
    named = (f"comparisons:\n  - {{name: c, a: direct, b: base, prompts: {prompts}, judge: "
             "{name: scored, scorer: rules}}\n")  # fmt: skip
    file = layer.write(tmp_path, ("headline: main\n", f"headline: main\n{named}"))
    with pytest.raises(DataError, match=said):
        refuse_unusable(build_plan(file), Store(file.parent / "store"))


def test_a_benchmark_that_asks_otherwise_at_each_seed_fails_once_all_is_trained(
    tmp_path: Path, hearth: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(payload: Mapping[str, Any]) -> SimpleNamespace:
        text = f"may I use kralet {payload['config']['seed']} ?"
        return SimpleNamespace(items=[Item(text, asked(text), text)])

    monkeypatch.setattr(comparison, "task_of", drawn)
    named = ("comparisons:\n  - {name: c, a: direct, b: base, prompts: hearth, judge: "
             "{name: scored, scorer: rules}}\n")  # fmt: skip
    file = layer.write(tmp_path, ("headline: main\n", f"headline: main\n{named}"))
    with pytest.raises(DataError, match=r"c\.prompts: the benchmark asks something else at each"):
        refuse_unusable(build_plan(file), Store(file.parent / "store"))
    file.write_text(file.read_text().replace("seeds: {default: 2}", "seeds: {default: 1}"))
    refuse_unusable(build_plan(file), Store(file.parent / "store"))


def test_a_calibration_that_changes_no_preference_is_taken(tmp_path: Path, hearth: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"prompt": "may I ?"}\n')
    compared = ("headline: main", "headline: main\ncomparisons:\n  - {name: c, a: direct, b: base, "
                "prompts: p.jsonl, judge: {name: scored, scorer: vader},\n     "
                "calibrations: [multiple_evidence]}")  # fmt: skip
    said = r"comparisons\[0\]\.calibrations\[0\]: has no effect on 'scored'"
    with pytest.raises(ConfigError, match=said):
        build_plan(layer.write(tmp_path, compared))
