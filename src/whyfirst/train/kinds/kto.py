"""Stage kind `kto`: Kahneman-Tversky optimisation of unpaired responses, on TRL's trainer.

Each row also gets the response before it in its forward pass: prompts with another row's response
estimate the KL to the start model (Ethayarajh et al. 2024, section 4.1). The reference is the model
the stage starts from. Leaves out: a KL estimate over more than one forward pass.
"""

from pathlib import Path
from typing import Any, Literal

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.strict import affects_output
from whyfirst.data.rows import numbered
from whyfirst.train import encode
from whyfirst.train.config_base import Stage, added_later
from whyfirst.train.job import Job, Run, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows

_COLUMNS = ("prompt", "completion")


class KTOStage(Stage):
    """Kahneman-Tversky optimisation on unpaired responses (Ethayarajh et al. 2024)."""

    kind: Literal["kto"] = affects_output("kto", description="which kind of stage")
    learning_rate: float = affects_output(1e-6, gt=0, description="at its highest")
    beta: float = affects_output(
        0.1, gt=0, description="weight of the reference: higher stays nearer to it"
    )
    desirable_weight: float = affects_output(
        1.0, gt=0, description="of good completions in the loss"
    )
    undesirable_weight: float = affects_output(
        1.0, gt=0, description="of bad completions in the loss"
    )
    processes: int = added_later(
        1, ge=1, description="its KL term is a mean over them: another number is another training"
    )


def _trainer(run: Run) -> tuple[Any, str]:
    from trl import KTOConfig, KTOTrainer
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    from whyfirst.train import trainer, weights

    config = run.job.config
    assert isinstance(config, KTOStage)
    # The same number of rows in each: the KL estimate is a mean over one pass.
    passes, micro = trainer.even(config)
    if micro < 2:
        raise ConfigError(
            "kto: a forward pass of one row has no other row's response to estimate the KL from; "
            "set micro_batch_size to at least 2"
        )
    arguments = trainer.arguments(
        KTOConfig, run.job, len(run.plan.updates), passes, micro,
        beta=config.beta, max_length=config.max_length,
        desirable_weight=config.desirable_weight, undesirable_weight=config.undesirable_weight,
    )  # fmt: skip
    # TRL looks for both labels in the data set it is given.
    rows = [{"prompt": "", "completion": "", "label": label} for label in (True, False)]
    made = KTOTrainer(
        **trainer.common(run.job, run.start, arguments, run.watch),
        # With an adapter the reference is the model without it, or with its first state.
        ref_model=None if config.lora is not None else weights.load_model(run.job.model_dir),
        train_dataset=trainer.placeholder(*rows),
        data_collator=DataCollatorForUnpairedPreference(
            pad_token_id=run.job.tokenizer.pad_token_id, max_length=config.max_length
        ),
    )
    order, labels = run.plan.order, [row["label"] for row in run.encoded.main[0]]
    made.train_dataset = []
    for at, index in enumerate(order):
        # Within one forward pass: the rows of the next are another batch of the estimate.
        first = at - at % micro
        before = run.encoded.examples[order[first + (at - first - 1) % micro]]
        example = run.encoded.examples[index]
        made.train_dataset.append({
            "prompt_ids": example.ids[: example.masked],
            "completion_ids": example.ids[example.masked :],
            "KL_completion_ids": before.ids[before.masked :],
            "label": labels[index],
        })  # fmt: skip
    return made, "padded"


@KINDS.enter("kto", version="1", paper="Ethayarajh et al. 2024, arXiv 2402.01306")
def kto() -> StageKind:
    """Kahneman-Tversky optimisation on unpaired responses."""

    def check(config: KTOStage, name: str, rows: Rows, path: Path) -> None:
        encode.check_responses(rows, _COLUMNS, path)
        for number, row in numbered(rows):
            if not isinstance(row.get("label"), bool):
                raise DataError(
                    f"{path}: row {number}: 'label' must be true (desirable) or false; found "
                    f"{row.get('label')!r}"
                )

    def encoded(config: KTOStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
        [(name, (rows, path))] = files.items()
        examples = encode.demonstrations(config, tokenizer, rows, path, name)
        return encode.Encoded(files, _COLUMNS, examples)

    def train(job: Job) -> tuple[Trained, dict[str, Any]]:
        from whyfirst.train.offline import train_offline

        return train_offline(job, _trainer)

    return StageKind(
        KTOStage,
        reads=lambda config: {"responses": "rows"},
        check=check,
        train=train,
        # Forward alone: the reference, and both models on mismatched pairs.
        cost=lambda config: Cost(config.batch_size, pass_rows(config), forward=3.0, references=1),
        seconds=25.0,
        encode=encoded,
    )
