"""Checks before any training: is what will be trained on what is meant?

Each check is a function from a stage's encoded data to a `Finding`; `examine` runs those that
apply, `refuse` stops the stage. Leaves out: judging what the texts say (the explain room audits
leakage and coverage).
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from whyfirst.config.errors import PreflightError
from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.data.checks import Finding, check_rows, some_rows, whole_texts
from whyfirst.data.leaks import find_leaks
from whyfirst.models.limits import limits_of
from whyfirst.train import processes
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_base import Stage
from whyfirst.train.encode import Encoded, PromptFormat
from whyfirst.train.plan import Plan


def examine(
    config: Stage,
    tokenizer: Any,
    model_dir: Path,
    encoded: Encoded,
    plan: Plan,
    data: Mapping[str, Path],
) -> list[Finding]:
    """Every check that applies to the stage, in a fixed order."""
    findings = [
        enough_updates(config, plan),
        *examine_rows(config, tokenizer, base_folder(model_dir), encoded),
    ]
    if "evaluation" in data:
        tested = [str(row.get("prompt", "")) for row in read_jsonl(Path(data["evaluation"]))]
        texts = whole_texts(encoded.main[0], encoded.columns)
        findings.append(evaluation_overlap(texts, tested, encoded.lines))
    return findings


def examine_rows(config: Stage, tokenizer: Any, model_dir: Path, encoded: Encoded) -> list[Finding]:
    """What rows alone tell, whatever becomes of them: a study's plan asks it before any work.

    Args:
        model_dir: holds the model's whole config; its weights need not be there yet.
    """
    lengths = encoded.lengths
    findings = [
        truncation(lengths, config.max_length, config.truncation, encoded.lines),
        context(min(max(lengths), config.max_length), model_dir),
        eos_trained(_endings(config, encoded), tokenizer.eos_token_id),
        something_trained(config, encoded),
        *check_rows(encoded.main[0], encoded.columns, tokenizer),
        unknown_tokens(_sequences(encoded), tokenizer.unk_token_id),
        *vocabulary(_sequences(encoded), model_dir),
    ]
    if encoded.columns != ("text",):
        findings.append(prompt_masked(tokenizer, encoded, config.format))
    return findings


def settle(findings: Sequence[Finding], out_dir: Path) -> None:
    """Keep the findings in ``preflight.json``, and `refuse` where they say so."""
    if processes.is_main():
        write_json(out_dir / "preflight.json", [asdict(finding) for finding in findings])
    refuse(findings)


def refuse(findings: Sequence[Finding]) -> None:
    """Raise `PreflightError` listing every refusal, if there is one."""
    bad = [f"{f.check}: {f.message}" for f in findings if f.level == "refuse"]
    if bad:
        raise PreflightError("the stage was refused before training:\n" + "\n".join(bad))


def enough_updates(config: Stage, plan: Plan) -> Finding:
    """A stage of a few weight updates changes next to nothing, whatever its data."""
    updates, least = len(plan.updates), config.min_updates
    if updates >= least:
        return Finding("ok", "updates", f"{updates} weight updates")
    if config.epochs is None:
        found, remedy = f"updates is {updates}", f"set updates to at least {least}"
    else:
        found = f"{plan.rows} rows in batches of {config.batch_size} are {updates} weight updates"
        remedy = _mend(config, plan)
    return Finding(
        "refuse",
        "updates",
        f"{found}, fewer than {least}: a silent no-op; {remedy} (or lower min_updates knowingly)",
    )


def _mend(config: Stage, plan: Plan) -> str:
    """The largest batch size that gives enough updates, in words."""
    share = getattr(config, "replay", 0.0)
    passes = (config.epochs or 0) * plan.rows / (1 - share)
    for size in range(config.batch_size - 1, 0, -1):
        if math.ceil(passes / size) >= config.min_updates:
            return f"batch_size {size} gives {math.ceil(passes / size)}"
    packed = getattr(config, "packing", False)
    smaller = " or a smaller max_length (rows are packed)" if packed else ""
    return f"even batch_size 1 gives too few: use more data, more epochs{smaller}"


def truncation(
    lengths: Sequence[int], max_length: int, allowed: str, lines: Sequence[int]
) -> Finding:
    """Rows whose tail would be cut off, their end-of-text token with it."""
    over = [line for line, length in zip(lines, lengths, strict=True) if length > max_length]
    if not over:
        return Finding("ok", "truncation", f"no row is longer than {max_length} tokens")
    message = (
        f"{len(over)} of {len(lengths)} rows ({len(over) / len(lengths):.1%}) are longer than "
        f"max_length {max_length} (longest: {max(lengths)}; rows {some_rows(over)})"
    )
    if allowed == "allow":
        return Finding("warn", "truncation", f"{message}; their ends are cut off, as allowed")
    return Finding("refuse", "truncation", f"{message}; raise max_length or set truncation: allow")


def context(longest: int, model_dir: Path) -> Finding:
    """Is the longest row (tokens, after truncation) longer than the model has positions?"""
    limit = limits_of(read_json(model_dir / "config.json")).positions
    if limit is not None and longest > limit:
        return Finding(
            "refuse", "context", f"a row of {longest} tokens exceeds the model's {limit} "
            f"positions; set max_length to at most {limit}",
        )  # fmt: skip
    return Finding("ok", "context", f"rows of up to {longest} tokens fit the model")


def eos_trained(endings: Sequence[tuple[list[int], bool]], eos_id: int | None) -> Finding:
    """Is the end of text a trained target of every whole row?

    Args:
        endings: (trained ids, whether the row was truncated).
    """
    if eos_id is None:
        return Finding(
            "refuse", "eos", "the tokenizer has no end-of-text token, so the model would never "
            "learn to stop; set eos_token in its tokenizer_config.json",
        )  # fmt: skip
    whole = [ids for ids, cut in endings if not cut]
    without = sum(not ids or ids[-1] != eos_id for ids in whole)
    if without:
        return Finding(
            "refuse", "eos", f"{without} of {len(whole)} rows don't train the end-of-text token; "
            "end each response with it",
        )  # fmt: skip
    if len(whole) < len(endings):
        cut = len(endings) - len(whole)
        return Finding("warn", "eos", f"{cut} truncated rows don't train the end-of-text token")
    return Finding("ok", "eos", "every row trains the end-of-text token")


def something_trained(config: Stage, encoded: Encoded) -> Finding:
    """Rows that leave nothing to train on after masking and truncation."""
    full = [example.trained == 0 for example in encoded.examples]
    full += [max(map(len, row.prompts)) >= config.max_length for row in encoded.candidates]
    empty = [line for line, is_full in zip(encoded.lines, full, strict=True) if is_full]
    if empty:
        return Finding(
            "refuse", "trained tokens", f"rows {some_rows(empty)} have no trained token: the "
            f"masked part fills max_length {config.max_length}, or the row is empty; drop them",
        )  # fmt: skip
    return Finding("ok", "trained tokens", "every row has trained tokens")


def prompt_masked(tokenizer: Any, encoded: Encoded, prompts_as: PromptFormat = None) -> Finding:
    """Is the untrained part exactly the ids an evaluation gives for the prompt alone?

    Chats are rendered by the template on both sides and are not checked here.

    Args:
        prompts_as: of prompts given as text (`Stage.format`).
    """
    if encoded.columns[0] == "prompts":  # each response has its own
        return Finding("ok", "prompt masked", "each response has a prompt of its own")
    prompts = [row["prompt"] for row in encoded.main[0]]
    as_text = prompts_as == "text" or not tokenizer.chat_template
    plain = [i for i, prompt in enumerate(prompts) if as_text and isinstance(prompt, str)]
    if not plain:
        return Finding("ok", "prompt masked", "prompts are rendered by the chat template")
    alone = tokenizer([prompts[i] for i in plain], return_attention_mask=False)["input_ids"]
    lines, wrong = encoded.lines, []
    for at, ids in zip(plain, alone, strict=True):
        # A tokenizer that closes every text with EOS: training leaves that one out.
        expected = list(ids[:-1]) if len(ids) and ids[-1] == tokenizer.eos_token_id else list(ids)
        if encoded.candidates:
            masked = all(ids == expected for ids in encoded.candidates[at].prompts)
        else:
            example = encoded.examples[at]
            masked = example.ids[: example.masked] == expected[: len(example.ids)]
        if not masked:
            wrong.append(lines[at])
    if wrong:
        return Finding(
            "refuse", "prompt masked", f"{len(wrong)} rows ({some_rows(wrong)}) train on part of "
            "their prompt, or mask part of their response",
        )  # fmt: skip
    return Finding("ok", "prompt masked", "exactly the prompts are left out of the loss")


def unknown_tokens(sequences: Sequence[list[int]], unk_id: int | None) -> Finding:
    """Words the tokenizer doesn't know are all one token: the model can't tell them apart."""
    if unk_id is None:
        return Finding("ok", "unknown tokens", "the tokenizer has no unknown-word token")
    total = sum(len(ids) for ids in sequences)
    unknown = sum(ids.count(unk_id) for ids in sequences)
    if unknown:
        return Finding(
            "warn", "unknown tokens", f"{unknown} of {total} tokens ({unknown / total:.2%}) are "
            "unknown words; use a tokenizer whose vocabulary covers the data",
        )  # fmt: skip
    return Finding("ok", "unknown tokens", "every word is in the vocabulary")


def vocabulary(sequences: Sequence[list[int]], model_dir: Path) -> list[Finding]:
    """Refuse tokens that the model has no embedding of; nothing to say where it has all.

    A tokenizer may know more words than the model as long as the data don't use them.
    """
    size = limits_of(read_json(model_dir / "config.json")).vocabulary
    highest = max((max(ids, default=0) for ids in sequences), default=0)
    if size is None or highest < size:
        return []
    return [Finding(
        "refuse", "vocabulary", f"the tokenizer gives token {highest} and the model has {size}: "
        f"{model_dir} holds the tokenizer of another model, or its embeddings were not resized; "
        "save the model with its own tokenizer",
    )]  # fmt: skip


def evaluation_overlap(
    texts: Sequence[str], tested: Sequence[str], lines: Sequence[int]
) -> Finding:
    """Training texts that contain or nearly repeat an evaluation prompt."""
    found = find_leaks(texts, tested)
    if found:
        rows = sorted({lines[leak.text] for leak in found})
        kinds = ", ".join(sorted({leak.kind for leak in found}))
        return Finding(
            "refuse", "evaluation overlap", f"rows {some_rows(rows)} overlap evaluation prompts "
            f"({kinds}); drop those rows or those prompts",
        )  # fmt: skip
    return Finding("ok", "evaluation overlap", f"no overlap with {len(tested)} evaluation prompts")


def template_sha(tokenizer: Any) -> str | None:
    """SHA-256 of the tokenizer's chat template, or None where it has none."""
    template = tokenizer.chat_template
    return hashlib.sha256(str(template).encode()).hexdigest() if template else None


def _endings(config: Stage, encoded: Encoded) -> list[tuple[list[int], bool]]:
    ends = [(e.ids[e.masked :], e.length > len(e.ids)) for e in encoded.examples]
    return ends + [
        (response, length > config.max_length)
        for row in encoded.candidates
        for response, length in zip(row.responses, row.lengths, strict=True)
    ]


def _sequences(encoded: Encoded) -> list[list[int]]:
    return [example.ids for example in encoded.examples] + [
        prompt + response
        for row in encoded.candidates
        for prompt, response in zip(row.prompts, row.responses, strict=True)
    ]
