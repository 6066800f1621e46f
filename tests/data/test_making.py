"""Transforms and selectors of a corpus: in order, what is left out counted, columns told."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import write_json, write_jsonl
from whyfirst.config.room import Use
from whyfirst.data.making import made
from whyfirst.study.config import load_study
from whyfirst.study.execute.graph import Node
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.rows_ahead import leaves_out

PAIR = {"prompt": "q", "chosen": "good", "rejected": "bad", "score_chosen": 8, "score_rejected": 3}


def done(rows: list[dict[str, Any]], *uses: Use, select: Use | None = None, n: int = 0) -> Any:
    return made(rows, uses, select, n, seed=0, name="pairs", context={}).held


def test_transforms_follow_each_other_and_what_is_left_out_is_counted() -> None:
    equal = PAIR | {"score_rejected": 8}
    after = done([PAIR, equal], Use(name="reward_augmented"), Use(name="corrections"))
    assert len(after.rows) == 4  # a pair, two goals, two mappings each
    assert after.left_out["1 reward_augmented"] == {"both responses have the same score": 1}
    assert after.left_out["2 corrections"] == {}


def test_a_selector_keeps_n_rows_and_says_how_many_went() -> None:
    rows = [PAIR | {"prompt": str(i)} for i in range(10)]
    after = done(rows, select=Use(name="random"), n=3)
    assert len(after.rows) == 3 and all(row in rows for row in after.rows)
    assert after.left_out["select random"] == {"not among the 3 selected": 7}


def test_more_rows_than_there_are_are_selected_in_silence() -> None:
    """All rows were kept, and a method that selects nothing was reported as one."""
    with pytest.raises(DataError, match="n is 50, and there are 2 rows"):
        done([PAIR, PAIR], select=Use(name="random"), n=50)


TALK = [{"role": "user", "content": "q"}]
SAID = [{"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    ("use", "row", "said"),
    [
        # "false" of a CSV file is a true text.
        ("honesty", {"prompt": "q", "samples": ["a"], "correct": ["false"]},
         "correct.0: expected true or false, found 'false'"),
        # A text is a list of letters.
        ("honesty", {"prompt": "q", "samples": "No", "correct": [False, True]},
         r"samples: expected a list.*found 'No' \(every value of a CSV file is text"),
        ("curriculum", {"prompt": "q", "scaffold": "One. Two.", "completion": "a"},
         "scaffold: expected a list"),
        ("siblings", {"prompt": "q", "trajectories": [{"steps": ["a"], "correct": "unknown"}]},
         "trajectories.0.correct: expected true or false"),
        ("trajectory_check", {"features": [1.0], "right": "false"}, "right: expected true or fal"),
        ("reward_augmented", PAIR | {"score_chosen": "8"}, "score_chosen: expected a number"),
        ("contamination", {"prompt": TALK, "completion": SAID}, "completion: expected text, found"),
        ("pairs_as", {"prompt": TALK, "chosen": SAID, "rejected": SAID}, "chosen: expected text"),
        ("corrections", {"prompt": TALK, "chosen": SAID, "rejected": SAID}, "give its words as te"),
        ("corrections", PAIR | {"prompt": [{"role": "user", "content": ["q"]}]},
         "prompt.0.content: expected text"),
    ],
)  # fmt: skip
def test_a_column_of_another_type_is_read_as_if_it_were_right(
    use: str, row: dict[str, Any], said: str
) -> None:
    """Or it ended with a traceback."""
    options = {"curriculum": {"stage": 1}, "pairs_as": {"form": "singles"}}.get(use, {})
    with pytest.raises(DataError, match=f"row 1: .*{said}"):
        done([row], Use(name=use, **options))


@pytest.mark.parametrize("selector", ["coverage", "information"])
def test_a_column_that_is_not_there_ends_with_a_traceback(selector: str) -> None:
    with pytest.raises(DataError, match=r"row 1: no text in column 'text'; .*'prompt'"):
        done([PAIR], select=Use(name=selector, column="text"), n=1)


def test_too_few_ratings_end_with_a_traceback() -> None:
    whole = {"prompt": "q", "responses": ["a", "b"], "ratings": [1, 2]}
    after = done([whole | {"ratings": [1]}, whole], Use(name="ratings_to_pairs"))
    assert len(after.rows) == 1
    assert after.left_out["1 ratings_to_pairs"] == {"not one rating for each response": 1}


def test_a_missing_column_is_told_by_row_and_method() -> None:
    with pytest.raises(DataError, match="row 2: no column 'rejected', which corrections needs"):
        done([PAIR, {"prompt": "q", "chosen": "a"}], Use(name="corrections"))


def test_a_node_of_a_tree_without_its_reward_is_told_by_its_place() -> None:
    """It ended with a traceback."""
    tree = {"instruction": "raw", "reward": 1.0, "children": [{"instruction": "better"}]}
    with pytest.raises(DataError, match=r"row 1: tree\.children\.0\.reward: .*; rewrites needs"):
        done([{"tree": tree}], Use(name="rewrites"))
    deep: dict[str, object] = tree
    for _ in range(3000):
        deep = {"instruction": "raw", "reward": 1.0, "children": [deep]}
    with pytest.raises(DataError, match="row 1: tree"):
        done([{"tree": deep}], Use(name="rewrites"))


def test_a_missing_column_is_told_by_its_line_in_the_file(tmp_path: Path) -> None:
    from whyfirst.data.rows import iter_rows

    whole = '{"prompt": "q", "chosen": "a", "rejected": "b"}'
    (tmp_path / "rows.jsonl").write_text(whole + '\n\n\n{"prompt": "q", "chosen": "a"}\n')
    with pytest.raises(DataError, match="row 4: no column 'rejected'"):
        done(list(iter_rows(tmp_path / "rows.jsonl")), Use(name="corrections"))


def test_a_transform_that_leaves_nothing_says_why() -> None:
    with pytest.raises(DataError, match=r"leaves no row: both responses have the same score \(1\)"):
        done([PAIR | {"score_rejected": 8}], Use(name="reward_augmented"))


STUDY = """
study: transformed
title: rows in another form
model: {source: scratch, tokenizer_corpus: plain, hidden_size: 8, layers: 1, heads: 1}
corpora:
  plain: {source: file, path: rows.jsonl}
  pairs: {source: file, path: rows.jsonl, transforms: [TRANSFORM], select: {name: random, n: 4}}
