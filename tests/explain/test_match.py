"""Matching: every corpus fills the same token budget, or says that it can't."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whyfirst.config.errors import DataError, UserError
from whyfirst.explain.match import TOLERANCE, MatchRow, match_rows, match_tokens


def test_hand_computed_match() -> None:
    # 30 tokens from 10+7+10 in order would need 27 + 3; the exact ending is 10 + 10 + 10.
    corpora = {"a": ["x" * 10, "x" * 7, "x" * 10, "x" * 10], "b": ["x" * 15]}
    chosen = match_tokens(corpora, len, 30)
    assert chosen == {"a": [0, 2, 3], "b": [0, 0]}
    assert match_rows(corpora, chosen, len) == [
        MatchRow("a", documents=3, unique_documents=3, tokens=30),
        MatchRow("b", documents=2, unique_documents=1, tokens=30),
    ]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.lists(st.integers(20, 90), min_size=30, max_size=120), min_size=1, max_size=4),
    st.integers(5_000, 30_000),
)
def test_every_corpus_is_within_tolerance_and_evenly_used(
    lengths: list[list[int]], budget: int
) -> None:
    corpora = {str(i): ["x" * n for n in row] for i, row in enumerate(lengths)}
    chosen = match_tokens(corpora, len, budget)
    assert chosen == match_tokens(corpora, len, budget)
    for row in match_rows(corpora, chosen, len):
        assert abs(row.tokens - budget) <= TOLERANCE * budget
        used = Counter(chosen[row.corpus])
        counts = [used[i] for i in range(len(corpora[row.corpus]))]
        assert max(counts) - min(counts) <= 2


def test_a_large_corpus_is_not_repeated() -> None:
    texts = ["x" * (50 + i % 37) for i in range(1000)]
    chosen = match_tokens({"a": texts}, len, 20_000)["a"]
    assert len(set(chosen)) == len(chosen)


def test_an_unreachable_budget_is_refused_with_what_is_reachable() -> None:
    with pytest.raises(UserError, match=r"'a': whole documents \(100 to 100 tokens\) reach 1000"):
        match_tokens({"a": ["x" * 100]}, len, 1040)


def test_empty_corpora_and_documents_are_named() -> None:
    with pytest.raises(DataError, match="'a' is empty"):
        match_tokens({"a": []}, len, 10)
    with pytest.raises(DataError, match="'a': row 2"):
        match_tokens({"a": ["x", ""]}, len, 10)
    with pytest.raises(UserError, match="positive"):
        match_tokens({"a": ["x"]}, len, 0)
