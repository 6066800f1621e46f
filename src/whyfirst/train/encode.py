"""From JSONL rows to token ids, with the part that is trained on marked.

Prompt and response are tokenised apart and joined, so the prompt's ids in training are exactly
those of an evaluation that tokenises the prompt alone. Where the tokenizer has a chat template, a
prompt given as text is a chat as well (its one user turn, or the turns of an HH dialogue), since an
evaluation asks in chats, unless the stage says `format: text`. Of a conversation only what the
assistant says is trained on. Leaves out: images, tools.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, UserError
from whyfirst.data.asking import turns_of
from whyfirst.data.rows import numbered, read_rows
from whyfirst.models import chat
from whyfirst.models.base import Message
from whyfirst.models.said import said
from whyfirst.train.config_base import PromptFormat, Stage
from whyfirst.train.kinds import Rows, kind_of

Files = Mapping[str, tuple[Rows, Path]]
"""Rows and path of each file a stage reads, by its name, the main one first."""


@dataclass(frozen=True, slots=True)
class Example:
    """One sequence: `ids`, of which the first `masked` are not trained on.

    `length` is the number of tokens before truncation; `source` the name of its file.
    """

    ids: list[int]
    masked: int
    length: int
    source: str

    @property
    def trained(self) -> int:
        """Tokens in the loss; the first token of a sequence has nothing to be predicted from."""
        return max(0, len(self.ids) - max(self.masked, 1))


@dataclass(frozen=True, slots=True)
class Candidates:
    """K responses and the prompt of each, as token ids, untruncated; the best first.

    `labels` say how good each response is (more is better); `extras` are further columns. The last
    `borrowed` responses are other rows', compared with and not trained on.
    """

    prompts: tuple[list[int], ...]
    responses: tuple[list[int], ...]
    labels: tuple[float, ...]
    extras: Mapping[str, Any] = field(default_factory=dict)
    borrowed: int = 0

    @property
    def lengths(self) -> list[int]:
        """Tokens of each sequence."""
        return [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]


@dataclass(frozen=True)
class Encoded:
    """A stage's data: its files, and their examples or candidates, in file order.

    `columns` are the main file's columns of text, the prompt first where it has one;
    `prompt_scored` says that candidates' prompts are trained on too.
    """

    files: Files
    columns: tuple[str, ...]
    examples: list[Example] = field(default_factory=list)
    candidates: list[Candidates] = field(default_factory=list)
    prompt_scored: bool = False

    @property
    def main(self) -> tuple[Rows, Path]:
        """Rows and path of the main file."""
        return next(iter(self.files.values()))

    @property
    def lines(self) -> list[int]:
        """The line of each example's or candidates' row in its file, for messages."""
        return [number for rows, _ in self.files.values() for number, _ in numbered(rows)]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example or row of candidates, before truncation."""
        return [e.length for e in self.examples] or [max(c.lengths) for c in self.candidates]

    def tokens(self, max_length: int) -> list[tuple[int, int]]:
        """(all, trained) tokens of each example or row of candidates, after truncation."""
        counts = [(len(e.ids), e.trained) for e in self.examples]
        for row in self.candidates:
            seen = [min(length, max_length) for length in row.lengths]
            # A sequence's first token has nothing to be predicted from.
            least = [1 if self.prompt_scored else len(prompt) for prompt in row.prompts]
            own = len(seen) - row.borrowed
            trained = zip(seen[:own], least[:own], strict=True)
            counts.append((sum(seen), sum(max(0, n - masked) for n, masked in trained)))
        return counts


