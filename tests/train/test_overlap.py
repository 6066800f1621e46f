"""Contamination checks against hand-made cases and a brute-force Jaccard."""

from hypothesis import given
from hypothesis import strategies as st

from whyfirst.train.overlap import NEAR, SHINGLE, find_overlaps

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def test_a_run_of_thirteen_words_hides_in_a_long_text() -> None:
    text = f"{'before ' * 50}{THIRTEEN.upper()}, {'after ' * 50}"
    [found] = find_overlaps(["other words", text], ["nothing", f"so: {THIRTEEN}."])
    assert (found.text, found.tested, found.kind) == (1, 1, "13-word run")


def test_twelve_words_in_common_are_called_a_run() -> None:
    twelve = THIRTEEN.rsplit(" ", 1)[0]
    text = f"{twelve} {' '.join(f'a{i}' for i in range(30))}"
    assert find_overlaps([text], [f"{twelve} {' '.join(f'b{i}' for i in range(30))}"]) == []


def test_a_short_repeat_goes_unseen() -> None:
    [found] = find_overlaps(["How to do it?"], ["how to do it"])
    assert (found.kind, found.similarity) == ("near-duplicate", 1.0)
    assert find_overlaps([""], [""]) == []


@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=6),
    st.lists(st.lists(st.sampled_from("abc"), max_size=12), max_size=6),
)
def test_the_index_finds_other_duplicates_than_brute_force(
    texts: list[list[str]], tested: list[list[str]]
) -> None:
    def shingles(words: list[str]) -> set[tuple[str, ...]]:
        grams = {tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1)}
        return grams or ({tuple(words)} if words else set())

    def similarity(a: list[str], b: list[str]) -> float:
        union = shingles(a) | shingles(b)
        return len(shingles(a) & shingles(b)) / len(union) if union else 0.0

    found = find_overlaps([" ".join(t) for t in texts], [" ".join(t) for t in tested])
    near = {f.text: f.similarity for f in found if f.kind == "near-duplicate"}
    wanted = {}
    for number, text in enumerate(texts):
        best = max((similarity(text, other) for other in tested), default=0.0)
        if best >= NEAR:
            wanted[number] = best
    assert near == wanted
