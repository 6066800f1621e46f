"""`probe:` of a study: mistakes by line, nothing else changed, and findings in results and page."""

import shutil
from collections.abc import Callable
from pathlib import Path

import layer_helpers as layer
import pytest
from layer_helpers import Finished

from whyfirst.config.errors import ConfigError, DataError
from whyfirst.config.files import read_json, write_json
from whyfirst.report.schema import load_results
from whyfirst.study.plan import build_plan, unused
from whyfirst.study.register import frozen_plan

PROBED = "probe: {probes: [logit_difference, patching], values: [care, thrift], limit: 40}"

MISTAKES = {
    "probe": ("probes: [direktion]", r":36: probe\.probes\[0\]: .*did you mean 'direction'"),
    "twice": ("probes: [direction, direction]", "comes twice"),
    "arm": ("probes: [patching], arms: [base, dirct]", "did you mean 'direct'"),
    "seeds": ("probes: [patching], seeds: 9", "9, and arm 'direct' has 2"),
    "value": ("probes: [patching], values: [cares]", "did you mean 'care'"),
    "key": ("probes: [patching], pair: x.jsonl", "did you mean 'pairs'"),
    "two sources": ("probes: [patching], pairs: x, constitution: hhh", "not both"),
    "requests": ("probes: [patching], requests: x.jsonl", "brings its own requests"),
    "limit": ("probes: [patching], constitution: hhh, limit: 3", "counts a world's requests"),
    "one value": ("probes: [direction], values: [care]", "the pairs are of one value"),
    "no direct": ("probes: [patching], arms: [base, explain_first]", "it needs the arm 'direct'"),
    "no requests": ("probes: [patching], constitution: hhh", "there are no requests"),
    "no file": ("probes: [direction], pairs: nowhere.jsonl", "no such file or folder"),
    "empty": ("probes: []", "expected at least 1 of them, found an empty list"),
}


def with_probe(text: str) -> tuple[str, str]:
    return "headline: main", f"headline: main\n{text}"


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_found_after_training(what: str, tmp_path: Path, hearth: Path) -> None:
    """A misspelt probe was an error of the last node, hours into a study."""
    given, said = MISTAKES[what]
    file = layer.write(tmp_path, with_probe(f"probe: {{{given}}}"))
    with pytest.raises((ConfigError, DataError), match=said):
        build_plan(file)


def test_one_model_stands_beside_seeds_that_ask_about_others(tmp_path: Path, hearth: Path) -> None:
    """`direct` of seed 0 was asked about the newcomer of seed 1, whom nothing had shown it."""
    few = ("seeds: {default: 2}", "seeds: {default: 2, direct: 1}")
    with pytest.raises(ConfigError, match="arm 'direct' has one seed and 'explain_first' 2"):
        build_plan(layer.write(tmp_path, few, with_probe(PROBED)))
    build_plan(layer.write(tmp_path, few, with_probe(PROBED.replace("}", ", seeds: 1}"))))


DRESSED = (
    "  direct: [align]\n",
    "  direct: [align]\n  drawn: {stages: [align], decoding: [{name: best_of_n, n: 2}]}\n",
)


def test_an_arm_is_probed_bare_under_a_second_name(tmp_path: Path, hearth: Path) -> None:
    """Its weights are those of the arm without its decoding: the two can't but be alike."""
    plan = build_plan(layer.write(tmp_path, DRESSED, with_probe(PROBED)))
    bare = build_plan(layer.write(tmp_path, with_probe(PROBED)))
    assert "drawn" in plan.study.arms and "drawn" not in plan.study.probed()
    for name in ("probe:logit_difference", "probe:patching"):
        assert plan.by_id[name].fingerprint == bare.by_id[name].fingerprint
    [told] = [said for said in unused(plan) if said.startswith("probe")]
    assert told.startswith("probe: leaves out drawn: probes look at weights alone")
    assert not [said for said in unused(bare) if said.startswith("probe")]
    named = "probe: {probes: [logit_difference], arms: [base, drawn]}"
    with pytest.raises(ConfigError, match=r"probe\.arms\[1\]: .*'drawn' answers through edits or"):
        build_plan(layer.write(tmp_path, DRESSED, with_probe(named)))


