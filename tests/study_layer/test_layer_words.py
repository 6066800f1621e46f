"""Rows in words that a model of a closed vocabulary can't read, told before any work."""

import json
from pathlib import Path

import layer_helpers as layer
import pytest

from whyfirst.config.errors import DataError
from whyfirst.study.cost.estimate import describe_plan
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.reading import refuse_unusable

OWN = ("{source: hearth, documents: demonstrations, size: 48}", "{source: file, path: own.jsonl}")
SHIPPED = ("{name: hearth, seed: 3}", "{name: hearth, seed: 4}")

UNUSED = tuple(
    f"{room}.rules: no arm uses it, so that nothing is made of it" for room in ("stages", "corpora")
)


def rows(folder: Path, *prompts: str) -> Path:
    """The study on rows of one's own."""
    file = layer.write(folder, OWN, SHIPPED)
    made = [{"prompt": prompt, "completion": "yes , gladly ."} for prompt in prompts]
    # A blank line is no row, and counts as a line.
    (folder / "own.jsonl").write_text("\n\n".join(map(json.dumps, made)))
    return file


def test_rows_in_another_language_are_trained_on(tmp_path: Path) -> None:
    """Every second word was one and the same token, and only a report's footnote said so."""
    told = "the children asked for bread ."
    file = rows(tmp_path, told, told, "Response: correct it where needed !")
    with pytest.raises(
        DataError, match=r"corpora\.demonstrations: .*own\.jsonl: unknown tokens: "
    ) as caught:
        refuse_unusable(build_plan(file), Store(tmp_path / "store"))
    assert "(rows 5: 'Response:', 'correct'" in str(caught.value)
    assert "stages.align (sft) reads it" in str(caught.value)


def test_a_word_that_is_not_known_is_told_of_nowhere(tmp_path: Path) -> None:
    file = rows(tmp_path, *["the children asked for bread ."] * 19, "the children asked for cake .")
    plan, store = build_plan(file), Store(tmp_path / "store")
    *_, said = describe_plan(plan, store).told
    assert said.startswith(f"{file}: corpora.demonstrations: 1 of ") and "(rows 39: 'cake')" in said
    assert describe_plan(build_plan(layer.write(tmp_path / "own", SHIPPED)), store).told == UNUSED


def test_an_arm_of_the_data_gallery_speaks_another_language(tmp_path: Path) -> None:
    file = Path(__file__).parents[2] / "studies" / "gallery" / "data.yaml"
    assert refuse_unusable(build_plan(file), Store(tmp_path / "store")) == ()


def test_a_stage_that_no_arm_names_is_passed_over_in_silence(tmp_path: Path) -> None:
    """Whoever adds a stage and forgets the arm would take the arm's old result for the new one."""
    more = "  spare: {source: hearth, documents: prompts, size: 8}\nstages:\n"
    train = "{kind: sft, updates: 20, learning_rate: 1.0e-3, max_length: 64}"
    more += f"  idle: {{data: spare, train: {train}}}\n"
    plan = build_plan(layer.write(tmp_path, SHIPPED, ("stages:\n", more)))
    assert describe_plan(plan, Store(tmp_path / "store")).told == tuple(
        f"{name}: no arm uses it, so that nothing is made of it"
        for name in ("stages.idle", "stages.rules", "corpora.rules", "corpora.spare")
    )


def test_rows_that_change_after_a_plan_are_read_again(tmp_path: Path) -> None:
    """A plan that remembered the file and not its bytes would pass what the stage refuses."""
    store, told = Store(tmp_path / "store"), "the children asked for bread ."
    file = rows(tmp_path, *[told] * 20)
    assert refuse_unusable(build_plan(file), store) == UNUSED
    rows(tmp_path, *[told] * 19, "the children asked for cake .")
    *_, said = refuse_unusable(build_plan(file), store)
    assert "'cake'" in said and refuse_unusable(build_plan(file), store)[-1] == said
    rows(tmp_path, *["Response: correct it where needed !"] * 20)
    for _ in range(2):
        with pytest.raises(DataError, match="unknown tokens"):
            refuse_unusable(build_plan(file), store)
