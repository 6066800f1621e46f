"""Hearth as a study asks for it: its names, its base model and what its models are probed on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from whyfirst.config.strict import affects_output
from whyfirst.worlds import WORLDS, Progress, World, silent
from whyfirst.worlds.hearth import assets, lexicon
from whyfirst.worlds.hearth.benchmarks import SPLITS
from whyfirst.worlds.hearth.world import OTHER, TAUGHT

if TYPE_CHECKING:
    from whyfirst.probe.pairs import Items


class Hearth(World):
    """One draw of Hearth."""

    def base_folder(self) -> Path:
        return assets.base_folder(self.seed)

    def base_fingerprint(self) -> str:
        return assets.fingerprint(self.seed)

    def copy_base(self, target: Path, progress: Progress = silent) -> None:
        assets.copy_base(self.seed, target)

    def probe_items(self, limit: int | None) -> "Items":
        from whyfirst.worlds.hearth.probe_items import hearth_items

        return hearth_items(self.seed) if limit is None else hearth_items(self.seed, requests=limit)


@WORLDS.enter(
    "hearth", corpora=("hearth",), benchmarks=("hearth", "hearth_recall"), example="seed: 4",
    demos=("hearth-demo", "hearth-quick"),
)  # fmt: skip
def hearth(*, seed: Annotated[int, affects_output(ge=0)] = 1) -> World:
    """A village of invented objects, acts and consequences, in plain English."""
    return Hearth(
        seed=seed,
        identity={"world_seed": seed},
        values=lexicon.VALUE_IDS,
        taught=TAUGHT,
        other=OTHER,
        splits=SPLITS,
        framings=tuple(lexicon.FRAMINGS),
        recall="hearth_recall",
    )