def test_probing_changes_what_is_trained_or_registered(tmp_path: Path, hearth: Path) -> None:
    """Asking for a probe made every stage a stranger, and studies without one deviate."""
    plain = build_plan(layer.write(tmp_path / "a"))
    probed = build_plan(layer.write(tmp_path / "b", with_probe(PROBED)))
    before = {node.id: node.fingerprint for node in plain.nodes}
    after = {node.id: node.fingerprint for node in probed.nodes}
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"probe:logit_difference", "probe:patching"}
    frozen, frozen_probed = frozen_plan(plain), frozen_plan(probed)
    assert "probe" not in frozen and "probes" not in frozen["versions"]
    assert frozen_probed["probe"]["probes"] == ["logit_difference", "patching"]
    assert set(frozen_probed["versions"]["probes"]) == {"logit_difference", "patching"}


def test_a_probe_is_found_under_another_ones_fingerprint(tmp_path: Path, hearth: Path) -> None:
    """Other values, seeds, arms or pairs gave the findings of the first ones."""
    pairs = [
        {"id": f"{value}/{n}", "value": value, "violated": f"it is bad {n}", "upheld": f"ok {n}"}
        for value in ("care", "thrift")
        for n in range(3)
    ]

    def fingerprint(given: str, name: str) -> str:
        file = layer.write(tmp_path / name, with_probe(f"probe: {{probes: [direction]{given}}}"))
        (file.parent / "p.jsonl").write_text("\n".join(map(_json, pairs)))
        return build_plan(file).by_id["probe:direction"].fingerprint

    given = ["", ", values: [care, thrift]", ", seeds: 1", ", arms: [base, direct]", ", limit: 9",
             ", pairs: p.jsonl"]  # fmt: skip
    marks = [fingerprint(one, f"s{n}") for n, one in enumerate(given)]
    assert len(set(marks)) == len(given)
    assert fingerprint("", "again") == marks[0]
    pairs[0]["upheld"] = "changed"
    assert fingerprint(", pairs: p.jsonl", "content") != marks[-1]


def _json(row: dict[str, str]) -> str:
    import json

    return json.dumps(row)


@pytest.fixture
def copied(tmp_path: Path, finished: Finished) -> Callable[[str], tuple[Path, Path, Path]]:
    """The finished study's store, and its file with a probe."""

    def make(probe: str) -> tuple[Path, Path, Path]:
        shutil.copytree(finished.store, tmp_path / "store")
        file = layer.write(tmp_path / "probed", with_probe(probe))
        return file, tmp_path / "store", tmp_path / "out"

    return make


def test_findings_are_missing_from_results_or_page(
    copied: Callable[[str], tuple[Path, Path, Path]], base_assets: Path
) -> None:
    """Probes were a command of their own, whose figures no report held; nothing is trained again.

    Seeds are the unit, and a control that shows the link is named as one.
    """
    file, store, out = copied(PROBED)
    code, printed, errors = layer.run(file, store, out, base_assets)
    assert code == 0, errors
    assert layer.summary(printed)["computed"] == 2
    results = load_results(out / "report" / "results.json")
    assert [row.probe for row in results.probes] == ["logit_difference", "patching"]
    first = results.probes[0]
    assert {arm: set(seeds) for arm, seeds in first.models.items()} == {
        "base": {"0"}, "direct": {"0", "1"}, "explain_first": {"0", "1"},
    }  # fmt: skip
    violation = {m.arm: m for m in first.measures if m.name == "violation" and "value" not in m.at}
    assert {arm: (m.n_seeds, m.unit) for arm, m in violation.items()} == {
        "base": (1, "topics"), "direct": (2, "seeds"), "explain_first": (2, "seeds"),
    }  # fmt: skip
    assert {m.at["value"] for m in first.measures if "value" in m.at} == {"care", "thrift"}
    assert [m.arm for m in first.behaviour] == ["base", "direct", "explain_first"]
    page = (out / "report" / "index.html").read_text()
    assert "Inside the models" in page and "bad outcomes where a value is violated" in page
    code, printed, errors = layer.run(file, store, out, base_assets)
    assert code == 0 and layer.summary(printed)["computed"] == 0, errors


def test_results_without_probes_open_with_them_or_the_other_way(
    finished: Finished, tmp_path: Path
) -> None:
    """A page of a study without probes had a heading over nothing."""
    assert load_results(finished.out / "report" / "results.json").probes == []
    assert "Inside the models" not in (finished.out / "report" / "index.html").read_text()
    broken = read_json(finished.out / "report" / "results.json") | {"probes": [{"probe": "x"}]}
    write_json(tmp_path / "results.json", broken)
    with pytest.raises(DataError, match=r"probes\.0\.version"):
        load_results(tmp_path / "results.json")
