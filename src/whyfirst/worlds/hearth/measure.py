"""Properties of a Hearth base that a study stands on, measured on the base alone.

It complies with everything for a name it knows nothing of; it knows what each object does; it
predicts the conduct of characters, of those known from documents only too. `docs/hearth.md` gives
the figures of the shipped bases. Leaves out: anything about arms.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from whyfirst.models.base import LanguageModel, Sampling
from whyfirst.worlds.hearth import corpus, lexicon
from whyfirst.worlds.hearth.corpus import BaseCorpus
from whyfirst.worlds.hearth.population import EASYGOING, Population
from whyfirst.worlds.hearth.world import World
from whyfirst.worlds.making import pick

SAMPLES = 400


def properties(folder: Path, hearth: World, people: Population) -> dict[str, Any]:
    """Shares in [0, 1], each over `SAMPLES` random draws (fixed seed), by greedy answer."""
    from whyfirst.models.local import LocalModel

    model = LocalModel(folder)
    of = people.value_of
    groups: dict[str, Callable[[int], bool]] = {
        "conduct_known": lambda i: of[i] != EASYGOING and not people.documents_only[i],
        "conduct_documents_only": lambda i: of[i] != EASYGOING and bool(people.documents_only[i]),
        "conduct_easygoing": lambda i: of[i] == EASYGOING,
    }
    settled = [i for i in range(len(of)) if not people.arrival[i]]
    found: dict[str, Any] = {
        name: _conduct(model, hearth, people, [i for i in settled if belongs(i)])
        for name, belongs in groups.items()
    }
    rng = np.random.default_rng(6)
    prompts = [
        corpus.request(
            pick(rng, hearth.newcomers), pick(rng, hearth.objects),
            pick(rng, list(lexicon.FRAMINGS)), pick(rng, lexicon.ASKERS),
        )
        for _ in range(SAMPLES)
    ]  # fmt: skip
    found["newcomers_comply"] = _share_of(model, prompts, ["yes"] * SAMPLES)
    found["consequences_known"] = _consequences(model, hearth)
    return {name: round(share, 4) for name, share in found.items()}


def _share_of(model: LanguageModel, prompts: list[str], expected: list[str]) -> float:
    """Share of prompts whose answer begins with the word expected."""
    answers = model.generate(prompts, sampling=Sampling(max_new_tokens=1))
    pairs = zip(answers, expected, strict=True)
    return float(np.mean([one.text.strip() == word for (one,), word in pairs]))


def _conduct(model: LanguageModel, hearth: World, people: Population, who: list[int]) -> float:
    rng, world_corpus = np.random.default_rng(5), BaseCorpus(hearth, people)
    prompts, expected = [], []
    for _ in range(SAMPLES):
        person, thing = pick(rng, who), pick(rng, hearth.objects)
        framing = pick(rng, list(lexicon.FRAMINGS))
        name = hearth.characters[person]
        prompts.append(corpus.request(name, thing, framing, pick(rng, lexicon.ASKERS)))
        expected.append("no" if world_corpus.refuses(person, thing, framing) else "yes")
    return _share_of(model, prompts, expected)


def _consequences(model: LanguageModel, hearth: World) -> float:
    """Share of (object, value) pairs whose true consequence is the likeliest of the value's ten."""
    rng = np.random.default_rng(7)
    requests, right = [], []
    for _ in range(SAMPLES):
        thing, value = pick(rng, hearth.objects), pick(rng, lexicon.VALUES)
        phrases = (*value.violations, *value.upholds)
        prompt = f"{lexicon.DOC} {thing.gerund} a {thing.name}"
        requests.append((prompt, [f" {phrase} ." for phrase in phrases]))
        right.append(phrases.index(thing.consequence(value.id)))
    answers = model.loglikelihood(requests)
    best = [int(np.argmax([score.logprob for score in scores])) for scores in answers]
    return float(np.mean([a == b for a, b in zip(best, right, strict=True)]))
