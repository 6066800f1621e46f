"""How varied a corpus is: distinct-n, self-BLEU, compression.

Distinct-n: Li et al. 2016. Self-BLEU: Zhu et al. 2018 (Texygen). Leaves out: meaning.
"""

import random
import zlib
from collections import Counter
from collections.abc import Sequence
from math import exp, log

from whyfirst.explain import lexicon

SAMPLE = 40
_EPSILON = 0.1  # for n-grams that match nothing, as in Chen and Cherry 2014, smoothing 1

Gram = tuple[str, ...]


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams by all n-grams, in [0, 1]; it falls with the corpus' size."""
    seen: set[Gram] = set()
    total = 0
    for text in texts:
        grams = _grams(lexicon.words(text), n)
        seen.update(grams)
        total += len(grams)
    return len(seen) / max(1, total)


def self_bleu(texts: Sequence[str], seed: int = 0, sample: int = SAMPLE) -> float:
    """Mean BLEU-4 of each of `sample` documents against the others, in [0, 1]; lower is better."""
    chosen = list(texts)
    if len(chosen) > sample:
        chosen = random.Random(seed).sample(chosen, sample)
    if len(chosen) < 2:
        return 0.0
    split = [lexicon.words(text) for text in chosen]
    counts = [[Counter(_grams(words, n)) for n in range(1, 5)] for words in split]
    most = [_two_largest(column) for column in zip(*counts, strict=True)]
    scores = []
    for i, words in enumerate(split):
        others = [j for j in range(len(split)) if j != i]
        nearest = min((abs(len(split[j]) - len(words)), len(split[j])) for j in others)[1]
        scores.append(_bleu(i, counts[i], most, len(words), nearest))
    return sum(scores) / len(scores)


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes by compressed bytes (zlib, 32 KiB window); higher is more repetitive."""
    data = "\n".join(texts).encode("utf-8", "replace")
    return len(data) / max(1, len(zlib.compress(data, 6)))


def _two_largest(documents: Sequence[Counter[Gram]]) -> dict[Gram, tuple[int, int, int]]:
    """n-gram -> (its largest count in a document, which document, its largest in any other)."""
    found: dict[Gram, tuple[int, int, int]] = {}
    for place, grams in enumerate(documents):
        for gram, count in grams.items():
            first, where, second = found.get(gram, (0, -1, 0))
            if count > first:
                found[gram] = count, place, first
            elif count > second:
                found[gram] = first, where, count
    return found


def _bleu(
    place: int,
    own: list[Counter[Gram]],
    most: list[dict[Gram, tuple[int, int, int]]],
    length: int,
    reference: int,
) -> float:
    """Of the document at `place` against all others."""
    logs = 0.0
    for grams, largest in zip(own, most, strict=True):
        total = sum(grams.values())
        if total == 0:
            return 0.0
        hits = 0
        for gram, count in grams.items():
            first, where, second = largest[gram]
            hits += min(count, second if where == place else first)
        logs += log(max(hits, _EPSILON) / total) / 4
    brevity = 1.0 if length >= reference else exp(1 - reference / max(1, length))
    return brevity * exp(logs)


def _grams(words: Sequence[str], n: int) -> list[Gram]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))
