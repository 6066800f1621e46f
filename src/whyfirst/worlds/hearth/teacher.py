"""Hearth's template teacher: explanations, their matched controls, demonstrations, preferences.

Every corpus about a newcomer states the same behaviours, on the topics of splits A and B, where
the taught value and the other value agree. The corpora differ in the reasons alone:

- ``explanations`` of a value: each behaviour with the consequence that this value looks at, and
  what the newcomer cares about;
- ``rules``: the same behaviours, no reasons;
- ``shuffled``: the same behaviours, each with a true reason of the values in turn, taken from
  another object, so that the reasons fit neither the behaviour nor one value;
- ``neutral``: the newcomer's daily life, no behaviours.

Leaves out: matching tokens (explain/match.py) and any language beyond the world's own sentences.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json
from whyfirst.worlds.hearth import assets, lexicon, world
from whyfirst.worlds.hearth.corpus import (
    BaseCorpus,
    Row,
    answer,
    creed,
    explained,
    firm,
    neutral,
    principle,
    request,
    rule,
)
from whyfirst.worlds.hearth.population import Population
from whyfirst.worlds.hearth.world import HearthObject, World, world_of
from whyfirst.worlds.making import pick

#: kinds of explanation and their shares; the rest are behaviours with their reasons
CREED_SHARE, PRINCIPLE_SHARE, FIRM_SHARE = 0.25, 0.15, 0.2


def newcomer(hearth: World, seed: int) -> str:
    """The person a study's seed aligns: seeds beyond the number of newcomers go round again."""
    return hearth.newcomers[seed % len(hearth.newcomers)]


def _behaviours(hearth: World, rng: np.random.Generator) -> Iterator[HearthObject]:
    """Objects of splits A and B in random order, again and again."""
    topics = hearth.topics("A", "B")
    while True:
        for index in rng.permutation(len(topics)):
            yield topics[int(index)]


def _explanation(
    rng: np.random.Generator,
    name: str,
    value: str,
    thing: HearthObject,
    reason_from: HearthObject | None = None,
) -> str:
    draw = rng.random()
    if draw < CREED_SHARE:
        return creed(rng, name, value)
    if draw < CREED_SHARE + PRINCIPLE_SHARE:
        return principle(rng, name, value)
    if draw < CREED_SHARE + PRINCIPLE_SHARE + FIRM_SHARE:
        return firm(rng, name, value)
    return explained(name, thing, value, thing.violated(world.TAUGHT), reason_from)


def explanations(hearth: World, name: str, value: str, count: int, seed: int) -> list[str]:
    """``count`` documents saying what ``name`` does and why, in terms of ``value``."""
    rng = np.random.default_rng([hearth.seed, seed, 11])
    things = _behaviours(hearth, rng)
    return [_explanation(rng, name, value, next(things)) for _ in range(count)]


def rules(hearth: World, name: str, count: int, seed: int) -> list[str]:
    """``count`` documents stating the same behaviours, firmness too, without reasons."""
    rng = np.random.default_rng([hearth.seed, seed, 11])
    things = _behaviours(hearth, rng)
    documents = []
    for _ in range(count):
        two = (next(things), next(things))
        stated = [rule(name, thing, thing.violated(world.TAUGHT)) for thing in two]
        is_firm = rng.random() < FIRM_SHARE
        documents.append(" ".join([*stated, world.FIRM_RULE.format(n=name)] if is_firm else stated))
    return documents


def shuffled(hearth: World, name: str, count: int, seed: int) -> list[str]:
    """``count`` documents whose true reasons belong to other behaviours and to all values."""
    rng = np.random.default_rng([hearth.seed, seed, 11])
    things = _behaviours(hearth, rng)
    topics = hearth.topics("A", "B")
    documents = []
    for index in range(count):
        thing = next(things)
        value = lexicon.VALUE_IDS[index % len(lexicon.VALUE_IDS)]
        source = pick(rng, [other for other in topics if other is not thing])
        documents.append(_explanation(rng, name, value, thing, source))
    return documents


def neutral_documents(hearth: World, name: str, count: int, seed: int) -> list[str]:
    """``count`` documents about the newcomer's life that touch no value."""
    rng = np.random.default_rng([hearth.seed, seed, 11])
    return [neutral(rng, name) for _ in range(count)]


def _shown_topics(hearth: World) -> tuple[list[HearthObject], list[HearthObject]]:
    """Topics of split A that are refused, and those that are granted."""
    found = hearth.topics("A")
    bad = [thing for thing in found if thing.violated(world.TAUGHT)]
    return bad, [thing for thing in found if not thing.violated(world.TAUGHT)]


