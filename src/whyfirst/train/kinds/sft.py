"""Stage kind `sft`: training on demonstrations.

Leaves out: preferences between responses (`prefer`).
"""

from pathlib import Path
from typing import Any, Literal

from whyfirst.config.strict import affects_output
from whyfirst.train import encode
from whyfirst.train.config_base import Stage, added_later
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows

_COLUMNS = ("prompt", "completion")


class SFTStage(Stage):
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""

    kind: Literal["sft"] = affects_output(default="sft", description="which kind of stage")
    turns: Literal["last", "all"] = added_later(
        "last", description="of `messages` rows: the assistant's last turn, or each of its turns"
    )


def _encode(config: SFTStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
    [(name, (rows, path))] = files.items()
    return encode.Encoded(
        files, _COLUMNS, encode.demonstrations(config, tokenizer, rows, path, name)
    )


def _check(config: SFTStage, name: str, rows: Rows, path: Path) -> None:
    encode.check_responses(rows, _COLUMNS, path)


def _train(job: Job) -> tuple[Trained, dict[str, Any]]:
    from whyfirst.train.offline import train_offline
    from whyfirst.train.trainer import token_trainer

    return train_offline(job, token_trainer)


@KINDS.enter("sft", version="1")
def sft() -> StageKind:
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""
    return StageKind(
        SFTStage,
        reads=lambda config: {"demonstrations": "rows"},
        check=_check,
        train=_train,
        cost=lambda config: Cost(config.batch_size, pass_rows(config)),
        seconds=4.0,
        encode=_encode,
    )
