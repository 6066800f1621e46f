"""Token ids and masks: the silent mistakes (no EOS, prompt trained, wrong boundary)."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers.processors import TemplateProcessing

from whyfirst.config.errors import DataError
from whyfirst.train.config import DPOStage, ExplainStage, SFTStage
from whyfirst.train.encode import encode, encode_exchange
from whyfirst.train.preflight import truncation
from whyfirst.train.run import run_stage
from whyfirst.train.weights import load_model

Jsonl = Callable[[str, list[dict[str, Any]]], Path]
SFT = SFTStage(updates=20)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return [tokenizer.get_vocab()[word] for word in text.split()]


def test_eos_is_not_trained_or_the_prompt_is(tokenizer: Any, jsonl: Jsonl) -> None:
    path = jsonl("d", [{"prompt": "w1 w2", "completion": "w3"}])
    [example] = encode(SFT, tokenizer, {"demonstrations": path}).examples
    assert example.ids == _ids(tokenizer, "w1 w2 w3 <eos>")
    assert (example.masked, example.trained) == (2, 2)


def test_eos_is_doubled(tokenizer: Any, jsonl: Jsonl) -> None:
    path = jsonl("d", [{"prompt": "w1", "completion": "w3 <eos>"}])
    [example] = encode(SFT, tokenizer, {"demonstrations": path}).examples
    assert example.ids == _ids(tokenizer, "w1 w3 <eos>")


def test_tag_is_trained_or_given_to_replay(tokenizer: Any, jsonl: Jsonl) -> None:
    data = {"documents": jsonl("d", [{"text": "w1 w2"}]), "replay": jsonl("r", [{"text": "w3"}])}
    config = ExplainStage(updates=20, doc_tag="w8 w9", replay=0.5)
    document, replay = encode(config, tokenizer, data).examples
    assert document.ids == _ids(tokenizer, "w8 w9 w1 w2 <eos>")
    assert (document.masked, document.trained) == (2, 3)
    assert replay.ids == _ids(tokenizer, "w3 <eos>")
    # Nothing stands before the first token, so it can't be predicted.
    assert (replay.masked, replay.trained) == (0, 1)


def test_a_tokenizer_that_adds_eos_ends_the_prompt_early(tokenizer: Any, jsonl: Jsonl) -> None:
    from copy import deepcopy

    adding = deepcopy(tokenizer)
    adding.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", 3), ("<eos>", 2)]
    )
    path = jsonl("d", [{"prompt": "w1 w2", "completion": "w3"}])
    [example] = encode(SFT, adding, {"demonstrations": path}).examples
    assert example.ids == [3, *_ids(tokenizer, "w1 w2 w3 <eos>")]
    assert example.masked == 3


def test_messages_are_rendered_by_the_template(chat_tokenizer: Any, jsonl: Jsonl) -> None:
    prompt = [{"role": "user", "content": "w1 w2"}]
    reply = [{"role": "assistant", "content": "w3"}]
    path = jsonl("d", [{"prompt": prompt, "completion": reply}])
    [example] = encode(SFT, chat_tokenizer, {"demonstrations": path}).examples
    assert example.ids == _ids(chat_tokenizer, "User: w1 w2 Bot: w3 <eos>")
    assert example.masked == 4
    pairs = jsonl("p", [{"prompt": prompt, "chosen": reply, "rejected": "w4"}])
    [pair] = encode(DPOStage(updates=20), chat_tokenizer, {"pairs": pairs}).candidates
    assert pair.responses[0] == _ids(chat_tokenizer, "w3 <eos>")
    assert pair.responses[1] == _ids(chat_tokenizer, "w4 <eos>")


def test_a_template_that_rewrites_the_prompt(chat_tokenizer: Any, jsonl: Jsonl) -> None:
    from copy import deepcopy

    rewriting = deepcopy(chat_tokenizer)
    rewriting.chat_template = (
        "{{ messages | length }}{% for m in messages %} {{ m.content }}{% endfor %}"
    )
    path = jsonl("d", [{"prompt": [{"role": "user", "content": "w1"}], "completion": "w2"}])
    with pytest.raises(DataError, match=r"row 1: the chat template writes the prompt differently"):
        encode(SFT, rewriting, {"demonstrations": path})


def test_text_on_a_chat_model_is_trained_as_no_evaluation_asks_it(
    chat_tokenizer: Any, jsonl: Jsonl
) -> None:
    """A text prompt is a user's turn, an HH prompt its dialogue, unless the stage says text."""
    hh = "\n\nHuman: w1\n\nAssistant: w2\n\nHuman: w3\n\nAssistant:"
    rows = [{"prompt": "w1 w2", "completion": " w3"}, {"prompt": hh, "completion": " w4"}]
    path = {"demonstrations": jsonl("d", rows)}
    one, dialogue = encode(SFT, chat_tokenizer, path).examples
    assert one.ids == _ids(chat_tokenizer, "User: w1 w2 Bot: w3 <eos>")
    assert one.masked == 4
    assert dialogue.ids == _ids(chat_tokenizer, "User: w1 Bot: w2 <eos> User: w3 Bot: w4 <eos>")
    assert dialogue.masked == 8
    text, _ = encode(SFTStage(updates=20, format="text"), chat_tokenizer, path).examples
    assert text.ids == _ids(chat_tokenizer, "w1 w2 w3 <eos>")
    assert text.masked == 2


