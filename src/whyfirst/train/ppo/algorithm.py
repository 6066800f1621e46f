"""PPO on responses: one batch of episodes in, `ppo_epochs` passes of minibatches, figures out.

Read `update` first. Sources: Schulman et al. 2017 (PPO), Ziegler et al. 2019 and Stiennon et al.
2020 (its use on language models), Huang et al. 2024, "The N+ Implementation Details of RLHF with
PPO: A Case Study on TL;DR Summarization" (what it takes to work). Shapes: B episodes, L columns of
prompt and response, T columns of responses, V tokens of the vocabulary.

Log-probabilities of the sampled tokens are computed again by the training forward, at the sampling
temperature, and not taken from generation: that ran with a key-value cache and other padding, so
its rounding differs, and a ratio that starts beside 1 is clipped and weighted for no reason. They
are computed in the very passes the first epoch will train on, so the first ratio is 1 to the bit.
Dropout stays off throughout for the same reason.

Leaves out: entropy bonuses, rewards for single tokens, and state on disk (`run`).
"""

import contextlib
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from whyfirst.train.ppo import maths
from whyfirst.train.ppo.rollout import Episode, lay_out, positions

if TYPE_CHECKING:
    from whyfirst.train.kinds.ppo import PPOStage


class ActorCritic(torch.nn.Module):
    """The actor, and a value for every state a token was drawn in.

    Args:
        actor: a causal language model.
        critic: a backbone of its own for the values (a model with `last_hidden_state`), or None:
            values are read off the actor's last hidden states.
        head: the critic's trained output layer (hidden, 1); None starts at 0, so every value is 0
            at first and the first value gradients leave a shared backbone alone.
    """

    def __init__(self, actor: Any, critic: Any = None, head: torch.nn.Linear | None = None) -> None:
        super().__init__()
        self.actor, self.critic = actor, critic
        # From 0: the first value gradients leave a shared backbone alone.
        if head is None:
            config = (critic or actor).config.get_text_config()
            head = torch.nn.Linear(config.hidden_size, 1)
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
        self.head = head
        self.eval()

    def forward(self, ids_B_L: Tensor, mask_B_L: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Logits (B, T, V) and values (B, T) at the T = `width` states before response tokens."""
        states = {"input_ids": ids_B_L, **_places(mask_B_L)}
        shared = self.critic is None
        # One position before the first response token predicts it: hence the one more.
        out = self.actor(**states, logits_to_keep=width + 1, output_hidden_states=shared)
        if self.critic is None:
            hidden_B_L_H = out.hidden_states[-1]
        else:
            hidden_B_L_H = self.critic(**states).last_hidden_state
        # A value is a number to regress on and not a probability: in full precision.
        with torch.autocast(ids_B_L.device.type, enabled=False):
            value_B_T = self.head(hidden_B_L_H[:, -width - 1 : -1].float())[..., 0]
        return out.logits[:, :-1], value_B_T


def _places(mask_B_L: Tensor) -> dict[str, Any]:
    return {
        "attention_mask": mask_B_L, "position_ids": positions(mask_B_L), "use_cache": False
    }  # fmt: skip


@dataclass
class Learner:
    """What a stage's updates share; `run` builds it and saves what changes.

    Args:
        policy: the `ActorCritic` as training calls it (perhaps wrapped by accelerate).
        module: the same, unwrapped.
        reference: log-probabilities' reference model; None: the actor without its adapter.
        rate: factor on the learning rates at an update (from 0).
        bad: called with a loss or gradient norm that is not finite, and the update; must raise.
    """

    config: "PPOStage"
    accelerator: Any
    policy: Any
    module: ActorCritic
    reference: Any
    optimizer: torch.optim.Optimizer
    controller: maths.KLController
    pad_id: int
    seed: int
    rate: Callable[[int], float]
    bad: Callable[[float, int], None]

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """The number format of forward passes, as a context."""
        enabled = self.config.dtype == "bfloat16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=enabled)


@dataclass
class Experience:
    """A batch of episodes as the policy that wrote them saw it; every tensor is (B, T)."""

    episodes: Sequence[Episode]
    mask: Tensor
    logp: Tensor
    ref_logp: Tensor
    entropy: Tensor
    value: Tensor


def update(
    learner: Learner, episodes: Sequence[Episode], score_B: Tensor, number: int
) -> dict[str, float]:
    """Train on one batch of episodes.

    Args:
        episodes: B episodes, the same ones in every process.
        score_B: the reward of each.
        number: of this update, from 0; decides the order of minibatches and the learning rate.

    Returns:
        Figures for the log. KL is in nats a response, entropy in nats a token.
    """
    config = learner.config
    orders = [minibatches(config, learner.seed, number, e) for e in range(config.ppo_epochs)]
    seen = observe(learner, episodes, orders[0])
    kl_B_T = maths.kl_estimate(seen.logp, seen.ref_logp, config.kl_estimator) * seen.mask
    score_B = with_penalty(config, episodes, score_B)
    reward_B_T = maths.token_rewards(score_B, kl_B_T, seen.mask, learner.controller.beta)
    if config.whiten_rewards:
        reward_B_T = maths.whiten(reward_B_T, seen.mask, shift_mean=False)
    advantage_B_T, return_B_T = maths.gae(
        reward_B_T, seen.value, seen.mask, config.gamma, config.lam
    )
    if config.whiten_advantages:
        advantage_B_T = maths.whiten(advantage_B_T, seen.mask)

    # By hand, since a scheduler counts steps and an update has many.
    for group in learner.optimizer.param_groups:
        group["lr"] = group["base_lr"] * learner.rate(number)
    steps = [
        _step(learner, seen, advantage_B_T, return_B_T, rows, number)
        for order in orders
        for rows in order
    ]
    kl = float(kl_B_T.sum(1).mean())
    beta = learner.controller.beta
    learner.controller.update(kl, len(episodes))
    figures = {name: sum(step[name] for step in steps) / len(steps) for name in steps[0]}
    return {
        **figures,
        "loss": figures["policy_loss"] + config.value_coefficient * figures["value_loss"],
        "lr": learner.optimizer.param_groups[0]["lr"],
        "kl": kl,
        "kl_coefficient": beta,
        "entropy": float(maths.masked_mean(seen.entropy, seen.mask)),
        "explained_variance": maths.explained_variance(seen.value, return_B_T, seen.mask),
    }


def minibatches(config: "PPOStage", seed: int, number: int, epoch: int) -> list[list[int]]:
    """The batch's rows in the order of one epoch, cut into minibatches."""
    order, size = list(range(config.batch_size)), config.minibatch_size
    random.Random(f"{seed}/ppo/{number}/{epoch}").shuffle(order)
    return [order[i : i + size] for i in range(0, len(order), size)]


def with_penalty(config: "PPOStage", episodes: Sequence[Episode], score_B: Tensor) -> Tensor:
    """Scores, less the penalty where a response has no end (Huang et al. 2024, the EOS trick)."""
    cut_B = torch.tensor([not episode.finished for episode in episodes], device=score_B.device)
    return score_B - (config.missing_eos_penalty or 0.0) * cut_B


def _passes(learner: Learner, rows: list[int]) -> list[list[int]]:
    """This process's share of a minibatch, cut into forward passes."""
    mine = rows[learner.accelerator.process_index :: learner.accelerator.num_processes]
    size = learner.config.micro_batch_size or len(mine)
    return [mine[i : i + size] for i in range(0, len(mine), size)]


@torch.no_grad()
def observe(
    learner: Learner, episodes: Sequence[Episode], order: Sequence[list[int]]
) -> Experience:
    """Log-probabilities, values and entropies of the batch before it is trained on.

    Args:
        order: minibatches of the first epoch; see the module's note on the first ratio.
    """
    width = max(len(episode.response) for episode in episodes)
    shape = (5, len(episodes), width)
    # Each process fills in its own rows; the rest is 0, so the sum over processes is the whole.
    # One tensor, so that processes add up their shares in one exchange.
    found_5_B_T = torch.zeros(shape, device=learner.accelerator.device)
    for rows in [part for minibatch in order for part in _passes(learner, minibatch)]:
        ids_B_L, mask_B_L, mask_B_T = _tensors(learner, [episodes[row] for row in rows])
        tokens_B_T = ids_B_L[:, -mask_B_T.shape[1] :]
        with learner.precision():
            logits_B_T_V, value_B_T = learner.module(ids_B_L, mask_B_L, mask_B_T.shape[1])
            # The model the stage started from: a copy, or the actor without its adapter.
            frozen, off = learner.reference, contextlib.nullcontext()
            if frozen is None:
                frozen = learner.module.actor
                off = frozen.disable_adapter()
            with off:
                out = frozen(
                    input_ids=ids_B_L, **_places(mask_B_L), logits_to_keep=mask_B_T.shape[1] + 1
                )
        temperature = learner.config.temperature
        logp_B_T = maths.token_logp(logits_B_T_V, tokens_B_T, temperature)
        ref_B_T = maths.token_logp(out.logits[:, :-1], tokens_B_T, temperature)
        entropy_B_T = maths.token_entropy(logits_B_T_V, temperature)
        parts = torch.stack([mask_B_T.float(), logp_B_T, ref_B_T, entropy_B_T, value_B_T])
        found_5_B_T[:, rows, : mask_B_T.shape[1]] = parts * mask_B_T
    found_5_B_T = learner.accelerator.reduce(found_5_B_T, "sum")
    return Experience(episodes, *found_5_B_T)


def _tensors(learner: Learner, episodes: Sequence[Episode]) -> tuple[Tensor, Tensor, Tensor]:
    return lay_out(episodes, learner.pad_id, learner.accelerator.device)


def _step(
    learner: Learner,
    seen: Experience,
    advantage_B_T: Tensor,
    return_B_T: Tensor,
    rows: list[int],
    number: int,
) -> dict[str, float]:
    """One weight step on one minibatch: the mean loss over all its tokens."""
    config, accelerator = learner.config, learner.accelerator
    # Of the whole minibatch, over all processes: its parts then add up to one mean.
    tokens = float(seen.mask[rows].sum())
    passes = _passes(learner, rows)
    sums = torch.zeros(4, device=accelerator.device)
    for at, mine in enumerate(passes, 1):
        last = at == len(passes)
        waiting = contextlib.nullcontext() if last else accelerator.no_sync(learner.policy)
        with waiting, _recomputing(learner):
            loss, parts = _loss(learner, seen, advantage_B_T, return_B_T, mine)
            # Gradients are averaged over processes; each holds its part of one sum.
            accelerator.backward(loss * accelerator.num_processes / tokens)
        sums += parts
    sums = accelerator.reduce(sums, "sum") / tokens
    norm = accelerator.clip_grad_norm_(learner.policy.parameters(), config.max_grad_norm)
    names = ("policy_loss", "value_loss", "clip_fraction", "value_clip_fraction")
    figures = dict(zip(names, sums.tolist(), strict=True)) | {"grad_norm": float(norm)}
    for value in figures.values():
        if not math.isfinite(value):
            learner.bad(value, number + 1)
    learner.optimizer.step()
    learner.optimizer.zero_grad()
    return figures


def _loss(
    learner: Learner,
    seen: Experience,
    advantage_B_T: Tensor,
    return_B_T: Tensor,
    rows: list[int],
) -> tuple[Tensor, Tensor]:
    """The summed loss of one forward pass, and (4,) sums of its parts over tokens."""
    config = learner.config
    ids_B_L, mask_B_L, mask_B_T = _tensors(learner, [seen.episodes[row] for row in rows])
    width = mask_B_T.shape[1]

    def mine(x_B_T: Tensor) -> Tensor:
        return x_B_T[rows, :width]

    with learner.precision():
        logits_B_T_V, value_B_T = learner.policy(ids_B_L, mask_B_L, width)
    logp_B_T = maths.token_logp(logits_B_T_V, ids_B_L[:, -width:], config.temperature)
    policy_B_T, held_B_T = maths.policy_loss(
        logp_B_T, mine(seen.logp), mine(advantage_B_T), config.clip or math.inf
    )
    critic_B_T, value_held_B_T = maths.value_loss(
        value_B_T, mine(seen.value), mine(return_B_T), config.value_clip or math.inf
    )
    parts_4_B_T = torch.stack([policy_B_T, critic_B_T, held_B_T.float(), value_held_B_T.float()])
    parts = (parts_4_B_T * mask_B_T).sum((1, 2))
    return parts[0] + config.value_coefficient * parts[1], parts.detach()


@contextlib.contextmanager
def _recomputing(learner: Learner) -> Iterator[None]:
    """Gradient checkpointing while training, where asked for; dropout stays off."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [
        layer
        for layer in learner.module.modules()
        if isinstance(layer, GradientCheckpointingLayer) and layer.gradient_checkpointing
    ]
    # A layer recomputes where its own flag says training; it was opened without dropout.
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
