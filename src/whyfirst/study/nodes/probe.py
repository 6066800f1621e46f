"""One probe on the models of several arms and seeds: what it gives compares them with each other.

Nothing is computed of a study that isn't asked to be probed, and no other node's fingerprint
changes. Leaves out: the probes themselves (probe/) and checking the file (names.py).
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_json, write_json
from whyfirst.config.plugins import source_of
from whyfirst.config.room import Use
from whyfirst.config.strict import decisive, output_fields
from whyfirst.constitution import load_constitution
from whyfirst.explain.explanation import REASONED
from whyfirst.models.base import Sampling
from whyfirst.probe.intervention import doses
from whyfirst.probe.pairs import Items, constitution_pairs, file_items, read_pairs
from whyfirst.probe.record import PROBES, ProbeOptions, lacking, run_probe
from whyfirst.study.cost.parts import Ahead, Counting, Tally, Work
from whyfirst.study.nodes import base
from whyfirst.study.nodes.base import model_folder, study_model
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.evaluation import answered_by, answering_work
from whyfirst.study.nodes.files import Spec
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.study.schema import StudyFile
from whyfirst.worlds import WORLDS, World

FINDINGS = "probe.json"
# The controls that a plan means without naming them: older plans knew no others.
_BEFORE = ("rules_first", "shuffled_first", "neutral_first", "direct_longer")
SECONDS = 6.0  # roughly, of a probe for each model


def plan_all(
    builder: Builder, stages: Mapping[tuple[str, int], Sequence[str]], firsts: Mapping[str, str]
) -> None:
    """Add a node for every probe the study names.

    Args:
        stages: (arm, seed) -> its stage nodes, as planned.
        firsts: as `of_probes`.

    Raises:
        ConfigError, DataError: pairs or requests that can't be read or don't suffice.
    """
    study, use = builder.study, builder.study.probe
    if use is None:
        return
    models = {
        arm: {seed: (stages[arm, seed] or [base.plan(builder, seed)])[-1] for seed in seeds}
        for arm, seeds in study.probed().items()
    }
    depends = tuple(dict.fromkeys(node for seeds in models.values() for node in seeds.values()))
    spec, at = Spec(), f"{builder.file}: probe"
    trained = {arm: len(seeds) for arm, seeds in models.items() if study.arms[arm].stages}
    # Probes put an arm's one model beside every seed of the others.
    if study.world is not None and 1 in trained.values() and max(trained.values()) > 1:
        few, most = (pick(trained, key=trained.__getitem__) for pick in (min, max))
        raise ConfigError(
            f"{at}: arm {few!r} has one seed and {most!r} {trained[most]}, and each seed of a "
            "world asks about somebody else; give them as many seeds, or `seeds: 1` here"
        )
    options = output_fields(use)
    spec.config = {name: options[name] for name in ("values", "limit", "constitution")}
    for name in ("pairs", "requests"):
        given = getattr(use, name)
        if given is not None:
            spec.contents[name], spec.extra[name] = builder.files.data(given, f"probe.{name}")
    if use.constitution is not None:
        spec.extra["constitution"] = builder.files.shipped_or_file(use.constitution)
        constitution = load_constitution(spec.extra["constitution"])
        spec.contents["constitution"] = sha256_json(decisive(constitution))
    elif use.pairs is None and builder.world is not None and study.world is not None:
        spec.config |= builder.world.identity
        spec.extra["world"] = study.world.model_dump(mode="json")
    items = _items(spec.config, spec.extra)
    missing = set(use.values or ()) - {pair.value for pair in items.pairs}
    if missing:
        raise ConfigError(f"{at}.values: no pair is about {', '.join(sorted(missing))}")
    arms = of_probes(study, firsts)
    if decisive_arms := arms.decisive(models):
        spec.config["arms"] = decisive_arms
    for name, reason in lacking(use.probes, tuple(models), items, arms.direct).items():
        raise ConfigError(f"{at}.probes: {name} can't be run, since {reason}")
    # By arm and seed, which of the inputs is its model.
    spec.config["models"] = {
        arm: {str(seed): depends.index(node) for seed, node in seeds.items()}
        for arm, seeds in models.items()
    }
    answered_by(builder, spec)
    weight = SECONDS * sum(map(len, models.values()))
    for name in use.probes:
        entry = PROBES.get(name)
        source = source_of(entry.function)
        contents = spec.contents | ({"source": source} if source else {})
        builder.add(
            f"probe:{name}", KIND, Spec(spec.config | {"probe": name}, contents, spec.extra),
            depends, version=entry.version, weight=weight, name=name,
        )  # fmt: skip


@dataclass(frozen=True)
class ProbedArms:
    """Which arms of a study mean what to its probes.

    Attributes:
        method: the arm the study is made for.
        direct: the arm trained like it without any documents.
        controls: arms trained like it on other documents or on more of the same: what they show
            too is not the explanations' doing.
        without: arms that read no reasons, the base and `direct` among them.
    """

    method: str
    direct: str
    controls: tuple[str, ...]
    without: tuple[str, ...]

    @property
    def shown(self) -> dict[str, Any]:
        """What a report is told."""
        return {"method": self.method, "without": list(self.without)}

    def decisive(self, probed: Container[str]) -> dict[str, Any]:
        """What of it decides the findings on some arms; nothing where it is as it always was."""
        controls = [arm for arm in self.controls if arm in probed]
        before = [arm for arm in _BEFORE if arm in probed]
        usual = (self.method, self.direct) == (ProbeOptions.method, ProbeOptions.direct)
        if usual and set(controls) == set(before):
            return {}
        return {"method": self.method, "direct": self.direct, "controls": controls}


def of_probes(study: StudyFile, firsts: Mapping[str, str]) -> ProbedArms:
    """Read off the arms: what each reads first, and what it is trained on after that.

    Args:
        firsts: arm -> the stage it begins with, of those that begin with documents.
    """
    after = {
        name: tuple(study.stages[stage].data for stage in arm.stages[name in firsts :])
        for name, arm in study.arms.items()
        if not arm.dressed
    }
    reads = {
        name: study.corpora[study.stages[stage].data].options.get("documents")
        for name, stage in firsts.items()
    }
    headline = next((c.a for c in study.contrasts if c.name == study.headline), "")
    method = headline if headline in firsts and headline in after else ProbeOptions.method
    alike = [name for name in after if method in after and after[name] == after[method]]
    bare = [name for name in alike if name not in firsts and after[name]]
    # Alignment of the same rows alone; a second such arm has more of it.
    lasts = study.arms[method].stages[1:] if method in firsts else ()
    direct = next((n for n in bare if study.arms[n].stages == lasts), ProbeOptions.direct)
    controls = tuple(
        name for name in alike
        if name not in (method, direct) and (name in bare or reads.get(name) != "explanations")
    )  # fmt: skip
    base = [name for name, arm in study.arms.items() if not arm.stages and not arm.dressed]
    reasonless = [name for name in controls if reads.get(name) not in REASONED]
    return ProbedArms(method, direct, controls, (*base, direct, *reasonless))


def items_on(places: Mapping[str, Any], limit: int | None = None) -> Items:
    """What models are probed on: a world's items, or pairs of statements and a file's requests."""
    if "world" in places:
        world: World = WORLDS.make(Use(**places["world"]))
        return world.probe_items(limit)
    requests = Path(places["requests"]) if "requests" in places else None
    if "constitution" in places:
        pairs = constitution_pairs(load_constitution(places["constitution"]))
    else:
        pairs = read_pairs(Path(places["pairs"]))
    return file_items(pairs, requests)


def _items(config: Mapping[str, Any], places: Mapping[str, Any]) -> Items:
    items, values = items_on(places, config["limit"]), config["values"]
    kept = [pair for pair in items.pairs if values is None or pair.value in values]
    return replace(items, pairs=kept)


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """Run one probe on the models in `folders`, and write its findings.

    Raises:
        UserError: a model that is no causal decoder, or items a probe can't be run on.
    """
    from whyfirst.models.local import LocalModel

    config = payload["config"]
    write_json(folder / "machine.json", machine(config))

    def load(place: int) -> LocalModel:
        model = study_model(payload, model_folder(folders[place]))
        assert isinstance(model, LocalModel)  # endpoints were refused
        return model

    models = {
        arm: {int(seed): partial(load, place) for seed, place in seeds.items()}
        for arm, seeds in config["models"].items()
    }
    # Activations go to a temporary folder: they are large, and quick to compute again.
    arms = config.get("arms", {"controls": _BEFORE})
    kept = folder / "answers.jsonl"
    options = ProbeOptions(**arms | {"controls": tuple(arms["controls"]), "kept": kept})
    findings = run_probe(config["probe"], models, _items(config, payload), options, progress)
    write_json(folder / FINDINGS, findings.to_json())
    for left in folder.glob(f"{kept.name}*"):
        left.unlink()


def cost(ahead: Ahead) -> Iterator[Work]:
    """Statements read once by each model and requests answered by it, under interventions once for
    each dose. Patching's passes over its layers are not counted."""
    for name, nodes in ahead.by_name("probe").items():
        config, payload = nodes[0].payload["config"], nodes[0].payload
        items, models = _items(config, payload), sum(map(len, config["models"].values()))
        # What one model is asked once: for its answers, and for the odds that they refuse.
        prompts, counting = [request.prompt for request in items.requests(0)], Counting(talks=False)
        counting.generate(prompts, sampling=Sampling(max_new_tokens=items.max_new_tokens))
        counting.loglikelihood([(prompt, ()) for prompt in prompts])
        asked = counting.asked
        times = models * (len(doses(ProbeOptions.coefficients)) if name == "intervention" else 1)
        statements = sum(len(pair.violated) + len(pair.upheld) for pair in items.pairs)
        read, written = models * statements + times * asked.read, times * asked.generated
        tally = Tally(times * asked.calls, read, written, asked.longest)
        yield from answering_work(ahead, nodes, tally, 200.0 * times)


KIND = NodeKind("probe", run, cost=cost)
