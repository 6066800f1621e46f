"""What a policy and frozen references say of the responses to a batch of prompts.

Every response is one sequence behind its prompt, several to a line where the model keeps them apart
(`collate`), and logits are computed at response tokens only. A reference never changes, so what it
says is computed once, before training, by the weights the stage starts from or by others that are
loaded and let go: no second model lies in memory while the stage trains. Leaves out: training
(`kinds/prefer.py`), and auxiliary losses of expert mixtures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object, send_to_device
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor
from transformers import TrainerCallback

from whyfirst.config.errors import StoreError
from whyfirst.config.files import atomic_write
from whyfirst.train import processes
from whyfirst.train.collate import lay_out, lines_of
from whyfirst.train.encode import Candidates, Example
from whyfirst.train.loss import Selection, select_positions
from whyfirst.train.objectives import SequenceScores
from whyfirst.train.weights import load_whole

References = dict[int, list[list[Tensor]]]
"""Row -> reference -> response -> its tokens' log-probabilities (T,)."""


@dataclass(frozen=True)
class Collator:
    """Makes one forward pass of rows of candidates.

    Args:
        references: what frozen models say of each row; empty where the objective has none.
        columns: name -> shape, of the extras that every row has.
        prompt_scored: whether a prompt's tokens are scored as well.
    """

    rows: Sequence[Candidates]
    references: References
    columns: Mapping[str, str]
    max_length: int
    pad_id: int
    packed: bool
    prompt_scored: bool = False

    def __call__(self, indices: Sequence[int]) -> dict[str, Any]:
        """Inputs of the model, `keep` and `labels` as `lay_out` has them, and `about`.

        That holds `place` (N,), of each kept token its place in (B, K, T) laid flat; `shape`, the
        sizes B, K, T; `labels` (B, K); `references`, each (B, K, T); `extras`.
        """
        rows = [self.rows[i] for i in indices]
        responses = max(len(row.responses) for row in rows)
        examples, slots = [], []
        for at, row in enumerate(rows):
            for k, response in enumerate(row.responses):
                ids = (row.prompts[k] + response)[: self.max_length]
                masked = 0 if self.prompt_scored else min(len(row.prompts[k]), len(ids))
                examples.append(Example(ids, masked, len(ids), ""))
                slots.append(at * responses + k)
        width = max(example.trained for example in examples)
        order = [i for line in lines_of(examples, packed=self.packed) for i in line]
        # Packed lines hold responses in an order of their own; scores go back to (B, K, T).
        place = torch.cat([slots[i] * width + torch.arange(examples[i].trained) for i in order])
        labels = torch.full((len(rows), responses), torch.nan)
        for at, row in enumerate(rows):
            labels[at, : len(row.labels)] = torch.tensor(row.labels)
        known = [self.references[index] for index in indices] if self.references else [[]]
        about = {
            "place": place,
            "shape": [len(rows), responses, width],
            "labels": labels,
            "references": [
                _column([of_row[number] for of_row in known], "token", responses, width)
                for number in range(len(known[0]))
            ],
            "extras": {
                name: _column([row.extras[name] for row in rows], shape, responses, width)
                for name, shape in self.columns.items()
            },
        }
        tensors = lay_out(examples, self.pad_id, packed=self.packed)
        return {k: v for k, v in tensors.items() if v is not None} | {"about": about}


def _column(values: Sequence[Any], shape: str, responses: int, width: int) -> Any:
    """A column as (B,), (B, K) or (B, K, T), 0 where there is no response or token; or as it is."""
    if shape == "text":
        return list(values)
    if shape == "row":
        return torch.tensor(values, dtype=torch.float32)
    made = torch.zeros(len(values), responses, *((width,) if shape == "token" else ()))
    for at, given in enumerate(values):
        for k, value in enumerate(given):
            if shape == "token":
                made[at, k, : len(value)] = torch.as_tensor(value, dtype=torch.float32)[:width]
            else:
                made[at, k] = value
    return made


