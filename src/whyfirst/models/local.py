"""A transformers causal language model, from a folder or the Hub, as a `LanguageModel`.

Batched by length; results don't depend on the batch (to float rounding). Leaves out: how files
are found and loaded (`loading`), how a chat becomes text (`chat`), quantisation, training.
"""

import math
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.models import adapters, chat, loading
from whyfirst.models.base import GREEDY, Completion, Loglikelihood, Prompt, Sampling, before_stop
from whyfirst.models.continuation import Ending, ending
from whyfirst.models.engine import decode, score
from whyfirst.models.folder import boundary, check_weights, hashes
from whyfirst.models.limits import context_of

_TOO_LONG = "sequence-length-is-longer-than-the-specified-maximum"


class LocalModel:
    """A causal language model that runs here.

    Args:
        path: a folder in the Hub's layout, a Hub id (``org/name``), or a folder with a PEFT
            adapter, whose base is then loaded under it.
        dtype: e.g. ``"bfloat16"``; None is bfloat16 where the stored weights have 16 bits and the
            device computes in it, else the stored one.
        device: e.g. ``"cuda:1"``; None takes an accelerator if there is one, else the CPU.
        batch_tokens: most tokens computed at once; None is 4,096 on a CPU (more falls out of its
            caches) and 16,384 elsewhere.
        revision: branch, tag or commit of a Hub id.
        trust_remote_code: run Python code that comes with the model.
        device_map: accelerate's placement over several devices, e.g. ``"auto"``, in place of
            `device`.
        adapter: folder or Hub id of a PEFT LoRA, merged into the weights.
        chat_template: see `chat.choose`.

    Raises:
        UserError: something is missing, unreadable or doesn't fit, or remote code comes without a
            pinned commit.
    """

    def __init__(
        self,
        path: str | Path,
        dtype: str | None = None,
        device: str | None = None,
        batch_tokens: int | None = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        device_map: str | None = None,
        adapter: str | None = None,
        chat_template: str | None = None,
    ) -> None:
        from transformers import AutoModelForCausalLM

        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_tokens = batch_tokens or (4096 if self.device == "cpu" else 16384)
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        folder = loading.locate(str(path), revision, trust_remote_code)
        self.folders: tuple[Path, ...] = (folder,)
        if adapters.is_adapter(folder):
            if adapter is not None:
                raise UserError(f"{path}: is an adapter itself; name its base model as the path")
            self.folders = loading.base_of(folder), folder
        elif adapter is not None:
            self.folders = folder, loading.locate_adapter(adapter)
        base, *merged = self.folders
        for part in merged:
            adapters.read_adapter(part)
        # Before any library sees the folder: their messages on a broken one say little.
        check_weights(base)
        self.tokenizer = loading.open_tokenizer(self.folders, trust_remote_code)
        config = loading.open_config(base, trust_remote_code)
        options: dict[str, Any] = {} if device_map is None else {"device_map": device_map}
        options |= {"config": config, "dtype": dtype or loading.default_dtype(config, self.device)}
        self.model = loading.open_weights(
            AutoModelForCausalLM, base, trust_remote_code=trust_remote_code, **options
        )
        for part in merged:
            self.model = adapters.merge(adapters.open_adapter(self.model, part, base), part)
        with boundary(base):
            if device_map is None:
                self.model.to(self.device)
            self.model.eval().requires_grad_(False)
            # It warns of texts longer than it was once set to, which isn't the model's context.
            self.tokenizer.deprecation_warnings[_TOO_LONG] = True
            self.template = chat.choose(self.tokenizer, chat_template)
            if chat_template is not None:
                # As in training: whoever asks the tokenizer what a prompt is hears the same.
                self.tokenizer.chat_template = self.template.text
            self.context = context_of(self.model.config)
            self.end_tokens = loading.end_tokens(
                getattr(self.model.generation_config, "eos_token_id", None), self.tokenizer
            )
            self._start_tokens = chat.start_tokens(self.tokenizer)
            # An empty prompt still needs a position that predicts the first token.
            self._nothing = [min(self.end_tokens, default=0)]
            # Some configs load, and say nonsense that only a computation meets.
            decode.decode(self.model, [[0]], [2], frozenset(), decode.greedy)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the files of model and adapter, the dtype it runs in and the template."""
        return sha256_json({
            "files": [hashes(folder) for folder in self.folders],
            "dtype": str(self.model.dtype),
            **self.template.identity,
        })  # fmt: skip

    @property
    def chat_template(self) -> str:
        """See `LanguageModel.chat_template`."""
        return self.template.name

    @cached_property
    def _packed(self) -> bool:
        # A few forwards, and only by who scores.
        return score.packs_exactly(self.model)

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; a prompt that fills the context gets a `problem`.

        The reply to a chat also ends where the template ends a turn, and comes without the white
        space the template puts before it; a thought that the template opens is part of the reply.
        A chat that ends with the assistant's turn is gone on with, as a text is.

        Raises:
            UserError: nothing could end a completion: no end token, no stop text.
        """
        done: dict[tuple[Prompt, int], Completion] = {}
        repeats = 1 if sampling.temperature == 0 else n
        # Apart, since a chat's reply has ends and stops of its own.
        kinds: dict[tuple[bool, bool], list[Prompt]] = {}
        for prompt in prompts:
            kinds.setdefault(_kind(prompt), []).append(prompt)
        for alike in kinds.values():
            done |= self._complete(alike, repeats, sampling, self.ending(alike[0], sampling.stop))
        return [[done[prompt, number % repeats] for number in range(n)] for prompt in prompts]

    def ending(self, prompt: Prompt, stop: Sequence[str]) -> Ending:
        """What ends an answer to the prompt, stop texts included, and how it is read."""
        is_chat, begun = _kind(prompt)
        template = self.template if is_chat else None
        return ending(self.tokenizer, self.end_tokens, stop, template, begun)

    def _complete(
        self,
        prompts: Sequence[Prompt],
        repeats: int,
        sampling: Sampling,
        ending: Ending,
    ) -> dict[tuple[Prompt, int], Completion]:
        if not ending.tokens and not ending.stops:
            raise UserError(
                f"{self.folders[0]}: the tokenizer has no end token (EOS), so no completion could "
                "end by itself; set eos_token in tokenizer_config.json, or give a stop text"
            )
        # Equal prompts have equal greedy answers; each is computed once.
        asked = list(dict.fromkeys(prompts))
        texts = {prompt: self._text_of(prompt) for prompt in asked}
        tokens = [ids or self._nothing for ids in self.encode_prompts(asked)]
        encoded = dict(zip(asked, tokens, strict=True))
        done = {
            (prompt, number): Completion("", False, self._too_long(len(encoded[prompt])))
            for prompt in asked
            for number in range(repeats)
        }
        jobs = [key for key in done if len(encoded[key[0]]) < self.context]
        if jobs:
            # By its text, so that a prompt draws the same wherever it stands.
            names = [f"{number}\n{texts[prompt]}" for prompt, number in jobs]
            rows = [encoded[prompt] for prompt, _ in jobs]
            found = self._decode(rows, names, sampling, ending)
            for key, row, one in zip(jobs, rows, found, strict=True):
                # Read behind its own prompt: the same tokens may be two texts behind two.
                text = ending.said(row, one.tokens)
                if one.problem is not None:  # no reply, so no thought that the template opens
                    text = before_stop(ending.text(one.tokens), ending.stops)
                done[key] = Completion(text, one.finished, one.problem)
        return done

    def _decode(
        self,
        rows: list[list[int]],
        names: list[str],
        sampling: Sampling,
        ending: Ending,
    ) -> list[decode.Decoded]:
        choose: decode.Choose = decode.greedy
        if sampling.temperature > 0:
            choose = decode.sampler(sampling, names)

        return decode.decode(
            self.model,
            rows,
            # A reply that fills the context is cut there, as by its limit.
            [min(sampling.max_new_tokens, self.context - len(row)) for row in rows],
            ending.tokens,
            choose,
            ending.stopped,
            # A CPU reads prompts a sixth faster in smaller batches than it scores in.
            min(self.batch_tokens, 1024) if self.device == "cpu" else self.batch_tokens,
        )

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """See `LanguageModel.loglikelihood`.

        Prompt and continuation are tokenised together and cut where the prompt's own tokens end,
        with a text prompt's trailing white space counted to the continuation (lm-eval's
        convention). A chat is taken as rendered; a continuation of it follows the template's
        joint, whatever spaces it begins with.
        """
        # Tokenizers join a space to the word after it, so the cut goes before the space.
        heads = [p.rstrip() if isinstance(p, str) else p for p, _ in requests]
        prompts = self.encode_prompts(heads)
        wholes = iter(self.encode_wholes(requests))
        jobs: list[tuple[list[int], list[list[int]]]] = []
        result: list[list[Loglikelihood]] = []
        places: list[tuple[int, int]] = []
        for number, ((_, texts), prompt) in enumerate(zip(requests, prompts, strict=True)):
            tails = [next(wholes)[len(prompt) :] for _ in texts]
            lengths = [len(prompt) + len(tail) for tail in tails]
            fits = [length <= self.context for length in lengths]
            result.append([
                Loglikelihood(0.0, len(tail)) if fits[i]
                else Loglikelihood(math.nan, len(tail), self._too_long(lengths[i]))
                for i, tail in enumerate(tails)
            ])  # fmt: skip
            good = [i for i, tail in enumerate(tails) if tail and fits[i]]
            if good:
                jobs.append((prompt or self._nothing, [tails[i] for i in good]))
                places += [(number, i) for i in good]
        with torch.inference_mode():
            packed = self._packed if jobs else False
            scores = score.score(self.model, jobs, self.batch_tokens, packed)
        for (number, i), value in zip(places, (v for row in scores for v in row), strict=True):
            problem = decode.NOT_A_NUMBER if math.isnan(value) else None
            result[number][i] = Loglikelihood(value, result[number][i].tokens, problem)
        return result

    def _too_long(self, tokens: int) -> str:
        return f"longer than the model's context ({tokens} of {self.context} tokens)"

    def _text_of(self, prompt: Prompt) -> str:
        if isinstance(prompt, str):
            return prompt
        begun = prompt and prompt[-1].role == "assistant"
        return self.template.begun(prompt) if begun else self.template.render(prompt)

    def encode_prompts(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """Token ids of each prompt as the model reads it, a chat as its template renders it."""
        texts = [self._text_of(prompt) for prompt in prompts]
        return self._encode(texts, [not isinstance(prompt, str) for prompt in prompts])

    def encode_wholes(self, requests: Sequence[tuple[Prompt, Sequence[str]]]) -> list[list[int]]:
        """Token ids of every prompt with each of its continuations, in order."""
        texts: list[str] = []
        chats: list[bool] = []
        for prompt, continuations in requests:
            head, is_chat = self._text_of(prompt), not isinstance(prompt, str)
            for text in continuations:
                tail = text
                if is_chat and text:
                    # As `ChatTemplate.begun`: a thought that the template opens stands there
                    # already, and the space is the template's own.
                    said = text.removeprefix(self.template.opened).lstrip(" ")
                    tail = self.template.joint + said if said else ""
                texts.append(head + tail)
                chats.append(is_chat)
        return self._encode(texts, chats)

    def _encode(self, texts: Sequence[str], chats: Sequence[bool]) -> list[list[int]]:
        """Token ids, with the start token before a text where the tokenizer sets one.

        A chat has what its template wrote.
        """
        if not texts:
            return []
        encoded = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        known = self.model.get_input_embeddings().num_embeddings
        # An index beyond the embedding ends the process on a GPU, with no word of why.
        highest = max((max(ids) for ids in encoded if ids), default=0)
        if highest >= known:
            raise UserError(
                f"{self.folders[0]}: token {highest} is not in the model's {known}; the tokenizer "
                "is another model's"
            )
        start = self._start_tokens
        return [
            ids if is_chat or ids[: len(start)] == start else start + ids
            for ids, is_chat in zip(encoded, chats, strict=True)
        ]


def _kind(prompt: Prompt) -> tuple[bool, bool]:
    """Whether a prompt is a chat, and whether it ends inside a reply."""
    if isinstance(prompt, str):
        return False, False
    return True, bool(prompt) and prompt[-1].role == "assistant"
