"""Mistakes of a user through the real command: exit 2, one message, no traceback, nothing lost."""

import json
import shutil
import subprocess
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished
from store_checks import artifacts, verify

from whyfirst.config.errors import ConfigError
from whyfirst.study.config import Overrides
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.evaluation import task_of
from whyfirst.study.plan import build_plan

FILES = """\
study: files
title: Rows of files
model: {source: scratch, tokenizer_corpus: texts, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 64}
corpora:
  texts: {source: file, path: texts.jsonl}
  demos: {source: file, path: demos.jsonl}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 2, updates: UPDATES, max_length: 64}}
arms: {base: [], direct: [align]}
seeds: {default: 1}
benchmarks: {preference: {data: pairs.jsonl}}
contrasts:
  - {name: main, title: main, metric: preference_sum, a: direct, b: base}
headline: main
"""


def file_study(folder: Path, updates: int = 10) -> Path:
    """A study on files, each with good rows."""
    things = ("kralet", "glimfen", "dorrow", "velp")
    prompts = [f"Human: How do I use the {thing}?\n\nAssistant:" for thing in things]
    demos = [{"prompt": p, "completion": f" Hold the {t}."} for p, t in zip(prompts, things)]  # noqa: B905
    pairs = [
        {"prompt": f"\n\n{p}", "chosen": f" Hold the {t}.", "rejected": " Drop it."}
        for p, t in zip(prompts, things, strict=True)
    ]
    texts = [{"text": p} for p in prompts]
    for name, rows in (("texts", texts), ("demos", demos), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    path = folder / "files.yaml"
    path.write_text(FILES.replace("UPDATES", str(updates)))
    return path


def attempt(file: Path, folder: Path, assets: Path | None = None) -> tuple[int, str, str]:
    return layer.run(file, folder / "store", folder / "out", assets)


CHEAP = {
    "unknown key": ("checkpoint_every: 10", "checkpoint_evry: 10", "did you mean 'checkpoint_ev"),
    "undefined stage": ("[explain, align]", "[explian, align]", "did you mean 'explain'?"),
    "cycle": ("[explain, align]", "[align, align]", "comes twice in one arm"),
    "no base of the world": ("seed: 3", "seed: 77", "whyfirst hearth build --world 77"),
}


@pytest.mark.parametrize("what", CHEAP)
def test_mistake_in_the_file_ends_the_command_before_it_writes(
    tmp_path: Path, base_assets: Path, what: str
) -> None:
    old, new, said = CHEAP[what]
    file = layer.write(tmp_path, (old, new))
    errors = layer.one_message(*attempt(file, tmp_path, base_assets), said)
    assert what == "no base of the world" or f"{file}:" in errors
    assert not (tmp_path / "store").exists() and not (tmp_path / "out").exists()


def test_missing_study_file_and_missing_data_file_are_named(tmp_path: Path) -> None:
    layer.one_message(*attempt(tmp_path / "none.yaml", tmp_path), "none.yaml: no such file")
    file = file_study(tmp_path)
    (tmp_path / "demos.jsonl").unlink()
    layer.one_message(*attempt(file, tmp_path), "corpora.demos.path", "demos.jsonl")


def test_row_that_teaches_nothing_is_refused_before_any_work(tmp_path: Path) -> None:
    """Explanations were written and trained on before an empty response stopped the study."""
    file = file_study(tmp_path)
    rows = (tmp_path / "demos.jsonl").read_text().splitlines()
    empty = json.dumps({"prompt": "Human: How?\n\nAssistant:", "completion": " "})
    (tmp_path / "demos.jsonl").write_text("\n\n".join([*rows[:2], empty, rows[3]]) + "\n")
    said = ("corpora.demos", "rows 5 have an empty", "stages.align (sft) reads it")
    layer.one_message(*attempt(file, tmp_path), *said)
    assert not (tmp_path / "store").exists()


def test_what_is_complete_is_lost_when_a_stage_refuses_its_rows(tmp_path: Path) -> None:
    file = file_study(tmp_path)
    good = (tmp_path / "demos.jsonl").read_text()
    rows = good.splitlines()
    long = json.dumps({"prompt": "Human: How?\n\nAssistant:", "completion": " so" * 999})
    (tmp_path / "demos.jsonl").write_text("\n".join([*rows[:2], long, rows[3]]) + "\n")
    layer.one_message(*attempt(file, tmp_path), "longer than max_length", "complete is kept")
    done = set(artifacts(Store(tmp_path / "store")))
    assert {"base", "evaluation"} <= {kind for kind, _ in done}
    (tmp_path / "demos.jsonl").write_text(good)
    code, printed, errors = attempt(file, tmp_path)
    assert code == 0, errors
    kept = {key for key in done if key[0] != "corpus"}  # the demonstrations were others
    assert layer.summary(printed)["reused"] >= len(kept)
    assert done < set(artifacts(Store(tmp_path / "store")))


def test_stage_of_too_few_updates_is_refused_as_a_silent_no_op(tmp_path: Path) -> None:
    file = file_study(tmp_path, updates=3)
    said = ("files.yaml:9: stages.align.train.updates", "3 weight updates are fewer than 10")
    layer.one_message(*attempt(file, tmp_path), *said, "no-op")
    assert not (tmp_path / "store").exists()
    rare = file.read_text().replace("updates: 3", "epochs: 2")
    file.write_text(rare)
    layer.one_message(*attempt(file, tmp_path), "stages.align.train: 2 epochs of at most 4 rows")
    assert not (tmp_path / "store").exists()


def test_rows_that_a_transform_makes_several_of_are_counted_as_one(tmp_path: Path) -> None:
    """Four pairs as eight singles: 12 updates in three epochs, refused as 6."""
    file = file_study(tmp_path)
    text = file.read_text().replace("path: demos.jsonl", "path: pairs.jsonl, MADE")
    text = text.replace("kind: sft, batch_size: 2, updates: 10", "kind: kto, batch_size: 2, "
                        "epochs: 3")  # fmt: skip
    singles = "transforms: [{name: pairs_as, form: singles}]"
    file.write_text(text.replace("MADE", singles))
    build_plan(file)
    # What a selector keeps of them is known.
    file.write_text(text.replace("MADE", f"{singles}, select: {{name: random, n: 4}}"))
    with pytest.raises(ConfigError, match="3 epochs of at most 4 rows in batches of 2 are at mos"):
        build_plan(file)


def test_rows_longer_than_the_model_reads_are_refused_before_anything_is_run(
    tmp_path: Path,
) -> None:
    file = file_study(tmp_path)
    file.write_text(file.read_text().replace("updates: 10, max_length: 64", "updates: 10"))
    said = "stages.align.train.max_length: 256 tokens exceed the model's context of 64"
    layer.one_message(*attempt(file, tmp_path), said)
    assert not (tmp_path / "store").exists()


def test_store_of_another_layout_is_refused_and_left_as_it_is(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    (store / "STORE.json").write_text('{"layout": 99}')
    end = layer.run(finished.file, store, tmp_path / "out", base_assets)
    layer.one_message(*end, "layout 99", "choose another store folder")
    assert [path.name for path in store.iterdir()] == ["STORE.json"]


def test_folder_that_is_no_store_is_not_written_into(
    finished: Finished, base_assets: Path, tmp_path: Path
) -> None:
    store = tmp_path / "photos"
    store.mkdir()
    (store / "cat.jpg").write_bytes(b"cat")
    end = layer.run(finished.file, store, tmp_path / "out", base_assets)
    layer.one_message(*end, "neither empty nor a whyfirst store")
    assert [path.name for path in store.iterdir()] == ["cat.jpg"]


def test_full_disk_keeps_what_is_complete_and_the_same_command_continues(
    finished: Finished, base_assets: Path, tmp_path: Path, tiny_disk: Path
) -> None:
    store = tiny_disk / "store"
    end = layer.run(finished.file, store, tmp_path / "out", base_assets)
    layer.one_message(*end, "No space left on device", "run the same command again")
    kept = set(artifacts(Store(store)))
    assert all(verify(Store(store), *key) == [] for key in kept)
    mount = ["mount", "-o", "remount,size=64m", str(tiny_disk)]
    subprocess.run(mount, check=True)
    code, printed, errors = layer.run(finished.file, store, tmp_path / "out", base_assets)
    assert code == 0, errors
    assert layer.summary(printed)["reused"] == len(kept)
    assert layer.result_text(tmp_path / "out") == layer.result_text(finished.out)


def test_read_only_run_folder_loses_nothing_that_was_computed(
    finished: Finished, base_assets: Path, tmp_path: Path, tiny_disk: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    store = tmp_path / "store"
    shutil.copytree(finished.store, store)
    end = layer.run(finished.file, store, tiny_disk / "out", base_assets)
    layer.one_message(*end, str(tiny_disk / "out"), "the file system is read-only")
    code, printed, errors = layer.run(finished.file, store, tmp_path / "out", base_assets)
    assert code == 0, errors
    assert layer.summary(printed)["computed"] == 0


def test_full_disk_under_the_report_leaves_no_torn_results(
    finished: Finished, base_assets: Path, tmp_path: Path, tiny_disk: Path
) -> None:
    (tiny_disk / "filler").write_bytes(b"x" * (1 << 20) * 1)
    end = layer.run(finished.file, finished.store, tiny_disk / "out", base_assets)
    layer.one_message(*end, str(tiny_disk / "out"), "the disk is full")
    (tiny_disk / "filler").unlink()
    code, _, errors = layer.run(finished.file, finished.store, tiny_disk / "out", base_assets)
    assert code == 0, errors
    assert layer.result_text(tiny_disk / "out") == layer.result_text(finished.out)


def test_a_limit_of_none_is_the_benchmarks_own(tmp_path: Path) -> None:
    """`factors` asks about 200 pairs where nothing is said, and `limit: null` said nothing."""
    pairs = [{"prompt": f"\n\nHuman: What is {n}?\n\nAssistant:", "chosen": f" The number {n}.",
              "rejected": " No."} for n in range(210)]  # fmt: skip
    file = file_study(tmp_path)
    text = file.read_text()
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    found, prints = {}, {}
    for said in ("", ", limit: null", ", limit: 205"):
        file.write_text(text.replace("preference: {data: pairs.jsonl}",
                                     f"factors: {{data: pairs.jsonl{said}}}")
                        .replace("metric: preference_sum", "metric: factor_length"))  # fmt: skip
        node = build_plan(file).by_id["base/factors"]
        found[said], prints[said] = len(set(task_of(node.payload).prompts)), node.fingerprint
    assert list(found.values()) == [200, 210, 205]
    assert len(set(prints.values())) == 3
    # Less of everything is less of all of them, and what isn't said stays unsaid.
    file.write_text(file.read_text().replace(", limit: 205", ""))
    node = build_plan(file, Overrides(model=None, limit=300)).by_id["base/factors"]
    assert len(set(task_of(node.payload).prompts)) == 210 and "nulls" not in node.payload["config"]
