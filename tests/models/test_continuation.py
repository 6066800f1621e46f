"""A text cut anywhere and gone on with is that text, on every kind of tokenizer at hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import TEXTS, build_tiny, config_of, sharpen
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from whyfirst.config.room import Use
from whyfirst.models.base import Completion, Message, Prompt, Sampling, asked
from whyfirst.models.continuation import following
from whyfirst.models.decoding import DECODINGS
from whyfirst.models.local import LocalModel
from whyfirst.models.scripted import ScriptedModel
from whyfirst.train.prompts import Prompts
from whyfirst.train.rewards.confidence import parts
from whyfirst.worlds.hearth.world import World
from whyfirst.worlds.making import word_tokenizer

WORLD = word_tokenizer(World(3).vocabulary, 128)
KNOWN = [word for word in WORLD.get_vocab() if word.isalpha()][:40]


def sentence_piece() -> Any:
    """Spaces written as the beginning of a word, none before the first, as Llama's."""
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    inner.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<unk>", "</s>"])
    inner.train_from_iterator([*TEXTS, " ".join(KNOWN)], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tiny model of each kind of tokenizer."""
    folder = tmp_path_factory.mktemp("continued")
    made = {"bytes": build_tiny("llama", folder / "bytes")}
    for name, tokenizer in (("words", WORLD), ("pieces", sentence_piece())):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config_of("llama", len(tokenizer)))
        sharpen(model)
        model.generation_config.eos_token_id = tokenizer.eos_token_id
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        made[name] = folder / name
    return made


@pytest.fixture(scope="module", params=["bytes", "words", "pieces"])
def local(request: pytest.FixtureRequest, folders: dict[str, Path]) -> LocalModel:
    return LocalModel(folders[request.param])


@pytest.fixture(scope="module")
def tokenizers(folders: dict[str, Path]) -> list[Any]:
    return [AutoTokenizer.from_pretrained(folder) for folder in folders.values()]


@given(words=st.lists(st.sampled_from(KNOWN), min_size=2, max_size=8), data=st.data())
def test_a_text_that_is_cut_loses_the_space_at_the_cut(
    tokenizers: list[Any], words: list[str], data: st.DataObject
) -> None:
    text = " ".join(words)
    for tokenizer in tokenizers:
        ids = tokenizer.encode(text, add_special_tokens=False)
        at = data.draw(st.integers(1, len(ids) - 1))
        assert tokenizer.decode(ids[:at]) + following(tokenizer, ids[:at], ids[at:]) == text
        if len(ids) == len(words):
            # By words, what is put together is read as the very same tokens again.
            again = tokenizer.decode(ids[:at]) + following(tokenizer, ids[:at], ids[at:])
            assert tokenizer.encode(again, add_special_tokens=False) == ids


def test_a_cut_within_a_character_gives_a_space(tokenizers: list[Any]) -> None:
    ids = tokenizers[0].encode("Ça va? 🙂", add_special_tokens=False)
    for at in range(1, len(ids)):
        assert not following(tokenizers[0], ids[:at], ids[at:]).startswith("  ")
    assert following(tokenizers[0], [], ids) == "Ça va? 🙂"


def test_an_answer_begun_and_gone_on_with_is_another_answer(local: LocalModel) -> None:
    """Three words and three more are the six that are said at once, as text and as a chat."""
    question = " ".join(KNOWN[:3])

    def said(prompt: Prompt, most: int) -> str:
        return local.generate([prompt], sampling=Sampling(max_new_tokens=most))[0][0].text

    def begun_with(prompt: Prompt, text: str) -> Prompt:
        return prompt + text if isinstance(prompt, str) else (*prompt, Message("assistant", text))

    for prompt in (question, asked(question)):
        whole, first = said(prompt, 6), said(prompt, 3)
        begun = begun_with(prompt, first)
        (ids,) = local.encode_prompts([prompt])
        (again,) = local.encode_prompts([begun])
        wrote = local.model.generate(torch.tensor([ids]), max_new_tokens=3, do_sample=False)
        # Where the first half is read as it was written, and not in as many other pieces: which
        # those are changes from run to run, since the tokenizer is trained here.
        if again == wrote[0].tolist():
            assert first + said(begun, 3) == whole
        assert len(local.encode_wholes([(prompt, [whole])])[0]) >= len(ids)
    if local.tokenizer.unk_token is not None and len(question.split()) == len(ids):
        assert local.tokenizer.unk_token not in question + said(question, 6)


def nothing(name: str, prompts: Sequence[Prompt], texts: Sequence[str]) -> list[float | None]:
    return [0.0] * len(texts)


@pytest.mark.parametrize("level", ["token", "block"])
def test_deal_on_words_glues_two_of_them_to_an_unknown_one(
    folders: dict[str, Path], level: str
) -> None:
    model, question = LocalModel(folders["words"]), " ".join(KNOWN[:3])
    own = {"look_ahead": 1} if level == "token" else {"block": 2}
    use = Use(name="deal", reward="r", level=level, beams=2, branch=2, **own)
    method = DECODINGS.make(use, score=nothing)(model)
    for prompt in (question, asked(question)):
        ((answer,),) = method.generate([prompt], sampling=Sampling(max_new_tokens=6))
        (ids,), start = model.encode_wholes([(prompt, [answer.text])]), 0
        start = len(model.encode_prompts([prompt])[0])
        specials = set(model.tokenizer.all_special_ids)
        # As many words as were drawn (special ones are not said), each of them known.
        assert len(answer.text.split()) == len(ids[start:]) and answer.text.split()
        assert not specials & set(ids[start:])


def test_deal_glues_what_a_remote_model_says_next() -> None:
    replies = iter(["the house", "is red", ", and", "cold"])
    model = ScriptedModel(lambda prompt: next(replies))
    cut = model.generate
    model.generate = lambda prompts, n=1, sampling=None: [  # type: ignore[method-assign]
        [Completion(one.text, False) for one in row] for row in cut(prompts, n)
    ]
    use = Use(name="deal", reward="r", level="block", block=2, beams=1, branch=1)
    method = DECODINGS.make(use, score=nothing)(model)
    ((answer,),) = method.generate([asked("q")], sampling=Sampling(max_new_tokens=8))
    assert answer.text == "the house is red, and cold"


def test_a_reward_reads_a_response_glued_to_its_prompt(folders: dict[str, Path]) -> None:
    model = LocalModel(folders["words"])
    texts = [" ".join(KNOWN[:3]), " ".join(KNOWN[3:6])]
    ids = model.encode_prompts(texts)
    rows: Any = [{"prompt": texts[0]}, {"prompt": [{"role": "user", "content": texts[1]}]}]
    prompts = Prompts(Path("p"), rows, texts, ids, [False, True], [0, 1], [])
    response = model.tokenizer.encode(" ".join(KNOWN[6:10]), add_special_tokens=False)
    model.tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    endings = prompts.endings(folders["words"], model.tokenizer)
    said, reply = (end.said(before, response) for end, before in zip(endings, ids, strict=True))
    assert said == " " + reply == " " + " ".join(KNOWN[6:10])
    ((found,),) = model.loglikelihood([(texts[0], [said])])
    assert found.tokens == 4


def test_reasoning_ends_within_a_token_of_the_whole(tokenizers: list[Any]) -> None:
    for said in ("<think>it boils</think>\n\nAnswer: red", "it boils\n\nAnswer: red",
                 "<think>it</think> red", "it\nThe answer is red"):  # fmt: skip
        reasoning, answer = parts(said)
        assert reasoning + answer == said and not answer.startswith("\n")
        for tokenizer in tokenizers:
            first, whole = (
                tokenizer.encode(t, add_special_tokens=False) for t in (reasoning, said)
            )
            assert whole[: len(first)] == first
