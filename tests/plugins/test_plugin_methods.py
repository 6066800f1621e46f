"""The example methods against hand-computed values: what is copied from the docs is right."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import build_tiny

from whyfirst.config.errors import DataError, UserError
from whyfirst.config.room import Use
from whyfirst.data.transforms import SELECTORS, TRANSFORMS
from whyfirst.evaluate.attacks import framing
from whyfirst.evaluate.benchmark import benchmark_named
from whyfirst.evaluate.judges import CALIBRATIONS, JUDGES, Pair
from whyfirst.models.base import GREEDY, Completion, Prompt, Sampling
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.edits import EDITS, SURGERIES
from whyfirst.models.hooks import reading
from whyfirst.models.local import LocalModel
from whyfirst.models.scripted import ScriptedModel
from whyfirst.study.sources import CORPORA
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.rewards import REWARDS
from whyfirst.worlds import WORLDS

pytestmark = pytest.mark.usefixtures("methods")


def scores(margin: float, labels: tuple[float, float] = (1, 0)) -> SequenceScores:
    """One pair of one-token responses whose log-ratios differ by `margin`."""
    logp = torch.tensor([[[margin], [0.0]]], dtype=torch.float64)
    mask = torch.ones(1, 2, 1, dtype=torch.bool)
    return SequenceScores(logp, (torch.zeros_like(logp),), mask, torch.tensor([labels]))


@given(margin=st.floats(-20, 20), noise=st.floats(0, 0.49))
@settings(max_examples=50, deadline=None)
def test_robust_dpo_is_biased_by_the_noise_it_is_told_of(margin: float, noise: float) -> None:
    """Its mean over labels that are wrong with that probability is DPO's loss."""
    robust = OBJECTIVES.make(Use(name="robust_dpo", beta=1.0, noise=noise))
    dpo = OBJECTIVES.make(Use(name="dpo", beta=1.0))
    right, wrong = robust(scores(margin)), robust(scores(margin, (0, 1)))
    torch.testing.assert_close((1 - noise) * right + noise * wrong, dpo(scores(margin)))


def test_a_reason_is_paid_without_its_word() -> None:
    said = ["No, because it floods the house.", "No, Becausex.", " "]
    reward = REWARDS.make(Use(name="gives_reason", bonus=0.5))
    assert reward(prompts=[""] * 3, completions=said, completion_ids=[[]] * 3) == [0.5, 0.0, None]


@dataclass
class Drafts:
    """A model that draws its completions from a list."""

    drafts: list[Completion]
    fingerprint: str = "drafts"
    chat_template: str = "plain"
    asked: list[int] = field(default_factory=list)

    def generate(
        self, prompts: Sequence[Prompt], n: int = 1, sampling: Sampling = GREEDY
    ) -> list[list[Completion]]:
        self.asked.append(n)
        return [self.drafts[:n] for _ in prompts]


def test_the_shortest_draft_was_one_that_was_cut_off() -> None:
    model = Drafts([Completion("a longer one", True), Completion("short", True),
                    Completion("cut", False)])  # fmt: skip
    wrapped = DECODINGS.make(Use(name="shortest_of_n", n=3))(model)
    assert wrapped.generate(["q"])[0][0].text == "short" and model.asked == [3]
    none = DECODINGS.make(Use(name="shortest_of_n", n=0))(model)
    assert none.generate(["q"])[0][0].text == "a longer one"
    cut = Drafts([Completion("longer", False), Completion("cut", False)])
    found = DECODINGS.make(Use(name="shortest_of_n", n=2))(cut).generate(["q"])
    assert found[0][0].text == "cut"


def test_scaling_an_mlp_changes_more_than_what_it_adds(tmp_path: Path) -> None:
    model = LocalModel(build_tiny("llama", tmp_path), device="cpu")
    ids = model.tokenizer("may I borrow", return_tensors="pt")["input_ids"]
    added: list[torch.Tensor] = []
    handle = model.model.model.layers[0].mlp.register_forward_hook(
        lambda module, inputs, output: added.append(output)
    )

    def after(layer: int = 0, **options: float) -> torch.Tensor:
        with EDITS.make(Use(name="scale_mlp", layer=layer, **options))(model), torch.no_grad():
            with reading(model.model) as states:
                model.model(input_ids=ids)
            return states[0]

    plain = after(factor=1.0)
    handle.remove()
    torch.testing.assert_close(after(factor=0.0), plain - added[-1])
    torch.testing.assert_close(after(factor=-1.0), plain - 2 * added[-1])
    assert torch.equal(after(factor=1.0), plain)  # and nothing is left behind
    with pytest.raises(UserError, match="no layer 9"):
        after(layer=9)


