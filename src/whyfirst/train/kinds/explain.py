"""Stage kind `explain`: next-token training on whole documents, with a share of replay rows.

Leaves out: writing the documents (`whyfirst.explain`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from whyfirst.config.strict import affects_output
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows


class ExplainStage(Stage):
    """Next-token training on whole documents, with a share of replay rows in each batch."""

    kind: Literal["explain"] = affects_output(default="explain", description="which kind of stage")
    replay: float = affects_output(
        default=0.0, ge=0, lt=1, description="share of each batch's rows drawn from replay"
    )
    doc_tag: str | None = affects_output(
        default=None, description="text put before each document and not trained on"
    )
    packing: bool = affects_output(
        default=False, description="a row is max_length tokens of whole documents, not one document"
    )


def _encode(config: ExplainStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
    examples = []
    for name, (rows, path) in files.items():
        tag = config.doc_tag if name == "documents" else None
        texts = encode.texts(rows, path)
        examples += encode.documents(tokenizer, texts, tag, config.max_length, name)
    return encode.Encoded(files, ("text",), examples)


def _check(config: ExplainStage, name: str, rows: Rows, path: Path) -> None:
    encode.texts(rows, path)


def _reads(config: ExplainStage) -> Mapping[str, str]:
    return {"documents": "rows", "replay": "rows"} if config.replay else {"documents": "rows"}


def _cost(config: ExplainStage) -> Cost:
    return Cost(config.batch_size * (1.0 - config.replay), pass_rows(config))


def _train(job: Job) -> tuple[Trained, dict[str, Any]]:
    from whyfirst.train.offline import train_offline
    from whyfirst.train.trainer import token_trainer

    return train_offline(job, token_trainer)


@KINDS.enter("explain", version="1")
def explain() -> StageKind:
    """Next-token training on whole documents, with a share of replay rows in each batch."""
    return StageKind(ExplainStage, _reads, _check, _train, _cost, seconds=6.0, encode=_encode)
