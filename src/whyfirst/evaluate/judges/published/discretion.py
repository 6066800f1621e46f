"""AI Alignment at Your Discretion: 21 principles on HH-RLHF's 2,312 test pairs.

Buyl et al. 2025, arXiv 2502.10441. In the files slot A holds the reply that people chose. Leaves
out: the other models' preferences, and bootstraps of the priorities.
"""

from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.data.published import csv_rows, one_file
from whyfirst.evaluate.judges.discretion import Sign, arbitrary, kind_of, sign_of
from whyfirst.evaluate.judges.published import REPRODUCTIONS, Figure

_COLUMNS = ("row_id", "principle_id", "order", "prob_A", "prob_B", "prob_NA")
_PUBLISHED = {"indifference": 764, "conflict": 376, "consensus": 1172}


@REPRODUCTIONS.enter(
    "discretion",
    paper="Buyl et al. 2025, arXiv 2502.10441",
    needs="principle_specific_preferences/hh_test_seed_4ob.csv",
    tested="764 / 376 / 1172 of 2,312, and 339 of 1,172",
)
def discretion(*, data: Path) -> list[Figure]:
    """Indifference, conflict and consensus; consensus that people went against."""
    file = one_file(data, ["hh_test_seed_4ob.csv"], "discretion")
    pairs: dict[str, list[Sign]] = {}
    for number, row in csv_rows(file, _COLUMNS, "discretion"):
        try:
            said = sign_of(*(float(row[name]) for name in _COLUMNS[3:]))
        except ValueError:
            raise DataError(f"{file}: row {number}: a probability is no number") from None
        # In order 1 the chosen reply was shown second.
        turned: Sign = 1 if said == -1 else -1 if said == 1 else 0
        pairs.setdefault(row["row_id"], []).append(said if row["order"] == "0" else turned)
    kinds = [kind_of(signs) for signs in pairs.values()]
    against = [arbitrary(signs, 1) for signs in pairs.values()]
    return [
        *(Figure(f"pairs of {kind}", n, [one == kind for one in kinds])
          for kind, n in _PUBLISHED.items()),
        Figure("consensus that people go against", 339, [f for f in against if f is not None]),
    ]  # fmt: skip
