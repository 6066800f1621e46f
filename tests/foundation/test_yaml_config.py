"""Configuration: every mistake is refused, with its line and the nearest valid key."""

import json
import tempfile
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, model_validator

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_json
from whyfirst.config.strict import (
    LocatedError,
    StrictModel,
    affects_output,
    load_yaml,
    output_fields,
    runtime_only,
    undeclared_fields,
)
from whyfirst.config.strict_yaml import dotted, read_yaml

VISIBLE = st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))


class Schedule(Enum):
    CONSTANT = "constant"
    COSINE = "cosine"


class Explain(StrictModel):
    kind: Literal["explain"] = affects_output("explain")
    learning_rate: float = affects_output(gt=0)
    keep_at: tuple[int, ...] = affects_output(())
    schedule: Schedule = affects_output(Schedule.CONSTANT)
    checkpoint_every: int = runtime_only(10)


class Prefer(StrictModel):
    kind: Literal["dpo"] = affects_output("dpo")
    beta: float = affects_output(0.1)


class Study(StrictModel):
    name: str = affects_output()
    data: Path | None = affects_output(None)
    stages: dict[str, Annotated[Explain | Prefer, Field(discriminator="kind")]] = affects_output({})
    arms: dict[str, list[str]] = affects_output({})
    workers: int = runtime_only(1)

    @model_validator(mode="after")
    def _stages_exist(self) -> "Study":
        problems: list[tuple[tuple[str | int, ...], str]] = [
            (("arms", arm, i), f"no stage {stage!r}")
            for arm, stages in self.arms.items()
            for i, stage in enumerate(stages)
            if stage not in self.stages
        ]
        if problems:
            raise LocatedError(problems)
        return self


def _load(tmp_path: Path, text: str) -> Study:
    path = tmp_path / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return load_yaml(path, Study)


def _errors(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    return [line.removeprefix(f"{tmp_path}/s.yaml") for line in str(caught.value).split("\n")]


def test_good_file_loads_with_anchors_and_merge_keys(tmp_path: Path) -> None:
    study = _load(
        tmp_path,
        """
name: x
data: a/b.jsonl
stages:
  one: &one {kind: explain, learning_rate: 1e-3, keep_at: [1, 2], schedule: cosine}
  two:
    <<: *one
    learning_rate: 2
  three: {<<: [{kind: dpo}, {kind: explain, beta: 0.5}]}
arms: {both: [one, two]}
""",
    )
    one, two, three = study.stages["one"], study.stages["two"], study.stages["three"]
    assert isinstance(one, Explain) and isinstance(two, Explain) and isinstance(three, Prefer)
    assert (one.learning_rate, two.learning_rate) == (0.001, 2.0)
    assert two.keep_at == (1, 2) and two.schedule is Schedule.COSINE
    assert three.beta == 0.5
    assert study.data == Path("a/b.jsonl")


def test_unknown_key_names_line_and_nearest_key(tmp_path: Path) -> None:
    text = (
        "name: x\nstages:\n  one:\n    kind: explain\n    learning_rat: 1\n    learning_rate: 1\n"
    )
    assert _errors(tmp_path, text) == [
        ":5: stages.one.learning_rat: unknown key; did you mean 'learning_rate'?"
    ]


def test_all_errors_of_a_file_are_reported_together_in_order(tmp_path: Path) -> None:
    text = (
        "name: x\nname: y\nstages:\n  explain:\n    kind: explain\n    explain: 1\n"
        "    learning_rate: -1\n  c: {kind: dpoo}\n  d: {beta: 2}\n  e: {kind: dpo, beta: '3'}\n"
        "  f: {kind: explain, learning_rate: 1, schedule: cosin}\n"
    )
    assert _errors(tmp_path, text) == [
        ":2: name: duplicate key (first on line 1)",
        ":6: stages.explain.explain: unknown key "
        "(known: checkpoint_every, keep_at, kind, learning_rate, schedule)",
        ":7: stages.explain.learning_rate: expected a number above 0, found -1",
        ":8: stages.c: kind: 'dpoo' is not one of explain, dpo; did you mean 'dpo'?",
        ":9: stages.d: missing; the key 'kind' is required",
        ":10: stages.e.beta: expected a number, found '3'",
        ":11: stages.f.schedule: 'cosin' is not one of constant, cosine; did you mean 'cosine'?",
    ]


def test_a_models_own_check_points_at_each_culprit(tmp_path: Path) -> None:
    text = "name: x\narms:\n  a:\n    - one\n    - two\n"
    assert _errors(tmp_path, text) == [
        ":4: arms.a[0]: no stage 'one'",
        ":5: arms.a[1]: no stage 'two'",
    ]


def test_missing_key_points_at_its_block(tmp_path: Path) -> None:
    text = "name: x\nstages:\n  one:\n    kind: explain\n"
    expected = ":3: stages.one.learning_rate: missing; this key is required"
    assert _errors(tmp_path, text) == [expected]


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("", ":1: expected a mapping of keys, found nothing"),
        ("- a\n", ":1: expected a mapping of keys, found a list"),
        ("name: [\n", ":2: not valid YAML"),
        ("name: x\n\tworkers: 1\n", ":2: not valid YAML"),
        ("name: x\n---\nname: y\n", ":2: not valid YAML"),
        ("name: !!python/object/apply:os.getcwd []\n", ":1: name: the tag !!python/object"),
        ("name: !secret x\n", ":1: name: the tag !secret is not supported"),
        ("arms: {x: &a [*a]}\nname: x\n", ":1: arms.x[0]: an alias that contains itself"),
        ("name: x\n<<: 3\n", ":2: '<<' needs a mapping"),
        ("? [a]\n: b\nname: x\n", ":1: a key must be a word or a number"),
        ("name: x\nworkers: true\n", ":2: workers: expected a whole number, found true"),
        ("name: x\nworkers: '3'\n", ":2: workers: expected a whole number, found '3'"),
        ("name: x\nworkers: 1.5\n", ":2: workers: expected a whole number, found 1.5"),
        ("name: 3\n", ":1: name: expected text, found 3"),
        ('name: "\\ud800"\n', ":1: name: a \\u escape for half"),
        ("name:\n", ":1: name: expected text, found nothing"),
    ],
)
def test_bad_yaml_is_one_clear_message(tmp_path: Path, text: str, start: str) -> None:
    assert _errors(tmp_path, text)[0].startswith(start)


