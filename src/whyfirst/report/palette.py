"""One colour and one marker shape per arm, the same in every figure.

Colours are Okabe and Ito's (2008), with a darker outline where their fill has less than 3:1
contrast; they live in `templates/style.css` as classes `c0` to `c8`. Shapes repeat the distinction
for readers and printers without colour. Leaves out: choosing colours for values or verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SHAPES = (
    "circle", "square", "up", "diamond", "down", "plus", "cross", "hexagon", "bar",
)  # fmt: skip

# The arms every study can name keep their colour from study to study.
KNOWN = {
    "base": 0,
    "direct": 1,
    "explain_only": 2,
    "explain_first": 3,
    "explain_other_first": 4,
    "rules_first": 5,
    "shuffled_first": 6,
    "neutral_first": 7,
    "direct_longer": 8,
}


@dataclass(frozen=True)
class ArmStyle:
    """How an arm is drawn: CSS class (colour) and marker shape."""

    css: str
    shape: str


def arm_styles(arms: Iterable[str]) -> dict[str, ArmStyle]:
    """A style for each arm: known names keep theirs, others take free slots in order.

    Past nine arms colours repeat with another shape.
    """
    names = list(dict.fromkeys(arms))
    slots = {name: KNOWN[name] for name in names if name in KNOWN}
    free = [slot for slot in range(len(SHAPES)) if slot not in slots.values()]
    for position, name in enumerate(name for name in names if name not in slots):
        slots[name] = free[position] if position < len(free) else len(SHAPES) + position - len(free)
    return {
        name: ArmStyle(f"c{slot % 9}", SHAPES[(slot + slot // 9) % 9])
        for name, slot in slots.items()
    }
