"""Chats as text: which template applies, how a system message enters, where a reply ends.

A chat is rendered by the tokenizer's own template where it has one, else by `plain`, the
``Human:``/``Assistant:`` of HH-RLHF; a shipped template (templates/*.jinja, each with its source)
or a file can be named instead. A template writes every special token itself. Two things are read
off the template by rendering one probe dialogue, so that they hold for any template: its *joint*
(what stands between the generation prompt and the reply, a space for `plain`) and its *turn end*
(what follows a reply before the next user turn). Leaves out: tools, images, and disarming control
tokens inside a message: a prompt that spells one is read as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, DataError, UserError
from whyfirst.config.suggest import did_you_mean
from whyfirst.models.base import Chat, Message
from whyfirst.models.said import opened_thought

PLAIN = "plain"
OWN = "tokenizer"
_TEMPLATES = Path(__file__).parent / "templates"
# Words no template changes; two user turns, so that what ends a reply shows.
_PROBE = (
    Message("user", "zero-question"),
    Message("assistant", "zero-answer"),
    Message("user", "one-question"),
)


def shipped() -> list[str]:
    """Names of the templates that ship."""
    return sorted(path.stem for path in _TEMPLATES.glob("*.jinja"))


def template_text(name: str, tokenizer: Any) -> str:
    """A shipped template's text, for this tokenizer.

    The start token is put in front where the tokenizer itself sets one and the template doesn't.
    This is the text to save with a tokenizer that has none of its own.

    Raises:
        UserError: nothing of that name ships.
    """
    if name not in shipped():
        raise UserError(
            f"chat template: no {name!r}{did_you_mean(name, shipped())} (shipped: "
            f"{', '.join(shipped())}; or give a .jinja file)"
        )
    text = (_TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")
    own_start = start_tokens(tokenizer) and "bos_token" not in text
    return ("{{- bos_token -}}" if own_start else "") + text


def start_tokens(tokenizer: Any) -> list[int]:
    """What the tokenizer itself puts in front of a text; an end token it appends is left out."""
    with_special = tokenizer("a")["input_ids"]
    first = tokenizer.bos_token_id
    return [first] if first is not None and with_special[:1] == [first] else []


def check_chat(chat: Chat) -> None:
    """Raise ValueError if there is no user's turn at the end for the model to answer."""
    if not chat or chat[-1].role != "user":
        raise ValueError("a chat ends with the user's turn, which the model answers")


def choose(tokenizer: Any, wanted: str | None = None) -> "ChatTemplate":
    """The template for a tokenizer.

    Args:
        wanted: a shipped name, a ``.jinja`` file or ``tokenizer``; None takes the tokenizer's own,
            or `plain` where it has none.

    Raises:
        UserError: no such template, or one that is not valid Jinja.
    """
    if wanted == OWN and not tokenizer.chat_template:
        raise UserError(
            f"the tokenizer has no chat template of its own (shipped: {', '.join(shipped())})"
        )
    if wanted == OWN or (wanted is None and tokenizer.chat_template):
        found = ChatTemplate(OWN, str(tokenizer.get_chat_template()), tokenizer)
    elif wanted is not None and wanted.endswith(".jinja"):
        found = ChatTemplate(Path(wanted).name, _read(Path(wanted)), tokenizer)
    else:
        found = ChatTemplate(wanted or PLAIN, template_text(wanted or PLAIN, tokenizer), tokenizer)
    found.check()
    return found


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise DataError(f"{path}: the chat template can't be read: {reason}") from error


