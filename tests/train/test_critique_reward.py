"""A reward model that criticises first: its loss by hand, what critiques teach it, its reward."""

import math
import random
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import words
from safetensors.torch import load_file

from whyfirst.config.errors import ConfigError, DataError, UserError
from whyfirst.config.files import read_json, write_jsonl
from whyfirst.models.folder import SCORE
from whyfirst.train.config import CritiqueRewardStage, RewardUse
from whyfirst.train.critic import put_to_critic, score
from whyfirst.train.encode import encode, encode_exchange
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.combine import RewardSum
from whyfirst.train.rewards.critique_reward import load
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
GOOD, BAD = "w80 w81", "w82 w83"
ASK = "w85 w86"
NOTHING: dict[str, Any] = {"chosen_critique": "w84", "rejected_critique": "w84"}


def _config(**more: Any) -> CritiqueRewardStage:
    given = {"updates": 60, "batch_size": 16, "learning_rate": 3e-3, "held_out": 0.3, "ask": ASK}
    return CritiqueRewardStage(**given | more)


def _rows(count: int, seed: int = 3, **more: Any) -> list[dict[str, Any]]:
    """Pairs in which only the critiques say which response is the better one."""
    draw = random.Random(seed)
    return [
        {"prompt": words(draw, 2, 4), "chosen": words(draw, 2, 4), "rejected": words(draw, 2, 4),
         "chosen_critique": GOOD, "rejected_critique": BAD, **more}
        for _ in range(count)
    ]  # fmt: skip


def _scores(rewards: Any, labels: Any, logp: Any = None) -> SequenceScores:
    rewards = torch.tensor(rewards, dtype=torch.float64)
    logp = torch.zeros(*rewards.shape, 2, dtype=torch.float64) if logp is None else logp
    mask = torch.ones_like(logp, dtype=torch.bool)
    return SequenceScores(logp, (), mask, torch.tensor(labels, dtype=torch.float64), {}, rewards)


def _loss(scores: SequenceScores, **options: Any) -> torch.Tensor:
    return OBJECTIVES.get("critique_reward").function(scores, **options)  # type: ignore[no-any-return]


def test_its_parts_add_up_to_something_else() -> None:
    """By hand: a pair 1.5 against 0.5, and a tie of 2 and 1; critiques of two tokens each."""
    logp = -torch.tensor([[[1.0, 3.0], [2.0, 2.0]], [[0.5, 0.5], [0.0, 1.0]]], dtype=torch.float64)
    scores = _scores([[1.5, 0.5], [2.0, 1.0]], [[1, 0], [1, 1]], logp)
    found = _loss(scores, preference=2.0, tie=3.0, center=0.1, critique=0.5)
    apart = [2 * math.log(1 + math.exp(-1)), 3 * 1.0]
    centred, said = [0.1 * 4, 0.1 * 9], [0.5 * (2 + 2), 0.5 * (0.5 + 0.5)]
    wanted = [a + c + s for a, c, s in zip(apart, centred, said, strict=True)]
    assert found.tolist() == pytest.approx(wanted, abs=1e-12)


def test_without_critiques_it_is_another_loss_than_trls() -> None:
    from trl.trainer.reward_trainer import RewardTrainer

    rewards = [[0.3, -1.2], [2.0, 2.5], [-0.4, 0.1]]
    # TRL's rows: first all chosen responses, then all rejected ones.
    logits = torch.tensor([r[0] for r in rewards] + [r[1] for r in rewards])[:, None]

    trainer = SimpleNamespace(
        args=SimpleNamespace(center_rewards_coefficient=0.01),
        model=SimpleNamespace(training=False),
        accelerator=SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x),
        _metrics={"eval": defaultdict(list)},
        _total_train_tokens=0,
    )
    output = SimpleNamespace(logits=logits)
    theirs = RewardTrainer.compute_loss(trainer, lambda **_: output, {"input_ids": logits})
    ours = _loss(_scores(rewards, [[1, 0]] * 3), critique=0.0).mean()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-6)


