"""HH-RLHF (Bai et al. 2022, arXiv 2204.05862): the training half of a split by prompt hash.

Leaves out: the held-out half, which benchmarks score.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated, Literal

from whyfirst.config.strict import affects_output, runtime_only
from whyfirst.data.rows import Row as Line
from whyfirst.study.sources import CORPORA, Note, Row, unnoted


@CORPORA.enter(
    "hh_rlhf", paper="Bai et al. 2022, arXiv 2204.05862", licence="MIT",
    several=lambda options: options.get("documents") == "responses",
    # The first rows were those of the first folders.
    revised=lambda options: {} if options["size"] is None else {"chosen_by": "prompt hash"},
)  # fmt: skip
def hh_rlhf(
    *,
    path: Annotated[Path, runtime_only(description="file or folder; its content counts")],
    documents: Annotated[
        Literal["demonstrations", "pairs", "prompts", "responses", "texts"], affects_output()
    ],
    held_out: Annotated[float, affects_output(gt=0, lt=1)] = 0.5,
    size: Annotated[int | None, affects_output(ge=1)] = None,
    max_characters: Annotated[int | None, affects_output(ge=1)] = None,
    note: Note = unnoted,
) -> list[Row]:
    """Rows of HH-RLHF: the training half of a split by prompt hash.

    Args:
        size: pairs, those of the lowest prompt hashes.
    """
    from whyfirst.data.hh_rlhf import prompt_hash, split_hh

    found, _ = split_hh(path, held_out)
    left_out = Counter(row.reason for row in found.skipped)
    pairs = [p for p in found.pairs if max_characters is None or p.characters <= max_characters]
    left_out["longer than `max_characters`"] = len(found.pairs) - len(pairs)
    if +left_out:
        note("left_out", {"0 hh_rlhf": dict(+left_out)})
    if size is not None:
        # By hash, since each folder is another kind of request, and in the given order.
        kept = sorted(range(len(pairs)), key=lambda at: prompt_hash(pairs[at].prompt))[:size]
        pairs = [pairs[at] for at in sorted(kept)]
    if documents == "prompts":
        return [{"prompt": prompt} for prompt in dict.fromkeys(p.prompt for p in pairs)]
    rows: list[Row] = []
    for pair in pairs:
        match documents:
            case "pairs":
                made: list[Row] = [
                    {"prompt": pair.prompt, "chosen": pair.chosen, "rejected": pair.rejected}
                ]
            case "demonstrations":
                made = [{"prompt": pair.prompt, "completion": pair.chosen}]
            case "responses":
                made = [
                    {"prompt": pair.prompt, "completion": text, "label": good}
                    for text, good in ((pair.chosen, True), (pair.rejected, False))
                ]
            case _:
                made = [{"text": pair.prompt + pair.chosen}]
        # With their lines, which name a row that a stage can't use; in a folder of files they
        # would name several.
        rows += (Line(row, pair.row) for row in made) if path.is_file() else made
    return rows
