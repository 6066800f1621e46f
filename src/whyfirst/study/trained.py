"""Where a store keeps the model of a finished run's arm.

Leaves out: loading it (`models.reference`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from whyfirst.config.errors import UserError
from whyfirst.config.suggest import did_you_mean
from whyfirst.study.execute.store import Store

if TYPE_CHECKING:
    from whyfirst.report.schema import Results


def arm_model(results: "Results", arm: str, seed: int, store: Path) -> Path:
    """The folder of an arm's model after its last stage; of an arm without stages, the base's.

    Raises:
        UserError: no such arm, the arm has no such seed, or the store has no such model.
    """
    from whyfirst.study.nodes.base import model_folder

    if arm not in results.arms:
        hint = did_you_mean(arm, results.arms)
        raise UserError(f"no arm {arm!r}{hint} (arms: {', '.join(results.arms)})")
    if seed not in results.seeds.get(arm, [seed]):
        raise UserError(f"--seed: {arm} was trained with seeds {results.seeds[arm]}")
    stages = results.arms[arm].stages
    node = f"seed{seed}/{'>'.join(stages)}" if stages else "base"
    kind = "stage" if stages else "base"
    mark, place = results.fingerprints.get(node), Store(store)
    if mark is None or not place.complete(kind, mark):
        raise UserError(
            f"{store}: no model of arm {arm!r}, seed {seed}; name the run's store with --store"
        )
    return Path(model_folder(place.folder(kind, mark)))
