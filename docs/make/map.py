"""Writes docs/map.md: where each method stands in the schemes of seven surveys.

``python docs/make/map.py``; a test fails when the page is stale. A place of a scheme names rooms
(all methods of a kind) or some methods of one (``"rewards: masa sar"``); the methods themselves,
their words and papers come from their entries. Leaves out: methods from outside.
"""

from pathlib import Path
from typing import NamedTuple

import methods

PAGE = Path(__file__).parents[1] / "map.md"
HEAD = """# Map

Where each method of this project stands in the schemes of seven surveys: made by
`python docs/make/map.py` from the rooms; change those and not this page. Rooms are in *italics*
where all of their methods stand in a place. *Nobody here* marks a place that no method covers. How
a method is named in a study: [methods.md](methods.md).
"""
_PREFERENCES = (
    "objectives: act aft cpo cyclealign d2o dove dpo hinge ipo kto lipo ln_dpo mah_dpo mm_dpo orpo "
    "physhpo pro simpo", "kinds: dpo kto prefer",
)  # fmt: skip
_RL = (
    "kinds: auto_cei critique_reward grpo ppo reward rloo",
    "objectives: critique_reward",
    "rewards",
)


class Survey(NamedTuple):
    """A scheme: what it is of, and its places with what stands there; none: nobody here."""

    title: str
    about: str
    places: dict[str, tuple[str, ...]]


SURVEYS = (
    Survey(
        "LLM Alignment: A Survey (outer and inner alignment)", "arXiv 2309.15025",
        {
            "outer alignment: reinforcement learning": _RL,
            "outer alignment: supervised learning": (
                "kinds: explain sft", *_PREFERENCES, "objectives: cut poft token_reward", "corpora",
                "generators", "transforms", "selectors",
            ),
            "scalable oversight: decomposition": (
                "rewards: step_judgements",
                "decodings: tpe swap",
            ),
            "scalable oversight: debate": (),
            "scalable oversight: constitutional": (
                "corpora: constitution written", "generators: moral_graph", "rewards: salmon",
                "judges: salmon",
            ),
            "inner alignment: goal misgeneralisation": (
                "benchmarks: hearth readings village", "worlds",
            ),
            "interpretability": ("probes", "edits"),
            "attacks": ("attacks", "benchmarks: jailbreak emergent_misalignment"),
            "evaluation": ("benchmarks", "scorers", "judges", "calibrations", "reproductions"),
            "alignment without training": ("decodings", "surgeries"),
        },
    ),
    Survey(
        "From Instructions to Intrinsic Human Values (levels of the goal)", "arXiv 2308.12014",
        {
            "human instructions": (
                "kinds: sft", "decodings: derived_prompts p_aligner rar", "scorers: constraints",
                "generators: mindgym p_aligner sketch_and_fill", "transforms: rewrites curriculum",
                "objectives: act poft", "rewards: structured_plan relevance",
            ),
            "human preferences": (
                *_PREFERENCES, *_RL, "judges", "calibrations",
                "benchmarks: preference hh_responses hidden_preferences factors",
                "transforms: ratings_to_pairs reward_augmented",
                "corpora: hh_rlhf sample_and_label cyclealign",
            ),
            "human values: principles": (
                "kinds: explain", "corpora: constitution written readings",
                "generators: moral_graph mctsr_zero tomma",
                "transforms: principle_pairs principle_scores dialectical", "rewards: salmon",
                "benchmarks: discretion moral_graph hhh readings",
            ),
            "human values: theories of basic values": ("benchmarks: political_compass survey",),
        },
    ),
    Survey(
        "Bidirectional Human-AI Alignment", "arXiv 2406.09264",
        {
            "align AI to humans: specify values": (
                "corpora: constitution written", "generators: moral_graph",
                "transforms: principle_pairs principle_scores",
            ),
            "align AI to humans: integrate values": (
                "kinds",
                "objectives",
                "rewards",
                "decodings",
                "edits",
            ),
            "align AI to humans: assess values": ("benchmarks", "scorers", "judges", "probes"),
            "of an individual": ("benchmarks: hidden_preferences steerability goal_success",),
            "of a group": ("benchmarks: survey factors moral_graph",),
            "of a society": ("benchmarks: political_compass bold",),
            "align humans to AI: critical thinking": (),
            "align humans to AI: collaboration": ("calibrations: people",),
            "align humans to AI: impact": (),
        },
    ),
    Survey(
        "Aligning Large Language Models with Human: A Survey (the pipeline)", "arXiv 2307.12966",
        {
            "data: from public sets and people": ("corpora: file hh_rlhf",),
            "data: from strong models": (
                "corpora: written generated sample_and_label cyclealign",
                "generators",
            ),
            "data: from grammars and worlds": (
                "corpora: constitution readings hearth village",
                "worlds",
            ),
            "data: managed (selected, mixed, relabelled)": ("transforms", "selectors"),
            "training: supervised": (
                "kinds: explain sft recover",
                "objectives: cut poft token_reward",
                "surgeries",
            ),
            "training: preferences, offline": _PREFERENCES,
            "training: preferences, online": _RL,
            "inference": ("decodings", "edits"),
            "evaluation: benchmarks": ("benchmarks", "attacks", "probes"),
            "evaluation: people": ("reproductions", "calibrations: people"),
            "evaluation: strong models": ("judges", "calibrations", "scorers"),
        },
    ),
    Survey(
        "Alignment and Safety in Large Language Models (paradigms, and what fails)",
        "arXiv 2507.19672",
        {
            "supervised fine-tuning": ("kinds: explain sft",),
            "preference-based": (*_PREFERENCES, *_RL),
            "constitutional": ("corpora: constitution written", "rewards: salmon"),
            "brain-inspired": (),
            "uncertainty of alignment": (
                "benchmarks: honesty_questions label_distance race", "scorers: idk",
                "decodings: rps self_consistency", "rewards: confidence auto_cei",
                "transforms: honesty",
            ),
            "fails by: reward misspecification": ("rewards: length repetition",),
            "fails by: robustness": (
                "attacks",
                "benchmarks: jailbreak xstest multilingual neulr",
                "transforms: contamination",
            ),
            "fails by: oversight": (
                "benchmarks: alignment_faking unintended_deception tin_men discretion",
            ),
            "fails by: pluralism": ("benchmarks: steerability survey political_compass factors",),
        },
    ),
    Survey(
        "Inverse reinforcement learning meets post-training (an MDP without a reward)",
        "arXiv 2507.13158",
        {
            "imitation": ("kinds: explain sft", "objectives: poft", "transforms: expert_iteration"),
            "rewards from preferences": (
                "kinds: critique_reward reward", "objectives: critique_reward",
                "rewards: reward_model flr seq2seq",
                *_PREFERENCES,
            ),
            "rewards from demonstrations": ("objectives: d2o", "rewards: hearth"),
            "rewards that can be verified": (
                "rewards: accuracy code_tests exact_match execution_semantics structured_plan masa "
                "adaptive_exploration think_format step_judgements",
            ),
            "over-optimisation of rewards": ("benchmarks: perplexity",),
        },
    ),
    Survey(
        "Dynamic Normativity (conditions of alignment)", "arXiv 2406.11039",
        {
            "necessary: can it be aligned, may it be": (
                "benchmarks: hearth_recall village_recall hhh",
            ),
            "sufficient: specification": (
                "corpora: constitution written",
                "generators: moral_graph",
            ),
            "sufficient: learning under uncertainty": ("benchmarks: readings honesty_questions",),
            "sufficient: safeguards against side effects": (
                "benchmarks: xstest perplexity steerability",
                "surgeries",
            ),
        },
    ),
)  # fmt: skip


