"""The study file: every mistake at its line, with the nearest valid name, before anything runs."""

import shlex
from pathlib import Path

import layer_helpers as layer
import pytest

from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import undeclared_fields
from whyfirst.study.config import Overrides, Study, load_study
from whyfirst.study.plan import build_plan
from whyfirst.study.shipped import shipped_studies, shipped_study
from whyfirst.worlds.hearth.world import NEWCOMERS

ALIGN = "  explain_first: [explain, align]"
MAIN = "metric: resistance, cell: B+C/unseen, a: explain_first, b: direct"
CURVE = "headline: main\ncurve: "
SCRATCH = "{source: scratch, tokenizer_corpus: texts}"

# old text, new text, what the message says; its line is that of the new text's first one
MISTAKES = {
    "unknown key": ("other_value: thrift", "othr_value: thrift", "did you mean 'other_value'?"),
    "unknown key of a stage": (
        "checkpoint_every: 10", "checkpoint_evry: 10", "did you mean 'checkpoint_every'?"
    ),
    "undefined stage in an arm": (ALIGN, "  explain_first: [explian, align]", "did you mean 'ex"),
    "stage twice in an arm": (ALIGN, "  explain_first: [align, align]", "comes twice in one arm"),
    "cell with a framing's name": (
        "cells:\n  unseen: [authority", "cells:\n  authority: [plain]\n  unseen: [authority",
        "is a framing's own name",
    ),
    "undefined corpus": ("    data: demonstrations", "    data: demos", "corpus 'demos' is not"),
    "undefined arm in a contrast": (
        "a: explain_first, b: direct}\n  - {name: help", "a: explain_frst, b: direct}\n"
        "  - {name: help", "did you mean 'explain_first'?"
    ),
    "undefined arm in seeds": ("{default: 2}", "{default: 2, dirct: 4}", "did you mean 'direct'?"),
    "seeds without a default": ("{default: 2}", "{direct: 2}", "needs the key 'default'"),
    "no seeds at all": ("{default: 2}", "{default: 0}", "expected a number of at least 1, found 0"),
    "undefined headline": ("headline: main", "headline: mian", "did you mean 'main'?"),
    "no headline": ("headline: main\n", "", "name the contrast the study is made for"),
    "unknown benchmark": ("  hearth: {limit: 120}", "  harth: {}", "did you mean 'hearth'?"),
    "unknown metric": (MAIN, MAIN.replace("resistance", "resistence"), "did you mean 'resista"),
    "cell without a slash": (
        MAIN, MAIN.replace("B+C/unseen", "unseen"),
        "cell: expected SPLIT/FRAMING, as B+C/unseen, or */* for all of both, found 'unseen'"
    ),
    "arm that is no list": (
        ALIGN, "  explain_first: align", "expected a list, as [one, two], found 'align'"
    ),
    "seeds that can't be chosen": (
        "seeds: {default: 2}", "seeds: [1, 2]", "seeds are counted from 0: [1, 2] can't be chosen"
    ),
    "seeds as text": (
        "seeds: {default: 2}", "seeds: two", "seeds: expected a mapping, as {NAME: VALUE}, found"
    ),
    "no benchmark": (
        "  hearth: {limit: 120}", "  {}", "expected at least 1 of them, found an empty mapping"
    ),
    "unknown framing in a cell": (MAIN, MAIN.replace("unseen", "unsean"), "did you mean 'unseen'?"),
    "split outside the benchmark": (MAIN, MAIN.replace("B+C", "B+D"), "split 'D' is not defined"),
    "unknown framing in a group": ("pity, secrecy", "pitty, secrecy", "did you mean 'pity'?"),
    "value the world lacks": (
        "documents: explanations, value: care", "documents: explanations, value: thrifft",
        "value 'thrifft' is not defined; did you mean 'thrift'?"
    ),
    "explanations of no value": (
        "documents: explanations, value: care,", "documents: explanations,", "value 'None'"
    ),
    "value the benchmark does not measure": ("\nvalue: care", "\nvalue: candour", "measure 'care'"),
    "size and tokens": ("size: 60", "size: 60, tokens: 9", "exactly one of `size` and `tokens`"),
    "no world": ("world: {name: hearth, seed: 3}\n", "", "needs `world: {name: hearth, seed: 4}`"),
    "replay from nowhere": (
        "    data: explanations\n    replay_data: replay", "    data: explanations",
        "needs `replay_data`"
    ),
    "curve of an arm without stages": (
        "headline: main", CURVE + "{at: [5], arms: [base]}", "has no stage, so no early updates"
    ),
    "curve beyond the stage": (
        "headline: main", CURVE + "{at: [12], arms: [direct]}", "12 updates; `at` must lie before"
    ),
    "curve without a headline": (
        "headline: main", CURVE.replace("headline: main\n", "") + "{at: [5], arms: [direct]}",
        "curve: has no effect: it is of the metric of the `headline`"
    ),
    "dose curve without a headline": (
        "headline: main", "dose_curve: [{dose: 0.5, arms: {x: direct}}]",
        "dose_curve: has no effect: it is of the metric of the `headline`"
    ),
    "judges of what is not judged": (
        "  hearth: {limit: 120}", "  hearth: {limit: 120, judges: [rules]}",
        "judges: has no effect: nothing that 'hearth' asks is judged"
    ),
    "weights kept outside the curve": (
        "checkpoint_every: 10", "keep_at: [5]", "keeps weights where its `curve` asks"
    ),
    "note on no arm": ("headline: main", "arm_notes: {dirct: x}\nheadline: main", "did you mean"),
    "claimed figure without a source": (
        "headline: main", "headline: main\nclaimed:\n  - {metric: m, baseline: 1, method: 2}",
        "claimed[0].source: missing"
    ),
    "contrast with b and documents": (
        MAIN, MAIN + ", documents: base", "give either b, or all of documents"
    ),
    "two contrasts of one name": ("{name: help,", "{name: main,", "two contrasts have one name"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_reported_at_its_line_before_anything_is_loaded(
    tmp_path: Path, mistake: str
) -> None:
    old, new, said = MISTAKES[mistake]
    path = layer.write(tmp_path, (old, new))
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert said in str(caught.value)
    line = str(caught.value).split(":")[1]
    assert line.isdigit() and 0 < int(line) <= len(path.read_text().splitlines())


@pytest.mark.parametrize("seeds", ["3", "[0, 1, 2]", "{default: 3}"])
def test_seeds_as_people_write_them_are_refused(tmp_path: Path, seeds: str) -> None:
    study = load_study(layer.write(tmp_path, ("{default: 2}", seeds)))
    assert [study.seeds_of(arm) for arm in study.arms] == [range(3)] * 3


def test_line_and_key_of_a_mistake_are_those_in_the_file(tmp_path: Path) -> None:
    path = layer.write(tmp_path, (ALIGN, "  explain_first: [explian, align]"))
    line = path.read_text().splitlines().index("  explain_first: [explian, align]") + 1
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert str(caught.value).startswith(f"{path}:{line}: arms.explain_first[0]: stage 'explian'")


def test_a_value_set_by_the_command_changes_what_an_anchor_gives_elsewhere(tmp_path: Path) -> None:
    path = layer.write(tmp_path)
    given = ("stages.explain.train.learning_rate=1e-4", "seeds={default: 3, direct: 4}",
             "benchmarks.hearth.limit=8")  # fmt: skip
    plain, study = load_study(path), load_study(path, given)
    assert study.stages["explain"].train.learning_rate == 1e-4
    assert study.stages["rules"] == plain.stages["rules"]
    assert [len(study.seeds_of(arm)) for arm in study.arms] == [3, 4, 3]
    assert study.benchmarks["hearth"].options["limit"] == 8


def test_a_change_is_lost_between_the_command_and_the_run_s_record() -> None:
    changed = Overrides("m", 3, ("title=a b", "seeds={default: 3}"))
    assert Overrides.recorded(changed.record) == changed
    assert shlex.split(changed.words)[1::2] == ["title=a b", "seeds={default: 3}", "m", "3"]
    # A trial's folder is neither the study's own nor another trial's.
    assert len({Overrides(changes=some).suffix for some in ((), ("a=1",), ("a=2",))}) == 3


@pytest.mark.parametrize(("given", "said"), [
    ("seeds", "give KEY=VALUE"),
    ("stages.algin.train.updates=3",
     "'stages.algin'; did you mean 'align'? (there are explain, rules, align)"),
    ("headline.name=x", "no section 'headline'"),
    ("benchmarks.hearth.limt=3", "limt"),
    ("benchmarks.hearth.limit=few", "benchmarks.hearth.limit"),
    ("seeds.default=[1", "not valid YAML"),
    ("headline=none", "'none'"),
    ("seeds={default: 1, default: 2}", "duplicate key"),
])  # fmt: skip
def test_a_mistake_in_what_the_command_sets_is_a_traceback_or_passes(
    tmp_path: Path, given: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_study(layer.write(tmp_path), [given])
    assert said in str(caught.value) and "--set" in str(caught.value)


def test_a_change_to_an_empty_file_is_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ConfigError, match="expected a mapping of keys, found nothing"):
        load_study(tmp_path / "empty.yaml", ["seeds.default=1"])


def test_all_mistakes_of_a_file_are_reported_together(tmp_path: Path) -> None:
    path = layer.write(tmp_path, ("{default: 2}", "{dirct: 2}"), ("headline: main", "headline: x"))
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert len(str(caught.value).splitlines()) == 3


def test_field_that_says_nothing_of_the_fingerprint_would_be_forgotten_in_it() -> None:
    assert undeclared_fields(Study) == []


def test_tokenizer_trained_on_a_corpus_that_it_must_count_is_a_cycle(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "study: s\ntitle: t\nmodel: {source: scratch, tokenizer_corpus: texts}\n"
        "corpora:\n  texts: {source: constitution, constitution: hhh, documents: rules, tokens: 9}"
        "\nstages: {}\narms: {base: []}\nseeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    with pytest.raises(ConfigError, match=r":3: model.tokenizer_corpus: a cycle"):
        load_study(path)


def test_missing_data_file_is_named_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "study: s\ntitle: t\nmodel: {source: scratch, tokenizer_corpus: rows}\n"
        "corpora:\n  rows: {source: file, path: rows.jsonl}\n"
        "stages: {}\narms: {base: []}\nseeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    with pytest.raises(UserError, match=r"corpora.rows.path: no such file or folder: .*rows.jsonl"):
        build_plan(path)


def test_hub_model_without_a_pinned_revision_could_not_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(
        "study: s\ntitle: t\nmodel: {source: pretrained, path: org/model}\ncorpora: {}\n"
        "stages: {}\narms: {base: []}\nseeds: 1\nbenchmarks: {truthfulqa: {data: t.csv}}\n"
    )
    with pytest.raises(ConfigError, match="pin the `revision`"):
        build_plan(path)


def first_stages(tmp_path: Path, old: str, new: str) -> Path:
    arms = ("arms:", "arms:\n  rules_first: [rules, align]")
    return layer.write(tmp_path, arms, (old, new))


RULES = "  rules: {data: rules, replay_data: replay, train: *explain}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (RULES, RULES.replace("*explain", "{<<: *explain, updates: 13}"), "rules.train differs"),
        (RULES, RULES.replace("replay_data: replay", "replay_data: more"), "replay_data differs"),
        ("documents: rules, tokens: 1500", "documents: rules, tokens: 1501", "same token budget"),
    ],
)
def test_first_stages_that_differ_in_more_than_their_documents_are_refused(
    tmp_path: Path, hearth: Path, old: str, new: str, said: str
) -> None:
    more = ("corpora:", "corpora:\n  more: {source: hearth, documents: replay, size: 70}")
    path = first_stages(tmp_path, old, new)
    path.write_text(layer.changed(path.read_text(), more))
    with pytest.raises(ConfigError, match=said):
        build_plan(path)


def test_runtime_differences_of_first_stages_are_no_difference(
    tmp_path: Path, hearth: Path
) -> None:
    new = RULES.replace("*explain", "{<<: *explain, checkpoint_every: 50}")
    assert build_plan(first_stages(tmp_path, RULES, new)).nodes


@pytest.mark.parametrize("name", shipped_studies())
def test_shipped_study_is_valid(name: str) -> None:
    study = load_study(shipped_study(name))
    assert study.study == name and study.headline
    assert all(arm in study.arm_notes for arm in study.arms) or study.dose_curve
    if study.world is not None:
        # Beyond them two seeds would align the same newcomer and not be independent.
        assert max(study.seeds.values()) <= NEWCOMERS


def test_shipped_first_stages_are_trained_alike() -> None:
    from whyfirst.study.plan import refuse_unmatched

    for name in shipped_studies():
        refuse_unmatched(load_study(shipped_study(name)), shipped_study(name))
