"""Each preflight check on data that has its fault, and on data that has not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whyfirst.config.errors import PreflightError
from whyfirst.train import preflight
from whyfirst.train.config import DPOStage, ExplainStage, SFTStage
from whyfirst.train.encode import Encoded, Example, encode
from whyfirst.train.plan import make_plan

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
SFT = SFTStage(updates=20, max_length=12)


def _demonstrations(n: int = 12) -> list[dict[str, Any]]:
    return [{"prompt": f"w{i} w1", "completion": f"w2 w{i}"} for i in range(n)]


def _levels(
    config: Any, tokenizer: Any, base: Path, data: dict[str, Path], change: Any = None
) -> dict[str, tuple[str, str]]:
    encoded: Encoded = encode(config, tokenizer, data)
    if change:
        change(encoded)
    lengths = [len(e.ids) for e in encoded.examples] or encoded.lengths
    plan = make_plan(config, lengths, [], 0)
    found = preflight.examine(config, tokenizer, base, encoded, plan, data)
    return {f.check: (f.level, f.message) for f in found}


def test_good_data_is_refused(tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl) -> None:
    found = _levels(
        SFT, tokenizer, bases["llama"], {"demonstrations": jsonl("d", _demonstrations())}
    )
    assert {level for level, _ in found.values()} == {"ok"}


@pytest.mark.parametrize(
    ("row", "check", "message"),
    [
        ({"prompt": "w1", "completion": " "}, "empty responses", "rows 13 have"),
        ({"prompt": "w1", "completion": "w2 " * 12}, "truncation", r"1 of 13 rows \(7.7%\)"),
        ({"prompt": "w1 " * 12, "completion": "w2"}, "trained tokens", "rows 13 have no trained"),
    ],
)
def test_a_bad_demonstration_passes(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl, row: Any, check: str, message: str
) -> None:
    data = {"demonstrations": jsonl("d", [*_demonstrations(), row])}
    level, found = _levels(SFT, tokenizer, bases["llama"], data)[check]
    assert level == "refuse"
    with pytest.raises(PreflightError, match=message):
        preflight.refuse([preflight.Finding("refuse", check, found)])


def test_allowed_truncation_hides_that_eos_is_lost(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    config = SFT.model_copy(update={"truncation": "allow"})
    rows = [*_demonstrations(), {"prompt": "w1", "completion": "w2 " * 20}]
    found = _levels(config, tokenizer, bases["llama"], {"demonstrations": jsonl("d", rows)})
    assert found["truncation"][0] == "warn"
    assert found["eos"] == ("warn", "1 truncated rows don't train the end-of-text token")


def test_a_trained_prompt_or_a_missing_eos_passes(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    def spoil(encoded: Encoded) -> None:
        one, two = encoded.examples[:2]
        encoded.examples[0] = Example(one.ids, 0, one.length, one.source)
        encoded.examples[1] = Example(two.ids[:-1], two.masked, two.length - 1, two.source)

    data = {"demonstrations": jsonl("d", _demonstrations())}
    found = _levels(SFT, tokenizer, bases["llama"], data, spoil)
    assert found["prompt masked"] == (
        "refuse", "1 rows (1) train on part of their prompt, or mask part of their response"
    )  # fmt: skip
    assert found["eos"][0] == "refuse" and "1 of 12 rows" in found["eos"][1]


def test_a_tokenizer_without_eos_passes() -> None:
    assert preflight.eos_trained([([1], False)], None).level == "refuse"


def test_pairs_that_prefer_nothing_pass(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    rows = [{"prompt": "w1", "chosen": f"w{i}", "rejected": f"w{i + i % 3}"} for i in range(9)]
    config = DPOStage(updates=20)
    found = _levels(config, tokenizer, bases["llama"], {"pairs": jsonl("p", rows)})
    level, message = found["chosen == rejected"]
    assert level == "refuse" and message.startswith("rows 1, 4, 7 prefer")


def test_repeated_documents_and_unknown_words_are_refused_or_unseen(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    rows = [{"text": "w1 w2"}] * 3 + [{"text": "w1 unheard"}]
    found = _levels(
        ExplainStage(updates=20), tokenizer, bases["llama"], {"documents": jsonl("d", rows)}
    )
    assert found["duplicates"][0] == "warn" and "2 of 4" in found["duplicates"][1]
    assert found["unknown tokens"][0] == "warn" and "1 of 12" in found["unknown tokens"][1]


def test_an_evaluation_prompt_is_trained_on(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    texts = [" ".join(f"w{7 * i + j}" for j in range(20)) for i in range(4)]
    data = {
        "documents": jsonl("d", [{"text": text} for text in texts]),
        "evaluation": jsonl("e", [{"prompt": f"new {texts[2]} words"}]),
    }
    config = ExplainStage(updates=20)
    level, message = _levels(config, tokenizer, bases["llama"], data)["evaluation overlap"]
    # Rows 2 to 4 share their words with row 3 in runs of at least 13.
    assert level == "refuse" and "rows 2, 3, 4" in message


def test_rows_longer_than_the_model_pass(
    tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl
) -> None:
    data = {"documents": jsonl("d", [{"text": "w1 " * 140}])}
    config = ExplainStage(updates=20, max_length=256)
    level, message = _levels(config, tokenizer, bases["llama"], data)["context"]
    assert level == "refuse" and "141 tokens exceeds the model's 128" in message


@pytest.mark.parametrize(
    ("config", "rows", "message"),
    [
        (SFTStage(epochs=1, batch_size=64), 100, "are 2 weight updates.*batch_size 11 gives 10"),
        (SFTStage(updates=5), 100, r"\nupdates: updates is 5, fewer .*set updates to at least 10"),
        (SFTStage(epochs=1, batch_size=64), 4, "even batch_size 1 gives too few"),
        (ExplainStage(epochs=1, batch_size=64, replay=0.5), 100, "batch_size 22 gives 10"),
    ],
)
def test_the_batch_size_that_would_mend_it(config: Any, rows: int, message: str) -> None:
    plan = make_plan(config, [5] * rows, [5] * rows if config.kind == "explain" else [], 0)
    with pytest.raises(PreflightError, match=message):
        preflight.refuse([preflight.enough_updates(config, plan)])


def test_thousands_of_documents_packed_into_two_updates() -> None:
    config = ExplainStage(epochs=1, batch_size=64, packing=True, max_length=1024)
    plan = make_plan(config, [30] * 3000, [], 0)
    finding = preflight.enough_updates(config, plan)
    assert finding.level == "refuse" and "89 rows in batches of 64 are 2" in finding.message
    assert "batch_size 9 gives 10" in finding.message
