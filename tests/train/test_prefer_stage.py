"""The generic `prefer` stage: TRL's losses, any objective, lists, references, refused rows."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from whyfirst.config.errors import ConfigError, DataError, TrainingStopped
from whyfirst.config.files import read_json, read_jsonl, sha256_file
from whyfirst.config.room import Use
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.models.local import LocalModel
from whyfirst.train.config import DPOStage, LoraConfig, PreferStage
from whyfirst.train.encode import encode
from whyfirst.train.kinds import data_names, identities, kind_of
from whyfirst.train.objectives import OBJECTIVES, SequenceScores
from whyfirst.train.plan import make_plan
from whyfirst.train.preferences import check_rows, read_candidates
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model, load_tokenizer

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
FAST: dict[str, Any] = {"updates": 12, "batch_size": 6, "learning_rate": 1e-3}


def _prefer(**more: Any) -> PreferStage:
    return PreferStage(**{**FAST, "objective": "dpo", **more})


def _lists(count: int = 24) -> list[dict[str, Any]]:
    return [
        {"prompt": f"w{i} w1", "responses": [f"w{i}", "w2 w3", f"w4 w5 w{i}"][: 2 + i % 2],
         "ranks": [2, 1, 3][: 2 + i % 2]}
        for i in range(count)
    ]  # fmt: skip


PAIRS = [{"prompt": f"w{i} w1", "chosen": f"w2 w{i}", "rejected": "w3"} for i in range(24)]
TRL_LOSS = {"dpo": "sigmoid", "ln_dpo": "sigmoid_norm", "hinge": "hinge", "ipo": "ipo"}
# A response's log-probability is known to some 4e-6 nats in float32; beta scales that.
BETA = {"dpo": 0.1, "ln_dpo": 1.0, "hinge": 0.1, "ipo": 1.0}


@pytest.mark.parametrize("objective", TRL_LOSS)
def test_losses_are_not_trls(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, objective: str
) -> None:
    """20 updates on the same pairs, every loss to 1e-6 of TRL's own trainer."""
    import datasets
    from trl import DPOConfig, DPOTrainer

    beta = BETA[objective]
    # A small rate: Adam divides by the gradient's size, and so magnifies its rounding.
    config = DPOStage(
        updates=20, batch_size=4, learning_rate=2e-5, beta=beta, loss_type=TRL_LOSS[objective]
    )
    given = {"pairs": data["pairs"]}
    result = run_stage(config, bases["llama"], given, tmp_path / "ours", 0)
    tokenizer = load_tokenizer(bases["llama"])
    rows = encode(config, tokenizer, given).candidates
    order = make_plan(config, [max(r.lengths) for r in rows], [], 0).order
    arguments = DPOConfig(
        output_dir=str(tmp_path / "theirs"), max_steps=20, per_device_train_batch_size=4,
        learning_rate=2e-5, lr_scheduler_type="constant", beta=beta,
        loss_type=[TRL_LOSS[objective]], max_length=256, logging_steps=1, use_cpu=True,
        bf16=False, report_to="none",
        gradient_checkpointing=False, optim="adamw_torch_fused", weight_decay=0.0, seed=0,
        train_sampling_strategy="sequential", disable_tqdm=True, save_strategy="no",
        remove_unused_columns=False, dataloader_pin_memory=False, logging_nan_inf_filter=False,
    )  # fmt: skip
    placeholder = [{"prompt": "", "chosen": "", "rejected": ""}]
    theirs = DPOTrainer(
        model=load_model(bases["llama"]), ref_model=load_model(bases["llama"]), args=arguments,
        processing_class=tokenizer, train_dataset=datasets.Dataset.from_list(placeholder),
    )  # fmt: skip
    theirs.train_dataset = [
        {"prompt_ids": rows[i].prompts[0], "chosen_ids": rows[i].responses[0],
         "rejected_ids": rows[i].responses[1]}
        for i in order
    ]  # fmt: skip
    losses: list[float] = []
    ours = _losses(config, bases["llama"], given, tmp_path / "again")
    theirs.train()
    losses = [row["loss"] for row in theirs.state.log_history if "loss" in row]
    assert len(losses) == len(ours) == 20
    assert max(abs(a - b) for a, b in zip(ours, losses, strict=True)) < 1e-6
    assert result.first_loss == pytest.approx(losses[0], abs=1e-6)


