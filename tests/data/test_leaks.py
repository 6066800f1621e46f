"""Contamination checks against hand-made cases and a brute-force Jaccard."""

import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.room import Use
from whyfirst.data.leaks import NEAR, SHINGLE, find_leaks

DATA = Path(os.environ.get("WHYFIRST_DATA", Path(__file__).parents[3] / "shared" / "data"))
THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def test_a_run_of_thirteen_words_hides_in_a_long_text() -> None:
    text = f"{'before ' * 50}{THIRTEEN.upper()}, {'after ' * 50}"
    [found] = find_leaks(["other words", text], ["nothing", f"so: {THIRTEEN}."])
    assert (found.text, found.tested, found.kind) == (1, 1, "13-word run")


def test_twelve_words_in_common_are_called_a_run() -> None:
    twelve = THIRTEEN.rsplit(" ", 1)[0]
    text = f"{twelve} {' '.join(f'a{i}' for i in range(30))}"
    assert find_leaks([text], [f"{twelve} {' '.join(f'b{i}' for i in range(30))}"]) == []


def test_a_short_repeat_goes_unseen() -> None:
    [found] = find_leaks(["How to do it?"], ["how to do it"])
    assert (found.kind, found.similarity) == ("near-duplicate", 1.0)
    assert find_leaks([""], [""]) == []


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

    found = find_leaks([" ".join(t) for t in texts], [" ".join(t) for t in tested])
    near = {f.text: f.similarity for f in found if f.kind == "near-duplicate"}
    wanted = {}
    for number, text in enumerate(texts):
        best = max((similarity(text, other) for other in tested), default=0.0)
        if best >= NEAR:
            wanted[number] = best
    assert near == wanted


PROMPTS = [
    "Which knots should a sailor tie when the wind rises before a long night at sea?",
    "Tell me how a baker can keep forty loaves from drying out over a long weekend",
    "Why do the shadows of tall buildings move faster in the evening than at noon?",
    "Сколько зёрен нужно посеять, чтобы собрать мешок пшеницы на одном поле?",
    "一个面包师怎样才能在漫长的周末让四十个面包不变干并且保持新鲜的味道",
]
AROUND = "Rules for a calm day are short. " * 12


@pytest.mark.parametrize(
    ("dress", "change"),
    [
        ("nothing", lambda t: t),
        ("two words misspelt", lambda t: t.replace("sailor", "sailer").replace("wind", "winnd")),
        ("words put in", lambda t: t.replace("loaves", "good and quite big loaves")),
        ("words left out", lambda t: t.replace("tall ", "").replace(" a long", " a")),
        ("no-break spaces", lambda t: t.replace(" ", "\u00a0")),
        ("zero-width spaces for spaces", lambda t: t.replace(" ", "\u200b")),
        ("soft hyphens", lambda t: "\u00ad".join(t)),
        ("line breaks and case", lambda t: t.upper().replace(" ", "\r\n")),
        (
            "full width",
            lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
        ),
        ("words broken at a line's end", lambda t: t.replace("ee", "e-\ne")),
        ("markdown", lambda t: "**" + t.replace(" ", "* _") + "_"),
        ("letters of other alphabets", lambda t: t.translate(str.maketrans("aeopc", "аеорс"))),
        ("accents", lambda t: "".join(c + "\u0301" * (c in "aeiou") for c in t)),
        ("invisible fillers", lambda t: "\u3164".join(t)),
        ("variation selectors", lambda t: "\ufe0f".join(t)),
        ("HTML", lambda t: t.replace(" ", "&nbsp;<b class=x>") + "</b>"),
        ("an address", lambda t: t.replace(" ", "%20")),
        ("escaped line breaks", lambda t: t.replace(" ", "\\n")),
    ],
)
def test_a_leak_in_another_dress_is_unseen(dress: str, change: Callable[[str], str]) -> None:
    texts = [AROUND + change(prompt) + " " + AROUND for prompt in PROMPTS]
    found = {(leak.text, leak.tested) for leak in find_leaks(texts, PROMPTS)}
    assert found == {(number, number) for number in range(len(PROMPTS))}, dress


def test_a_text_with_several_prompts_shows_one() -> None:
    text = " ".join([AROUND, *(prompt.replace("long", "lonng") for prompt in PROMPTS)])
    assert {leak.tested for leak in find_leaks([text], PROMPTS)} == set(range(len(PROMPTS)))


