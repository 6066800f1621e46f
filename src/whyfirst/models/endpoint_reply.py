"""What an OpenAI-compatible reply says: completions, and log-probabilities of an echoed prompt.

A server, or something between, can send anything: whatever isn't as documented is `Malformed`,
with the reason. Leaves out: asking (`endpoint_client`), tool calls, and reasoning text.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.config.text import safe_text
from whyfirst.models.base import Completion, before_stop
from whyfirst.models.endpoint_http import Malformed

_SURROGATES = re.compile("[\ud800-\udfff]")
#: reasons to end that servers give: OpenAI's, Anthropic's, Google's, Mistral's, text-generation's
_ENDED = frozenset({"stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"})
_CUT = frozenset({"length", "max_tokens", "max_length", "model_length"})


def completions(reply: Mapping[str, Any], *, stop: Sequence[str]) -> list[Completion]:
    """One completion a choice, at least one.

    A completion cut by length is not finished. One withheld by the provider's filter, one that
    ended in a way that is neither an end nor a cut (a tool call, an abort, no reason given), and
    one without any text although it ended, has a `problem`.

    Raises:
        Malformed: no choices, or a choice that isn't one.
    """
    made = []
    for choice in _choices(reply):
        reason = str(choice.get("finish_reason")).lower()
        # Neither a refusal of the model nor an answer: nothing is known of what it would say.
        if reason == "content_filter":
            made.append(Completion("", False, "the endpoint withheld the reply (content_filter)"))
            continue
        text = _chat_text(choice["message"]) if "message" in choice else choice.get("text")
        if text is not None and not isinstance(text, str):
            raise Malformed("a choice whose text is no text")
        if text is None and reason in _CUT:
            text = ""  # all of it went into hidden reasoning
        if choice.get("error") or reason not in _ENDED | _CUT:
            said = str(choice.get("error") or f"finish_reason {choice.get('finish_reason')!r}")
            problem = safe_text(f"the reply did not end as one does ({said[:200]})")
            made.append(Completion("", False, problem))
        elif text is None:
            made.append(Completion("", False, "the reply has no text"))
        else:
            # Half a character can't be written to a file again.
            whole = _SURROGATES.sub("\ufffd", text)
            cut = before_stop(whole, stop)
            made.append(Completion(cut, finished=reason in _ENDED or cut != whole))
    return made


def _choices(reply: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    choices = reply.get("choices")
    if not isinstance(choices, list) or not all(isinstance(c, Mapping) for c in choices):
        raise Malformed("a reply without choices")
    if not choices:
        raise Malformed("a reply with no choice in it")
    # The documented order is that of `index`; servers that stream inside may mix it up.
    places = [c["index"] if isinstance(c.get("index"), int) else 0 for c in choices]
    return [choices[at] for at in sorted(range(len(choices)), key=lambda at: places[at])]


def _chat_text(message: Any) -> Any:
    """Content as text; parts are joined; a refusal in its own field is what the model said."""
    if not isinstance(message, Mapping):
        raise Malformed("a choice without a message")
    content = message.get("content")
    if isinstance(content, list):
        # A part of another type is no part of the answer: some servers give thoughts so.
        spoken = ("text", "output_text")
        parts = [p.get("text") for p in content
                 if isinstance(p, Mapping) and p.get("type", "text") in spoken]  # fmt: skip
        return "".join(part for part in parts if isinstance(part, str)) or None
    refusal = message.get("refusal")
    return refusal if not content and isinstance(refusal, str) and refusal else content


def prompt_tokens(reply: Mapping[str, Any]) -> int:
    """How many tokens the server made of the prompt, with the start token it may add.

    Raises:
        Malformed: the reply doesn't say.
    """
    usage = reply.get("usage")
    count = usage.get("prompt_tokens") if isinstance(usage, Mapping) else None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise Malformed("a reply that doesn't say how many tokens the prompt has")
    return count


def echoed(reply: Mapping[str, Any]) -> list[float | None]:
    """Log-probability of every token of the prompt; the first has none.

    Raises:
        Malformed: the server doesn't echo the prompt with log-probabilities (vLLM does).
    """
    choice = _choices(reply)[0]
    logprobs = choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, Mapping) else None
    # The one token that had to be asked for comes after the prompt's.
    count = prompt_tokens(reply)
    if not isinstance(values, list) or len(values) < count:
        raise Malformed("no log-probabilities of the prompt (echo with logprobs, as vLLM has it)")
    for value in values[:count]:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # A little above 0 is rounding; what is further above is no log-probability.
        if value is not None and not (number and math.isfinite(value) and value <= 1e-6):
            raise Malformed("log-probabilities that are none")
    return values[:count]
