"""A stage's rewards combined, and the checks that stop a stage with the row's number.

    sum         R(x, y) = sum over rewards i of weight_i r_i(x, y)
    geometric   R(x, y) = (product over i of r_i(x, y)^weight_i)^(1 / sum of weights)
    normalised  as sum, each r_i less its mean and over its deviation in the batch

What comes out may be standardised once more within the rows that have a column in common
(`zscore_by`). A reward that says None for a response counts for nothing in its combination; a
response that no reward scores stops the stage, as does a reward that raises, returns the wrong
number of values, or NaN. Leaves out: rewards of single tokens, and normalising over more than one
process' share of a batch.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import (
    ConfigError,
    PreflightError,
    TrainingStopped,
    UserError,
    did_you_mean,
)
from whyfirst.config.room import Entry
from whyfirst.train.config_rl import REWARD_MODEL, Combine, GoldUse, RewardUse, named
from whyfirst.train.rewards import REWARDS, Reward, columns_of

if TYPE_CHECKING:
    from whyfirst.models.base import LanguageModel

Start = Callable[[], "LanguageModel"]
"""Opens the model that responses come from, as it is asked for them."""


@dataclass(frozen=True)
class Scores:
    """Rewards of B responses.

    Attributes:
        total: combined, as they are trained on.
        parts: each reward's own, by its name.
        unscaled: combined, but not standardised, which hides their level; None: as `total`.
    """

    total: list[float]
    parts: dict[str, list[float | None]]
    unscaled: list[float] | None = None

    @property
    def level(self) -> list[float]:
        """How good the responses are, for people to look at."""
        return self.total if self.unscaled is None else self.unscaled


def combined(
    parts: Mapping[str, Sequence[float | None]],
    weights: Mapping[str, float],
    how: Combine = "sum",
    groups: Sequence[Any] | None = None,
) -> list[float]:
    """One number a response from several rewards; see the module.

    Args:
        parts: each reward's B numbers, by its name.
        weights: of each.
        groups: of each response, what it is standardised with; None leaves it as it is.

    Raises:
        ValueError: a negative reward in a geometric mean; names it and the response, from 1.
    """
    values = {name: list(row) for name, row in parts.items()}
    if how == "normalised":
        values = {name: _standardised(row) for name, row in values.items()}
    total: list[float] = []
    for at in range(len(next(iter(values.values())))):
        known = {n: value for n, row in values.items() if (value := row[at]) is not None}
        if how == "geometric":
            for name, value in known.items():
                if value < 0:
                    raise ValueError(
                        f"reward {name!r} gave {value:g} for response {at + 1}; a geometric mean "
                        "needs rewards of 0 or more"
                    )
            share = sum(weights[name] for name in known)
            total.append(math.prod(v ** (weights[n] / share) for n, v in known.items()))
        else:
            total.append(sum(weights[name] * value for name, value in known.items()))
    if groups is not None:
        places: dict[Any, list[int]] = {}
        for at, group in enumerate(groups):
            places.setdefault(str(group), []).append(at)
        for members in places.values():
            for at, value in zip(members, _standardised([total[i] for i in members]), strict=True):
                total[at] = value or 0.0
    return total


def _standardised(row: Sequence[float | None]) -> list[float | None]:
    """Less their mean and over their deviation; 0 where they are all equal, None stays None."""
    known = [value for value in row if value is not None]
    middle, spread = (fmean(known), pstdev(known)) if known else (0.0, 0.0)
    # Equal numbers may have a deviation of rounding, which must not be blown up.
    flat = spread <= 1e-12 * max(1.0, abs(middle))
    return [None if v is None else 0.0 if flat else (v - middle) / spread for v in row]


class RewardSum:
    """The rewards of one stage over the rows of its prompt file.

    Args:
        uses: which rewards, with weights (a `GoldUse` weighs 1) and options.
        rows: the prompt file's rows; a response is scored with the columns of its row.
        models: name -> folder, of what `run_stage` was given besides files.
        how: they are combined.
        zscore_by: the column within whose values the outcome is standardised.
        start: for rewards that ask the model that the responses come from, as it was before.

    Raises:
        ConfigError: an unknown reward or option, or a reward model without a folder.
        PreflightError: rows without a column that a reward or `zscore_by` needs; names them.
    """

    def __init__(
        self,
        uses: Sequence[RewardUse | GoldUse],
        rows: Sequence[Mapping[str, Any]],
        models: Mapping[str, Path],
        how: Combine = "sum",
        zscore_by: str | None = None,
        start: Start | None = None,
    ) -> None:
        self._rows, self._how, self._zscore_by = rows, how, zscore_by
        if zscore_by is not None:
            _check_column(rows, zscore_by, "zscore_by")
        self._rewards: dict[str, _Bound] = {}
        for use in uses:
            name = use.name
            while name in self._rewards:
                name += "+"  # the same reward twice, with other options
            self._rewards[name] = _bind(use, rows, models, start)
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
        for at, number in enumerate(numbers):
            if all(values[at] is None for values in parts.values()):
                raise TrainingStopped(
                    f"no reward ({', '.join(parts)}) scores the response to row {number + 1}: all "
                    "are None; add a reward that does, or drop such rows"
                )
        weights = {name: bound.weight for name, bound in self._rewards.items()}
        groups = [row[self._zscore_by] for row in rows] if self._zscore_by else None
        try:
            plain = combined(parts, weights, "sum" if self._how == "normalised" else self._how)
            if self._how != "normalised" and groups is None:
                return Scores(plain, parts)
            return Scores(combined(parts, weights, self._how, groups), parts, plain)
        except ValueError as error:
            shown = ", ".join(str(n + 1) for n in numbers[:8])
            raise TrainingStopped(f"{error} (rows {shown})") from error

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
    use: RewardUse | GoldUse, rows: Sequence[Mapping[str, Any]], models: Mapping[str, Path],
    start: Start | None,
) -> _Bound:  # fmt: skip
    """The reward with its options; refuses what can be seen to be wrong before training."""
    entry = REWARDS.get(use.name)
    for column in columns_of(entry):
        _check_column(rows, column, f"reward {use.name!r}")
    known = {option.name for option in entry.options}
    for at, message in REWARDS.problems(named(use)):
        key = str(at[0])
        if key not in known:
            raise ConfigError(
                f"reward {use.name!r} has no option {key!r}{did_you_mean(key, known)} (known: "
                f"{', '.join(sorted(known)) or 'none'})"
            )
        raise ConfigError(f"reward {use.name!r}: {key}: {message}")
    options = entry.schema.model_validate(use.options).model_dump()
    options |= _context(use, entry, models, start)
    weight = use.weight if isinstance(use, RewardUse) else 1.0
    return _Bound(entry.function, weight, options, frozenset(known | entry.context))


def _check_column(rows: Sequence[Mapping[str, Any]], column: str, what: str) -> None:
    without = [n for n, row in enumerate(rows, 1) if row.get(column) is None]
    if without:
        raise PreflightError(
            f"{what} needs the column {column!r}; {len(without)} of {len(rows)} "
            f"rows of the prompt file have none (the first is row {without[0]})"
        )


def _context(
    use: RewardUse | GoldUse, entry: Entry[Any], models: Mapping[str, Path],
    start: Start | None,
) -> dict[str, Any]:  # fmt: skip
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

        if use.path:
            return {"model": LocalModel(Path(use.path))}
        if start is None:
            raise ConfigError(f"reward {use.name!r} asks a model; give its folder as `path`")
        return {"model": start()}
    return {}