@dataclass(frozen=True)
class ChatTemplate:
    """One template with the tokenizer it is for.

    Args:
        name: what `LanguageModel.chat_template` says.
        text: Jinja source.
    """

    name: str
    text: str
    tokenizer: Any

    def check(self) -> None:
        """Raise ConfigError if the text isn't valid Jinja."""
        from jinja2 import TemplateSyntaxError

        try:
            self._apply(_PROBE[:1])
        except TemplateSyntaxError as error:
            raise ConfigError(
                f"chat template {self.name}: line {error.lineno}: {error.message}"
            ) from error
        except Exception:  # a template may refuse the probe and still render other chats
            return

    def render(self, chat: Chat) -> str:
        """The chat as text, up to where the reply begins.

        A system message the template can't take (it refuses it, or drops it silently) is put in
        front of the first user turn, with an empty line between.

        Raises:
            ValueError: the last turn is not the user's.
            UserError: the template refuses the chat.
        """
        check_chat(chat)
        folded = chat
        if chat[0].role == "system" and not self.takes_system:
            text = f"{chat[0].content}\n\n{chat[1].content}"
            folded = (Message(chat[1].role, text), *chat[2:])
        try:
            return self._apply(folded)
        except Exception as error:  # Jinja's own kinds, and whatever its expressions raise
            roles = ", ".join(message.role for message in chat)
            reason = [*str(error).strip().splitlines(), type(error).__name__][0]
            raise UserError(
                f"chat template {self.name} refuses a chat of turns {roles}: {reason}; name "
                f"another with chat_template (shipped: {', '.join(shipped())})"
            ) from error

    @cached_property
    def takes_system(self) -> bool:
        """Whether a system message reaches the text."""
        found = self._probe((Message("system", "zero-system"), _PROBE[0]), prompt=True)
        return found is not None and "zero-system" in found

    @cached_property
    def joint(self) -> str:
        """White space between the generation prompt and the reply, as the template writes it."""
        prompt, whole = self._probe(_PROBE[:1], prompt=True), self._probe(_PROBE[:2])
        if prompt is None or whole is None or not whole.startswith(prompt):
            return ""
        before = whole[len(prompt) :].partition(_PROBE[1].content)[0]
        return before if not before.strip() else ""

    @cached_property
    def opened(self) -> str:
        """The mark of a thought that the template opens for the reply (``<think>``); mostly ""."""
        return opened_thought(self._probe(_PROBE[:1], prompt=True) or "")

    @cached_property
    def turn_end(self) -> tuple[frozenset[int], tuple[str, ...]]:
        """(end tokens, stop texts) of a reply, so that a model doesn't play both sides.

        What the template writes between a reply and the next user message ends the reply: the
        special token it begins with, else its first line of text.
        """
        whole = self._probe(_PROBE)
        if whole is None:
            return frozenset(), ()
        _, _, rest = whole.partition(_PROBE[1].content)
        between, found, _ = rest.partition(_PROBE[2].content)
        if not found or not between.strip():
            return frozenset(), ()
        special = {token: text for token, text in self._special_tokens() if text in between}
        starts = [t for t, text in special.items() if between.lstrip().startswith(text)]
        if starts:
            longest = max(starts, key=lambda token: len(special[token]))
            return frozenset([longest]), ()
        first = min([len(between), *(between.index(text) for text in special.values())])
        text = between[:first]
        blank = text[: len(text) - len(text.lstrip())]
        return frozenset(), (blank + text.lstrip().partition("\n")[0].rstrip(),)

    def _special_tokens(self) -> list[tuple[int, str]]:
        tokenizer = self.tokenizer
        return [(int(t), tokenizer.convert_ids_to_tokens(t)) for t in tokenizer.all_special_ids]

    def _probe(self, chat: Sequence[Message], prompt: bool = False) -> str | None:
        try:
            return self._apply(chat, prompt)
        except Exception:  # refused: nothing can be read off
            return None

    def _apply(self, chat: Sequence[Message], prompt: bool = True) -> str:
        messages = [{"role": message.role, "content": message.content} for message in chat]
        return str(
            self.tokenizer.apply_chat_template(
                messages,
                chat_template=self.text,
                tokenize=False,
                add_generation_prompt=prompt,
            )
        )
