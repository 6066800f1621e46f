"""Where the rows of a study's corpora come from: one function for each `source`.

Leaves out: filling a token budget (kinds.py) and the columns each stage wants (train/).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_jsonl

ROWS = "rows.jsonl"  # of a corpus node


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """What a row trains on, a text for each of its replies."""
    if "text" in row:
        return [row["text"]]
    replies = [row[name] for name in ("completion", "chosen", "rejected") if name in row]
    return [plain(row["prompt"]) + plain(reply) for reply in replies or [""]]


def plain(part: Any) -> str:
    """A text as it is, or the words of a list of messages."""
    return part if isinstance(part, str) else "\n".join(str(turn["content"]) for turn in part)


def _hearth_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.worlds.hearth.teacher import corpus_rows

    return corpus_rows(
        config["documents"],
        world_seed=config["world_seed"],
        seed=config["seed"],
        value=config["value"],
        size=config["size"],
        tokens=config["tokens"],
        contrary=config["contrary"],
    )


def _constitution_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.constitution import load_constitution
    from whyfirst.explain import template

    write = {
        "explanations": template.explanations,
        "rules": template.rules,
        "more_rules": template.more_rules,
        "shuffled": template.shuffled,
        "neutral": template.neutral,
    }[config["documents"]]
    constitution = load_constitution(path or config["constitution"])
    # A document has well over ten tokens, so this many are enough to choose from.
    count = min(2000, config["tokens"] // 10 + 50)
    return [doc.row() for doc in write(constitution, count, config["seed"], config["values"])]


def _written_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    """Rows of a folder that a teacher's writing left, without the moment of writing."""
    assert path is not None
    rows = read_jsonl(Path(path) / f"{config['documents']}.jsonl")
    return [{name: part for name, part in row.items() if name != "created"} for row in rows]


def _hh_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    from whyfirst.data.hh_rlhf import training_pairs

    assert path is not None
    pairs = training_pairs(Path(path), config["held_out"], config["max_characters"])
    pairs = pairs[: config["size"]]
    match config["documents"]:
        case "pairs":
            return [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]
        case "demonstrations":
            return [{"prompt": p.prompt, "completion": p.chosen} for p in pairs]
        case "prompts":
            return [{"prompt": prompt} for prompt in dict.fromkeys(p.prompt for p in pairs)]
        case "responses":
            return [
                {"prompt": p.prompt, "completion": text, "label": good}
                for p in pairs
                for text, good in ((p.chosen, True), (p.rejected, False))
            ]
        case _:
            return [{"text": p.prompt + p.chosen} for p in pairs]


def _file_rows(config: Mapping[str, Any], path: str | None) -> list[dict[str, Any]]:
    assert path is not None
    rows = read_jsonl(Path(path), whole_characters=True)
    if not rows:
        raise DataError(f"{path}: no rows")
    return rows[: config.get("size")]


SOURCES: dict[str, Callable[[Mapping[str, Any], str | None], list[dict[str, Any]]]] = {
    "hearth": _hearth_rows,
    "constitution": _constitution_rows,
    "written": _written_rows,
    "hh_rlhf": _hh_rows,
    "file": _file_rows,
}
