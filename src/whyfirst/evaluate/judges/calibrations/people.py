"""Human in the loop: the pairs on which a judge's replies differ most go to people.

Wang et al. 2023 (FairEval, arXiv 2305.17926): balanced position diversity entropy of the single
replies of both orders; the most diverse share (20 % in the paper) is left to people. Their labels
may be given; without one a pair has no preference, with that reason. Leaves out: asking people.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from whyfirst.config.errors import DataError
from whyfirst.data.published import json_lines
from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference, Winner
from whyfirst.evaluate.judges.protocols import bpde

LEFT = "left to people: the judge's replies differ"
_WINNERS: dict[str, Winner] = {"a": "a", "b": "b", "tie": "tie"}


@CALIBRATIONS.enter(
    "people",
    on="samples",
    paper="Wang et al. 2023, arXiv 2305.17926",
    needs="a judge that draws several replies (inside: multiple_evidence)",
    tested="entropy ln 2 of 3 wins and 3 losses; one pair of five goes at 0.2; a label decides it",
)
def people(
    judge: Judge,
    *,
    share: Annotated[float, Field(ge=0, le=1)] = 0.2,
    labels: Path | None = None,
) -> Judge:
    """The most diverse pairs are left to people.

    Args:
        share: the most of the pairs that go; those whose replies all agree stay.
        labels: JSONL of `id` (of the pair) and `winner` (a, b or tie): what people said.
    """
    return _People(judge, share, {} if labels is None else _read(labels))


def _read(file: Path) -> dict[str, Winner]:
    found: dict[str, Winner] = {}
    for number, row in json_lines(file):
        said = row.get("winner")
        if said not in _WINNERS or not isinstance(row.get("id"), str):
            raise DataError(f"{file}: row {number}: needs an 'id' and a 'winner' of a, b or tie")
        found[row["id"]] = _WINNERS[said]
    return found


class _People(Judge):
    def __init__(self, judge: Judge, share: float, labels: dict[str, Winner]) -> None:
        self.judge, self.share, self.labels = judge, share, labels
        self.name, self.criterion = f"{judge.name}+people", judge.criterion
        self.version = f"{judge.version}+1({share})"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`; which pairs go depends on the others they are judged with."""
        found = self.judge.compare(pairs, samples)
        entropy = [bpde(one.samples) for one in found]
        ranked = sorted(range(len(pairs)), key=lambda place: -entropy[place])
        for place in ranked[: int(self.share * len(pairs) + 1e-9)]:
            if entropy[place] > 0:
                label = self.labels.get(pairs[place].id)
                found[place] = Preference(label, None if label else LEFT)
        return found
