"""Files a study can't use end its plan and its run at once, before anything is computed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from layer_helpers import changed
from layer_models import build
from store_checks import artifacts
from test_layer_bad_input import file_study

from whyfirst.config.errors import UserError
from whyfirst.study.cost.estimate import describe_plan
from whyfirst.study.execute.store import Store
from whyfirst.study.plan import build_plan
from whyfirst.study.run import run_study

HALF = '{"prompt": "Human: ok \\ud83d\\n\\nAssistant:", "completion": " yes"}\n'


def refused(file: Path, folder: Path) -> str:
    """What both commands say; the run must have computed nothing."""
    said = []
    store = folder / "store"
    for command in (
        lambda: run_study(file, store=store, out=folder / "out"),
        lambda: describe_plan(build_plan(file), Store(store)),
    ):
        with pytest.raises(UserError) as caught:
            command()
        said.append(str(caught.value))
    assert not list(artifacts(Store(store))) and not (folder / "out").exists()
    assert said[0] == said[1]
    return said[0]


def test_benchmark_data_without_a_row_are_noticed_after_training(tmp_path: Path) -> None:
    file = file_study(tmp_path)
    xstest = "benchmarks: {xstest: {data: xstest.csv}, preference: {data: pairs.jsonl}}"
    file.write_text(
        changed(file.read_text(), ("benchmarks: {preference: {data: pairs.jsonl}}", xstest))
    )
    (tmp_path / "xstest.csv").write_text("id,prompt,type,label\n")
    assert "xstest.csv: holds no prompt" in refused(file, tmp_path)


def spoil(name: str, spoiled: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(spoiled(lines)))

    return do


ROWS: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "another column": (
        spoil("demos.jsonl", lambda rows: [*rows[:1], json.dumps({"prompt": "a", "reply": "b"})]),
        ("corpora.demos", "demos.jsonl: row 2: 'completion'", "stages.align (sft) reads it"),
    ),
    "no JSON": (
        spoil("demos.jsonl", lambda rows: [*rows[:2], '{"prompt": ', "\n", *rows[3:]]),
        ("corpora.demos", "demos.jsonl: row 3: not readable"),
    ),
    "half a character in a corpus": (
        spoil("demos.jsonl", lambda rows: [*rows[:1], HALF]),
        ("corpora.demos", "demos.jsonl: row 2: not valid Unicode", "\\ud83d", "surrogate"),
    ),
    "half a character in a benchmark": (
        spoil("pairs.jsonl", lambda rows: [*rows[:1], HALF]),
        ("pairs.jsonl: row 2: not valid Unicode",),
    ),
    "no rows": (spoil("texts.jsonl", lambda rows: []), ("corpora.texts", "texts.jsonl: no rows")),
}


@pytest.mark.parametrize("what", ROWS)
def test_bad_row_is_found_in_the_run_and_named_by_the_stores_file(
    tmp_path: Path, what: str
) -> None:
    file = file_study(tmp_path)
    do, parts = ROWS[what]
    do(tmp_path)
    said = refused(file, tmp_path)
    assert all(part in said for part in parts), said
    assert "rows.jsonl" not in said


MODEL = ("{source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,\n"
         "        intermediate_size: 32, vocab_size: 300, max_length: 64}")  # fmt: skip


@pytest.mark.parametrize("what", ["torn weights", "no tokenizer", "odd tokenizer"])
def test_broken_model_folder_is_found_only_by_a_worker(tmp_path: Path, what: str) -> None:
    model = build(tmp_path / "model")
    file = file_study(tmp_path)
    file.write_text(changed(file.read_text(), (MODEL, "{source: pretrained, path: model}")))
    describe_plan(build_plan(file), Store(tmp_path / "store"))  # as it is, it is fine
    weights, tokenizer = model / "model.safetensors", model / "tokenizer.json"
    if what == "torn weights":
        weights.write_bytes(weights.read_bytes()[:-100])
        named = "model.safetensors: not a readable safetensors file"
    elif what == "no tokenizer":
        tokenizer.unlink()
        named = "no tokenizer there"
    else:
        tokenizer.write_text("{}")
        named = "the tokenizer can't be loaded"
    said = refused(file, tmp_path)
    assert named in said and str(model) in said


def demos(**changes: str) -> list[dict[str, object]]:
    """Eight good rows, the last one changed."""
    rows: list[dict[str, object]] = [
        {"prompt": f"Human: May I take kralet {k}?\n\nAssistant:", "completion": f" Not {k}."}
        for k in range(8)
    ]
    rows[-1] |= changes
    return rows


def talked(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return [
        {"messages": [{"role": "user", "content": row["prompt"]},
                      {"role": "assistant", "content": row["completion"]}]}
        for row in rows
    ]  # fmt: skip


#: what training refuses, all of it after the stages before it were paid for -> rows, and what is
#: said; the eighth row stands in line 15
REFUSED: dict[str, tuple[list[dict[str, object]], str]] = {
    "control token in a reply": (
        demos(completion=" The mark <eos> ends it."), "control tokens: rows 15 spell"
    ),
    "empty reply": (demos(completion="  "), "empty responses: rows 15"),
    "reply that goes on": (
        demos(completion=" No.\n\nHuman: why?\n\nAssistant: So."), "one turn: rows 15"
    ),
    "reply with its prompt": (
        [{**row, "completion": f"{row['prompt']}{row['completion']}"} for row in demos()],
        "prompt in response: in rows 1, 3, 5",
    ),
    "row without its end": (demos(completion=" so" * 500), "length: rows 15 are longer than"),
    "messages and no template": (talked(demos()), "row 1: the prompt is a list of messages but"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_row_a_stage_refuses_is_found_once_it_is_its_turn(tmp_path: Path, what: str) -> None:
    from transformers import AutoTokenizer

    build(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    if "template" in what:
        tokenizer.chat_template = None
        (tmp_path / "model" / "chat_template.jinja").unlink(missing_ok=True)
        tokenizer.save_pretrained(tmp_path / "model")
    file = file_study(tmp_path)
    file.write_text(changed(file.read_text(), (MODEL, "{source: pretrained, path: model}")))
    rows, said = REFUSED[what]
    lines = "\n\n".join(json.dumps(row).replace("<eos>", tokenizer.eos_token) for row in rows)
    (tmp_path / "demos.jsonl").write_text(lines + "\n")
    told = refused(file, tmp_path)
    assert said in told and "demos.jsonl" in told and "stages.align (sft) reads it" in told


def test_pairs_of_hh_none_of_which_is_usable_are_found_once_it_is_their_turn(
    tmp_path: Path,
) -> None:
    """Another source than `file`: its rows were read by its node alone."""
    file = file_study(tmp_path)
    rows = [
        {"prompt": f"\n\nHuman: May I take kralet {k}?\n\nAssistant:",
         "chosen": f"\n\nHuman: May I take kralet {k}?\n\nAssistant: No.", "rejected": " Yes."}
        for k in range(20)
    ]  # fmt: skip
    (tmp_path / "hh.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = "{source: hh_rlhf, path: hh.jsonl, documents: pairs, held_out: 0.1}"
    file.write_text(changed(
        file.read_text(), ("  demos: {source: file, path: demos.jsonl}", f"  demos: {source}"),
        ("kind: sft", "kind: dpo"),
    ))  # fmt: skip
    told = refused(file, tmp_path)
    assert "corpora.demos" in told and "hh.jsonl: no usable rows" in told
