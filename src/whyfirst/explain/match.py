"""Corpora matched in tokens: which documents, and how often, so that every corpus fills one budget.

An arm whose first stage saw more tokens than another's proves nothing about its content. Leaves
out: matching optimizer updates, which follow from tokens, batch size and length (the plan's part).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from whyfirst.config.errors import DataError, UserError

TOLERANCE = 0.005


@dataclass(frozen=True)
class MatchRow:
    """What one corpus contributes: documents counted with and without repeats, and tokens."""

    corpus: str
    documents: int
    unique_documents: int
    tokens: int


def match_tokens(
    corpora: Mapping[str, Sequence[str]], count_tokens: Callable[[str], int], budget_tokens: int
) -> dict[str, list[int]]:
    """Choose documents of every corpus so that each totals `budget_tokens` within 0.5 %.

    Documents are taken in order; a corpus that is too small starts again from its first, so that
    all are used about equally often. The last few are chosen to meet the budget.

    Returns:
        corpus name -> document indices in the order of use; an index may occur several times.

    Raises:
        UserError: the budget can't be met that closely by whole documents (says what can be).
        DataError: a corpus is empty, or a document has no tokens (names it).
    """
    if budget_tokens <= 0:
        raise UserError(f"the token budget must be positive, not {budget_tokens}")
    chosen = {}
    for name, texts in corpora.items():
        if not texts:
            raise DataError(f"corpus {name!r} is empty; nothing can fill the token budget")
        lengths = [count_tokens(text) for text in texts]
        for row, length in enumerate(lengths, start=1):
            if length <= 0:
                raise DataError(
                    f"corpus {name!r}: row {row}: the document has no tokens; remove it"
                )
        chosen[name] = _choose(name, lengths, budget_tokens)
    return chosen


def match_rows(
    corpora: Mapping[str, Sequence[str]],
    chosen: Mapping[str, Sequence[int]],
    count_tokens: Callable[[str], int],
) -> list[MatchRow]:
    """The match table: one row for each corpus of `chosen`, counted anew."""
    rows = []
    for name, indices in chosen.items():
        # Counted anew and not taken over: the table is what the report shows as proof of the
        # match.
        lengths = {i: count_tokens(corpora[name][i]) for i in set(indices)}
        tokens = sum(lengths[i] for i in indices)
        rows.append(MatchRow(name, len(indices), len(lengths), tokens))
    return rows


def _choose(name: str, lengths: list[int], budget: int) -> list[int]:
    """Whole rounds and documents in order, then the best ending within one further round."""
    count, longest = len(lengths), max(lengths)
    # The last stretch, about four of the longest documents, is left to the exact search.
    rounds = max(0, budget - 4 * longest) // sum(lengths)
    chosen = list(range(count)) * rounds
    left = budget - rounds * sum(lengths)
    taken = 0
    while taken < count and left - lengths[taken] >= 4 * longest:
        left -= lengths[taken]
        taken += 1
    chosen += range(taken)
    # Candidates go on in order, round the corner where a round is nearly over; enough of them to
    # reach the budget from a corpus of one document.
    candidates: list[int] = []
    reach = 0
    while reach < left + longest or len(candidates) < min(count, 256):
        candidates.append((taken + len(candidates)) % count)
        reach += lengths[candidates[-1]]
    # Exact, since the last documents decide whether the tolerance of half a percent is met.
    ending, reached = _nearest_sum([lengths[i] for i in candidates], left)
    total = budget - left + reached
    if abs(total - budget) > TOLERANCE * budget:
        raise UserError(
            f"corpus {name!r}: whole documents ({min(lengths)} to {longest} tokens) reach {total} "
            f"of {budget} tokens, more than {TOLERANCE:.1%} away; "
            "raise the budget or write more documents of other lengths"
        )
    return chosen + [candidates[i] for i in ending]


def _nearest_sum(lengths: list[int], target: int) -> tuple[list[int], int]:
    """Positions of a subset whose sum is nearest to `target`, earlier positions preferred.

    Exact subset sum by dynamic programming over sums up to `target` plus the longest length.
    """
    # A sum above the target by more than one document can't be the nearest.
    limit = target + max(lengths)
    # sum -> (position added last, sum before it); the first way found is kept.
    back: dict[int, tuple[int, int]] = {0: (-1, 0)}
    for position, length in enumerate(lengths):
        if target in back:
            break
        for total in [t for t in back if t + length <= limit and t + length not in back]:
            back[total + length] = (position, total)
    # Of two equally near the smaller, so that the choice doesn't depend on the order of a dict.
    reached = min(back, key=lambda total: (abs(total - target), total))
    positions, total = [], reached
    while total:
        position, total = back[total]
        positions.append(position)
    return positions[::-1], reached
