"""How varied a corpus is: distinct-n, self-BLEU, compression.

Distinct-n: Li et al. 2016. Self-BLEU: Zhu et al. 2018 (Texygen). Leaves out: meaning.
"""

import random
import zlib
from collections import Counter
from collections.abc import Sequence
from math import exp, inf, log

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


def self_bleu(texts: Sequence[str]) -> float:
    """Mean BLEU-4 of each of forty documents against the others, in [0, 1]; lower is better."""
    chosen = list(texts)
    if len(chosen) > SAMPLE:
        # Self-BLEU is quadratic in documents, and forty give it to two digits.
        chosen = random.Random(0).sample(chosen, SAMPLE)
    if len(chosen) < 2:
        return 0.0
    split = [lexicon.words(text) for text in chosen]
    counts = [[Counter(_grams(words, n)) for n in range(1, 5)] for words in split]
    # n-gram -> its largest count in a document and its largest in any other: what a document is
    # clipped to is then known without going through all the others again.
    most: list[dict[Gram, list[int]]] = []
    for column in zip(*counts, strict=True):
        largest: dict[Gram, list[int]] = {}
        for grams in column:
            for gram, count in grams.items():
                largest[gram] = sorted([count, *largest.get(gram, (0, 0))])[:0:-1]
        most.append(largest)
    scores = []
    for i, words in enumerate(split):
        others = [len(other) for j, other in enumerate(split) if j != i]
        # BLEU's reference length: the nearest one, of two equally near the shorter.
        nearest = min((abs(length - len(words)), length) for length in others)[1]
        brevity = 1.0 if len(words) >= nearest else exp(1 - nearest / max(1, len(words)))
        # The geometric mean of the clipped n-gram precisions; 0 where it is too short for a gram.
        logs = 0.0 if counts[i][-1] else -inf
        for grams, largest in zip(counts[i], most, strict=True):
            # Of two documents with the largest count, either is the other's clip.
            hits = sum(min(n, largest[g][largest[g][0] == n]) for g, n in grams.items())
            logs += log(max(hits, _EPSILON) / max(1, grams.total())) / 4
        scores.append(brevity * exp(logs))
    return sum(scores) / len(scores)


def compression_ratio(texts: Sequence[str]) -> float:
    """Bytes by compressed bytes (zlib, 32 KiB window); higher is more repetitive."""
    data = "\n".join(texts).encode("utf-8", "replace")
    return len(data) / max(1, len(zlib.compress(data, 6)))


def _grams(words: Sequence[str], n: int) -> list[Gram]:
    return list(zip(*(words[i:] for i in range(n)), strict=False))
