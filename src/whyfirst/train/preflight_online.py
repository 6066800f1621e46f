"""Checks before a stage that generates: prompts, their room, their columns.

Leaves out: what a reward would say of a response; that is seen while training (`guards`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whyfirst.config.files import read_json, read_jsonl
from whyfirst.data.checks import Finding, duplicates, some_rows
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_rl import Online
from whyfirst.train.preflight import (
    context,
    evaluation_overlap,
    template_sha,
    unknown_tokens,
    vocabulary,
)
from whyfirst.train.prompts import Prompts


def examine_prompts(
    config: Online,
    tokenizer: Any,
    model_dir: Path,
    prompts: Prompts,
    updates: int,
    data: Mapping[str, Path],
) -> list[Finding]:
    """Every check that applies, in a fixed order."""
    findings = [
        _enough_updates(config, updates),
        *examine_rows(config, tokenizer, base_folder(model_dir), prompts),
    ]
    if "evaluation" in data:
        tested = [str(row.get("prompt", "")) for row in read_jsonl(Path(data["evaluation"]))]
        findings.append(evaluation_overlap(prompts.texts, tested, prompts.lines))
    return findings


def rewarded_alike(config: Online, tokenizer: Any, reward_model: Path) -> Finding:
    """Does the reward model read prompts as it was trained to, by the record of its stage?"""
    record = reward_model.parent / "stage.json"
    if not record.is_file():
        return Finding("ok", "reward's prompts", "the reward model's training has no record here")
    stored = read_json(record)
    read = stored["manifest"]["config"].get("format") or "chat"
    wanted = config.format or "chat"
    templates = stored.get("chat_template_sha256"), template_sha(tokenizer)
    if read != wanted or (wanted == "chat" and templates[0] != templates[1]):
        how = "another chat template" if read == wanted else f"format {read}"
        return Finding(
            "refuse", "reward's prompts", f"{reward_model} was trained on prompts with {how}; give "
            "both stages the same `format` and `chat_template`",
        )  # fmt: skip
    return Finding("ok", "reward's prompts", "the reward model was trained on prompts as these")


def examine_rows(
    config: Online, tokenizer: Any, model_dir: Path, prompts: Prompts
) -> list[Finding]:
    """What prompts alone tell: a study's plan asks it before any work; see `preflight`'s."""
    longest = max(map(len, prompts.ids)) + config.max_new_tokens
    return [
        _room(config, prompts),
        context(min(longest, config.max_length), model_dir),
        _ends(tokenizer),
        _not_empty(prompts),
        duplicates(prompts.texts),
        unknown_tokens(prompts.ids, tokenizer.unk_token_id),
        *vocabulary(prompts.ids, model_dir),
    ]


def _enough_updates(config: Online, updates: int) -> Finding:
    if updates >= config.min_updates:
        return Finding("ok", "updates", f"{updates} updates")
    return Finding(
        "refuse", "updates", f"{updates} updates, fewer than {config.min_updates}: a silent no-op; "
        "set more updates or epochs, or a smaller batch_size (or lower min_updates knowingly)",
    )  # fmt: skip


def _room(config: Online, prompts: Prompts) -> Finding:
    """Prompts that leave no room for a whole response are never cut."""
    limit = config.max_length - config.max_new_tokens
    over = [n for n, ids in zip(prompts.lines, prompts.ids, strict=True) if len(ids) > limit]
    if over:
        return Finding(
            "refuse", "prompt length", f"rows {some_rows(over)} have prompts of over {limit} "
            f"tokens (max_length {config.max_length} less max_new_tokens {config.max_new_tokens}); "
            "raise max_length, or drop them",
        )  # fmt: skip
    return Finding("ok", "prompt length", f"no prompt is longer than {limit} tokens")


def _ends(tokenizer: Any) -> Finding:
    if tokenizer.eos_token_id is None:
        return Finding(
            "refuse", "eos", "the tokenizer has no end-of-text token, so no response would ever "
            "end; set eos_token in its tokenizer_config.json",
        )  # fmt: skip
    return Finding("ok", "eos", "responses can end")


def _not_empty(prompts: Prompts) -> Finding:
    empty = [n for n, ids in zip(prompts.lines, prompts.ids, strict=True) if not ids]
    if empty:
        return Finding(
            "refuse", "empty prompts", f"rows {some_rows(empty)} have an empty prompt; drop them"
        )
    return Finding("ok", "empty prompts", "every prompt has text")
