"""`probe:` of a study file: which probes look at which arms and seeds, on whose pairs.

Leaves out: what the probes are (`whyfirst.probe`), and the nodes they become (planning/probes.py).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from whyfirst.config.strict import StrictModel, affects_output, runtime_only
from whyfirst.config.strict_yaml import Location
from whyfirst.config.suggest import did_you_mean

if TYPE_CHECKING:
    from whyfirst.study.config import Study

Problems = Iterator[tuple[Location, str]]


class ProbeUse(StrictModel):
    """What is looked at inside the models of a study's arms, after their last stage.

    A study in Hearth's world needs no pairs of its own; any other one names a file of them or a
    constitution.
    """

    probes: tuple[str, ...] = affects_output(min_length=1, description="`whyfirst list probes`")
    arms: tuple[str, ...] | None = affects_output(default=None, description="null: every arm")
    seeds: Annotated[int, Field(ge=1)] | None = affects_output(
        default=None, description="seeds 0 up to this number; null: all that an arm has"
    )
    values: tuple[str, ...] | None = affects_output(
        default=None, description="whose pairs; null: every value's"
    )
    limit: int | None = affects_output(
        default=None, ge=1, description="about this many requests of Hearth"
    )
    constitution: str | None = affects_output(
        default=None, description="pairs from its behaviours: a shipped name or a YAML file"
    )
    pairs: str | None = runtime_only(default=None, description="its content is fingerprinted")
    requests: str | None = runtime_only(default=None, description="its content is fingerprinted")

    def arms_of(self, study: "Study") -> tuple[str, ...]:
        """The arms that are probed."""
        return self.arms if self.arms is not None else tuple(study.arms)

    def seeds_of(self, study: "Study", arm: str) -> range:
        """The seeds of an arm that are probed; an arm without stages is one model."""
        count = 1 if not study.arms[arm] else study.seeds_of(arm).stop
        return range(count if self.seeds is None else min(count, self.seeds))


def problems(study: "Study") -> Problems:
    """Every name under ``probe`` that isn't there, and what the probes can't do without."""
    use = study.probe
    if use is None:
        return
    from whyfirst.probe.record import PROBES

    for index, name in enumerate(use.probes):
        if name not in PROBES.names():
            hint = did_you_mean(name, PROBES.names())
            yield ("probe", "probes", index), f"probe {name!r} is not defined{hint}"
        if name in use.probes[:index]:
            yield ("probe", "probes", index), f"{name!r} comes twice"
    for index, arm in enumerate(use.arms or ()):
        if arm not in study.arms:
            hint = did_you_mean(arm, study.arms)
            yield ("probe", "arms", index), f"arm {arm!r} is not defined{hint}"
    if use.seeds is not None and "default" in study.seeds:
        for arm in (name for name in use.arms_of(study) if study.arms.get(name)):
            if use.seeds > study.seeds_of(arm).stop:
                yield (
                    ("probe", "seeds"),
                    f"{use.seeds}, and arm {arm!r} has {study.seeds_of(arm).stop}; ask for fewer, "
                    "or train more (`seeds`)",
                )
    if study.model.source == "pretrained" and study.model.endpoint is not None:
        yield ("probe",), "a model at an endpoint has no activations to look at; give a path"
    yield from _about_items(study, use)


def _about_items(study: "Study", use: ProbeUse) -> Problems:
    given = [name for name in ("pairs", "constitution") if getattr(use, name) is not None]
    if len(given) > 1:
        yield ("probe", "pairs"), "give pairs or a constitution, not both"
    if study.world is None and not given:
        yield ("probe",), "say what to probe on: `pairs: FILE` or `constitution: NAME`"
    if use.requests is not None and not given:
        yield ("probe", "requests"), "Hearth brings its own requests"
    if use.limit is not None and given:
        yield ("probe", "limit"), "counts Hearth's requests, and this study probes on others"
    if study.world is not None and not given:
        from whyfirst.worlds.hearth.lexicon import VALUE_IDS

        for index, value in enumerate(use.values or ()):
            if value not in VALUE_IDS:
                hint = did_you_mean(value, VALUE_IDS)
                yield ("probe", "values", index), f"value {value!r} is not defined{hint}"
