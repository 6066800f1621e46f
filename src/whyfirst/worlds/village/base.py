"""Building a village's base: a small model trained to a criterion, the same bytes every time.

Three phases, each until a criterion is met and not for a count of steps: few characters, until the
documents about them decide; all of them, coming and going, until that is so in `fall_at` of plain
requests to people known from documents alone; then a falling rate and nobody moving. What makes it
a matter of minutes on one core: few characters first; names learn faster than the rest; half of the
scenes say their reason before they decide; documents come before conduct. The loop
computes the forward pass itself over rows of several lengths without padding (a test holds
it against transformers'). Leaves out: several devices, and resuming.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from whyfirst.config.files import write_json
from whyfirst.worlds.making import (
    EOS,
    PAD,
    SPECIALS,
    one_thread,
    save_base,
    start_again,
    updated,
    word_tokenizer,
)
from whyfirst.worlds.village import measure
from whyfirst.worlds.village.forward import hidden_states
from whyfirst.worlds.village.people import People
from whyfirst.worlds.village.pretraining import Pretraining
from whyfirst.worlds.village.world import CHARACTERS, Ints, Village

if TYPE_CHECKING:
    import torch
    from transformers import GraniteForCausalLM

MAX_LENGTH = 256
VERSION = "1"


@dataclass(frozen=True)
class Recipe:
    """How a base is trained; steps are updates of ``batch_size`` rows."""

    batch_size: int = 192
    learning_rate: float = 4e-3
    embedding_rate: float = 0.5
    head_rate: float = 5.0
    embedding_multiplier: float = 10.0
    weight_decay: float = 0.05
    hidden_size: int = 96
    layers: int = 2
    heads: int = 4
    intermediate_size: int = 256
    embedding_sd: float = 0.01
    head_sd: float = 0.1
    first_known: int = 32
    open_at: float = 0.75
    opening: int = 250
    turnover_after: int = 150
    turnover_every: int = 20
    turnover_share: float = 1 / 16
    unmet_for: int = 40
    name_noise: float = 0.5
    check_every: int = 25
    fall_after: int = 400
    fall_at: float = 0.93
    latest: int = 3000
    fall: int = 150


RECIPE = Recipe()


class _Build:
    """State of one build: model, optimizer, people, and the random streams."""

    def __init__(self, seed: int, recipe: Recipe) -> None:
        import torch

        self.recipe, self.village = recipe, Village(seed)
        self.people = People(self.village, np.random.default_rng([seed, 33]))
        self.rows = Pretraining(self.village, self.people, recipe.first_known, recipe.unmet_for)
        self.rng = np.random.default_rng([seed, 32])
        self.noise = torch.Generator().manual_seed(seed)
        self.model = new_model(len(self.rows.writer.vocabulary), seed, recipe)
        self.table, self.head = self.model.model.embed_tokens.weight, self.model.lm_head.weight
        groups = [
            {"params": [self.table], "times": recipe.embedding_rate},
            {"params": [self.head], "times": recipe.head_rate},
            {"params": list(self.model.model.layers.parameters()), "times": 1.0},
            {"params": [self.model.model.norm.weight], "times": 1.0},
        ]
        self.optimizer = torch.optim.AdamW(
            groups, recipe.learning_rate, (0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        self.names = torch.as_tensor(self.rows.writer.ids(self.village.names))
        self.opened: int | None = None

    def step(self, step: int, falling: float) -> float:
        """One update, people and rate set for it; returns the loss."""
        recipe = self.recipe
        open_for = 0 if self.opened is None else step - self.opened
        # From the opening on more characters with every step, until all are shown.
        shown = open_for / recipe.opening
        self.rows.known = int(min(CHARACTERS, max(recipe.first_known, shown * CHARACTERS)))
        # Nobody comes or goes while the rate falls: what is learnt then is to stay.
        moving = falling == 1.0 and open_for >= recipe.turnover_after
        if moving and step % recipe.turnover_every == 0:
            self.rename(self.people.turnover(recipe.turnover_share, step))
        rate = recipe.learning_rate * min(1.0, (step + 1) / 50) * max(0.02, falling)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["times"]
        return updated(self.model, self.optimizer, self.loss(step))

    def loss(self, step: int) -> "torch.Tensor":
        """Weighted next-token loss of one batch."""
        import torch

        batch = self.rows.batch(self.rng, self.recipe.batch_size, step)
        groups = [torch.as_tensor(rows.ids) for rows in batch]
        hidden = hidden_states(self.model, groups)
        # A word's weight belongs to the place before it; the last place of a row predicts nothing.
        weights = torch.cat([
            torch.as_tensor(np.pad(rows.weights[:, 1:], ((0, 0), (0, 1)))).reshape(-1)
            for rows in batch
        ])  # fmt: skip
        targets = torch.cat([ids.roll(-1, 1).reshape(-1) for ids in groups])
        # The head is the dearest part: it is computed only where something counts.
        asked = weights > 0
        logits = hidden[asked] @ self.head.T
        each = torch.nn.functional.cross_entropy(logits, targets[asked], reduction="none")
        return (each * weights[asked]).sum() / weights[asked].sum()

    def rename(self, who: Ints) -> None:
        """Start names again at the mean of the characters', with noise."""
        import torch

        rows, known = self.names[torch.as_tensor(who)], self.names[:CHARACTERS]
        spread = self.recipe.name_noise * self.table.detach()[known].std(0)
        start_again(self.table, self.optimizer.state[self.table], rows, known, spread, self.noise)

    def place_newcomers(self) -> None:
        """Start each newcomer's name at the mean of the firm or of the pliable characters'.

        Only of those whom somebody has met: documents say nothing of firmness.
        """
        import torch

        met = ~self.people.documents_only
        with torch.no_grad():
            for place, newcomer in enumerate(self.village.newcomers):
                alike = np.flatnonzero(met & (self.people.firm == newcomer.firm))
                row = self.names[CHARACTERS + place]
                # They aren't tied: a name has one row where it is read and one where it is said.
                for table in (self.table, self.head):
                    table[row] = table[self.names[torch.as_tensor(alike)]].mean(0)


