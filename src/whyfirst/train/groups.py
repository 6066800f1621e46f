"""RLOO and GRPO on TRL's trainers: what they sample, the reward they call, and their log in this
project's words.

Responses are written by the engine (`ppo/rollout`): each draw depends on the seed, the update and
the response's place alone, a prompt is read once for its whole group, and rows that end make
place. Leaves out: the prompts, rewards and guards (`online`).
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from transformers import set_seed

from whyfirst.config.errors import TrainingStopped
from whyfirst.train import checkpoint, trainer, weights
from whyfirst.train.guards import measure
from whyfirst.train.job import OnlineJob, Trained
from whyfirst.train.ppo.rollout import generate, positions
from whyfirst.train.watch import GrowingLog, Watch, counted

if TYPE_CHECKING:
    from whyfirst.train.kinds.group import GRPOStage, RLOOStage

# What the trainers log -> what log.jsonl calls it.
_LOGGED = {
    "loss": "loss",
    "learning_rate": "lr",
    "grad_norm": "grad_norm",
    "entropy": "entropy",
    "clip_ratio/region_mean": "clipped",
}


def train_groups(online: OnlineJob) -> Trained:
    """Train, save `model/`, and return the log: one row an update.

    The reference is the model the stage starts from: with whole weights a second copy; with an
    adapter the model without it, or, where the adapter is continued, with its first state.

    One generation is one update's batch (`iterations` updates use it), so a checkpoint that falls
    on a multiple of `iterations` needs no buffer of responses, which TRL would not save.
    """
    import trl

    job, config = online.job, cast("RLOOStage | GRPOStage", online.config)
    updates = config.updates or len(online.plan.updates) * config.iterations
    trainer.quiet_libraries()
    found = checkpoint.newest_complete(job.out_dir / "checkpoints", job.manifest)
    set_seed(job.seed)
    # Or the first ratio and the first KL would be noise.
    start = weights.load_start(config, job.model_dir, dropout=False)
    scorer, growing = _Scorer(online, config.group_size), GrowingLog(job.out_dir)

    def measured(model: Any, update: int) -> dict[str, float]:
        figures = scorer.take()
        if online.gold is not None and online.gold.due(update, updates):
            try:
                figures |= online.gold.measure(model)
            except TrainingStopped as error:
                online.guards.stop(f"gold: {error}")
        return figures

    def grew(history: Sequence[Mapping[str, Any]]) -> None:
        rows = _rows(history)
        growing.show(counted(rows))
        online.guards.check(rows)

    watch = Watch(job, found[1] if found else 0, grew, measured, every=config.iterations)
    more: dict[str, Any] = {
        "num_generations": config.group_size,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "beta": config.beta,
        "num_iterations": config.iterations,
        "epsilon": config.clip,
        "shuffle_dataset": False,  # the plan has an order
        "disable_dropout": True,
        "log_completions": False,
    }
    # Two trainers with the same arguments; grpo has two more.
    kinds: Any = (trl.RLOOConfig, trl.RLOOTrainer)
    if config.kind == "grpo":
        more |= {"loss_type": config.loss_type, "scale_rewards": config.scale_rewards}
        kinds = (trl.GRPOConfig, trl.GRPOTrainer)
    arguments = trainer.arguments(
        kinds[0], job, updates, *trainer.even(config), config.iterations, logging_steps=1, **more
    )
    made = kinds[1](
        **trainer.common(job, start, arguments, watch),
        reward_funcs=[scorer],
        train_dataset=trainer.placeholder({"prompt": "", "row": 0}),
    )
    for model in (made.model, getattr(made, "ref_model", None)):
        if model is not None:
            _place(model)
    texts, tokens = online.prompts.texts, online.prompts.ids
    # A row is told by its number: two rows may have one prompt, and other columns.
    made.train_dataset = [
        {"prompt": texts[row], "row": row} for update in online.plan.updates for (row,) in update
    ]
    # Tokenised as everywhere else: TRL would add special tokens to a prompt a template has made.
    known = dict(zip(texts, tokens, strict=True))
    made._tokenize_prompts = lambda prompts: ([known[text] for text in prompts], None, {})
    made._generate_single_turn = _sampled(online, made)
    trainer.quiet(made, job).train(resume_from_checkpoint=str(found[0]) if found else None)
    weights.save_model(made.model, job.tokenizer, job.out_dir / "model", config.lora)
    return Trained(_rows(made.state.log_history), "padded")


def _place(model: Any) -> None:
    """Have a model with absolute positions count them from the first token of a row.

    The trainer pads prompts on the left and tells no positions, so that such a model (GPT-2) would
    count the padding too. Rotations depend on distances alone and are left as they are.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    takes = "position_ids" in inspect.signature(inner.forward).parameters
    if not takes or any("rotary" in name for name, _ in inner.named_modules()):
        return

    def place(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        mask_B_L, ids_B_L = named.get("attention_mask"), named.get("input_ids")
        if mask_B_L is None or ids_B_L is None or named.get("position_ids") is not None:
            return None
        # Of a row that goes on behind a cache the ids are fewer; the engine tells its positions.
        if mask_B_L.shape == ids_B_L.shape:
            named["position_ids"] = positions(mask_B_L)
        return given, named

    inner.register_forward_pre_hook(place, with_kwargs=True)


def _sampled(online: OnlineJob, made: Any) -> Callable[..., Any]:
    """What takes the place of the trainer's own sampling: the tokens of a batch of responses."""
    job, config = online.job, online.config
    endings = dict(zip(map(tuple, online.prompts.ids), online.endings, strict=True))

    def sampled(prompt_ids: list[list[int]], *_: Any) -> Any:
        update = made.state.global_step
        names = [f"{config.kind}/{update}/{place}" for place in range(len(prompt_ids))]
        limit, temperature = config.max_new_tokens, config.temperature
        try:
            ends = [endings[tuple(ids)] for ids in prompt_ids]
            written = generate(made.model, prompt_ids, names, limit, ends, temperature, job.seed)
        except TrainingStopped as error:
            online.guards.stop(str(error))
        ids = [episode.response for episode in written]
        # GRPO's also returns the log-probabilities of another program's draws: there are none.
        return (ids, None) if config.kind == "grpo" else ids

    return sampled


class _Scorer:
    """The trainers' one reward function: the weighted sum, and what is measured on the way."""

    __name__ = "rewards"

    def __init__(self, online: OnlineJob, group_size: int) -> None:
        self._online, self._size = online, group_size
        self._figures: dict[str, float] = {}

    def __call__(
        self,
        completion_ids: list[list[int]],
        row: list[int],
        **_: Any,
    ) -> list[float]:
        """Score one generation; `row` are indices into the prompts."""
        online = self._online
        # The trainer decodes a response alone, and so without the space before its first word.
        endings = [online.endings[number] for number in row]
        prompts = [online.prompts.ids[number] for number in row]
        completions = [
            end.said(before, ids)
            for end, before, ids in zip(endings, prompts, completion_ids, strict=True)
        ]
        finished = [end.ends(ids) for end, ids in zip(endings, completion_ids, strict=True)]
        try:
            scores = online.rewards(row, completions, completion_ids, finished)
        except TrainingStopped as error:
            online.guards.stop(str(error))
        self._figures = {
            **measure(scores, completion_ids, finished, self._size),
            "prompt_tokens": sum(len(online.prompts.ids[number]) for number in row),
            "response_tokens": sum(map(len, completion_ids)),
        }
        return scores.total

    def take(self) -> dict[str, float]:
        """The figures of the newest generation, once."""
        # Once: the further updates of the same generation would log it again.
        figures, self._figures = self._figures, {}
        return figures


def _rows(history: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The trainer's log as rows of log.jsonl, one an update."""
    rows: list[dict[str, Any]] = []
    measured: dict[str, Any] = {}
    length = 0.0
    for entry in history:
        if "loss" not in entry:
            # Measured at the end of an update, before the trainer logs it.
            measured |= {key: value for key, value in entry.items() if key != "step"}
            continue
        row: dict[str, Any] = {"step": int(entry["step"])}
        row |= {ours: float(entry[theirs]) for theirs, ours in _LOGGED.items() if theirs in entry}
        row |= measured
        # With several updates of one generation only the first is measured.
        length = measured.get("length", length)
        if entry.get("kl") is not None:
            # The trainers log a mean over tokens; times tokens a response, nats a response.
            row["kl"] = float(entry["kl"]) * length
        measured = {}
        rows.append(row)
    return rows
