"""The trainer of an objective: transformers' Trainer on scores of given responses.

The loss of an update is the mean of the objective over all its rows, however they are cut into
forward passes and processes. Leaves out: how scores are computed (`scores`).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from accelerate.utils import gather_object
from torch import Tensor
from transformers import Trainer, TrainingArguments

from whyfirst.config.errors import ConfigError, TrainingStopped
from whyfirst.config.files import sha256_json
from whyfirst.config.room import Use
from whyfirst.train import processes, trainer
from whyfirst.train.heads import Heads, Scored, put_heads, put_score
from whyfirst.train.job import Job, Run
from whyfirst.train.loss import Selection, packing_is_exact, select_positions
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.scores import Collator, ReferenceScores, scores_of
from whyfirst.train.weights import load_tokenizer

KEPT = "references.safetensors"


def check_references(job: Job, folders: Sequence[Path]) -> None:
    """Refuse further references that read other tokens than the model that is trained.

    They are given its token ids, and to another vocabulary those are another text.

    Raises:
        ConfigError: names the reference and a token on which the two vocabularies differ.
        UserError: a folder has no tokenizer that can be read.
    """
    ours = job.tokenizer.get_vocab()
    for folder in folders:
        tokenizer = load_tokenizer(folder)
        theirs = tokenizer.get_vocab()
        # What only pads is in no text.
        padding = {job.tokenizer.pad_token, tokenizer.pad_token}
        tokens = sorted({*ours, *theirs} - padding)
        if differing := next((t for t in tokens if ours.get(t) != theirs.get(t)), None):
            raise ConfigError(
                f"{job.config.kind}: references: {folder} reads other tokens than {job.model_dir}: "
                f"{differing!r:.60} is {theirs.get(differing)} there and {ours.get(differing)} "
                "here; give a model with the same vocabulary"
            )


def objective_trainer(run: Run, objective: Use, folders: Sequence[Path]) -> tuple[Any, str]:
    """A Trainer that minimises an objective, and the layout chosen ("packed", "padded").

    Args:
        folders: of references beside the model the stage starts from.
    """
    job, config = run.job, run.job.config
    # What an objective needs it says itself: how many frozen models, which columns.
    entry = OBJECTIVES.get(objective.name)
    frozen = entry.facts.get("references", 1)
    passes = trainer.forward_passes(config)
    model = trainer.whole_model(run)
    packed = packing_is_exact(model, job.tokenizer.pad_token_id)
    heads: Heads | Scored | None = put_score(model) if entry.facts.get("scored") else None
    if entry.facts.get("many_heads"):
        given: Any = OBJECTIVES.filled(objective)
        heads = put_heads(model, given.heads, given.noise, job.seed)
    slots = run.plan.slots(passes * processes.count())
    collator = Collator(
        run.encoded.candidates, {}, entry.facts.get("columns", {}), config.max_length,
        job.tokenizer.pad_token_id, packed, entry.facts.get("prompt_scored", False),
    )  # fmt: skip
    selection = select_positions(model)
    if heads is not None:
        heads.selection = selection
    loss = ObjectiveLoss(
        run, OBJECTIVES.make(objective), selection, compared=frozen > 0,
        ranks_by=entry.facts.get("ranks_by", ("sum", None)),
    )  # fmt: skip
    made = _Trainer(
        model=model,
        args=trainer.arguments(TrainingArguments, job, len(run.plan.updates), passes, 1),
        train_dataset=slots,
        data_collator=lambda items: collator(items[0]),
        compute_loss_func=loss,
        callbacks=[run.watch],
    )
    # Assigned afterwards: the Trainer's own constructor takes no more arguments.
    made.figures = loss.take
    if frozen:
        # By length, so that little is padded; each row once, however often it is trained on.
        seen = sorted(
            {i for slot in slots for i in slot}, key=lambda i: max(collator.rows[i].lengths)
        )
        size = max(map(len, slots))
        made.add_callback(ReferenceScores(
            collator, selection, [seen[i : i + size] for i in range(0, len(seen), size)], folders,
            job.out_dir / "checkpoints" / KEPT, sha256_json(job.manifest),
            # Their own context is empty where accelerate wraps the forward of what is trained.
            made.accelerator.autocast,
        ))  # fmt: skip
    return made, "packed" if packed else "padded"


class ObjectiveLoss:
    """A Trainer's `compute_loss_func`, and what it measures on the way.

    Args:
        objective: from scores to a loss a row, (B,).
        compared: whether the first reference is the model the stage starts from; its first
            log-ratios must then be 0.
        ranks_by: the score by which responses are in order (`OBJECTIVES`).
    """

    def __init__(
        self, run: Run, objective: Callable[[SequenceScores], Tensor], selection: Selection,
        *, compared: bool, ranks_by: tuple[str, str | None],
    ) -> None:  # fmt: skip
        self._run, self._objective, self._selection = run, objective, selection
        lora = run.job.config.lora
        # An adapter with dropout computes something else at its first step already.
        self._compared = compared and not (lora and lora.dropout)
        over, scale = ranks_by
        self._by_token = over == "mean"
        self._scale = 1.0 if scale is None else getattr(objective, "keywords", {})[scale]
        self._seen: list[tuple[int, float, float]] = []

    def __call__(self, outputs: Any, labels: Tensor, **_: Any) -> Tensor:
        """The share of one forward pass in the mean over the update's rows, ()."""
        about = self._selection.about
        scores = scores_of(self._selection.logits(outputs["logits"]), labels, about)
        job, value = self._run.job, scores.sequence_logp.detach()
        if scores.references:
            value = scores.log_ratio().detach()
        elif scores.rewards is not None:
            value = scores.rewards.detach()
        if self._compared and self._run.watch.step == 0:
            # Policy and reference begin as one model, or the reference is another's.
            rounding = 1e-3 if job.config.dtype == "float32" else 3e-2
            apart = value.abs() - rounding * scores.sequence_logp.detach().abs().clamp(min=1)
            if bool((apart > 0).any()):
                raise TrainingStopped(
                    f"{job.config.kind}: the first log-ratios are up to "
                    f"{float(value.abs().max()):.4f} nats and must be 0: the reference is not the "
                    "model this stage starts from"
                )
        # A share of the update's mean; the Trainer multiplies by the processes it averages over.
        try:
            loss = self._objective(scores).sum() / job.config.batch_size
        except ValueError as error:  # rows it can't use, in words for whoever wrote them
            raise TrainingStopped(f"{job.config.kind}: {error}") from error
        if not math.isfinite(found := float(loss.detach())):
            self._run.watch.bad_loss(found)
        better = scores.better
        if bool(better.any()):  # else single responses, or none with a label
            if self._by_token and scores.rewards is None:
                value = value / scores.lengths.clamp(min=1)
            gap = (value[:, :, None] - value[:, None]) * better
            pairs = better.sum((1, 2)).clamp(min=1)
            right = ((gap > 0).sum((1, 2)) / pairs).sum()
            margin = self._scale * (gap.sum((1, 2)) / pairs).sum()
            self._seen.append((len(pairs), float(right), float(margin)))
        return loss

    def take(self) -> Mapping[str, float]:
        """Means since the last call over the pairs of a prompt's responses that labels tell apart.

        `accuracy`: share of them in the labels' order by the score the objective ranks by;
        `margin`: the better one's score less the other's.
        """
        seen = gather_object(self._seen)
        rows = sum(n for n, _, _ in seen)
        found = {
            name: sum(row[at] for row in seen) / rows
            for at, name in ((1, "accuracy"), (2, "margin"))
            if rows
        }
        self._seen = []
        return found


class _Trainer(Trainer):  # type: ignore[misc]
    """Adds an objective's figures to the log."""

    figures: Callable[[], Mapping[str, float]]

    def log(self, logs: dict[str, float], *rest: Any) -> None:
        # Other rows of the log (the run's summary) come after the last figures were taken.
        super().log({**logs, **self.figures()} if "loss" in logs else logs, *rest)
