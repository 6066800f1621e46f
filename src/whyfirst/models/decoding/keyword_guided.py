"""Keyword-guided conversation: each turn is led one word nearer to a target on a graph of concepts.

Zhong et al. 2021, "Keyword-Guided Neural Conversational Model", arXiv 2012.08383. The next keyword
is a neighbour of the present one that is nearer to the target; of several replies the one that uses
it (or comes nearest) is said. The graph is a JSON file, word -> neighbours. Leaves out: the trained
keyword predictor and retrieval model.
"""

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from whyfirst.config.errors import DataError
from whyfirst.config.files import read_json
from whyfirst.models.base import LanguageModel, Prompt, Sampling, instructed
from whyfirst.models.decoding import DECODINGS, AtLeast1, NotNegative
from whyfirst.models.decoding.dialogue import Dialogue, Request, Script, drawn, words

SAY = "Reply so that the conversation comes to: {keyword}."
Graph = Mapping[str, Sequence[str]]


@DECODINGS.enter(
    "keyword_guided",
    version="2",
    paper="Zhong et al. 2021, arXiv 2012.08383",
    needs="graph (a JSON file, word -> neighbours), target",
    tested="a path of length d is walked in d turns; no step leaves the graph",
)
def keyword_guided(
    model: LanguageModel,
    *,
    graph: Path,
    target: str,
    n: AtLeast1 = 4,
    temperature: NotNegative = 0.7,
) -> LanguageModel:
    """A reply one step nearer to the target, from where the last message stands.

    Args:
        graph: the file.
        target: word to come to.
        n: replies drawn; 1 takes the one.
        temperature: of their drawing, at least.

    Raises:
        DataError: the file is no mapping of words to lists of words, or lacks the target.
    """
    neighbours = read_json(graph)
    if not isinstance(neighbours, dict) or target not in neighbours:
        raise DataError(f"{graph}: must map words to lists of words, {target!r} among them")
    far = distances(neighbours, target)

    def script(prompt: Prompt, sampling: Sampling) -> Script:
        here = nearest(words(prompt), far)
        if here is None:
            dialogue.fallbacks[
                "no word of the graph is in the message: it is answered as it is"
            ] += 1
            ((answer, *_),) = yield [Request(prompt, sampling)]
            return answer
        keyword = here if here == target else next_keyword(here, neighbours, far)
        samples = sampling if n == 1 else drawn(sampling, temperature)
        led = instructed(prompt, SAY.format(keyword=keyword))
        (given,) = yield [Request(led, samples, n=n)]

        def distance(place: int) -> float:
            reached = nearest(given[place].text, far)
            return float("inf") if reached is None else far[reached]

        return given[min(range(len(given)), key=distance)]

    options = {"graph": neighbours, "target": target, "n": n, "temperature": temperature}
    dialogue = Dialogue(model, "keyword_guided", options, script)
    return dialogue


def distances(graph: Graph, target: str) -> dict[str, int]:
    """Steps from each word to the target, along edges taken both ways."""
    both: dict[str, set[str]] = {}
    for word, others in graph.items():
        for other in others:
            both.setdefault(word, set()).add(other)
            both.setdefault(other, set()).add(word)
    far, waiting = {target: 0}, deque([target])
    while waiting:
        word = waiting.popleft()
        for other in sorted(both.get(word, ())):
            if other not in far:
                far[other] = far[word] + 1
                waiting.append(other)
    return far


def next_keyword(word: str, graph: Graph, far: Mapping[str, int]) -> str:
    """A neighbour strictly nearer to the target; the word itself where there is none."""
    near = [other for other in graph.get(word, ()) if far.get(other, 10**9) < far[word]]
    near += [w for w, others in graph.items() if word in others and far.get(w, 10**9) < far[word]]
    return min(near, key=lambda other: (far[other], other), default=word)


def nearest(text: str, far: Mapping[str, int]) -> str | None:
    """The word of a text that is nearest to the target."""
    named = [word for word in re.findall(r"\w+", text.lower()) if word in far]
    return min(named, key=lambda word: far[word], default=None)
