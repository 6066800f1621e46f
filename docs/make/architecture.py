"""Writes docs/architecture.md and its drawing from the package's real imports.

``python docs/make/architecture.py``; a test fails when either is stale. The drawing shows an import
only where no other way down says it already (the transitive reduction). Leaves out: imports within
one part of the house.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping

from imports import ARTICLES, FLOORS, PARTS, ROOT, arrows

PAGE = ROOT / "docs" / "architecture.md"
DRAWING = ROOT / "docs" / "images" / "architecture.svg"
WIDTH, BOX, HEIGHT, GAP = 860, 232, 44, 40
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#1b1b1b}.n{font-weight:600}.w{font-size:11px;"
    "fill:#444}rect{fill:#f4f1ea;stroke:#8a8371}path{fill:none;stroke:#8a8371;stroke-width:1.3}"
    ".b{fill:#fff;stroke:none}"
)
HEAD = """# The house

What there is, who may import whom, and the way of one row and one stage through it. Made from the
code by `python docs/make/architecture.py`; change that and not this page. How to add a method:
[extending.md](extending.md).

![The floors of the house](images/architecture.svg)

Imports go downwards only, also those inside functions; `tests/test_house.py` fails on an arrow up
and on any two files that import each other. A line in the drawing is an import that no other way
down says already. A folder's methods (objectives, decodings, scorers, ...) are a file each, and
nobody imports them: a `Room` finds them by name.