def test_a_tie_is_free_of_cost_where_rewards_differ() -> None:
    same, apart = ([[0.7, 0.7]], [[0.7, 0.8]])
    for rewards, cost in ((same, 0.0), (apart, 0.01)):
        found = _loss(_scores(rewards, [[1, 1]]), center=0.0)
        assert float(found) == pytest.approx(cost, abs=1e-12)


@pytest.fixture(scope="module")
def trained(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained on pairs whose responses begin with w1 or w2, as their critiques say in words."""
    folder, draw = tmp_path_factory.mktemp("critic"), random.Random(5)
    rows = [
        {"prompt": words(draw, 1, 2), "chosen": f"w1 {words(draw, 1, 2)}",
         "rejected": f"w2 {words(draw, 1, 2)}", "chosen_critique": GOOD, "rejected_critique": BAD}
        for _ in range(200)
    ]  # fmt: skip
    write_jsonl(folder / "pairs.jsonl", rows)
    config = _config(updates=150)
    run_stage(config, bases["llama"], {"pairs": folder / "pairs.jsonl"}, folder / "out", 1)
    return folder / "out"


def test_critiques_say_nothing_of_held_out_pairs(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """Responses are drawn alike, so that only the critiques can be learnt from."""
    accuracy = {}
    for name, more in (("with", {}), ("without", NOTHING)):
        data = {"pairs": jsonl(name, _rows(120, **more))}
        found = run_stage(_config(updates=40), bases["llama"], data, tmp_path / name, 1)
        accuracy[name] = read_json(tmp_path / name / "reward.json")["accuracy"]
        # Before anything is learnt every reward is 0.
        assert found.first_loss > math.log(2)
    assert accuracy["with"] > 0.95
    assert accuracy["without"] < 0.75


def test_its_own_critiques_tell_no_responses_apart(trained: Path) -> None:
    folder = str(trained / "model")
    model, _ = load(folder)
    said = ["w1 w30", "w2 w30", "w1 w41 w42", "w2 w41 w42"]
    asked = [put_to_critic("w50", one, ASK) for one in said]
    assert asked[0] == f"w50\n\nw1 w30\n\n{ASK}"
    written = [row[0].text.split()[:1] for row in model.generate(asked)]
    assert written == [GOOD.split()[:1], BAD.split()[:1]] * 2
    use = RewardUse(name="critique_reward", options={"max_new_tokens": 4})
    rewards = RewardSum([use], [{"prompt": "w50"}], {"reward_model": trained / "model"})
    found = rewards([0] * 4, said, [[0]] * 4, [True] * 4).total
    assert min(found[0], found[2]) > max(found[1], found[3])


def test_a_number_depends_on_its_batch_or_is_not_that_of_training(trained: Path) -> None:
    """The report's figures come from `score`, the loss from the head: one number."""
    model, vector = load(str(trained / "model"))
    tokenizer = model.tokenizer
    sequences = [
        encode_exchange(tokenizer, put_to_critic("w5 w6", said, ASK), critique, True)
        for said, critique in (("w1", GOOD), ("w2 w3 w4", BAD), ("w1 w2 w3 w4 w7", "w9"))
    ]
    together = score(model.model, vector, tokenizer.pad_token_id, sequences, 3)
    alone = [score(model.model, vector, tokenizer.pad_token_id, [one], 1)[0] for one in sequences]
    assert together == pytest.approx(alone, abs=1e-5)
    for ids, value in zip(sequences, alone, strict=True):
        with torch.no_grad():
            states = model.model(
                input_ids=torch.tensor([ids]), output_hidden_states=True
            ).hidden_states[-1]
        assert float(states[0, -2] @ vector) == pytest.approx(value, abs=1e-4)
    reward = REWARDS.make("critique_reward", folder=str(trained / "model"))
    several = reward(["w5"], ["w1"], [[0]], samples=3, max_new_tokens=4)
    assert len(several) == 1
    assert math.isfinite(several[0])


def test_the_saved_model_is_no_language_model(trained: Path) -> None:
    """Weights and the number's vector apart, so that anybody's loader takes the first."""
    weights = load_file(trained / "model" / "model.safetensors")
    assert not [name for name in weights if name.endswith("score")]
    assert load_file(trained / "model" / SCORE)["score"].shape == (32,)
    model = load_model(trained / "model")
    assert model.config.tie_word_embeddings
    with pytest.raises(ConfigError, match="no critic; give the output of a `critique_reward`"):
        load(str(trained))
    with pytest.raises(UserError, match="no reward model"):
        REWARDS.make("reward_model", folder=str(trained / "model"))(["w5"], ["w1"], [[0]], [True])


def test_the_number_is_drawn_anew_when_resumed(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    config = _config(updates=15, checkpoint_every=10)
    data = {"pairs": jsonl("pairs", _rows(40, tie=False) + _rows(8, 4, tie=True))}

    def stop(done: int, total: int, message: str) -> None:
        if done >= 12:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        run_stage(config, bases["llama"], data, tmp_path / "broken", 0, stop)
    assert (tmp_path / "broken" / "checkpoints" / "checkpoint-10").is_dir()
    for name in ("broken", "whole"):
        run_stage(config, bases["llama"], data, tmp_path / name, 0)
    for file in (SCORE, "model.safetensors"):
        broken, whole = (tmp_path / name / "model" / file for name in ("broken", "whole"))
        assert broken.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rejected_critique": None}, "row 2: 'rejected_critique' must be text"),
        ({"chosen_critique": "  "}, "row 2: 'chosen_critique' must be a critique in words"),
        ({"tie": 1}, "row 2: 'tie' must be true or false; found 1"),
        ({"prompt": None}, "row 2: 'prompt' must be text"),
    ],
)
def test_a_row_that_lacks_something_is_trained_on(
    bases: dict[str, Path], jsonl: Jsonl, change: dict[str, Any], said: str
) -> None:
    rows = _rows(3)
    rows[1] |= change
    with pytest.raises(DataError, match=said) as caught:
        encode(_config(), load_tokenizer(bases["llama"]), {"pairs": jsonl("bad", rows)})
    assert "bad.jsonl" in str(caught.value)


