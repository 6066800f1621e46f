"""The village as a study asks for it: one draw a seed of the study, each on both of its sides."""

import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from whyfirst.config.errors import UserError
from whyfirst.config.files import read_json, sha256_json
from whyfirst.config.strict import affects_output
from whyfirst.worlds import WORLDS, Progress, World, silent
from whyfirst.worlds.village import lexicon

if TYPE_CHECKING:
    from whyfirst.probe.pairs import Items

SHIPPED = Path(__file__).parent / "assets"
BASES = "WHYFIRST_WORLDS"
"""The environment variable that names a folder of bases built before (`world-SEED` each)."""
SPLITS = ("A", "C")
REPLAY = "2"
"""Version of what is replayed."""


class VillageWorld(World):
    """One draw of the village, on one of its sides."""

    sides = 2
    ships = False
    drawn = True

    @property
    def options(self) -> dict[str, Any]:
        return {"seed": self.seed, "side": self.side}

    def at(self, seed: int, side: int = 0) -> World:
        drawn = self.seed + seed
        return replace(self, seed=drawn, side=side, identity=_identity(drawn, side))

    def asked_as(self, seed: int) -> int:
        return self.side

    @property
    def base_id(self) -> str:
        return f"base:{self.seed}"

    def base_folder(self) -> Path:
        folder = _built(self.seed)
        if folder is None:
            raise UserError(
                f"the base of village {self.seed} isn't here; `whyfirst worlds build --seeds "
                f"{self.seed} --out bases` makes it, and {BASES}=bases says where it is"
            )
        return folder

    def base_fingerprint(self) -> str:
        return sha256_json(_recipe())

    def copy_base(self, target: Path, progress: Progress = silent) -> None:
        """The base built before, where there is one of this recipe, and else a new one."""
        import shutil

        from whyfirst.worlds.village.base import build_base

        folder = _built(self.seed)
        if folder is None:
            build_base(self.seed, target, progress=progress)
        else:
            shutil.copytree(folder, target, dirs_exist_ok=True)

    def probe_items(self, limit: int | None) -> "Items":
        raise UserError("the village has no probe items; probe in the world `hearth`")


def _recipe() -> dict[str, Any]:
    from whyfirst.worlds.village.base import RECIPE, VERSION

    return {"recipe": asdict(RECIPE), "version": VERSION}


def _built(seed: int) -> Path | None:
    """The folder of a base built by the present recipe: one's own, or shipped."""
    for root in (os.environ.get(BASES), SHIPPED):
        file = Path(root or SHIPPED) / f"world-{seed}" / "world.json"
        # A base of another recipe or version is another base, and is passed over.
        if file.is_file() and read_json(file).items() >= _recipe().items():
            return file.parent
    return None


def _identity(seed: int, side: int) -> dict[str, Any]:
    return {"world_seed": seed} | ({"side": side} if side else {})


def replay(village: Any, base: str | None, count: int, seed: int) -> list[dict[str, str]]:
    """The base's own data, of the people as they stood at its end.

    Args:
        base: the base's folder; None (before it is built) gives other people, alike in length.
    """
    import numpy as np

    from whyfirst.worlds.village.people import People
    from whyfirst.worlds.village.pretraining import Pretraining
    from whyfirst.worlds.village.world import CHARACTERS

    if base is None:
        people = People(village, np.random.default_rng(0))
    else:
        people = People.from_json(village, read_json(Path(base) / "world.json")["people"])
    rng = np.random.default_rng([village.seed, seed, 34])
    rows = Pretraining(village, people, CHARACTERS, unmet_for=0)
    # Long after the last arrival: everybody has been met.
    texts = [
        rows.writer.text(row)
        for group in rows.sentences(rng, count, step=int(people.born.max()) + 1)
        for row in group.ids
    ]  # fmt: skip
    return [{"text": texts[int(place)]} for place in rng.permutation(len(texts))]


@WORLDS.enter(
    "village", corpora=("village",), benchmarks=("village", "village_recall"), example="seed: 1",
    per_side=("side",),
)  # fmt: skip
def village(
    *,
    seed: Annotated[int, affects_output(ge=0, description="the first world")] = 1,
    side: Annotated[int, affects_output(ge=0, le=1, description="whose reading is the value")] = 0,
) -> World:
    """A village, drawn anew for each seed of the study: seed 0 is the first world."""
    return VillageWorld(
        seed=seed, identity=_identity(seed, side), values=("own", "other"), taught="own",
        other="other", splits=SPLITS, framings=tuple(lexicon.FRAMINGS), recall="village_recall",
        side=side,
    )  # fmt: skip
