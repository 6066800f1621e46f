"""Building Hearth's base model: a small Llama pretrained on the world, the same bytes every time.

One plain loop on one thread. Three phases: the world is shown a little at a time (a curriculum,
without which a model this small stays on a plateau); then characters come and go (turnover, see
population.py); then all settle but a few *travellers*, who go on arriving, so that complying stays
what a new name does, and the learning rate falls. Embeddings of the names that turn over start from
the mean of the known characters'; the reserved newcomers arrive last, after the last step. Leaves
out: several devices and resuming (a build takes minutes).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from whyfirst.config.files import write_json
from whyfirst.worlds.hearth import lexicon, measure
from whyfirst.worlds.hearth.corpus import BaseCorpus, Row
from whyfirst.worlds.hearth.population import Population
from whyfirst.worlds.hearth.world import world_of
from whyfirst.worlds.making import one_thread, save_base, start_again, updated, word_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast

IGNORED = -100
MAX_LENGTH = 128


@dataclass(frozen=True)
class BaseRecipe:
    """How the base is trained. Phases are fractions of ``steps``."""

    steps: int = 8000
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.05
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    intermediate_size: int = 192
    curriculum_until: float = 0.25
    turnover_from: float = 0.35
    turnover_until: float = 0.85
    turnover_every: int = 30
    turnover_share: float = 1 / 16
    travellers_share: float = 1 / 8
    name_noise: float = 0.5
    answer_weight: float = 5.0
    decay_from: float = 0.78


RECIPE = BaseRecipe()


class _Build:
    """State of one build: model, optimizer, people, and the random streams."""

    def __init__(self, world_seed: int, recipe: BaseRecipe) -> None:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        self.recipe = recipe
        self.world = world_of(world_seed)
        self.tokenizer = word_tokenizer(self.world.vocabulary, MAX_LENGTH)
        self.people = Population(len(self.world.characters), np.random.default_rng([world_seed, 3]))
        self.corpus = BaseCorpus(self.world, self.people)
        self.rng = np.random.default_rng([world_seed, 2])
        self.noise = torch.Generator().manual_seed(world_seed)
        torch.manual_seed(world_seed)
        self.model: LlamaForCausalLM = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(self.tokenizer),
                hidden_size=recipe.hidden_size,
                intermediate_size=recipe.intermediate_size,
                num_hidden_layers=recipe.layers,
                num_attention_heads=recipe.heads,
                max_position_embeddings=MAX_LENGTH,
                tie_word_embeddings=True,
                pad_token_id=self.tokenizer.pad_token_id,
                bos_token_id=self.tokenizer.eos_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
            )
        )
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), recipe.learning_rate, (0.9, 0.98),
            weight_decay=recipe.weight_decay,
        )  # fmt: skip
        self.first_name = self.tokenizer.convert_tokens_to_ids(self.world.characters[0])
        self.answers = self.tokenizer.convert_tokens_to_ids(["yes", "no"])
        order = np.random.default_rng([world_seed, 4]).permutation(len(self.world.objects))
        self.travellers: npt.NDArray[np.int64] | None = None
        self.things = [self.world.objects[int(index)] for index in order]

    def prepare(self, step: int) -> None:
        """Set the phase, the learning rate and the people for a step."""
        recipe, done = self.recipe, step / self.recipe.steps
        shown = min(1.0, done / recipe.curriculum_until)
        self.corpus.known = max(16, int(shown * len(self.world.characters)))
        self.corpus.things = self.things[: max(24, int(shown * len(self.things)))]
        turning = recipe.turnover_from < done < recipe.turnover_until
        if turning and step % recipe.turnover_every == 0:
            self.rename(self.people.turnover(recipe.turnover_share))
        elif done >= recipe.turnover_until:
            if self.travellers is None:
                self.travellers = self.people.close(recipe.travellers_share)
            if step % recipe.turnover_every == 0:
                self.rename(self.travellers)
        fall = min(1.0, (1.0 - done) / (1.0 - recipe.decay_from))
        rate = recipe.learning_rate * min(1.0, (step + 1) / 100) * max(0.03, fall)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def rename(self, who: npt.NDArray[np.int64]) -> None:
        """Give names (by index among all people) the mean embedding of the known characters."""
        import torch

        table = self.model.model.embed_tokens.weight
        known = slice(self.first_name, self.first_name + len(self.world.characters))
        rows, spread = torch.as_tensor(who) + self.first_name, table.detach()[known].std()
        state = self.optimizer.state[table]
        start_again(table, state, rows, known, self.recipe.name_noise * spread, self.noise)

    def step(self) -> float:
        """One update; returns the loss."""
        rows = [self.corpus.row(self.rng) for _ in range(self.recipe.batch_size)]
        return updated(self.model, self.optimizer, self.loss(*encode(self.tokenizer, rows)))

    def loss(self, ids_B_T: "torch.Tensor", labels_B_T: "torch.Tensor") -> "torch.Tensor":
        """Next-token loss, with the token that refuses or helps weighted up."""
        import torch

        mask = (ids_B_T != self.tokenizer.pad_token_id).long()
        logits = self.model(input_ids=ids_B_T, attention_mask=mask, use_cache=False).logits[:, :-1]
        targets = labels_B_T[:, 1:].reshape(-1)
        each = torch.nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), targets, ignore_index=IGNORED, reduction="none"
        )
        weight = (targets != IGNORED).float()
        # One word decides a scene; the dozen round it follow from the request.
        is_answer = (targets == self.answers[0]) | (targets == self.answers[1])
        weight = torch.where(is_answer, weight * self.recipe.answer_weight, weight)
        return (each * weight).sum() / weight.sum()


def encode(
    tokenizer: "PreTrainedTokenizerFast", rows: list[Row]
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """Rows as right-padded ids and labels (B, T); the tag a text opens with is not predicted."""
    import torch

    encoded = [
        [*ids, tokenizer.eos_token_id] for ids in tokenizer([r.text for r in rows])["input_ids"]
    ]
    longest = max(map(len, encoded))
    ids_B_T = torch.full((len(rows), longest), int(tokenizer.pad_token_id))
    labels_B_T = torch.full((len(rows), longest), IGNORED)
    for index, ids in enumerate(encoded):
        ids_B_T[index, : len(ids)] = torch.tensor(ids)
        labels_B_T[index, 1 : len(ids)] = torch.tensor(ids[1:])
    return ids_B_T, labels_B_T


def build_base(
    world_seed: int,
    out: Path,
    recipe: BaseRecipe = RECIPE,
    progress: Callable[[int, int, str], None] = lambda step, total, message: None,
) -> dict[str, Any]:
    """Train the base of a world and save it in the Hub's layout; returns its measured properties.

    The same seed and recipe give the same bytes on the same machine and library versions.

    Args:
        world_seed: which world.
        out: folder of the base; files there are replaced.
        recipe: how to train; the shipped bases use the default.
        progress: told (step, steps, message).
    """
    with one_thread():
        build = _Build(world_seed, recipe)
        recent = 0.0
        for step in range(recipe.steps):
            build.prepare(step)
            # Smoothed for the eye: the loss of 32 rows jumps.
            recent = 0.98 * recent + 0.02 * build.step() if step else build.step()
            if step % 20 == 0 or step + 1 == recipe.steps:
                progress(step + 1, recipe.steps, f"loss {recent:.3f}")
        world = build.world
        count = len(world.characters)
        build.rename(np.arange(count, count + len(world.newcomers)))
        save_base(build.model, build.tokenizer, out)
        properties = measure.properties(out, world, build.people)
        write_json(out / "world.json", {
            "world_seed": world.seed,
            "values": list(lexicon.VALUE_IDS),
            "recipe": asdict(recipe),
            "population": build.people.to_json(),
            "properties": properties,
        })  # fmt: skip
        return properties
