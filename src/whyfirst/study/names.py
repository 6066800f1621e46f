"""Every name that one part of a study file uses of another, checked at the place of its use.

A stage's corpora, an arm's stages, a contrast's arms and metric, a world's values, splits and
framings. Leaves out: what can only be told from files (plan.py).
"""

from collections.abc import Iterable, Iterator

from whyfirst.config.errors import did_you_mean
from whyfirst.config.room import Use
from whyfirst.config.strict_yaml import Location
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.evaluate.benchmark import BENCHMARKS, benchmark_named
from whyfirst.evaluate.judges import idle_calibrations
from whyfirst.evaluate.scorers import SCORERS
from whyfirst.models.decoding import DECODINGS
from whyfirst.study.materials import PretrainedModel, ScratchModel
from whyfirst.study.schema import StudyFile
from whyfirst.study.sources import CORPORA, has_model_write
from whyfirst.train.config_rl import REWARD_MODEL, named
from whyfirst.train.kinds import data_names, kind_of
from whyfirst.train.rewards import REWARDS
from whyfirst.worlds import WORLDS, World

Problems = Iterator[tuple[Location, str]]


def problems(study: StudyFile) -> Problems:
    """Every use of a name that is not defined, at the place of its use."""
    for part in (_materials, _read_corpora, _stages, _arms, _measures, _curves, _probe, _world):
        yield from part(study)


def _missing(at: Location, name: str, known: Iterable[str], what: str) -> Problems:
    known = list(known)
    if name not in known:
        yield at, f"{what} {name!r} is not defined{did_you_mean(name, known)}"


def _materials(study: StudyFile) -> Problems:
    model, at = study.model, ("model", "tokenizer_corpus")
    trains = any(arm.stages for arm in study.arms.values())
    if isinstance(model, PretrainedModel):
        if trains and model.endpoint is not None:
            yield ("model", "endpoint"), "a model at an endpoint can't be trained; give a path"
        if trains and model.trust_remote_code:
            yield ("model", "trust_remote_code"), "training runs no code that comes with a model"
    elif isinstance(model, ScratchModel):
        name = model.tokenizer_corpus
        yield from _missing(at, name, study.corpora, "corpus")
        corpus = study.corpora.get(name)
        # What makes the corpus must not need the tokenizer, or the model, that it is made for.
        transforms = () if corpus is None else corpus.transforms
        asks = any("model" in TRANSFORMS.get(use.name).context for use in transforms)
        if asks or (corpus is not None and has_model_write(corpus.name)):
            yield at, f"a cycle: {name!r} is made with the model; name another corpus"
        counted = ""
        if corpus is not None and corpus.options.get("tokens") is not None:
            counted = f"the tokenizer is trained on {name!r}, whose tokens are counted with it"
        elif corpus is not None and corpus.name == "written":
            counted = f"{name!r} is written to a number of tokens, counted with it"
        if counted:
            yield at, f"a cycle: {counted}; name a corpus without a token budget"
    elif model.source not in WORLDS.names():
        known = ["pretrained", "scratch", *WORLDS.names()]
        hint = did_you_mean(model.source, known)
        yield ("model", "source"), f"{model.source!r} is not one of {', '.join(known)}{hint}"
    for name, corpus in study.corpora.items():
        given = corpus.options.get("written")
        if corpus.name == "written" and given not in study.written:
            hint = did_you_mean(str(given), study.written)
            yield ("corpora", name, "written"), f"{given!r} is not defined under `written`{hint}"
    for name, use in study.written.items():
        if use.plan is not None and use.values is not None:
            yield ("written", name, "values"), "has no effect beside `plan`, which has its own"


def _read_corpora(study: StudyFile) -> Problems:
    """Corpora whose rows another one reads: they exist, and none reads itself in the end."""

    def reads(name: str) -> list[tuple[str, str]]:
        corpus = study.corpora[name]
        options = CORPORA.get(corpus.name).facts.get("rows_of", ())
        return [(option, str(corpus.options[option])) for option in options]

    for name in study.corpora:
        for option, other in reads(name):
            at: Location = ("corpora", name, option)
            yield from _missing(at, other, study.corpora, "corpus")
            chain = [name]
            while other in study.corpora and other not in chain:
                chain.append(other)
                other = next((o for _, o in reads(other)), "")
            if other in chain:
                yield at, f"a cycle: {' reads '.join([*chain, other])}"


