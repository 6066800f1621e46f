"""Can a bag of words tell two corpora apart once the manipulated words are masked?

A logistic regression on the words that are left, five folds by cell so that a pair is never split
between training and test, and the area under the ROC curve of the held-out scores (0.5: matched; 1:
some other word gives the corpus away). Leaves out: order of words, syntax.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyfirst.constitution import Constitution
from whyfirst.explain import lexicon
from whyfirst.explain.grammar import crafts, grammar
from whyfirst.explain.template import NEUTRAL_CASES, NEUTRAL_FIRST, TEACHER
from whyfirst.stats.classify import auroc, logistic

FOLDS, SAMPLE, MIN_DOCUMENTS = 5, 400, 3
_CUES = (
    "because since why reason reasons ground grounds therefore hence so rule rules list line lines "
    "always never and or"
)

Floats = NDArray[np.float64]


def manipulated_words(constitution: Constitution, teachers: Collection[str]) -> frozenset[str]:
    """Words that corpora may differ in: of the values, of the neutral crafts, of giving grounds.

    Where the grammar wrote, its phrases that come in two forms, with and without reasons, too.
    """
    parts = [_CUES]
    for value in [*constitution.values, *crafts()]:
        parts += [value.name, value.statement, *value.reasons, *value.upheld_by, *value.violated_by]
        for case in value.boundaries:
            parts += [case.case, case.conduct, case.because]
        parts += [text for c in value.conflicts for text in (c.when, c.because)]
    parts += [f"{craft.subject} she assistant it" for craft in crafts()]
    if TEACHER in teachers:
        known = grammar()
        for name in ("restated", "seen", "labels", "named", "aside", "steps", "trade_plain"):
            parts += known.phrases[name]
        parts += [*NEUTRAL_CASES, NEUTRAL_FIRST]
        # Where a corpus has other phrases in place of an angle's, both are manipulated.
        parts += [text for texts in known.angles.values() for text in texts]
        alternatives = [*known.phrases.values(), *known.angles.values(), *known.genres.values()]
        # What stands between <> comes in forms of which a corpus takes one.
        parts += [piece.split(">")[0] for texts in alternatives for text in texts
                  for piece in text.split("<")[1:]]  # fmt: skip
    return frozenset(lexicon.words(" ".join(parts)))


def separability(
    rows: Sequence[Mapping[str, Any]],
    against: Sequence[Mapping[str, Any]],
    masked: Collection[str],
) -> float:
    """Held-out AUC of telling `rows` from `against`; NaN-free: 0.5 where no word is left."""
    # Only cells that both have: else a topic that one corpus lacks would tell them apart.
    cells = sorted({r["cell"] for r in rows} & {r["cell"] for r in against})
    random.Random(0).shuffle(cells)
    fold_of = {cell: place % FOLDS for place, cell in enumerate(cells[:SAMPLE])}
    chosen = [(row, side) for side, corpus in ((0, against), (1, rows)) for row in corpus
              if row["cell"] in fold_of]  # fmt: skip
    hidden = frozenset(masked)
    bags = [Counter(w for w in lexicon.words(row["text"]) if w not in hidden) for row, _ in chosen]
    labels = np.array([side == 1 for _, side in chosen])
    folds = np.array([fold_of[row["cell"]] for row, _ in chosen])
    # A word in one or two documents would be learnt by heart.
    documents = Counter(word for bag in bags for word in bag)
    index = {w: i for i, w in enumerate(sorted(w for w, n in documents.items()
                                               if n >= MIN_DOCUMENTS))}  # fmt: skip
    # Nothing to tell them apart by is the best that can be, and no error.
    if not index or len(cells) < FOLDS:
        return 0.5
    matrix = _matrix(bags, index)
    # A rank within its fold: the folds' classifiers have scales of their own.
    aucs = []
    for fold in range(FOLDS):
        test = folds == fold
        weights = logistic(matrix[~test], labels[~test], iterations=60)
        aucs.append(auroc(matrix[test] @ weights[:-1] + weights[-1], labels[test]))
    return float(np.mean(aucs))


def _matrix(bags: Sequence[Counter[str]], index: Mapping[str, int]) -> Any:
    """Documents × words: log counts, each row of length 1."""
    from scipy.sparse import csr_matrix

    data: list[float] = []
    places: list[int] = []
    starts = [0]
    for bag in bags:
        row = {index[w]: float(np.log1p(n)) for w, n in bag.items() if w in index}
        norm = float(np.sqrt(sum(v * v for v in row.values()))) or 1.0
        places += row
        data += [v / norm for v in row.values()]
        starts.append(len(places))
    return csr_matrix((data, places, starts), shape=(len(bags), len(index)))
