"""Stage kind `sft`: training on demonstrations.

Leaves out: preferences between responses (`prefer`).
"""

from typing import Any, Literal

from whyfirst.config.strict import added_later, affects_output
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.kinds import KINDS, Cost, StageKind, pass_rows
from whyfirst.train.kinds.explain import train_tokens

_COLUMNS = ("prompt", "completion")


class SFTStage(Stage):
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""

    kind: Literal["sft"] = affects_output("sft", description="which kind of stage")
    turns: Literal["last", "all"] = added_later(
        "last", description="of `messages` rows: the assistant's last turn, or each of its turns"
    )


@KINDS.enter("sft", version="1")
def sft() -> StageKind:
    """Training on demonstrations: the loss is on the completion and its end-of-text token."""

    def encoded(config: SFTStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
        [(name, (rows, path))] = files.items()
        examples = encode.demonstrations(config, tokenizer, rows, path, name)
        return encode.Encoded(files, _COLUMNS, examples)

    return StageKind(
        SFTStage,
        reads=lambda config: {"demonstrations": "rows"},
        check=lambda config, name, rows, path: encode.check_responses(rows, _COLUMNS, path),
        train=train_tokens,
        cost=lambda config: Cost(config.batch_size, pass_rows(config)),
        row_seconds=1.2e-3,
        encode=encoded,
    )
