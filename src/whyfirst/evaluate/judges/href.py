"""HREF: judged beside a person's answer, in the way that suits the kind of request.

Lyu et al. 2024, "HREF: Human Response-Guided Evaluation of Instruction Following in Language
Models", arXiv 2412.15524. For each category either a model compares, with or without the person's
answer at hand, or the response nearer to that answer wins. Leaves out: choosing the way for each
category, which their agreement with people decides (`people.leave_one_out`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from whyfirst.config.errors import DataError, did_you_mean
from whyfirst.data.published import field, json_lines
from whyfirst.evaluate.judges import JUDGES, Judge, Pair, Preference, Winner
from whyfirst.evaluate.judges.pairwise import PairwiseJudge
from whyfirst.models.base import LanguageModel
from whyfirst.models.embed import Embed, lexical

VERSION = "2"
WITHOUT = "no person's answer to this prompt is among the references"
BESIDE = "\n\n[a person's answer, to compare both responses with]\n"


def _without_effect(options: Any) -> Iterator[tuple[str, str]]:
    for name in ("by_similarity", "without_reference"):
        if getattr(options, name) and options.references is None:
            yield name, "has no effect without `references`, which say what category a prompt is of"


@JUDGES.enter(
    "href",
    conflicts=_without_effect,
    version=VERSION,
    paper="Lyu et al. 2024, arXiv 2412.15524",
    needs="a model to ask; for more than plain comparison, a file of people's answers",
    draws=True,
    scores=True,
    orders=2,
    tested="identical responses tie by embedding; the person's answer stands in the question",
)
def href(
    *,
    references: Path | None = None,
    by_similarity: tuple[str, ...] = (),
    without_reference: tuple[str, ...] = (),
    model: LanguageModel,
) -> Judge:
    """Which response is better, beside a person's answer.

    Args:
        references: JSONL of `prompt`, `reference` and `category`; a pair whose prompt is not
            among them, word for word, has no preference.
        by_similarity: categories in which the response nearer to the reference wins.
        without_reference: categories judged without showing it.

    Raises:
        DataError: a row without one of the three, or a category that no row has.
    """
    rows = {} if references is None else _read(references)
    has = {category for _, category in rows.values()}
    for category in (*by_similarity, *without_reference):
        if category not in has:
            hint = did_you_mean(category, has)
            raise DataError(f"{references}: no row has the category {category!r}{hint}")
    return Href(model, rows, by_similarity, without_reference, lexical)


def _read(file: Path) -> dict[str, tuple[str, str]]:
    found = {}
    for number, row in json_lines(file):
        three = [field(file, number, row, name) for name in ("prompt", "reference", "category")]
        found[three[0]] = (three[1], three[2])
    return found


class Href(Judge):
    """Compares by category; see `href`. `references`: prompt -> (answer, category)."""

    name, criterion = "href", "helpful"

    def __init__(
        self,
        model: LanguageModel,
        references: Mapping[str, tuple[str, str]],
        by_similarity: Sequence[str],
        without_reference: Sequence[str],
        embed: Embed,
    ) -> None:
        self.references, self.near, self.plain = references, by_similarity, without_reference
        self.embed, self.judge = embed, PairwiseJudge(model, self.criterion)
        self.version = f"{VERSION}-{self.judge.version}"

    def decide(self, pairs: Sequence[Pair], samples: int) -> list[Preference]:
        """See `Judge.decide`."""
        found: dict[int, Preference] = {}
        shown: dict[int, Pair] = {}
        for place, pair in enumerate(pairs):
            reference, category = self.references.get(pair.prompt.strip(), ("", ""))
            if self.references and not reference:
                found[place] = Preference(None, WITHOUT)
            elif reference and category in self.near:
                found[place] = self._nearer(reference, pair)
            elif reference and category not in self.plain:
                shown[place] = replace(pair, prompt=pair.prompt + BESIDE + reference)
            else:
                shown[place] = pair
        judged = self.judge.compare(list(shown.values()), samples) if shown else []
        found |= dict(zip(shown, judged, strict=True))
        return [found[place] for place in range(len(pairs))]

    def _nearer(self, reference: str, pair: Pair) -> Preference:
        person, a, b = self.embed([reference, pair.a.text, pair.b.text])
        apart = float(person @ a - person @ b)
        winner: Winner = "tie" if abs(apart) < 1e-9 else "a" if apart > 0 else "b"
        return Preference(winner)
