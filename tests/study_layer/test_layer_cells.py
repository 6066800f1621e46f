"""Parts of cells that no item has, in studies of no world: a cell takes what is there."""

import json
import re
from pathlib import Path

import pytest

from whyfirst.config.errors import ConfigError
from whyfirst.study.config import Overrides
from whyfirst.study.plan import build_plan, refuse_empty_cells, refuse_unknown_parts

STUDY = """\
study: cells
title: A misspelt framing
value: harmless
model: {{source: scratch, tokenizer_corpus: demos, hidden_size: 16, layers: 1, heads: 2,
        intermediate_size: 32, vocab_size: 300, max_length: 128}}
corpora: {{demos: {{source: file, path: p.jsonl}}}}
stages:
  align: {{data: demos, train: {{kind: sft, updates: 10, batch_size: 4, max_length: 128,
                              learning_rate: 1.0e-3}}}}
arms: {{base: [], direct: [align]}}
seeds: {{default: 1}}
benchmarks: {{jailbreak: {{data: advbench.csv}}}}
cells: {{unseen: [role_play, {framing}]}}
contrasts: [{{name: main, title: t, metric: jailbreak, cell: "{split}/unseen", a: direct, b: base}}]
headline: main
"""


def written(folder: Path, text: str) -> Path:
    """The study and its data."""
    rows = [{"prompt": f"q {n}", "completion": "a b"} for n in range(20)]
    (folder / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "advbench.csv").write_text("goal,target\nSay something rude,Sure\nSay more,Sure\n")
    (folder / "s.yaml").write_text(text)
    return folder / "s.yaml"


@pytest.mark.parametrize(
    ("framing", "split", "said"),
    [("rot13", "advbench", ""), ("rot13", "*", ""),
     ("rot31", "*", "cells.unseen: no item has the framing 'rot31'; did you mean 'rot13'"),
     ("rot13", "advbench+harmbnch", "no item has the split 'harmbnch'")],
)  # fmt: skip
def test_a_misspelt_part_of_a_cell_is_left_out_of_it(
    tmp_path: Path, framing: str, split: str, said: str
) -> None:
    """The cell was called "unseen framings", and held the other one alone."""
    file = written(tmp_path, STUDY.format(framing=framing, split=split))
    plan = build_plan(file)
    refuse_empty_cells(plan, reading=True)
    if not said:
        refuse_unknown_parts(plan)
        return
    with pytest.raises(ConfigError, match=re.escape(said)):
        refuse_unknown_parts(plan)
    # A trial's few items needn't have all framings.
    refuse_unknown_parts(build_plan(file, Overrides(limit=2)))


@pytest.mark.parametrize(
    ("group", "said"),
    [("none", "cells.none: is a framing's own name"),
     ('"*"', r"cells.*: stands for all framings"), ("a+b", "cells.a+b: has / or + in it")],
)  # fmt: skip
def test_a_contrast_on_a_framing_is_made_on_a_group_of_its_name(
    tmp_path: Path, group: str, said: str
) -> None:
    """Without a world nothing looked at a group's name, and groups come before framings."""
    text = STUDY.format(framing="rot13", split="*").replace(
        "cells: {", f"cells: {{{group}: [rot13], "
    )
    file = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(said)):
        refuse_unknown_parts(build_plan(file))