def scores_of(logits: Tensor, tokens: Tensor, about: Mapping[str, Any]) -> SequenceScores:
    """Scores from logits (N, V) at the kept positions and the tokens (N,) that came next."""
    logp = -torch.nn.functional.cross_entropy(logits.float(), tokens, reduction="none")
    rows, responses, width = about["shape"]
    # Out of place (index_put), so that the gradient goes through.
    flat = logp.new_zeros(rows * responses * width)
    mask = torch.zeros_like(flat, dtype=torch.bool).index_fill(0, about["place"], True)
    mask, rewards = mask.view(rows, responses, width), None
    if "values" in about:  # of a second output
        each = flat.index_put((about["place"],), about["values"]).view(rows, responses, width)
        last = (mask.sum(-1, keepdim=True) - 1).clamp(min=0)
        rewards = each.gather(-1, last)[..., 0]
    return SequenceScores(
        flat.index_put((about["place"],), logp).view(rows, responses, width),
        tuple(about["references"]),
        mask,
        about["labels"],
        about["extras"],
        rewards,
    )


class ReferenceScores(TrainerCallback):  # type: ignore[misc]
    """Fills a collator's references when training begins, or from what an earlier attempt kept.

    A run that goes on from a checkpoint without them raises `StoreError`.

    Args:
        folders: models to compare with beside the first reference, the model as it starts.
        kept: file that the scores are kept in until the stage is finished.
        identity: of the run; scores kept by another one are not used.
        context: the number format of forward passes.
    """

    def __init__(
        self, collator: Collator, selection: Selection, passes: Sequence[Sequence[int]],
        folders: Sequence[Path], kept: Path, identity: str, context: Callable[[], Any],
    ) -> None:  # fmt: skip
        self._collator, self._selection, self._passes = collator, selection, passes
        self._folders, self._context = folders, context
        self._kept, self._identity = kept, identity

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # Row and response: the file is read by a run that may lay its passes out otherwise.
        names = [f"{row}/{k}" for row, k in self._places()]
        kept = self._earlier()
        if kept is None and state.global_step:
            # The model at hand has been trained since, and would be its own reference.
            raise StoreError(
                f"{self._kept}: what the reference said is gone or damaged, and only the model "
                f"before its first update could say it again; delete {self._kept.parent} to start "
                "this stage anew"
            )
        if kept is None:
            found = [self._share(kwargs["model"], self._selection)]
            for folder in self._folders:
                other = load_whole(folder).to(args.device)
                found.append(self._share(other, select_positions(other)))
                # One of them in memory at a time.
                del other
            kept = {
                f"{number}/{name}": logp
                for number, scores in enumerate(found)
                for name, logp in zip(names, scores, strict=True)
            }
            if processes.is_main():
                # Whole or not at all: a process may be killed while it writes.
                atomic_write(self._kept, save(kept, {"identity": self._identity}))
            processes.wait()
        count = 1 + len(self._folders)
        for row, k in self._places():
            scores = self._collator.references.setdefault(row, [[] for _ in range(count)])
            for number in range(count):
                scores[number].append(kept[f"{number}/{row}/{k}"])

    def _earlier(self) -> dict[str, Tensor] | None:
        """The scores that an earlier attempt at this run kept."""
        try:
            with safe_open(self._kept, framework="pt") as handle:
                if (handle.metadata() or {}).get("identity") != self._identity:
                    return None
            return dict(load_file(self._kept))
        except (OSError, SafetensorError):
            return None

    def _places(self) -> list[tuple[int, int]]:
        rows = (row for indices in self._passes for row in indices)
        return [(row, k) for row in rows for k in range(len(self._collator.rows[row].responses))]

    @torch.no_grad()
    def _share(self, model: Any, selection: Selection) -> list[Tensor]:
        """What a model says of every response, in `_places`' order; each process does its share."""
        device = next(model.parameters()).device
        training, count = model.training, processes.count()
        model.eval()
        found: list[tuple[int, list[Tensor]]] = []
        # As many passes in each process: those of a model spread over several wait for each other.
        for first in range(0, len(self._passes), count):
            at = min(first + processes.rank(), len(self._passes) - 1)
            inputs = send_to_device(self._collator(self._passes[at]), device)
            tokens = inputs.pop("labels")
            with self._context():
                logits = selection.logits(model(**inputs)["logits"])
            scores = scores_of(logits, tokens, selection.about)
            logp = scores.logp.flatten(0, 1).cpu()
            lengths = scores.lengths.flatten().tolist()
            present = scores.present.flatten().tolist()
            found.append((at, [logp[i, :n].clone() for i, n in enumerate(lengths) if present[i]]))
        model.train(training)
        every = dict(gather_object(found))
        return [logp for at in range(len(self._passes)) for logp in every[at]]
