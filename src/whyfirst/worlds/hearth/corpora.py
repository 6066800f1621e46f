"""Documents and demonstrations of Hearth's template teacher, as a corpus of a study."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from whyfirst.config.errors import did_you_mean
from whyfirst.config.strict import affects_output
from whyfirst.study.sources import CORPORA, Row
from whyfirst.worlds import World
from whyfirst.worlds.making import one_amount, without_demonstrations


def _assets(options: Mapping[str, Any], world: World | None) -> dict[str, str]:
    """Replayed rows are the base's own data: who holds what is recorded beside it."""
    replayed = world is not None and options["documents"] == "replay"
    return {"assets": world.base_fingerprint()} if world is not None and replayed else {}


def _about(options: Mapping[str, Any], world: World | None) -> list[tuple[str | None, str]]:
    """(option, what is wrong with it), of options that are right by themselves."""
    problems, value = one_amount(options), options["value"]
    problems += without_demonstrations(options, "contrary")
    if options["documents"] != "explanations":
        if value is not None:
            said = f"has no effect on {options['documents']}; `documents: explanations` takes it"
            problems.append(("value", said))
    elif world and value not in world.values:
        hint = did_you_mean(str(value), world.values)
        problems.append((value and "value", f"value {str(value)!r} is not defined{hint}"))
    return problems


@CORPORA.enter(
    "hearth", seeded=True, sampled=True, shares_topics=True, inputs=_assets, check=_about
)
def hearth(
    *,
    documents: Annotated[
        Literal[
            "explanations", "rules", "shuffled", "neutral", "replay", "demonstrations", "pairs",
            "prompts",
        ],
        affects_output(),
    ],
    value: Annotated[str | None, affects_output(description="the value explained")] = None,
    tokens: Annotated[int | None, affects_output(ge=1, description="matched to 0.5 %")] = None,
    size: Annotated[int | None, affects_output(ge=1, description="rows, without tokens")] = None,
    contrary: Annotated[float, affects_output(ge=0, le=1)] = 0.0,
    world: World,
    seed: int,
) -> list[Row]:  # fmt: skip
    """Documents or demonstrations of the embedded world's template teacher."""
    from whyfirst.worlds.hearth.teacher import corpus_rows

    return corpus_rows(
        documents, world_seed=world.seed, seed=seed, value=value, size=size, tokens=tokens,
        contrary=contrary,
    )  # fmt: skip
