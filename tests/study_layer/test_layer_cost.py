"""What a plan says it will cost, on a study whose tokens and questions can be counted by hand."""

import json
from dataclasses import replace
from pathlib import Path

import layer_models
import pytest
from typer.testing import CliRunner

from whyfirst.cli.app import app
from whyfirst.cli.planning import show_power
from whyfirst.config.errors import ConfigError, UserError
from whyfirst.config.strict import load_yaml
from whyfirst.models.reference import parse_model
from whyfirst.study.config import Overrides, Study, _kept
from whyfirst.study.cost import arithmetic as cost
from whyfirst.study.cost.estimate import cost_json, describe_plan, estimate
from whyfirst.study.cost.parts import CHARACTERS
from whyfirst.study.cost.timing import tracker_of
from whyfirst.study.execute.store import Store
from whyfirst.study.nodes.evaluation import rehearsals
from whyfirst.study.plan import build_plan

THINGS = ("kralet", "glimfen", "dorrow", "velp")
STUDY = """\
study: priced
title: What it costs
model: {source: pretrained, path: model, dtype: bfloat16}
JUDGE
corpora:
  demos: {source: file, path: demos.jsonl}
  prompts: {source: file, path: demos.jsonl}
  pairs: {source: file, path: pairs.jsonl}
stages:
  align: {data: demos, train: {kind: sft, batch_size: 2, updates: 10, max_length: 64}}
  prefer: {data: pairs, train: {kind: reward, batch_size: 2, updates: 10, max_length: 64}}
  rlhf:
    data: prompts
    reward_from: prefer
    train: {kind: ppo, batch_size: 4, minibatch_size: 2, updates: 10, max_length: 64,
            max_new_tokens: 8, rewards: [{name: reward_model}]}
arms: {base: [], direct: [align], rl: [align, rlhf]}
seeds: {default: 2}
benchmarks:
  preference: {data: pairs.jsonl}
  hh_responses: {data: pairs.jsonl, judges: [harmless], max_new_tokens: 16}
contrasts:
  - {name: main, title: main, metric: preference_sum, a: direct, b: base}
headline: main
"""
ENDPOINT = (
    "judge_model: {endpoint: 'http://127.0.0.1:9/v1', model: judge, price_in: 2, price_out: 10}"
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study's model and rows."""
    folder = tmp_path_factory.mktemp("priced")
    layer_models.build(folder / "model")
    prompts = [f"\n\nHuman: How do I use the {thing}?\n\nAssistant:" for thing in THINGS]
    demos = [{"prompt": prompt, "completion": " Hold it."} for prompt in prompts]
    pairs = [{"prompt": p, "chosen": " Hold it.", "rejected": " Drop it!"} for p in prompts]
    for name, rows in (("demos", demos), ("pairs", pairs)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def study(place: Path, judge: str = ENDPOINT, name: str = "priced") -> Path:
    path = place / f"{name}.yaml"
    path.write_text(STUDY.replace("JUDGE", judge))
    return path


def test_tokens_and_operations_follow_from_rows_updates_and_epochs(place: Path) -> None:
    found = estimate(build_plan(study(place)), Store(place / "store"))
    rows = {row.name: row for row in found.work}
    shape = cost.read_shape(cost.model_config(str(place / "model")))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(place / "model" / "tokenizer.json"))
    texts = [json.loads(line) for line in (place / "demos.jsonl").read_text().splitlines()]
    lengths = [len(tokenizer.encode(t["prompt"] + t["completion"]).ids) for t in texts]
    mean = sum(lengths) / len(lengths)
    assert rows["align"].tokens == pytest.approx(10 * 2 * mean)
    assert rows["align"].updates == 10
    assert rows["align"].flops == pytest.approx(cost.training_flops(shape, 10 * 2 * mean, mean))
    # Two arms use the same demonstrations, and both RL seeds one reward model each.
    assert (rows["align"].nodes, rows["prefer"].nodes, rows["rlhf"].nodes) == (2, 2, 2)
    prompts = [len(tokenizer.encode(t["prompt"]).ids) for t in texts]
    seen = 10 * 4 * (sum(prompts) / len(prompts) + 8)
    # 4 passes of actor and critic; writing, the reference and the reward model read it once each.
    assert rows["rlhf"].tokens == pytest.approx((4 + 4 + 3) * seen)
    assert set(rows["rlhf"].memory) >= {"reference copy", "reward model", "critic"}
    # 3 models x 2 seeds, but the base is one for both
    assert {row.nodes for row in found.work if row.kind == "evaluation"} == {5}
    assert cost_json(found)["tokens_left"] == pytest.approx(
        sum(row.tokens * row.left for row in found.work)
    )


def test_updates_of_one_generation_are_counted_once(place: Path) -> None:
    """Two epochs of 4 prompts, 2 a generation: 4 generations, each used for 3 updates."""
    before = "{kind: ppo, batch_size: 4, minibatch_size: 2, updates: 10,"
    after = "{kind: grpo, batch_size: 4, group_size: 2, epochs: 2, iterations: 3,"
    path = study(place, name="grouped")
    path.write_text(path.read_text().replace(before, after))
    [row] = [r for r in estimate(build_plan(path), Store(place / "store")).work if r.name == "rlhf"]
    assert row.updates == 12


def test_what_is_in_the_store_costs_nothing_more(place: Path, tmp_path: Path) -> None:
    plan, store = build_plan(study(place)), Store(tmp_path / "store")
    before = estimate(plan, store)
    store.create()
    for node in plan.nodes:
        if node.kind == "evaluation" and node.payload["config"]["benchmark"] == "preference":
            store.prepare(*node.key)
            store.finish(*node.key, {})
    after = estimate(plan, store)
    left = {row.name: row.left for row in after.work}
    assert left["preference"] == 0 and left["hh_responses"] == 5
    assert after.tokens_left < before.tokens_left


def test_judge_calls_are_counted_and_priced_and_an_unpriced_model_is_never_free(
    place: Path,
) -> None:
    plan, store = build_plan(study(place)), Store(place / "store")
    (row,) = estimate(plan, store).calls
    asked = rehearsals(plan.nodes)["hh_responses"].judging
    assert (asked.calls, row.calls) == (4, 4 * 5)
    assert row.tokens_in == round(asked.read / CHARACTERS) * 5
    assert row.price == pytest.approx((row.tokens_in * 2 + row.tokens_out * 10) / 1e6)
    free = ENDPOINT.replace(", price_in: 2, price_out: 10", "")
    (unpriced,) = estimate(build_plan(study(place, free)), store).calls
    assert unpriced.price is None and unpriced.calls == row.calls


def test_every_contrast_has_its_items_and_what_it_can_find(place: Path) -> None:
    (row,) = describe_plan(build_plan(study(place)), Store(place / "store")).power
    assert (row.n_topics, row.n_items, row.spread) == (4, 4, "default")
    assert row.mde is not None and row.half_width is not None


def test_what_a_contrast_of_a_score_can_find_is_no_number_of_points(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = describe_plan(build_plan(study(place)), Store(place / "store"))
    (share,) = told.power
    scored = replace(share, contrast="scored", unit="score", mde=0.25, half_width=0.1234)
    show_power(replace(told, power=(replace(scored, unit="proportion"), scored)))
    first, second = [line for line in capsys.readouterr().out.splitlines() if "scored" in line]
    assert "±25.0 points" in first and "±12.3 points" in first
    assert "±0.250" in second and "±0.123" in second and "points" not in second


def test_size_of_a_model_nobody_knows_is_said_and_the_rest_is_planned(place: Path) -> None:
    path = study(place, name="hub")
    pinned = "path: nobody/nothing, revision: " + "a" * 40
    path.write_text(path.read_text().replace("path: model", pinned))
    found = estimate(build_plan(path), Store(place / "store"))
    assert found.problem is not None and "nobody/nothing" in found.problem
    assert found.work == () and len(found.calls) == 1


@pytest.mark.parametrize(
    ("judges", "said"),
    [
        ("[truthful]", "'truthful'.*asks whether it is 'refused' or 'harmless' or 'helpful'"),
        ("[harmles]", "judge 'harmles' is not defined; did you mean 'harmless'"),
    ],
)
def test_judge_that_can_judge_nothing_here_is_refused(place: Path, judges: str, said: str) -> None:
    path = study(place, name="judges")
    path.write_text(path.read_text().replace("[harmless]", judges))
    with pytest.raises(ConfigError, match=said):
        build_plan(path)


def test_a_share_of_grades_is_taken_for_one_of_passes(place: Path) -> None:
    """What graded judges gave a share as before is asked again, and nothing else is."""
    path = study(place, name="graded")
    marked = {}
    for judges in ("[harmless]", "[rubric]", "[rules]", "[]"):
        path.write_text(study(place, name="plain").read_text().replace("[harmless]", judges))
        for node in build_plan(path).nodes:
            if node.kind == "evaluation" and "hh_responses" in node.id:
                marked[judges] = node.payload["config"].get("shares")
    assert marked == {"[harmless]": "of passes", "[rubric]": "of passes", "[rules]": None,
                      "[]": None}  # fmt: skip


def test_judge_without_its_model_is_refused(place: Path) -> None:
    with pytest.raises(ConfigError, match="'harmless' asks a model: name it as `judge_model`"):
        build_plan(study(place, "", name="without"))


def test_judge_and_chat_template_are_part_of_an_evaluation_and_of_nothing_else(
    place: Path,
) -> None:
    """Another judge gave the old judge's scores; and a template is trained with, too."""
    path = study(place, name="one")
    one = {node.id: node.fingerprint for node in build_plan(path).nodes}
    text, both = path.read_text(), {"hh_responses", "preference"}
    stages = ("align", "prefer", "align>rlhf")
    for old, new, names in (
        ("model: judge", "model: other", {"hh_responses"}),
        ("judges: [harmless]", "judges: [helpful]", {"hh_responses"}),
        # Chats are trained on as they are asked, so this one reaches the stages as well.
        ("dtype: bfloat16", "dtype: bfloat16, chat_template: plain", {*both, *stages}),
        ("dtype: bfloat16", "dtype: float32", both),
    ):
        path.write_text(text.replace(old, new))
        other = {node.id: node.fingerprint for node in build_plan(path).nodes}
        changed = {name for name in one if one[name] != other[name]}
        assert {name.rpartition("/")[2] for name in changed} == names, (old, new)


def test_reward_model_is_one_a_seed_and_the_stage_against_it_reads_it(place: Path) -> None:
    plan = build_plan(study(place))
    stage = plan.by_id["seed1/align>rlhf"]
    assert stage.depends == ("seed1/align", "corpus:prompts", "seed1/prefer")
    assert plan.by_id["seed1/prefer"].depends == ("base", "corpus:pairs")
    assert all("prefer" not in chain for chains in plan.stages.values() for chain in chains)


def test_reward_model_in_an_arm_starts_from_the_stage_before_and_the_policy_passes_it_by(
    place: Path,
) -> None:
    """[sft, reward, ppo]: a policy that started from the reward model would have no words."""
    path = study(place, name="in_arm")
    text = path.read_text().replace("    reward_from: prefer\n", "")
    path.write_text(text.replace("rl: [align, rlhf]", "rl: [align, prefer, rlhf]"))
    nodes = build_plan(path).by_id
    assert nodes["seed1/align>prefer"].depends == ("seed1/align", "corpus:pairs")
    assert nodes["seed1/align>prefer>rlhf"].depends == (
        "seed1/align", "corpus:prompts", "seed1/align>prefer",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "reward"),
    [("critique_reward", "critique_reward"), ("reward", "salmon, principles: [is kind]")],
)
def test_other_trained_rewards_read_the_stage_that_trained_them(
    place: Path, kind: str, reward: str
) -> None:
    """Only `reward_model` could; others wanted the path of a folder that no study has yet."""
    path = study(place, name="trained")
    text = path.read_text().replace("{kind: reward,", f"{{kind: {kind},")
    path.write_text(text.replace("{name: reward_model}", f"{{name: {reward}}}"))
    nodes = build_plan(path).by_id
    wanted = ("seed1/align", "corpus:prompts", "seed1/prefer")
    assert nodes["seed1/align>rlhf"].depends == wanted


REWARDS = {
    "not said": ("    reward_from: prefer\n", "", "put a stage of kind reward before it"),
    "no reward": ("reward_from: prefer", "reward_from: align", "is of kind sft, and not reward"),
    "unknown": ("reward_from: prefer", "reward_from: prefr", "did you mean 'prefer'"),
    "at the end": ("rl: [align, rlhf]", "rl: [align, prefer]", "no later stage of the arm trains"),
    "idle": ("rl: [align, rlhf]", "rl: [align, prefer, rlhf]", "no later stage of the arm trains"),
    "no effect": ("{name: reward_model}", "{name: length}", "has no effect without the reward"),
    "read otherwise": (
        "{kind: reward,",
        "{kind: reward, format: text,",
        r"read as chat.*\('prefer'\) as text",
    ),
    "no such": ("{name: reward_model}", "{name: rewrd_model}", "did you mean 'reward_model'"),
}


@pytest.mark.parametrize("what", REWARDS)
def test_reward_that_is_wired_wrongly_is_refused_at_its_place(place: Path, what: str) -> None:
    old, new, said = REWARDS[what]
    path = study(place, name="rewards")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError, match=said):
        build_plan(path)


