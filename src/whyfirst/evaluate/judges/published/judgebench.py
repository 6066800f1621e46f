"""JudgeBench's judges on 350 pairs of GPT-4o's answers with checkable labels.

Tan et al. 2024, arXiv 2410.12784. Leaves out: running their judges, and the pairs of other models.
"""

from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.data.published import found_files, json_lines, one_file
from whyfirst.evaluate.judges import TURNED, Winner
from whyfirst.evaluate.judges.protocols import Judged, Said
from whyfirst.evaluate.judges.published import REPRODUCTIONS, Figure

_WINNERS: dict[str | None, Winner] = {"A>B": "a", "B>A": "b", "A=B": "tie"}
_PARTS = {"mmlu-pro": ("knowledge", 154), "livebench-reasoning": ("reasoning", 98),
          "livebench-math": ("mathematics", 56), "livecodebench": ("coding", 42)}  # fmt: skip
#: judge's file -> correct pairs
_JUDGES = {
    "arena_hard,judge_model=o1-mini-2024-09-12": 230,
    "reward_model,judge_model=Skywork_Skywork-Reward-Gemma-2-27B": 225,
    "reward_model,judge_model=internlm_internlm2-20b-reward": 222,
    "reward_model,judge_model=Skywork_Skywork-Reward-Llama-3.1-8B": 218,
    "reward_model,judge_model=internlm_internlm2-7b-reward": 208,
    "reward_model,judge_model=Ray2333_GRM-Gemma-2B-rewardmodel-ft": 208,
}
#: as published, and as mirrors of a folder without commas name it
_FILES = ["*response_model=gpt-4o-2024-05-13.jsonl", "*judgebench_gpt-4o-2024-05-13.jsonl"]
_O1 = next(iter(_JUDGES))


@REPRODUCTIONS.enter(
    "judgebench",
    paper="Tan et al. 2024, arXiv 2410.12784",
    needs="its data file, and its outputs for the judges' figures",
    tested="230 of 350 and 110 inconsistent; 225, 222, 218, 208, 208; always the first: 193 and 0",
)
def judgebench(*, data: Path) -> list[Figure]:
    """What the pairs are, and the pairs that each judge has right."""
    file = one_file(data, _FILES, "judgebench")
    rows = list(json_lines(file))
    labels = [_label(file, number, row) for number, row in rows]
    topics = [str(row.get("source")) for _, row in rows]
    found = [
        Figure(f"pairs of {part}", n, [topic.startswith(start) for topic in topics])
        for start, (part, n) in _PARTS.items()
    ]
    first = [Judged(label, "a", "b") for label in labels]
    found += [
        Figure("always the first, one order", 193, [row.forward == row.label for row in first]),
        Figure("always the first, both orders", 0, [row.correct for row in first]),
    ]
    for judge, published in _JUDGES.items():
        said = found_files(data, [f"*gpt-4o-2024-05-13,judge_name={judge}.jsonl"])
        short = judge.replace(",judge_model=", ": ")
        if not said:
            found.append(Figure(short, published, missing=f"outputs/...{judge}.jsonl"))
            continue
        answers = list(json_lines(said[0]))
        judged = [_judged(said[0], number, row) for number, row in answers]
        of = [str(row.get("source")) for _, row in answers]
        found.append(Figure(short, published, [row.correct for row in judged], of))
        if judge == _O1:
            flags = [not row.consistent for row in judged]
            found.append(Figure(f"{short}, inconsistent", 110, flags, of))
    return found


def _label(file: Path, number: int, row: dict[str, Any]) -> Winner:
    if row.get("label") not in ("A>B", "B>A"):
        raise DataError(f"{file}: row {number}: 'label' is neither A>B nor B>A")
    return _WINNERS[row["label"]]


def _judged(file: Path, number: int, row: dict[str, Any]) -> Judged:
    games = row.get("judgments")
    if not isinstance(games, list) or len(games) != 2:
        raise DataError(f"{file}: row {number}: 'judgments' has not two of them")
    said: list[Said] = [_WINNERS.get(game["decision"]) if game else None for game in games]
    back = None if said[1] is None else TURNED[said[1]]
    return Judged(_label(file, number, row), said[0], back)
