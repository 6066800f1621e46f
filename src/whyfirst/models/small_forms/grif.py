"""GRIF: an instruction and the change it asks for, from a start to a goal, in one space.

Myers et al. 2023, "Goal Representations for Instruction Following", arXiv 2307.00117. Symmetric
InfoNCE between the instruction's vector and that of (start, goal), with a learned temperature, over
the rows that have an instruction; in text form start and goal are descriptions of a state. Leaves
out: images, and behaviour cloning of robot actions (`total` adds any imitation loss). Example::

    model = Grif()
    loss = model.alignment(["open the door"], ["the door is shut"], ["the door is open"])
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from whyfirst.models.small_forms.contrastive import WordEncoder


class Grif(nn.Module):
    """Encoders of instructions and of state changes, with the temperature between them.

    Args:
        size: of the vectors.
    """

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.instruction = WordEncoder(size)
        self.state = WordEncoder(size)  # one for both, so that the way back is the opposite
        self.log_temperature = nn.Parameter(torch.tensor(0.07).log())

    def change(self, starts: Sequence[str], goals: Sequence[str]) -> Tensor:
        """Vectors of the changes from start to goal, shape (N, size)."""
        return normalize(self.state(goals) - self.state(starts), dim=-1)

    def alignment(
        self, instructions: Sequence[str | None], starts: Sequence[str], goals: Sequence[str]
    ) -> Tensor:
        """InfoNCE over the rows with an instruction, a scalar; 0 where none has one."""
        told = [i for i, text in enumerate(instructions) if text is not None]
        if not told:
            return torch.zeros(())
        words = self.instruction([str(instructions[i]) for i in told])
        changes = self.change([starts[i] for i in told], [goals[i] for i in told])
        return info_nce(words @ changes.T / self.log_temperature.exp())


def info_nce(logits: Tensor) -> Tensor:
    """Symmetric cross-entropy of similarities (N, N) whose diagonal is right, a scalar."""
    right = torch.arange(len(logits))
    return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2


def total(alignment: Tensor, imitation: Tensor, weight: float = 1.0) -> Tensor:
    """The paper's objective: imitation plus weighted alignment."""
    return imitation + weight * alignment
