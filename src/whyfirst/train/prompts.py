"""Prompts of a stage that generates: rows, their text and their tokens.

A prompt is tokenised exactly as in the other stages and in evaluation. Leaves out: responses.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json
from whyfirst.data.rows import Row, iter_rows, numbered, prompts_in
from whyfirst.models import loading
from whyfirst.models.continuation import Ending, ending
from whyfirst.train.config_base import PromptFormat
from whyfirst.train.encode import render_prompts, template_of
from whyfirst.train.kinds import Rows
from whyfirst.train.plan import held_out


@dataclass(frozen=True)
class Prompts:
    """The rows of a prompt file, in file order.

    Args:
        texts: each prompt as text (messages through the chat template).
        ids: its tokens.
        chats: whether the chat template wrote it.
        trained: indices of the rows trained on; `kept` those held out for the gold reward.
    """

    path: Path
    rows: Rows
    texts: list[str]
    ids: list[list[int]]
    chats: list[bool]
    trained: list[int]
    kept: list[int]

    def endings(self, folder: Path, tokenizer: Any) -> list[Ending]:
        """What ends the response to each prompt, by a model in `folder`, and how it is read: as an
        evaluation of that model would have it."""
        ends, template = end_tokens(folder, tokenizer), template_of(tokenizer)
        kinds = [ending(tokenizer, ends, (), one) for one in (None, template)]
        return [kinds[chat] for chat in self.chats]

    @property
    def lines(self) -> list[int]:
        """The line of each prompt's row, for messages."""
        return [number for number, _ in numbered(self.rows)]


def read_prompts(
    tokenizer: Any, data: Mapping[str, Path], share: float, prompts_as: PromptFormat = None
) -> Prompts:
    """Read and tokenise `data["prompts"]`, holding out `share` of it by prompt hash.

    Raises:
        DataError: the file is missing or empty, a row has no prompt, or the share leaves nothing.
    """
    if "prompts" not in data:
        raise DataError(f"a stage that generates needs the file 'prompts'; got {sorted(data)}")
    path = Path(data["prompts"])
    return prompts_of(tokenizer, list(iter_rows(path)), path, share, prompts_as)


def prompts_of(
    tokenizer: Any, rows: Rows, path: Path, share: float, prompts_as: PromptFormat = None
) -> Prompts:
    """Rows as prompts; see `read_prompts`."""
    found = list(prompts_in(rows, path))
    if not found:
        raise DataError(f"{path}: no rows; the stage needs at least one prompt")
    if prompts_as is not None:  # a reward model reads them in the same way
        found = [Row(row | {"format": prompts_as}, row.line) for row in found]
    texts, ids, chats = render_prompts(tokenizer, found, path, prompts_as)
    # By the rendered text: two ways to write one prompt are one prompt.
    kept = held_out(texts, share)
    trained = [number for number, out in enumerate(kept) if not out]
    held = [number for number, out in enumerate(kept) if out]
    if share and not (trained and held):
        raise DataError(
            f"{path}: gold.held_out {share:g} of {len(found)} prompts leaves {len(trained)} to "
            f"train on and {len(held)} held out; give more prompts or another share"
        )
    return Prompts(path, found, texts, ids, chats, trained, held)


def end_tokens(folder: Path, tokenizer: Any) -> frozenset[int]:
    """Ids that end a response: the tokenizer's, and those the model's generation config names."""
    path = folder / "generation_config.json"
    configured = read_json(path).get("eos_token_id") if path.is_file() else None
    return loading.end_tokens(configured, tokenizer)
