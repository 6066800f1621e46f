"""A plan's domains, subdomains and ideas asked of a model, level by level.

Assertions come from the constitution and document types from the grammar, as in the shipped plan.
Leaves out: pruning, which is a person's, and asking for documents.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

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
from whyfirst.models.base import Chat, LanguageModel, Sampling, asked

L = TypeVar("L", bound=StrictModel)
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
    # Behaviours are the constitution's to say and document types the grammar's: no model is asked.
    levels = dict(shipped_levels(constitution, value_ids))
    save_levels({k: levels[k] for k in ("assertions", "types")
                 if not (folder / f"{k}.yaml").is_file()}, folder)  # fmt: skip

    def rows(
        what: str, keys: tuple[str, ...], count: int, questions: Sequence[str]
    ) -> list[list[dict[str, str]]]:
        """What the model names, a list for each question."""
        form = json.dumps([dict.fromkeys(keys, "…")], ensure_ascii=False)
        prompts: list[Chat] = [
            asked(f"{question}\nGive {count}, all different, as JSON and nothing else: {form}")
            for question in questions
        ]
        return [some[:count] for some in ask_lists(model, prompts, keys, _SAMPLING, what)]

    def level(kind: type[L], ask: Callable[[], L]) -> L:
        """A level as its file has it; asked for where there is none."""
        name = kind.__name__.lower()
        if not (folder / f"{name}.yaml").is_file():
            save_levels({name: ask()}, folder)
        read = load_yaml(folder / f"{name}.yaml", kind)
        levels[name] = read
        return read

    chosen = constitution.values if value_ids is None else map(constitution.value, value_ids)
    values = "; ".join(f"{v.name}: {v.statement}" for v in chosen)
    settings = level(Domains, lambda: Domains(domains=[
        Domain(id=f"d{i}", name=row["name"])
        for i, row in enumerate(rows("domains", ("name",), domains, [
            f"An assistant has these values. {values}\nName settings of human life in which they "
            "come up naturally, as short noun phrases."
        ])[0], start=1)
    ]))  # fmt: skip
    # What a person has pruned is asked nothing about.
    kept = [d for d in settings.domains if d.keep]
    below = level(Subdomains, lambda: Subdomains(subdomains=[
        Subdomain.model_validate({"id": f"{d.id}s{i}", "domain": d.id, **row})
        for d, some in zip(kept, rows("subdomains", ("name", "place", "who", "doing"), subdomains, [
            f"Domain: {d.name}. Name places within it. For each: a short name; the place as it "
            'follows "she was" (such as "in a hospital ward"); who is there (such as "a night '
            'nurse"); and what that person is doing (such as "checking the list").'
            for d in kept
        ]), strict=True)
        for i, row in enumerate(some, start=1)
    ]))  # fmt: skip
    places = [s for s in below.subdomains if s.keep and s.domain in {d.id for d in kept}]
    level(Ideas, lambda: Ideas(ideas=[
        Idea(subdomain=s.id, text=row["text"])
        for s, some in zip(places, rows("ideas", ("text",), ideas, [
            f"Place: {s.name}, {s.place}; {s.who}, {s.doing}. Name occasions on which something "
            "worth telling happens there, each in one short sentence, without names or dates."
            for s in places
        ]), strict=True)
        for row in some
    ]))  # fmt: skip
    return levels
