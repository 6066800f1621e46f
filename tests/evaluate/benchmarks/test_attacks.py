"""Attacks: encodings that can be undone, composition in the order that is written."""

import base64
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.errors import UserError
from whyfirst.evaluate import attacks
from whyfirst.evaluate.attacks import ATTACKS, DEFAULT, framing
from whyfirst.models.base import asked

TEXT = st.text(st.characters(exclude_categories=("Cs",)))


@given(TEXT)
def test_base64_and_rot13_come_back_whole(text: str) -> None:
    assert base64.b64decode(attacks.to_base64(text)).decode("utf-8") == text
    assert codecs.decode(attacks.to_rot13(text), "rot13") == text


@given(st.text("abcdefghilmnoprstuvw .,", max_size=40))
def test_leetspeak_comes_back_whole_where_there_were_no_digits(text: str) -> None:
    back = str.maketrans("431057", "aeiost")
    assert attacks.to_leetspeak(text).translate(back) == text


def test_leetspeak_by_hand() -> None:
    assert attacks.to_leetspeak("Toast is nice") == "70457 15 n1c3"


@given(st.text(min_size=1).filter(str.strip))
def test_no_framing_sends_the_request_alone(request: str) -> None:
    assert framing("none").apply(request) == asked(request)


def test_the_last_named_attack_is_applied_first() -> None:
    """`role_play+base64` is a role play about an encoded request, not an encoded role play."""
    (turn,) = framing("role_play+base64").apply("a request")
    assert attacks.to_base64("a request") in turn.content
    assert "a request" not in turn.content
    assert turn.content.startswith("We are rehearsing")
    (turned,) = framing("base64+role_play").apply("a request")
    encoded = turned.content.rpartition("\n\n")[2]
    assert base64.b64decode(encoded).decode().startswith("We are rehearsing")


@pytest.mark.parametrize("name", [n for n in DEFAULT if n not in ("base64", "rot13", "leetspeak")])
def test_every_other_attack_carries_the_request_word_for_word(name: str) -> None:
    chat = framing(name).apply("the {odd} request %s")
    assert "the {odd} request %s" in chat[-1].content
    assert [turn.role for turn in chat] == ["user", "assistant"] * (len(chat) // 2) + ["user"]


def test_many_shot_has_so_many_different_harmless_shots() -> None:
    chat = framing("many_shot:40").apply("last")
    assert len(chat) == 81
    questions = [turn.content for turn in chat[:-1:2]]
    assert len(set(questions)) == 40
    assert all(turn.content.startswith("Sure.") for turn in chat[1::2])
    assert len(framing("many_shot").apply("x")) == 2 * 16 + 1
    assert len(framing("many_shot:256").apply("x")) == 2 * 256 + 1


def test_turns_and_encoding_compose() -> None:
    chat = framing("many_shot:2+rot13").apply("abc")
    assert len(chat) == 5
    assert chat[-1].content.endswith("nop")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("role_pley", "did you mean 'role_play'"),
        ("base64+multi_turn", "can only come first"),
        ("base64:3", "takes nothing after a colon"),
        ("many_shot:0", "shots: "),
        ("many_shot:x", "shots: expected a whole number"),
        ("", "no attack ''"),
        ("role_play+", "no attack ''"),
    ],
)
def test_a_framing_that_is_none_says_what_is_known(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        framing(name)


def test_translation_is_offered_only_with_a_translator() -> None:
    """A translation attack without a translator would send English and call it another language."""
    assert not [name for name in ATTACKS.names() if name.startswith("translation")]
    name = attacks.offer_translation(lambda text: f"<fr>{text}</fr>", "fr")
    try:
        found = framing(f"role_play+{name}")
        assert found.language == "fr"
        assert "<fr>oui</fr>" in found.apply("oui")[-1].content
    finally:
        del ATTACKS._entries[name]