def _losses(config: Any, model: Path, given: dict[str, Path], out: Path) -> list[float]:
    """The loss of every update, where a stage's log has every tenth."""
    from whyfirst.train import prefer

    seen: list[float] = []
    real = prefer.ObjectiveLoss.__call__

    def noting(self: Any, *args: Any, **more: Any) -> Any:
        loss = real(self, *args, **more)
        seen.append(float(loss.detach()))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefer.ObjectiveLoss, "__call__", noting)
        run_stage(config, model, given, out, 0)
    return seen


@pytest.mark.parametrize("written", ["text", "chat as text", "messages"])
def test_poft_compares_with_another_reading_of_the_row(
    bases: dict[str, Path], chat_base: Path, jsonl: Jsonl, tmp_path: Path, written: str
) -> None:
    """The aligned model read prompts raw and no end: against itself the loss wasn't ln 2."""
    base = bases["llama"] if written == "text" else chat_base
    rows: list[dict[str, Any]] = [
        {"prompt": f"w{i} w1", "completion": f" w{i} w2 w3"} for i in range(6)
    ]
    if written == "messages":
        rows = [
            {"prompt": [{"role": "user", "content": row["prompt"]}],
             "completion": [{"role": "assistant", "content": row["completion"]}]}
            for row in rows
        ]  # fmt: skip
    transform = TRANSFORMS.make(
        "aligned_likelihood", model=LocalModel(base, "float32"), left_out=None, open_model=None
    )
    made = [dict(row) for row in transform(rows, Random(0))]
    config = _prefer(objective="poft", updates=1, min_updates=1)
    given = {"preferences": jsonl("rows", made)}
    [loss] = _losses(config, base, given, tmp_path / "out")
    assert loss == pytest.approx(math.log(2), abs=1e-6)


@pytest.mark.parametrize("packed", [True, False])
def test_scores_are_anothers_responses(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl, packed: bool
) -> None:
    """Every (B, K, T) entry against the response scored alone, lists of two and of three mixed."""
    from whyfirst.train.loss import select_positions
    from whyfirst.train.scores import Collator, scores_of

    model, tokenizer = load_model(bases["llama"]).eval(), load_tokenizer(bases["llama"])
    config = _prefer(objective="aft")
    rows = encode(config, tokenizer, {"preferences": jsonl("l", _lists(5))}).candidates
    collator = Collator(rows, {}, {}, 64, tokenizer.pad_token_id, packed)
    selection = select_positions(model)
    inputs = collator([3, 0, 4])
    tokens = inputs.pop("labels")
    with torch.no_grad():
        logits = selection.logits(model(**inputs)["logits"])
        scores = scores_of(logits, tokens, selection.about)
        alone = load_model(bases["llama"]).eval()
        for at, index in enumerate([3, 0, 4]):
            row = rows[index]
            for k, response in enumerate(row.responses):
                ids = torch.tensor([row.prompts[k] + response])
                logp = alone(ids).logits.log_softmax(-1)[0, :-1].gather(1, ids[0, 1:, None])[:, 0]
                expected = logp[len(row.prompts[k]) - 1 :]
                found = scores.logp[at, k][scores.mask[at, k]]
                torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    assert scores.labels[0].tolist() == [2.0, 1.0, 0.0]  # ranks, the best first
    assert scores.labels[1][:2].tolist() == [1.0, 0.0] and math.isnan(scores.labels[1][2])
    assert scores.present.tolist() == [[True, True, True], [True, True, False], [True, True, False]]


