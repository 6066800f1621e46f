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

from whyfirst.data.rows import numbered, text_of

Level = Literal["refuse", "warn", "ok"]
Rows = Sequence[Mapping[str, Any]]
# A dialogue written into a text: HH-RLHF's marks, as they stand between turns.
_NEXT_TURN = re.compile(r"\n\n(?:Human|Assistant):")
_SHORT = 12  # characters of a prompt that an answer may well begin with ("Hello")
_MOST_MEASURED = 2000  # rows whose tokens are counted, the longest ones


@dataclass(frozen=True)
class Finding:
    """What one check found; `message` says how to proceed where it is not ok."""

    level: Level
    check: str
    message: str


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
        found += [
            _empty(rows, columns[1:]),
            _differ(rows, columns),
            _repeats_prompt(rows, columns),
            _goes_on(rows, columns[1:]),
        ]
    if tokenizer is not None:
        found.append(_control_tokens(rows, columns, tokenizer))
        if max_length is not None:
            found.append(_lengths(rows, columns, tokenizer, max_length))
    return found


def columns_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The columns of text of a row in the one shape, the prompt (or prompts) first."""
    if "text" in row:
        return ("text",)
    responses = [n for n in ("responses", "completion", "chosen", "rejected") if n in row]
    return ("prompts" if "prompts" in row else "prompt", *responses)


def duplicates(texts: Sequence[str]) -> Finding:
    """Rows that repeat another row word for word: allowed, since matching may repeat documents."""
    repeated = len(texts) - len(set(texts))
    if repeated:
        most = Counter(texts).most_common(1)[0][1]
        return Finding(
            "warn", "duplicates", f"{repeated} of {len(texts)} rows repeat an earlier row (one "
            f"occurs {most} times); drop them unless the repetition is meant",
        )  # fmt: skip
    return Finding("ok", "duplicates", "no row is repeated")


def _empty(rows: Rows, columns: Sequence[str]) -> Finding:
    """Responses without text would teach the model to say nothing."""
    empty = [n for n, row in numbered(rows) if not all(t.strip() for t in _texts(row, columns))]
    if empty:
        message = f"rows {some_rows(empty)} have an empty response; drop them"
        return Finding("refuse", "empty responses", message)
    return Finding("ok", "empty responses", "every response has text")


def _differ(rows: Rows, columns: Sequence[str]) -> Finding:
    """Responses that are the same teach nothing and count as data."""
    same = []
    for number, row in numbered(rows):
        responses = list(_texts(row, columns[1:]))
        # Where each response has a prompt of its own, one response may well stand twice.
        prompts = list(_texts(row, columns[:1])) if columns[0] == "prompts" else [""]
        pairs = [(prompts[k % len(prompts)], text.strip()) for k, text in enumerate(responses)]
        if len(set(pairs)) < len(pairs):
            same.append(number)
    if same:
        message = f"rows {some_rows(same)} prefer a response to itself; drop them"
        return Finding("refuse", "chosen == rejected", message)
    return Finding("ok", "chosen == rejected", "every pair's responses differ")


def _repeats_prompt(rows: Rows, columns: Sequence[str]) -> Finding:
    """A response that begins with its prompt trains on the prompt, a second time."""
    repeats = []
    for number, row in numbered(rows):
        prompt = row.get("prompt")
        last = prompt if isinstance(prompt, str) or not prompt else prompt[-1]["content"]
        begins = last.strip() if isinstance(last, str) else ""
        if len(begins) >= _SHORT and any(
            text.lstrip().startswith(begins) for text in _texts(row, columns[1:])
        ):
            repeats.append(number)
    if not repeats:
        return Finding("ok", "prompt in response", "no response repeats its prompt")
    # Some answers quote the question; a column that always does is the whole text again.
    level: Level = "refuse" if 5 * len(repeats) > len(rows) else "warn"
    names = " or ".join(repr(column) for column in columns[1:])
    message = f"in rows {some_rows(repeats)} {names} repeats the prompt, which would be trained on"
    return Finding(level, "prompt in response", f"{message}; leave the prompt out of it")


def _goes_on(rows: Rows, columns: Sequence[str]) -> Finding:
    """A dialogue that goes on after the reply trains the model to speak for the other side."""
    on = [n for n, row in numbered(rows) if any(map(_NEXT_TURN.search, _texts(row, columns)))]
    if on:
        message = f"rows {some_rows(on)} have a response with a further turn (Human: ...) in it"
        return Finding("refuse", "one turn", f"{message}; end it before that, or drop them")
    return Finding("ok", "one turn", "every response is one turn")


def _control_tokens(rows: Rows, columns: Sequence[str], tokenizer: Any) -> Finding:
    """A text that spells a control token: an end in its middle, or a turn that nobody took."""
    ends = {t for t in (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) if t}
    added = getattr(tokenizer, "added_tokens_decoder", {}).values()
    every = ends | {str(token) for token in added if token.special} - {tokenizer.unk_token}
    in_responses, elsewhere = _any_of(every), _any_of(ends)
    bad, odd = [], []
    for number, row in numbered(rows):
        for column in columns:
            for text in _texts(row, (column,)):
                # Its own end, once, is what the stage would put there.
                inside = text.rstrip().removesuffix(tokenizer.eos_token or "\0")
                responds = column not in ("text", "prompt", "prompts")
                if responds and in_responses.search(inside):
                    bad.append(number)
                elif not responds and elsewhere.search(inside):
                    odd.append(number)
    if bad or odd:
        rows_at = some_rows(sorted(set(bad or odd)))
        what = "response" if bad else "text"
        return Finding(
            "refuse" if bad else "warn", "control tokens", f"rows {rows_at} spell a control token "
            f"of the tokenizer ({', '.join(sorted(every)[:4])} ...) in the {what}, which becomes "
            "that token; take it out",
        )  # fmt: skip
    return Finding("ok", "control tokens", "no text spells a control token")


def _any_of(words: set[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(words))) or r"(?!)")


def _lengths(rows: Rows, columns: Sequence[str], tokenizer: Any, max_length: int) -> Finding:
    texts = [(n, text) for n, row in numbered(rows) for text in _sequences(row, columns)]
    # A token is a byte at least: most files need no counting.
    long = sorted((t for t in texts if len(t[1].encode()) > max_length), key=lambda t: -len(t[1]))
    long = long[:_MOST_MEASURED]
    counts = [len(i) for i in tokenizer([t for _, t in long])["input_ids"]] if long else []
    over = sorted({n for (n, _), count in zip(long, counts, strict=True) if count > max_length})
    if over:
        return Finding(
            "refuse", "length", f"rows {some_rows(over)} are longer than max_length {max_length} "
            f"(longest: {max(counts)} tokens); raise max_length or set truncation: allow",
        )  # fmt: skip
    return Finding("ok", "length", f"no text is longer than {max_length} tokens")


def _sequences(row: Mapping[str, Any], columns: Sequence[str]) -> Iterator[str]:
    """Each text that would be one sequence: a prompt with each of its responses."""
    if len(columns) == 1:
        yield from _texts(row, columns)
        return
    prompts = list(_texts(row, columns[:1]))
    for number, response in enumerate(_texts(row, columns[1:])):
        yield prompts[number % len(prompts)] + response


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


def some_rows(numbers: Sequence[int], shown: int = 5) -> str:
    """The first few row numbers, and how many more there are."""
    head = ", ".join(str(number) for number in numbers[:shown])
    return head + (f" and {len(numbers) - shown} more" if len(numbers) > shown else "")
