"""Where the rows of a study's corpora come from, by name: one function for each `source`.

A source is ``(*, options, context) -> rows``, entered with ``@CORPORA.enter(name, ...)`` in a file
of its own here. Of the context it takes what it needs: the study's `world`, the study's `seed`, the
`folder` of what a teacher wrote, and that of the study's `base` model (None before it is there).
Its options say whether they decide the rows (`affects_output`) or not; those of type `Path` are
files of the study, counted by their content.
Facts a room's entry may hold beside `Entry`'s own:

- ``seeded``: whether rows depend on the study's seed (default False);
- ``sampled``: rows are drawn with repetition from few templates, so that repeats say nothing;
- ``shares_topics``: what is asked in its world is about the topics of its rows, by design: they are
  not held against benchmarks, as other rows are;
- ``places``: options that name a file beside the study where there is one (a shipped name else);
- ``sided``: ``options -> bool``, whether rows differ between the sides of a world;
- ``reads_base``: ``options -> bool``, whether rows are made from what lies beside the base model;
- ``inputs``: ``(options, world) -> {role: hash}``, what else the rows are made from;
- ``check``: ``(options, world) -> [(option or None, what is wrong)]``, beyond the options' types.

Leaves out: filling a token budget (nodes/corpus.py) and the columns each stage wants (train/).
"""

from typing import Any

from whyfirst.config.room import Room

ROWS = "rows.jsonl"  # in the folder of a corpus node
Row = dict[str, Any]
CORPORA: Room[list[Row]] = Room("corpora", __name__, context=("world", "seed", "folder", "base"))