def test_pairs_held_out_that_are_all_ties_lose_the_run(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """The mean over no pair ended the stage after its last update, before the model was saved."""
    data = {"pairs": jsonl("ties", _rows(30, tie=True))}
    with pytest.raises(DataError, match=r"ties.jsonl: the \d+ pairs that held_out .* are all ties"):
        run_stage(_config(), bases["llama"], data, tmp_path / "out", 1)
    assert not (tmp_path / "out").exists() or not [*(tmp_path / "out").glob("model")]


def test_half_precision_ends_in_a_traceback_and_critiques_are_counted_for_responses(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """The number was bfloat16 beside float32 log-probabilities; and critiques of one length, on
    responses of which every chosen one is longer, said that length decides nothing."""
    rows = [row | {"chosen": "w1 w2 w3", "rejected": "w4"} for row in _rows(30)]
    config = _config(updates=10, dtype="bfloat16")
    run_stage(config, bases["llama"], {"pairs": jsonl("p", rows)}, tmp_path / "out", 1)
    found = read_json(tmp_path / "out" / "reward.json")
    assert found["longer_is_better"] == 1 and found["pairs"] > 0
    assert len(load_file(tmp_path / "out" / "model" / SCORE)["score"]) == 32


def test_an_adapter_is_trained_without_its_number() -> None:
    with pytest.raises(ValueError, match="trains whole weights: no lora"):
        _config(lora={"r": 4})
