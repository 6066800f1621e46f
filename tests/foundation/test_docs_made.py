"""The pages of docs/ that are made from the code are what the code says."""

import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "make"))
import architecture  # type: ignore[import-not-found]  # noqa: E402
import extending  # type: ignore[import-not-found]  # noqa: E402
import gallery_results  # type: ignore[import-not-found]  # noqa: E402
import map as mapping  # type: ignore[import-not-found]  # noqa: E402
import methods  # type: ignore[import-not-found]  # noqa: E402

from whyfirst.config.errors import UserError  # noqa: E402
from whyfirst.config.files import write_json  # noqa: E402
from whyfirst.config.room import Use  # noqa: E402
from whyfirst.config.strict_yaml import read_yaml  # noqa: E402
from whyfirst.evaluate.benchmark import all_benchmarks  # noqa: E402
from whyfirst.study.plan import build_plan  # noqa: E402
from whyfirst.study.sources import CORPORA  # noqa: E402
from whyfirst.train.config_rl import RewardUse, asks_folder  # noqa: E402


def test_the_page_of_examples_shows_another_file_than_the_tested_one() -> None:
    kept = extending.PAGE.read_text(encoding="utf-8")
    assert kept == extending.page(), "run: python docs/make/extending.py"
    for kind in extending.KINDS:
        assert (extending.PLUGINS / kind.file).read_text(encoding="utf-8").rstrip() in kept


def test_every_kind_of_method_has_an_example() -> None:
    """A method was written for the tests and not shown, or shown and not run."""
    shown = {kind.file for kind in extending.KINDS}
    kept = {f"methods/{p.name}" for p in (extending.PLUGINS / "methods").glob("*.py")}
    assert shown == kept | {"package/whyfirst_length_guard.py"}


def test_the_drawing_and_the_page_of_the_house_are_stale() -> None:
    hint = "run: python docs/make/architecture.py"
    assert architecture.PAGE.read_text(encoding="utf-8") == architecture.page(), hint
    assert architecture.DRAWING.read_text(encoding="utf-8") == architecture.drawing(), hint


@pytest.mark.parametrize("way", ["ROW", "STAGE"])
def test_the_walk_names_a_function_that_is_gone(way: str) -> None:
    for _, *places in getattr(architecture, way):
        for place in places:
            names = place.split(".")
            while names:
                try:
                    at = importlib.import_module(".".join(names))
                    break
                except ModuleNotFoundError:
                    names.pop()
            for name in place.split(".")[len(names) :]:
                at = getattr(at, name)  # AttributeError: it is gone


