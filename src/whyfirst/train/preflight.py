"""Checks before any training: is what will be trained on what is meant?

Each check is a function to a `Finding`; `examine` and `examine_prompts` run those that apply to a
stage on given tokens and to one that generates, `refuse` stops the stage. Leaves out: judging what
the texts say (the explain room audits leakage and coverage), and what a reward would say of a
response; that is seen while training (`guards`).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import PreflightError
from whyfirst.config.files import read_json, read_jsonl, write_json
from whyfirst.data.checks import (
    Finding,
    check_rows,
    duplicates,
    judged,
    judged_rows,
    some_rows,
    whole_texts,
)
from whyfirst.data.leaks import find_leaks
from whyfirst.models.limits import limits_of
from whyfirst.train import processes
from whyfirst.train.adapters import base_folder
from whyfirst.train.config_base import PromptFormat, Stage
from whyfirst.train.encode import Encoded
from whyfirst.train.plan import Plan, updates_of

if TYPE_CHECKING:
    from whyfirst.train.config_rl import Online
    from whyfirst.train.prompts import Prompts

_MOST_UNKNOWN = 0.1  # share of all tokens


def examine(
    config: Stage,
    tokenizer: Any,
    model_dir: Path,
    encoded: Encoded,
    plan: Plan,
    data: Mapping[str, Path],
) -> list[Finding]:
    """Every check that applies to a stage on given tokens, in a fixed order."""
    return [
        enough_updates(config, plan),
        *examine_rows(config, tokenizer, base_folder(model_dir), encoded),
        *_overlaps(data, whole_texts(encoded.main[0], encoded.columns), encoded.lines),
    ]


def examine_prompts(
    config: "Online",
    tokenizer: Any,
    model_dir: Path,
    prompts: "Prompts",
    updates: int,
    data: Mapping[str, Path],
) -> list[Finding]:
    """Every check that applies to a stage that generates, in a fixed order."""
    wrong = (
        f"{updates} updates, fewer than {config.min_updates}: a silent no-op; set more updates or "
        "epochs, or a smaller batch_size (or lower min_updates knowingly)"
    )
    return [
        judged("updates", wrong if updates < config.min_updates else None, f"{updates} updates"),
        *examine_prompt_rows(config, tokenizer, base_folder(model_dir), prompts),
        *_overlaps(data, prompts.texts, prompts.lines),
    ]


def examine_rows(config: Stage, tokenizer: Any, model_dir: Path, encoded: Encoded) -> list[Finding]:
    """What rows alone tell, whatever becomes of them: a study's plan asks it before any work.

    Args:
        model_dir: holds the model's whole config; its weights need not be there yet.
    """
    candidates = encoded.candidates
    # A stage has examples or candidates and never both, so either loop below is empty.
    sequences = [example.ids for example in encoded.examples]
    endings = [(e.ids[e.masked :], e.length > len(e.ids)) for e in encoded.examples]
    full = [example.trained == 0 for example in encoded.examples]
    for row in candidates:
        full.append(max(map(len, row.prompts)) >= config.max_length)
        for prompt, response in zip(row.prompts, row.responses, strict=True):
            sequences.append(prompt + response)
            endings.append((response, len(prompt) + len(response) > config.max_length))
    lengths = encoded.lengths
    findings = [
        truncation(lengths, config.max_length, config.truncation, encoded.lines),
        context(min(max(lengths), config.max_length), model_dir),
        eos_trained(endings, tokenizer.eos_token_id),
        judged_rows(
            "trained tokens", [n for n, none in zip(encoded.lines, full, strict=True) if none],
            "rows {rows} have no trained token: the masked part fills max_length "
            f"{config.max_length}, or the row is empty; drop them",
            "every row has trained tokens",
        ),
        *check_rows(encoded.main[0], encoded.columns, tokenizer),
        *known_tokens(sequences, tokenizer, model_dir, encoded.lines,
                      lambda: whole_texts(encoded.main[0], encoded.columns)),
    ]  # fmt: skip
    if encoded.columns != ("text",):
        findings.append(prompt_masked(tokenizer, encoded, config.format))
    return findings


def examine_prompt_rows(
    config: "Online", tokenizer: Any, model_dir: Path, prompts: "Prompts"
) -> list[Finding]:
    """What prompts alone tell; see `examine_rows`."""
    # The longest that can come about, whatever the model will write.
    longest = max(map(len, prompts.ids)) + config.max_new_tokens
    # Prompts that leave no room for a whole response are never cut.
    limit = config.max_length - config.max_new_tokens
    sized = list(zip(prompts.lines, map(len, prompts.ids), strict=True))
    endless = (
        "the tokenizer has no end-of-text token, so no response would ever end; set eos_token in "
        "its tokenizer_config.json"
    )
    return [
        judged_rows(
            "prompt length", [line for line, size in sized if size > limit],
            f"rows {{rows}} have prompts of over {limit} tokens (max_length {config.max_length} "
            f"less max_new_tokens {config.max_new_tokens}); raise max_length, or drop them",
            f"no prompt is longer than {limit} tokens",
        ),
        context(min(longest, config.max_length), model_dir),
        judged("eos", endless if tokenizer.eos_token_id is None else None, "responses can end"),
        judged_rows(
            "empty prompts", [line for line, size in sized if not size],
            "rows {rows} have an empty prompt; drop them", "every prompt has text",
        ),
        duplicates(prompts.texts),
        *known_tokens(prompts.ids, tokenizer, model_dir, prompts.lines, lambda: prompts.texts),
    ]  # fmt: skip


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
    found, remedy = f"updates is {updates}", f"set updates to at least {least}"
    if config.epochs is not None:
        found = f"{plan.rows} rows in batches of {config.batch_size} are {updates} weight updates"
        # Replayed rows fill a share of each batch, so the same rows go further.
        share = 1 - getattr(config, "replay", 0.0)
        sizes = range(config.batch_size - 1, 0, -1)
        many = ((size, updates_of(config.epochs, plan.rows, size * share)) for size in sizes)
        enough = next((one for one in many if one[1] >= least), None)
        packed = getattr(config, "packing", False)
        smaller = " or a smaller max_length (rows are packed)" if packed else ""
        remedy = f"even batch_size 1 gives too few: use more data, more epochs{smaller}"
        if enough is not None:
            remedy = "batch_size {} gives {}".format(*enough)
    wrong = (
        f"{found}, fewer than {least}: a silent no-op; {remedy} (or lower min_updates knowingly)"
    )
    return judged("updates", wrong if updates < least else None, f"{updates} weight updates")


def truncation(
    lengths: Sequence[int], max_length: int, allowed: str, lines: Sequence[int]
) -> Finding:
    """Rows whose tail would be cut off, their end-of-text token with it."""
    over = [line for line, length in zip(lines, lengths, strict=True) if length > max_length]
    cut = allowed == "allow"
    end = "their ends are cut off, as allowed"
    return judged_rows(
        "truncation", over,
        f"{len(over)} of {len(lengths)} rows ({len(over) / len(lengths):.1%}) are longer than "
        f"max_length {max_length} (longest: {max(lengths)}; rows {{rows}}); "
        f"{end if cut else 'raise max_length or set truncation: allow'}",
        f"no row is longer than {max_length} tokens", "warn" if cut else "refuse",
    )  # fmt: skip


def context(longest: int, model_dir: Path) -> Finding:
    """Is the longest row (tokens, after truncation) longer than the model has positions?"""
    # None where a config sets no limit (ALiBi, say): then any length fits.
    limit = limits_of(read_json(model_dir / "config.json")).positions
    wrong = (
        f"a row of {longest} tokens exceeds the model's {limit} positions; set max_length to at "
        f"most {limit}"
    )
    over = limit is not None and longest > limit
    return judged(
        "context", wrong if over else None, f"rows of up to {longest} tokens fit the model"
    )


def eos_trained(endings: Sequence[tuple[list[int], bool]], eos_id: int | None) -> Finding:
    """Is the end of text a trained target of every whole row?

    Args:
        endings: (trained ids, whether the row was truncated).
    """
    whole = [ids for ids, cut in endings if not cut]
    without, cut = sum(not ids or ids[-1] != eos_id for ids in whole), len(endings) - len(whole)
    wrong = None
    if eos_id is None:
        wrong = (
            "the tokenizer has no end-of-text token, so the model would never learn to stop; set "
            "eos_token in its tokenizer_config.json"
        )
    elif without:
        wrong = (
            f"{without} of {len(whole)} rows don't train the end-of-text token; end each response "
            "with it"
        )
    elif cut:
        told = f"{cut} truncated rows don't train the end-of-text token"
        return Finding("warn", "eos", told)
    return judged("eos", wrong, "every row trains the end-of-text token")


def prompt_masked(tokenizer: Any, encoded: Encoded, prompts_as: PromptFormat = None) -> Finding:
    """Is the untrained part exactly the ids an evaluation gives for the prompt alone?

    Chats are rendered by the template on both sides and are not checked here.

    Args:
        prompts_as: of prompts given as text (`Stage.format`).
    """
    name = "prompt masked"
    if encoded.columns[0] == "prompts":
        return Finding("ok", name, "each response has a prompt of its own")
    prompts = [row["prompt"] for row in encoded.main[0]]
    as_text = prompts_as == "text" or not tokenizer.chat_template
    plain = [i for i, prompt in enumerate(prompts) if as_text and isinstance(prompt, str)]
    if not plain:
        return Finding("ok", name, "prompts are rendered by the chat template")
    # By the tokenizer itself and not by `encode`, which is what is checked.
    alone = tokenizer([prompts[i] for i in plain], return_attention_mask=False)["input_ids"]
    wrong = []
    for at, ids in zip(plain, alone, strict=True):
        # A tokenizer that closes every text with EOS: training leaves that one out.
        expected = list(ids[:-1]) if len(ids) and ids[-1] == tokenizer.eos_token_id else list(ids)
        if encoded.candidates:
            masked = all(ids == expected for ids in encoded.candidates[at].prompts)
        else:
            example = encoded.examples[at]
            masked = example.ids[: example.masked] == expected[: len(example.ids)]
        if not masked:
            wrong.append(encoded.lines[at])
    return judged_rows(
        name, wrong, f"{len(wrong)} rows ({{rows}}) train on part of their prompt, or mask part of "
        "their response", "exactly the prompts are left out of the loss",
    )  # fmt: skip


def known_tokens(
    sequences: Sequence[list[int]], tokenizer: Any, model_dir: Path, lines: Sequence[int],
    texts: Callable[[], Sequence[str]],
) -> list[Finding]:  # fmt: skip
    """Words that the tokenizer doesn't know, and tokens that the model has no embedding of.

    Unknown words are all one token: the model can't tell them apart. A few of them are told; where
    it is more than one token in ten the rows are in another language than the model's. A tokenizer
    may know more words than the model as long as the data don't use them: where it has all, nothing
    is said.

    Args:
        lines, texts: of each row, in their order; texts are asked for where a word is unknown.
    """
    unknown_id, total = tokenizer.unk_token_id, sum(map(len, sequences))
    unknown = 0 if unknown_id is None else sum(ids.count(unknown_id) for ids in sequences)
    wrong: str | None = None
    if unknown:
        words = {
            line: unread for line, text in zip(lines, texts(), strict=True)
            if (unread := _unknown(text, tokenizer))
        }  # fmt: skip
        each = list(dict.fromkeys(word for some in words.values() for word in some))
        named = ", ".join(f"{word!r:.40}" for word in each[:5])
        where = f"rows {some_rows(list(words))}: {named}" if words else "the chat template's own"
        wrong = (
            f"{unknown} of {total} tokens ({unknown / total:.2%}) are unknown words ({where}); use "
            "a tokenizer whose vocabulary covers the data, or words of the vocabulary"
        )
    found = [judged(
        "unknown tokens", wrong,
        "the tokenizer has no unknown-word token" if unknown_id is None
        else "every word is in the vocabulary",
        "refuse" if unknown > _MOST_UNKNOWN * total else "warn",
    )]  # fmt: skip
    size = limits_of(read_json(model_dir / "config.json")).vocabulary
    highest = max((max(ids, default=0) for ids in sequences), default=0)
    if size is not None and highest >= size:
        found.append(Finding(
            "refuse", "vocabulary", f"the tokenizer gives token {highest} and the model has "
            f"{size}: {model_dir} holds the tokenizer of another model, or its embeddings were not "
            "resized; save the model with its own tokenizer",
        ))  # fmt: skip
    return found


def _unknown(text: str, tokenizer: Any) -> list[str]:
    """The words of a text that come out as unknown tokens, or with one in them."""
    words = dict.fromkeys(text.split())
    encoded = tokenizer(list(words), add_special_tokens=False)["input_ids"] if words else []
    return [w for w, ids in zip(words, encoded, strict=True) if tokenizer.unk_token_id in ids]


def _overlaps(
    data: Mapping[str, Path], texts: Sequence[str], lines: Sequence[int]
) -> list[Finding]:
    """Training texts that contain or nearly repeat an evaluation prompt, where those are given."""
    if "evaluation" not in data:
        return []
    tested = [str(row.get("prompt", "")) for row in read_jsonl(Path(data["evaluation"]))]
    found = find_leaks(texts, tested)
    kinds = ", ".join(sorted({leak.kind for leak in found}))
    return [judged_rows(
        "evaluation overlap", sorted({lines[leak.text] for leak in found}),
        f"rows {{rows}} overlap evaluation prompts ({kinds}); drop those rows or those prompts",
        f"no overlap with {len(tested)} evaluation prompts",
    )]  # fmt: skip


def rewarded_alike(config: "Online", tokenizer: Any, reward_model: Path) -> Finding:
    """Does the reward model read prompts as it was trained to, by the record of its stage?"""
    name, record = "reward's prompts", reward_model.parent / "stage.json"
    if not record.is_file():
        return Finding("ok", name, "the reward model's training has no record here")
    stored = read_json(record)
    read, wanted = stored["manifest"]["config"].get("format") or "chat", config.format or "chat"
    wrong = f"format {read}" if read != wanted else None
    if not wrong and wanted == "chat":
        templates = stored.get("chat_template_sha256"), template_sha(tokenizer)
        wrong = "another chat template" if templates[0] != templates[1] else None
    remedy = "give both stages the same `format` and `chat_template`"
    return judged(
        name, wrong and f"{reward_model} was trained on prompts with {wrong}; {remedy}",
        "the reward model was trained on prompts as these",
    )  # fmt: skip


def template_sha(tokenizer: Any) -> str | None:
    """SHA-256 of the tokenizer's chat template, or None where it has none."""
    template = tokenizer.chat_template
    return hashlib.sha256(str(template).encode()).hexdigest() if template else None
