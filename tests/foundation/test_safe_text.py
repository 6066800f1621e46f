"""safe_text: no code point reaches a terminal as a command."""

import sys
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from whyfirst.config.text import safe_text

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKS = {0x061C, 0x200E, 0x200F}


def _unsafe(code: int) -> bool:
    char = chr(code)
    return (
        (unicodedata.category(char) == "Cc" and char not in "\n\t")
        or unicodedata.bidirectional(char) in BIDI
        or code in MARKS
        or 0xD800 <= code <= 0xDFFF
    )


def test_every_code_point_is_kept_or_shown() -> None:
    for code in range(sys.maxunicode + 1):
        shown = safe_text(chr(code))
        if _unsafe(code):
            assert shown == (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"), hex(code)
        else:
            assert shown == chr(code), hex(code)


def test_known_attacks_are_visible() -> None:
    assert safe_text("\x1b[2J\x1b]0;t\x07") == "\\x1b[2J\\x1b]0;t\\x07"
    assert safe_text("a\r\nb\tc") == "a\\x0d\nb\tc"
    assert safe_text("\x9b31m \u202egnp") == "\\x9b31m \\u202egnp"
    assert safe_text("Grüße, 日本語, 👩‍🚀") == "Grüße, 日本語, 👩‍🚀"


@given(st.text(alphabet=st.characters(codec=None)))
def test_twice_is_once_and_the_result_can_be_printed(text: str) -> None:
    once = safe_text(text)
    assert safe_text(once) == once
    once.encode("utf-8")
