"""FairEval's people: ChatGPT against Vicuna-13B on 80 questions.

Wang et al. 2023, arXiv 2305.17926. Leaves out: the judges' verdicts, which were not published.
"""

from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.published import one_file, read_text
from whyfirst.evaluate.judges.published import REPRODUCTIONS, Figure

_NAMES = {"CHATGPT": "wins of ChatGPT", "TIE": "ties", "VICUNA13B": "wins of Vicuna-13B"}
_PUBLISHED = {"CHATGPT": 41, "TIE": 14, "VICUNA13B": 25}


@REPRODUCTIONS.enter(
    "faireval",
    paper="Wang et al. 2023, arXiv 2305.17926",
    needs="review/review_gpt35_vicuna-13b_human.txt",
    tested="41 / 14 / 25 of 80",
)
def faireval(*, data: Path) -> list[Figure]:
    """People's labels, counted."""
    file = one_file(data, ["review_gpt35_vicuna-13b_human.txt"], "faireval")
    lines = read_text(file).split()
    for number, line in enumerate(lines, start=1):
        if line not in _NAMES:
            raise DataError(f"{file}: row {number}: not one of {', '.join(_NAMES)}: {line[:40]!r}")
    return [
        Figure(what, _PUBLISHED[name], [line == name for line in lines])
        for name, what in _NAMES.items()
    ]
