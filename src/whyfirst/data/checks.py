"""What is wrong with the rows a stage would train on, before a model is there.

Called by a plan, where a mistake costs nothing, and by a stage's preflight. Each check is a
`Finding`; rows are named by their line. Leaves out: the shape of rows (`rows`), and what only
tokens or a model can tell (`train/preflight.py`).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whyfirst.data.rows import NEXT_TURN, numbered, text_of

Level = Literal["refuse", "warn", "ok"]
Rows = Sequence[Mapping[str, Any]]
_SHAPES = (("text",), ("responses",), ("completion",), ("chosen", "rejected"))
_SHORT = 12  # characters of a prompt that an answer may well begin with ("Hello")
_MOST_MEASURED = 2000  # rows whose tokens are counted, the longest ones


@dataclass(frozen=True)
class Finding:
    """What one check found; `message` says how to proceed where it is not ok."""

    level: Level
    check: str
    message: str


def judged(check: str, wrong: str | None, fine: str, level: Level = "refuse") -> Finding:
    """What a check found: `wrong`, at a level, or `fine` where nothing is."""
    return Finding(level, check, wrong) if wrong else Finding("ok", check, fine)


def judged_rows(
    check: str, rows: Sequence[int], wrong: str, fine: str, level: Level = "refuse"
) -> Finding:
    """As `judged`, for rows by their lines; they take the place of ``{rows}`` in `wrong`."""
    # By hand: the rest of the message may quote a row, and with it braces.
    return judged(check, (rows and wrong.replace("{rows}", some_rows(rows))) or None, fine, level)


def check_rows(
    rows: Rows, columns: Sequence[str], tokenizer: Any = None, max_length: int | None = None
) -> list[Finding]:
    """Every check of rows in the one shape that applies, in a fixed order.

    Args:
        columns: the columns of text, the prompt (or prompts) first where there is one.
        tokenizer: of the model trained; without it no control token is known.
        max_length: tokens of one row, counted without a template's; None leaves that out.
    """
    found = [duplicates(whole_texts(rows, columns))]
    if columns[0] in ("prompt", "prompts") and len(columns) > 1:
        # Once for all of these checks: a corpus may have a million rows.
        told = [(number, row, list(_texts(row, columns[1:]))) for number, row in numbered(rows)]
        empty = [number for number, _, texts in told if not all(text.strip() for text in texts)]
        # Two equal responses to one prompt teach nothing and count as data. Where each has a prompt
        # of its own, one response may well stand twice.
        twice = []
        for number, row, texts in told:
            prompts = list(_texts(row, ("prompts",))) if "prompts" in row else [""]
            pairs = {(prompts[k % len(prompts)], text.strip()) for k, text in enumerate(texts)}
            twice += [number] if len(pairs) < len(texts) else []
        # A dialogue that goes on after the reply trains the model to speak for the other side.
        on = [number for number, _, texts in told if any(map(NEXT_TURN.search, texts))]
        found += [
            judged_rows(
                "empty responses", empty, "rows {rows} have an empty response; drop them",
                "every response has text",
            ),
            judged_rows(
                "chosen == rejected", twice,
                "rows {rows} prefer a response to itself; drop them",
                "every pair's responses differ",
            ),
            _repeats_prompt(rows, columns),
            judged_rows(
                "one turn", on, "rows {rows} have a response with a further turn (Human: ...) in "
                "it; end it before that, or drop them", "every response is one turn",
            ),
        ]  # fmt: skip
    if tokenizer is not None:
        found.append(_control_tokens(rows, columns, tokenizer))
        if max_length is not None:
            found.append(_lengths(rows, columns, tokenizer, max_length))
    return found


def columns_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of text of a row in the one shape, the prompt (or prompts) first."""
    responses = next(iter(shapes_of(row)), ())
    if responses == ("text",):
        return responses
    return ("prompts" if "prompts" in row else "prompt", *responses)


