"""What stops a stage that generates, and the figures it is watched by."""

from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import TrainingStopped
from whyfirst.train.config import Limits
from whyfirst.train.guards import Guards, measure, stop_reason
from whyfirst.train.plan import held_out
from whyfirst.train.rewards.combine import Scores


def _rows(**columns: list[float]) -> list[dict[str, Any]]:
    length = len(next(iter(columns.values())))
    return [
        {"step": at + 1, **{key: values[at] for key, values in columns.items()}}
        for at in range(length)
    ]


@pytest.mark.parametrize(
    ("rows", "limits", "message"),
    [
        (_rows(loss=[1.0, float("nan")]), Limits(), "loss is nan at update 2"),
        (_rows(entropy=[float("inf")]), Limits(), "entropy is inf at update 1"),
        (_rows(kl=[0.0, 101.0]), Limits(), "101 nats a response .* limits.max_kl 100"),
        (_rows(kl=[0.0, 3.0]), Limits(max_kl=2), "limits.max_kl 2"),
        (_rows(length=[2.0, 9.0, 10.1]), Limits(), "from 2 to 10.1 tokens by update 3"),
        (_rows(reward_std=[1.0, 0.0, 0.0]), Limits(flat_updates=2), "2 updates in a row"),
    ],
)
def test_a_runaway_is_let_run(rows: list[dict[str, Any]], limits: Limits, message: str) -> None:
    with pytest.raises(TrainingStopped, match=f"grpo: .*{message}.*; no checkpoint was written"):
        Guards("grpo", limits, lambda: None).check(rows)


@pytest.mark.parametrize(
    ("rows", "limits"),
    [
        (_rows(kl=[0.0, 1e6]), Limits(max_kl=None)),
        (_rows(kl=[0.0, -5.0]), Limits()),  # an estimate may be negative
        (_rows(length=[2.0, 10.0]), Limits()),
        (_rows(length=[1.0, 99.0]), Limits(max_length_ratio=None)),
        (_rows(reward_std=[0.0, 1e-3, 0.0]), Limits(flat_updates=2)),
        (_rows(reward_std=[0.0]), Limits(flat_updates=2)),
        (_rows(reward_std=[0.0] * 30), Limits(flat_updates=None)),
        ([{"step": 1, "reward_std": 0.0}, {"step": 2}], Limits(flat_updates=2)),
    ],
)
def test_a_healthy_run_is_stopped(rows: list[dict[str, Any]], limits: Limits) -> None:
    assert stop_reason(rows, limits) is None


def test_the_first_kl_of_another_reference_is_accepted() -> None:
    guards = Guards("rloo", Limits(), lambda: Path("checkpoint-9"))
    with pytest.raises(TrainingStopped, match=r"first KL is 0\.2 and must be 0.*checkpoint-9"):
        guards.check(_rows(kl=[0.2]))
    guards.check(_rows(kl=[1e-6]))


def test_figures_of_a_batch_are_not_what_they_say() -> None:
    scores = Scores([1.0, 3.0, 5.0, 5.0], {"a": [1.0, None, 2.0, 3.0], "b": [None] * 4})
    ids = [[1, 2, 3], [1, 1, 1, 1], [4], [4, 5]]
    found = measure(scores, ids, [True, False, True, True], group_size=2)
    assert found == {
        "reward": 3.5, "reward_std": 0.5, "length": 2.5, "finished": 0.75,
        "repetition": 0.125, "reward/a": 2.0,
    }  # fmt: skip
    assert measure(scores, ids, [True] * 4)["reward_std"] == pytest.approx(11**0.5 / 2)


def test_a_held_out_prompt_depends_on_its_place() -> None:
    prompts = [f"prompt {i}" for i in range(2000)]
    kept = dict(zip(prompts, held_out(prompts, 0.1), strict=True))
    assert 150 < sum(kept.values()) < 250
    shuffled = [*prompts[1000:], *prompts[:1000], *prompts[:10]]
    assert held_out(shuffled, 0.1) == [kept[prompt] for prompt in shuffled]
    more = held_out(prompts, 0.2)  # a larger share holds out the same ones and others
    assert all(big for big, small in zip(more, kept.values(), strict=True) if small)
