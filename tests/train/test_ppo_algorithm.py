"""One PPO update on real tiny models: masks, ratios, the reference, and REINFORCE as its limit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from ppo_helpers import END, episodes, learner, scores, stage

from whyfirst.config.errors import TrainingStopped
from whyfirst.models.continuation import Ending
from whyfirst.train.ppo import algorithm, maths, rollout
from whyfirst.train.ppo.rollout import Episode
from whyfirst.train.weights import load_model, load_tokenizer


def _alone(model: Any, episode: Episode, temperature: float = 1.0) -> torch.Tensor:
    """Log-probabilities of a response's tokens from one unpadded forward pass."""
    ids = torch.tensor([episode.prompt + episode.response])
    logits = model(input_ids=ids).logits[0, len(episode.prompt) - 1 : -1] / temperature
    return logits.log_softmax(-1).gather(-1, ids[0, len(episode.prompt) :, None])[:, 0]


def _orders(config: Any) -> list[list[int]]:
    return algorithm.minibatches(config, 3, 0, 0)


@pytest.mark.parametrize("base", ["llama", "phi"])
@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_padding_changes_log_probabilities_or_values(
    bases: dict[str, Path], base: str, critic: str
) -> None:
    config = stage(critic=critic, temperature=0.7, micro_batch_size=3)
    trained = learner(config, bases[base])
    torch.nn.init.normal_(trained.module.head.weight)
    batch = episodes()
    seen = algorithm.observe(trained, batch, _orders(config))
    model = load_model(bases[base]).eval()
    with torch.no_grad():
        for row, episode in enumerate(batch):
            size = len(episode.response)
            expected = _alone(model, episode, temperature=0.7)
            torch.testing.assert_close(seen.logp[row, :size], expected, rtol=0, atol=1e-5)
            ids = torch.tensor([episode.prompt + episode.response])
            hidden = model.base_model(input_ids=ids).last_hidden_state
            values = trained.module.head(hidden)[0, len(episode.prompt) - 1 : -1, 0]
            torch.testing.assert_close(seen.value[row, :size], values, rtol=0, atol=1e-5)
            assert seen.mask[row].sum() == size
            assert not seen.logp[row, size:].any() and not seen.value[row, size:].any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("base", ["llama", "phi"])  # phi has dropout, which must be off
