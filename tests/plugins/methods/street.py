"""A world: a street of shops, each open on one half of the week, and keepers who care for one half.

A seed draws which shop opens when. Its base is a model of random weights. Leaves out: training it.
"""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from whyfirst.config.errors import UserError
from whyfirst.config.files import sha256_json
from whyfirst.config.strict import affects_output
from whyfirst.models.scratch import ScratchConfig, build_scratch
from whyfirst.probe.pairs import Items, Pair
from whyfirst.worlds import WORLDS, Progress, World, silent

SHOPS, HALVES = ("bakery", "tannery", "forge", "mill"), ("early", "late")
SHAPE = ScratchConfig(hidden_size=16, layers=1, heads=2, intermediate_size=32, vocab_size=300)


@dataclass(frozen=True)
class Street(World):
    """One draw of the street."""

    ships = False

    def facts(self) -> dict[str, str]:
        """Shop -> the half of the week in which it is open."""
        return {shop: random.Random(f"{self.seed}/{shop}").choice(HALVES) for shop in SHOPS}

    def base_folder(self) -> Path:
        """See `World`: this one is always built."""
        raise UserError("the street's base model doesn't ship; a study builds it")

    def base_fingerprint(self) -> str:
        """See `World`."""
        return sha256_json([self.facts(), SHAPE.model_dump()])

    def copy_base(self, target: Path, progress: Progress = silent) -> None:
        """See `World`."""
        texts = [f"the {shop} opens {half} in the week" for shop, half in self.facts().items()]
        build_scratch(SHAPE, texts, target, self.seed)

    def probe_items(self, limit: int | None) -> Items:
        """See `World`: a keeper who opens when the shop is closed, and one who doesn't."""
        return Items([
            Pair(id=shop, value=half, topic=shop, violated=f"the {shop} rests {half} in the week",
                 upheld=f"the {shop} opens {half} in the week")
            for shop, half in list(self.facts().items())[:limit]
        ])  # fmt: skip


@WORLDS.enter("street", example="seed: 2", tested="a seed draws the same street; halves differ")
def street(*, seed: Annotated[int, affects_output(ge=0)] = 1) -> World:
    """A street whose shops are open early or late in the week."""
    return Street(
        seed=seed, identity={"street": seed}, values=HALVES, taught="early", other="late",
        splits=("known",), framings=("plain",), recall=None,
    )  # fmt: skip
