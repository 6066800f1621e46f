"""From JSONL rows to token ids, with the part that is trained on marked.

Prompt and completion are tokenised apart and joined, so the prompt's ids in training are exactly
those of an evaluation that tokenises the prompt alone. Where the tokenizer has a chat template, a
prompt given as text is a chat as well (its one user turn, or the turns of an HH dialogue), since an
evaluation asks in chats, unless the stage says `format: text`. Leaves out: loss on several turns of
one conversation (only the last turn is trained), images, tools.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import read_jsonl
from whyfirst.data.hh_rlhf import dialogue
from whyfirst.models import chat
from whyfirst.models.base import Chat, Message, asked
from whyfirst.train.config import (
    DPOStage,
    ExplainStage,
    KTOStage,
    OfflineStage,
    RewardStage,
    SFTStage,
    data_names,
)

PromptFormat = Literal["chat", "text"] | None
"""What a prompt given as text is where the tokenizer has a chat template; None is a chat."""
RESPONSES = {
    "sft": ("completion",),
    "kto": ("completion",),
    "dpo": ("chosen", "rejected"),
    "reward": ("chosen", "rejected"),
}
"""Columns beside the prompt; a stage that generates reads none."""


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
class Pair:
    """One preference: ids of the prompt and of both responses, untruncated."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def length(self) -> int:
        """Tokens of the longer of the two sequences."""
        return len(self.prompt) + max(len(self.chosen), len(self.rejected))


@dataclass(frozen=True)
class Encoded:
    """A stage's data: raw rows by file, and their examples (or pairs), in file order.

    `labels` (kto) says of each example whether it is desirable; `margins` (reward) by how much
    each pair's chosen response is better, or None where the file doesn't say.
    """

    rows: Mapping[str, list[dict[str, Any]]]
    files: Mapping[str, Path]
    examples: list[Example] = field(default_factory=list)
    pairs: list[Pair] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    margins: list[float] | None = None


def encode(config: OfflineStage, tokenizer: Any, data: Mapping[str, Path]) -> Encoded:
    """Read and tokenise the stage's files.

    Raises:
        DataError: a file or key is missing, or a row has the wrong shape; names file and row.
    """
    files = {}
    for name in data_names(config):
        if name not in data:
            raise DataError(f"the {config.kind} stage needs the file '{name}'; got {sorted(data)}")
        files[name] = Path(data[name])
    rows = {name: read_jsonl(path, whole_characters=True) for name, path in files.items()}
    for name, path in files.items():
        if not rows[name]:
            raise DataError(f"{path}: no rows; the {config.kind} stage needs at least one")
    first = next(iter(files))
    main, path = rows[first], files[first]
    match config:
        case ExplainStage():
            examples: list[Example] = []
            for name in files:
                tag = config.doc_tag if name == "documents" else None
                texts = _column(rows[name], "text", files[name])
                examples += _documents(tokenizer, texts, tag, config.max_length, name)
            return Encoded(rows, files, examples)
        case SFTStage():
            rendered = _rendered(tokenizer, main, ("completion",), path, config.format)
            found = _demonstrations(tokenizer, rendered, config.max_length, first)
            return Encoded(rows, files, found)
        case KTOStage():
            labels = [_label(row, path, number) for number, row in enumerate(main, 1)]
            rendered = _rendered(tokenizer, main, ("completion",), path, config.format)
            found = _demonstrations(tokenizer, rendered, config.max_length, first)
            return Encoded(rows, files, found, labels=labels)
        case DPOStage():
            return Encoded(rows, files, pairs=_pairs(tokenizer, main, path, config.format))
        case RewardStage():
            pairs = _pairs(tokenizer, main, path, config.format)
            return Encoded(rows, files, pairs=pairs, margins=_margins(main, path))


