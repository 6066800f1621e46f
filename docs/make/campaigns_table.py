"""Writes what the campaigns have done so far into docs/reliability.md.

``python docs/make/campaigns_table.py`` reads the tallies that `make storm`, `make faults` and `make
fuzz` keep here (campaign-NAME/tally.jsonl; another folder that holds them may be given) and writes
the block between the page's two markers anew; what of it has no tally there stays as it is. Leaves
out: any sentence of judgement.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "campaigns"))
from tally import Tally

PAGE = Path(__file__).parents[1] / "reliability.md"
BEGIN, END = "<!-- campaigns: made by docs/make/campaigns_table.py -->", "<!-- campaigns: end -->"
HEAD = "| campaign | trials | not as promised |\n|---|---|---|\n"
GOOD = ("read", "refused")


def tally(folder: Path, name: str) -> list[dict[str, Any]]:
    """A campaign's trials."""
    return list(Tally(folder / f"campaign-{name}" / "tally.jsonl"))


def storm(trials: list[dict[str, Any]]) -> Iterator[str]:
    """Harms by their kind, and by what was in work."""
    events = [event for trial in trials for event in trial["events"]]
    bad = sum(bool(trial["problems"]) for trial in trials)
    real = sum(len(trial["events"]) for trial in trials if trial["real"])
    yield (
        f"**{len(events):,} harms** in {len(trials):,} storms ({real:,} to commands started "
        f"as a user does): {bad} storms with anything not as promised."
    )
    yield ""
    yield "| harm | to the command | to a worker | to both | with 2 or 3 commands | in all |"
    yield "|---|---|---|---|---|---|"
    for harm, count in Counter(e["harm"] for e in events).most_common():
        mine = [e for e in events if e["harm"] == harm]
        hit = Counter(e["hit"] for e in mine)
        alone = hit["parent"] + hit["group of one"]
        several = sum(e["commands"] > 1 for e in mine)
        both = hit["both"] + hit["group of both"]
        yield f"| {harm} | {alone} | {hit['worker']} | {both} | {several} | {count} |"
    yield ""
    kinds = Counter(kind for event in events for kind in set(event["in_work"]) or {"nothing"})
    kinds["the report"] = sum(event["report"] for event in events)
    listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    yield f"What was in work then: {listed}."


def others(folder: Path, before: list[str]) -> Iterator[str]:
    """A row for each of the other campaigns.

    Args:
        before: the rows that are there, of the same campaigns.
    """
    for name, what, row in zip(
        ("faults", "power", "fuzz"),
        ("faults of the disk", "states after a power cut", "broken files, {} readers"),
        before, strict=True,
    ):  # fmt: skip
        if not (trials := tally(folder, name)):
            yield row
            continue
        bad = sum(t["kind"] not in GOOD if name == "fuzz" else bool(t["problems"]) for t in trials)
        told = what.format(len({t.get("parser") for t in trials}))
        yield f"| {told} | {len(trials):,} | {bad} |"


def main() -> None:
    """Write the block."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    harms, head, rows = old.strip("\n").partition(HEAD)
    trials = tally(folder, "storm")
    told = "\n".join(storm(trials)) + "\n\n" if trials else harms
    block = told + head + "\n".join(others(folder, rows.splitlines()))
    PAGE.write_text(f"{before}{BEGIN}\n{block}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
