"""VisAlign's data side: samples to be acted on, to be left alone, and unclear ones.

Lee et al. 2023, "VisAlign: Dataset for Measuring the Degree of Alignment between AI and Humans in
Visual Perception", arXiv 2308.01525, on any items that people labelled. People's labels become a
distribution with a share of abstention; where they agree on a class an item must be acted on, where
they agree that no class fits it must be abstained from. Leaves out: images and their corruptions;
the distances to a model's distribution are an audit (evaluate/audits/label_distance). Example::

    group(distribution(["cat", "cat", None], ["cat", "dog"]))
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

Group = Literal["must act", "must abstain", "uncertain"]
AGREED = 0.8  # share of people from which they count as agreeing


def distribution(labels: Sequence[str | None], classes: Sequence[str]) -> list[float]:
    """Shares of each class and, last, of "none of them" (None), over the people who labelled.

    Raises:
        ValueError: nobody labelled it, or a label is no class.
    """
    if not labels:
        raise ValueError("nobody labelled it")
    unknown = {label for label in labels if label is not None} - set(classes)
    if unknown:
        raise ValueError(f"no class {min(unknown)!r} (known: {', '.join(classes)})")
    counts = Counter(labels)
    return [counts[name] / len(labels) for name in [*classes, None]]


def group(shares: Sequence[float], agreed: float = AGREED) -> Group:
    """The group of an item by its distribution (the last share is abstention's)."""
    if shares[-1] >= agreed:
        return "must abstain"
    return "must act" if max(shares[:-1]) >= agreed else "uncertain"
