"""The published experiment's files: wired, alike, and run to their report on tiny models."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import layer_helpers as layer
import layer_models
import pytest

from whyfirst.config.strict import decisive, load_yaml
from whyfirst.study.config import Study
from whyfirst.study.shipped import shipped_study

DATA = Path(os.environ.get("WHYFIRST_DATA") or Path(__file__).parents[3] / "shared" / "data")
NAMES = ("phi2-hh", "phi2-hh-lora", "llama2-hh", "llama2-hh-lora")
KINDS = {
    "phi2": {"kind": "phi"},
    "llama2": {"kind": "llama", "num_key_value_heads": 2},
}


def without(value: object, *names: str) -> object:
    """The same data less some keys, at any depth."""
    if isinstance(value, dict):
        return {k: without(v, *names) for k, v in value.items() if k not in names}
    return [without(item, *names) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", NAMES)
def test_settings_differ_in_what_their_heads_say_and_in_nothing_else(name: str) -> None:
    """Four files drifted apart, and a comparison of models became one of recipes."""
    first, other = (load_yaml(shipped_study(n), Study) for n in (NAMES[0], name))
    allowed = ("study", "model", "lora", "critic", "learning_rate")
    one, two = (without(decisive(study), *allowed) for study in (first, other))
    assert one == two


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", NAMES)
def test_published_study_runs_unchanged_on_a_tiny_model(name: str, tmp_path: Path) -> None:
    """Explain, SFT, a reward model and PPO, then every benchmark on the real files."""
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA} (set WHYFIRST_DATA)")
    with gzip.open(DATA / "hh-rlhf" / "harmless-base" / "test.jsonl.gz", "rt") as rows:
        texts = [json.loads(line)["chosen"] for line in rows]
    model = layer_models.build(
        tmp_path / "tiny", texts=texts, vocabulary=4000, **KINDS[name.partition("-")[0]]
    )
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "whyfirst", "study", "run", name, "--model", str(model),
         "--limit", "8", "--store", str(tmp_path / "store"), "--out", str(out),
         "--workers", "1", "--json"],
        cwd=tmp_path, env=layer.environment(WHYFIRST_DATA=str(DATA)), text=True,
        capture_output=True, timeout=3000,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = layer.results(out)
    assert set(found["arms"]) == set(load_yaml(shipped_study(name), Study).arms)
    assert found["study"]["overrides"] == {"model": str(model), "limit": "8"}
    assert any("a wiring run: with --limit 8" in note for note in found["notes"])
    assert found["benchmarks"]["jailbreak"]["chat_templates"] == ["tokenizer"]
    assert found["benchmarks"]["xstest_over_refusal"]["judges"] == ["rules/1"]
    assert all(row["ok"] for row in found["matching"])
    assert f"--model {model} --limit 8" in found["command"]
