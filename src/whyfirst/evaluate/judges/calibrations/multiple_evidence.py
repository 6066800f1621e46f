"""Multiple evidence calibration: several replies with their reasons are drawn, and the most count.

Wang et al. 2023 (FairEval, arXiv 2305.17926) draw k evaluations, each with its evidence before the
verdict (which every judge here asks for), and average them. Leaves out: judges read by likelihood,
of which every sample is the same.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from whyfirst.evaluate.judges import CALIBRATIONS, Judge, Pair, Preference


@CALIBRATIONS.enter(
    "multiple_evidence",
    on="draws",
    paper="Wang et al. 2023, arXiv 2305.17926",
    needs="a judge that replies",
    tested="the majority of the drawn replies wins",
)
def multiple_evidence(judge: Judge, *, samples: Annotated[int, Field(ge=1)] = 3) -> Judge:
    """The majority of several replies wins.

    Args:
        samples: how many replies an order.
    """
    return _Repeated(judge, samples)


class _Repeated(Judge):
    def __init__(self, judge: Judge, samples: int) -> None:
        self.judge, self.samples = judge, samples
        self.name, self.criterion = f"{judge.name}+multiple_evidence", judge.criterion
        self.version = f"{judge.version}+1({samples})"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        return self.judge.compare(pairs, samples * self.samples)