def test_a_reward_reads_another_text_than_its_model_was_trained_on(chat_tokenizer: Any) -> None:
    whole = "User: w1 Bot: w3 <eos>"
    assert encode_exchange(chat_tokenizer, "w1", "w3", True) == _ids(chat_tokenizer, whole)
    cut = encode_exchange(chat_tokenizer, "w1", "w3", False)
    assert cut == _ids(chat_tokenizer, "User: w1 Bot: w3")
    as_text = encode_exchange(chat_tokenizer, "w1", "w3", True, "text")
    assert as_text == _ids(chat_tokenizer, "w1 w3 <eos>")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"prompt": "w1", "completion": "w2"}, {"prompt": "w1"}], "row 2: 'completion' must be"),
        ([{"prompt": 3, "completion": "w2"}], "row 1: 'prompt' must be text"),
        ([], "no rows"),
    ],
)
def test_a_row_of_the_wrong_shape(
    tokenizer: Any, jsonl: Jsonl, rows: list[dict[str, Any]], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        encode(SFT, tokenizer, {"demonstrations": jsonl("d", rows)})


def test_a_missing_file_is_not_named(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="needs the file 'demonstrations'"):
        encode(SFT, tokenizer, {"documents": Path("x.jsonl")})


TALK = [
    {"role": "user", "content": "w1"},
    {"role": "assistant", "content": "w2"},
    {"role": "user", "content": "w3"},
    {"role": "assistant", "content": [{"type": "text", "text": "w4"}]},
]


def test_a_users_turn_is_trained_on(chat_tokenizer: Any, jsonl: Jsonl) -> None:
    """Conversations: the last reply, or each behind exactly what an evaluation would have asked."""
    data = {"demonstrations": jsonl("m", [{"messages": TALK}])}
    [last] = encode(SFT, chat_tokenizer, data).examples
    assert last.ids == _ids(chat_tokenizer, "User: w1 Bot: w2 <eos> User: w3 Bot: w4 <eos>")
    assert last.ids[last.masked :] == _ids(chat_tokenizer, "w4 <eos>")
    first, again = encode(SFTStage(updates=20, turns="all"), chat_tokenizer, data).examples
    assert again.ids == last.ids and again.masked == last.masked
    assert first.ids == _ids(chat_tokenizer, "User: w1 Bot: w2 <eos>")
    assert first.ids[first.masked :] == _ids(chat_tokenizer, "w2 <eos>")


def test_loss_with_all_turns_is_another_than_that_of_each_reply(
    chat_tokenizer: Any, bases: dict[str, Path], jsonl: Jsonl, tmp_path: Path
) -> None:
    """Two replies of one conversation count as a row each: the first loss is their tokens' mean."""
    folder = shutil.copytree(bases["llama"], tmp_path / "chats")
    chat_tokenizer.save_pretrained(folder)
    data = {"demonstrations": jsonl("m", [{"messages": TALK}])}
    config = SFTStage(updates=1, min_updates=1, batch_size=2, turns="all", learning_rate=1e-9)
    result = run_stage(config, folder, data, tmp_path / "out", 0)
    assert (result.documents, result.epochs) == (2, 1.0)
    model, sums, count = load_model(folder), 0.0, 0
    for example in encode(config, chat_tokenizer, data).examples:
        ids = torch.tensor([example.ids])
        logs = model(input_ids=ids).logits[0].log_softmax(-1).detach()
        taught = range(example.masked, len(example.ids))
        sums -= sum(float(logs[at - 1, example.ids[at]]) for at in taught)
        count += len(taught)
    assert count == result.tokens_trained == 4
    assert result.first_loss == pytest.approx(sums / count, abs=1e-5)


def test_preflight_counts_rows_in_place_of_their_lines(tokenizer: Any, tmp_path: Path) -> None:
    """A blank line, and the row told was another one than the editor shows."""
    path = tmp_path / "rows.jsonl"
    rows = [{"prompt": "w1", "completion": "w2"}, {"prompt": "w1", "completion": "w2 " * 40}]
    path.write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    config = SFTStage(updates=20, max_length=16)
    encoded = encode(config, tokenizer, {"demonstrations": path})
    assert encoded.lines == [1, 3]
    found = truncation(encoded.lengths, 16, "refuse", encoded.lines)
    assert found.level == "refuse" and "rows 3)" in found.message


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"messages": TALK[:3]}, "row 2: 'messages' must end with the assistant's turn"),
        ({"messages": [{"from": "human", "value": "w1"}]}, "ShareGPT's keys; rename from to role"),
        ({"messages": "w1"}, "row 2: 'messages' must be a list of messages"),
        ({"messages": [{"role": "user", "content": None}]}, "content must be text"),
        (
            {"prompt": TALK[:1], "completion": [{"role": "user", "content": "w2"}]},
            "row 2: 'completion' must be the assistant's turn alone; it holds 'user'",
        ),
    ],
)
def test_messages_of_another_shape_are_trained_on(
    chat_tokenizer: Any, jsonl: Jsonl, row: dict[str, Any], message: str
) -> None:
    path = jsonl("m", [{"messages": TALK}, row])
    with pytest.raises(DataError, match=message):
        encode(SFT, chat_tokenizer, {"demonstrations": path})


def test_a_conversation_prompts_with_what_the_assistant_said_last(
    chat_tokenizer: Any, jsonl: Jsonl
) -> None:
    from whyfirst.train.prompts import read_prompts

    found = read_prompts(chat_tokenizer, {"prompts": jsonl("p", [{"messages": TALK}])}, 0.0)
    assert found.ids == [_ids(chat_tokenizer, "User: w1 Bot: w2 <eos> User: w3 Bot:")]


def test_a_reply_that_was_cut_off_ends_where_a_template_leaves_its_thoughts_out(
    chat_tokenizer: Any,
) -> None:
    strict = deepcopy(chat_tokenizer)
    strict.chat_template = chat_tokenizer.chat_template.replace(
        "{{ m.content }}", "{{ m.content.split('</think>')[-1].strip() }}"
    )
    for reply, words in (("<think>w9</think> w2 w3", "w2 w3"), ("w2 w3", "w2 w3")):
        cut = encode_exchange(strict, "w1", reply, False)
        assert strict.decode(cut) == f"User: w1 Bot: {words}"
        assert encode_exchange(strict, "w1", reply, True) == [*cut, strict.eos_token_id]
