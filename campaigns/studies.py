"""The reduced studies of the campaigns: between them every kind of node and of stage, in seconds.

Each is a file in `studies/`; what it needs beside it is written here. Leaves out: running them.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

FILES = {path.stem: path for path in sorted((Path(__file__).parent / "studies").glob("*.yaml"))}
WORLD = 3
_TEXT = (
    "You should help, since it is kind, and people who are hurt need care number {}. Because of "
)


def lay_out(name: str, folder: Path, port: int = 9) -> Path:
    """A study's file, and the files it reads, in a folder of its own.

    Args:
        port: where its endpoint listens; studies without one don't care.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(FILES[name].read_text().replace("PORT", str(port)))
    rows = {
        "texts": [{"text": f"{_TEXT.format(number)}harm we refuse."} for number in range(30)],
        "pairs": [{"prompt": f"How is thing {number} held?", "chosen": " Gently.",
                   "rejected": " No."} for number in range(4)],
    }  # fmt: skip
    for stem, listed in rows.items():
        (folder / f"{stem}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in listed))
    return file


def assets(folder: Path) -> Path:
    """A folder with a tiny base of the studies' world, built once; for WHYFIRST_HEARTH_ASSETS."""
    place = folder / f"world-{WORLD}"
    if not place.exists():
        # In a process of its own: one that has computed can't be forked safely.
        half = folder / f"half-{time.time_ns()}"
        subprocess.run([sys.executable, __file__, str(half)], check=True)
        half.replace(place)
    return folder


def _build(folder: Path) -> None:
    from whyfirst.worlds.hearth.base import BaseRecipe, build_base

    # As few steps as answer with a yes or a no, so that something can be scored.
    recipe = BaseRecipe(
        steps=300, batch_size=8, hidden_size=16, layers=1, heads=2, intermediate_size=32,
        turnover_every=5,
    )  # fmt: skip
    build_base(WORLD, folder, recipe)


if __name__ == "__main__":
    _build(Path(sys.argv[1]))
