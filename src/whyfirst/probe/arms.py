"""The models a probe looks at, by arm and seed, and what several probes want of them.

At most two models are held at a time; activations lie on disk under the model's and the texts'
hash, answers and log-odds are kept in memory. Leaves out: what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

import numpy as np

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.models.base import Prompt, Sampling
from whyfirst.probe.activations import (
    Activations,
    Floats,
    asked_tokens,
    capture,
    margins,
    opened,
)
from whyfirst.probe.pairs import Answer, Items, Request

if TYPE_CHECKING:
    from whyfirst.models.local import LocalModel

#: a model, where to load it from, or a function that loads it
Model = Union["LocalModel", str, Path, Callable[[], "LocalModel"]]
Source = Model | Mapping[int, Model]


class Arms:
    """Models by arm and seed.

    Args:
        models: see `record.run_probes`.
        items: what the models are asked.
        folder: where activations go.

    Raises:
        UserError: no models, or an arm without one.
    """

    def __init__(self, models: Mapping[str, Source], items: Items, folder: Path) -> None:
        if not models:
            raise UserError("no models to probe; give at least one")
        # An arm with one model is one of seed 0 that stands for every seed.
        self._models: dict[str, dict[int, Model]] = {
            arm: dict(source) if isinstance(source, Mapping) else {0: source}
            for arm, source in models.items()
        }
        for arm, seeds in self._models.items():
            if not seeds:
                raise UserError(f"arm {arm!r} has no model")
        self.items = items
        self.folder = folder
        self._open: dict[tuple[str, int], LocalModel] = {}
        self._prints: dict[tuple[str, int], str] = {}
        self._answers: dict[tuple[str, int], list[Answer]] = {}
        self._margins: dict[tuple[str, int], Floats] = {}

    @property
    def names(self) -> list[str]:
        """The arms, in the order given."""
        return list(self._models)

    def seeds(self, *arms: str) -> list[int]:
        """The seeds that all these arms have; one with a single model has every seed.

        Raises:
            UserError: they have none in common.
        """
        # A lone model, as the base is, stands beside every seed of the others and limits none.
        several = [set(self._models[arm]) for arm in arms if len(self._models[arm]) > 1]
        if not several:
            several = [set(self._models[arms[0]])]
        common = sorted(set.intersection(*several))
        if not common:
            raise UserError(f"arms {', '.join(arms)} have no seed in common")
        return common

    def lone(self, arm: str) -> bool:
        """Whether the arm has one model for all seeds."""
        return len(self._models[arm]) == 1

    def _key(self, arm: str, seed: int) -> tuple[str, int]:
        known = self._models[arm]
        return arm, seed if seed in known or len(known) > 1 else next(iter(known))

    def open(self, arm: str, seed: int) -> LocalModel:
        """The arm's model of a seed; at most two that were given as folders stay open."""
        key = self._key(arm, seed)
        source = self._models[arm][key[1]]
        if not isinstance(source, str | Path) and not callable(source):
            return source
        if key not in self._open:
            # Two are what patching needs at a time; a third would be memory for nothing.
            while len(self._open) > 1:
                del self._open[next(iter(self._open))]
            from whyfirst.models.local import LocalModel

            self._open[key] = source() if callable(source) else LocalModel(source)
        self._open[key] = self._open.pop(key)  # the most recently used one is the last
        return self._open[key]

    def fingerprint(self, arm: str, seed: int) -> str:
        """The model's fingerprint."""
        key = self._key(arm, seed)
        if key not in self._prints:
            self._prints[key] = self.open(arm, seed).fingerprint
        return self._prints[key]

    def fingerprints(self) -> dict[str, dict[int, str]]:
        """Of every model, by arm and seed."""
        return {
            arm: {seed: self.fingerprint(arm, seed) for seed in seeds}
            for arm, seeds in self._models.items()
        }

    def requests(self, seed: int) -> Sequence[Request]:
        """The requests of a seed.

        Raises:
            UserError: there are none.
        """
        found = self.items.requests(seed)
        if not found:
            raise UserError("this probe asks the models something: give requests")
        return found

    def states(self, arm: str, seed: int, texts: Sequence[str]) -> Activations:
        """The stream at the last token of each text."""
        return self._captured(arm, seed, texts, list(texts))

    def request_states(self, arm: str, seed: int) -> Activations:
        """The stream at the last token of each request's prompt: where the answer begins."""
        prompts = [request.prompt for request in self.requests(seed)]
        # The messages and not their rendering: the fingerprint holds the template already.
        marks = [p if isinstance(p, str) else [[m.role, m.content] for m in p] for p in prompts]
        return self._captured(arm, seed, prompts, marks)

    def _captured(
        self, arm: str, seed: int, prompts: Sequence[Prompt], marks: Sequence[object]
    ) -> Activations:
        name = sha256_json([self.fingerprint(arm, seed), list(marks)])[:24]
        folder = self.folder / name
        # Named by model and texts, so a later call with either changed looks elsewhere.
        if not (folder / "activations.json").is_file():
            capture(self.open(arm, seed), prompts, folder)
        return opened(folder)

    def answers(self, arm: str, seed: int) -> list[Answer]:
        """What the greedy answer to each request of the seed was."""
        key = (arm, seed)
        if key not in self._answers:
            self._answers[key] = self.generate(self.open(arm, seed), seed)
        return self._answers[key]

    def generate(self, model: LocalModel, seed: int) -> list[Answer]:
        """Ask a model, as it is now, every request of a seed."""
        asked = self.requests(seed)
        sampling = Sampling(max_new_tokens=self.items.max_new_tokens)
        said = model.generate([request.prompt for request in asked], sampling=sampling)
        return [
            self.items.answer(request, completions[0].text)
            for request, completions in zip(asked, said, strict=True)
        ]

    def refused(self, arm: str, seed: int) -> Floats:
        """1 where the model refused a request, 0 where not, nan where that can't be told (R,)."""
        return numbers([answer.refused for answer in self.answers(arm, seed)])

    def margins(self, arm: str, seed: int) -> Floats:
        """Log-odds that the answer begins as a refusal rather than as help (R,), in nats."""
        key = (arm, seed)
        if key not in self._margins:
            model = self.open(arm, seed)
            self._margins[key] = margins(model, *asked_tokens(model, self.requests(seed)))
        return self._margins[key]


def numbers(flags: Sequence[bool | None]) -> Floats:
    """1, 0 and nan for True, False and None."""
    return np.array([np.nan if flag is None else float(flag) for flag in flags])