def _stages(study: StudyFile) -> Problems:
    for name, stage in study.stages.items():
        at, train, reads = ("stages", name), stage.train, data_names(stage.train)
        reads_rows = "rows" in kind_of(train).reads(train).values()
        if reads_rows and not stage.data:
            yield at, "needs `data`, the corpus it trains on"
        if stage.data and not reads_rows:
            yield (*at, "data"), f"has no effect: {train.kind} reads no rows"
        for key, corpus in (("data", stage.data), ("replay_data", stage.replay_data)):
            if corpus:
                yield from _missing((*at, key), corpus, study.corpora, "corpus")
        if "replay" in reads and stage.replay_data is None:
            yield at, "train.replay needs `replay_data`, the corpus replayed"
        if stage.replay_data is not None and "replay" not in reads:
            yield (*at, "replay_data"), "has no effect without `replay` above 0 in an explain stage"
        if stage.rounds:
            yield (*at, "rounds"), "has no effect outside a loop (`repeat`) of an arm"
        for place in ("rewards", "gold"):
            uses = getattr(train, place, None) or ()
            for index, use in enumerate(uses if isinstance(uses, tuple) else (uses,)):
                here = (*at, "train", place, index)
                yield from _missing(here, use.name, REWARDS.names(), "reward")
                if use.name in REWARDS.names():
                    for inside, said in REWARDS.problems(named(use)):
                        yield (*here, "options", *inside), said
        if stage.reward_from is not None:
            origin, source = (*at, "reward_from"), study.stages.get(stage.reward_from)
            if REWARD_MODEL not in reads:
                said = f"without the reward {REWARD_MODEL!r} (with no path of its own)"
                yield origin, f"has no effect {said}"
            yield from _missing(origin, stage.reward_from, study.stages, "stage")
            if source is not None and kind_of(source.train).makes == "model":
                kind = source.train.kind
                yield origin, f"stage {stage.reward_from!r} is of kind {kind}, and not reward"
        updates, least = train.updates, train.min_updates
        if updates is not None and updates < least:
            said = f"{updates} weight updates are fewer than {least}: a silent no-op; set at least"
            yield (*at, "train", "updates"), f"{said} {least} (or lower min_updates knowingly)"
        if train.keep_at:
            said = "a study keeps weights where its `curve` asks; remove this"
            yield (*at, "train", "keep_at"), said


def _arms(study: StudyFile) -> Problems:
    for arm, use in study.arms.items():
        at: Location = ("arms", arm)
        if use.dressed and "stages" in use.model_fields_set:
            at = ("arms", arm, "stages")
        for index, stage in enumerate(use.stages):
            yield from _missing((*at, index), stage, study.stages, "stage")
            if stage in use.stages[:index]:
                yield (*at, index), f"stage {stage!r} comes twice in one arm"
        yield from _rewards_in(study, arm, at)
        if study.endpoint and use.edits:
            said = "a model at an endpoint has no activations to edit; give a path"
            yield ("arms", arm, "edits"), said
        for index, method in enumerate(use.decoding if study.endpoint else ()):
            reads = DECODINGS.get(method.name).facts.get("likelihoods")
            if reads and reads(DECODINGS.filled(method)):
                said = "has no likelihoods of replies at an endpoint; choose by something else"
                yield ("arms", arm, "decoding", index), f"{method.name!r} {said}"
    if "default" not in study.seeds:
        yield ("seeds",), "needs the key 'default'"
    for key, arms in (("arm_notes", study.arm_notes), ("seeds", study.seeds)):
        for arm in arms:
            if (key, arm) != ("seeds", "default"):
                yield from _missing((key, arm), arm, study.arms, "arm")


