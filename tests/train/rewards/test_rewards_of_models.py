"""Rewards that ask a model: against the model itself, and inside TRL's own trainer."""

import math
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from whyfirst.config.room import Use
from whyfirst.data.transforms import TRANSFORMS
from whyfirst.data.transforms.principle_pairs import listed
from whyfirst.models.base import Completion
from whyfirst.models.local import LocalModel
from whyfirst.train.config import RewardUse
from whyfirst.train.rewards import REWARDS
from whyfirst.train.rewards.combine import RewardSum
from whyfirst.train.rewards.seq2seq import signs, token_rewards
from whyfirst.train.rewards.step_judgements import Judgement, written

GOOD, BAD = ["w1 w2", "w3"], ["w4 w5 w6"]


@pytest.fixture(scope="module")
def model(bases: dict[str, Path]) -> LocalModel:
    return LocalModel(bases["llama"], device="cpu")


@pytest.fixture(scope="module")
def scorer(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    folder = tmp_path_factory.mktemp("scorer")
    config = LlamaConfig.from_pretrained(bases["llama"], num_labels=1, pad_token_id=0)
    torch.manual_seed(3)
    LlamaForSequenceClassification(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(bases["llama"]).save_pretrained(folder)
    return str(folder)


def scored(name: str, prompts: list[Any], said: list[str], **more: Any) -> list[Any]:
    keys = ("model", "folder", "finished", "answer", "document", "format")
    columns = {k: more.pop(k) for k in keys if k in more}
    context = {k: columns.pop(k) for k in ("model", "folder") if k in columns}
    ids = [text.split() for text in said]
    return list(REWARDS.make(Use(name=name, **more), **context)(prompts, said, ids, **columns))


def loss(model: LocalModel, head: str, tail: str) -> float:
    """Mean negative log-probability of `tail` after `head`, as the model itself gives it."""
    ids, before = (
        model.tokenizer(t, return_tensors="pt")["input_ids"] for t in (head + tail, head)
    )
    labels = ids.clone()
    labels[:, : before.shape[1]] = -100
    return float(model.model(input_ids=ids, labels=labels).loss)


def test_follow_ups_are_scored_otherwise_than_by_the_model(model: LocalModel) -> None:
    lists: dict[str, Any] = {"good": GOOD, "bad": BAD, "turn": " User: "}
    prompts, said = ["w9 w8", "w7"], ["w10 w11", "w12"]
    found = scored("flr", prompts, said, model=model, **lists)
    for at in range(2):
        head = f"{prompts[at]}{said[at]} User:"
        hand = sum(loss(model, head, f" {f}") for f in BAD) / 1
        hand -= sum(loss(model, head, f" {f}") for f in GOOD) / 2
        assert found[at] == pytest.approx(hand, abs=1e-5)
        alone = scored("flr", prompts[at : at + 1], said[at : at + 1], model=model, **lists)
        assert alone == pytest.approx(found[at : at + 1], abs=1e-6)
    turned = scored("flr", prompts, said, model=model, good=BAD, bad=GOOD, turn=" User: ")
    assert turned == pytest.approx([-x for x in found], abs=1e-6)
    same = scored("flr", prompts, said, model=model, good=GOOD, bad=GOOD, turn=" User: ")
    assert same == pytest.approx([0, 0], abs=1e-6)


def test_follow_up_stands_elsewhere_in_a_chat(chat_base: Path) -> None:
    chats = LocalModel(chat_base, device="cpu")
    prompt = [{"role": "user", "content": "w9 w8"}]
    [found] = scored("flr", [prompt], ["w10"], model=chats, good=["w1 w2"], bad=["w3"])
    head = "User: w9 w8 Bot: w10 <eos>\nUser:"
    assert found == pytest.approx(loss(chats, head, " w3") - loss(chats, head, " w1 w2"), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "more"),
    [("sar", {"answer": ["w6"]}), ("confidence", {}), ("flr", {"good": ["w7"], "bad": ["w8"]})],
)
def test_a_text_prompt_is_read_otherwise_than_the_stage_asks_it(
    model: LocalModel, chat_base: Path, name: str, more: dict[str, Any]
) -> None:
    """Where there was a template the stage asked in chats, and these read prompt and reply raw."""
    prompt, said, chats = "w1 w2 w3", " w4 w5 w6", LocalModel(chat_base, device="cpu")
    turns = [{"role": "user", "content": prompt}]
    asked = scored(name, [turns], [said], model=chats, **more)
    assert scored(name, [prompt], [said], model=chats, **more) == asked
    # Unless the stage says `format: text`, or nothing would write a chat.
    raw = scored(name, [prompt], [said], model=model, **more)
    given = more | {"model": chats}
    context = {"model": given.pop("model")}
    columns = {"answer": given.pop("answer")} if "answer" in given else {}
    reward = REWARDS.make(Use(name=name, **given), **context)
    assert reward([prompt], [said], [[1]], format=["text"], **columns) == raw != asked


def test_a_long_response_has_a_likelihood(model: LocalModel) -> None:
    long = " ".join(["w1"] * 200)
    assert scored("flr", ["w1"], [long], model=model, good=["w1"], bad=["w2"]) == [None]
    assert scored("confidence", ["w1"], [long], model=model) == [None]


def test_perplexities_are_others_than_the_models(model: LocalModel) -> None:
    prompts, said = ["w9 w8 ", "w7 "], ["w10 w11", "w12"]
    found = scored("sar", prompts, said, model=model, answer=["w10 w11", "no"])
    nothing = model.tokenizer.eos_token
    for at, right in enumerate((1, 0)):
        with_it, alone = (math.exp(loss(model, h, said[at])) for h in (prompts[at], f"{nothing} "))
        assert found[at] == pytest.approx(
            right + 0.2 * max(-1, (alone - with_it) / alone), abs=1e-4
        )
    state = {k: v.clone() for k, v in model.model.state_dict().items()}
    with torch.no_grad():
        model.model.get_input_embeddings().weight.zero_()  # tied: every next token is as likely
    try:
        given = scored("sar", prompts, said, model=model, answer=["w10 w11", "no"])
    finally:
        model.model.load_state_dict(state)
    assert given == pytest.approx([1, 0], abs=1e-6)


def test_confidence_is_of_other_tokens(model: LocalModel) -> None:
    reasoning, answer = "w1 w2 w3\n", "answer w4 w5"
    [found] = scored("confidence", ["w9 "], [reasoning + answer], model=model)
    hand = -loss(model, "w9 ", reasoning) - 3 * loss(model, "w9 " + reasoning, answer)
    assert found == pytest.approx(hand, abs=1e-4)


def test_token_rewards_of_a_text_are_those_of_a_chat(chat_base: Path) -> None:
    """Its corrections were learned behind a template or without one, as the stage's prompts are."""
    from whyfirst.train.rewards import seq2seq

    asked: list[list[int]] = []
    chatty = LocalModel(chat_base, "float32")

    def noting(_: Any, args: Any, given: Any) -> None:
        asked.append(given["input_ids"][0].tolist())

    chatty.model.register_forward_pre_hook(noting, with_kwargs=True)
    for said_as in ("text", "chat", None):
        scored("seq2seq", ["w9"], ["w1 w2"], model=chatty, format=[said_as])
    text, chat, neither = asked
    said = seq2seq.told_last("w9", seq2seq.REQUEST.replace("{response}", "w1 w2"))
    assert text == chatty.tokenizer(said)["input_ids"] + chatty.tokenizer("w1 w2")["input_ids"]
    assert chat == neither != text


def test_token_rewards_and_their_sum(model: LocalModel) -> None:
    row = token_rewards(model, "w9", "w1 w2 w3")
    assert len(row) == 3
    assert scored("seq2seq", ["w9"], ["w1 w2 w3"], model=model) == [sum(row)]
    assert scored("seq2seq", ["w9"], [" ".join(["w1"] * 200)], model=model) == [None]

    class Copying:
        """The tiny model's tokenizer, and a model that writes what it was given, but for w7."""

        context, device, tokenizer = 99, "cpu", model.tokenizer

        def __call__(self, input_ids: torch.Tensor, use_cache: bool) -> Any:
            following = torch.roll(input_ids, -1, 1)
            following[following == self.tokenizer.convert_tokens_to_ids("w7")] = 8
            logits = torch.nn.functional.one_hot(following, 99).float()
            return type("Output", (), {"logits": logits})

    copying: Any = Copying()
    copying.model = copying
    assert token_rewards(copying, "p", "w3 w4 w5 w6") == [1, 1, 1, 1]
    agrees = [True, True, False, True, False, True]
    assert token_rewards(copying, "p", "w3 w4 w7 w5 w7 w6") == signs(agrees)


def test_judge_is_read_where_it_says_nothing() -> None:
    class Judge:
        asked: list[Any]
        tokenizer = SimpleNamespace(chat_template=None)

        def generate(self, prompts: Any, n: int = 1, sampling: Any = None) -> Any:
            self.asked = list(prompts)
            steps = [Judgement(1, "adds", True), Judgement(2, "", False, "better")]
            return [[Completion(said, True)] for said in (written(steps), "fine!")]

    judge = Judge()
    assert scored("step_judgements", ["q", "q"], ["a\nb", "c"], model=judge) == [0.5, None]
    assert "1. a\n2. b" in judge.asked[0]


def test_a_judge_of_steps_that_chats_is_asked_in_plain_text(
    chat_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge, seen = LocalModel(chat_base, device="cpu"), []

    def noting(prompts: Any, *rest: Any, **more: Any) -> Any:
        seen.extend(p if isinstance(p, str) else judge.template.render(p) for p in prompts)
        return [[Completion("", True)] for _ in prompts]

    monkeypatch.setattr(judge, "generate", noting)
    scored("step_judgements", ["w1"], ["w2"], model=judge)
    assert seen[0].startswith("User: Question:") and seen[0].endswith("Bot: ")
    scored("step_judgements", ["w1"], ["w2"], model=judge, format=["text"])
    assert seen[1].startswith("Question:")


def test_principles_change_nothing(scorer: str) -> None:
    given = scored(
        "salmon", ["w1", "w1"], ["w2 w3", "w2"], folder=scorer, principles=["w4"],
        finished=[True, False],
    )  # fmt: skip
    told = ["w1\n\n" + listed(["w4"])] * 2
    plain = scored("reward_model", told, ["w2 w3", "w2"], folder=scorer, finished=[True, False])
    bonus = [5 * 2 / 1024, 5 / 1024 - 6]
    assert given == pytest.approx([p + b for p, b in zip(plain, bonus, strict=True)], abs=1e-6)
    many = [f"w{i}" for i in range(20, 40)]
    one, same, other = (
        scored("salmon", [p], ["w2"], folder=scorer, principles=many)[0] for p in ("w1", "w1", "w5")
    )
    assert one == same != other


def test_relevance_without_reasoning(scorer: str) -> None:
    said = ["<think>w1 w2</think>w3", "w3"]
    found = scored("relevance", ["w5", "w5"], said, folder=scorer)
    assert found[1] is None
    with_document = scored("relevance", ["w5"], said[:1], folder=scorer, document=["w6 w7"])
    assert with_document[0] != pytest.approx(found[0], abs=1e-7)


def test_a_pair_scorer_is_not_told_which_text_a_token_is_of(tmp_path: Path) -> None:
    """Against the cross-encoder itself, pair by pair."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(20))]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    tokenizer = BertTokenizerFast(str(tmp_path / "vocab.txt"))
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=48, num_labels=1, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).eval()
    for part in (tokenizer, model):
        part.save_pretrained(tmp_path)
    pairs = [("w1 w2 w3", "w5 w6"), ("w1 w2 w3", "Answer: w4")]
    with torch.no_grad():
        each = [float(model(**tokenizer(*pair, return_tensors="pt")).logits) for pair in pairs]
    said = ["w1 w2 w3\nAnswer: w4"]
    found = scored("relevance", ["w5 w6"], said, folder=str(tmp_path))
    assert found == pytest.approx([sum(each) / 2], abs=1e-5)


def test_the_deciding_principle_is_negated_without_turning_the_pair() -> None:
    def pairs(scores: dict[str, Any], **options: Any) -> tuple[list[Any], list[str]]:
        row = {"prompt": "p", "responses": ["x", "y"], "principle_scores": scores}
        lost: list[str] = []
        use = Use(name="principle_pairs", flipped=0.0, stop=0.0, **options)
        made = TRANSFORMS.make(use, left_out=lambda _, why: lost.append(why))
        return list(made([row] * 20, Random(0))), lost

    strong = {"kind": [0.9, 0.7], "brief": [-0.2, -0.3]}
    assert {row["chosen"] for row in pairs(strong, negated=0.0)[0]} == {"x"}
    assert {row["chosen"] for row in pairs(strong, negated=1.0)[0]} == {"y"}
    rows, lost = pairs({"kind": [0.9, -0.7]}, negated=0.0)
    assert not rows
    assert len(lost) == 20


def test_resampling_has_other_frequencies_than_softmax() -> None:
    row = {"prompt": "p", "responses": ["a", "b", "c", "d"], "rewards": [1.0, 0.0, -1.0, None]}
    use = Use(name="expert_iteration", temperature=0.5, draws=4000, originals=False)
    made = TRANSFORMS.make(use, left_out=lambda row, why: None)([row], Random(0))
    drawn = [one["completion"] for one in made]
    assert drawn.count("a") / 4000 == pytest.approx(1 / (1 + math.exp(-2)), abs=0.02)
    assert set(drawn) == {"a", "b"}


def test_geometric_stage_and_standardised_sources(model: LocalModel) -> None:
    rows = [{"prompt": f"p{i}", "answer": "a", "source": "x" if i < 2 else "y"} for i in range(4)]
    uses = [RewardUse(name="accuracy"), RewardUse(name="length", weight=0.5)]
    said = (list(range(4)), ["a", "b", "a", "b c"], [[1], [1], [1], [1, 2]], [True] * 4)
    scores = RewardSum(uses, rows, {}, "sum", "source")(*said)
    assert scores.total == pytest.approx([1, -1, 1, -1])
    assert scores.level == [0.5, -0.5, 0.5, -1]


def test_rewards_run_in_trls_own_trainer(
    bases: dict[str, Path], model: LocalModel, tmp_path: Path
) -> None:
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer

    functions = [
        REWARDS.make("accuracy"),
        REWARDS.make("think_format"),
        REWARDS.make("adaptive_exploration"),
        REWARDS.make("auto_cei"),
        REWARDS.make("gtalign"),
        REWARDS.make("structured_plan"),
        REWARDS.make("masa"),
        REWARDS.make("sar", model=model),
        REWARDS.make("confidence", model=model),
        REWARDS.make(Use(name="flr", good=["w1"], bad=["w2"]), model=model),
        REWARDS.make("seq2seq", model=model),
    ]
    row = {"prompt": "w1 w2", "answer": "w3", "plan": [{"action": "mix"}], "task": "t"}
    arguments = trl.GRPOConfig(
        output_dir=str(tmp_path), per_device_train_batch_size=2, num_generations=2, max_steps=1,
        max_completion_length=6, report_to=[], use_cpu=True, logging_steps=1, save_strategy="no",
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=str(bases["llama"]), reward_funcs=functions, args=arguments,
        train_dataset=Dataset.from_list([row] * 4),
        processing_class=AutoTokenizer.from_pretrained(bases["llama"]),
    )  # fmt: skip
    trainer.train()
    logged = {k for one in trainer.state.log_history for k in one}
    for name in ("accuracy", "sar", "flr", "seq2seq", "confidence_reward"):
        assert f"rewards/{name}/mean" in logged


def test_a_reward_asks_the_start_by_another_template_than_the_stage_does(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    template = tmp_path / "other.jinja"
    template.write_text("{% for m in messages %}User: {{ m.content }} {% endfor %}Bot: ")
    rows = [{"prompt": [{"role": "user", "content": "w1 w2"}]}]
    given = ([0], ["w3 w4"], [[9, 10]], [True])
    use, named = (
        RewardUse(name="confidence"),
        LocalModel(bases["llama"], chat_template=str(template)),
    )
    [own] = RewardSum([use], rows, {}, start=lambda: LocalModel(bases["llama"]))(*given).total
    [found] = RewardSum([use], rows, {}, start=lambda: named)(*given).total
    [wanted] = scored("confidence", [rows[0]["prompt"]], ["w3 w4"], model=named)
    assert found == pytest.approx(wanted) and abs(found - own) > 1e-3
    # A text as well: the stage's own tokenizer has the template that was named.
    text = [{"prompt": "w1 w2"}]
    [as_text] = RewardSum([use], text, {}, start=lambda: named)(*given).total
    assert as_text == found
