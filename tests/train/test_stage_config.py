"""Stage configs: what they must refuse, and that every field belongs to a fingerprint or not."""

from pathlib import Path

import pytest

from whyfirst.config import StrictModel, affects_output, load_yaml, output_fields, undeclared_fields
from whyfirst.errors import ConfigError
from whyfirst.train.config import VERSIONS, DPOStage, ExplainStage, SFTStage, StageConfig


class _Study(StrictModel):
    stage: StageConfig = affects_output()


def _load(tmp_path: Path, text: str) -> _Study:
    path = tmp_path / "study.yaml"
    path.write_text(text)
    return load_yaml(path, _Study)


@pytest.mark.parametrize("kind", [ExplainStage, SFTStage, DPOStage])
def test_a_field_left_out_of_the_fingerprint(kind: type[StrictModel]) -> None:
    assert undeclared_fields(kind) == []


def test_checkpointing_changes_the_fingerprint() -> None:
    plain = SFTStage(updates=20)
    often = SFTStage(updates=20, checkpoint_every=10, min_updates=1)
    assert output_fields(plain) == output_fields(often)
    assert output_fields(plain) != output_fields(SFTStage(updates=20, learning_rate=2e-4))


def test_every_kind_has_a_version_and_is_told_apart_by_kind(tmp_path: Path) -> None:
    study = _load(tmp_path, "stage: {kind: dpo, updates: 20, beta: 0.2}\n")
    assert isinstance(study.stage, DPOStage) and study.stage.beta == 0.2
    assert set(VERSIONS) == {"explain", "sft", "dpo"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage: {kind: sft}\n", "exactly one of updates and epochs"),
        ("stage: {kind: sft, updates: 20, epochs: 1.0}\n", "exactly one of updates and epochs"),
        ("stage: {kind: sft, updates: 20, keep_at: [5, 21]}\n", r"keep_at \[21\] lies outside"),
        ("stage: {kind: sft, updates: 20, replay: 0.5}\n", "unknown key"),
        ("stage: {kind: explain, updates: 20, replay: 1.0}\n", "less than 1"),
        ("stage: {kind: dpo, updates: 20, betaa: 0.5}\n", "did you mean 'beta'"),
    ],
)
def test_a_config_that_would_be_misread(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, text)
