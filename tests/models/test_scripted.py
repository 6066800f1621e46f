"""`ScriptedModel`: exact answers, exact counts, no invented answer."""

import subprocess
import sys

import pytest

from whyfirst.config.errors import UserError
from whyfirst.models.base import LanguageModel, Sampling
from whyfirst.models.scripted import ScriptedModel


def test_it_plays_its_table_and_counts_its_calls() -> None:
    model = ScriptedModel({"a": "one two three"}, {("a", " b"): -1.5})
    as_protocol: LanguageModel = model
    found = as_protocol.generate(["a", "a"], n=2, sampling=Sampling(max_new_tokens=2))
    assert [[c.text for c in row] for row in found] == [["one two"] * 2] * 2
    assert not found[0][0].finished
    assert model.generate(["a"], sampling=Sampling(stop=(" two",)))[0][0].text == "one"
    (answers,) = model.loglikelihood([("a", [" b"])])
    assert (answers[0].logprob, answers[0].tokens) == (-1.5, 1)
    assert (model.calls, model.prompts, model.requests) == (3, ["a"] * 3, [("a", " b")])


def test_an_unknown_prompt_or_pair_is_an_error_and_no_answer() -> None:
    model = ScriptedModel({"a": "b"}, {})
    with pytest.raises(UserError, match="no response to 'c'"):
        model.generate(["c"])
    with pytest.raises(UserError, match="no score for ' d'"):
        model.loglikelihood([("a", [" d"])])


def test_functions_serve_as_tables_and_names_tell_models_apart() -> None:
    model = ScriptedModel(str.upper, lambda prompt, text: float("nan"), name="x")
    assert model.generate(["abc"])[0][0].text == "ABC"
    assert model.loglikelihood([("a", ["b"])])[0][0].problem is not None
    assert model.fingerprint != ScriptedModel(name="y").fingerprint


@pytest.mark.parametrize(
    "wrong",
    [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}, {"stop": ("",)}],
)
def test_impossible_sampling_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Sampling(**wrong)  # type: ignore[arg-type]


def test_naming_the_light_modules_imports_no_torch() -> None:
    code = (
        "import sys, whyfirst.models.base, whyfirst.models.scripted, whyfirst.models.scratch, "
        "whyfirst.data.hh_rlhf, whyfirst.data.truthfulqa, whyfirst.evaluate.benchmark as b; "
        "b.BENCHMARKS.names(); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers', 'tokenizers')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
