"""Human in the loop: the pairs on which a judge's replies differ most go to people.

Wang et al. 2023 (FairEval, arXiv 2305.17926): balanced position diversity entropy of the single
replies of both orders; the most diverse share (20 % in the paper) is left to people. Their labels
may be given; without one a pair has no preference, with that reason. Leaves out: asking people.
"""

from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, NamedTuple

from pydantic import Field

from whyfirst.config.errors import DataError
from whyfirst.data.published import json_lines
from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference, Winner
from whyfirst.evaluate.judges.protocols import bpde

LEFT = "left to people: the judge's replies differ"
_WINNERS: dict[str, Winner] = {"a": "a", "b": "b", "tie": "tie"}


class _Label(NamedTuple):
    """What people said of a pair, and the row that says it."""

    winner: Winner
    at: str


@CALIBRATIONS.enter(
    "people",
    version="3",
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
        labels: JSONL of `id` and `winner` (a, b or tie): what people said of a pair; with its
            `seed` where pairs of several seeds are judged, which are of other responses.

    Raises:
        DataError: a row of the labels can't be read, or is of no pair that is judged.
    """
    return _People(judge, share, {} if labels is None else _read(labels))


def _read(file: Path) -> dict[tuple[str, int | None], _Label]:
    found: dict[tuple[str, int | None], _Label] = {}
    for number, row in json_lines(file):
        at, said, name, seed = f"{file}: row {number}", *map(row.get, ("winner", "id", "seed"))
        if said not in _WINNERS or not isinstance(name, str):
            raise DataError(f"{at}: needs an 'id' and a 'winner' of a, b or tie")
        if type(seed) not in (int, NoneType):
            raise DataError(f"{at}: 'seed' is no whole number")
        if (name, seed) in found:
            raise DataError(f"{at}: a second label of one pair; leave one of them")
        found[name, seed] = _Label(_WINNERS[said], at)
    return found


class _People(Judge):
    def __init__(
        self, judge: Judge, share: float, labels: dict[tuple[str, int | None], _Label]
    ) -> None:
        self.judge, self.share, self.labels = judge, share, labels
        self.name, self.criterion = f"{judge.name}+people", judge.criterion
        self.version = f"{judge.version}+3({share})"

    def compare(self, pairs: Sequence[Pair], samples: int = 1) -> list[Preference]:
        """See `Judge.compare`; labels are held against all pairs, also those without responses."""
        seeds: dict[str, set[int | None]] = {}
        for pair in pairs:
            seeds.setdefault(pair.id, set()).add(pair.seed)
        for (name, seed), label in self.labels.items():
            at = seeds.get(name, set())
            if seed is None and len(at) > 1:
                raise DataError(f"{label.at}: {name!r} is judged at several seeds; add its 'seed'")
            if not at or seed not in (None, *at):
                which = "" if seed is None else f" at seed {seed}"
                raise DataError(
                    f"{label.at}: no pair {name!r}{which} is judged; a label has the id and seed "
                    "of a row of compared.jsonl"
                )
        return super().compare(pairs, samples)

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`; which pairs go depends on the others they are judged with."""
        found = self.judge.compare(pairs, samples)
        entropy = [bpde(one.samples) for one in found]
        ranked = sorted(range(len(pairs)), key=lambda place: -entropy[place])
        for place in ranked[: int(self.share * len(pairs) + 1e-9)]:
            if entropy[place] > 0:
                name, seed = pairs[place].id, pairs[place].seed
                label = self.labels.get((name, seed)) or self.labels.get((name, None))
                said = Preference(label.winner) if label else Preference(None, LEFT)
                # People said it of the pair as its row has it.
                found[place] = said.swapped if pairs[place].turned else said
        return found
