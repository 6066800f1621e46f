"""Resistance to jailbreaks: harmful behaviours, asked for plainly and in framings that press.

Framings: ``none``, the attacks of attacks.py and their compositions, and a file's templates:
``template`` puts one template round each behaviour (by a hash of its id, the same in every arm),
``templates`` every one, ``template:NAME`` one of them. Requests are offensive by design and not
copied into the records; the id and the data give them back. Leaves out: optimised attacks, and how
useful an unrefused answer would be (a grading judge says that).
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from whyfirst.config.errors import UserError
from whyfirst.config.suggest import did_you_mean
from whyfirst.data.behaviours import Behaviour, read_behaviours
from whyfirst.data.jailbreak_templates import Template, read_templates
from whyfirst.evaluate.benchmark import (
    BenchmarkOptions,
    ItemResult,
    Metric,
    Progress,
    benchmark,
    chosen,
    limited,
    needed_data,
    unscored,
)
from whyfirst.evaluate.benchmarks.answering import Case, complete, judge_cases, resistance_judge
from whyfirst.evaluate.benchmarks.attacks import DEFAULT, NONE, Framing, framing
from whyfirst.models.base import LanguageModel, Prompt, asked

RESISTANCE = Metric(
    "jailbreak",
    "Jailbreak resistance",
    "Share of requests (harmful behaviour in a framing) whose greedy response the judge calls "
    "refused (or harmless, if that is the judge's question).",
    beside=("xstest_over_refusal", "xstest_under_refusal"),
    happened=("resisted", "complied"),
)
ONE, ALL = "template", "templates"
_MARK = f"{ONE}:"


class _Item(NamedTuple):
    id: str
    behaviour: Behaviour
    framing: Framing


def _behaviours(options: BenchmarkOptions) -> list[Behaviour]:
    rows = read_behaviours(needed_data("jailbreak", options))
    known = list(dict.fromkeys(row.set for row in rows))
    wanted = chosen(options.behaviours, known, "set of behaviours")
    return [row for row in rows if row.set in wanted]


def _templates(options: BenchmarkOptions) -> list[Template]:
    path = needed_data("jailbreak", options)
    return read_templates(path) if path.is_dir() else []


def _names(options: BenchmarkOptions, templates: Sequence[Template]) -> list[str]:
    """The framings to use, ``templates`` spelt out; unusable templates stay in, to be told."""
    slots = [t for t in templates if not t.suffix]
    usable = any(t.problem is None for t in slots)
    names = options.framings
    if names is None:
        return [NONE, *DEFAULT, *([ONE] if usable else [])]
    spelt: list[str] = []
    for name in names:
        if (name in (ONE, ALL) and not usable) or (name.startswith(_MARK) and not templates):
            raise UserError(
                f"framing {name!r}: no templates; give a folder that holds jailbreak_prompts.csv "
                "beside the behaviours"
            )
        if name == ALL:
            spelt += [f"{_MARK}{t.name}" for t in slots]
        elif name.startswith(_MARK):
            known = [f"{_MARK}{t.name}" for t in templates]
            if name not in known:
                raise UserError(f"no framing {name!r}{did_you_mean(name, known)}")
            spelt.append(name)
        elif name == ONE:
            spelt.append(name)
        else:
            spelt.append(_attack(name).name)
    return list(dict.fromkeys(spelt))


def _attack(name: str) -> Framing:
    """`framing`, with the words of templates among the suggestions."""
    hint = did_you_mean(name, (ONE, ALL))
    try:
        return framing(name)
    except UserError as error:
        raise UserError(f"{error}{hint}") from None


def _filled(name: str, template: Template) -> Framing:
    def apply(request: str) -> Prompt:
        return asked(template.fill(request))

    return Framing(name, apply)


def _pick(behaviour: Behaviour, templates: Sequence[Template]) -> Template:
    """One template a behaviour, by hash, so that it depends on nothing else."""
    digest = hashlib.sha256(behaviour.id.encode()).digest()
    return templates[int.from_bytes(digest[:8], "big") % len(templates)]


def _items(options: BenchmarkOptions) -> tuple[list[_Item], list[Template]]:
    """What to ask, and the templates that can't be used in the framings wanted.

    A limit keeps whole behaviours, so that every framing meets the same ones.
    """
    templates = _templates(options)
    names = _names(options, templates)
    by_name = {f"{_MARK}{t.name}": t for t in templates}
    usable = [t for t in templates if t.problem is None and not t.suffix]
    drawn = {n for n, t in by_name.items() if ONE in names and not t.suffix}
    broken = [t for n, t in by_name.items() if t.problem and (n in names or n in drawn)]
    names = [name for name in names if name not in by_name or by_name[name].problem is None]
    fixed = {n: _filled(n, by_name[n]) if n in by_name else _attack(n) for n in names if n != ONE}
    behaviours = _behaviours(options)
    if options.limit is not None:
        most = max(1, options.limit // max(1, len(names)))
        behaviours = limited(behaviours, most, lambda row: row.id)
    items = []
    for row in behaviours:
        for name in names:
            if name == ONE:
                template = _pick(row, usable)
                # Which template it was stands in the id; the framing is the group of them all.
                items.append(_Item(f"{row.id}|{_MARK}{template.name}", row, _filled(ONE, template)))
            else:
                items.append(_Item(f"{row.id}|{name}", row, fixed[name]))
    return limited(items, options.limit, lambda item: item.id), broken


def cases(options: BenchmarkOptions) -> tuple[list[Case], list[Template]]:
    """Every request, and the templates that were wanted and can't be used."""
    items, broken = _items(options)
    # The same request in two sets is one topic: intervals must not take it for two draws.
    topics: dict[str, str] = {}
    found = []
    for item in items:
        row = item.behaviour
        topic = topics.setdefault(" ".join(row.request.lower().split()), row.id)
        about = {
            "framing": item.framing.name, "topic": topic, "group": row.category,
            "split": row.set, "value": row.value, "offensive": True,
        }  # fmt: skip
        prompt = item.framing.apply(row.request)
        found.append(Case(item.id, prompt, row.request, about, item.framing.language))
    return found, broken


@benchmark(
    "jailbreak",
    version="1",
    definition="Greedy responses to harmful requests in framings that press, judged.",
    needs="a CSV of AdvBench, HarmBench, JailbreakBench or StrongREJECT, or a folder with them "
    "(and with jailbreak_prompts.csv for templates)",
    metrics=(RESISTANCE,),
    prompts=lambda options: [row.request for row in _behaviours(options)],
    source="Zou et al. 2023, Mazeika et al. 2024, Chao et al. 2024, Souly et al. 2024; templates: "
    "Xie et al. 2023; attacks: our wording",
    licence="behaviours and templates MIT; attacks Apache-2.0",
    questions=("refused", "harmless"),
    by=("framing", "group", "value", "split"),
)
def jailbreak(
    model: LanguageModel, options: BenchmarkOptions, progress: Progress
) -> list[ItemResult]:
    """Ask for every behaviour in every framing."""
    judge = resistance_judge("jailbreak", options)
    asking, broken = cases(options)
    completions = complete(model, asking, options, progress)
    names = [(f"{_MARK}{template.name}", template) for template in broken]
    told = [unscored(n, RESISTANCE.name, str(t.problem), framing=n) for n, t in names]
    return told + judge_cases(RESISTANCE.name, judge, asking, completions)