def _rewards_in(study: StudyFile, arm: str, at: Location) -> Problems:
    """Reward models of an arm that train nothing, and stages of it that lack one."""
    idle: Location | None = None
    given: str | None = None
    for index, name in enumerate(study.arms[arm].stages):
        if name not in study.stages:
            continue
        stage = study.stages[name]
        if kind_of(stage.train).makes != "model":
            idle, given = idle or (*at, index), name
            continue
        if REWARD_MODEL not in data_names(stage.train):
            continue
        source = study.stages.get(stage.reward_from or given or "")
        if stage.reward_from is None:
            idle = None
            if source is None:
                said = f"stage {name!r} needs a reward model: put a stage of kind reward before it"
                yield (*at, index), f"{said}, or name one as its `reward_from`"
        # A reward is of a text as the reward model read it in training, or of another one.
        read = stage.train.format or "chat"
        trained = read if source is None else source.train.format or "chat"
        if trained != read:
            of = stage.reward_from or given
            said = f"prompts are read as {read}, and by its reward model ({of!r}) as {trained}"
            yield ("stages", name, "train", "format"), f"{said}; say the same `format`"
    if idle is not None:
        yield idle, "gives a reward model that no later stage of the arm trains against"


def _measures(study: StudyFile) -> Problems:
    metrics: list[str] = []
    for name, use in study.benchmarks.items():
        yield from _missing(("benchmarks", name), name, BENCHMARKS.names(), "benchmark")
        if name in BENCHMARKS.names():
            metrics += [metric.name for metric in benchmark_named(name).metrics]
            asked = Use.model_validate({"name": name, **use.options})
            for place, said in BENCHMARKS.problems(asked):
                if place == ("data",) and use.data is None:
                    said = f"needs `data`: {benchmark_named(name).needs}"
                yield ("benchmarks", name, *place), said
            if use.judges and not benchmark_named(name).questions:
                said = f"has no effect: nothing that {name!r} asks is judged"
                yield ("benchmarks", name, "judges"), said
        for index, spec in enumerate(use.judges):
            at: Location = ("benchmarks", name, "judges", index)
            yield from _missing(at, spec.partition(":")[0], SCORERS.names(), "judge")
    for index, contrast in enumerate(study.contrasts):
        for arm in contrast.arms:
            yield from _missing(("contrasts", index), arm, study.arms, "arm")
        at = ("contrasts", index, "metric")
        yield from _missing(at, contrast.metric, metrics, "metric of the study's benchmarks")
    names = [contrast.name for contrast in study.contrasts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        yield ("contrasts",), f"two contrasts have one name: {', '.join(twice)}"
    for index, name in enumerate(study.primary):
        yield from _missing(("primary", index), name, names, "contrast")
    if study.headline is not None:
        yield from _missing(("headline",), study.headline, names, "contrast")
        if study.primary and study.headline not in study.primary:
            yield ("headline",), f"{study.headline!r} is none of the `primary` contrasts"
    elif names:
        yield ("contrasts",), "name the contrast the study is made for: `headline: NAME`"
    names = [comparison.name for comparison in study.comparisons]
    for index, comparison in enumerate(study.comparisons):
        at = ("comparisons", index)
        yield from _missing((*at, "a"), comparison.a, study.arms, "arm")
        yield from _missing((*at, "b"), comparison.b, study.arms, "arm")
        for number, said in idle_calibrations(comparison.judge, comparison.calibrations):
            yield (*at, "calibrations", number), said
        if comparison.name in names[:index]:
            yield (*at, "name"), f"{comparison.name!r} comes twice"


def _curves(study: StudyFile) -> Problems:
    for key in ("curve", "dose_curve"):
        if getattr(study, key) and study.headline is None:
            yield (key,), "has no effect: it is of the metric of the `headline`, and there is none"
    for index, arm in enumerate(study.curve.arms if study.curve else ()):
        at: Location = ("curve", "arms", index)
        yield from _missing(at, arm, study.arms, "arm")
        stages = study.arms[arm].stages if arm in study.arms else None
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


def _probe(study: StudyFile) -> Problems:
    """Every name under ``probe`` that isn't there, and what the probes can't do without."""
    use = study.probe
    if use is None:
        return
    from whyfirst.probe.record import PROBES

    for index, name in enumerate(use.probes):
        yield from _missing(("probe", "probes", index), name, PROBES.names(), "probe")
        if name in use.probes[:index]:
            yield ("probe", "probes", index), f"{name!r} comes twice"
    for index, arm in enumerate(use.arms or ()):
        yield from _missing(("probe", "arms", index), arm, study.arms, "arm")
        if arm in study.arms and study.arms[arm].dressed:
            said = f"a probe looks at weights alone, and {arm!r} answers through edits or decoding"
            yield ("probe", "arms", index), f"{said}; name an arm without"
    if use.arms is None and all(arm.dressed for arm in study.arms.values()):
        said = "has no effect: it looks at weights alone, and every arm answers through more"
        yield ("probe",), said
    if use.seeds is not None and "default" in study.seeds:
        for arm in use.arms or study.probed():
            stages = study.arms[arm].stages if arm in study.arms else ()
            if stages and use.seeds > study.seeds_of(arm).stop:
                said = f"{use.seeds}, and arm {arm!r} has {study.seeds_of(arm).stop}"
                yield ("probe", "seeds"), f"{said}; ask for fewer, or train more (`seeds`)"
    if study.endpoint:
        yield ("probe",), "a model at an endpoint has no activations to look at; give a path"
    given = [name for name in ("pairs", "constitution") if getattr(use, name) is not None]
    if len(given) > 1:
        yield ("probe", "pairs"), "give pairs or a constitution, not both"
    if study.world is None and not given:
        yield ("probe",), "say what to probe on: `pairs: FILE` or `constitution: NAME`"
    if use.requests is not None and not given:
        yield ("probe", "requests"), "the study's world brings its own requests"
    if use.limit is not None and given:
        yield ("probe", "limit"), "counts a world's requests, and this study probes on others"
    if study.world is not None and not given:
        for index, value in enumerate(use.values or ()):
            values = WORLDS.make(study.world).values
            yield from _missing(("probe", "values", index), value, values, "value")


def _world(study: StudyFile) -> Problems:
    """What needs a world that the study doesn't name, and names that its world doesn't have."""
    world: World | None = None if study.world is None else WORLDS.make(study.world)
    for entry in WORLDS.entries():
        of_it = [n for n, c in study.corpora.items() if c.name in entry.facts.get("corpora", ())]
        asked = set(study.benchmarks) & set(entry.facts.get("benchmarks", ()))
        lives_in_it = study.world is not None and study.world.name == entry.name
        if not lives_in_it and (of_it or asked or study.model.source == entry.name):
            example = f"{{name: {entry.name}, {entry.facts.get('example', '...')}}}"
            yield ("study",), f"uses {entry.name.capitalize()} and so needs `world: {example}`"
        if of_it and study.model.source != entry.name:
            yield ("model",), f"the corpora of {entry.name} need `model: {{source: {entry.name}}}`"
        for option in entry.options if lives_in_it else ():
            given = getattr(study.world, option.name, option.default)
            if option.name in entry.facts.get("per_side", ()) and given != option.default:
                said = "has no effect: a study runs every arm on each side of its world; remove it"
                yield ("world", option.name), said
    for name, corpus in study.corpora.items():
        check = CORPORA.get(corpus.name).facts.get("check")
        for option, said in check(corpus.options, world) if check else ():
            yield ("corpora", name, *((option,) if option else ())), said
    known = () if world is None else world.framings
    for group in study.cells:
        if group in ("*", *known) or set(group) & set("/+"):
            what = "is a framing's own name"
            if set(group) & set("/+*"):
                what = "stands for all framings" if group == "*" else "has / or + in it"
            yield ("cells", group), f"{what}; give the group another, as `unseen`"
    if world is None:
        return
    for key, given, measured in (
        ("value", study.value, world.taught),
        ("other_value", study.other_value, world.other),
    ):
        if given is not None and given != measured:
            yield (key,), f"{given!r}: the world's benchmarks measure {measured!r} here"
    for group, framings in study.cells.items():
        for index, framing in enumerate(framings):
            yield from _missing(("cells", group, index), framing, world.framings, "framing")
    for index, contrast in enumerate(study.contrasts):
        at, (splits, framing) = ("contrasts", index, "cell"), contrast.cell.split("/", 1)
        yield from _missing(at, framing, ["*", *study.cells, *world.framings], "framing")
        for split in splits.split("+") if splits != "*" else ():
            yield from _missing(at, split, world.splits, "split")
