"""Probes as nodes of a study: one node a probe, over all of its arms and seeds.

What a probe gives compares models with each other, so a node reads all of them; it computes
nothing of a study that isn't asked to be probed, and changes no other node's fingerprint. Leaves
out: the probes themselves (`whyfirst.probe`) and checking the file (probe_use.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyfirst.config.errors import ConfigError
from whyfirst.config.files import read_json, sha256_json, write_json
from whyfirst.config.strict import output_fields
from whyfirst.study.config import decisive
from whyfirst.study.models import answering
from whyfirst.study.planning.corpora import constitution_of

if TYPE_CHECKING:
    from whyfirst.models.local import LocalModel
    from whyfirst.probe.pairs import Items
    from whyfirst.report.parts import ProbeRow
    from whyfirst.study.planning.builder import Builder
    from whyfirst.study.probe_use import ProbeUse

FINDINGS = "probe.json"
#: rough seconds a probe takes for each model, on one core
SECONDS = 6.0


def add(builder: "Builder", stages: Mapping[tuple[str, int], Sequence[str]]) -> None:
    """Add a node for every probe the study names.

    Args:
        stages: (arm, seed) -> its stage nodes, as planned.

    Raises:
        ConfigError, DataError: pairs or requests that can't be read or don't suffice.
    """
    from whyfirst.probe.record import PROBES, lacking

    study = builder.study
    use = study.probe
    if use is None:
        return
    models: dict[str, dict[int, str]] = {
        arm: {s: (stages[arm, s] or [builder.base()])[-1] for s in use.seeds_of(study, arm)}
        for arm in use.arms_of(study)
    }
    depends = tuple(dict.fromkeys(node for seeds in models.values() for node in seeds.values()))
    config, outside, extra = _asked(builder, use)
    items = _items(config, extra)
    _check_values(builder, use, items)
    for name, reason in lacking(use.probes, tuple(models), items).items():
        raise ConfigError(f"{builder.file}: probe.probes: {name} can't be run, since {reason}")
    # By arm and seed, which of the inputs is its model.
    config["models"] = {
        arm: {str(seed): depends.index(node) for seed, node in seeds.items()}
        for arm, seeds in models.items()
    }
    config["device"] = builder.device
    if study.model.source == "pretrained":
        identity, runnable = answering(study.model, builder.files)
        config |= identity
        extra["model"] = runnable
    for name in use.probes:
        builder.add(
            f"probe:{name}", "probe", PROBES.get(name).version, config | {"probe": name}, depends,
            outside=outside, extra=extra,
            weight=SECONDS * sum(map(len, models.values())),
        )  # fmt: skip


def _asked(
    builder: "Builder", use: "ProbeUse"
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """What decides the items: for the fingerprint, files by content, and where they are."""
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
        extra["constitution"], constitution = constitution_of(builder, use.constitution)
        outside["constitution"] = sha256_json(decisive(constitution))
    elif use.pairs is None and builder.study.world is not None:
        config["world_seed"] = builder.study.world.seed
    return config, outside, extra


def _items(config: Mapping[str, Any], places: Mapping[str, Any]) -> "Items":
    """What the models are probed on."""
    from whyfirst.probe import sources
    from whyfirst.probe.pairs import read_pairs

    if "world_seed" in config:
        limit = {} if config["limit"] is None else {"requests": config["limit"]}
        items = sources.hearth_items(config["world_seed"], **limit)
    else:
        requests = Path(places["requests"]) if "requests" in places else None
        if "constitution" in places:
            from whyfirst.constitution import load_constitution

            pairs = sources.constitution_pairs(load_constitution(places["constitution"]))
        else:
            pairs = read_pairs(Path(places["pairs"]))
        items = sources.file_items(pairs, requests)
    if config["values"] is None:
        return items
    kept = [pair for pair in items.pairs if pair.value in config["values"]]
    return replace(items, pairs=kept)


def _check_values(builder: "Builder", use: "ProbeUse", items: "Items") -> None:
    missing = set(use.values or ()) - {pair.value for pair in items.pairs}
    if missing:
        raise ConfigError(
            f"{builder.file}: probe.values: no pair is about {', '.join(sorted(missing))}"
        )


def run(
    payload: Mapping[str, Any],
    folders: Sequence[Path],
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> None:
    """Run one probe on the models in `folders`, and write its findings.

    Raises:
        UserError: a model that is no causal decoder, or items a probe can't be run on.
    """
    from whyfirst.probe.record import ProbeOptions, run_probe

    config = payload["config"]
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
        from whyfirst.study.kinds import model_folder

        found = open_model(ModelRef(**{**given, "path": model_folder(folder)}))
        assert isinstance(found, LocalModel)  # endpoints were refused
        return found

    return load


def rows(names: Sequence[str], folders: Mapping[str, Path]) -> "list[ProbeRow]":
    """The findings of a study's probes, in the order of its file."""
    from whyfirst.report.parts import ProbeRow

    return [
        ProbeRow.model_validate(read_json(folders[f"probe:{name}"] / FINDINGS)) for name in names
    ]