def test_the_first_ratio_is_not_exactly_one(
    bases: dict[str, Path], base: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ratios: list[float] = []
    real = maths.policy_loss

    def note(logp: Any, old: Any, advantage: Any, clip: float) -> Any:
        mask = old != 0
        ratios.append(float((logp.detach() - old).exp()[mask].sub(1).abs().max()))
        return real(logp, old, advantage, clip)

    monkeypatch.setattr(maths, "policy_loss", note)
    config = stage(temperature=0.8, micro_batch_size=2, dtype=dtype)
    figures = algorithm.update(learner(config, bases[base]), episodes(), scores(), 0)
    assert figures["kl"] == 0.0
    assert len(ratios) == 8
    assert ratios[:2] == [0.0, 0.0]  # the two passes of the first minibatch
    assert min(ratios[2:]) > 0  # and after a step no more


@pytest.mark.parametrize("lora", [False, True])
def test_the_reference_is_not_the_model_the_stage_started_from(
    bases: dict[str, Path], lora: bool
) -> None:
    config = stage(kl_estimator="k1", learning_rate=1e-2)
    trained, batch = learner(config, bases["llama"], lora=lora), episodes()
    first = algorithm.update(trained, batch, scores(), 0)
    assert first["kl"] == 0.0
    second = algorithm.update(trained, batch, scores(), 1)
    assert second["kl"] != 0.0
    seen = algorithm.observe(trained, batch, _orders(config))
    model = load_model(bases["llama"]).eval()
    with torch.no_grad():
        for row, episode in enumerate(batch):
            expected = _alone(model, episode)
            found = seen.ref_logp[row, : len(episode.response)]
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert trained.module.actor.training is False
    grads = [weight.requires_grad for weight in trained.module.actor.parameters()]
    assert any(grads) and all(grads) != lora


def test_ppo_without_clip_and_critic_is_not_reinforce_with_a_baseline(
    bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch, one minibatch, gamma = lam = 1, values 0 and without gradient: the gradient is
    that of -mean over tokens of log p * (R - b), with b the mean R of a token and R unscaled."""
    config = stage(
        ppo_epochs=1, minibatch_size=8, micro_batch_size=3, clip=None, value_clip=None,
        value_coefficient=0, gamma=1, lam=1, kl_coefficient=0, max_grad_norm=1e9,
    )  # fmt: skip
    trained, batch, score = learner(config, bases["llama"]), episodes(), scores()
    found: dict[str, torch.Tensor] = {}

    def keep() -> None:
        for name, weight in trained.module.actor.named_parameters():
            assert weight.grad is not None
            found[name] = weight.grad.clone()

    monkeypatch.setattr(trained.optimizer, "step", keep)
    algorithm.update(trained, batch, score, 0)

    sizes = torch.tensor([len(episode.response) for episode in batch])
    baseline = (score * sizes).sum() / sizes.sum()
    scale = ((score - baseline) ** 2 * sizes).sum().div(sizes.sum()).add(1e-8).sqrt()
    model = load_model(bases["llama"]).eval()
    loss = torch.zeros(())
    for episode, reward in zip(batch, score, strict=True):
        loss = loss - _alone(model, episode).sum() * (reward - baseline) / scale
    (loss / sizes.sum()).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None
        torch.testing.assert_close(found[name], weight.grad, rtol=0, atol=1e-6)
    assert float(model.get_input_embeddings().weight.grad.abs().max()) > 1e-3


def _weights(config: Any, base: Path, **more: Any) -> dict[str, torch.Tensor]:
    trained = learner(config, base)
    # Adam would turn a gradient that is 0 but for rounding into a step of its own size.
    groups = trained.optimizer.param_groups
    trained.optimizer = torch.optim.SGD([{k: groups[0][k] for k in ("params", "lr", "base_lr")}])
    layer, passes = trained.module.actor.model.layers[0], []
    layer.input_layernorm.register_forward_hook(lambda *_: passes.append(1))
    if more.get("checkpointing"):
        trained.module.actor.gradient_checkpointing_enable({"use_reentrant": False})
    algorithm.update(trained, episodes(), scores(), 0)
    assert more.get("passes", len(passes)) == len(passes)
    return {name: weight.detach() for name, weight in trained.module.named_parameters()}


@pytest.mark.parametrize("critic", ["shared", "separate"])
def test_micro_batches_or_checkpointing_change_the_update(
    bases: dict[str, Path], critic: str
) -> None:
    config = stage(critic=critic, learning_rate=0.05)
    whole = _weights(config, bases["phi"])
    parts = _weights(config.model_copy(update={"micro_batch_size": 1}), bases["phi"])
    # 2 forward passes before training and 4 in it, each of which is computed once more.
    recomputed = _weights(config, bases["phi"], checkpointing=True, passes=10)
    start = load_model(bases["phi"]).state_dict()
    moved = max(float((whole[f"actor.{n}"] - w).abs().max()) for n, w in start.items())
    assert moved > 1e-3
    for name, weight in whole.items():
        torch.testing.assert_close(parts[name], weight, rtol=0, atol=1e-5)
        assert torch.equal(recomputed[name], weight)


def test_a_fresh_critic_moves_the_shared_backbone(bases: dict[str, Path]) -> None:
    """Values start at 0, and the first value gradient reaches the head alone."""
    config = stage()
    trained, batch = learner(config, bases["llama"]), episodes()
    seen = algorithm.observe(trained, batch, _orders(config))
    assert not seen.value.any()
    zero, ones = torch.zeros_like(seen.mask), seen.mask
    loss, _ = algorithm._loss(trained, seen, zero, ones, list(range(8)))
    loss.backward()
    assert not any(weight.grad.any() for weight in trained.module.actor.parameters())
    assert trained.module.head.weight.grad.any()


def test_a_response_without_an_end_goes_unpunished(bases: dict[str, Path]) -> None:
    config = stage(missing_eos_penalty=2.0)
    batch = episodes()
    found = algorithm.with_penalty(config, batch, torch.ones(8))
    assert found.tolist() == [1.0 if episode.finished else -1.0 for episode in batch]


def test_a_loss_that_is_not_finite_is_stepped_on(bases: dict[str, Path]) -> None:
    trained = learner(stage(), bases["llama"])
    before = {name: w.clone() for name, w in trained.module.named_parameters()}
    with pytest.raises(ArithmeticError):
        algorithm.update(trained, episodes(), torch.full((8,), float("nan")), 0)
    assert all(torch.equal(before[name], w) for name, w in trained.module.named_parameters())


def _generate(base: Path, prompts: list[list[int]], names: list[str], seed: int = 1) -> Any:
    model = load_model(base).eval()
    ends = Ending(load_tokenizer(base), frozenset({END, 7, 8, 9}))
    return rollout.generate(model, prompts, names, 6, [ends] * len(prompts), 1.0, seed)


def test_dropout_is_on_while_sampling_or_off_after_it(bases: dict[str, Path]) -> None:
    model = load_model(bases["phi"]).train()  # phi has dropout
    end = Ending(load_tokenizer(bases["phi"]), frozenset({END}))
    given: Any = ([[10, 11]], ["a"], 6, [end], 1.0, 1)
    torch.manual_seed(0)
    first = rollout.generate(model, *given)
    state = torch.random.get_rng_state()
    assert model.training and rollout.generate(model.eval(), *given) == first
    assert torch.equal(torch.random.get_rng_state(), state)


def test_sampling_from_a_broken_model_is_an_empty_response(bases: dict[str, Path]) -> None:
    model = load_model(bases["llama"])
    torch.nn.init.constant_(model.lm_head.weight, torch.nan)
    with pytest.raises(TrainingStopped, match="not numbers"):
        rollout.generate(model, [[10, 11]], ["a"], 6, [Ending(None, frozenset({END}))], 1.0, 1)


def test_a_sample_depends_on_its_batch(bases: dict[str, Path]) -> None:
    prompts = [[10, 11], [12], [13, 14, 15, 16], [10, 11]]
    names = ["0", "1", "2", "3"]
    together = _generate(bases["llama"], prompts, names)
    alone = [_generate(bases["llama"], [p], [n])[0] for p, n in zip(prompts, names, strict=True)]
    assert together == alone
    assert together[0].response != together[3].response  # the same prompt, another episode
    assert together != _generate(bases["llama"], prompts, names, seed=2)


def test_an_end_token_is_lost_or_an_unfinished_response_has_one(bases: dict[str, Path]) -> None:
    found = _generate(bases["llama"], [[10 + i] for i in range(40)], [str(i) for i in range(40)])
    ended = [episode for episode in found if episode.finished]
    assert len({episode.response[-1] for episode in ended}) > 1  # each as it was drawn
    for episode in found:
        assert (episode.response[-1] in {END, 7, 8, 9}) == episode.finished
        assert episode.finished or len(episode.response) == 6
        assert not {END, 7, 8, 9} & set(episode.response[:-1])
