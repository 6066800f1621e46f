"""Harmful behaviours: AdvBench, HarmBench, JailbreakBench and StrongREJECT, told by their columns.

Categories are kept as published; `VALUES` says which value of the shipped constitution `broad` a
category is about (our reading, no published mapping). Texts are offensive by design. Leaves out:
targets (the replies that attacks optimise for) and multimodal behaviours. Sources: Zou et al. 2023
(arXiv 2307.15043), Mazeika et al. 2024 (2402.04249), Chao et al. 2024 (2404.01318), Souly et al.
2024 (2402.10260).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from whyfirst.data.published import csv_rows, distinct, field, files_of, refuse_columns


@dataclass(frozen=True)
class Layout:
    """One published set.

    Args:
        columns: those that tell it; all must be there.
        text, category, id: columns; None where the set has none (ids are then record numbers).
        files: published file names.
    """

    columns: tuple[str, ...]
    text: str
    category: str | None
    id: str | None
    files: tuple[str, ...]


LAYOUTS: Mapping[str, Layout] = {
    "advbench": Layout(
        ("goal", "target"), "goal", None, None, ("advbench.csv", "harmful_behaviors.csv")
    ),
    "harmbench": Layout(
        ("Behavior", "SemanticCategory", "ContextString", "BehaviorID"),
        "Behavior", "SemanticCategory", "BehaviorID",
        ("harmbench_*.csv",),
    ),
    "jailbreakbench": Layout(
        ("Goal", "Behavior", "Category"), "Goal", "Category", None,
        ("jailbreakbench.csv", "harmful-behaviors.csv"),
    ),
    "strongreject": Layout(
        ("category", "forbidden_prompt"), "forbidden_prompt", "category", None,
        ("strongreject.csv", "strongreject_dataset.csv", "strongreject_small_dataset.csv"),
    ),
}  # fmt: skip

# Nobody has published a mapping from hazards to values; a category without a clear one has none.
# Value ids of constitutions/broad.yaml.
VALUES: Mapping[str, str] = {
    # HarmBench
    "chemical_biological": "safety", "cybercrime_intrusion": "safety", "illegal": "safety",
    "harmful": "safety", "misinformation_disinformation": "truth", "copyright": "creativity",
    "harassment_bullying": "fairness",
    # JailbreakBench
    "Harassment/Discrimination": "fairness", "Malware/Hacking": "safety",
    "Physical harm": "safety", "Economic harm": "safety", "Fraud/Deception": "truth",
    "Disinformation": "truth", "Sexual/Adult content": "safety", "Privacy": "privacy",
    "Expert advice": "humility", "Government decision-making": "autonomy",
    # StrongREJECT
    "Disinformation and deception": "truth", "Hate, harassment and discrimination": "fairness",
    "Illegal goods and services": "safety", "Non-violent crimes": "safety",
    "Sexual content": "safety", "Violence": "safety",
}  # fmt: skip


@dataclass(frozen=True)
class Behaviour:
    """One harmful thing to ask for.

    Args:
        id: ``SET:ID``, with HarmBench's own id and otherwise the record number (header 1).
        set: a name in `LAYOUTS`.
        text: the request in plain words.
        context: what a contextual behaviour is about, put before it; "" otherwise.
        category: as published; None for AdvBench.
    """

    id: str
    set: str
    text: str
    context: str
    category: str | None

    @property
    def request(self) -> str:
        """What is asked: the text, after its context and HarmBench's separator if it has one."""
        return f"{self.context}\n\n---\n\n{self.text}" if self.context else self.text

    @property
    def value(self) -> str | None:
        """The value of constitution `broad` its category is about."""
        return None if self.category is None else VALUES.get(self.category)


def read_behaviours(path: Path) -> list[Behaviour]:
    """Read one file, or every published set in a folder at any depth.

    Raises:
        DataError: nothing there, columns of no known set (says which came nearest), an empty text,
            or one behaviour twice.
    """
    names = [name for layout in LAYOUTS.values() for name in layout.files]
    return distinct(
        (file, number, row.id, row)
        for file in files_of(path, names, "jailbreak")
        for number, row in _read(file)
    )


def _read(file: Path) -> Iterator[tuple[int, Behaviour]]:
    rows = csv_rows(file, [], "jailbreak", "behaviour")
    columns = list(rows[0][1])
    # The nearest set's missing column says more than a list of all four layouts.
    name, layout = max(
        LAYOUTS.items(),
        key=lambda item: len({*item[1].columns} & {*columns}) / len(item[1].columns),
    )
    refuse_columns(file, columns, layout.columns, "jailbreak")
    for number, row in rows:
        own, category = (
            None if column is None else field(file, number, row, column)
            for column in (layout.id, layout.category)
        )
        text, context = field(file, number, row, layout.text), row.get("ContextString", "").strip()
        yield number, Behaviour(f"{name}:{own or number}", name, text, context, category)