def test_missing_binary_and_exploding_files_are_config_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: can't be read"):
        load_yaml(tmp_path / "none.yaml", Study)
    (tmp_path / "b.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_yaml(tmp_path / "b.yaml", Study)
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (tmp_path / "c.yaml").write_text("\n".join(levels))
    with pytest.raises(ConfigError, match="aliases unfold"):
        load_yaml(tmp_path / "c.yaml", Study)
    (tmp_path / "d.yaml").write_text("name: " + "[" * 5000)
    with pytest.raises(ConfigError):
        load_yaml(tmp_path / "d.yaml", Study)


def test_words_that_yaml_1_1_took_for_something_else_stay_words(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("[no, on, Yes, 2026-01-01, 1:30, 010, 1_000, .nan, 0x10, 0o10, 1e3, -2., ~]")
    assert read_yaml(path).data == [
        *("no", "on", "Yes", "2026-01-01", "1:30", 10, "1_000", ".nan", 16, 8, 1000.0, -2.0, None)
    ]


def test_lines_of_merged_keys_are_where_they_are_written(tmp_path: Path) -> None:
    text = "name: x\nstages:\n  one: &one\n    kind: dpo\n    beta: x\n  two:\n    <<: *one\n"
    # The line of the anchor, and once: it is one mistake.
    assert _errors(tmp_path, text) == [":5: stages.one.beta: expected a number, found 'x'"]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.text(st.characters(codec="utf-8", min_codepoint=32)),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(VISIBLE, max_size=40), inner),
        max_leaves=10,
    )
)
def test_json_is_read_as_it_is(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(json.dumps({"v": value}), encoding="utf-8")
        document = read_yaml(path)
    assert document.data == {"v": value}
    assert document.problems == []


def test_dotted_location() -> None:
    assert dotted(("stages", "a", "seeds", 2, "x")) == "stages.a.seeds[2].x"


def test_output_fields_leave_out_runtime_and_go_into_models(tmp_path: Path) -> None:
    study = _load(
        tmp_path,
        "name: x\ndata: a/b\nworkers: 7\n"
        "stages: {one: {kind: explain, learning_rate: 1, checkpoint_every: 3, keep_at: [4]}}\n",
    )
    assert output_fields(study) == {
        "name": "x",
        "data": "a/b",
        "stages": {
            "one": {
                "kind": "explain",
                "learning_rate": 1.0,
                "keep_at": [4],
                "schedule": "constant",
            }
        },
        "arms": {},
    }
    assert len(sha256_json(output_fields(study))) == 64


def test_undeclared_field_is_found_at_any_depth() -> None:
    class Inner(StrictModel):
        good: int = affects_output(1)
        bad: int = Field(2)

    class Outer(StrictModel):
        inners: dict[str, list[Inner | None]] = affects_output({})
        worse: int = 3

    assert undeclared_fields(Outer) == ["Inner.bad", "Outer.worse"]
    assert undeclared_fields(Study) == []
    with pytest.raises(TypeError, match=r"Outer\.worse"):
        output_fields(Outer())


def test_models_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Prefer().beta = 2.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('a: 1\n"x\\u0085": 2', ":2: a key with the invisible character U+0085"),
        ('"x\\u200b": 2', ":1: a key with the invisible character U+200B"),
        ('v: "a\\0b"', ":1: v: a NUL character; remove it"),
        ("v: " + "9" * 30, ":1: v: a whole number of 30 digits is too large"),
        ("v: " + "9" * 5000, ":1: v: a whole number of 5000 digits is too large"),
        ("v: 1e999", ":1: v: the number 1e999 is too large"),
        ("v: " + "[" * 150 + "]" * 150, ":1: nested more than 100 deep"),
        ("v: " + "[" * 5000 + "]" * 5000, ": nested too deeply to read"),
        ("v: \xff", ": not UTF-8 text"),
    ],
)
def test_hostile_yaml_ends_in_a_traceback(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Study)
    assert f"{path}{said}" in str(caught.value)


