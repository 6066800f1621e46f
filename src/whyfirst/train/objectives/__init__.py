"""Objectives of the `prefer` stage, by name: functions from scores to a loss for each prompt.

An objective is ``(scores: SequenceScores, *, options) -> Tensor (B,)``, entered with
``@OBJECTIVES.enter(name, ...)`` in a file of its own here; a ValueError says that it can't use a
row. Facts a room's entry may hold beside `Entry`'s own:

- ``references``: how many frozen models it compares with (default 1; 0: it never touches one);
- ``responses``: ``(fewest, most)`` responses K a prompt, ``most`` None for any (default (2, 2));
- ``columns``: columns of the rows that reach `SequenceScores.extras`, each ``"row"`` (a number a
  row, shape (B,)), ``"response"`` (a list of K numbers, shape (B, K)), ``"token"`` (a list of K
  lists of T numbers, shape (B, K, T)) or ``"text"`` (a list of B);
- ``prompt_scored``: the mask covers the prompt's tokens too (default False);
- ``distinct``: no two responses of a row may have the same label (default False);
- ``labels_within``: options -> the least and the highest label it reads, or None for any; with
  such bounds a rank is the share of the other responses that it beats;
- ``labelled``: rows must say how good each response is (default True);
- ``binary``: the label is true or false (default False);
- ``borrowed``: each row gets one more response, last and without a label: that of another row, to
  its own prompt (default False);
- ``alike``: the responses of a row are one text (default False);
- ``batched``: a row's loss depends on the other rows of its forward pass, always (True) or with the
  option of that name: one process alone then (default False);
- ``ties``: labels may be equal, and the objective reads what that means (default False);
- ``scored``: the policy has a number as a second output, which `SequenceScores.rewards` holds
  (default False);
- ``ranks_by``: ("sum" or "mean" over a response's tokens, the option that scales it or None): the
  log-probability, or log-ratio where there is a reference, by which it puts responses in order and
  `accuracy` and `margin` are logged (default ("sum", None));
- ``revised``: options given -> marks that identify those whose results have changed, where those of
  other options have not;
- ``many_heads``: the policy has an output layer for each number in the column `objective`, as many
  as the option `heads` says (default False).

A row is a pair (``prompt``, ``chosen``, ``rejected``; response 0 is the chosen one, its label 1),
a list (``prompt``, ``responses``, ``labels``) or one response (``prompt``, ``completion``,
``label``). In place of ``prompt`` a row may hold ``prompts``, one for each response: what DOVE
compares, and the two contexts CUT reads one response in. ``scores`` (more is better) and ``ranks``
(1 is best) may stand for ``labels``; a rank reaches an objective as the number of responses it
beats, or their share (``labels_within``). Responses come best first, equals in the row's order.

Leaves out: how scores are computed (`whyfirst.train.scores`) and trained on (kinds/prefer.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whyfirst.config.room import Room

if TYPE_CHECKING:  # a study file is read through this module, and needs no torch
    from torch import Tensor

NEVER = -1e9
"""A logit that no probability is left for; -inf would leave NaN in gradients."""
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
        rewards: the second output where each response's end is foretold, shape (B, K), with
            gradient; None where the policy has none.
    """

    logp: "Tensor"
    references: "tuple[Tensor, ...]"
    mask: "Tensor"
    labels: "Tensor"
    extras: Mapping[str, Any] = field(default_factory=dict)
    rewards: "Tensor | None" = None

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

    @property
    def mean_logp(self) -> "Tensor":
        """Log-probability a token under the policy, shape (B, K); 0 for a padded response."""
        return self.logp.sum(-1) / self.lengths.clamp(min=1)

    @property
    def better(self) -> "Tensor":
        """Whether response i has a higher label than response j, shape (B, K, K)."""
        there = self.present[:, :, None] & self.present[:, None, :]
        return (self.labels[:, :, None] > self.labels[:, None, :]) & there

    @property
    def best(self) -> "Tensor":
        """Index of the response with the highest label, shape (B, 1)."""
        return self.labels.masked_fill(~self.present, -float("inf")).argmax(1, keepdim=True)

    def reference_logp(self, index: int = 0) -> "Tensor":
        """Log-probability of each response under a reference, shape (B, K), nats."""
        return self.references[index].sum(-1)

    def log_ratio(self, index: int = 0) -> "Tensor":
        """Policy over reference, log, summed over each response, shape (B, K)."""
        return (self.logp - self.references[index]).sum(-1)

    def preferred(self, value: "Tensor") -> "Tensor":
        """Of two responses a prompt, the better one's `value` less the other's: (B, 2) -> (B,)."""
        return (value[:, 0] - value[:, 1]) * (self.labels[:, 0] - self.labels[:, 1]).sign()