def test_an_arrow_that_another_way_says_is_drawn() -> None:
    assert architecture.reduced({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == {
        "a": ["b"], "b": ["c"], "c": []
    }  # fmt: skip


def test_pages_link_to_what_is_there() -> None:
    for page in (architecture.PAGE, extending.PAGE):
        links = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (DOCS / link).exists()] == []


def test_the_page_of_methods_is_stale() -> None:
    kept = methods.PAGE.read_text(encoding="utf-8")
    assert kept == methods.page(), "run: python docs/make/methods.py"


def test_a_result_is_told_of_a_method_that_both_arms_used() -> None:
    """A contrast speaks of what parts its arms; of what both decode by where only options do."""
    stages = {
        name: {"kind": "prefer", "source": {}, "settings": {"objective": {"name": name}}}
        for name in ("dpo", "ipo")
    }
    plain: dict[str, Any] = {"edits": [], "decoding": []}
    arms = {name: plain | {"stages": [name]} for name in stages}
    arms |= {n: plain | {"stages": ["dpo"], "decoding": ["best_of_n"]} for n in ("four", "chance")}
    report = {"stages": stages, "arms": arms}
    assert gallery_results.apart(report, "dpo", "ipo") == {("objectives", "dpo")}
    assert gallery_results.apart(report, "four", "chance") == {("decodings", "best_of_n")}
    assert gallery_results.apart(report, "dpo", "dpo") == set()


def lines() -> dict[str, list[str]]:
    """Kind -> what stands in the first column of its table, of the page as it is kept."""
    parts = methods.PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    found = [re.findall(r"^\| `(.+?)` \|", part, re.MULTILINE) for part in parts]
    return dict(zip(methods.TITLES, found, strict=True))


STUDY = """\
study: lines
title: a study of one line
model: {source: scratch, tokenizer_corpus: texts}
corpora: {texts: {source: file, path: NAME}}
stages: {first: {data: texts, train: {kind: sft, updates: 10}}}
arms: {base: [], direct: [first], last: []}
seeds: 1
benchmarks: {preference: {data: NAME}}
judge_model: {endpoint: "http://127.0.0.1:9/v1", model: m}
"""


def study_of(kind: str, value: Any, folder: Path) -> dict[str, Any]:
    """A study that says a line of the page where the page says that it stands."""
    (folder / "study.yaml").write_text(STUDY)
    study: dict[str, Any] = read_yaml(folder / "study.yaml").data
    train = {
        "objectives": {"kind": "prefer", "updates": 10},
        "rewards": {"kind": "rloo", "updates": 10},
        "surgeries": {"kind": "recover"},
        "kinds": {},
    }
    if kind in train:
        given = value["train"] if kind == "kinds" else train[kind] | value
        reads = given["kind"] != "recover" or given["surgery"] == "recover_alignment"
        if given.get("objective") == "d2o":  # the one that compares with a model it is not told of
            given["references"] = [{"stage": "first"}]
        study["stages"]["second"] = ({"data": "texts"} if reads else {}) | {"train": given}
        study["arms"]["last"] = ["first", "second"]
        reward = {"kind": "reward", "updates": 10}
        study["stages"]["judging"] = {"data": "texts", "train": reward}
        of_stage = {"reward": "reward_model", "critique_reward": "critique_reward"}
        if given["kind"] in of_stage:
            trains = {"kind": "rloo", "rewards": [of_stage[given["kind"]]], "updates": 10}
            study["stages"]["third"] = {"data": "texts", "train": trains}
            study["arms"]["last"].append("third")
        elif any(asks_folder(RewardUse.model_validate(use)) for use in given.get("rewards", ())):
            study["stages"]["second"]["reward_from"] = "judging"
    elif kind in ("edits", "decodings"):
        study["arms"]["last"] = {"stages": ["first"]} | value
    elif kind in ("corpora", "generators", "transforms", "selectors"):
        source = {"source": "generated", "seeds": "NAME"} if kind == "generators" else {
            "source": "file", "path": "NAME"}  # fmt: skip
        study["corpora"]["rows"] = value["NAME"] if kind == "corpora" else source | value
        for option in CORPORA.get(study["corpora"]["rows"]["source"]).facts.get("rows_of", ()):
            study["corpora"]["rows"][option] = "texts"  # the name of a corpus, and of no file
        study["stages"]["first"]["data"] = "rows"
        if study["corpora"]["rows"]["source"] == "written":
            study["written"] = {"values": {"constitution": "hhh", "teacher": "template",
                                           "tokens": 9}}  # fmt: skip
    elif kind == "benchmarks":
        study["benchmarks"] = value
    elif kind == "attacks":
        study["benchmarks"] = {"jailbreak": {"data": "NAME"} | value}
    elif kind == "scorers":
        asked = (
            methods.room_of("scorers").get(value["judges"][0].partition(":")[0]).facts["question"]
        )
        fitting = next(b for b in all_benchmarks() if asked in b.questions)
        study["benchmarks"] = {fitting.name: dict.fromkeys({"data"} & set(fitting.options), "NAME")
                               | value}  # fmt: skip
    elif kind in ("judges", "calibrations"):
        judge = {"judge": {"name": "pairwise", "orders": 1}} if kind == "calibrations" else {}
        if value.get("calibrations") == ["people"]:
            value["calibrations"].insert(0, "multiple_evidence")  # whose replies it weighs
        study["comparisons"] = [{"name": "c", "a": "base", "b": "direct", "prompts": "preference"}
                                | judge | value]  # fmt: skip
    elif kind == "probes":
        study["probe"] = {"constitution": "hhh", "requests": "REQUESTS"} | value
    elif kind == "worlds":
        study |= value
    said = json.dumps(value)
    for world, options, values in (("hearth", {"seed": 4}, ("care", "thrift")),
                                   ("village", {}, ("own", "other"))):  # fmt: skip
        if world in said:
            study["world"] = {"name": world, **options}
            study["model"] = {"source": world}
            study |= dict(zip(("value", "other_value"), values, strict=True))
            for stage in study["stages"].values():
                if stage["train"]["kind"] != "recover":
                    stage["train"]["max_length"] = 128
    return study


def named(kind: str, value: Any) -> str:
    """What of a line is found again in a node."""
    while not isinstance(value, str):
        if isinstance(value, dict) and kind == "benchmarks":
            return next(iter(value))
        value = (value.get("name") or value.get("source") or value.get("kind")
                 or value.get("generator") or next(iter(value.values()))
                 if isinstance(value, dict) else value[0])  # fmt: skip
    return value.partition(":")[0]


@pytest.mark.parametrize("kind", methods.TITLES)
def test_a_line_of_the_page_makes_no_study(kind: str, tmp_path: Path) -> None:
    """A study that says the line is read and planned, and its method is part of a node."""
    asked = {"id": "a", "prompt": "a", "harmful": True}
    (tmp_path / "REQUESTS").write_text(json.dumps(asked) + "\n")
    (tmp_path / "NAME").write_text(json.dumps(asked | {"text": "a"}) + "\n")
    for place, line in enumerate(lines()[kind]):
        file = tmp_path / f"line{place}.yaml"
        file.write_text(line)
        value = read_yaml(file).data
        if kind == "reproductions":
            assert list(methods.room_of(kind).problems(Use.model_validate(value))) == [], line
            continue
        write_json(file.with_suffix(".yaml"), study_of(kind, value, tmp_path))
        if kind == "scorers" and line.endswith(":NAME]"):
            with pytest.raises(UserError, match="'NAME': no such folder"):  # of a model's weights
                build_plan(file)
            continue
        plan = build_plan(file)
        said = json.dumps([node.payload for node in plan.nodes], default=str)
        assert named(kind, value) in said, line


def test_a_method_is_on_no_page() -> None:
    for kind, found in lines().items():
        assert len(found) == len(methods.entries(kind)), kind


def test_the_map_is_stale() -> None:
    kept = mapping.PAGE.read_text(encoding="utf-8")
    assert kept == mapping.page(), "run: python docs/make/map.py"  # fails on a method that is gone


def test_a_method_has_no_place_in_the_pipeline() -> None:
    """The survey of the whole pipeline: data, training, inference, evaluation."""
    (pipeline,) = [survey for survey in mapping.SURVEYS if "pipeline" in survey.title]
    every = {(kind, entry.name) for kind in methods.TITLES for entry in methods.entries(kind)}
    assert every == mapping.standing(pipeline)
