"""What ends an answer, and what follows a text, as text, of the tokens that follow its tokens.

The one way from an answer's tokens back to a text that is put behind another: for answers, for
partial answers that a search goes on with, and for responses that a reward reads behind their
prompt. Leaves out: what a chat template writes around a reply (`chat` reads it off).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING, Any

from whyfirst.models.base import before_stop
from whyfirst.models.said import is_mark

if TYPE_CHECKING:
    from whyfirst.models.chat import ChatTemplate


def ending(
    tokenizer: Any, tokens: frozenset[int], stops: Sequence[str], template: "ChatTemplate | None",
    begun: bool = False,
) -> "Ending":  # fmt: skip
    """How answers to one kind of prompt end: a chat's reply also where the template ends a turn.

    Args:
        template: that wrote the prompt; None for a text.
        begun: the prompt ends inside a reply, which the answer goes on with as with a text.
    """
    if template is None:
        return Ending(tokenizer, tokens, tuple(stops))
    ends, more = template.turn_end
    return Ending(tokenizer, tokens | ends, (*stops, *more), None if begun else template)


@dataclass(frozen=True, eq=False)
class Ending:
    """What ends the answers to prompts of one kind, and how their tokens are read.

    Args:
        tokens: ids that end an answer.
        stops: texts that end it.
        template: that wrote the prompt as a chat, up to where the reply begins; None for answers
            that go on with a text, or with a reply that has begun.
    """

    tokenizer: Any
    tokens: frozenset[int]
    stops: tuple[str, ...] = ()
    template: "ChatTemplate | None" = None

    @cached_property
    def stopped(self) -> Callable[[list[int]], bool] | None:
        """What tells whether the last of an answer's tokens completed a stop text; None: no text
        stops it."""
        if not self.stops:
            return None
        # A token that isn't skipped has a byte or more of the text, a character at most four.
        tail = 2 + 4 * max(map(len, self.stops))
        skipped = frozenset(self.tokenizer.all_special_ids)

        def stopped(tokens: list[int]) -> bool:
            last = tokens[-tail:]
            if skipped.isdisjoint(last):
                text = self.text(last)
                if not any(one in text for one in self.stops):
                    return False
            text = self.text(tokens)
            return any(one in text for one in self.stops)

        return stopped

    def text(self, tokens: Sequence[int]) -> str:
        """Without special tokens, but with the marks of thoughts, which some models have as such:
        without them a thought and the answer after it would run together."""
        # In runs: decoding token by token would tear characters of several tokens apart.
        return "".join(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=not mark, clean_up_tokenization_spaces=False
            )
            for mark, ids in groupby(tokens, key=self._thought_marks.__contains__)
        )

    @cached_property
    def _thought_marks(self) -> frozenset[int]:
        special = self.tokenizer.all_special_ids
        names = self.tokenizer.convert_ids_to_tokens(special)
        return frozenset(i for i, name in zip(special, names, strict=True) if is_mark(name))

    def ends(self, tokens: Sequence[int]) -> bool:
        """Whether an answer's tokens, an end token included, ended it."""
        if not tokens:
            return False
        return tokens[-1] in self.tokens or bool(self.stopped and self.stopped(list(tokens)))

    def said(self, ids: Sequence[int], tokens: Sequence[int]) -> str:
        """The text of an answer's tokens behind the prompt's `ids`, up to a stop text.

        A chat's reply comes without the white space that the template puts before it, and with the
        mark of a thought that it opens.
        """
        text = before_stop(self.text(tokens), self.stops)
        if self.template is None:
            return lead(self.tokenizer, ids, tokens) + text
        return self.template.opened + text.removeprefix(self.template.joint)


def lead(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The space that parts `tokens` from `before` and is lost where they are decoded alone.

    Word-level and SentencePiece tokenizers write a space between two words and none before the
    first one: "the" + " cat" would come back as "thecat". Empty where nothing is lost.
    """
    if not before or not tokens:
        return ""
    one, both, alone = (
        tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        for ids in (before[-1:], [before[-1], tokens[0]], tokens[:1])
    )
    # After a special token, or in the middle of a character, there is no word to be parted from.
    parted = one and both.startswith(one) and both[len(one) :].startswith(" ")
    return " " if parted and not one[-1].isspace() and not alone.startswith(" ") else ""


def following(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of `tokens` behind the text of `before`, without special tokens."""
    text = tokenizer.decode(
        list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return lead(tokenizer, before, tokens) + str(text)
