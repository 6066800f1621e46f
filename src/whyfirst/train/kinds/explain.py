"""Stage kind `explain`: next-token training on whole documents, with a share of replay rows.

Leaves out: writing the documents (`whyfirst.explain`).
"""

from pathlib import Path
from typing import Any, Literal

from whyfirst.config.strict import affects_output
from whyfirst.train import encode
from whyfirst.train.config_base import Stage
from whyfirst.train.job import Job, Trained
from whyfirst.train.kinds import KINDS, Cost, Rows, StageKind, pass_rows


class ExplainStage(Stage):
    """Next-token training on whole documents, with a share of replay rows in each batch."""

    kind: Literal["explain"] = affects_output("explain", description="which kind of stage")
    replay: float = affects_output(
        0.0, ge=0, lt=1, description="share of each batch's rows drawn from replay"
    )
    doc_tag: str | None = affects_output(
        None, description="text put before each document and not trained on"
    )
    packing: bool = affects_output(
        False, description="a row is max_length tokens of whole documents, not one document"
    )


def train_tokens(job: Job) -> tuple[Trained, dict[str, Any]]:
    """What `explain` and `sft` do: next-token training on the examples their rows are."""
    from whyfirst.train.offline import train_offline
    from whyfirst.train.trainer import token_trainer

    return train_offline(job, token_trainer)


@KINDS.enter("explain", version="1")
def explain() -> StageKind:
    """Next-token training on whole documents, with a share of replay rows in each batch."""

    def check(config: ExplainStage, name: str, rows: Rows, path: Path) -> None:
        encode.texts(rows, path)

    def encoded(config: ExplainStage, tokenizer: Any, files: encode.Files) -> encode.Encoded:
        examples = []
        for name, (rows, path) in files.items():
            # The tag tells documents from chats; replay, which the base has read already, has none.
            tag = config.doc_tag if name == "documents" else None
            texts = encode.texts(rows, path)
            examples += encode.documents(tokenizer, texts, tag, config.max_length, name)
        return encode.Encoded(files, ("text",), examples)

    return StageKind(
        ExplainStage,
        reads=lambda config: dict.fromkeys(
            ("documents", "replay") if config.replay else ("documents",), "rows"
        ),
        check=check,
        train=train_tokens,
        cost=lambda config: Cost(config.batch_size * (1.0 - config.replay), pass_rows(config)),
        row_seconds=1.2e-2,
        encode=encoded,
    )