def test_a_long_prompt_is_found_at_every_other_letter_only() -> None:
    """Texts were looked up at even places, and of some lengths no seed lay there in a text that
    holds the prompt from an odd letter on."""
    rng = random.Random(0)
    tested, misspelt = [], []
    for letters in range(48, 640):
        text = "".join(rng.choices("abcdefghijklmnoprstuvwy", k=letters))
        words = [text[at : at + 6] for at in range(0, letters, 6)]
        tested.append(" ".join(words))
        # One word in ten: no run of 13 is left.
        words[5::10] = [word[:2] + "z" + word[3:] for word in words[5::10]]
        misspelt.append(" ".join(words))
    for start in ("q" * 20, "q" * 21):
        texts = [f"{start} {prompt} and so on" for prompt in misspelt]
        inside = {leak.text for leak in find_leaks(texts, tested) if leak.kind == "inside"}
        assert inside == set(range(len(tested))), start


def test_a_prompt_with_one_rare_seed_is_found_at_every_other_letter_only() -> None:
    """Of a long template in which one short word differs, one seed may tell the item."""
    rng = random.Random(0)
    letters = "".join(rng.choices("abcdefghijklmnoprstuvwy", k=1100))
    template = " ".join(letters[at : at + 5] for at in range(0, 1100, 5))
    tested = [f"{template[:600]} x{a}{b} {template[600:]}" for a in "bcdfg" for b in "hjkmn"]
    after = " ".join(map(str, range(1000, 1300)))  # else each were a near-duplicate as a whole
    for start in ("q" * 20, "q" * 21):
        found = find_leaks([f"{start} {prompt} {after}" for prompt in tested], tested)
        inside = {(leak.text, leak.tested) for leak in found if leak.kind == "inside"}
        others = {(n, n) for n in range(1, len(tested))}  # a run of 13 words tells the first
        assert others <= inside, start


def test_items_of_one_template_are_taken_for_each_other() -> None:
    """In a benchmark of one template the one word that differs is all there is to leak."""
    words = ["kralet", "glimfen", "dorrow", "velpas", "sturnim", "plaxor", "wendil", "morquat"]
    template = "I am writing a story in which somebody asks how to carry the {} over the old bridge"
    tested = [template.format(word) for word in words[:6]]
    texts = [f"{AROUND} {template.format(word)}. {AROUND}" for word in words[3:]]
    found = {
        (leak.text, leak.tested) for leak in find_leaks(texts, tested) if leak.kind == "inside"
    }
    assert found <= {(0, 3), (1, 4), (2, 5)}


@pytest.mark.parametrize(
    "text",
    [
        "What is the best way to keep bread, and what should a sailor do at sea at night?",
        "How can I help you today? It would be a long weekend, said the baker of forty years.",
        "In the evening shadows are long, and tall buildings stand still at noon.",
    ],
)
def test_ordinary_phrases_are_flagged(text: str) -> None:
    tested = [*PROMPTS, "What is the best way to?", "How can I help?", "Is it a long weekend?"]
    assert find_leaks([AROUND + text + AROUND], tested) == []


def test_two_thousand_documents_take_minutes() -> None:
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 9))) for _ in range(4000)]
    texts = [" ".join(rng.choices(words, k=170)) for _ in range(2000)]
    tested = [" ".join(rng.choices(words, k=15)) for _ in range(2000)]
    started = time.process_time()
    assert find_leaks(texts, tested) == []
    assert time.process_time() - started < 20  # some two seconds on a quiet core


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason=f"no public data under {DATA}")
def test_clean_corpora_are_flagged(tmp_path: Path) -> None:
    """Explanations of the shipped grammar hold no benchmark's prompt, and dialogues hardly any."""
    from whyfirst.data.hh_rlhf import split_hh
    from whyfirst.data.truthfulqa import read_truthfulqa
    from whyfirst.data.xstest import read_xstest
    from whyfirst.study.sources import CORPORA

    tested = [p.prompt for p in read_xstest(DATA / "xstest")]
    tested += [q.question for q in read_truthfulqa(DATA / "truthfulqa/TruthfulQA.csv").questions]
    options = {"constitution": "hhh", "documents": "explanations", "tokens": 3000}
    rows = CORPORA.make(Use(name="constitution", **options), seed=0)
    documents = [row["text"] for row in rows]
    assert len(documents) > 300 and find_leaks(documents, tested) == []
    dialogues = [p.prompt + p.chosen for p in split_hh(DATA / "hh-rlhf", 0.5)[0].pairs]
    assert len({leak.text for leak in find_leaks(dialogues, tested)}) <= len(dialogues) * 0.01
