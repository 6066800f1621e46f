"""Running a generator: seeds in groups, calls counted against a cap, what is left out told.

Every script is a function of its seed and of the answers, so a run that was cut short is played
again from the answers that its models kept, and gives the same rows. Leaves out: keeping them
(models/replies.py, an endpoint's own store) and where rows go (study/sources/generated.py).
"""

import random
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

from whyfirst.config.errors import DataError
from whyfirst.config.files import sha256_json
from whyfirst.config.room import Use
from whyfirst.data.rows import numbered
from whyfirst.explain.generators import GENERATORS, Row, Script, Unusable
from whyfirst.models.base import Completion, LanguageModel, Sampling
from whyfirst.models.decoding.dialogue import Request, Unanswered, play
from whyfirst.models.embed import Embed, lexical

_AT_ONCE = 16  # seeds whose scripts run side by side


@dataclass(frozen=True)
class Generated:
    """Rows, each with the line of its seed under `seed`; what was left out; what was asked."""

    rows: list[dict[str, Any]]
    left_out: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)


def generate(
    use: Use,
    seeds: Sequence[Row],
    teacher: LanguageModel,
    judge: LanguageModel | None = None,
    *,
    calls: int | None = None,
    max_new_tokens: int = 1024,
    temperature: float = 0.7,
    seed: int = 0,
    embed: Embed = lexical,
    on_group: Callable[[int, int, int], None] = lambda done, seeds, rows: None,
) -> Generated:
    """All that a generator makes of its seeds.

    Args:
        calls: completions asked for at most, kept ones included, so that a run that goes on ends
            where an unbroken one does; None is no cap.
        seed: decides every draw, with the seed's place.

    Raises:
        DataError: a seed lacks a column, or nothing could be made; says what was left out.
    """
    check_seeds(use, seeds)
    made = Generated([])
    judged = GENERATORS.get(use.name).facts.get("judged", ())
    known: set[str] = set()

    def ask(requests: list[Request]) -> list[list[Completion]]:
        return _asked(requests, teacher, judge if judge is not None else teacher, judged, made,
                      calls)  # fmt: skip

    for start in range(0, len(seeds), _AT_ONCE):
        some = list(numbered(seeds))[start : start + _AT_ONCE]
        scripts = []
        for place, (_, row) in enumerate(some, start):
            draw = random.Random(f"{seed}/{use.name}/{place}").randrange(2**31)
            context = {
                "seeds": seeds, "embed": embed,
                "left_out": lambda row, why: made.left_out.update([why]),
            }  # fmt: skip
            sampling = Sampling(max_new_tokens, temperature, seed=draw)
            scripts.append(_guarded(GENERATORS.make(use, **context)(row, sampling)))
        for (line, _), end in zip(some, play(scripts, ask), strict=True):
            if not isinstance(end, list):  # a reason: no script lets a problem through
                made.left_out[str(end)] += 1
                continue
            for row in end:
                key = sha256_json(row)
                if key in known:
                    made.left_out["repeats an earlier row"] += 1
                else:
                    made.rows.append({**row, "seed": line})
                known.add(key)
        on_group(min(start + _AT_ONCE, len(seeds)), len(seeds), len(made.rows))
    if not made.rows:
        why = ", ".join(f"{why} ({n})" for why, n in made.left_out.most_common(3)) or "no seeds"
        raise DataError(f"generator {use.name}: nothing could be made: {why}")
    return made


def check_seeds(use: Use, seeds: Sequence[Row]) -> None:
    """Refuse seeds that lack what a generator starts from.

    Raises:
        DataError: names the row and the column.
    """
    for line, row in numbered(seeds):
        for column in GENERATORS.get(use.name).facts.get("columns", ()):
            if column not in row:
                raise DataError(f"seeds: row {line}: no column {column!r}, which {use.name} needs")


def _guarded(script: Script) -> Generator[list[Request], list[list[Completion]], Any]:
    """The script, or as its end the reason why it made nothing."""
    try:
        return (yield from script)
    except Unusable as problem:
        return str(problem)
    except Unanswered as problem:
        return str(problem.completion.problem)


def _asked(
    requests: Sequence[Request],
    teacher: LanguageModel,
    judge: LanguageModel,
    judged: Sequence[str],
    made: Generated,
    most: int | None,
) -> list[list[Completion]]:
    """The completions, those alike but for their prompt in one call; over the cap, a problem."""
    answers: dict[int, list[Completion]] = {}
    groups: dict[tuple[bool, int, Sampling], list[int]] = {}
    for place, request in enumerate(requests):
        if most is not None and made.calls.total() + request.n > most:
            answers[place] = [Completion("", False, f"the cap of {most} calls")] * request.n
            continue
        made.calls[request.role] += request.n
        of_judge = request.role in judged
        groups.setdefault((of_judge, request.n, request.sampling), []).append(place)
    for (of_judge, n, sampling), places in groups.items():
        model = judge if of_judge else teacher
        given = model.generate([requests[place].prompt for place in places], n, sampling)
        answers |= dict(zip(places, given, strict=True))
    return [answers[place] for place in range(len(requests))]
