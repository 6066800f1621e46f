"""Every item with every arm's answer, compact: what the report's item browser reads.

`report/items.json` stands beside results.json, so that a report is rebuilt without the store. Texts
are kept once each and named by number, since many answers are alike; a row of `items` is

    [id, metric, prompt, target, [split, framing, topic, value, group], offensive, answers]

where metric, prompt, target and the labels are numbers into their lists (-1: none) and `answers`
has, for each arm, 0 (not asked) or [verdict, response, reason, passes, scored]: verdict 0 fail,
1 pass, 2 unscored. Answers are of the lowest seed; passes and scored count over all seeds.
Leaves out: showing it (templates/browser.js).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from operator import lt
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json, read_jsonl, sha256_json, write_json
from whyfirst.config.text import safe_text
from whyfirst.evaluate.item import explained
from whyfirst.report.schema import Results
from whyfirst.report.unit import ITEMS_FILE, refuse_torn
from whyfirst.report.words import shorten

ITEMS_VERSION = 1
LABELS = ("split", "framing", "topic", "value", "group")
ITEM_LIMIT = 20_000
#: characters of one text, the first with which all of them fit into the budget
TEXT_LIMITS = (1_500, 600, 300, 120)
TEXT_BUDGET = 48_000_000
VERDICTS = {"fail": 0, "pass": 1, "unscored": 2}

File = tuple[str, int, Path]  # arm, seed, items.jsonl


Place = Annotated[int, Field(ge=-1, strict=True)]  # in a list; -1 for none
Tally = Annotated[int, Field(ge=0, strict=True)]
AnswerRow = Literal[0] | tuple[Literal[0, 1, 2], Place, Place, Tally, Tally]
ItemRow = tuple[str, Place, Place, Place, list[Place], Literal[0, 1], list[AnswerRow]]


class _Kept(BaseModel):
    """items.json as this module's head tells it."""

    arms: list[str]
    metrics: list[str]
    labels: dict[str, list[str]]
    texts: list[str]
    reasons: list[str]
    seed: Place
    total: Tally
    text_limit: Tally
    items: list[ItemRow]


@dataclass
class _Item:
    """One prompt under one metric, as it is gathered."""

    row: Mapping[str, Any]
    answers: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)

    def take(self, arm: str, seed: int, row: Mapping[str, Any]) -> None:
        # Answers of the lowest seed, whatever the order of the files.
        if arm not in self.answers or seed < self.answers[arm][0]:
            self.answers[arm] = (seed, row)
        tally = self.counts.setdefault(arm, [0, 0])
        tally[0] += row["verdict"] == "pass"
        tally[1] += row["verdict"] != "unscored"


def _place(known: dict[str, int], text: str | None, limit: int) -> int:
    """A text's number among the distinct ones, as it is shown: safe and cut; None is -1."""
    return -1 if text is None else known.setdefault(safe_text(shorten(text, limit)), len(known))


def run_mark(results: Results) -> str:
    """What ties items to results: the hash over the fingerprints of everything in the run."""
    return sha256_json(results.fingerprints)


def collect_items(files: Iterable[File], results: Results) -> dict[str, Any]:
    """The items of a run.

    Args:
        files: (arm, seed, items.jsonl) of each evaluation to show, in any order.
        results: of the same run; gives the order of arms and metrics.

    Returns:
        JSON-able data, the same for the same files; `write_items` keeps it.
    """
    found: dict[tuple[str, str], _Item] = {}
    for arm, seed, path in sorted(files, key=lambda one: (one[1], one[0], str(one[2]))):
        for row in read_jsonl(path):
            if row["benchmark"] in results.benchmarks:
                key = (row["benchmark"], str(row["id"]))
                found.setdefault(key, _Item(row)).take(arm, seed, row)
    metrics = list(results.benchmarks)
    keys = sorted(found, key=lambda key: (metrics.index(key[0]), key[1]))
    if len(keys) > ITEM_LIMIT:
        # By a hash and not the first ones: the sample leans to no split, and stays the same.
        by_hash = sorted(keys, key=lambda key: hashlib.sha256("/".join(key).encode()).digest())
        kept = set(by_hash[:ITEM_LIMIT])
        keys = [key for key in keys if key in kept]
    chosen = {key: found[key] for key in keys}
    texts = {
        text
        for item in chosen.values()
        for _, row in item.answers.values()
        for text in (row.get("prompt"), row.get("response"), row.get("target"))
        if text
    }
    limit = next(
        (most for most in TEXT_LIMITS[:-1]
         if sum(min(len(text), most) for text in texts) <= TEXT_BUDGET),
        TEXT_LIMITS[-1],
    )  # fmt: skip
    return packed(chosen, results, limit) | {"total": len(found), "text_limit": limit}


