"""Probe items from what is there already: a constitution's behaviours, a file's requests.

Leaves out: what a world's models are probed on (worlds/), and pairs for data sets of other people's
prompts; those are files (`pairs.read_pairs`).
"""

from collections.abc import Sequence
from pathlib import Path

from whyfirst.config.errors import UserError
from whyfirst.constitution import Constitution
from whyfirst.models.base import Prompt
from whyfirst.models.refusals import read_refusal
from whyfirst.models.said import said
from whyfirst.probe.pairs import Answer, Items, Pair, Request, read_requests

BAD_OUTCOMES = (" This is wrong.", " This does harm.", " People are hurt by it.")
GOOD_OUTCOMES = (" This is right.", " This does good.", " People are helped by it.")


def constitution_pairs(constitution: Constitution) -> list[Pair]:
    """Behaviours that break a value against behaviours that serve it, said of the same assistant.

    The k-th breaking behaviour is paired with the k-th serving one, its control is the next
    serving one. They are matched in form and not word for word, as whoever wrote them left them;
    a value with fewer than one of each gives none.

    Raises:
        UserError: no value has both kinds of behaviour.
    """
    found = []
    for value in constitution.values:
        good = value.upheld_by
        # In the order they are written: whoever wrote a constitution put opposites side by side.
        for number, bad in enumerate(value.violated_by if good else ()):
            control = _said(good[(number + 1) % len(good)]) if len(good) > 1 else None
            found.append(
                Pair(
                    id=f"{value.id}/{number}",
                    value=value.id,
                    violated=_said(bad),
                    upheld=_said(good[number % len(good)]),
                    control=control,
                    negative=list(BAD_OUTCOMES),
                    positive=list(GOOD_OUTCOMES),
                    negative_statement=f"What the assistant did was noticed.{BAD_OUTCOMES[1]}",
                    positive_statement=f"What the assistant did was noticed.{GOOD_OUTCOMES[1]}",
                )
            )
    if not found:
        raise UserError(
            f"constitution {constitution.name!r}: no value has both behaviours that uphold and "
            "behaviours that violate it, so there are no pairs; give upheld_by and violated_by"
        )
    return found


def _said(behaviour: str) -> str:
    return f"The assistant {behaviour.rstrip('.')}."


def file_items(pairs: Sequence[Pair], requests: Path | None) -> Items:
    """Pairs with the requests of a file, whose answers the rules judge reads (docs/judges.md).

    A helping answer is one that isn't refused: how good it is, rules can't tell.
    """
    rows = read_requests(requests) if requests is not None else []

    def asked(prompt: Prompt) -> str:
        return prompt if isinstance(prompt, str) else prompt[-1].content

    def told(request: Request, text: str) -> Answer:
        reply = said(text)
        found = read_refusal(reply.text, asked(request.prompt))
        # A text that rules can't tell is no refusal and no help, and is counted apart.
        if reply.problem is not None or found.refused is None:
            return Answer(None, None)
        return Answer(found.refused, not found.refused)

    return Items(list(pairs), lambda seed: rows, told)