def test_model_at_an_endpoint_can_be_scored_and_not_trained(place: Path) -> None:
    path = study(place, name="endpoint")
    text = path.read_text().replace(
        "path: model, dtype: bfloat16", "endpoint: 'http://127.0.0.1:9/v1', model: m"
    )
    path.write_text(text)
    with pytest.raises(ConfigError, match="can't be trained; give a path"):
        build_plan(path)
    base_only = "arms: {base: [], other: []}"
    text = text.replace("arms: {base: [], direct: [align], rl: [align, rlhf]}", base_only)
    path.write_text(text.replace("a: direct, b: base", "a: other, b: base"))
    evaluation = next(n for n in build_plan(path).nodes if n.kind == "evaluation")
    assert evaluation.payload["model"] == {"endpoint": "http://127.0.0.1:9/v1", "model": "m"}
    assert "device" not in evaluation.payload["config"]


# -- what the command line changes ------------------------------------------------------------


def test_limit_cuts_items_rows_and_updates_to_the_least_that_may_be(place: Path) -> None:
    plan = build_plan(study(place), Overrides(limit=3))
    trained = plan.study.stages["rlhf"].train
    assert {use.limit for use in plan.study.benchmarks.values()} == {3}
    assert plan.study.corpora["demos"].options["size"] == 3
    assert (trained.batch_size, trained.updates) == (2, 10)  # a multiple of the minibatch
    assert rehearsals(plan.nodes)["preference"].tables["preference_sum"].items.__len__() == 3


