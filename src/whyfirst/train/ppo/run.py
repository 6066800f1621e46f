"""The PPO stage: models, batches of episodes, guards, checkpoints, one or several processes.

Run under `accelerate launch`, each process writes and scores its share of the episodes and trains
on its share of every minibatch; the global batch, its episodes and its order stay the same.
Leaves out: the algorithm (`algorithm`), what a checkpoint holds (`state`), full sharding (FSDP).

The reference is the model the stage starts from: with `lora` the actor with its adapter switched
off, else a frozen copy. A shared critic is one linear layer on the actor's last hidden states,
starting at 0. A separate critic starts as the reward model, output layer included, where the stage
has one with the actor's tokenizer (Stiennon et al. 2020; Huang et al. 2024), and otherwise as the
actor's backbone with an output layer of 0; it is trained whole, also with `lora`, whose dropout
stays off like all dropout here.
"""

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from transformers import get_scheduler, set_seed

from whyfirst.config.errors import ConfigError, TrainingStopped
from whyfirst.models import adapters
from whyfirst.train import checkpoint, guards, trainer
from whyfirst.train.config_base import LOG_EVERY
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.job import OnlineJob, Trained
from whyfirst.train.ppo import algorithm, rollout, state
from whyfirst.train.ppo.algorithm import ActorCritic, Learner
from whyfirst.train.ppo.maths import KLController
from whyfirst.train.rewards.combine import Scores
from whyfirst.train.track import Tracker
from whyfirst.train.watch import GrowingLog, counted, kept_folder
from whyfirst.train.weights import load_start, save_model

if TYPE_CHECKING:
    from whyfirst.train.kinds.ppo import PPOStage


