"""A transformers causal language model, from a folder or the Hub, as a `LanguageModel`.

Batched by length; results don't depend on the batch (to float rounding). Weights are read from
safetensors only. Leaves out: chat templates, several GPUs, quantisation, training.
"""

import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from whyfirst.errors import UserError
from whyfirst.files import sha256_file, sha256_json
from whyfirst.models import decode, score
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Sampling
from whyfirst.models.batching import batches
from whyfirst.models.quiet import no_progress_bars

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")


class LocalModel:
    """A causal language model that runs here.

    Args:
        path: a folder in the Hub's layout, or a Hub id (``org/name``).
        dtype: e.g. ``"bfloat16"``; None keeps the stored one.
        device: e.g. ``"cuda:1"``; None takes an accelerator if there is one, else the CPU.
        batch_tokens: most tokens computed at once; None is 4,096 on a CPU (more falls out of its
            caches) and 16,384 elsewhere.
        revision: branch, tag or commit of a Hub id.
        trust_remote_code: run Python code that comes with the model.

    Raises:
        UserError: no model there, no safetensors, or remote code without a pinned commit.
    """

    def __init__(
        self,
        path: str | Path,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.folder = locate(str(path), revision, trust_remote_code)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_tokens = batch_tokens or (4096 if self.device == "cpu" else 16384)
        self.model, self.tokenizer = _load(self.folder, dtype, trust_remote_code)
        self.model.to(self.device).eval().requires_grad_(False)
        config = self.model.config.get_text_config()
        self.context = int(getattr(config, "max_position_embeddings", None) or 2**31)
        self.end_tokens = _end_tokens(self.model, self.tokenizer)
        self._start_tokens = _start_tokens(self.tokenizer)
        # An empty prompt still needs a position that predicts the first token.
        self._nothing = [min(self.end_tokens, default=0)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the model's files and the dtype it runs in."""
        files = {path for pattern in (*_FILES, "*.py") for path in self.folder.glob(pattern)}
        hashes = {path.name: sha256_file(path) for path in sorted(files)}
        return sha256_json({"files": hashes, "dtype": str(self.model.dtype)})

    @cached_property
    def _packed(self) -> bool:
        return score.packs_exactly(self.model)

    def generate(
        self, prompts: Sequence[str], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; a prompt that fills the context gets a `problem`."""
        repeats = 1 if sampling.temperature == 0 else n
        # Equal prompts have equal greedy answers; each is computed once.
        texts = list(dict.fromkeys(prompts))
        encoded = {
            text: ids or self._nothing for text, ids in zip(texts, self._encode(texts), strict=True)
        }
        done = {
            (text, number): Completion("", False, self._too_long(len(encoded[text])))
            for text in texts
            for number in range(repeats)
        }
        jobs = [key for key in done if len(encoded[key[0]]) < self.context]
        limits = [
            min(sampling.max_new_tokens, self.context - len(encoded[text])) for text, _ in jobs
        ]
        sizes = [len(encoded[text]) for text, _ in jobs]
        with torch.inference_mode():
            for batch in batches(sizes, self.batch_tokens, max_rows=256):
                chosen = [jobs[index] for index in batch]
                rows = [encoded[text] for text, _ in chosen]
                found = self._decode(rows, [limits[index] for index in batch], chosen, sampling)
                done.update(zip(chosen, found, strict=True))
        return [[done[text, number % repeats] for number in range(n)] for text in prompts]

    def _decode(
        self,
        rows: list[list[int]],
        limits: list[int],
        jobs: list[tuple[str, int]],
        sampling: Sampling,
    ) -> list[Completion]:
        choose: decode.Choose = decode.greedy
        if sampling.temperature > 0:
            choose = decode.sampler(sampling, [f"{number}\n{text}" for text, number in jobs])

        def stopped(tokens: list[int]) -> bool:
            text = self._text(tokens)
            return any(stop in text for stop in sampling.stop)

        found = decode.decode_batch(
            self.model, rows, limits, self.end_tokens, choose, stopped if sampling.stop else None
        )
        texts = self.tokenizer.batch_decode(
            [row.tokens for row in found],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        cut = [_before_stop(text, sampling.stop) for text in texts]
        return [Completion(text, row.finished) for text, row in zip(cut, found, strict=True)]

    def loglikelihood(
        self, requests: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """See `LanguageModel.loglikelihood`.

        Prompt and continuation are tokenised together and cut where the prompt's own tokens end,
        with the prompt's trailing white space counted to the continuation (lm-eval's convention).
        """
        prompts = self._encode([prompt.rstrip() for prompt, _ in requests])
        wholes = iter(self._encode([p + text for p, texts in requests for text in texts]))
        jobs: list[tuple[list[int], list[list[int]]]] = []
        result: list[list[Loglikelihood]] = []
        places: list[tuple[int, int]] = []
        for number, ((_, texts), prompt) in enumerate(zip(requests, prompts, strict=True)):
            tails = [next(wholes)[len(prompt) :] for _ in texts]
            result.append([self._unscored(len(prompt), len(tail)) for tail in tails])
            good = [i for i, answer in enumerate(result[-1]) if tails[i] and answer.problem is None]
            if good:
                jobs.append((prompt or self._nothing, [tails[i] for i in good]))
                places += [(number, i) for i in good]
        with torch.inference_mode():
            packed = self._packed if jobs else False
            scores = score.score(self.model, jobs, self.batch_tokens, packed)
        for (number, i), value in zip(places, (v for row in scores for v in row), strict=True):
            result[number][i] = Loglikelihood(value, result[number][i].tokens)
        return result

    def _unscored(self, prompt: int, tokens: int) -> Loglikelihood:
        problem = self._too_long(prompt + tokens) if prompt + tokens > self.context else None
        return Loglikelihood(float("nan") if problem else 0.0, tokens, problem)

    def _too_long(self, tokens: int) -> str:
        return f"longer than the model's context ({tokens} of {self.context} tokens)"

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids, with the start token in front where the tokenizer sets one."""
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        start = self._start_tokens
        return [ids if ids[: len(start)] == start else start + ids for ids in encoded]

    def _text(self, tokens: list[int]) -> str:
        return str(
            self.tokenizer.decode(
                tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )


def _before_stop(text: str, stop: tuple[str, ...]) -> str:
    return text[: min([len(text), *(text.find(s) for s in stop if s in text)])]


def locate(path: str, revision: str | None, trust_remote_code: bool) -> Path:
    """The folder with the model's files; downloads a Hub id's."""
    if Path(path).is_dir():
        if not (Path(path) / "config.json").is_file():
            raise UserError(f"{path}: no model there (config.json is missing)")
        return Path(path)
    if Path(path).exists() or not _HUB_ID.fullmatch(path):
        raise UserError(f"{path}: no such folder; give a model folder or a Hub id like org/name")
    if trust_remote_code and not _COMMIT.fullmatch(revision or ""):
        raise UserError(
            f"{path}: trust_remote_code runs code from the Hub; pin it with a revision of "
            f"40 hex digits, not {revision!r}"
        )
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import snapshot_download

    patterns = [*_FILES, "*.py"] if trust_remote_code else list(_FILES)
    try:
        return Path(snapshot_download(path, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the client has a dozen kinds; all mean the same here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path} (revision {revision}): can't be fetched: {reason}") from error


def _load(folder: Path, dtype: str | None, trust_remote_code: bool) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
            model = AutoModelForCausalLM.from_pretrained(
                folder,
                dtype=dtype or "auto",
                use_safetensors=True,
                trust_remote_code=trust_remote_code,
            )
    except (OSError, ValueError, KeyError) as error:
        reason = [*str(error).strip().splitlines(), type(error).__name__][0]
        raise UserError(f"{folder}: the model can't be loaded: {reason}") from error
    return model, tokenizer


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    configured = getattr(model.generation_config, "eos_token_id", None)
    found = configured if isinstance(configured, list) else [configured]
    return frozenset(int(t) for t in [*found, tokenizer.eos_token_id] if t is not None)


def _start_tokens(tokenizer: Any) -> list[int]:
    """What the tokenizer itself puts in front of a text; an end token it appends is left out."""
    with_special = tokenizer("a")["input_ids"]
    first = tokenizer.bos_token_id
    return [first] if first is not None and with_special[:1] == [first] else []
