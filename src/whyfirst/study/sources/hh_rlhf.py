"""HH-RLHF (Bai et al. 2022, arXiv 2204.05862): the training half of a split by prompt hash.

Leaves out: the held-out half, which benchmarks score.
"""

from pathlib import Path
from typing import Annotated, Literal

from whyfirst.config.strict import affects_output, runtime_only
from whyfirst.study.sources import CORPORA, Row


@CORPORA.enter("hh_rlhf", paper="Bai et al. 2022, arXiv 2204.05862", licence="MIT")
def hh_rlhf(
    *,
    path: Annotated[Path, runtime_only(description="file or folder; its content counts")],
    documents: Annotated[
        Literal["demonstrations", "pairs", "prompts", "responses", "texts"], affects_output()
    ],
    held_out: Annotated[float, affects_output(gt=0, lt=1)] = 0.5,
    size: Annotated[int | None, affects_output(ge=1)] = None,
    max_characters: Annotated[int | None, affects_output(ge=1)] = None,
) -> list[Row]:
    """Rows of HH-RLHF: the training half of a split by prompt hash."""
    from whyfirst.data.hh_rlhf import training_pairs

    pairs = training_pairs(path, held_out, max_characters)[:size]
    match documents:
        case "pairs":
            return [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in pairs]
        case "demonstrations":
            return [{"prompt": p.prompt, "completion": p.chosen} for p in pairs]
        case "prompts":
            return [{"prompt": prompt} for prompt in dict.fromkeys(p.prompt for p in pairs)]
        case "responses":
            return [
                {"prompt": p.prompt, "completion": text, "label": good}
                for p in pairs
                for text, good in ((p.chosen, True), (p.rejected, False))
            ]
        case _:
            return [{"text": p.prompt + p.chosen} for p in pairs]
