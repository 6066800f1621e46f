"""Where a problem is: pydantic's location, read against the data it is of."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.strict import _locate

Location = tuple[str | int, ...]


def every_reading(data: Any, loc: Location, missing: bool) -> list[tuple[bool, Location]]:
    """(whether the last piece is a key, keys) of every way to leave pieces out, by trying all."""
    if not loc:
        return [(True, ())]
    head, tail = loc[0], loc[1:]
    read = every_reading(data, tail, missing) if tail else [(False, ())]
    if isinstance(data, dict) and (str(head) in data or (missing and not tail)):
        inside = data.get(str(head))
        read += [(w, (str(head), *at)) for w, at in every_reading(inside, tail, missing)]
    elif isinstance(data, list) and isinstance(head, int) and head < len(data):
        read += [(w, (head, *at)) for w, at in every_reading(data[head], tail, missing)]
    return read


PIECES = st.sampled_from(["a", "b", "tag", 0, 1])
DATA = st.recursive(
    st.none(), lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["a", "b", "0"]), inner, max_size=2), max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(DATA, st.lists(PIECES, min_size=1, max_size=6).map(tuple), st.booleans())
def test_the_reading_that_gets_furthest_is_taken(data: Any, loc: Location, missing: bool) -> None:
    found = _locate(data, loc, missing=missing)
    readings = every_reading(data, loc, missing)
    best = max(readings, key=lambda one: (one[0], len(one[1])))
    assert any(at == found and (w, len(at)) == (best[0], len(best[1])) for w, at in readings)


def test_data_that_lies_in_itself_is_read_in_no_time() -> None:
    """Both readings of each piece were tried, so that fifty of them took for ever."""
    data: Any = {"reward": 1}
    for _ in range(400):
        data = {"children": [data]}
    loc: Location = ("children", 0) * 400 + ("reward",)
    assert _locate(data, loc, missing=False) == loc
    assert _locate(data, (*loc[:-1], "tag", "reward"), missing=False) == loc
