"""Controls of an explanation corpus: the same cells with other grounds, matched one by one.

The grammar offers several fillings of each cell, and the one that keeps the running total of tokens
nearest to the explanations' is taken; a language model is asked for as many words as its
explanation has. Then the fewest cells are dropped, from every corpus at once, that bring all totals
within 0.5 %. Leaves out: whether the corpora may be used (`compare.gate`).
"""

from collections.abc import Callable, Mapping, Sequence

from whyfirst.config.errors import UserError
from whyfirst.explain.explanation import Corpus
from whyfirst.explain.filters import Filters
from whyfirst.explain.match import TOLERANCE
from whyfirst.explain.teachers import Answer, Request
from whyfirst.explain.template import check_corpus
from whyfirst.explain.write import BATCHES, Desk, Journal, Record

#: fillings tried for a cell, and how near (of its length) is near enough not to try another
VARIANTS, NEAR_ENOUGH = 24, 0.03
_ATTEMPTS = 2
_MOST_DROPPED = 0.2
_AIM = TOLERANCE * 0.8  # a little inside, so that rounding can't cross the line


def write_control(
    corpus: Corpus,
    records: Sequence[Record],
    desk: Desk,
    filters: Filters,
    on_batch: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Record]:
    """The control's document for each cell of `records`: cell id -> record.

    A cell whose document is rejected twice is missing from the result.

    Args:
        filters: fresh ones, for this control alone.
        on_batch: given how many cells have been tried, of how many.

    Raises:
        UserError: the constitution can't have this control.
        TeacherStopped: the teacher answers nothing, or nothing that could be kept.
    """
    check_corpus(corpus, desk.constitution)
    if desk.teacher.free:
        return _from_variants(corpus, records, desk)
    journal = Journal(desk.folder, desk.teacher)
    found: dict[str, Record] = {}
    outcomes: list[bool] = []
    for start in range(0, len(records), BATCHES[-1]):
        batch = records[start : start + BATCHES[-1]]
        for attempt in range(_ATTEMPTS):
            # As long as its explanation, which is what a model can be asked for.
            requests = [
                Request(record.cell, corpus, attempt, words=len(record.document.text.split()))
                for record in batch
                if record.cell.id not in found
            ]
            answered = journal.collect(requests)
            reasons = filters.judge([(request, answer) for request, answer, _ in answered])
            for (request, answer, when), reason in zip(answered, reasons, strict=True):
                outcomes.append(reason is None)
                if reason is None:
                    found[request.cell.id] = desk.record(request, answer, when)
        desk.stop_if_broken(outcomes, filters)
        on_batch(start + len(batch), len(records))
    return found


def _from_variants(corpus: Corpus, records: Sequence[Record], desk: Desk) -> dict[str, Record]:
    """Of several fillings the one that makes up best for what is missing so far."""
    found: dict[str, Record] = {}
    behind = 0
    for record in records:
        requests = [Request(record.cell, corpus, variant) for variant in range(VARIANTS)]
        # What the cells so far are short of is made up for here: totals match, lengths nearly.
        wanted = record.tokens + behind
        tried: list[tuple[int, Request, Answer]] = []
        for request, answer in desk.teacher.answers(requests):
            tried.append((abs(desk.count_tokens(answer.text) - wanted), request, answer))
            if tried[-1][0] <= NEAR_ENOUGH * record.tokens:
                break
        _, request, answer = min(tried, key=lambda one: one[0])
        chosen = found[record.cell.id] = desk.record(request, answer, record.created)
        behind = wanted - chosen.tokens
    return found


def matched(
    records: Sequence[Record], controls: Mapping[Corpus, Mapping[str, Record]]
) -> dict[Corpus, list[Record]]:
    """All corpora on the same cells, totals within 0.5 % of the explanations'.

    Returns:
        corpus -> records in the same order of cells, the explanations first.

    Raises:
        UserError: over a fifth of the documents would have to go.
    """
    # A pair is whole or it is nothing: a cell that one control lacks goes from all of them.
    names = list(controls)
    # A cell is a row across all corpora.
    cells = [r for r in records if all(r.cell.id in controls[name] for name in names)]
    # differences[k][i]: by how many tokens control k is longer than explanation i
    differences = [[controls[name][r.cell.id].tokens - r.tokens for r in cells] for name in names]
    kept = set(range(len(cells)))
    total = sum(r.tokens for r in cells)
    sums = [sum(d) for d in differences]
    # Greedy: the exact choice is a subset-sum over several corpora at once, and this needs few
    # drops.
    while kept and (worst := max(map(abs, sums), default=0)) > _AIM * total:
        k = next(k for k, s in enumerate(sums) if abs(s) == worst)
        # What helps the worst corpus most without hurting the others more.
        drop = min(
            kept,
            key=lambda i: (max(abs(s - d[i]) for s, d in zip(sums, differences, strict=True)), i),
        )
        # No single cell helps any more, so going on would only lose documents.
        if abs(sums[k] - differences[k][drop]) >= worst:
            break
        kept.remove(drop)
        total -= cells[drop].tokens
        sums = [s - d[drop] for s, d in zip(sums, differences, strict=True)]
        if len(records) - len(kept) > _MOST_DROPPED * len(records):
            break
    dropped = len(records) - len(kept)
    if dropped > _MOST_DROPPED * len(records) or not kept:
        offs = ", ".join(f"{n} {s / max(1, total):+.1%}" for n, s in zip(names, sums, strict=True))
        raise UserError(
            f"the controls can't be matched in tokens: {dropped} of {len(records)} documents would "
            f"have to go (still off: {offs}); use a teacher that keeps to the length asked for, or "
            "leave a control out"
        )
    left = [cells[i] for i in sorted(kept)]
    return {
        "explanations": left,
        **{name: [controls[name][r.cell.id] for r in left] for name in names},
    }
