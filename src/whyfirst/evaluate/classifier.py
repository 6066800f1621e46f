"""A transformers sequence classifier, as scorers use one: labels, and shares of a text's labels.

A text longer than the classifier reads is never cut. Leaves out: which label means what, and code
that comes with a model.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.evaluate.item import Item
from whyfirst.evaluate.scorers import Scorer
from whyfirst.evaluate.verdict import Verdict, unscored
from whyfirst.models.limits import context_of
from whyfirst.models.said import VERSION as READING

_BATCH = 32
#: Probabilities of the labels, by their index.
Shares = Sequence[float]


class Classifier:
    """A classifier from a folder or the Hub.

    Args:
        path: a folder in the Hub's layout, or a Hub id.

    Raises:
        UserError: no such model, or no classifier.
    """

    def __init__(self, path: str) -> None:
        import torch

        from whyfirst.models.folder import hashes
        from whyfirst.models.loading import locate

        folder = locate(path, None, False)
        self._model, self._tokenizer = _load(folder)
        config = self._model.config
        self.labels = {int(index): str(label) for index, label in config.id2label.items()}
        self.outputs = int(config.num_labels)
        # The folder's own name: a path says where it lies on this machine.
        self.name = path if folder != Path(path) else folder.resolve().name
        self.files = hashes(folder)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model.to(self._device).eval().requires_grad_(False)
        # Some tokenizers say a number larger than any context for "no limit".
        self._longest = min(context_of(config), int(self._tokenizer.model_max_length))

    def version(self, **how: Any) -> str:
        """Tells the weights and how they are read apart."""
        lone = {"outputs": 1} if self.outputs == 1 else {}
        return sha256_json({"files": self.files, "reading": READING, **lone, **how})[:12]

    def verdicts(
        self, texts: Sequence[str], empty: str, verdict: Callable[[Shares], Verdict]
    ) -> list[Verdict]:
        """One verdict a text, whatever the batch; unscored where it is empty or too long."""
        import torch

        encoded = self._tokenizer(list(texts))["input_ids"] if texts else []
        found: dict[int, Verdict] = {}
        for place, (text, tokens) in enumerate(zip(texts, encoded, strict=True)):
            if not text.strip():
                found[place] = unscored(empty)
            # Cut, it would be a verdict on the first half: what makes a text toxic may be its end.
            elif len(tokens) > self._longest:
                found[place] = unscored(f"longer than the classifier's {self._longest} tokens")
        # By length, so that a batch is padded little; what a text gets doesn't depend on its
        # batch.
        rest = sorted(set(range(len(texts))) - set(found), key=lambda place: len(encoded[place]))
        # Labels that may hold together don't sum to one, and a softmax would make them; of a lone
        # output it makes 1, whatever the text.
        several = self._model.config.problem_type == "multi_label_classification"
        independent = several or self.outputs == 1
        for start in range(0, len(rest), _BATCH):
            batch = rest[start : start + _BATCH]
            rows = self._tokenizer.pad(
                {"input_ids": [encoded[place] for place in batch]}, return_tensors="pt"
            )
            with torch.inference_mode():
                logits = self._model(**rows.to(self._device)).logits.float()
            shares = (logits.sigmoid() if independent else logits.softmax(-1)).tolist()
            for place, row in zip(batch, shares, strict=True):
                # NaN is unequal to itself.
                broken = any(share != share for share in row)
                found[place] = (
                    unscored("the classifier gives no number") if broken else verdict(row)
                )
        return [found[place] for place in range(len(texts))]


class ClassifierScorer(Scorer):
    """A scorer that reads the response alone with a classifier.

    Args:
        empty: the reason for an empty response.
        verdict: from the labels' shares.
        how: what besides the weights decides a verdict.
    """

    def __init__(
        self,
        classifier: Classifier,
        name: str,
        question: str,
        verdict: Callable[[Shares], Verdict],
        empty: str = "empty response",
        **how: Any,
    ) -> None:
        self.name, self.question = name, question
        self.version = classifier.version(**how)
        self._classifier, self._verdict, self._empty = classifier, verdict, empty

    def read(self, items: Sequence[Item], responses: Sequence[str]) -> list[Verdict]:
        """See `Scorer.read`; a response longer than the model reads is unscored, never cut."""
        return self._classifier.verdicts(responses, self._empty, self._verdict)


def _load(folder: Path) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    import torch

    from whyfirst.models.folder import boundary, check_weights, no_progress_bars
    from whyfirst.models.loading import config_of, open_tokenizer, scorer_class

    # Before anything is loaded: weights in a pickle could run code.
    check_weights(folder)
    tokenizer = open_tokenizer([folder])
    with boundary(folder, "the classifier"), no_progress_bars(), torch.no_grad():
        config = config_of(folder)
        model, report = scorer_class(config).from_pretrained(
            folder,
            config=config,
            use_safetensors=True,
            output_loading_info=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        model.eval()(input_ids=torch.zeros(1, 1, dtype=torch.long))  # a config may be nonsense
    if report["missing_keys"]:
        # A plain language model would load with a random head and give verdicts by chance.
        raise UserError(f"{folder}: not a classifier: its file lacks {min(report['missing_keys'])}")
    if tokenizer.pad_token_id is None:
        raise UserError(f"{folder}: its tokenizer has no padding token")
    return model, tokenizer
