"""A plan's domains, subdomains and ideas asked of a model, level by level.

Assertions come from the constitution and document types from the grammar, as in the shipped plan.
Leaves out: pruning, which is a person's, and asking for documents.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from whyfirst.config.strict import StrictModel, load_yaml
from whyfirst.constitution import Constitution
from whyfirst.explain.lists import ask_lists
from whyfirst.explain.plan import (
    Domain,
    Domains,
    Idea,
    Ideas,
    Subdomain,
    Subdomains,
    save_levels,
    shipped_levels,
)
from whyfirst.models.base import Chat, LanguageModel, Message, Sampling

_SAMPLING = Sampling(max_new_tokens=4096, temperature=0.8)


def plan_with(
    model: LanguageModel,
    constitution: Constitution,
    folder: Path,
    value_ids: Sequence[str] | None = None,
    *,
    domains: int = 8,
    subdomains: int = 4,
    ideas: int = 6,
) -> dict[str, StrictModel]:
    """Every level, each written to `folder` before the next is asked for.

    A level whose file is there already is read instead, so that an edited or interrupted plan is
    continued.

    Raises:
        UserError: the model gives no usable list, or an unknown value id.
        ConfigError: a level's file has an error.
    """
    levels = dict(shipped_levels(constitution, value_ids))
    save_levels({k: levels[k] for k in ("assertions", "types")
                 if not (folder / f"{k}.yaml").is_file()}, folder)  # fmt: skip
    chosen = constitution.values if value_ids is None else map(constitution.value, value_ids)
    values = "; ".join(f"{v.name}: {v.statement}" for v in chosen)
    place = folder / "domains.yaml"
    if not place.is_file():
        save_levels({"domains": _domains(model, values, domains)}, folder)
    levels["domains"] = known = load_yaml(place, Domains)
    place = folder / "subdomains.yaml"
    if not place.is_file():
        save_levels({"subdomains": _subdomains(model, known, subdomains)}, folder)
    levels["subdomains"] = below = load_yaml(place, Subdomains)
    place = folder / "ideas.yaml"
    if not place.is_file():
        save_levels({"ideas": _ideas(model, known, below, ideas)}, folder)
    levels["ideas"] = load_yaml(place, Ideas)
    return levels


def _asked(question: str, keys: tuple[str, ...], count: int) -> Chat:
    form = json.dumps([dict.fromkeys(keys, "…")], ensure_ascii=False)
    return (
        Message(
            "user", f"{question}\nGive {count}, all different, as JSON and nothing else: {form}"
        ),
    )


def _domains(model: LanguageModel, values: str, count: int) -> Domains:
    question = (
        f"An assistant has these values. {values}\nName settings of human life in which they come "
        "up naturally, as short noun phrases."
    )
    rows = ask_lists(model, [_asked(question, ("name",), count)], ("name",), _SAMPLING, "domains")[
        0
    ]
    return Domains(domains=[
        Domain(id=f"d{i}", name=row["name"]) for i, row in enumerate(rows[:count], start=1)
    ])  # fmt: skip


def _subdomains(model: LanguageModel, domains: Domains, count: int) -> Subdomains:
    keys = ("name", "place", "who", "doing")
    kept = [d for d in domains.domains if d.keep]
    prompts = [
        _asked(
            f"Domain: {d.name}. Name places within it. For each: a short name; the place as it "
            'follows "she was" (such as "in a hospital ward"); who is there (such as "a night '
            'nurse"); and what that person is doing (such as "checking the list").',
            keys,
            count,
        )
        for d in kept
    ]
    lists = ask_lists(model, prompts, keys, _SAMPLING, "subdomains")
    return Subdomains(subdomains=[
        Subdomain.model_validate({"id": f"{d.id}s{i}", "domain": d.id, **row})
        for d, rows in zip(kept, lists, strict=True) for i, row in enumerate(rows[:count], start=1)
    ])  # fmt: skip


def _ideas(model: LanguageModel, domains: Domains, below: Subdomains, count: int) -> Ideas:
    kept_domains = {d.id for d in domains.domains if d.keep}
    kept = [s for s in below.subdomains if s.keep and s.domain in kept_domains]
    prompts = [
        _asked(
            f"Place: {s.name}, {s.place}; {s.who}, {s.doing}. Name occasions on which something "
            "worth telling happens there, each in one short sentence, without names or dates.",
            ("text",),
            count,
        )
        for s in kept
    ]
    lists = ask_lists(model, prompts, ("text",), _SAMPLING, "ideas")
    return Ideas(ideas=[
        Idea(subdomain=s.id, text=row["text"])
        for s, rows in zip(kept, lists, strict=True) for row in rows[:count]
    ])  # fmt: skip
