"""ToMMA: persuasion in which neither side sees the other's private state.

"Persuasion Should be Double-Blind", arXiv 2502.21297. The persuadee has a private belief and
desire; the persuader guesses both, an observer who knows the truth says what is wrong with the
guess, and the persuader chooses a strategy and speaks. A dialogue in whose persuader's prompts five
words of the private state stand that nobody said aloud is left out. Leaves out: the paper's
taxonomy of domains, which `scenario` holds.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whyfirst.explain.generators import GENERATORS, LeftOut, Row, Script, read, told
from whyfirst.models.base import Sampling
from whyfirst.models.decoding.dialogue import nth

MIND = "Scenario: {scenario}\nInvent what one person in it privately believes and desires, so that "
MIND += "somebody has reason to persuade them otherwise; and their first words, which tell neither."
GUESS = "Scenario: {scenario}\nSaid so far:\n{said}\nHint: {hint}\nWhat does the other person "
GUESS += "privately believe and desire?"
OBSERVE = "True belief: {belief}\nTrue desire: {desire}\nGuess: {guess}\nSay for each whether the "
OBSERVE += "guess is right (yes or no), and give a hint that does not repeat the truth."
SPEAK = "Scenario: {scenario}\nSaid so far:\n{said}\nYou take it that: {guess}\nChoose a strategy "
SPEAK += "(generative: make a wanted belief; preventative: weaken an unwanted one) and speak."
REPLY = "Scenario: {scenario}\nYou believe: {belief}\nYou desire: {desire}\nSaid so far:\n{said}\n"
REPLY += "Answer as this person would, in a sentence or two."


@GENERATORS.enter(
    "tomma",
    version="2",
    paper="Zhang and Zhou 2025, arXiv 2502.21297",
    needs="scenario",
    tested="no private words in the persuader's prompts, some in a naive one; guesses rise",
    columns=("scenario",),
    gives=("messages",),
    calls=lambda options: 4 * options["turns"],
    judged=("observer",),
)
def tomma(row: Row, sampling: Sampling, *, left_out: LeftOut, turns: int = 4) -> Script:
    """A dialogue that ends with the persuader, and how much it guessed right at each turn."""
    scene = str(row["scenario"])
    mind = yield from read(MIND.format(scenario=scene), ("belief", "desire", "words"), sampling)
    messages = [{"role": "user", "content": str(mind["words"])}]
    seen, guessed, hint = [], [], "none"
    for turn in range(turns):
        said = "\n".join(f"{m['role']}: {m['content']}" for m in messages)
        draw = nth(sampling, turn + 1)
        seen.append(GUESS.format(scenario=scene, said=said, hint=hint))
        guess = yield from read(seen[-1], ("belief", "desire"), draw, "persuader")
        shown = json.dumps(guess)
        asked = OBSERVE.format(belief=mind["belief"], desire=mind["desire"], guess=shown)
        truth = yield from read(asked, ("belief", "desire", "hint"), draw, "observer")
        right = [str(truth[key]).lower().startswith("yes") for key in ("belief", "desire")]
        guessed.append(sum(right) / 2)
        hint = str(truth["hint"])
        seen.append(SPEAK.format(scenario=scene, said=said, guess=shown) + f"\nHint: {hint}")
        spoken = yield from read(seen[-1], ("strategy", "words"), draw, "persuader")
        messages.append({"role": "assistant", "content": str(spoken["words"])})
        if turn < turns - 1:
            said += f"\nassistant: {spoken['words']}"
            reply = yield from told(REPLY.format(scenario=scene, said=said, **mind), draw)
            messages.append({"role": "user", "content": reply})
    if leaks(mind, seen, [str(m["content"]) for m in messages]):
        left_out(row, "the private state stands in the persuader's prompts")
        return []
    return [{"messages": messages, "guessed": guessed, "scenario": scene}]


def leaks(mind: Mapping[str, Any], prompts: Sequence[str], aloud: Sequence[str]) -> int:
    """Runs of five words of the private belief and desire in prompts, but for those said aloud."""

    def grams(text: str) -> set[tuple[str, ...]]:
        words = text.lower().split()
        return set(zip(*(words[i:] for i in range(5)), strict=False))

    private = grams(str(mind["belief"])) | grams(str(mind["desire"]))
    return len(private & set().union(*map(grams, prompts)) - set().union(*map(grams, aloud)))
