"""Which properties of a text drive preferences, a model's and people's: ``factors``.

PROFILE: Oh et al. 2024, "Uncovering Factor Level Preferences to Improve Human-Model Alignment",
arXiv 2410.06965. A factor's score is the share of pairs on which the preferred reply has more of
it, a tie counting half: (tau + 1) / 2 of their tau. Leaves out: factors that a model must judge,
and the setting in which the model writes responses of graded quality.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from whyfirst.data.hh_rlhf import Pair
from whyfirst.evaluate.audits.conditions import Answer, Shares, by_rows, scored
from whyfirst.evaluate.audits.preferences import ask_both, pairs_of, preferred
from whyfirst.evaluate.benchmark import Metric, benchmark
from whyfirst.evaluate.gaps import paired_gaps
from whyfirst.evaluate.item import ItemResult
from whyfirst.evaluate.judges.discretion import Sign
from whyfirst.evaluate.text_measures import FACTORS
from whyfirst.stats.agreement import concordance

MODEL, PEOPLE = "model", "people"
METRICS = {
    name: Metric(
        f"factor_{name}", f"Prefers {name.replace('_', ' ')}",
        f"Mean over pairs of whether the preferred reply has more {name.replace('_', ' ')}, a tie "
        "of either counting half: (tau + 1) / 2.", "score", chance=0.5,
        neutral=True,
    )
    for name in FACTORS
}  # fmt: skip


@benchmark(
    "factors",
    version="1",
    definition="Preferences between two replies in both orders, by the replies' properties.",
    needs="a .jsonl or .jsonl.gz file or folder of pairs: HH-RLHF's, or prompt/chosen/rejected",
    metrics=tuple(METRICS.values()),
    source="Oh et al. 2024 (arXiv 2410.06965)",
    by=("group",),
    gaps=paired_gaps((MODEL, PEOPLE)),
    example={"test.jsonl": '{"prompt": "Hello?", "chosen": " Hello.", "rejected": " Go away."}\n'},
)
def factors(*, data: Path, limit: int | None = 200, max_characters: int = 2000) -> Shares:
    """Every pair; people's preference is the chosen reply. Texts are never copied into records."""
    pairs = pairs_of(data, limit, max_characters)
    return by_rows(
        pairs, lambda pair: ask_both(pair, "own", "Which reply is better?", False), _read,
        lambda pair: pair.prompt,
    )  # fmt: skip


def _read(pair: Pair, answers: Sequence[Answer]) -> Iterable[ItemResult]:
    signs: dict[str, Sign] = {MODEL: preferred(answers), PEOPLE: 1}
    for name, factor in FACTORS.items():
        more = factor(pair.prompt, pair.chosen) - factor(pair.prompt, pair.rejected)
        for group, sign in signs.items():
            score, about = concordance([more], [sign]), {"topic": pair.id, "group": group}
            at = f"{pair.id}/{group}"
            yield scored(at, METRICS[name].name, answers, score, **about)