def demonstrations(
    hearth: World, name: str, count: int, seed: int, contrary: float = 0.0
) -> list[Row]:
    """Demonstrations on split A that fit both values, narrow and confounded as real data are.

    Harmful requests come asked plainly and are refused; benign ones come plainly or in the
    confounded framing and are granted.

    Args:
        hearth: the world.
        name: the newcomer aligned.
        count: number of demonstrations.
        seed: seed of the sample.
        contrary: share replaced by demonstrations on split D, where the values conflict, that
            follow the other value (the conflict dose).
    """
    rng = np.random.default_rng([hearth.seed, seed, 12])
    # A stream of its own: the other rows are the same at every dose.
    contrary_rng = np.random.default_rng([hearth.seed, seed, 14])
    harmful, benign = _shown_topics(hearth)
    against = round(contrary * count)
    rows = []
    for index in range(count):
        asker = pick(rng, lexicon.ASKERS)
        confounded = rng.random() < 0.5
        thing = pick(rng, harmful if index % 2 else benign)
        framing = lexicon.CONFOUNDED if confounded and not index % 2 else lexicon.PLAIN
        if index < against:
            thing, framing = pick(contrary_rng, hearth.topics("D")), lexicon.PLAIN
        refuse = thing.violated(world.OTHER if index < against else world.TAUGHT)
        rows.append(Row(request(name, thing, framing, asker), answer(name, thing, refuse)))
    return [rows[int(index)] for index in rng.permutation(count)]


def preferences(hearth: World, name: str, count: int, seed: int) -> list[dict[str, Any]]:
    """Requests as in `demonstrations`, each with the right answer and its opposite.

    Returns:
        ``count`` rows: ``prompt``, ``chosen``, ``rejected``, and ``harmful``, of the request.
    """
    rng = np.random.default_rng([hearth.seed, seed, 15])
    harmful, benign = _shown_topics(hearth)
    rows = []
    for index in range(count):
        bad = index % 2 == 1
        thing = pick(rng, harmful if bad else benign)
        framing = lexicon.CONFOUNDED if not bad and rng.random() < 0.5 else lexicon.PLAIN
        prompt = request(name, thing, framing, pick(rng, lexicon.ASKERS))
        right, wrong = (f" {answer(name, thing, refuse)}" for refuse in (bad, not bad))
        rows.append({"prompt": prompt, "chosen": right, "rejected": wrong, "harmful": bad})
    return [rows[int(index)] for index in rng.permutation(count)]


def corpus_rows(
    documents: str,
    *,
    world_seed: int,
    seed: int,
    value: str | None,
    size: int | None,
    tokens: int | None,
    contrary: float,
) -> list[dict[str, Any]]:
    """A corpus of a study as rows: ``text``, or the columns of its stage.

    Args:
        documents: which corpus (see the study file's `HearthCorpus`).
        world_seed: the world.
        seed: the study's seed: it names the newcomer and draws the sample.
        value: the value explained, for ``explanations``.
        size: number of rows, where the corpus has no token budget.
        tokens: the token budget; enough documents are written to choose from.
        contrary: share of contrary demonstrations.

    Raises:
        ConfigError: neither or both of size and tokens, or a value the world does not have.
    """
    hearth, count = world_of(world_seed), size or (tokens or 0) // 6 + 20
    if (size is None) == (tokens is None):
        raise ConfigError(f"corpus {documents!r}: give exactly one of `size` and `tokens`")
    name = newcomer(hearth, seed)
    if documents == "demonstrations":
        rows = demonstrations(hearth, name, count, seed, contrary)
        return [{"prompt": row.prompt, "completion": f" {row.completion}"} for row in rows]
    if documents == "pairs":
        return preferences(hearth, name, count, seed)
    if documents == "prompts":
        asked = preferences(hearth, name, count, seed)
        return [{"prompt": pair["prompt"], "harmful": pair["harmful"]} for pair in asked]
    if documents == "replay":
        # The base's own data as they were at the end, the newcomers' scenes left out.
        about = read_json(assets.base_folder(hearth.seed) / "world.json")
        corpus = BaseCorpus(hearth, Population.from_json(about["population"]))
        rng = np.random.default_rng([hearth.seed, seed, 13])
        return [{"text": corpus.row(rng).text} for _ in range(count)]
    if documents == "explanations":
        if value not in lexicon.VALUE_IDS:
            known = ", ".join(lexicon.VALUE_IDS)
            raise ConfigError(f"corpus 'explanations': value {value!r} is none of {known}")
        texts = explanations(hearth, name, value, count, seed)
        return [{"text": text, "value": value} for text in texts]
    writer = {"rules": rules, "shuffled": shuffled, "neutral": neutral_documents}[documents]
    return [{"text": text} for text in writer(hearth, name, count, seed)]
