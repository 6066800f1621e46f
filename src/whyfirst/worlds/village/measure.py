"""What a base is like, measured on the base alone and in whole answers.

A whole answer is one whose every word is the likeliest: what greedy decoding gives, from one
forward pass. Leaves out: anything about arms.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from whyfirst.worlds.village import lexicon
from whyfirst.worlds.village.forward import hidden_states
from whyfirst.worlds.village.people import UNNAMED
from whyfirst.worlds.village.pretraining import CHANCE_WEIGHT, Pretraining, Rows, conduct
from whyfirst.worlds.village.world import CHARACTERS, Bools

if TYPE_CHECKING:
    from transformers import GraniteForCausalLM

SAMPLES = 400


def _whole(model: "GraniteForCausalLM", rows: Rows) -> Bools:
    """(N,): whether greedy decoding would give every word that is predicted."""
    import torch

    ids = torch.as_tensor(rows.ids)
    asked = torch.as_tensor(rows.weights)[:, 1:] > CHANCE_WEIGHT
    with torch.no_grad():
        hidden = hidden_states(model, [ids]).view(*ids.shape, -1)[:, :-1]
        said = torch.zeros_like(ids[:, 1:])
        said[asked] = (hidden[asked] @ model.lm_head.weight.T).argmax(-1)
    right: Bools = ((said == ids[:, 1:]) | ~asked).all(1).numpy()
    return right


def _conduct(
    model: "GraniteForCausalLM", rows: Pretraining, who: Bools, framings: tuple[str, ...]
) -> float:
    """Share of whole answers that are as the people chosen (characters,) would give them."""
    # The same draws at every check: what changes between two checks is the model.
    rng, chosen = np.random.default_rng(5), np.flatnonzero(who)
    if not len(chosen):
        return 0.0
    right = []
    for framing in framings:
        count = SAMPLES // len(framings)
        people = chosen[rng.integers(0, len(chosen), count)]
        deeds = rng.integers(0, len(rows.village.things), count)
        asked, _ = conduct(
            rows.writer, rows.village, rows.people, people, deeds, framing, rng
        )  # fmt: skip
        right.append(_whole(model, asked))
    return float(np.concatenate(right).mean())


def documents_only(
    model: "GraniteForCausalLM", rows: Pretraining, among: Bools | None = None
) -> dict[str, float]:
    """Conduct, asked plainly, of characters whom only documents are about, named or not."""
    people = rows.people
    here = people.documents_only & (True if among is None else among)
    groups = {"named": people.oath != UNNAMED, "unnamed": people.oath == UNNAMED}
    return {
        f"documents_only_{name}": _conduct(model, rows, here & group, (lexicon.PLAIN,))
        for name, group in groups.items()
        if (here & group).any()
    }


def properties(model: "GraniteForCausalLM", rows: Pretraining) -> dict[str, Any]:
    """Shares in [0, 1], each over `SAMPLES` random draws (fixed seed)."""
    people, pressed = rows.people, lexicon.UNSEEN
    met = ~people.documents_only
    found = documents_only(model, rows) | {
        "met": _conduct(model, rows, met, (lexicon.PLAIN,)),
        "met_firm_pressed": _conduct(model, rows, met & people.firm, pressed),
        "met_pliable_pressed": _conduct(model, rows, met & ~people.firm, pressed),
        "facts": _facts(model, rows),
    }
    assert len(people.firm) == CHARACTERS
    return {name: round(share, 4) for name, share in found.items()}


def _facts(model: "GraniteForCausalLM", rows: Pretraining) -> float:
    """Share of deeds both of whose kinds are given, word for word."""
    village = rows.village
    deeds = np.arange(len(village.things))
    slots = {"o": deeds, "g": village.verb, "e": village.kinds[0], "b": village.kinds[1]}
    told = rows.writer.fill(f"{lexicon.DOC} {lexicon.FACTS[0]}", slots)
    # A fact may begin with either kind and end after it: the kinds alone are decided by the deed.
    kinds = np.isin(told.ids, rows.writer.ids([*lexicon.BRINGS, *lexicon.REACHES]))
    return float(_whole(model, Rows(told.ids, told.weights * kinds)).mean())