def _label(row: dict[str, Any], path: Path, number: int) -> bool:
    if not isinstance(row.get("label"), bool):
        raise DataError(
            f"{path}: row {number}: 'label' must be true (desirable) or false; found "
            f"{row.get('label')!r}"
        )
    return bool(row["label"])


def _margins(rows: list[dict[str, Any]], path: Path) -> list[float] | None:
    """The column `margin`, which all rows have or none."""
    if not any("margin" in row for row in rows):
        return None
    for number, row in enumerate(rows, 1):
        value = row.get("margin")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(
                f"{path}: row {number}: 'margin' must be a number, in every row or in none; found "
                f"{value!r}"
            )
    return [float(row["margin"]) for row in rows]


def check_columns(kind: str, rows: list[dict[str, Any]], path: Path) -> None:
    """Refuse rows without what a stage of this kind reads, as training does, before a tokenizer.

    Raises:
        DataError: names file and row.
    """
    if kind == "explain":
        _column(rows, "text", path)
        return
    keys = RESPONSES.get(kind, ())
    for number, row in enumerate(rows, 1):
        _check_texts(row, keys, path, number)
        if kind == "kto":
            _label(row, path, number)


def render_prompts(
    tokenizer: Any, rows: list[dict[str, Any]], path: Path, prompts_as: PromptFormat = None
) -> tuple[list[str], list[list[int]]]:
    """Text and token ids of each row's prompt, as a stage on responses to it would train on them.

    Raises:
        DataError: a row without a prompt; names file and row.
    """
    rendered = _rendered(tokenizer, rows, (), path, prompts_as)
    return [one.prompt for one in rendered], _prompts(tokenizer, rendered)


def encode_exchange(
    tokenizer: Any, prompt: Any, response: str, finished: bool, prompts_as: PromptFormat = None
) -> list[int]:
    """Token ids of a prompt and a response to it, as training on the pair gives them.

    Args:
        finished: the response ended by itself; one that was cut off gets no end.
    """
    row = {"prompt": prompt, "completion": response}
    [rendered] = _rendered(tokenizer, [row], ("completion",), Path("prompts"), prompts_as)
    [head] = _prompts(tokenizer, [rendered])
    whole = rendered.responses[0]
    # A reply that was cut off stands where the template puts one, without what ends it.
    tail = whole if finished else whole[: whole.find(response.strip()) + len(response.strip())]
    ids = _ids(tokenizer, [tail if rendered.templated else response], special=False)[0]
    return head + (_ended(ids, tokenizer.eos_token_id) if finished else ids)


def _documents(
    tokenizer: Any, texts: list[str], tag: str | None, max_length: int, source: str
) -> list[Example]:
    head = _ids(tokenizer, [tag])[0] if tag else []
    bodies = _ids(tokenizer, texts, special=not tag)
    eos = tokenizer.eos_token_id
    found = []
    for body in bodies:
        ids = _ended(head + body, eos)
        found.append(Example(ids[:max_length], len(head), len(ids), source))
    return found


def _demonstrations(
    tokenizer: Any, rendered: "list[_Rendered]", max_length: int, source: str
) -> list[Example]:
    prompts = _prompts(tokenizer, rendered)
    completions = _ids(tokenizer, [r.responses[0] for r in rendered], special=False)
    eos = tokenizer.eos_token_id
    found = []
    for prompt, completion in zip(prompts, completions, strict=True):
        ids = prompt + _ended(completion, eos)
        found.append(Example(ids[:max_length], len(prompt), len(ids), source))
    return found


