"""Replies kept as they arrive, so that nothing is asked or paid for twice.

One JSON object a line under a hash of what was asked, flushed to disk before the next reply is
taken; several processes may share a file. A line that a killed process left unfinished is no reply
and is cut off by the next write. An endpoint keeps its own (`endpoint`); `KeptModel` keeps those of
a local model. No prompt, header or key is ever written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from whyfirst.config.errors import StoreError
from whyfirst.config.files import append_jsonl, read_jsonl, sha256_json
from whyfirst.models.base import GREEDY, Completion, LanguageModel, Loglikelihood, Prompt, Sampling


class ReplyStore:
    """A file of replies, or with no path, replies of this process only.

    Raises:
        DataError: a row in the file is not one JSON object; names file and row.
        StoreError: the file can't be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._rows: dict[str, Mapping[str, Any]] = {}
        self._size = 0  # of the file when it was last read or written here
        self._stale = False
        self.refresh()

    def refresh(self) -> None:
        """Take in what other processes have written since."""
        if self._path is None or not self._path.exists():
            return
        size = self._path.stat().st_size
        # A file only grows: one of the same size has nothing new.
        if self._stale or size != self._size:
            rows = read_jsonl(self._path, allow_torn_tail=True)
            # The last row under a key is the newest.
            self._rows |= {str(row.get("key")): row for row in rows}
            self._size, self._stale = size, False

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The reply kept under `key`, if any."""
        return self._rows.get(key)

    def put(self, key: str, **reply: Any) -> None:
        """Keep a reply; it is on the disk when this returns."""
        row = {"key": key, **reply}
        self._rows[key] = row
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_name(self._path.name + ".lock")):
                before = self._path.stat().st_size if self._path.exists() else 0
                # Somebody else wrote in between: their rows are read at the next refresh.
                self._stale |= before != self._size
                append_jsonl(self._path, row)
                self._size = self._path.stat().st_size
        except OSError as error:
            raise StoreError(
                f"{self._path}: can't be written: {error.strerror or error}"
            ) from error


def replies_file(folder: Path, model: LanguageModel) -> Path:
    """Where a store's folder of replies keeps a model's."""
    return folder / f"replies-{model.fingerprint[:16]}.jsonl"


class KeptModel:
    """A model and the file of what it has answered; a problem is no answer and is asked again.

    Args:
        at_once: prompts asked before their answers are on the disk: what a kill can cost.
    """

    def __init__(self, model: LanguageModel, file: Path, at_once: int = 8) -> None:
        self.model, self._at_once = model, at_once
        self._store = ReplyStore(file)
        self.fingerprint, self.chat_template = model.fingerprint, model.chat_template

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        """See `LanguageModel.generate`; asks only for what isn't kept."""
        shown = [p if isinstance(p, str) else [asdict(turn) for turn in p] for p in prompts]
        keys = [sha256_json([self.fingerprint, one, n, asdict(sampling)]) for one in shown]
        answers: dict[str, list[Completion]] = {}
        for key in set(keys):
            if (row := self._store.get(key)) is not None:
                answers[key] = [Completion(text, bool(end)) for text, end in row["completions"]]
        missing = {k: p for k, p in zip(keys, prompts, strict=True) if k not in answers}
        for start in range(0, len(missing), self._at_once):
            some = dict(list(missing.items())[start : start + self._at_once])
            for key, given in zip(
                some, self.model.generate(list(some.values()), n, sampling), strict=True
            ):
                answers[key] = given
                if not any(completion.problem for completion in given):
                    self._store.put(key, completions=[[c.text, c.finished] for c in given])
        return [answers[key] for key in keys]

    def loglikelihood(
        self, requests: Sequence[tuple[Prompt, Sequence[str]]]
    ) -> list[list[Loglikelihood]]:
        """The model's."""
        return self.model.loglikelihood(requests)
