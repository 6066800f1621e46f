"""One probe on the models of several arms and seeds: what it gives compares them with each other.

Nothing is computed of a study that isn't asked to be probed, and no other node's fingerprint
changes. Leaves out: the probes themselves (probe/) and checking the file (names.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import sha256_json, write_json
from whyfirst.config.room import Use
from whyfirst.config.source import source_of
from whyfirst.config.strict import output_fields
from whyfirst.constitution import load_constitution
from whyfirst.study.decisive import decisive
from whyfirst.study.located import answering
from whyfirst.study.materials import PretrainedModel
from whyfirst.study.nodes.base import model_folder
from whyfirst.study.nodes.builder import Builder
from whyfirst.study.nodes.kind import NodeKind, Progress, machine
from whyfirst.worlds import WORLDS, World

if TYPE_CHECKING:
    from whyfirst.models.local import LocalModel
    from whyfirst.probe.pairs import Items

FINDINGS = "probe.json"
SECONDS = 6.0
"""Rough seconds a probe takes for each model, on one core."""


def plan_all(builder: Builder, stages: Mapping[tuple[str, int], Sequence[str]]) -> None:
    """Add a node for every probe the study names.

    Args:
        stages: (arm, seed) -> its stage nodes, as planned.

    Raises:
        ConfigError, DataError: pairs or requests that can't be read or don't suffice.
    """
    from whyfirst.probe.record import PROBES, lacking

    study, use = builder.study, builder.study.probe
    if use is None:
        return
    models = {
        arm: {seed: (stages[arm, seed] or [builder.plan("base", seed)])[-1] for seed in seeds}
        for arm, seeds in study.probed().items()
    }
    depends = tuple(dict.fromkeys(node for seeds in models.values() for node in seeds.values()))
    config, outside, extra = _asked(builder)
    items = _items(config, extra)
    missing = set(use.values or ()) - {pair.value for pair in items.pairs}
    if missing:
        raise ConfigError(
            f"{builder.file}: probe.values: no pair is about {', '.join(sorted(missing))}"
        )
    for name, reason in lacking(use.probes, tuple(models), items).items():
        raise ConfigError(f"{builder.file}: probe.probes: {name} can't be run, since {reason}")
    # By arm and seed, which of the inputs is its model.
    config["models"] = {
        arm: {str(seed): depends.index(node) for seed, node in seeds.items()}
        for arm, seeds in models.items()
    }
    config["device"] = builder.device
    if isinstance(study.model, PretrainedModel):
        identity, runnable = answering(study.model, builder)
        config |= identity
        extra["model"] = runnable
    for name in use.probes:
        source = source_of(PROBES.get(name).function)
        builder.add(
            f"probe:{name}", "probe", config | {"probe": name}, depends,
            version=PROBES.get(name).version,
            outside=outside | ({"source": source} if source else {}), extra=extra,
            weight=SECONDS * sum(map(len, models.values())), name=name,
        )  # fmt: skip


def _asked(builder: Builder) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """What decides the items: for the fingerprint, files by content, and where they are."""
    use = builder.study.probe
    assert use is not None
    options = output_fields(use)
    config = {name: options[name] for name in ("values", "limit", "constitution")}
    outside: dict[str, str] = {}
    extra: dict[str, Any] = {}
    for name in ("pairs", "requests"):
        given = getattr(use, name)
        if given is not None:
            outside[name] = builder.content(given, f"probe.{name}")
            extra[name] = str(builder.path(given))
    if use.constitution is not None:
        extra["constitution"] = builder.shipped_or_file(use.constitution)
        constitution = load_constitution(extra["constitution"])
        outside["constitution"] = sha256_json(decisive(constitution))
    elif use.pairs is None and builder.world is not None and builder.study.world is not None:
        config |= builder.world.identity
        extra["world"] = builder.study.world.model_dump(mode="json")
    return config, outside, extra


def _items(config: Mapping[str, Any], places: Mapping[str, Any]) -> "Items":
    """What the models are probed on."""
    from whyfirst.probe import sources
    from whyfirst.probe.pairs import read_pairs

    if "world" in places:
        world: World = WORLDS.make(Use(**places["world"]))
        items = world.probe_items(config["limit"])
    else:
        requests = Path(places["requests"]) if "requests" in places else None
        if "constitution" in places:
            pairs = sources.constitution_pairs(load_constitution(places["constitution"]))
        else:
            pairs = read_pairs(Path(places["pairs"]))
        items = sources.file_items(pairs, requests)
    if config["values"] is None:
        return items
    kept = [pair for pair in items.pairs if pair.value in config["values"]]
    return replace(items, pairs=kept)


def run(payload: Mapping[str, Any], folders: list[Path], folder: Path, progress: Progress) -> None:
    """Run one probe on the models in `folders`, and write its findings.

    Raises:
        UserError: a model that is no causal decoder, or items a probe can't be run on.
    """
    from whyfirst.probe.record import ProbeOptions, run_probe

    config = payload["config"]
    write_json(folder / "machine.json", machine(config))
    given = payload.get("model", {})
    models = {
        arm: {int(seed): _opener(given, folders[place]) for seed, place in seeds.items()}
        for arm, seeds in config["models"].items()
    }
    options = ProbeOptions()  # activations go to a temporary folder: they are large, and quick
    found = run_probe(config["probe"], models, _items(config, payload), options, progress)
    write_json(folder / FINDINGS, found.to_json())


def _opener(given: Mapping[str, Any], folder: Path) -> "Callable[[], LocalModel]":
    def load() -> "LocalModel":
        from whyfirst.models.local import LocalModel
        from whyfirst.models.reference import ModelRef, open_model

        found = open_model(ModelRef(**{**given, "path": model_folder(folder)}))
        assert isinstance(found, LocalModel)  # endpoints were refused
        return found

    return load


KIND = NodeKind(None, run)