def _pairs(
    tokenizer: Any, rows: list[dict[str, Any]], path: Path, prompts_as: PromptFormat
) -> list[Pair]:
    rendered = _rendered(tokenizer, rows, ("chosen", "rejected"), path, prompts_as)
    prompts = _prompts(tokenizer, rendered)
    eos = tokenizer.eos_token_id
    sides = [_ids(tokenizer, [r.responses[k] for r in rendered], special=False) for k in (0, 1)]
    return [
        Pair(prompt, _ended(chosen, eos), _ended(rejected, eos))
        for prompt, chosen, rejected in zip(prompts, *sides, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Rendered:
    prompt: str
    responses: tuple[str, ...]
    templated: bool


def _rendered(
    tokenizer: Any,
    rows: list[dict[str, Any]],
    keys: tuple[str, ...],
    path: Path,
    prompts_as: PromptFormat,
) -> list[_Rendered]:
    """Each row as text; a chat goes through the tokenizer's template.

    Raises:
        DataError: a row of another shape, or one that the template refuses; names file and row.
    """
    template = chat.choose(tokenizer) if getattr(tokenizer, "chat_template", None) else None
    found = []
    for number, row in enumerate(rows, 1):
        _check_texts(row, keys, path, number)
        is_text = isinstance(row["prompt"], str)
        if is_text and not all(isinstance(row[key], str) for key in keys):
            raise DataError(f"{path}: row {number}: the prompt is text, so must the response be")
        if is_text and (template is None or prompts_as == "text"):
            found.append(_Rendered(row["prompt"], tuple(row[key] for key in keys), False))
            continue
        if template is None:
            raise DataError(
                f"{path}: row {number}: the prompt is a list of messages but the tokenizer has no "
                "chat template; give text, or name one with chat_template (shipped: "
                f"{', '.join(chat.shipped())})"
            )
        try:
            found.append(_as_chat(template, row, keys))
        except (UserError, ValueError) as error:
            raise DataError(f"{path}: row {number}: {error}") from error
    return found


def _as_chat(template: chat.ChatTemplate, row: dict[str, Any], keys: tuple[str, ...]) -> _Rendered:
    """A prompt, and each response to it, as the template writes them."""
    prompt, responses = _turns(row["prompt"], "prompt"), []
    # As an evaluation places a reply: where the template puts one, whatever space it begins with.
    for key in keys:
        value = row[key]
        reply: Chat = (
            (Message("assistant", value.lstrip(" ")),)
            if isinstance(value, str)
            else _turns(value, key)
        )
        whole = template.exchange((*prompt, *reply))
        responses.append(whole)
    head = template.render(prompt)
    for key, whole in zip(keys, responses, strict=True):
        if not whole.text.startswith(head):
            raise ValueError(
                f"the chat template writes the prompt differently once '{key}' follows"
            )
    return _Rendered(head, tuple(whole.text[len(head) :] for whole in responses), True)


def _turns(value: Any, key: str) -> Chat:
    if isinstance(value, str):
        return dialogue(value) or asked(value)
    try:
        return chat.read_turns(value)
    except ValueError as error:
        raise ValueError(f"'{key}' {error}") from error


def _check_texts(row: dict[str, Any], keys: tuple[str, ...], path: Path, number: int) -> None:
    for key in ("prompt", *keys):
        if not isinstance(row.get(key), str | list):
            raise DataError(
                f"{path}: row {number}: '{key}' must be text or a list of messages; "
                f"found {type(row.get(key)).__name__} (keys: {', '.join(sorted(row))})"
            )


def _prompts(tokenizer: Any, rendered: Sequence[_Rendered]) -> list[list[int]]:
    """Prompt ids; a template writes the special tokens itself, plain text gets the tokenizer's."""
    if len({r.templated for r in rendered}) <= 1:
        special = not (rendered and rendered[0].templated)
        return _ids(tokenizer, [r.prompt for r in rendered], special=special)
    return [_ids(tokenizer, [r.prompt], special=not r.templated)[0] for r in rendered]


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


def _column(rows: list[dict[str, Any]], key: str, path: Path) -> list[str]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get(key), str):
            raise DataError(
                f"{path}: row {number}: '{key}' must be text; found "
                f"{type(row.get(key)).__name__} (keys: {', '.join(sorted(row))})"
            )
    return [row[key] for row in rows]