def names_of(place: str) -> tuple[str, list[str]]:
    """(kind, its methods named; all of them where none is).

    Raises:
        ValueError: a method that there isn't.
    """
    kind, _, some = place.partition(":")
    known = [entry.name for entry in methods.entries(kind)]
    if unknown := set(some.split()) - set(known):
        raise ValueError(f"{kind}: no {', '.join(sorted(unknown))}")
    return kind, some.split() or known


def standing(survey: Survey) -> set[tuple[str, str]]:
    """(kind, name) of the methods that stand somewhere in a scheme."""
    found = [names_of(place) for places in survey.places.values() for place in places]
    return {(kind, name) for kind, names in found for name in names}


def page() -> str:
    """The whole page."""
    every = {(kind, entry.name) for kind in methods.TITLES for entry in methods.entries(kind)}
    parts = [HEAD]
    for survey in SURVEYS:
        parts += [f"## {survey.title}\n", f"{survey.about}.\n", "| place | methods |", "|---|---|"]
        for place, here in survey.places.items():
            told = []
            for named in here:
                kind, names = names_of(named)
                title = methods.TITLES[kind][0].lower()
                told.append(f"{title}: {', '.join(names)}" if ":" in named else f"*{title}*")
            parts.append(f"| {place} | {'; '.join(told) or '*nobody here*'} |")
        left = sorted(every - standing(survey))
        kinds = {kind: [name for k, name in left if k == kind] for kind, _ in left}
        said = [f"{methods.TITLES[k][0].lower()}: {', '.join(names)}" for k, names in kinds.items()]
        parts.append(f"\nNot in this scheme: {'; '.join(said) or 'none'}.\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
