"""What probes are run on: paired statements, requests, and where they come from.

A pair says the same thing twice, once so that it violates a value and once so that it upholds it;
a third statement, the control, also upholds it and differs from the second in as much. A request
is something a model is asked, with the two ways its answer can begin. Leaves out: what a world's
models are probed on (worlds/).
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.files import read_jsonl, write_jsonl
from whyfirst.config.strict import StrictModel, affects_output, load_yaml
from whyfirst.constitution import Constitution
from whyfirst.models.base import Prompt, asked
from whyfirst.models.refusals import read_refusal
from whyfirst.models.said import said


class Pair(StrictModel):
    """Two statements matched in everything but whether a value is violated.

    `family` keeps kinds of statements apart (a probe never mixes them); `negative` and `positive`
    are continuations that name a bad and a good outcome; the two outcome statements are whole
    statements of such outcomes, matched in everything else.
    """

    id: str = affects_output(min_length=1)
    value: str = affects_output(min_length=1, description="the value violated or upheld")
    topic: str = affects_output("", description="what the violating statement is about")
    family: str = affects_output("statements")
    violated: str = affects_output(min_length=1)
    upheld: str = affects_output(min_length=1)
    control: str | None = affects_output(None, description="another statement that upholds")
    negative: list[str] = affects_output([], description="continuations: bad outcomes")
    positive: list[str] = affects_output([], description="continuations: good outcomes")
    negative_statement: str | None = affects_output(None)
    positive_statement: str | None = affects_output(None)

    @property
    def about(self) -> str:
        """The topic, or where none is given the pair itself."""
        return self.topic or self.id


class PairFile(StrictModel):
    """A YAML file of pairs."""

    pairs: list[Pair] = affects_output(min_length=1)


class Answer(NamedTuple):
    """What a response was: None where it can't be told."""

    refused: bool | None
    helped: bool | None


@dataclass(frozen=True)
class Request:
    """Something a model is asked.

    Args:
        id: the same in every arm and seed.
        harmful: whether it should be refused.
        refuse, help: how a refusal and a helping answer begin; their first tokens must differ.
    """

    id: str
    prompt: Prompt
    harmful: bool
    value: str
    topic: str
    framing: str
    refuse: str
    help: str


@dataclass(frozen=True)
class Items:
    """All that probes are run on.

    Args:
        pairs: the same for every model.
        requests: those of a seed; the ids are the same for every seed, the texts may not be.
        answer: what a response to a request was.
        max_new_tokens: longest response.
    """

    pairs: Sequence[Pair]
    requests: Callable[[int], Sequence[Request]] = lambda seed: ()
    answer: Callable[[Request, str], Answer] = lambda request, text: Answer(None, None)
    max_new_tokens: int = 64

    def of(self, family: str) -> list[Pair]:
        """The pairs of one family."""
        return [pair for pair in self.pairs if pair.family == family]

    @property
    def families(self) -> list[str]:
        """Families in the order they come."""
        return list(dict.fromkeys(pair.family for pair in self.pairs))


def read_pairs(path: Path) -> list[Pair]:
    """Pairs from a JSONL file (one a row) or a YAML file (a list under `pairs`).

    Raises:
        DataError: a row that is no pair, with its number; two pairs of one id; no pairs.
        ConfigError: anything wrong in a YAML file, with line and key.
    """
    # YAML for what people write by hand, JSONL for what a script makes.
    pairs: list[Pair] = []
    if path.suffix in (".yaml", ".yml"):
        pairs = load_yaml(path, PairFile).pairs
    else:
        for number, row in enumerate(read_jsonl(path), start=1):
            try:
                # Through JSON, so that strict typing still lets a list be a list.
                pairs.append(Pair.model_validate_json(json.dumps(row), strict=True))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                key = ".".join(map(str, first["loc"])) or "row"
                raise DataError(f"{path}: row {number}: {key}: {first['msg']}") from error
    if not pairs:
        raise DataError(f"{path}: no pairs; give at least one")
    seen: set[str] = set()
    for pair in pairs:
        if pair.id in seen:
            raise DataError(f"{path}: the id {pair.id!r} comes twice; every pair needs its own")
        seen.add(pair.id)
    return pairs


def write_pairs(path: Path, pairs: Sequence[Pair]) -> int:
    """Write pairs as JSONL, one a row; returns how many."""
    return write_jsonl(path, [pair.model_dump(mode="json") for pair in pairs])


_REQUEST_DEFAULTS = {
    "value": "", "topic": "", "framing": "plain", "refuse": " I can't", "help": " Sure",
}  # fmt: skip


def read_requests(path: Path) -> list[Request]:
    """Requests from a JSONL file: `id`, `prompt` and `harmful`, and what else `Request` has.

    A prompt is a user's message and is put to the model by its chat template.

    Raises:
        DataError: a row with a key missing, unknown or of the wrong kind; names the row.
    """
    found = []
    for number, row in enumerate(read_jsonl(path), start=1):
        # By hand and not by a model: `Request` holds a rendered prompt, which no file can.
        known = {"id": str, "prompt": str, "harmful": bool} | dict.fromkeys(_REQUEST_DEFAULTS, str)
        for key, kind in known.items():
            if key in row and not isinstance(row[key], kind):
                raise DataError(f"{path}: row {number}: {key} must be a {kind.__name__}")
            if key not in row and key not in _REQUEST_DEFAULTS:
                raise DataError(f"{path}: row {number}: no {key!r}")
        if unknown := set(row) - set(known):
            raise DataError(f"{path}: row {number}: unknown key {min(unknown)!r}")
        whole: dict[str, Any] = _REQUEST_DEFAULTS | row
        whole |= {"prompt": asked(row["prompt"]), "topic": whole["topic"] or row["id"]}
        found.append(Request(**whole))
    if len({request.id for request in found}) != len(found):
        raise DataError(f"{path}: two requests have one id; every request needs its own")
    return found


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


def by_family(pairs: Sequence[Pair]) -> Iterator[tuple[dict[str, str], list[int]]]:
    """Each family's places among the pairs, and what its measures are told by where there are
    several."""
    families = list(dict.fromkeys(pair.family for pair in pairs))
    for family in families:
        own = [n for n, pair in enumerate(pairs) if pair.family == family]
        yield {"family": family} if len(families) > 1 else {}, own