def test_every_objective_trains_or_the_policy_does_not_move(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    given = {"preferences": jsonl("p", PAIRS)}
    for name in ("ln_dpo", "simpo", "orpo", "cpo"):
        config = _prefer(objective=name, updates=30)
        result = run_stage(config, bases["llama"], given, tmp_path / name, 1)
        assert result.last_loss < result.first_loss, name


def test_lists_are_cut_into_passes_unevenly_or_weigh_otherwise(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """Six rows in passes of four and two give the weights of one pass, to rounding."""
    from safetensors.torch import load_file

    given = {"preferences": jsonl("l", _lists())}
    weights = []
    for size in (None, 4):
        # Not by lambda: at the start the ranks it weighs by are those of rounding.
        objective = {"name": "lipo", "loss": "logistic"}
        config = _prefer(objective=objective, micro_batch_size=size)
        run_stage(config, bases["llama"], given, tmp_path / str(size), 0)
        weights.append(load_file(tmp_path / str(size) / "model" / "model.safetensors"))
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, atol=5e-4, rtol=1e-3)


def test_a_second_reference_is_the_first_again(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """d2o against another model: the first loss is of that model's scores, not of the start's."""
    rows = [{"prompt": f"w{i} w1", "responses": ["w2", f"w3 w{i}"], "labels": [1, 0]}
            for i in range(24)]  # fmt: skip
    given = {"preferences": jsonl("l", rows)}
    other = tmp_path / "other"
    model, tokenizer = load_model(bases["llama"]), load_tokenizer(bases["llama"])
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.05)
    model.save_pretrained(other)
    tokenizer.save_pretrained(other)
    losses = [
        run_stage(
            _prefer(objective="d2o", references=({"path": str(folder)},)),
            bases["llama"], given, tmp_path / name, 0,
        ).first_loss
        for name, folder in (("same", bases["llama"]), ("apart", other))
    ]  # fmt: skip
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5)
    assert abs(losses[1] - losses[0]) > 1e-3
    with pytest.raises(ValueError, match="d2o compares with 2 frozen models"):
        _prefer(objective="d2o")
    staged = _prefer(objective="d2o", references=({"stage": "align"},))
    assert data_names(staged) == ("preferences", "reference:align")