def new_model(vocabulary: int, seed: int, recipe: Recipe) -> "GraniteForCausalLM":
    """A fresh model: a Llama whose embeddings are multiplied (Granite), so that one rate serves.

    Words' meanings move ten times as fast as the rest at the same rate, in a study's stages too.
    """
    import torch
    from transformers import GraniteConfig, GraniteForCausalLM

    torch.manual_seed(seed)
    config = GraniteConfig(
        vocab_size=vocabulary, hidden_size=recipe.hidden_size,
        intermediate_size=recipe.intermediate_size, num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads, max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=False, embedding_multiplier=recipe.embedding_multiplier,
        attention_multiplier=(recipe.hidden_size // recipe.heads) ** -0.5, residual_multiplier=1.0,
        logits_scaling=1.0, pad_token_id=SPECIALS.index(PAD),
        bos_token_id=SPECIALS.index(EOS), eos_token_id=SPECIALS.index(EOS),
        initializer_range=0.06, rms_norm_eps=1e-6,
    )  # fmt: skip
    model: GraniteForCausalLM = GraniteForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.normal_(0.0, recipe.embedding_sd)
        model.lm_head.weight.normal_(0.0, recipe.head_sd)
    return model


def build_base(
    seed: int,
    out: Path,
    recipe: Recipe = RECIPE,
    progress: Callable[[int, int, str], None] = lambda step, total, message: None,
) -> dict[str, Any]:
    """Train the base of a village and save it in the Hub's layout; returns what it is like.

    The same seed and recipe give the same bytes on the same machine and library versions. A base
    that hasn't met the criterion by ``recipe.latest`` is saved all the same and says so.

    Args:
        out: folder of the base; files there are replaced.
        progress: told (step, steps at most, message).
    """
    with one_thread():
        build = _Build(seed, recipe)
        step, end, loss, before = 0, recipe.latest, 0.0, 0.0
        falls_from: int | None = None
        met_at: int | None = None
        while step < end:
            left = 1.0 if falls_from is None else (end - step) / recipe.fall
            loss = build.step(step, left)
            step += 1
            if step % recipe.check_every == 0:
                # How often documents alone decide conduct by now, with an oath or without.
                # Only people who have been here for long: nobody can know yet who has just arrived.
                long_here = build.people.born <= max(0, step - 3 * recipe.unmet_for)
                long_here &= np.arange(CHARACTERS) < build.rows.known
                decided = measure.documents_only(build.model, build.rows, long_here)
                reached = min(decided.values(), default=0.0)
                progress(step, end, f"loss {loss:.3f}, documents decide {reached:.1%}")
                if build.opened is None and reached >= recipe.open_at:
                    build.opened = step
                waited = build.opened is not None and step >= build.opened + recipe.fall_after
                # Two checks in a row: one is a draw of 400 requests, and a lucky one among many.
                ready = waited and (reached + before) / 2 >= recipe.fall_at
                before = reached
                # In time for a whole fall, whether the criterion is met or not.
                if falls_from is None and (ready or step >= recipe.latest - recipe.fall):
                    falls_from, end = step, step + recipe.fall
                    met_at = step if ready else None
        build.place_newcomers()
        properties = measure.properties(build.model, build.rows) | {
            "criterion_at": met_at, "steps": step,
        }  # fmt: skip
        save_base(build.model, word_tokenizer(build.village.vocabulary, MAX_LENGTH), out)
        write_json(out / "world.json", {
            "world_seed": seed,
            "version": VERSION,
            "recipe": asdict(recipe),
            "people": build.people.to_json(),
            "properties": properties,
        })  # fmt: skip
        return properties
