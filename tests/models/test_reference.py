"""Naming a model: every field declared, every mistake said, and no key in any of it."""

from pathlib import Path
from typing import Any

import pytest
from loopback_server import LoopbackServer, chat_reply
from pydantic import ValidationError
from tiny_models import build_adapter, copy_of

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import (
    StrictModel,
    affects_output,
    load_yaml,
    output_fields,
    undeclared_fields,
)
from whyfirst.models.base import asked
from whyfirst.models.local import LocalModel
from whyfirst.models.reference import ModelRef, open_model, parse_model

URL = "http://127.0.0.1:8000/v1"


class Holder(StrictModel):
    """As a study would hold one."""

    judge: ModelRef = affects_output()


def test_every_field_is_declared_and_running_it_differently_is_no_other_model() -> None:
    assert undeclared_fields(ModelRef) == []
    plain = parse_model(f"endpoint:{URL}#m")
    paid = parse_model(
        f"endpoint:{URL}#m", key_env="KEY", price_in=1.0, price_out=2.0, max_cost=3.0
    )
    assert output_fields(plain) == output_fields(paid)
    assert output_fields(plain) != output_fields(parse_model(f"endpoint:{URL}#m", revision="2"))


def test_the_three_ways_to_name_a_model() -> None:
    assert parse_model("org/name").path == "org/name"
    assert parse_model("/some/folder", dtype="bfloat16").dtype == "bfloat16"
    ref = parse_model(f"endpoint:{URL}#org/model#2")
    assert (ref.endpoint, ref.model, ref.name) == (URL, "org/model#2", f"org/model#2 at {URL}")
    # What a command passes on without the user having asked for it is no mistake.
    assert parse_model(f"endpoint:{URL}#m", trust_remote_code=False, dtype=None).model == "m"


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (f"endpoint:{URL}", {}, "endpoint:URL#MODEL"),
        (f"endpoint:{URL}#", {}, "endpoint:URL#MODEL"),
        ("endpoint:host/v1#m", {}, "must be a URL like"),
        ("endpoint:ftp://host/v1#m", {}, "must be a URL like"),
        ("endpoint:http://host:port/v1#m", {}, "is no URL"),
        ("endpoint:https://me:sk-secret@host/v1#m", {}, "no user, key or query"),
        ("endpoint:https://host/v1?key=sk-secret#m", {}, "no user, key or query"),
        (f"endpoint:{URL}/chat/completions#m", {}, "end it before"),
        (f"endpoint:{URL}#m", {"adapter": "x"}, "adapter: only goes with path"),
        (f"endpoint:{URL}#m", {"max_cost": 1.0}, "max_cost: needs price_in and price_out"),
        (f"endpoint:{URL}#m", {"price_in": -1.0}, "price_in: "),
        ("org/name", {"key_env": "KEY"}, "key_env: only goes with endpoint"),
        ("org/name", {"dtype": "int3"}, "dtype: "),
        ("org/name", {"colour": "red"}, "colour: "),
    ],
)
def test_a_mistake_is_named_in_one_line(text: str, more: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_model(text, **more)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value) and "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["sk-proj-abc123", "hf_aBcDeF", "AKIAIOSFODNN7EXAMPLE", "Bearer x", "gsk_9aZ", ""]
)
def test_a_key_in_place_of_its_variables_name_is_refused_unseen(key: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as direct:
        ModelRef(endpoint=URL, model="m", key_env=key)
    with pytest.raises(ConfigError) as parsed:
        parse_model(f"endpoint:{URL}#m", key_env=key)
    file = tmp_path / "study.yaml"
    file.write_text(f"judge:\n  endpoint: {URL}\n  model: m\n  key_env: '{key}'\n")
    with pytest.raises(ConfigError) as loaded:
        load_yaml(file, Holder)
    for error in (direct, parsed, loaded):
        assert "NAME of an environment variable" in str(error.value)
        assert not key or key not in str(error.value)
    assert "study.yaml:4: judge.key_env" in str(loaded.value)


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "KEY", "_K2", "MY_LONG_ORGANISATIONS_KEY_2"])
def test_ordinary_variable_names_pass(name: str) -> None:
    assert ModelRef(endpoint=URL, model="m", key_env=name).key_env == name


def test_a_study_file_names_one_kind_of_model_with_line_numbers(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"judge:\n  endpoint: {URL}\n  path: org/name\n")
    with pytest.raises(ConfigError, match=r"either path .* or endpoint"):
        load_yaml(file, Holder)
    file.write_text(f"judge:\n  endpoint: {URL}\n  dtype: bfloat16\n")
    with pytest.raises(ConfigError) as caught:
        load_yaml(file, Holder)
    assert "study.yaml:3: judge.dtype: only goes with path" in str(caught.value)
    assert "judge.model: missing" in str(caught.value)


def test_a_local_model_opens_relative_to_its_study_file(
    tiny_family: dict[str, Path], tmp_path: Path
) -> None:
    base = copy_of(tiny_family["llama"], tmp_path / "models" / "tiny")
    build_adapter(base, tmp_path / "models" / "lora", ["q_proj"])
    (tmp_path / "mine.jinja").write_text("{{ messages[-1].content }}:")
    ref = parse_model("models/tiny", adapter="models/lora", chat_template="mine.jinja")
    model = open_model(ref, base=tmp_path)
    assert isinstance(model, LocalModel)
    assert model.chat_template == "mine.jinja"
    assert model.fingerprint != open_model(parse_model("models/tiny"), base=tmp_path).fingerprint
    with pytest.raises(UserError, match="no such folder"):
        open_model(parse_model("models/none/at/all"), base=tmp_path)


def test_an_endpoint_opens_without_being_asked_and_keeps_its_replies(tmp_path: Path) -> None:
    with LoopbackServer(lambda r: chat_reply("hello")) as server:
        ref = parse_model(f"endpoint:{server.url}/#tiny", price_in=1.0, price_out=1.0)
        first = open_model(ref, cache=tmp_path / "cache")
        assert not server.requests
        assert first.generate([asked("a")])[0][0].text == "hello"
        again = open_model(ref, cache=tmp_path / "cache")
        assert again.generate([asked("a")])[0][0].text == "hello"
        assert again.fingerprint == first.fingerprint
        assert len(server.requests) == 1
        open_model(ref).generate([asked("a")])
        assert len(server.requests) == 2
    kept = [path for path in (tmp_path / "cache").iterdir() if path.suffix == ".jsonl"]
    assert len(kept) == 1