def test_merge_keys_unfold_without_end(tmp_path: Path) -> None:
    """Merged maps were not counted: forty lines took two to the fortieth steps."""
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}]}}" for i in range(1, 40)]
    path = tmp_path / "s.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="unfold to over 200000 values"):
        read_yaml(path)


def test_duplicate_keys_take_the_square_of_their_number(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("a: 1\n" * 3000)
    assert len(read_yaml(path).problems) == 2999


ANCHORED = """\
stages:
  one: {train: &t {kind: sft, learnin_rate: 1.0e-3, updates: 10}}
  two: {train: *t}
  three: {train: {<<: *t, updates: 20}}
four: {train: &u {kind: sft}}
five: {train: *u}
"""


def test_a_mistake_under_an_anchor_is_told_once_a_stage(tmp_path: Path) -> None:
    class Train(StrictModel):
        kind: str = affects_output()
        updates: int = affects_output()

    class Stage(StrictModel):
        train: Train = affects_output()

    class Many(StrictModel):
        stages: dict[str, Stage] = affects_output()
        four: Stage = affects_output()
        five: Stage = affects_output()

    path = tmp_path / "s.yaml"
    path.write_text(ANCHORED)
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Many)
    first, second = str(caught.value).splitlines()
    assert first.startswith(f"{path}:2: stages.one.train.learnin_rate: unknown key")
    assert second.startswith(f"{path}:5: four.train.updates: missing")
    # Two mistakes that only look alike, on one line, are two; so are two keys of one wrong value.
    path.write_text("stages: {a: {train: {kind: 1, updates: 1}}, b: {train: {kind: 1, updates: 1}}}"
                    "\nfour: {train: {kind: &w 1, updates: *w}}\nfive: {train: {}}")  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        load_yaml(path, Many)
    assert len(str(caught.value).splitlines()) == 2 + 1 + 2
    path.write_text("a: &a {v: 1e999}\nb: *a\nc: {v: 1e999}\n")
    assert [line for line, _, _ in read_yaml(path).problems] == [1, 3]
