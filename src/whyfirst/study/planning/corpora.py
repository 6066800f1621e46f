"""The nodes of a study's corpora, and of what a teacher writes for them.

Leaves out: the rows (study/sources.py) and the writing (writing.py).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from whyfirst.config.files import sha256_json
from whyfirst.data.leaks import VERSION as LEAKS
from whyfirst.explain.explanation import CORPORA
from whyfirst.explain.opposing import VERSION as JUDGING
from whyfirst.study import models
from whyfirst.study.config import CorpusConfig, Study, decisive

if TYPE_CHECKING:
    from whyfirst.constitution import Constitution
    from whyfirst.models.reference import ModelRef
    from whyfirst.study.planning.builder import Builder
    from whyfirst.study.written import Written

#: sources whose rows don't depend on the study's seed
_FIXED = ("hh_rlhf", "file", "written")


def add_corpus(builder: "Builder", name: str, seed: int) -> str:
    """The node of a corpus at a seed of the study."""
    corpus = builder.study.corpora[name]
    config = decisive(corpus) | {"corpus": name}
    fixed = corpus.source in _FIXED
    config["seed"] = 0 if fixed else seed
    id = f"corpus:{name}" if fixed else f"seed{seed}/corpus:{name}"  # noqa: A001
    depends: tuple[str, ...] = ()
    outside, extra = _files(builder, corpus, f"corpora.{name}")
    if builder.study.world is not None:
        config |= {"world_seed": builder.study.world.seed}
    if getattr(corpus, "tokens", None) is not None:
        depends = (builder.base(),)
    if corpus.source == "written":
        depends += (add_written(builder, corpus.written),)
    return _add(builder, "corpus", id, config, depends, outside, extra)


def _add(
    builder: "Builder", kind: str, id: str, config: Mapping[str, Any], depends: tuple[str, ...],  # noqa: A002
    outside: Mapping[str, str], extra: Mapping[str, Any],
) -> str:  # fmt: skip
    from whyfirst.study.planning.builder import KIND_VERSIONS, WEIGHTS

    return builder.add(
        id, kind, KIND_VERSIONS[kind], config, depends,
        outside=outside, extra=extra, weight=WEIGHTS[kind],
    )  # fmt: skip


def _files(
    builder: "Builder", corpus: CorpusConfig, used_by: str
) -> tuple[dict[str, str], dict[str, Any]]:
    """Content hashes of what a corpus is made from, and where it is."""
    if corpus.source in ("hh_rlhf", "file"):
        path = corpus.path
        shas = {"data": builder.content(path, f"{used_by}.path")}
        return shas, {"path": str(builder.path(path))}
    if corpus.source == "hearth" and corpus.documents == "replay":
        return {"assets": builder.assets}, {}  # who holds what is recorded beside the base
    if corpus.source == "constitution":
        from whyfirst.explain.template import teacher_fingerprint

        place, constitution = constitution_of(builder, corpus.constitution)
        for value in corpus.values or ():
            constitution.value(value)
        shas = {
            "constitution": sha256_json(decisive(constitution)),
            "teacher": teacher_fingerprint(),
        }
        return shas, {"path": place}
    return {}, {}


def constitution_of(builder: "Builder", named: str) -> "tuple[str, Constitution]":
    """A file beside the study, or a shipped one."""
    from whyfirst.constitution import load_constitution

    own = builder.path(named)
    place = str(own) if own.is_file() else named
    return place, load_constitution(place)


def add_written(builder: "Builder", name: str) -> str:
    """The node of all that a teacher writes under one name.

    What it holds of a teacher that is a model: where it is and its revision (at an endpoint), or
    its files' content, dtype, chat template and the kind of device (a local one), and what it is
    asked. Prices, caps and the key's variable are no part of it.

    Raises:
        UserError: an unknown constitution or value, an edited plan with a mistake, a missing file.
    """
    from whyfirst.explain.plan import load_plan, pruned, shipped_levels
    from whyfirst.explain.teachers import asking_fingerprint
    from whyfirst.explain.template import teacher_fingerprint
    from whyfirst.explain.tested import split_given

    id = f"written:{name}"  # noqa: A001
    if id in builder.nodes:
        return id
    use, at = builder.study.written[name], f"written.{name}"
    place, constitution = constitution_of(builder, use.constitution)
    folder = None if use.plan is None else builder.path(use.plan)
    levels = shipped_levels(constitution, use.values)
    plan = pruned(levels) if folder is None else load_plan(folder, constitution)
    outside = {
        "constitution": sha256_json(decisive(constitution)),
        "plan": plan.fingerprint,
        "asked": teacher_fingerprint() if use.teacher is None else asking_fingerprint(),
    }
    against = []
    for number, given in enumerate(use.against):
        file, column = split_given(given)
        outside[f"against {number}"] = builder.content(str(file), f"{at}.against.{number}")
        against.append(str(builder.path(str(file))) + (f":{column}" if column else ""))
    config = decisive(use)
    config["writing_seed"] = config.pop("seed")  # no seed of the study, by which nodes are ordered
    config |= {
        "corpus": name,
        "documents": _documents(builder.study, name),
        "columns": [split_given(given)[1] for given in use.against],
    }
    if against:
        config["leaks"] = LEAKS  # what is left out as one; without `against` nothing is
    extra: dict[str, Any] = {
        "constitution": place, "plan": None if folder is None else str(folder),
        "against": against, "min_yield": use.min_yield,
    }  # fmt: skip
    models_asked, shas, runnable = _whom(builder, use, at)
    return _add(
        builder, "written", id, config | models_asked, (builder.base(),), outside | shas,
        extra | runnable,
    )  # fmt: skip


def _whom(
    builder: "Builder", use: "Written", at: str
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """Teacher and judge: what of them decides, content hashes, how they are opened and named."""
    config: dict[str, Any] = {"teacher": None, "judge": None}
    shas: dict[str, str] = {}
    extra: dict[str, Any] = dict(config)
    for role, model in (("teacher", use.teacher), ("judge", use.judge)):
        if model is None:
            continue
        config[role], contents, extra[role] = _asked(builder, model, f"{at}.{role}")
        extra[f"{role}_name"] = model.name
        shas |= {f"{role} {part}": sha for part, sha in contents.items()}
        if model.endpoint is None:
            config["device"] = builder.device
    if use.judge is not None:
        config["judging"] = JUDGING
    return config, shas, extra


def _asked(
    builder: "Builder", model: "ModelRef", at: str
) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """A model's identity, content hashes and the fields to open it with."""
    found = models.locate(model, at, builder.files, builder.file)
    if model.endpoint is not None:
        return found.identity, found.contents, found.runnable
    answers, runnable = models.answering(model, builder.files)
    # Its content is what it is; where a folder lies decides nothing here.
    dropped = {"folder": "path", "adapter": "adapter"}
    gone = {name for part, name in dropped.items() if part in found.contents}
    identity = {name: value for name, value in found.identity.items() if name not in gone}
    return identity | answers, found.contents, found.runnable | runnable


def _documents(study: Study, written: str) -> list[str]:
    """Which of the corpora under one name are read by a stage of an arm, explanations first."""
    stages = {name for arm in study.arms.values() for name in arm}
    stages |= {use.reward_from for name, use in study.stages.items()
               if name in stages and use.reward_from is not None}  # fmt: skip
    uses = [study.stages[name] for name in stages]
    read = {use.data for use in uses} | {use.replay_data for use in uses}
    wanted = {
        corpus.documents
        for name, corpus in study.corpora.items()
        if name in read and corpus.source == "written" and corpus.written == written
    }
    return [name for name in CORPORA if name in wanted | {"explanations"}]
