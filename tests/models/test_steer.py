"""Steering: the stream moves by the direction, and nothing is left behind."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import build_tiny
from tokenizers.processors import TemplateProcessing

from whyfirst.config.errors import ConfigError, DataError, UserError
from whyfirst.config.room import Use
from whyfirst.models.edits import EDITS
from whyfirst.models.edits.steer import mean_stream
from whyfirst.models.hooks import reading
from whyfirst.models.local import LocalModel


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel(build_tiny("llama", tmp_path_factory.mktemp("steer")), device="cpu")


def steered(model: LocalModel, **options: Any) -> Any:
    return EDITS.make(Use.model_validate({"name": "steer", **options}))(model)


def stream(model: LocalModel, layer: int) -> torch.Tensor:
    ids = model.tokenizer("may I borrow", return_tensors="pt")["input_ids"]
    with torch.no_grad(), reading(model.model) as states:
        model.model(input_ids=ids)
    return states[layer][0]


def vector(folder: Path, width: int = 32) -> tuple[str, torch.Tensor]:
    found = torch.linspace(-1, 1, width)
    save_file({"direction": found}, folder / "d.safetensors")
    return str(folder / "d.safetensors"), found


def test_stream_moves_otherwise_than_by_the_direction(tiny: LocalModel, tmp_path: Path) -> None:
    file, direction = vector(tmp_path)
    before = stream(tiny, 1)
    with steered(tiny, layer=-1, coefficient=2.5, direction=file):
        # Hooks run in the order they were put: what is read is what the edit made of it.
        moved = stream(tiny, 1) - before
    assert torch.allclose(moved, (2.5 * direction).expand_as(moved), atol=1e-5)
    assert torch.equal(stream(tiny, 1), before)  # and nothing is left behind


def test_coefficient_of_nothing_changes_a_bit(tiny: LocalModel, tmp_path: Path) -> None:
    file, _ = vector(tmp_path)
    plain = tiny.loglikelihood([("may I", [" yes"])])[0][0].logprob
    with steered(tiny, layer=0, coefficient=0.0, direction=file):
        assert tiny.loglikelihood([("may I", [" yes"])])[0][0].logprob == plain
    with steered(tiny, layer=0, coefficient=8.0, direction=file):
        assert tiny.loglikelihood([("may I", [" yes"])])[0][0].logprob != plain


def test_direction_of_two_lists_is_no_difference_of_means(tiny: LocalModel, tmp_path: Path) -> None:
    for name, texts in (("a", ["may I", "why does it sing"]), ("b", ["others walk"])):
        rows = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(rows)
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lasts = []
    for text in ("may I", "why does it sing", "others walk"):
        ids = tiny.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.no_grad(), reading(tiny.model) as states:
            tiny.model(input_ids=ids)
        lasts.append(states[0][0, -1])
    expected = (lasts[0] + lasts[1]) / 2 - lasts[2]
    assert torch.allclose(mean_stream(tiny, a, 0) - mean_stream(tiny, b, 0), expected, atol=1e-6)
    before = stream(tiny, 0)
    with steered(tiny, layer=0, towards=str(a), away_from=str(b)):
        assert torch.allclose(stream(tiny, 0) - before, expected.expand_as(before), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layer": 2}, "no layer 2: the model has layers 0 to 1"),
        ({"layer": 0, "towards": "FILE"}, "give `direction`, or both"),
        ({"layer": 0, "direction": "NARROW"}, r"the direction is \(8,\), the model's \(32,\)"),
    ],
)
def test_mistake_is_found_by_a_crash(
    tiny: LocalModel, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    narrow, _ = vector(tmp_path, 8)
    given = {"NARROW": narrow, "FILE": str(tmp_path / "x.jsonl")}
    options = {key: given.get(str(value), value) for key, value in options.items()}
    if options == {"layer": 2}:
        options["direction"] = narrow
    with pytest.raises(UserError, match=said), steered(tiny, **options):
        pass


@pytest.mark.parametrize(
    ("edit", "row", "said"),
    [({"name": "steer", "towards": "FILE", "away_from": "FILE"}, {"prompt": "a"}, "'text'"),
     ({"name": "repe", "pairs": "FILE", "layers": [0], "coefficient": 1.0},
      {"towards": "a"}, "'away_from'"),
     ({"name": "activation_reasoning", "examples": "FILE", "rules": ["a -> b"],
       "steer": {"b": 1.0}}, {"text": "a"}, "'concepts'")],
)  # fmt: skip
def test_a_row_without_what_an_edit_reads_is_a_traceback(
    tiny: LocalModel, tmp_path: Path, edit: dict[str, Any], row: dict[str, str], said: str
) -> None:
    """And of a file without rows the mean was the stream of nothing."""
    file = tmp_path / "rows.jsonl"
    given = {key: str(file) if value == "FILE" else value for key, value in edit.items()}
    given |= {} if "layers" in edit else {"layer": 0}
    for text, message in ((json.dumps(row), f"row 1: needs a .*under {said}"), ("", "no rows")):
        file.write_text(text + "\n")
        made = EDITS.make(Use.model_validate(given))(tiny)
        with pytest.raises(DataError, match=rf"rows\.jsonl: .*{message}"), made:
            pass


def test_a_concept_is_steered_that_no_rule_concludes() -> None:
    """Its weight moved nothing."""
    use = {"name": "activation_reasoning", "examples": "x.jsonl", "layer": 0}
    for rules, said in ((["a -> b"], "no rule concludes 'a'"), (["a b"], "'a b' is no rule")):
        with pytest.raises(ConfigError, match=said):
            EDITS.make(Use.model_validate({**use, "rules": rules, "steer": {"a": 1.0}}))


def test_option_of_another_type_reaches_the_edit() -> None:
    with pytest.raises(ConfigError, match="layer: expected a whole number"):
        EDITS.make(Use.model_validate({"name": "steer", "layer": "first"}))


def test_an_end_token_that_the_tokenizer_appends_is_read(tiny: LocalModel, tmp_path: Path) -> None:
    """A direction of the end token's stream is one of no text."""
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"text": "w1 w2 w3"}) + "\n")
    plain, backend = mean_stream(tiny, file, 0), tiny.tokenizer.backend_tokenizer
    before, end = backend.post_processor, tiny.tokenizer.eos_token
    backend.post_processor = TemplateProcessing(
        single=f"$A {end}", special_tokens=[(end, tiny.tokenizer.eos_token_id)]
    )
    try:
        assert tiny.tokenizer("w1")["input_ids"][-1] == tiny.tokenizer.eos_token_id
        assert torch.equal(mean_stream(tiny, file, 0), plain)
    finally:
        backend.post_processor = before
