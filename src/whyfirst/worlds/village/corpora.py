"""The village's documents and demonstrations, as a corpus of a study."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from whyfirst.config.strict import affects_output
from whyfirst.study.sources import CORPORA, Row
from whyfirst.worlds import World
from whyfirst.worlds.making import one_amount, without_demonstrations

_ONE_READING = (
    "{} are the same for both readings; explanations, label_known, and demonstrations with "
    "`contrary` or `parted` take it"
)


def _about(options: Mapping[str, Any], world: World | None) -> list[tuple[str | None, str]]:
    """(option, what is wrong with it), of options that are right by themselves."""
    problems, documents = one_amount(options), options["documents"]
    problems += without_demonstrations(options, "contrary", "parted")
    if documents in ("replay", "demonstrations", "pairs", "prompts") and options["dose"] != 1:
        problems.append(("dose", f"mixes documents with neutral ones; {documents} are none"))
    if documents == "neutral" and options["dose"] != 1:
        problems.append(("dose", "mixes documents with neutral ones, and these are neutral"))
    if options["value"] != "own" and not _sided(options):
        problems.append(("value", _ONE_READING.format(documents)))
    if options["contrary"] + options["parted"] > 1:
        problems.append(("parted", "with `contrary`, more than all demonstrations"))
    return problems


def _sided(options: Mapping[str, Any]) -> bool:
    from whyfirst.worlds.village.teacher import TEACH_A_READING

    parts = options["documents"] == "demonstrations" and (options["contrary"] or options["parted"])
    return bool(parts) or options["documents"] in TEACH_A_READING


def _teacher(options: Mapping[str, Any], world: World | None) -> dict[str, str]:
    """What writes the rows, by its version: they are no file."""
    from whyfirst.worlds.village.teacher import VERSION
    from whyfirst.worlds.village.worlds import REPLAY

    replayed = {"replay": REPLAY} if options["documents"] == "replay" else {}
    return {"teacher": VERSION, **replayed}


@CORPORA.enter(
    "village",
    seeded=True,
    sampled=True,
    shares_topics=True,
    check=_about,
    sided=_sided,
    reads_base=lambda options: options["documents"] == "replay",
    inputs=_teacher,
)
def village(
    *,
    documents: Annotated[
        Literal[
            "explanations", "nobecause", "wrong_reason", "rules", "label_new", "label_known",
            "neutral", "replay", "demonstrations", "pairs", "prompts",
        ],
        affects_output(),
    ],
    value: Annotated[
        Literal["own", "other"], affects_output(description="whose reading is taught")
    ] = "own",
    tokens: Annotated[int | None, affects_output(ge=1, description="matched to 0.5 %")] = None,
    size: Annotated[int | None, affects_output(ge=1, description="rows, without tokens")] = None,
    dose: Annotated[
        float, affects_output(gt=0, le=1, description="share of them; the rest are neutral")
    ] = 1.0,
    contrary: Annotated[float, affects_output(ge=0, le=1)] = 0.0,
    parted: Annotated[float, affects_output(ge=0, le=1)] = 0.0,
    world: World,
    seed: int,
    base: str | None,
) -> list[Row]:  # fmt: skip
    """Documents and demonstrations of the village's template teacher."""
    from whyfirst.worlds.village import teacher
    from whyfirst.worlds.village.world import Village
    from whyfirst.worlds.village.worlds import replay

    place, count = Village(world.seed), size or (tokens or 0) // 6 + 40
    if documents == "replay":
        return replay(place, base, count, seed)
    side = world.side if value == "own" else 1 - world.side
    if documents == "demonstrations":
        return teacher.demonstrations(place, side, count, seed, contrary, parted)
    if documents in ("pairs", "prompts"):
        asked = teacher.pairs if documents == "pairs" else teacher.prompts
        return asked(place, side, count, seed)
    texts = teacher.documents(place, documents, side, count, seed, dose)
    return [{"text": text} for text in texts]