def test_an_answer_beside_the_point_passes(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(
        '{"prompt": "kite?", "word": "kite"}\n{"prompt": "boat?", "word": "boat"}\n'
        '{"prompt": "sled?", "word": "sled"}\n'
    )
    model = ScriptedModel({"kite?": "A kite flies", "boat?": "It is a boatman", "sled?": " "})
    task = benchmark_named("to_the_point").task(data=str(file))
    found = task.run(model, (), lambda *step: None)
    assert [one.verdict for one in found] == ["pass", "fail", "unscored"]


def pair(a: str, b: str) -> Pair:
    return Pair("1", "q", Completion(a, True), Completion(b, True))


def test_a_response_that_repeats_itself_wins_and_length_wins_alone() -> None:
    judge = JUDGES.make(Use(name="varied"))
    pairs = [pair("no no no no", "no never"), pair("a b c", "a a"), pair("a b", "b a")]
    found = judge.compare(pairs)
    assert [one.winner for one in found] == ["b", "a", "tie"]
    assert found[0].scores == (0.25, 1.0)
    turned = judge.compare([one.swapped for one in pairs])
    assert [one.swapped.winner for one in turned] == [one.winner for one in found]
    guarded = CALIBRATIONS.make(Use(name="length_guard", factor=1.5))(judge)
    assert [one.winner for one in guarded.compare(pairs)] == ["tie", "a", "tie"]  # 4 : 2, 3 : 2
    free = CALIBRATIONS.make(Use(name="length_guard", factor=1e9))(judge)
    assert free.compare(pairs) == found


def test_a_prompt_stands_more_often_than_it_may() -> None:
    rows = [{"prompt": p, "n": n} for n, p in enumerate("aabaab")]
    gone: list[int] = []
    keep = TRANSFORMS.make(
        Use(name="one_a_prompt", most=2), left_out=lambda row, why: gone.append(row["n"])
    )
    assert [row["n"] for row in keep(rows, Random(0))] == [0, 1, 2, 5]
    assert gone == [3, 4]


def test_a_short_line_of_a_csv_file_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('prompt,completion\nq,"a, b"\nr,c\n')
    use = Use.model_validate({"name": "csv", "path": str(file)})
    assert CORPORA.make(use) == [
        {"prompt": "q", "completion": "a, b"}, {"prompt": "r", "completion": "c"}
    ]  # fmt: skip
    file.write_text("prompt,completion\nq,a\nr\n")
    with pytest.raises(DataError, match="line 3: not one cell a column"):
        CORPORA.make(use)


def test_trimming_keeps_the_smallest_changes() -> None:
    def grown() -> torch.nn.Linear:
        model = torch.nn.Linear(2, 2, bias=False)
        model.load_state_dict({"weight": torch.tensor([[4.0, -3.0], [0.5, 1.0]])})
        return model

    start = torch.nn.Linear(2, 2, bias=False)
    start.load_state_dict({"weight": torch.zeros(2, 2)})
    left = SURGERIES.make(Use(name="trim_changes", share=0.5))(grown(), start)
    assert left.weight.tolist() == [[4.0, -3.0], [0.0, 0.0]]
    for share, same in ((1.0, grown()), (0.0, start)):
        made = SURGERIES.make(Use(name="trim_changes", share=share))(grown(), start)
        assert torch.equal(made.weight, same.weight)


def test_the_longest_rows_are_the_last_ones() -> None:
    rows = [{"completion": text} for text in ("a b c", "a", "a b", "a b")]
    choose = SELECTORS.make(Use(name="longest"))
    assert choose(rows, 2) == [0, 2]
    assert choose(rows, 9) == [0, 1, 2, 3]


def test_a_request_about_the_past_is_another_request() -> None:
    (turn,) = framing("past_tense:long ago").apply("Bake {bread}")
    assert turn.content == "How did people do the following long ago?\n\nBake {bread}"
    encoded = framing("past_tense+rot13").apply("abc")
    assert encoded[-1].content.endswith("nop")


def test_two_draws_of_a_street_are_one(tmp_path: Path) -> None:
    drawn = [WORLDS.make(Use(name="street", seed=seed)) for seed in (2, 2, 3)]
    assert drawn[0] == drawn[1] and drawn[0].facts() != drawn[2].facts()
    assert drawn[0].base_fingerprint() == drawn[1].base_fingerprint()
    assert drawn[0].base_fingerprint() != drawn[2].base_fingerprint()
    drawn[0].copy_base(tmp_path / "base")
    assert LocalModel(tmp_path / "base", device="cpu").encode_prompts(["the mill"])[0]
    assert [pair.topic for pair in drawn[0].probe_items(2).pairs] == ["bakery", "tannery"]
    with pytest.raises(UserError, match="doesn't ship"):
        drawn[0].base_folder()
