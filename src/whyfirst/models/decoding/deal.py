"""DeAL: decoding as a search guided by rewards of where partial answers lead.

Huang et al. 2024, "DeAL: Decoding-time Alignment for Large Language Models", arXiv 2402.06147. On a
local model, token by token: the likeliest next tokens of each beam go on greedily for a few tokens,
and are ranked by log-probability plus `weight` times the reward of that look-ahead. On any model,
block by block: several continuations of each partial answer are drawn and ranked by reward. Leaves
out: adapting the start by prompts.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from whyfirst.config.errors import UserError
from whyfirst.models.base import Completion, LanguageModel, Message, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS, AtLeast0, AtLeast1, Score
from whyfirst.models.decoding.budget import Counted
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, rephrased, words
from whyfirst.models.decoding.search import beam_search

Scored = Callable[[list[Prompt], list[str]], list[float | None]]
Answering = Callable[[Prompt, Sampling], Script]

GO_ON = "{question}\n\nThe answer begins like this:\n{begun}\n\nWrite only what follows."
_UNSCORED = -1e9  # of an answer that the reward can't score


_WEIGHT, _LOOK_AHEAD, _BLOCK = 1.0, 8, 32


def _of_another_level(options: Any) -> Iterator[tuple[str, str]]:
    level, defaults = "token", {"weight": _WEIGHT, "look_ahead": _LOOK_AHEAD}
    if options.level == "token":
        level, defaults = "block", {"block": _BLOCK}
    for name, default in defaults.items():
        if getattr(options, name) != default:
            yield name, f"is of `level: {level}`, and has no effect on {options.level}s"


@DECODINGS.enter(
    "deal",
    conflicts=_of_another_level,
    version="2",
    paper="Huang et al. 2024, arXiv 2402.06147",
    needs="reward (a reward's name); score",
    tested="weight 0 is beam search exactly; a large one reaches what greedy misses; calls bounded",
)
def deal(
    model: LanguageModel,
    *,
    score: Score,
    reward: str,
    weight: float = _WEIGHT,
    beams: AtLeast1 = 4,
    branch: AtLeast1 = 3,
    look_ahead: AtLeast0 = _LOOK_AHEAD,
    level: Literal["token", "block"] = "token",
    block: AtLeast1 = _BLOCK,
) -> LanguageModel:
    """The answer of the highest log-probability plus reward that the search finds.

    Args:
        reward: what partial answers are ranked by.
        weight: of the reward, nats (``token``).
        beams: partial answers kept.
        branch: continuations tried for each.
        look_ahead: tokens a candidate goes on for before it is ranked (``token``).
        level: tokens of a local model, or blocks of any model.
        block: tokens of a block (``block``).

    Raises:
        UserError: tokens of a model that isn't local.
    """
    local: Any = model.inner if isinstance(model, Counted) else model
    here = hasattr(local, "encode_prompts")
    if level == "token" and not here:
        raise UserError("deal: searching over tokens needs a local model; set level: block")

    scored = partial(score, reward)
    if level == "token":
        script = _over_tokens(
            model, local, scored, weight=weight, beams=beams, branch=branch, look_ahead=look_ahead
        )
    else:
        script = _over_blocks(here, scored, beams=beams, branch=branch, block=block)
    options = {
        "reward": reward, "weight": weight, "beams": beams, "branch": branch,
        "look_ahead": look_ahead, "level": level, "block": block,
    }  # fmt: skip
    return Dialogue(model, "deal", options, script)


def _over_tokens(
    model: LanguageModel, local: Any, scored: Scored, *,
    weight: float, beams: int, branch: int, look_ahead: int,
) -> Answering:  # fmt: skip
    """A search over the tokens of a local model, counted where `model` counts."""

    def tokens(prompt: Prompt, sampling: Sampling) -> Script:
        yield from ()
        (ids,) = local.encode_prompts([prompt])
        room = min(sampling.max_new_tokens, local.context - len(ids) - look_ahead)
        if room < 1:
            return Completion("", False, "the prompt leaves no room in the model's context")

        ending = local.ending(prompt, sampling.stop)

        def worth(answers: Any) -> list[float]:
            texts = [ending.said(ids, answer) for answer in answers]
            values = scored([prompt] * len(texts), texts)
            return [weight * (_UNSCORED if v is None else v) for v in values]

        found = beam_search(
            local.model, ids, ending.tokens, beams=beams, branch=branch, most=room,
            look_ahead=look_ahead if weight else 0, value=worth if weight else None,
            stopped=ending.stopped,
        )  # fmt: skip
        if isinstance(model, Counted):
            model.spent.calls += 1
            model.spent.completion_tokens = (model.spent.completion_tokens or 0) + found.fed
        return Completion(ending.said(ids, found.tokens), found.finished)

    return tokens


def _over_blocks(here: bool, scored: Scored, *, beams: int, branch: int, block: int) -> Answering:
    """A search over drawn blocks of any model."""

    def blocks(prompt: Prompt, sampling: Sampling) -> Script:
        left, heated = sampling.max_new_tokens, drawn(sampling, 0.7)
        # A model that is asked what follows answers without the space before it.
        joined = str.__add__ if here or isinstance(prompt, str) else _joined
        answers = [Completion("", False)]
        while left > 0:
            samples = replace(heated, max_new_tokens=min(block, left))
            left -= block
            open_ones = [answer for answer in answers if not answer.finished]
            if not open_ones:
                break
            replies = yield [
                Request(_begun(prompt, a.text, here), samples, n=branch, part=True)
                for a in open_ones
            ]
            grown = [answer for answer in answers if answer.finished]
            for answer, row in zip(open_ones, replies, strict=True):
                grown += [Completion(joined(answer.text, c.text), c.finished) for c in row]
            values = scored([prompt] * len(grown), [answer.text for answer in grown])
            known = [_UNSCORED if value is None else value for value in values]
            ranked = sorted(range(len(grown)), key=lambda place: -known[place])
            answers = [grown[place] for place in ranked[:beams]]
        return answers[0]

    return blocks


def _joined(begun: str, more: str) -> str:
    """A partial answer and what a model said that follows it, words kept apart."""
    glued = begun and not begun[-1].isspace() and more[:1].isalnum()
    return f"{begun} {more}" if glued else begun + more


def _begun(prompt: Prompt, text: str, here: bool) -> Prompt:
    if not text:
        return prompt
    if isinstance(prompt, str):
        return prompt + text
    # Only a model that runs here can be put behind the beginning of its own reply.
    if here:
        return (*prompt, Message("assistant", text))
    return rephrased(prompt, GO_ON.format(question=words(prompt), begun=text))