def test_another_model_keeps_how_the_study_runs_it_and_starts_where_the_command_is_given(
    place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    layer_models.build(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    changed = Overrides(model="elsewhere", limit=2)
    plan = build_plan(study(place), changed)
    assert plan.model_place == str(tmp_path / "elsewhere")
    assert plan.study.model.dtype == "bfloat16"  # type: ignore[union-attr]
    assert changed.words == " --model elsewhere --limit 2"
    assert changed.record == {"model": "elsewhere", "limit": "2"}
    assert changed.suffix == "-elsewhere-limit2"


@pytest.mark.parametrize(("there", "key"), [("a.example", "KEY"), ("b.example", None)])
def test_another_endpoint_runs_without_the_caps_of_the_file(there: str, key: str | None) -> None:
    """The dearer model had no cap at all; a key goes to the host that it was written down for."""
    own = parse_model(
        "endpoint:https://a.example/v1#small", key_env="KEY", price_in=1, price_out=2, max_cost=3,
        timeout_s=9,
    )  # fmt: skip
    text = f"endpoint:https://{there}/v1#large"
    instead = parse_model(text, **_kept(own, parse_model(text)))
    assert (instead.model, instead.max_cost, instead.price_out) == ("large", 3, 2)
    assert (instead.timeout_s, instead.key_env) == (9, key)
    assert _kept(own, parse_model("elsewhere")) == {}


def test_plugins_named_by_set_are_not_loaded(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"plugins\[0\]: .*nowhere\.py"):
        Overrides(changes=("plugins=[nowhere.py]",)).read(study(place))


def test_without_overrides_the_study_is_the_very_same(place: Path) -> None:
    file = study(place)
    assert Overrides().read(file) == load_yaml(file, Study) and Overrides().words == ""


def test_interventions_of_a_probe_cost_as_much_as_reading_its_statements(place: Path) -> None:
    """They are a hundred times more: a plan said minutes of what took hours."""
    rows = [{"id": str(at), "prompt": "t1 t2", "harmful": at % 2 == 0} for at in range(40)]
    (place / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    probe = "probe: {probes: [direction, intervention], constitution: hhh, requests: asked.jsonl}"
    file = study(place)
    file.write_text(file.read_text() + probe + "\n")
    plan = build_plan(file)
    work = {row.name: row for row in estimate(plan, Store(place / "store")).work}
    assert work["intervention"].flops > 5 * work["direction"].flops > 0


def test_model_that_the_study_cannot_use_is_refused_with_the_words_given(place: Path) -> None:
    with pytest.raises(UserError, match=r"with --model 'endpoint:http.*can't be trained"):
        build_plan(study(place), replace(Overrides(), model="endpoint:http://127.0.0.1:9/v1#m"))


COMPARED = """comparisons:
  - {name: better, a: direct, b: base, prompts: asked.jsonl, judge: pairwise, max_new_tokens: 8}
"""


def test_comparison_and_seam_cost_nothing_before_they_are_paid(place: Path, tmp_path: Path) -> None:
    path = study(place, name="compared")
    (place / "asked.jsonl").write_text(json.dumps({"prompt": "May I hold it?"}) + "\n")
    (place / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in THINGS))
    explain = "{data: texts, train: {kind: explain, batch_size: 2, updates: 10, max_length: 64}}"
    path.write_text(
        path.read_text().replace("stages:\n", f"  texts: {{source: file, path: texts.jsonl}}\n"
                                 f"stages:\n  why: {explain}\n")
        .replace("direct: [align]", "direct: [align], first: [why, align]") + COMPARED
    )  # fmt: skip
    found = estimate(build_plan(path), Store(tmp_path / "store"))
    (asked,) = [row for row in found.calls if row.benchmark == "better"]
    # One prompt at two seeds, in both orders; a judge of pairs says "A" or "B" by likelihood.
    assert (asked.calls, asked.model) == (4, "judge at http://127.0.0.1:9/v1")
    assert asked.price == pytest.approx((2 * asked.tokens_in + 10 * asked.tokens_out) / 1e6)
    rows = {(row.kind, row.name): row for row in found.work}
    responses, seam = rows["responses", "better"], rows["seam", "texts"]
    # The base is one model for both seeds, the other arm one a seed.
    assert (responses.nodes, responses.left) == (3, 3)
    assert responses.tokens == pytest.approx(len("May I hold it?") / CHARACTERS + 8)
    assert seam.nodes == 2 and seam.tokens > 0 and seam.flops > 0 and seam.disk > 0


DRAWN = """arms:
  direct: [align]
  two: {stages: [align], decoding: [{name: best_of_n, n: 2, by: random}]}
  four: {stages: [align], decoding: [{name: best_of_n, n: 4, by: random}]}
seeds:"""


def test_arms_with_one_method_and_other_options_cost_what_each_takes(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study(place, name="drawn")
    (place / "asked.jsonl").write_text(json.dumps({"prompt": "May I hold it?"}) + "\n")
    given, arms = path.read_text(), "arms: {base: [], direct: [align], rl: [align, rlhf]}\nseeds:"
    given = given.replace(arms, DRAWN).replace("b: base", "b: two")
    path.write_text(given + COMPARED.replace("b: base", "b: four").replace("a: direct", "a: two"))
    plan, store = build_plan(path), Store(tmp_path / "store")
    found = estimate(plan, store)
    flops = {name: row.flops for row in found.work for name in row.of}
    for ending in ("hh_responses", "responses:better"):
        two, four = (flops[f"seed0/align+{arm}/{ending}"] for arm in ("two", "four"))
        assert four > 1.7 * two  # all but the prompt, which is read once
    names = {row.name for row in found.work if row.kind == "evaluation"}
    assert "hh_responses by best_of_n (n=2, by=random)" in names
    monkeypatch.setattr("whyfirst.study.cost.timing._speed", lambda *_: 1e9)
    weights = {n.id: n.weight for n in tracker_of(plan, store, 1)()._order}
    assert weights == pytest.approx(weights | {n: f / 1e9 for n, f in flops.items()})
    assert all("of" not in row and row["nodes"] for row in cost_json(found)["work"])


@pytest.mark.parametrize(("tokens", "refused"), [(600, True), (30_000, False)])
def test_a_written_corpus_too_small_for_any_effect_is_told_when_its_stage_starts(
    place: Path, tokens: int, refused: bool
) -> None:
    """A teacher was paid for documents that the stage then refused."""
    path = study(place, name="short")
    explain = "{data: reasons, train: {kind: explain, batch_size: 2, epochs: 1, max_length: 64}}"
    written = f"written: {{values: {{constitution: hhh, teacher: template, tokens: {tokens}}}}}"
    reasons = "{source: written, written: values, documents: explanations}"
    path.write_text(
        path.read_text()
        .replace("corpora:\n", f"{written}\ncorpora:\n  reasons: {reasons}\n")
        .replace("stages:\n", f"stages:\n  why: {explain}\n")
        .replace("direct: [align]", "direct: [align], first: [why, align]")
    )
    told = CliRunner().invoke(app, ["plan", str(path), "--store", str(place / "short")])
    assert told.exit_code == 0, told.output
    said = " ".join(told.output.split())
    assert ("stages.why (about " in said and "fewer weight updates" in said) is refused, said
