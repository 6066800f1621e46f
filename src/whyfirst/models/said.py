"""What a model said in a reply, apart from what it thought aloud before.

One place for scorers, judges, teachers and rewards. What is said stands after the last closed
thought, in every published markup: tags (``<think>``, ``<thinking>``, ``<seed:think>``,
``[THINK]`` and their kin), harmony's channels, and harmony decoded without its special tokens. A
template may have opened the thought already, so that the reply holds the closing tag alone. A
reply that ends inside a thought says nothing. Leaves out: reasoning that an endpoint keeps to
itself, which is in no reply's text.
"""

import re
from typing import NamedTuple

from whyfirst.models.base import Completion

VERSION = "3"
"""Of how a reply is read; part of what a model wrote."""
CUT_OFF = "cut off inside its thoughts"

_TAG = (
    r"(?:(?:seed:|longcat_|ant)?think(?:ing)?|thoughts?|(?:inner|internal)_(?:thoughts?|monologue)"
    r"|(?:thought|reasoning)_process|chain_of_thought|cot|reasoning|scratchpad(?:_reasoning)?)"
)
_BAR = r"[|\uff5c]"  # of a special token; some have the full-width one
_OPEN = (
    rf"<\s?{_TAG}(?:\s[^<>\n]{{0,80}})?>|\[THINK\]|<{_BAR}(?:{_TAG}|inner_prefix){_BAR}>"
    r"|<\|(?:begin|start)_of_think(?:ing)?\|>|<\|(?:begin|start)_of_thought\|>|<\|START_THINKING\|>"
    r"|◁think▷|<\|channel>thought"
)
_CLOSE = (
    rf"</\s?{_TAG}\s?>|\[/THINK\]|<{_BAR}(?:/{_TAG}|inner_suffix){_BAR}>"
    r"|<\|end_of_think(?:ing)?\|>|<\|end_of_thought\|>|<\|END_THINKING\|>|◁/think▷|<channel\|>"
)
# A mark in quotes or backticks is spoken of and not used: "put it between `<think>` and ...".
_QUOTED = re.compile(rf"(?<!\w)([`'\"])(?:{_OPEN}|{_CLOSE})\1(?!\w)", re.IGNORECASE)
_CLOSED = re.compile(_CLOSE, re.IGNORECASE)
_OPENED = re.compile(rf"^[ \t]*(?:{_OPEN})", re.IGNORECASE | re.MULTILINE)
_ENDS_OPEN = re.compile(rf"(?:{_OPEN})\s*\Z", re.IGNORECASE)

_CHANNEL = re.compile(r"<\|channel\|>\s*(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_STOPPED = re.compile(r"<\|(?:end|return|call|start)\|>")
_MARK = re.compile(
    rf"{_OPEN}|{_CLOSE}|{_CHANNEL.pattern}|<\|start\|>\w*|{_STOPPED.pattern}", re.IGNORECASE
)
# Harmony whose special tokens were left out in decoding: "analysisThe user ...assistantfinalIt is".
_BARE = re.compile(r"\A(?:analysis(?=[A-Z\"'*\d])|.*?assistantanalysis)", re.DOTALL)
_BARE_FINAL = "assistantfinal"
# Thoughts announced in words, as Granite 3.2 writes them; "Here is my response:" ends them.
_WORDS = re.compile(
    r"\A\s*Here(?: is|'s) my thought process:(.*?)(?:Here(?: is|'s) my response:(.*))?\Z", re.DOTALL
)
# What may be put round the answer that follows a thought.
_ANSWER = re.compile(
    r"\A\s*(?:<answer>|<response>|<Output>|<\|begin_of_solution\|>|<\|START_RESPONSE\|>)(.*?)"
    r"(?:</answer>|</response>|</Output>|<\|end_of_solution\|>|<\|END_RESPONSE\|>|\Z)\s*\Z",
    re.DOTALL,
)


class Said(NamedTuple):
    """What a reply says.

    Attributes:
        text: what stands after its last closed thought, without white space round it.
        problem: why it says nothing although there is text (`CUT_OFF`); None otherwise.
        thought: whether a thought, empty ones too, comes before what is said.
    """

    text: str
    problem: str | None = None
    thought: bool = False


def said(reply: str) -> Said:
    """Read a reply; see the module."""
    return _read(reply)[0]


def thought(reply: str) -> str:
    """What was thought before what a reply says, its marks left out; "" where nothing was.

    Of a reply that was cut off in its thoughts, all of it.
    """
    found, start = _read(reply)
    return _MARK.sub("", reply[:start]).strip() if found.thought else ""


def _read(reply: str) -> tuple[Said, int]:
    """What a reply says, and where in it that begins."""
    cut_off = Said("", CUT_OFF, True), len(reply)
    # Before tags, which may stand in a harmony message as plain words.
    if "<|channel|>" in reply:
        # The last message in the channel `final`; without one, the reply ended in a thought.
        messages = list(_CHANNEL.finditer(reply))
        ends = [found.end() for found in messages if found[1] == "final"]
        if not ends:
            return cut_off
        last = _STOPPED.split(reply[ends[-1] :])[0]
        return Said(last.strip(), thought=len(ends) < len(messages)), ends[-1]
    if _BARE.match(reply):
        before, final, text = reply.rpartition(_BARE_FINAL)
        return (Said(text.strip(), thought=True), len(before)) if final else cut_off
    if announced := _WORDS.match(reply):
        if (text := announced[2]) is None:
            return cut_off
        return Said(text.strip(), thought=True), announced.end(1)
    # Same length, so that places in the two texts are the same.
    marks = _QUOTED.sub(lambda found: "\0" * len(found[0]), reply)
    start = max((found.end() for found in _CLOSED.finditer(marks)), default=0)
    # Behind the last closed one, so it is open to the end.
    if _OPENED.search(marks[start:]):
        return cut_off
    text = reply[start:]
    if start and (wrapped := _ANSWER.match(text)):
        text = wrapped[1]
    return Said(text.strip(), thought=start > 0), start


def answer(completion: Completion) -> Said:
    """What a completion says; its own `problem`, where it has one, stands as the reason.

    Without a thought the text is left as it is, white space and all.
    """
    if completion.problem is not None:
        return Said("", completion.problem)
    found = said(completion.text)
    # Without a thought every character may matter (code that begins with spaces).
    if found.thought or found.problem:
        return found
    return Said(completion.text)


def opened_thought(rendered: str) -> str:
    """The mark of a thought that a rendered prompt ends with, opened for the reply; else ""."""
    found = _ENDS_OPEN.search(rendered)
    return found[0].strip() if found else ""


def is_mark(token: str) -> bool:
    """Whether a token is what tells a thought from what is said, and so must stay in the text."""
    harmony = ("<|channel|>", "<|message|>")
    return token in harmony or re.fullmatch(f"{_OPEN}|{_CLOSE}", token, re.IGNORECASE) is not None
