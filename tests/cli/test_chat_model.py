"""`whyfirst chat MODEL`: a model that no run made is asked as an arm is."""

import json
from pathlib import Path

import pytest
from tiny_models import build_tiny
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.config.errors import UserError
from whyfirst.models.local import LocalModel


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny("llama", tmp_path_factory.mktemp("chat") / "kettle")


def test_model_without_a_run_is_answered_with_no_run_there(model: Path) -> None:
    asked = CliRunner().invoke(app, ["chat", str(model), "--json"], input="hello\n\nand you\n")
    assert asked.exit_code == 0, asked.output
    told = json.loads(asked.stdout)
    assert told["arms"] == ["kettle"]
    assert [row["prompt"] for row in told["prompts"]] == ["hello", "and you"]
    [answer] = told["prompts"][0]["answers"]
    assert answer["arm"] == "kettle" and 0 <= answer["covered"] <= 1


@pytest.mark.parametrize("option", ["arms", "store", "seed"])
def test_what_only_a_run_has_is_passed_over_in_silence(model: Path, option: str) -> None:
    given = ["chat", str(model), f"--{option}", "0"]
    refused = CliRunner().invoke(app, given, input="hello\n")
    assert refused.exit_code != 0 and f"which has no {option}" in " ".join(refused.output.split())


def test_adapter_on_the_hub_may_change_between_two_runs(model: Path) -> None:
    for given in ("org/adapter", "org/adapter@main"):
        with pytest.raises(UserError, match="pin it as org/adapter@COMMIT"):
            LocalModel(model, device="cpu", adapter=given)


def test_decoding_on_the_command_line_is_not_used_or_not_counted(model: Path) -> None:
    """Three drafts an answer by `best_of_n`; a wrong name or option is refused before asking."""
    given = ["chat", str(model), "--json", "--decoding"]
    asked = CliRunner().invoke(app, [*given, "best_of_n,n=3,by=random"], input="hello\n")
    assert asked.exit_code == 0, asked.output
    spent = json.loads(asked.stdout)["budget"]["kettle"]
    assert spent["model"]["calls"] - spent["answers"]["calls"] == 2
    drafts = spent["model"]["completion_tokens"] / spent["answers"]["completion_tokens"]
    assert 1 < drafts <= 3 * 200
    for wrong, told in (("best_of", "best_of_n"), ("best_of_n,m=3", "m"), ("best_of_n,n=x", "n")):
        refused = CliRunner().invoke(app, [*given, wrong], input="hello\n")
        assert refused.exit_code != 0 and told in refused.output
