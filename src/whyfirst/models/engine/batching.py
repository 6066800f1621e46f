"""Which rows to compute together: by length, so that little is padded.

Leaves out: padding itself (`decode`, `score`).
"""

from collections.abc import Sequence


def batches(
    lengths: Sequence[int], max_tokens: int, max_rows: int, full_enough: int = 64
) -> list[list[int]]:
    """Partition row numbers into batches, longest rows first.

    A batch closes when one more row would pass `max_tokens` (rows x longest) or `max_rows`, and,
    once it has `full_enough` rows, where the length changes: equal lengths need no padding, and
    running out of memory shows at the first batch and not at the last.

    Args:
        lengths: tokens of each row.
        max_tokens: a single row longer than this gets a batch of its own.
    """
    # By number among equals, so that two runs make the same batches.
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    result: list[list[int]] = []
    for row in order:
        current = result[-1] if result else []
        longest = lengths[current[0]] if current else 0
        too_big = (len(current) + 1) * longest > max_tokens or len(current) >= max_rows
        changes = bool(current) and lengths[row] != lengths[current[-1]]
        if not current or too_big or (changes and len(current) >= full_enough):
            result.append([row])
        else:
            current.append(row)
    return result