def shapes_of(row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The columns of each shape that a row has; where several may stand, the first one counts."""
    # A pair with one side missing is a pair: what is missing is told when it is read.
    return [names for names in _SHAPES if set(names) & row.keys()]


def duplicates(texts: Sequence[str]) -> Finding:
    """Rows that repeat another row word for word: allowed, since matching may repeat documents."""
    repeated = len(texts) - len(set(texts))
    # How often the commonest stands there tells a few repeats from a file joined twice.
    most = max(Counter(texts).values(), default=0)
    wrong = (
        f"{repeated} of {len(texts)} rows repeat an earlier row (one occurs {most} times); drop "
        "them unless the repetition is meant"
    )
    return judged("duplicates", wrong if repeated else None, "no row is repeated", "warn")


def _repeats_prompt(rows: Rows, columns: Sequence[str]) -> Finding:
    """A response that begins with its prompt trains on the prompt, a second time."""
    repeats = []
    for number, row in numbered(rows):
        prompt = row.get("prompt")
        last = prompt if isinstance(prompt, str) or not prompt else prompt[-1]["content"]
        begins = last.strip() if isinstance(last, str) else ""
        responses = [text.lstrip() for text in _texts(row, columns[1:])]
        if len(begins) >= _SHORT and any(text.startswith(begins) for text in responses):
            repeats.append(number)
    # Some answers quote the question; a column that always does is the whole text again.
    level: Level = "refuse" if 5 * len(repeats) > len(rows) else "warn"
    names = " or ".join(repr(column) for column in columns[1:])
    wrong = f"in rows {{rows}} {names} repeats the prompt, which would be trained on; leave the "
    return judged_rows(
        "prompt in response", repeats, f"{wrong}prompt out of it",
        "no response repeats its prompt", level,
    )  # fmt: skip


def _control_tokens(rows: Rows, columns: Sequence[str], tokenizer: Any) -> Finding:
    """A text that spells a control token: an end in its middle, or a turn that nobody took."""
    ends = {t for t in (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) if t}
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    every = ends | {str(token) for token in added if token.special} - {tokenizer.unk_token}
    in_responses, elsewhere = (
        re.compile("|".join(map(re.escape, sorted(tokens))) or r"(?!)") for tokens in (every, ends)
    )
    bad, odd = set(), set()
    for number, row in numbered(rows):
        for column in columns:
            for text in _texts(row, (column,)):
                # Its own end, once, is what the stage would put there.
                inside = text.rstrip().removesuffix(tokenizer.eos_token or "\0")
                responds = column not in ("text", "prompt", "prompts")
                if responds and in_responses.search(inside):
                    bad.add(number)
                elif not responds and elsewhere.search(inside):
                    odd.add(number)
    # Of a response it is the turn's end that is learned; before it, the text only reads oddly.
    return judged_rows(
        "control tokens", sorted(bad or odd), "rows {rows} spell a control token of the tokenizer "
        f"({', '.join(sorted(every)[:4])} ...) in the {'response' if bad else 'text'}, which "
        "becomes that token; take it out",
        "no text spells a control token", "refuse" if bad else "warn",
    )  # fmt: skip


def _lengths(rows: Rows, columns: Sequence[str], tokenizer: Any, max_length: int) -> Finding:
    texts = []
    for number, row in numbered(rows):
        # Each text that would be one sequence: a prompt with each of its responses.
        heads = list(_texts(row, columns[:1]))
        tails = list(_texts(row, columns[1:]))
        wholes = [heads[k % len(heads)] + tail for k, tail in enumerate(tails)] or heads
        texts += [(number, text) for text in wholes]
    # A token is a byte at least: most files need no counting.
    long = sorted((t for t in texts if len(t[1].encode()) > max_length), key=lambda t: -len(t[1]))
    # The longest in characters; one of them is the longest in tokens, or near it.
    long = long[:_MOST_MEASURED]
    counts = [len(i) for i in tokenizer([t for _, t in long])["input_ids"]] if long else []
    over = sorted({n for (n, _), count in zip(long, counts, strict=True) if count > max_length})
    return judged_rows(
        "length", over, f"rows {{rows}} are longer than max_length {max_length} (longest: "
        f"{max(counts, default=0)} tokens); raise max_length or set truncation: allow",
        f"no text is longer than {max_length} tokens",
    )  # fmt: skip


def _texts(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """The texts of columns: of one text, of a list of messages, or of a list of these."""
    for column in columns:
        part = row[column]
        if isinstance(part, str) or not part or isinstance(part[0], Mapping):
            yield text_of(part)
        else:
            yield from map(text_of, part)


def whole_texts(rows: Rows, columns: Sequence[str]) -> list[str]:
    """Each row as one text."""
    return ["\n".join(_texts(row, columns)) for row in rows]


def some_rows(numbers: Sequence[int]) -> str:
    """The first few row numbers, and how many more there are."""
    head = ", ".join(str(number) for number in numbers[:5])
    return head + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")