stages:
  align: {data: pairs, train: {kind: dpo, updates: 10, batch_size: 2}}
arms: {base: [], direct: [align]}
seeds: 1
benchmarks: {truthfulqa: {data: rows.jsonl}}
"""


def study(folder: Path, transform: str) -> Path:
    import json

    rows = [PAIR | {"prompt": f"question {i}"} for i in range(12)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = folder / "study.yaml"
    file.write_text(STUDY.replace("TRANSFORM", transform))
    return file


def test_a_transform_is_one_word_in_a_corpus_and_counts_in_its_fingerprint(tmp_path: Path) -> None:
    def fingerprints(transform: str) -> dict[str, str]:
        loaded = load_study(study(tmp_path, transform))
        return {name: str(use.for_fingerprint()) for name, use in loaded.corpora.items()}

    one, other = fingerprints("reward_augmented"), fingerprints("{name: reward_augmented, most: 5}")
    assert one["plain"] == other["plain"] and one["pairs"] != other["pairs"]
    assert "transforms" not in one["plain"]
    told = r"study.yaml:7: corpora.pairs.transforms\[0\].mst: unknown"
    with pytest.raises(ConfigError, match=told):
        fingerprints("{name: reward_augmented, mst: 5}")
    with pytest.raises(ConfigError, match="did you mean 'reward_augmented'"):
        fingerprints("reward_augmentd")


def test_counts_of_what_is_left_out_are_plain_numbers() -> None:
    after = done([PAIR, PAIR], Use(name="reward_augmented"))
    assert all(isinstance(counts, Counter) for counts in after.left_out.values())


def test_rows_that_a_method_leaves_out_are_told_nowhere(tmp_path: Path) -> None:
    """They were counted beside the corpus, and neither a plan nor a report said so."""
    rows = [PAIR | {"prompt": f"question {i}"} for i in range(4)]
    rows[1]["score_rejected"] = rows[1]["score_chosen"]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    payload = {
        "config": {"corpus": "pairs", "source": "file", "seed": 0},
        "use": {"name": "file", "path": str(tmp_path / "rows.jsonl")},
        "transforms": [{"name": "reward_augmented"}],
        "select": None,
    }
    node = Node("corpus:pairs", "corpus", "0" * 24, (), payload)
    store = Store(tmp_path / "store")
    store.create()
    said = (
        "corpus 'pairs': 1 reward_augmented leaves out 1 rows (both responses have the same score"
    )
    [ahead] = leaves_out([node], store)
    assert ahead.startswith(said)
    # Once it is made, what stands beside it is told, and nothing is gone through again.
    folder = store.prepare(*node.key)
    write_json(folder / "corpus.json", {"left_out": {"reward_augmented": {"why": 2}}})
    store.finish(*node.key, {"payload": payload, "inputs": {}, "run": {"seconds": 1.0}})
    assert leaves_out([node, node], store) == [
        "corpus 'pairs': reward_augmented leaves out 2 rows (why: 2)"
    ]


def test_a_corpus_of_many_rows_is_held_in_memory(tmp_path: Path) -> None:
    """The node itself: rows are taken one after the other."""
    import json
    import tracemalloc

    from whyfirst.study.nodes import corpus
    from whyfirst.study.plan import build_plan

    def peak(rows: int) -> int:
        folder = tmp_path / str(rows)
        folder.mkdir()
        file = study(folder, "reward_augmented")
        file.write_text(file.read_text().replace(", select: {name: random, n: 4}", ""))
        row = json.dumps(PAIR | {"prompt": "a question of some length " * 8})
        (folder / "rows.jsonl").write_text((row + "\n") * rows)
        node = build_plan(file).by_id["corpus:pairs"]
        place = folder / "store" / "corpus" / node.fingerprint
        place.mkdir(parents=True)
        tracemalloc.start()
        corpus.KIND.run(node.payload, [], place, lambda done, total, text: None)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert json.loads((place / "corpus.json").read_text())["rows"] == 2 * rows
        return most

    peak(10)  # what is imported and built once
    # A reader's buffer takes some 3 MB; 3,000 rows and the 6,000 made of them take 6 MB more.
    assert peak(3000) < 5_000_000


def test_a_draw_is_the_same_at_every_seed(tmp_path: Path) -> None:
    """Of a source that counts no seed itself: three seeds of `random` were one draw. A corpus that
    nothing draws for is one node, as it was."""
    from whyfirst.study.nodes import corpus
    from whyfirst.study.plan import build_plan

    file = study(tmp_path, "reward_augmented")
    file.write_text(file.read_text().replace("seeds: 1", "seeds: {default: 3}"))
    nodes = [node for node in build_plan(file).nodes if node.kind == "corpus"]
    assert [node.id for node in nodes if node.name == "plain"] == ["corpus:plain"]
    drawn = []
    for node in (node for node in nodes if node.name == "pairs"):
        place = tmp_path / "store" / "corpus" / node.fingerprint
        place.mkdir(parents=True)
        corpus.KIND.run(node.payload, [], place, lambda done, total, text: None)
        drawn.append((place / "rows.jsonl").read_text())
    assert len(drawn) == 3 and len(set(drawn)) == 3


def test_texts_are_compared_by_hashed_words_where_an_encoder_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder reached no selector, and was no part of what identifies its rows."""
    import numpy as np

    from whyfirst.models import embed
    from whyfirst.study.nodes import corpus
    from whyfirst.study.plan import build_plan

    file = study(tmp_path, "reward_augmented")
    random = build_plan(file).by_id["seed0/corpus:pairs"].fingerprint
    file.write_text(file.read_text().replace("name: random", "name: coverage"))
    lexical = build_plan(file).by_id["seed0/corpus:pairs"].fingerprint
    seen: list[str] = []

    def encoder(texts: Any) -> Any:
        seen.extend(texts)
        return np.eye(len(texts))

    for module in (corpus, embed):
        monkeypatch.setattr(module, "embedder", lambda: encoder)
    node = build_plan(file).by_id["seed0/corpus:pairs"]
    assert node.payload["config"]["embedding"] == "encoder" and node.fingerprint != lexical
    place = tmp_path / "store" / "corpus" / node.fingerprint
    place.mkdir(parents=True)
    corpus.KIND.run(node.payload, [], place, lambda done, total, text: None)
    assert len(seen) == 24
    file.write_text(file.read_text().replace("name: coverage", "name: random"))
    assert build_plan(file).by_id["seed0/corpus:pairs"].fingerprint == random
