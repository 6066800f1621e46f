"""Text from a model or a data set, made harmless for a terminal or a page; tables, times to read.

Leaves out: the pages' templates and any judgement of content. Nothing is removed: what a terminal
would obey is shown as a visible escape instead.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jinja2 import Environment
    from rich.table import Table

# C0 without \t and \n, DEL and C1; the bidirectional controls, which reorder what a reader sees;
# lone surrogates, which no UTF-8 stream can print.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def safe_text(s: str) -> str:
    r"""Return `s` with every control a terminal would obey shown as ``\xNN`` or ``\uNNNN``.

    Kept as they are: newline, tab and all printable text, backslashes too, so that applying the
    function twice changes nothing more. Carriage return, escape, DEL, C1 and bidirectional
    controls, and lone surrogates become visible.
    """

    def shown(match: re.Match[str]) -> str:
        code = ord(match.group())
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

    return _UNSAFE.sub(shown, s)


def pages(package: str) -> "Environment":
    """The environment of a package's page templates, in which no printed string is obeyed."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        # A name that a template misspells must not print as nothing.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Controls and bidi overrides become visible in every printed string.
        finalize=lambda value: (
            safe_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
        ),
    )


def invisible(name: str) -> str | None:
    """The first character of a name that nobody sees, as ``U+0085``; None where all are seen.

    Controls, format characters (zero-width, bidirectional), line separators, surrogates and
    private use: a name with one looks like another name, and breaks pages and terminals.
    """
    for char in name:
        # By category: a list of code points would be out of date with the next Unicode.
        if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
            return f"U+{ord(char):04X}"
    return None


def duration(seconds: float) -> str:
    """Seconds for reading: "48 s", "6 min 12 s", "1 h 03 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def table_of(titles: Iterable[str], rows: Iterable[Sequence[object]], align: str = "l") -> "Table":
    """Rows under titles for a rich console, without rules; None is an empty cell.

    Args:
        rows: of rich's `Text` as it is, and of anything else as plain safe text.
        align: "l" or "r" for each column; the last letter stands for the rest of them too.
    """
    from rich.table import Table
    from rich.text import Text

    sides: dict[str, Literal["left", "right"]] = {"l": "left", "r": "right"}
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place, title in enumerate(titles):
        side = sides[align[min(place, len(align) - 1)]]
        shown.add_column(Text(safe_text(title)), justify=side)
    for row in rows:
        cells = ("" if cell is None else cell for cell in row)
        shown.add_row(*(c if isinstance(c, Text) else Text(safe_text(str(c))) for c in cells))
    return shown
