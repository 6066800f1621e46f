"""The bases that ship with the package: one folder a world seed, in the Hub's layout.

`whyfirst hearth build` writes them (base.py). The environment variable ``WHYFIRST_HEARTH_ASSETS``
names another folder of ``world-SEED`` folders: bases of one's own, where the package can't be
written. Leaves out: building.
"""

import os
import shutil
from pathlib import Path

from whyfirst.config.errors import StoreError, UserError
from whyfirst.config.files import read_json, sha256_content

_SHIPPED = Path(__file__).parent / "assets"
ROOT = Path(os.environ.get("WHYFIRST_HEARTH_ASSETS") or _SHIPPED)


def base_folder(world_seed: int) -> Path:
    """The shipped base of a world.

    Raises:
        UserError: none ships for this seed; says how to build it.
    """
    folder = ROOT / f"world-{world_seed}"
    if not (folder / "model.safetensors").is_file():
        have = ", ".join(sorted(path.name[6:] for path in ROOT.glob("world-*"))) or "none"
        raise UserError(
            f"no base model ships for Hearth's world {world_seed} (there are: {have}); build it "
            f"with {_how_to_build(world_seed)}"
        )
    return folder


def _how_to_build(world_seed: int) -> str:
    """The command, and where a folder of one's own is told; the package's may not be one's own."""
    command = f"whyfirst hearth build --world {world_seed} --out"
    if ROOT != _SHIPPED:
        return f"`{command} {ROOT / f'world-{world_seed}'}`"
    return (
        f"`{command} bases/world-{world_seed}` and set WHYFIRST_HEARTH_ASSETS=bases, which then "
        "stands for the shipped bases"
    )


def fingerprint(world_seed: int) -> str:
    """Content hash of a shipped base."""
    return sha256_content(base_folder(world_seed))


def copy_base(world_seed: int, target: Path) -> None:
    """Copy a shipped base to ``target``, replacing what an earlier attempt left.

    Raises:
        UserError: the base knows other words than the world has now: it was built by another
            version of the code, and unknown words would silently become one token.
        StoreError: the copy isn't what was copied.
    """
    from whyfirst.worlds.hearth.world import world_of

    tokenizer = base_folder(world_seed) / "tokenizer.json"
    known = set(read_json(tokenizer)["model"]["vocab"])
    if not known.issuperset(world_of(world_seed).vocabulary):
        raise UserError(
            f"{tokenizer.parent}: this base was built for another version of world {world_seed}; "
            f"build it again with {_how_to_build(world_seed)}"
        )
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(base_folder(world_seed), target)
    if sha256_content(target) != fingerprint(world_seed):
        raise StoreError(
            f"{target}: the copy differs from {base_folder(world_seed)}; check the disk"
        )
