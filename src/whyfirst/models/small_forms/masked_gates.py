"""MGVGA: masked modelling of logic gates, after the encoder, and with a text of the function.

Wu et al. 2025, "Circuit Representation Learning with Masked Gate Modeling and Verilog-AIG
Alignment", arXiv 2502.12732. A graph network reads an and-inverter graph whole; gates are masked in
its output (so that the circuit it read is a circuit still) and their kind and degree are predicted
back: cross-entropy plus 0.1 times Huber. In the second task they are masked before the encoder, and
what a text says of the function takes their place by attention. Leaves out: Verilog, language
models for the text (any vectors will do), batches of graphs. Example::

    model = MaskedGates()
    loss = model.loss(kinds, edges, hidden)
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, huber_loss

KINDS = ("input", "and", "not", "output")
_DEGREE = 0.1  # weight of the degree's loss


class GateEncoder(nn.Module):
    """Message passing along the wires, both ways.

    Args:
        size: of a gate's vector.
        rounds: of message passing.
    """

    def __init__(self, size: int = 32, rounds: int = 4) -> None:
        super().__init__()
        self.kind = nn.Embedding(len(KINDS) + 1, size)  # the last one is a masked gate
        self.step = nn.GRUCell(2 * size, size)
        self.rounds = rounds

    def forward(self, kinds: Tensor, edges: Tensor) -> Tensor:
        """Vectors of gates, shape (N, size).

        Args:
            kinds: index into KINDS, or their number for a masked gate, shape (N,).
            edges: wires as (from, to), shape (E, 2).
        """
        state: Tensor = self.kind(kinds)
        source, target = edges.T
        for _ in range(self.rounds):
            zero = torch.zeros_like(state)
            into = zero.index_add(0, target, state[source])
            out_of = zero.index_add(0, source, state[target])
            state = self.step(torch.cat([into, out_of], -1), state)
        return state


class MaskedGates(nn.Module):
    """Encoder, decoder and the two tasks.

    Args:
        size: of a gate's vector and of the text's.
    """

    def __init__(self, size: int = 32) -> None:
        super().__init__()
        self.encoder = GateEncoder(size)
        self.masked = nn.Parameter(torch.zeros(size))
        self.decoder = nn.GRUCell(2 * size, size)
        self.attend = nn.MultiheadAttention(size, 1, batch_first=True)
        self.to_kind, self.to_degree = nn.Linear(size, len(KINDS)), nn.Linear(size, 1)

    def loss(self, kinds: Tensor, edges: Tensor, hidden: Tensor) -> Tensor:
        """Masked gate modelling, a scalar; `hidden` marks the masked gates, shape (N,)."""
        # The encoder reads the whole circuit: masking its input would change the function.
        state = torch.where(hidden[:, None], self.masked, self.encoder(kinds, edges))
        source, target = edges.T
        zero = torch.zeros_like(state)
        around = [
            zero.index_add(0, target, state[source]),
            zero.index_add(0, source, state[target]),
        ]
        state = self.decoder(torch.cat(around, -1), state)[hidden]
        degree = torch.bincount(edges.flatten(), minlength=len(kinds))[hidden].float()
        wrong = cross_entropy(self.to_kind(state), kinds[hidden])
        return wrong + _DEGREE * huber_loss(self.to_degree(state)[:, 0], degree)

    def aligned_logits(
        self, kinds: Tensor, edges: Tensor, hidden: Tensor, text: Tensor | None
    ) -> Tensor:
        """Kinds of gates masked before the encoder, shape (masked, kinds).

        Args:
            text: vectors of what is said of the function, shape (L, size); None leaves it out.
        """
        state = self.encoder(kinds.masked_fill(hidden, len(KINDS)), edges)[hidden]
        if text is not None:
            state = state + self.attend(state[None], text[None], text[None])[0][0]
        out: Tensor = self.to_kind(state)
        return out