def run_ppo(online: OnlineJob) -> Trained:
    """Train, save `model/`, and return the log: one row an update.

    Raises:
        ConfigError: minibatches that the processes can't share evenly, or a sharded launch.
        TrainingStopped: a guard, a reward that failed, or numbers that are not finite.
        StoreError: the checkpoints there are another run's.
    """
    job, config = online.job, cast("PPOStage", online.config)
    trainer.quiet_libraries()
    learner = _learner(online, config)
    accelerator = learner.accelerator
    checkpoints = job.out_dir / "checkpoints"
    found = checkpoint.resume_point(checkpoints, job.manifest)
    log = state.load(found[0], learner) if found else []
    tracker = Tracker(job)
    tracker.begin()
    updates, growing = len(online.plan.updates), GrowingLog(job.out_dir)
    every = LOG_EVERY * -(-config.checkpoint_every // LOG_EVERY)

    def save(folder: Path) -> None:
        save_model(learner.module.actor, job.tokenizer, folder, config.lora)

    for number in range(found[1] if found else 0, updates):
        step = number + 1
        episodes, scores = _play(online, learner, number)
        responses = [episode.response for episode in episodes]
        log.append({
            "step": step,
            **guards.measure(scores, responses, [episode.finished for episode in episodes]),
            "prompt_tokens": sum(len(episode.prompt) for episode in episodes),
            "response_tokens": sum(map(len, responses)),
        })  # fmt: skip
        score_B = torch.tensor(scores.total, device=accelerator.device)
        log[-1] |= algorithm.update(learner, episodes, score_B, number)
        online.guards.check(log)
        if online.gold is not None and online.gold.due(step, updates):
            with learner.precision():
                log[-1] |= online.gold.measure(learner.module.actor)
        # After the guards: what they refuse is in no log.
        tracker.log(step, log[-1])
        growing.show(counted(log))
        if accelerator.is_main_process:
            if step in config.keep_at:
                save(kept_folder(job.out_dir, step))
            stop = job.stopping.asked is not None and accelerator.num_processes == 1
            if (stop or step % every == 0) and step < updates:
                state.save(checkpoints, step, learner, log, job.manifest)
                if stop:
                    job.stopping.end()
            job.progress(step, updates, config.kind)
    if accelerator.is_main_process:
        save(job.out_dir / "model")
    tracker.end()
    accelerator.wait_for_everyone()
    return Trained(log, "padded")


def accelerator_of(config: "PPOStage") -> Any:
    """What shares the stage out among its processes.

    Raises:
        ConfigError: as `run_ppo`.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # Another stage of this process may have left its precision behind; as transformers does.
    AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision="no")
    kind = accelerator.distributed_type.value
    if kind not in ("NO", "MULTI_CPU", "MULTI_GPU"):
        raise ConfigError(
            f"ppo runs in one process or in several that each hold the model; this launch is "
            f"{kind}: use an accelerate configuration of MULTI_GPU or MULTI_CPU"
        )
    if config.minibatch_size % accelerator.num_processes:
        raise ConfigError(
            f"ppo: minibatch_size {config.minibatch_size} is no multiple of the "
            f"{accelerator.num_processes} processes; choose one that is"
        )
    return accelerator


def _learner(online: OnlineJob, config: "PPOStage") -> Learner:
    accelerator = accelerator_of(config)
    # A fresh adapter's first half is drawn, and a reward may draw too.
    set_seed(online.job.seed)
    start = load_start(config, online.job.model_dir, dropout=False)
    critic = head = reference = None
    if config.critic == "separate":
        if (found := _reward_critic(online, config)) is not None:
            critic, head = found
        else:
            # The actor's layers without its output layer, an adapter merged into them.
            copied = copy.deepcopy(start.model)
            adapted = hasattr(copied, "get_base_model")
            critic = (adapters.merge(copied, "the actor") if adapted else copied).base_model
        critic.float().requires_grad_(True)
    if start.peft is None:  # else the reference is the actor without its adapter
        reference = copy.deepcopy(start.model).eval().requires_grad_(False).to(accelerator.device)
    module = ActorCritic(start.adapted(), critic, head)
    if config.gradient_checkpointing:
        for model in (module.actor, module.critic):
            if model is not None:
                model.gradient_checkpointing_enable({"use_reentrant": False})
    policy = accelerator.prepare_model(module.to(accelerator.device))
    optimizer, updates = _optimizer(config, module), len(online.plan.updates)
    rates = get_scheduler(trainer.schedule(config), optimizer, config.warmup_updates, updates)

    def bad(value: float, update: int) -> None:
        online.guards.stop(
            f"the loss or its gradient is {value} at update {update}; lower learning_rate "
            f"({config.learning_rate:g}), add warmup_updates, or look at the rewards"
        )

    return Learner(
        config=config,
        accelerator=accelerator,
        policy=policy,
        module=module,
        reference=reference,
        optimizer=optimizer,
        controller=KLController(config.kl_coefficient, config.kl_target, config.kl_horizon),
        pad_id=online.job.tokenizer.pad_token_id,
        seed=online.job.seed,
        rate=rates.lr_lambdas[0],
        bad=bad,
    )


def _reward_critic(online: OnlineJob, config: "PPOStage") -> tuple[Any, torch.nn.Linear] | None:
    """The stage's reward model as backbone and output layer, if it reads the actor's tokens."""
    from whyfirst.train.rewards.model import load

    for use in config.rewards:
        if use.name == REWARD_MODEL:
            folder = use.path or online.job.data[REWARD_MODEL]
            model, tokenizer = load(str(folder))
            score = getattr(model, "score", None)  # what all but a few architectures call it
            # A critic values the actor's states: it must read the same tokens, but for what it is
            # padded with itself.
            padding = {tokenizer.pad_token: tokenizer.pad_token_id}
            same = tokenizer.get_vocab() == online.job.tokenizer.get_vocab() | padding
            if not (same and isinstance(score, torch.nn.Linear)):
                continue
            head = torch.nn.Linear(score.in_features, 1)
            torch.nn.init.zeros_(head.bias)
            head.weight.data.copy_(score.weight)
            return copy.deepcopy(model.base_model), head
    return None


def _optimizer(config: "PPOStage", module: ActorCritic) -> torch.optim.Optimizer:
    """AdamW over what is trained: actor and critic at their rates, decay on matrices alone."""
    # Decay on matrices alone, as usual: on gains and biases it pulls towards nothing meant.
    critic_rate = config.critic_learning_rate or config.learning_rate
    groups = []
    for is_actor, rate in ((True, config.learning_rate), (False, critic_rate)):
        for is_matrix, decay in ((True, config.weight_decay), (False, 0.0)):
            weights = [
                weight
                for name, weight in module.named_parameters()
                if weight.requires_grad
                and name.startswith("actor.") == is_actor
                and (weight.ndim > 1) == is_matrix
            ]
            if weights:
                groups.append(
                    {"params": weights, "lr": rate, "base_lr": rate, "weight_decay": decay}
                )
    return torch.optim.AdamW(groups, fused=True)


def _play(online: OnlineJob, learner: Learner, number: int) -> tuple[list[rollout.Episode], Scores]:
    """The batch's episodes and their rewards, each process doing its share, the same in all."""
    from accelerate.utils import gather_object

    job, config, accelerator = online.job, learner.config, learner.accelerator
    places = range(accelerator.process_index, config.batch_size, accelerator.num_processes)
    rows = [online.plan.updates[number][place][0] for place in places]
    try:
        with learner.precision():
            mine = rollout.generate(
                learner.module.actor,
                [online.prompts.ids[row] for row in rows],
                # By its place in the whole batch: as many processes as may be write the same.
                [f"ppo/{number}/{place}" for place in places],
                config.max_new_tokens,
                [online.endings[row] for row in rows],
                config.temperature,
                job.seed,
            )
        responses = [episode.response for episode in mine]
        texts = [episode.text for episode in mine]
        scores = online.rewards(rows, texts, responses, [episode.finished for episode in mine])
    except TrainingStopped as error:
        online.guards.stop(str(error))
    parts = [[row[at] for row in scores.parts.values()] for at in range(len(mine))]
    share = list(zip(places, mine, scores.total, scores.level, parts, strict=True))
    # By place: the batch is the same, in the same order, in every process.
    everyone = sorted(gather_object(share), key=lambda one: one[0])
    _, episodes, total, level, parts = map(list, zip(*everyone, strict=True))
    named = {name: [row[at] for row in parts] for at, name in enumerate(scores.parts)}
    return episodes, Scores(total, named, level)