def test_no_second_model_lies_in_memory_and_the_start_is_scored_once(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from whyfirst.train import scores

    passes: list[int] = []
    real = scores.ReferenceScores._share

    def counted(self: Any, model: Any, selection: Any) -> Any:
        passes.append(len(self._passes))
        return real(self, model, selection)

    monkeypatch.setattr(scores.ReferenceScores, "_share", counted)
    config = _prefer(updates=40, checkpoint_every=10)

    class _StopError(Exception):
        pass

    def stop(step: int, *_: Any) -> None:
        if step >= 25:
            raise _StopError

    given = {"preferences": data["pairs"]}
    with pytest.raises(_StopError):
        run_stage(config, bases["llama"], given, tmp_path / "a", 0, stop)
    run_stage(config, bases["llama"], given, tmp_path / "a", 0)
    assert passes == [20]  # 120 rows in passes of six; not again after the break
    run_stage(config, bases["llama"], given, tmp_path / "b", 0)
    assert sha256_file(tmp_path / "a/model/model.safetensors") == sha256_file(
        tmp_path / "b/model/model.safetensors"
    )
    assert read_jsonl(tmp_path / "a/log.jsonl") == read_jsonl(tmp_path / "b/log.jsonl")


def test_an_adapter_trains_against_itself(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    config = _prefer(lora=LoraConfig(r=2), updates=30)
    result = run_stage(config, bases["llama"], {"preferences": jsonl("p", PAIRS)}, tmp_path, 0)
    assert result.first_loss == pytest.approx(math.log(2), abs=1e-5)
    assert result.last_loss < 0.68
    row = read_jsonl(tmp_path / "log.jsonl")[-1]
    assert row["accuracy"] > 0.5 and row["margin"] > 0


@pytest.mark.parametrize(
    ("objective", "by_token", "scale"),
    [("orpo", True, 1), ("aft", True, 1), ("simpo", True, 2), ("cpo", False, 0.1)],
)
def test_the_log_ranks_by_another_score_than_the_objective(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl, objective: str, by_token: bool,
    scale: float,
) -> None:  # fmt: skip
    """Means were logged as sums, which the shorter response wins; aft's beta is a boundary."""
    rows = [{"prompt": f"w{i}", "chosen": "w4 w5 w6 w7", "rejected": f"w8 w{i}"} for i in range(12)]
    given = {"preferences": jsonl("p", rows)}
    config = _prefer(objective=objective, batch_size=12, updates=10, learning_rate=1e-9)
    run_stage(config, bases["llama"], given, tmp_path, 0)
    logged = read_jsonl(tmp_path / "log.jsonl")[0]
    model = load_model(bases["llama"]).eval()
    gaps = []
    for row in encode(config, load_tokenizer(bases["llama"]), given).candidates:
        scored = []
        for prompt, response in zip(row.prompts, row.responses, strict=True):
            ids = torch.tensor([prompt + response])
            with torch.no_grad():
                logp = model(ids).logits.log_softmax(-1)[0, len(prompt) - 1 : -1]
            total = float(logp.gather(1, ids[0, len(prompt) :, None]).sum())
            scored.append(total / len(response) if by_token else total)
        gaps.append(scored[0] - scored[1])
    assert logged["accuracy"] == pytest.approx(sum(gap > 0 for gap in gaps) / 12)
    assert logged["margin"] == pytest.approx(scale * sum(gaps) / 12, abs=1e-4)


PAIR = {"prompt": "w1", "chosen": "w2", "rejected": "w3"}


@pytest.mark.parametrize(
    ("objective", "row", "message"),
    [
        ("dpo", {"prompt": "w1", "chosen": "w2"}, "row 2: 'rejected' must be text"),
        ("dpo", {"prompt": "w1", "responses": ["w2"], "labels": [1]}, "compares 2 responses"),
        ("lipo", {"prompt": "w1", "responses": ["w2"], "labels": [1]}, "2 to any number of"),
        ("lipo", {"prompt": "w1", "responses": ["w2", "w3"], "labels": [1, 1]}, "equal labels"),
        ("lipo", {"prompt": "w1", "responses": ["w2", "w3"], "labels": [1]}, "a list of 2 numbers"),
        (
            "lipo",
            {"prompt": "w1", "responses": ["w2", "w3"], "labels": [-30, -40]},
            r"row 2: lipo reads labels from 0 to 1; found \[-30.0, -40.0\]; scale them",
        ),
        ("lipo", {"prompt": "w1", "responses": ["w2", "w3"]}, "needs a label for each response"),
        ("lipo", {"prompt": "w1", "responses": ["w2", "w3"], "scores": [1, math.nan]}, "finite"),
        (
            "lipo",
            {"prompt": "w1", "responses": "w2", "labels": [1, 0]},
            "must be a list; found 'w2'",
        ),
        ("pro", {"prompt": "w1", "responses": ["w2", "w3", "w4"], "ranks": [1, 2, 2]}, "an order"),
        ("cut", {"prompt": "w1", "responses": ["w2", "w3"]}, "the responses differ"),
        ("mm_dpo", PAIR, "'margin': no such column, and the objective mm_dpo reads it"),
        ("mm_dpo", PAIR | {"margin": math.nan}, "'margin' must be a finite number"),
        (
            "dpo",
            PAIR | {"responses": ["w3", "w2"], "labels": [0, 1]},
            "responses stand in 'responses' and 'chosen'/'rejected', and a row has one of these",
        ),
        ("dpo", PAIR | {"completion": "w4"}, "'completion' and 'chosen'/'rejected'"),
    ],
)
def test_a_row_an_objective_cannot_use_is_trained_on(
    objective: str, row: dict[str, Any], message: str
) -> None:
    first: dict[str, Any] = PAIR | {"margin": 1.0}
    if "responses" in row and "chosen" not in row:
        count = 2 if objective in ("dpo", "cut") else 3
        first = {
            "prompt": "w1",
            "responses": ["w2", "w3", "w4"][:count],
            "ranks": [1, 2, 3][:count],
        }
    with pytest.raises(DataError, match=f"row 2.*{message}|{message}"):
        check_rows(Use(name=objective), [first, row], Path("rows.jsonl"))


def test_the_number_of_processes_decides_a_loss() -> None:
    for objective in ("kto", {"name": "mm_dpo", "implicit": True}):
        with pytest.raises(ValueError, match="set processes: 1"):
            _prefer(objective=objective, batch_size=8, processes=2)
    for objective in ("dpo", {"name": "mm_dpo", "implicit": False}):
        assert _prefer(objective=objective, batch_size=8, processes=2).processes == 2


def test_an_objectives_refusal_is_a_traceback(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    config = _prefer(objective={"name": "physhpo", "motion": 0.5})
    with pytest.raises(TrainingStopped, match="prefer: physhpo: rows of 2 responses"):
        run_stage(config, bases["llama"], {"preferences": jsonl("p", PAIRS)}, tmp_path, 0)


def test_ranks_are_labels_beyond_what_an_objective_reads(tokenizer: Any, jsonl: Jsonl) -> None:
    """Ranks of four became 3 to 0, for gains of 8 where one's labels of the same order give 2."""
    rows = [{"prompt": "w1", "responses": ["w2", "w3", "w4", "w5"], "ranks": [2, 1, 4, 3]}]
    given = {"preferences": jsonl("r", rows)}
    for objective, wanted in (
        ("lipo", (1, 2 / 3, 1 / 3, 0)),
        ({"name": "lipo", "loss": "logistic"}, (3, 2, 1, 0)),
        ("pro", (3, 2, 1, 0)),
    ):
        [row] = encode(_prefer(objective=objective), tokenizer, given).candidates
        assert row.labels == wanted


def test_a_row_with_one_column_too_many_gives_its_responses_to_the_next_row(
    tokenizer: Any,
) -> None:
    """Columns, responses and labels were each chosen by another order; whoever skips the check of
    rows still gets those of the shape that counts, row by row."""
    rows = [
        {"prompt": f"w{i}", "responses": ["w2", "w3", f"w{i}"], "labels": [0.1, 0.2, 0.9],
         "chosen": "w4", "rejected": "w5"}
        for i in (6, 7)
    ]  # fmt: skip
    ids, end = tokenizer.get_vocab(), tokenizer.eos_token_id
    made = read_candidates(_prefer(), tokenizer, rows, Path("rows.jsonl"))
    for row, i in zip(made, (6, 7), strict=True):
        assert row.labels == (0.9, 0.2, 0.1) and row.prompts[0] == [ids[f"w{i}"]]
        assert row.responses == ([ids[f"w{i}"], end], [ids["w3"], end], [ids["w2"], end])


def test_the_best_response_is_not_the_first(tokenizer: Any, jsonl: Jsonl) -> None:
    rows = [{"prompt": "w1", "responses": ["w2", "w3"], "scores": [0.1, 0.9], "margin": 2.0}]
    config = _prefer(objective="mm_dpo")
    [row] = encode(config, tokenizer, {"preferences": jsonl("p", rows)}).candidates
    assert row.labels == (0.9, 0.1) and row.extras == {"margin": 2.0}
    assert row.responses[0] == [tokenizer.get_vocab()["w3"], tokenizer.eos_token_id]


def test_an_objective_is_misspelt_or_has_no_such_option(tmp_path: Path) -> None:
    from test_stage_config import _load

    for text, message in (
        ("{name: dpoo}", "no 'dpoo'; did you mean 'dpo'"),
        ("{name: dpo, betta: 0.1}", "did you mean 'beta'"),
        ("{name: dpo, beta: high}", "a number"),
    ):
        with pytest.raises(ConfigError, match=message):
            _load(tmp_path, f"stage: {{kind: prefer, updates: 20, objective: {text}}}\n")


def test_a_changed_objective_leaves_the_fingerprint(tmp_path: Path) -> None:
    """A method of one's own counts by its source; the project's own by name and options."""
    from whyfirst.config import plugins

    assert identities(_prefer()) == {}
    found = []
    for sign in ("-", "+"):
        file = tmp_path / sign / "mine.py"
        file.parent.mkdir()
        file.write_text(
            "from whyfirst.train.objectives import OBJECTIVES\n\n\n"
            f"@OBJECTIVES.enter('mine{sign}')\n"
            f"def mine(scores, *, beta: float = 1.0):\n    return {sign}scores.mean_logp[:, 0]\n"
        )
        plugins.use([file])
        found.append(identities(_prefer(objective=f"mine{sign}"))["source of objective"])
        OBJECTIVES._entries.pop(f"mine{sign}")
    assert found[0] != found[1]


def test_physhpo_without_options_is_dpo_and_with_them_keeps_its_name() -> None:
    """Its weights beside the first were 0. What was computed with all three given stands."""
    given = {"name": "physhpo", "state": 0.4, "motion": 0.3, "semantic": 0.2}
    filled: Any = OBJECTIVES.filled(Use(name="physhpo"))
    assert filled == OBJECTIVES.filled(Use.model_validate(given)) and filled.instance == 1
    assert identities(_prefer(objective=given)) == {}
    for less in ({}, {"motion": 0.3}):
        told = identities(_prefer(objective={"name": "physhpo", **less}))
        assert told == {"weights": "the paper's"}


def test_dove_does_not_count_the_prompts_it_trains_on(
    bases: dict[str, Path], tmp_path: Path, jsonl: Jsonl
) -> None:
    """Two sequences a row as w6 w1 w3 <eos> and w6 w2 w4 <eos>: all but the first token of each; of
    dpo's the responses alone, with their ends."""
    rows = [{"prompts": [f"w{i} w1", f"w{i} w2"], "responses": ["w3", "w4"], "labels": [1, 0]}
            for i in range(12)]  # fmt: skip
    given = {"preferences": jsonl("l", rows)}
    counts = {"dove": 12 * 10 * 6, "dpo": 12 * 10 * 4}
    for name, trained in counts.items():
        config = _prefer(objective=name, batch_size=12, updates=10)
        result = run_stage(config, bases["llama"], given, tmp_path / name, 0)
        assert (result.tokens_trained, result.tokens_total) == (trained, 12 * 10 * 8)


def test_cost_follows_the_objective() -> None:
    cost = kind_of(_prefer()).cost(_prefer())
    assert (cost.trained, cost.forward, cost.sequences) == (2.0, 2.0, 2)
    free = _prefer(objective="simpo")
    assert kind_of(free).cost(free).forward == 0.0


def test_hand_made_scores() -> None:
    """Two responses, of two tokens and one: simpo, cpo and orpo by hand."""
    logp = torch.tensor([[[-1.0, -1.0], [-3.0, 0.0]]])
    mask = torch.tensor([[[True, True], [True, False]]])
    scores = SequenceScores(logp, (), mask, torch.tensor([[1.0, 0.0]]))

    def loss(name: str, **options: Any) -> float:
        return float(OBJECTIVES.make(Use.model_validate({"name": name, **options}))(scores))

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    assert loss("simpo", beta=2.0, gamma=1.0) == pytest.approx(softplus(-(2 * 2.0 - 1)))
    assert loss("cpo", beta=0.5) == pytest.approx(softplus(-0.5 * 1.0) + 1.0)
    odds = [m - math.log1p(-math.exp(m)) for m in (-1.0, -3.0)]
    assert loss("orpo", lam=0.2) == pytest.approx(1.0 + 0.2 * softplus(-(odds[0] - odds[1])))
    turned = SequenceScores(logp.flip(1), (), mask.flip(1), torch.tensor([[0.0, 1.0]]))
    assert float(OBJECTIVES.make("orpo")(turned)) == pytest.approx(loss("orpo"))


def test_the_manifest_is_json(
    bases: dict[str, Path], data: dict[str, Path], tmp_path: Path
) -> None:
    config = _prefer(objective={"name": "ln_dpo", "beta": 2.5})
    run_stage(config, bases["llama"], {"preferences": data["pairs"]}, tmp_path, 0)
    manifest = read_json(tmp_path / "stage.json")["manifest"]
    assert manifest["config"]["objective"] == {"name": "ln_dpo", "beta": 2.5}
    assert json.dumps(manifest)