| part | is | imports from |
|---|---|---|
"""
#: the way of one row: what happens -> the functions where it does
ROW = (
    ("A study file is read, each key with its line, and what is wrong is said at its place.",
     "whyfirst.config.strict_yaml.read_yaml", "whyfirst.study.config.load_study"),
    ("Files of one's own are loaded, and every method named is looked up and its options checked.",
     "whyfirst.config.plugins.use", "whyfirst.config.room.Room.problems"),
    ("The file becomes a graph of nodes, each with the fingerprint of all it depends on.",
     "whyfirst.study.plan.build_plan", "whyfirst.study.nodes.builder.Builder.add",
     "whyfirst.study.execute.graph.make_fingerprint"),
    ("A corpus node reads the row: a source gives it, from a file here.",
     "whyfirst.study.nodes.corpus.run", "whyfirst.study.sources.file.file",
     "whyfirst.config.files.read_jsonl"),
    ("A stage node hands the rows to its kind, which renders them with the model's chat template "
     "and makes tokens of them, the prompt's untrained.",
     "whyfirst.study.nodes.stage.run", "whyfirst.train.run.run_stage",
     "whyfirst.train.encode.encode", "whyfirst.train.encode.demonstrations",
     "whyfirst.models.chat.ChatTemplate"),
    ("Before anything is trained it is checked: truncation, end of text, overlap with benchmarks.",
     "whyfirst.train.preflight.examine", "whyfirst.train.preflight.settle"),
    ("Which rows make which update is fixed by the seed; they are laid out and trained on.",
     "whyfirst.train.plan.make_plan", "whyfirst.train.collate.lay_out",
     "whyfirst.train.trainer.token_trainer"),
    ("The model is asked a benchmark's items, with the arm's edits and decoding round it; what it "
     "said is decided, and scored.",
     "whyfirst.study.nodes.evaluation.run", "whyfirst.evaluate.responses.Responses.run",
     "whyfirst.models.said.answer", "whyfirst.evaluate.scorers.Scorer.score"),
    ("Verdicts of all seeds become cells and contrasts with their intervals.",
     "whyfirst.study.results.table.read_tables", "whyfirst.stats.statistics.compare",
     "whyfirst.stats.crossed.estimate"),
    ("They stand in results.json, and on the page.",
     "whyfirst.study.results.assemble.assemble", "whyfirst.report.schema.Results",
     "whyfirst.report.html.report_html"),
)  # fmt: skip
#: the way of one stage, from its name in a file to its place in the store
STAGE = (
    ("`train: {kind: sft, ...}` is read by the options of that kind, each declared as deciding the "
     "result or not.",
     "whyfirst.train.kinds.kind_of", "whyfirst.config.strict.affects_output"),
    ("It becomes a node behind the model it starts from and the corpora it reads; a stage that "
     "several arms share is one node.",
     "whyfirst.study.nodes.stage.chain"),
    ("What it takes is reckoned, and told before anything runs.",
     "whyfirst.study.nodes.stage.cost", "whyfirst.study.cost.arithmetic"),
    ("Where the store has it, nothing is done; else a worker is given it, under a lock.",
     "whyfirst.study.execute.executor.run_graph", "whyfirst.study.execute.worker.serve",
     "whyfirst.study.execute.store.Store.hold"),
    ("It goes on from the last whole checkpoint of an attempt that was killed.",
     "whyfirst.train.checkpoint.resume_point", "whyfirst.train.offline.train_offline"),
    ("Its weights are saved, and COMPLETE.json, written last, makes it count.",
     "whyfirst.train.weights.save_model", "whyfirst.study.execute.store.Store.finish"),
)  # fmt: skip


def reduced(needs: Mapping[str, set[str]]) -> dict[str, list[str]]:
    """The arrows that no longer way down replaces, of a graph without circles."""

    def below(part: str) -> set[str]:
        return needs[part].union(*(below(other) for other in needs[part]))

    return {
        part: sorted(own - set().union(*(below(other) for other in own)))
        for part, own in needs.items()
    }


def graph() -> dict[str, set[str]]:
    """Part -> the parts it imports from."""
    found: dict[str, set[str]] = {part: set() for part in PARTS}
    for part, needed in arrows():
        found[part].add(needed)
    return found


def drawing() -> str:
    """The floors as SVG, the ground below."""
    floors = list(reversed(FLOORS))
    height = len(floors) * (HEIGHT + GAP) + GAP // 2
    top = ET.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {height}", role="img"
    )
    ET.SubElement(top, "title").text = "Parts of whyfirst and their imports, all downwards"
    ET.SubElement(top, "style").text = STYLE
    ET.SubElement(top, "rect", {"class": "b", "width": str(WIDTH), "height": str(height)})
    places = {}
    for row, floor in enumerate(floors):
        step = WIDTH // len(floor)
        for column, part in enumerate(floor):
            # Lone boxes stand in steps, so that a line past one of them is seen.
            shift = (-1, 0, 1)[row % 3] * BOX // 2 if len(floor) == 1 else 0
            places[part] = (column * step + step // 2 + shift, GAP // 2 + row * (HEIGHT + GAP))
    for part, needed in reduced(graph()).items():
        x, y = places[part]
        for other in needed:
            to, down = places[other]
            bend = (down - y - HEIGHT) // 2
            line = f"M{x} {y + HEIGHT}C{x} {y + HEIGHT + bend} {to} {down - bend} {to} {down}"
            ET.SubElement(top, "path", d=line)
    for part, (x, y) in places.items():
        box = {"x": str(x - BOX // 2), "y": str(y), "width": str(BOX), "height": str(HEIGHT)}
        ET.SubElement(top, "rect", box, rx="4")
        said = ((part, 18, "n"), (ARTICLES[part], 35, "w"))
        for text, lower, kind in said:
            at = {"x": str(x), "y": str(y + lower), "class": kind, "text-anchor": "middle"}
            ET.SubElement(top, "text", at).text = text
    ET.indent(top)
    return ET.tostring(top, encoding="unicode") + "\n"


def page() -> str:
    """The whole page."""
    rows = []
    for floor in reversed(FLOORS):
        for part in floor:
            needs = ", ".join(sorted(graph()[part])) or "nothing"
            rows.append(f"| `{part}` | {PARTS[part]} | {needs} |")
    parts = [HEAD + "\n".join(rows) + "\n"]
    for title, way in (
        ("One row, from the file to the report", ROW),
        ("One stage, from its name to the store", STAGE),
    ):
        parts.append(f"## {title}\n")
        for number, (said, *places) in enumerate(way, 1):
            named = ", ".join(f"`{place.removeprefix('whyfirst.')}`" for place in places)
            parts.append(f"{number}. {said} {named}")
        parts.append("")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    DRAWING.write_text(drawing(), encoding="utf-8")