def encode(config: Stage, tokenizer: Any, data: Mapping[str, Path]) -> Encoded:
    """Read and tokenise the stage's files.

    Raises:
        DataError: a file or key is missing, or a row has the wrong shape; names file and row.
    """
    kind = kind_of(config)
    assert kind.encode is not None, f"{config.kind} writes its own responses"
    files = {}
    for name, what in kind.reads(config).items():
        if name not in data:
            raise DataError(f"the {config.kind} stage needs the file '{name}'; got {sorted(data)}")
        if what == "rows":
            path = Path(data[name])
            files[name] = read_rows(path, getattr(config, "turns", "last")), path
            if not files[name][0]:
                raise DataError(f"{path}: no rows; the {config.kind} stage needs at least one")
            kind.check(config, name, *files[name])
    return kind.encode(config, tokenizer, files)


def check_responses(rows: Rows, columns: Sequence[str], path: Path, *, chats: bool = True) -> None:
    """Refuse rows without a prompt or a response, before a tokenizer is there.

    Raises:
        DataError: names file and row.
    """
    kinds, what = (str | list, "text or a list of messages") if chats else (str, "text")
    for number, row in numbered(rows):
        for key in columns:
            if not isinstance(row.get(key), kinds):
                raise DataError(
                    f"{path}: row {number}: '{key}' must be {what}; "
                    f"found {type(row.get(key)).__name__} (keys: {', '.join(sorted(row))})"
                )


def texts(rows: Rows, path: Path) -> list[str]:
    """The column `text`.

    Raises:
        DataError: a row without it; names file and row.
    """
    check_responses(rows, ("text",), path, chats=False)
    return [row["text"] for row in rows]


def render_prompts(
    tokenizer: Any, rows: Rows, path: Path, prompts_as: PromptFormat = None
) -> tuple[list[str], list[list[int]], list[bool]]:
    """Of each row's prompt, as a stage on responses to it would train on them: text, token ids, and
    whether the chat template wrote it.

    Raises:
        DataError: a row without a prompt; names file and row.
    """
    rendered = _rendered(tokenizer, rows, None, path, prompts_as)
    texts, chats = [one.prompt for one in rendered], [one.templated for one in rendered]
    return texts, _prompts(tokenizer, rendered), chats


def template_of(tokenizer: Any) -> chat.ChatTemplate | None:
    """The template that a stage writes chats with: the tokenizer's own, since one that was named
    was put on it when it was loaded."""
    return chat.choose(tokenizer) if getattr(tokenizer, "chat_template", None) else None


def encode_exchange(
    tokenizer: Any, prompt: Any, response: str, finished: bool, prompts_as: PromptFormat = None
) -> list[int]:
    """Token ids of a prompt and a response to it, as training on the pair gives them.

    Args:
        finished: the response ended by itself; one that was cut off gets no end.
    """
    row = {"prompt": prompt, "completion": response}
    [rendered] = _rendered(tokenizer, [row], "completion", Path("prompts"), prompts_as)
    [head] = _prompts(tokenizer, [rendered])
    tail = rendered.response
    if not finished and rendered.templated:
        # A reply that was cut off stands where the template puts one, without what ends it.
        # Behind the reply a template writes its end, which was never said.
        # Some templates leave thoughts out of a reply: what they write then is what it says.
        words = next(w for w in (response.strip(), said(response).text, "") if w in tail)
        tail = tail[: tail.find(words) + len(words)]
    [ids] = _ids(tokenizer, [tail], special=False)
    return head + (_ended(ids, tokenizer.eos_token_id) if finished else ids)


def documents(
    tokenizer: Any, bodies: list[str], tag: str | None, max_length: int, source: str
) -> list[Example]:
    """Whole documents behind a tag that is not trained on."""
    # The start token comes with whatever stands first: the tag, or the document.
    head = _ids(tokenizer, [tag])[0] if tag else []
    wholes = [
        _ended(head + body, tokenizer.eos_token_id)
        for body in _ids(tokenizer, bodies, special=not tag)
    ]
    return [Example(ids[:max_length], len(head), len(ids), source) for ids in wholes]


