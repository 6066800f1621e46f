"""The weighted sum of a stage's rewards, and the checks that stop a stage with the row's number.

    R(x, y) = sum over rewards i of weight_i * r_i(x, y)

A reward that says None for a response adds nothing to its sum; a response that no reward scores
stops the stage, as does a reward that raises, returns the wrong number of values, or NaN. Leaves
out: rewards of single tokens.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError, PreflightError, TrainingStopped, UserError
from whyfirst.config.room import Entry
from whyfirst.config.suggest import did_you_mean
from whyfirst.train.config_rl import REWARD_MODEL, GoldUse, RewardUse, named
from whyfirst.train.rewards import REWARDS, Reward, columns_of

START = "start"
"""Name, among a stage's models, of the one it starts from."""


@dataclass(frozen=True)
class Scores:
    """Rewards of B responses: their weighted `total`, and each reward's own by name."""

    total: list[float]
    parts: dict[str, list[float | None]]


class RewardSum:
    """The rewards of one stage over the rows of its prompt file.

    Args:
        uses: which rewards, with weights (a `GoldUse` weighs 1) and options.
        rows: the prompt file's rows; a response is scored with the columns of its row.
        models: name -> folder, of what `run_stage` was given besides files.

    Raises:
        ConfigError: an unknown reward or option, or a reward model without a folder.
        PreflightError: rows without a column that a reward needs; names them.
    """

    def __init__(
        self,
        uses: Sequence[RewardUse | GoldUse],
        rows: Sequence[Mapping[str, Any]],
        models: Mapping[str, Path],
    ) -> None:
        self._rows = rows
        self._rewards: dict[str, _Bound] = {}
        for use in uses:
            name = use.name
            while name in self._rewards:
                name += "+"  # the same reward twice, with other options
            self._rewards[name] = _bind(use, rows, models)
        # A column may hold nothing in some rows; those get None.
        self._columns = sorted({key for row in rows for key in row} - {"prompt"})

    def __call__(
        self,
        numbers: Sequence[int],
        texts: Sequence[str],
        completion_ids: Sequence[Sequence[int]],
        finished: Sequence[bool],
    ) -> Scores:
        """Score B responses.

        Args:
            numbers: index of each response's row.
            texts: the responses.
            completion_ids: their tokens, the end token too.
            finished: whether each ended by itself.

        Raises:
            TrainingStopped: a reward failed; names the reward and the row.
        """
        rows = [self._rows[number] for number in numbers]
        talks = [isinstance(row["prompt"], list) for row in rows]
        given: dict[str, Any] = {key: [row.get(key) for row in rows] for key in self._columns} | {
            "prompts": [row["prompt"] for row in rows],
            "completions": [
                [{"role": "assistant", "content": said}] if talk else said
                for said, talk in zip(texts, talks, strict=True)
            ],
            "completion_ids": [list(ids) for ids in completion_ids],
            "finished": list(finished),
        }
        parts = {
            name: self._scored(name, bound, given, numbers) for name, bound in self._rewards.items()
        }
        total = [0.0] * len(numbers)
        for name, bound in self._rewards.items():
            total = [t + bound.weight * (r or 0.0) for t, r in zip(total, parts[name], strict=True)]
        for at, number in enumerate(numbers):
            if all(values[at] is None for values in parts.values()):
                raise TrainingStopped(
                    f"no reward ({', '.join(parts)}) scores the response to row {number + 1}: all "
                    "are None; add a reward that does, or drop such rows"
                )
        return Scores(total, parts)

    def _scored(
        self, name: str, bound: "_Bound", given: Mapping[str, Any], numbers: Sequence[int]
    ) -> list[float | None]:
        try:
            values = bound(given)
        except UserError:
            raise
        except Exception as error:
            row = self._failing_row(bound, given, numbers)
            raise TrainingStopped(
                f"reward {name!r} raised {type(error).__name__} at row {row}: {error}"[:2000]
            ) from error
        if len(values) != len(numbers):
            raise TrainingStopped(
                f"reward {name!r} returned {len(values)} values for {len(numbers)} responses "
                f"(the first is to row {numbers[0] + 1}); it must return one a response"
            )
        for value, number in zip(values, numbers, strict=True):
            if value is not None and not math.isfinite(value):
                raise TrainingStopped(f"reward {name!r} gave {value} for row {number + 1}")
        return [None if value is None else float(value) for value in values]

    @staticmethod
    def _failing_row(bound: "_Bound", given: Mapping[str, Any], numbers: Sequence[int]) -> int:
        """The first row that fails by itself; the first of the batch where none does."""
        for at, number in enumerate(numbers):
            try:
                bound({key: values[at : at + 1] for key, values in given.items()})
            except Exception:
                return number + 1
        return numbers[0] + 1


@dataclass(frozen=True)
class _Bound:
    """A reward with its weight and options; no column of the file can pass for an option."""

    function: Reward
    weight: float
    options: Mapping[str, Any]
    reserved: frozenset[str]

    def __call__(self, given: Mapping[str, Any]) -> list[float | None]:
        columns = {key: value for key, value in given.items() if key not in self.reserved}
        return list(self.function(**columns, **self.options))


def _bind(
    use: RewardUse | GoldUse, rows: Sequence[Mapping[str, Any]], models: Mapping[str, Path]
) -> _Bound:
    """The reward with its options; refuses what can be seen to be wrong before training."""
    entry = REWARDS.get(use.name)
    for column in columns_of(entry):
        without = [n for n, row in enumerate(rows, 1) if row.get(column) is None]
        if without:
            raise PreflightError(
                f"reward {use.name!r} needs the column {column!r}; {len(without)} of {len(rows)} "
                f"rows of the prompt file have none (the first is row {without[0]})"
            )
    known = {option.name for option in entry.options}
    for at, message in REWARDS.problems(named(use)):
        key = str(at[0])
        if key not in known:
            raise ConfigError(
                f"reward {use.name!r} has no option {key!r}{did_you_mean(key, known)} (known: "
                f"{', '.join(sorted(known)) or 'none'})"
            )
        raise ConfigError(f"reward {use.name!r}: {key}: {message}")
    options = entry.schema.model_validate(use.options).model_dump() | _context(use, entry, models)
    weight = use.weight if isinstance(use, RewardUse) else 1.0
    return _Bound(entry.function, weight, options, frozenset(known | entry.context))


def _context(
    use: RewardUse | GoldUse, entry: Entry[Any], models: Mapping[str, Path]
) -> dict[str, Any]:
    """What a reward is given beside its options: a model's folder, or a model."""
    if "folder" in entry.context:
        folder = Path(use.path) if use.path else models.get(REWARD_MODEL)
        if folder is None or not (folder / "config.json").is_file():
            raise ConfigError(
                f"reward {use.name!r}: no model at {folder}; give `path`, or name the stage that "
                "trained it as `reward_from`"
            )
        return {"folder": str(folder)}
    if "model" in entry.context:
        from whyfirst.models.local import LocalModel

        return {"model": LocalModel(Path(use.path) if use.path else models[START])}
    return {}
