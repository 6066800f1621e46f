"""Objectives of the `prefer` stage, by name: functions from scores to a loss for each prompt.

An objective is ``(scores: SequenceScores, *, options) -> Tensor (B,)``, entered with
``@OBJECTIVES.enter(name, ...)`` in a file of its own here. Facts a room's entry may hold beside
`Entry`'s own:

- ``references``: how many frozen models it compares with (default 1; 0: it never touches one);
- ``responses``: ``(fewest, most)`` responses K a prompt, ``most`` None for any (default (2, 2));
- ``order``: what the labels of a prompt must tell apart: "some" of the responses (the default), or
  "all" of them; "none" for an objective that takes equal labels;
- ``columns``: names of row columns that reach `SequenceScores.extras`: a number a row or K of them
  as a tensor (B, K), anything else as a list of B.

A stage averages the losses of an update. Leaves out: how scores are computed
(`whyfirst.train.scores`) and trained on (`whyfirst.train.kinds.prefer`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whyfirst.config.room import Room

if TYPE_CHECKING:  # a study file is read through this module, and needs no torch
    from torch import Tensor

OBJECTIVES: "Room[Tensor]" = Room("objectives", __name__)


@dataclass(frozen=True)
class SequenceScores:
    """What one policy and any number of frozen references say of K responses to B prompts.

    Attributes:
        logp: log-probability of each response token under the policy, shape (B, K, T); 0 where
            `mask` is False. The gradient flows through it.
        references: the same under each reference, each of shape (B, K, T), without gradient.
        mask: True at the tokens of a response, shape (B, K, T); all False for a padded response.
        labels: how good each response is, shape (B, K): a preference (1 chosen, 0 rejected), a
            score or a rank, as the rows say; NaN where there is none.
        extras: further columns by name: tensors of shape (B, K) or (B, K, T), or lists of B.
    """

    logp: "Tensor"
    references: "tuple[Tensor, ...]"
    mask: "Tensor"
    labels: "Tensor"
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lengths(self) -> "Tensor":
        """Tokens of each response, shape (B, K)."""
        return self.mask.sum(-1)

    @property
    def present(self) -> "Tensor":
        """Which responses are there and not padding, shape (B, K)."""
        return self.mask.any(-1)

    @property
    def sequence_logp(self) -> "Tensor":
        """Log-probability of each response under the policy, shape (B, K), nats."""
        return self.logp.sum(-1)

    def reference_logp(self, index: int = 0) -> "Tensor":
        """Log-probability of each response under a reference, shape (B, K), nats."""
        return self.references[index].sum(-1)

    def log_ratio(self, index: int = 0) -> "Tensor":
        """Policy over reference, log, summed over each response, shape (B, K)."""
        return (self.logp - self.references[index]).sum(-1)

    def preferred(self, value: "Tensor") -> "Tensor":
        """Of two responses a prompt, the better one's `value` less the other's: (B, 2) -> (B,)."""
        return (value[:, 0] - value[:, 1]) * (self.labels[:, 0] - self.labels[:, 1]).sign()

    def best(self, value: "Tensor") -> "Tensor":
        """`value` of each prompt's best response (the first of equals): (B, K) -> (B,)."""
        labels = self.labels.masked_fill(~self.present | self.labels.isnan(), -float("inf"))
        return value.gather(1, labels.argmax(1, keepdim=True))[:, 0]