def packed(items: Mapping[tuple[str, str], _Item], results: Results, limit: int) -> dict[str, Any]:
    """Items as the lists of strings and the rows of numbers that are kept."""
    texts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    labels: dict[str, dict[str, int]] = {name: {} for name in LABELS}
    metrics = list(results.benchmarks)
    seeds = [seed for item in items.values() for seed, _ in item.answers.values()]

    def text(row: Mapping[str, Any], name: str) -> int:
        return _place(texts, row.get(name), limit)

    def answer(item: _Item, arm: str) -> Any:
        if arm not in item.answers:
            return 0
        _, row = item.answers[arm]
        reason = _place(reasons, explained(row.get("reason"), row.get("raw")), limit)
        return [VERDICTS[row["verdict"]], text(row, "response"), reason, *item.counts[arm]]

    rows = [
        [
            safe_text(name), metrics.index(metric),
            text(item.row, "prompt"), text(item.row, "target"),
            [_place(labels[one], item.row.get(one), 120) for one in LABELS],
            int(any(row.get("offensive") for _, row in item.answers.values())),
            [answer(item, arm) for arm in results.arms],
        ]
        for (metric, name), item in items.items()
    ]  # fmt: skip
    return {
        "items_version": ITEMS_VERSION,
        "run": run_mark(results),
        "seed": min(seeds, default=0),
        "arms": list(results.arms),
        "metrics": metrics,
        "labels": {name: list(known) for name, known in labels.items()},
        "texts": list(texts),
        "reasons": list(reasons),
        "items": rows,
    }


def write_items(data: Mapping[str, Any], results_path: Path) -> Path:
    """Keep items beside their results.json; returns the written file."""
    path = results_path.with_name(ITEMS_FILE)
    write_json(path, dict(data), keep_order=True)
    return path


def load_items(path: Path, results: Results) -> dict[str, Any] | None:
    """The items beside results, or None where there are none.

    Raises:
        DataError: the file is torn, of another version, or of another run than the results.
    """
    refuse_torn(path)
    if not path.is_file():
        return None
    data = read_json(path)
    version = data.get("items_version") if isinstance(data, dict) else None
    if version != ITEMS_VERSION:
        raise DataError(
            f"{path}: items of version {version!r}, this program reads version {ITEMS_VERSION}: "
            "remove the file, or run the study again to have it written anew"
        )
    if data.get("run") != run_mark(results):
        raise DataError(
            f"{path}: these items are of another run than results.json beside them: remove the "
            "file, or run the study again to have both written anew"
        )
    problem = problem_of(data, results)
    if problem:
        raise DataError(f"{path}: {problem}: remove the file, or run the study again")
    return dict(data)


def problem_of(data: Mapping[str, Any], results: Results) -> str:
    """What is wrong with items that another program wrote or a hand changed; "" for none."""
    try:
        kept = _Kept.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if kept.arms != list(results.arms):
        return "its arms are not those of results.json"
    if not set(kept.metrics) <= set(results.benchmarks):
        return "a metric of it is not in results.json"
    if set(LABELS) - set(kept.labels):
        return "'labels' lacks " + ", ".join(sorted(set(LABELS) - set(kept.labels)))
    texts, reasons = len(kept.texts), len(kept.reasons)
    kinds = [len(kept.labels[name]) for name in LABELS]
    # The browser reads by place, so that every number must be a place that is there.
    for number, (_, metric, prompt, target, labels, _, answers) in enumerate(kept.items):
        asked = [answer for answer in answers if answer != 0]
        inside = max([prompt, target, *(answer[1] for answer in asked)]) < texts
        inside &= max((answer[2] for answer in asked), default=-1) < reasons
        inside &= 0 <= metric < len(kept.metrics) and len(answers) == len(kept.arms)
        inside &= len(labels) == len(kinds) and all(map(lt, labels, kinds))
        if not inside:
            return f"item {number} is not as this program writes them"
    return ""