def demonstrations(
    config: Stage, tokenizer: Any, rows: Rows, path: Path, source: str
) -> list[Example]:
    """Prompts with the response in the column `completion`, which alone is trained on."""
    return [
        Example(
            (prompt + response)[: config.max_length], len(prompt), len(prompt + response), source
        )
        for prompt, response in exchanges(tokenizer, rows, path, "completion", config.format)
    ]


def exchanges(
    tokenizer: Any, rows: Rows, path: Path, column: str, prompts_as: PromptFormat
) -> list[tuple[list[int], list[int]]]:
    """Tokens of each row's prompt, and of the response in a column with its end."""
    rendered = _rendered(tokenizer, rows, column, path, prompts_as)
    responses = _ids(tokenizer, [one.response for one in rendered], special=False)
    ended = [_ended(response, tokenizer.eos_token_id) for response in responses]
    return list(zip(_prompts(tokenizer, rendered), ended, strict=True))


@dataclass(frozen=True, slots=True)
class _Rendered:
    prompt: str
    response: str
    templated: bool


def _rendered(
    tokenizer: Any, rows: Rows, column: str | None, path: Path, prompts_as: PromptFormat
) -> list[_Rendered]:
    """Each row's prompt as text, and the response in a column; chats by the tokenizer's template.

    Raises:
        DataError: a row of another shape, or one that the template refuses; names file and row.
    """
    template = template_of(tokenizer)
    check_responses(rows, ("prompt",) if column is None else ("prompt", column), path)
    found = []
    for number, row in numbered(rows):
        given, reply = row["prompt"], "" if column is None else row[column]
        if isinstance(given, str) and not isinstance(reply, str):
            raise DataError(f"{path}: row {number}: the prompt is text, so must the response be")
        if isinstance(given, str) and (template is None or prompts_as == "text"):
            found.append(_Rendered(given, reply, False))
            continue
        if template is None:
            raise DataError(
                f"{path}: row {number}: the prompt is a list of messages but the tokenizer has no "
                "chat template; give text, or name one with chat_template (shipped: "
                f"{', '.join(chat.shipped())})"
            )
        try:
            prompt, response = turns_of(given, "prompt"), ""
            if column is None:
                head = template.render(prompt)
            else:
                # As an evaluation places a reply: where the template puts one, whatever space it
                # begins with.
                text = isinstance(reply, str)
                said = (
                    (Message("assistant", reply.lstrip(" ")),) if text else turns_of(reply, column)
                )
                if other := [turn.role for turn in said if turn.role != "assistant"]:
                    raise ValueError(
                        f"'{column}' must be the assistant's turn alone; it holds {other[0]!r}"
                    )
                head, response = template.exchange((*prompt, *said))
        except (UserError, ValueError) as error:
            raise DataError(f"{path}: row {number}: {error}") from error
        found.append(_Rendered(head, response, True))
    return found


def _prompts(tokenizer: Any, rendered: Sequence[_Rendered]) -> list[list[int]]:
    """Prompt ids; a template writes the special tokens itself, plain text gets the tokenizer's."""
    if len({r.templated for r in rendered}) > 1:
        return [_ids(tokenizer, [r.prompt], special=not r.templated)[0] for r in rendered]
    # One call for all of them: a fast tokenizer takes many texts at once.
    # A template writes the start token itself; a second one would be another prompt.
    special = not any(r.templated for r in rendered)
    return _ids(tokenizer, [r.prompt for r in rendered], special=special)


def _ids(tokenizer: Any, texts: list[str], *, special: bool = True) -> list[list[int]]:
    encoded = tokenizer(texts, add_special_tokens=special, return_attention_mask=False)
    eos = tokenizer.eos_token_id
    # Some tokenizers close every text with EOS; inside a sequence it would end it too early.
    return [
        list(ids[:-1]) if special and len(ids) and ids[-1] == eos else list(ids)
        for ids in encoded["input_ids"]
    ]


def _ended(ids: list[int], eos: int | None) -> list[int]:
    return ids if eos is None or (ids and ids[-1] == eos) else [*ids, eos]
