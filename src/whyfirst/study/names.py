"""Every name that one part of a study file uses of another, checked at the place of its use.

A stage's corpora, an arm's stages, a contrast's arms and metric, a world's values, splits and
framings. Leaves out: what can only be told from files (planning/).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from whyfirst.config.strict_yaml import Location
from whyfirst.config.suggest import did_you_mean
from whyfirst.evaluate.benchmark import BENCHMARKS
from whyfirst.evaluate.judging import JUDGES
from whyfirst.study import probe_use, written
from whyfirst.train.config_rl import REWARD_MODEL
from whyfirst.train.kinds import data_names, kind_of
from whyfirst.train.rewards import REWARDS

if TYPE_CHECKING:
    from whyfirst.study.config import Study

Problems = Iterator[tuple[Location, str]]


def _missing(at: Location, name: str, known: Any, what: str) -> Problems:
    if name not in known:
        yield at, f"{what} {name!r} is not defined{did_you_mean(name, known)}"


def dangling(study: "Study") -> Problems:
    """Every use of a name that is not defined, at the place of its use."""
    yield from _dangling_stages(study)
    for arm, stages in study.arms.items():
        for index, stage_name in enumerate(stages):
            yield from _missing(("arms", arm, index), stage_name, study.stages, "stage")
            if stage_name in stages[:index]:
                yield ("arms", arm, index), f"stage {stage_name!r} comes twice in one arm"
        yield from _rewards_in(study, arm)
    for arm in study.arm_notes:
        yield from _missing(("arm_notes", arm), arm, study.arms, "arm")
    if "default" not in study.seeds:
        yield ("seeds",), "needs the key 'default'"
    for arm in study.seeds:
        if arm != "default":
            yield from _missing(("seeds", arm), arm, study.arms, "arm")
    for name, use in study.benchmarks.items():
        yield from _missing(("benchmarks", name), name, BENCHMARKS.names(), "benchmark")
        for index, spec in enumerate(use.judges):
            at: Location = ("benchmarks", name, "judges", index)
            yield from _missing(at, spec.partition(":")[0], JUDGES.names(), "judge")
    yield from _dangling_model(study)
    yield from _dangling_contrasts(study)
    yield from _dangling_curves(study)
    yield from probe_use.problems(study)
    yield from written.problems(study)
    yield from _world_needed(study)


def _dangling_stages(study: "Study") -> Problems:
    for name, stage in study.stages.items():
        yield from _missing(("stages", name, "data"), stage.data, study.corpora, "corpus")
        at: Location = ("stages", name, "replay_data")
        if stage.replay_data is not None:
            yield from _missing(at, stage.replay_data, study.corpora, "corpus")
        replays = "replay" in data_names(stage.train)
        if replays and stage.replay_data is None:
            yield ("stages", name), "train.replay needs `replay_data`, the corpus replayed"
        if stage.replay_data is not None and not replays:
            yield at, "has no effect without `replay` above 0 in an explain stage"
        yield from _dangling_reward(study, name)
        updates, least = stage.train.updates, stage.train.min_updates
        if updates is not None and updates < least:
            yield (
                ("stages", name, "train", "updates"),
                f"{updates} weight updates are fewer than {least}: a silent no-op; set at least "
                f"{least} (or lower min_updates knowingly)",
            )
        if stage.train.keep_at:
            where = ("stages", name, "train", "keep_at")
            yield where, "a study keeps weights where its `curve` asks; remove this"


def _dangling_reward(study: "Study", name: str) -> Problems:
    stage, at = study.stages[name], ("stages", name, "reward_from")
    for place in ("rewards", "gold"):
        uses = getattr(stage.train, place, None) or ()
        for index, use in enumerate(uses if isinstance(uses, tuple) else (uses,)):
            yield from _missing(
                ("stages", name, "train", place, index), use.name, REWARDS.names(), "reward"
            )
    needed = REWARD_MODEL in data_names(stage.train)
    if stage.reward_from is None:
        return
    if not needed:
        yield at, f"has no effect without the reward {REWARD_MODEL!r} (with no path of its own)"
    yield from _missing(at, stage.reward_from, study.stages, "stage")
    source = study.stages.get(stage.reward_from)
    if source is not None and kind_of(source.train).makes != "reward_model":
        yield at, f"stage {stage.reward_from!r} is of kind {source.train.kind}, and not reward"


def _rewards_in(study: "Study", arm: str) -> Problems:
    """Reward models of an arm that train nothing, and stages of it that lack one."""
    idle: Location | None = None
    given = False
    for index, name in enumerate(study.arms[arm]):
        if name not in study.stages:
            continue
        stage, at = study.stages[name], ("arms", arm, index)
        if kind_of(stage.train).makes == "reward_model":
            idle, given = idle or at, True
        elif stage.reward_from is None and REWARD_MODEL in data_names(stage.train):
            idle = None
            if not given:
                yield (
                    at,
                    f"stage {name!r} needs a reward model: put a stage of kind reward before it, "
                    "or name one as its `reward_from`",
                )
    if idle is not None:
        yield idle, "gives a reward model that no later stage of the arm trains against"


def _dangling_model(study: "Study") -> Problems:
    if study.model.source == "pretrained":
        trains = any(study.arms.values())
        if trains and study.model.endpoint is not None:
            yield ("model", "endpoint"), "a model at an endpoint can't be trained; give a path"
        if trains and study.model.trust_remote_code:
            yield ("model", "trust_remote_code"), "training runs no code that comes with a model"
    if study.model.source != "scratch":
        return
    name, at = study.model.tokenizer_corpus, ("model", "tokenizer_corpus")
    yield from _missing(at, name, study.corpora, "corpus")
    if getattr(study.corpora.get(name), "tokens", None) is not None:
        yield (
            at,
            (
                f"a cycle: the tokenizer is trained on {name!r}, and the tokens of {name!r} are "
                "counted with that tokenizer; name a corpus without a token budget"
            ),
        )


def _dangling_contrasts(study: "Study") -> Problems:
    known = [name for name in study.benchmarks if name in BENCHMARKS.names()]
    metrics = [metric.name for name in known for metric in BENCHMARKS.get(name).metrics]
    for index, contrast in enumerate(study.contrasts):
        for arm in contrast.arms:
            yield from _missing(("contrasts", index), arm, study.arms, "arm")
        at = ("contrasts", index, "metric")
        yield from _missing(at, contrast.metric, metrics, "metric of the study's benchmarks")
    names = [contrast.name for contrast in study.contrasts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield ("contrasts",), f"two contrasts have one name: {', '.join(twice)}"
    if study.headline is not None:
        yield from _missing(("headline",), study.headline, names, "contrast")
    elif names:
        yield ("contrasts",), "name the contrast the study is made for: `headline: NAME`"


def _dangling_curves(study: "Study") -> Problems:
    for index, arm in enumerate(study.curve.arms if study.curve else ()):
        at: Location = ("curve", "arms", index)
        yield from _missing(at, arm, study.arms, "arm")
        stages = study.arms.get(arm)
        last = study.stages.get(stages[-1]) if stages else None
        updates = last.train.updates if last else None
        if stages == ():
            yield at, f"arm {arm!r} has no stage, so no early updates"
        elif last is not None and updates is None:
            yield at, "its last stage must say its `updates` (not `epochs`) for a curve"
        elif study.curve and updates is not None and max(study.curve.at) >= updates:
            yield at, f"its last stage has {updates} updates; `at` must lie before them"
    for index, point in enumerate(study.dose_curve):
        for line, arm in point.arms.items():
            yield from _missing(("dose_curve", index, "arms", line), arm, study.arms, "arm")


def _world_needed(study: "Study") -> Problems:
    corpora = {n: corpus for n, corpus in study.corpora.items() if corpus.source == "hearth"}
    asked = any(name.startswith("hearth") for name in study.benchmarks)
    if study.world is not None:
        yield from _world_names(study)
    elif corpora or asked or study.model.source == "hearth":
        yield ("study",), "uses Hearth and so needs `world: {name: hearth, seed: 4}`"
    if corpora and study.model.source != "hearth":
        yield ("model",), "Hearth's corpora need `model: {source: hearth}`"
    for name, corpus in corpora.items():
        if (corpus.size is None) == (corpus.tokens is None):
            yield ("corpora", name), "give exactly one of `size` and `tokens`"


def _world_names(study: "Study") -> Problems:
    """Values, splits and framings that the embedded world does not have."""
    from whyfirst.worlds.hearth import lexicon, world
    from whyfirst.worlds.hearth.benchmark import SPLITS

    for key, given, fixed in (
        ("value", study.value, world.TAUGHT),
        ("other_value", study.other_value, world.OTHER),
    ):
        if given is not None and given != fixed:
            yield (key,), f"{given!r}: Hearth's benchmarks measure {fixed!r} here"
    for name, corpus in study.corpora.items():
        if corpus.source == "hearth" and corpus.documents == "explanations":
            at: Location = ("corpora", name, "value") if corpus.value else ("corpora", name)
            yield from _missing(at, str(corpus.value), lexicon.VALUE_IDS, "value")
    for group, framings in study.cells.items():
        if group in ("*", *lexicon.FRAMINGS) or set(group) & set("/+"):
            what = "has / or + in it" if set(group) & set("/+") else "is a framing's own name"
            yield ("cells", group), f"{what}; give the group another, as `unseen`"
        for index, framing in enumerate(framings):
            yield from _missing(("cells", group, index), framing, lexicon.FRAMINGS, "framing")
    for index, contrast in enumerate(study.contrasts):
        splits, framing = contrast.cell.split("/", 1)
        at = ("contrasts", index, "cell")
        yield from _missing(at, framing, ["*", *study.cells, *lexicon.FRAMINGS], "framing")
        for split in splits.split("+") if splits != "*" else ():
            yield from _missing(at, split, SPLITS, "split")
