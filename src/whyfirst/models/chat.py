"""Chats as text, for training, evaluation, teaching and judging: the one renderer.

A chat is rendered by the tokenizer's own template where it has one, else by `plain`, the
``Human:``/``Assistant:`` of HH-RLHF; a shipped template (templates/*.jinja, each with its source)
or a file can be named instead. A template writes every special token itself. What a template can
take (a system turn, two turns of one role in a row), what stands between the generation prompt and
a reply (its *joint*: a space for `plain`) and what ends a reply (its *turn end*) are read off it by
rendering probes, so that they hold for any template. Leaves out: tools, images, and disarming
control tokens inside a message: a prompt that spells one is read as one.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, cast, get_args

from whyfirst.config.errors import ConfigError, DataError, UserError, did_you_mean
from whyfirst.models import sandbox
from whyfirst.models.base import Chat, Message
from whyfirst.models.said import opened_thought

PLAIN = "plain"
OWN = "tokenizer"
_TEMPLATES = Path(__file__).parent / "templates"
_BOS = "{{- bos_token -}}"
_ROLES = get_args(Message.__annotations__["role"])
_OTHER_ROLES = {
    "human": "user", "prompter": "user", "user": "user", "gpt": "assistant", "bot": "assistant",
    "model": "assistant", "chatgpt": "assistant", "assistant": "assistant", "ai": "assistant",
    "developer": "system", "system": "system",
}  # fmt: skip
# What other tools write beside a turn's content, and what would then be missing from the chat.
_UNREAD = (
    "tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "images", "audio",
)  # fmt: skip
# Words no template changes; two user turns, so that what ends a reply shows.
_PROBE = (
    Message("user", "zero-question"),
    Message("assistant", "zero-answer"),
    Message("user", "one-question"),
)


def read_turns(value: Any) -> Chat:
    """Messages of a data file, ``[{role, content}, ...]``, as turns; text parts are joined.

    Raises:
        ValueError: another shape; says what was found, without the place.
    """
    if not isinstance(value, list) or not value:
        raise ValueError("must be a list of messages, {role, content}")
    turns = []
    for number, message in enumerate(value, 1):
        if not isinstance(message, dict):
            raise ValueError(f"message {number} is no {{role, content}} but {message!r:.60}")
        if "from" in message and "value" in message:
            raise ValueError(
                "holds ShareGPT's keys; rename from to role (human: user, gpt: assistant) and "
                "value to content"
            )
        role, content = message.get("role"), message.get("content")
        if role not in _ROLES:
            meant = _OTHER_ROLES.get(str(role).lower())
            raise ValueError(
                f"message {number}: role must be {', '.join(_ROLES)}; found {role!r:.60}"
                + (f" (write {meant})" if meant else "")
            )
        left_out = [key for key in _UNREAD if message.get(key)]
        if left_out:
            raise ValueError(
                f"message {number}: {left_out[0]!r} would be left out: a turn is its content alone;"
                " write it there, or leave such rows out"
            )
        if message.get("weight", 1) in (0, False) or message.get("train", True) is False:
            raise ValueError(
                f"message {number}: says that it is not to be trained on, which is not read here; "
                "make a row of the turns up to each reply that is"
            )
        if isinstance(content, list):
            # Contents in parts, of which only texts have a place in a text.
            parts = [part if isinstance(part, dict) else {} for part in content]
            spoken = [part["text"] for part in parts if part.get("type") == "text"
                      and isinstance(part.get("text"), str)]  # fmt: skip
            content = "".join(spoken) if len(spoken) == len(parts) else content
        if not isinstance(content, str):
            raise ValueError(
                f"message {number}: content must be text; found {type(content).__name__}"
            )
        turns.append(Message(cast(Any, role), content))
    return tuple(turns)


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
    return (_BOS if own_start else "") + text


def start_tokens(tokenizer: Any) -> list[int]:
    """What the tokenizer itself puts in front of a text; an end token it appends is left out."""
    # By what it does and not by its settings, which several tokenizer classes ignore.
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
        own = tokenizer.chat_template
        # Several by name; those but the default are for tools and documents.
        named = own if isinstance(own, dict) else {"default": own}
        if "default" not in named:
            raise UserError(
                f"the tokenizer has several chat templates ({', '.join(named)}) and none named "
                f"default; name one with chat_template (shipped: {', '.join(shipped())}, or a "
                ".jinja file)"
            )
        found = ChatTemplate(OWN, str(named["default"]), tokenizer)
    elif wanted is not None and wanted.endswith(".jinja"):
        try:
            text = Path(wanted).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise DataError(f"{wanted}: the chat template can't be read: {reason}") from error
        found = ChatTemplate(Path(wanted).name, text, tokenizer)
    else:
        found = ChatTemplate(wanted or PLAIN, template_text(wanted or PLAIN, tokenizer), tokenizer)
    found.check()
    return found


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
    _carried: dict[tuple[str, ...], bool] = field(default_factory=dict, repr=False, compare=False)

    @property
    def identity(self) -> dict[str, str]:
        """What decides how a chat is written, for a fingerprint: the text, and the date if read."""
        # Only where it is read: a template without a clock writes the same on every date.
        date = {"chat_template_date": sandbox.DATE.date().isoformat()}
        return {"chat_template": self.text} | (date if sandbox.reads_clock(self.text) else {})

    def check(self) -> None:
        """Raise ConfigError if the text isn't valid Jinja."""
        try:
            self._apply(_PROBE[:1])
        except sandbox.TemplateError as error:
            # A line is only told of text that is no Jinja; a refusal has none.
            if error.line is not None:
                raise ConfigError(
                    f"chat template {self.name}: line {error.line}: {error}"
                ) from error
            # A template may refuse the probe and still render other chats.

    def render(self, chat: Chat) -> str:
        """The chat as text, up to where the reply begins.

        Turns that the template can't take are put where it can (see `fitted`).

        Raises:
            ValueError: the last turn is not the user's.
            UserError: the template refuses the chat.
        """
        check_chat(chat)
        return self._written(self.fitted(chat), prompt=True)

    def begun(self, chat: Chat) -> str:
        """A chat whose last turn is the beginning of a reply, as text, to be gone on with.

        Raises:
            ValueError: the turn before it is not the user's.
            UserError: the template refuses the chat.
        """
        # A thought that the template opens stands in the prompt already.
        text = chat[-1].content.removeprefix(self.opened)
        return self.render(chat[:-1]) + (self.joint + text.lstrip(" ") if text else "")

    def exchange(self, chat: Chat) -> tuple[str, str]:
        """(prompt, reply) of a chat that ends with the assistant's turn, as text.

        The prompt is exactly what `render` gives for the turns before the reply, so that what is
        trained on is what an evaluation asks; the reply goes up to what ends its turn.

        Raises:
            ValueError: the last turn is not the assistant's, or answers no user's.
            UserError: the template refuses the chat, or writes it otherwise once a reply follows.
        """
        if not chat or chat[-1].role != "assistant":
            raise ValueError("a chat to train on ends with the assistant's turn")
        head, text = self.render(chat[:-1]), self._written(self.fitted(chat))
        # Some templates write earlier turns otherwise once there are later ones (thoughts, say).
        if not text.startswith(head):
            raise UserError(
                "the chat template writes the prompt differently once a reply follows, so "
                "training and generation would see different prompts; use a prefix-preserving "
                f"template in place of {self.name!r}"
            )
        # Templates often close a turn with EOS and a line break: what follows EOS is not seen.
        eos, reply = self.tokenizer.eos_token, text[len(head) :]
        ended = reply.rstrip()
        return head, ended if eos and ended.endswith(eos) else reply

    def fitted(self, chat: Chat) -> Chat:
        """The chat in a shape whose every turn reaches the text, with the least changed.

        Some templates refuse a system turn or drop it in silence, some want user and assistant to
        alternate. A system turn is then put in front of the next user turn, neighbours of one role
        become one turn, each with an empty line between.
        """
        # In the order of how much is changed; the first that loses nothing is taken.
        folded = _merged(chat, lambda one, two: (one, two) == ("system", "user"))
        shapes = (chat, folded, *(_merged(turns, operator.eq) for turns in (chat, folded)))
        for shape in shapes:
            roles = tuple(message.role for message in shape)
            if roles not in self._carried:
                # Told by words of no language: does every one of them reach the text?
                words = [f"word-{number}-probe" for number in range(len(roles))]
                probe = [Message(role, word) for role, word in zip(roles, words, strict=True)]
                text = self._probe(probe, prompt=roles[-1] != "assistant")
                self._carried[roles] = text is not None and all(word in text for word in words)
            if self._carried[roles]:
                return shape
        if (text := self._probe(chat, prompt=chat[-1].role != "assistant")) is None:
            return chat  # what it refuses is told when it is rendered
        # Of replies some templates leave out the thoughts, and some all earlier ones.
        asked = [turn.content.strip().casefold() for turn in chat if turn.role != "assistant"]
        if any(content not in text.casefold() for content in asked):
            raise UserError(
                f"chat template {self.name} leaves out a turn of the chat (turns "
                f"{', '.join(turn.role for turn in chat)}), so the model would not see it; name "
                f"another with chat_template (shipped: {', '.join(shipped())})"
            )
        return chat

    @cached_property
    def joint(self) -> str:
        """White space between the generation prompt and the reply, as the template writes it."""
        prompt, whole = self._probe(_PROBE[:1], prompt=True), self._probe(_PROBE[:2])
        # Where the prompt isn't the beginning of the whole, nothing can be read off.
        if prompt is None or whole is None or not whole.startswith(prompt):
            return ""
        # Between the two probes stands what the template puts there, whatever that is.
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
        # After the reply and up to the next question: what tells a reader that the turn is over.
        _, _, rest = whole.partition(_PROBE[1].content)
        between, found, _ = rest.partition(_PROBE[2].content)
        if not found or not between.strip():
            return frozenset(), ()
        named = self.tokenizer.convert_ids_to_tokens
        texts = {int(token): named(token) for token in self.tokenizer.all_special_ids}
        special = {token: text for token, text in texts.items() if text in between}
        starts = [t for t, text in special.items() if between.lstrip().startswith(text)]
        if starts:
            # One special token may begin with another (<|end|>, <|end|>_of_turn).
            longest = max(starts, key=lambda token: len(special[token]))
            return frozenset([longest]), ()
        # Text only: a stop text with a special token in it would never be seen when decoded.
        first = min([len(between), *(between.index(text) for text in special.values())])
        text = between[:first]
        blank = text[: len(text) - len(text.lstrip())]
        return frozenset(), (blank + text.lstrip().partition("\n")[0].rstrip(),)

    def _written(self, chat: Chat, prompt: bool = False) -> str:
        try:
            return self._apply(chat, prompt)
        except sandbox.TemplateError as error:
            roles = ", ".join(message.role for message in chat)
            raise UserError(
                f"chat template {self.name} refuses a chat of turns {roles}: {error}; name "
                f"another with chat_template (shipped: {', '.join(shipped())})"
            ) from error

    def _probe(self, chat: Sequence[Message], prompt: bool = False) -> str | None:
        try:
            return self._apply(chat, prompt)
        except sandbox.TemplateError:  # refused: nothing can be read off
            return None

    def _apply(self, chat: Iterable[Message], prompt: bool = True) -> str:
        """As transformers' `apply_chat_template` writes it, within the sandbox's limits.

        Raises:
            TemplateError: the template refuses the chat.
            UserError: it runs into a limit, so it can't be used at all.
        """
        special = {
            name: [str(token) for token in value] if isinstance(value, list) else str(value)
            for name, value in self.tokenizer.special_tokens_map.items()
        }
        variables = special | {
            "messages": [{"role": message.role, "content": message.content} for message in chat],
            # Templates ask whether these are there; transformers always passes them.
            "tools": None,
            "documents": None,
            "add_generation_prompt": prompt,
        }
        try:
            trusted = self.text.removeprefix(_BOS) in _shipped_texts()
            return sandbox.render(self.text, variables, trusted=trusted)
        except sandbox.TemplateError as error:
            # A refusal is of one chat; a limit is met whatever is asked.
            if error.limit:
                raise UserError(
                    f"chat template {self.name}: {error}; name another with chat_template "
                    f"(shipped: {', '.join(shipped())})"
                ) from error
            raise


@cache
def _shipped_texts() -> frozenset[str]:
    return frozenset(path.read_text(encoding="utf-8") for path in _TEMPLATES.glob("*.jinja"))


def _merged(chat: Chat, merges: Callable[[str, str], bool]) -> Chat:
    """Neighbours whose two roles `merges` says to be one turn, in the second one's role."""
    turns: list[Message] = []
    for message in chat:
        if turns and merges(turns[-1].role, message.role):
            turns[-1] = replace(message, content=f"{turns[-1].content}\n\n{message.content}")
        else:
            turns.append(message)
    return tuple(turns)
