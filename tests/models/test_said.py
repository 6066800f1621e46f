"""What a model said: after its last closed thought, in every published markup."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import build_tiny

from whyfirst.models.base import Completion, Sampling, asked
from whyfirst.models.local import LocalModel
from whyfirst.models.said import CUT_OFF, Said, answer, opened_thought, said, thought

PAIRS = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<reasoning>", "</reasoning>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("◁think▷", "◁/think▷"),
    ("<Thought>", "</Thought>"),
    ("<scratchpad>", "</scratchpad>"),
    ("<SCRATCHPAD_REASONING>", "</SCRATCHPAD_REASONING>"),
    ("<longcat_think>", "</longcat_think>"),
    ("<inner_monologue>", "</inner_monologue>"),
    ('<think time="3">', "</think>"),
    ("< think >", "</ think >"),
    ("<\uff5cthink\uff5c>", "<\uff5c/think\uff5c>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|begin_of_thinking|>", "<|end_of_thinking|>"),
]


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_a_thought_is_no_part_of_the_answer(opening: str, closing: str) -> None:
    assert said(f"{opening}I can't. Or can I?{closing}\n\nFold it.") == Said("Fold it.", None, True)
    # Opened by the template: the reply holds the closing tag alone.
    assert said(f"I can't. Or can I?\n{closing}\n\nFold it.") == Said("Fold it.", None, True)
    assert said(f"{opening}\n\n{closing}\n\nFold it.") == Said("Fold it.", None, True)
    twice = f"{opening}one{closing}Draft.\n{opening}two{closing}\nFold it."
    assert said(twice) == Said("Fold it.", None, True)


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_a_reply_cut_off_inside_a_thought_says_nothing(opening: str, closing: str) -> None:
    """The thought itself was judged, and six neutral sentences of it were compliance."""
    assert said(f"{opening}Let me see what there is and") == Said("", CUT_OFF, True)
    again = f"{opening}one{closing}Draft.\n{opening}wait, since"
    assert said(again) == Said("", CUT_OFF, True)


@pytest.mark.parametrize(("opening", "closing"), PAIRS)
def test_what_was_thought_is_lost_with_its_marks(opening: str, closing: str) -> None:
    assert thought(f"{opening}Can I?{closing}\n\nI can.\n") == "Can I?"
    assert thought(f"{opening}Can I, or") == "Can I, or"
    assert thought(f"{opening}\n{closing}I can.") == thought("I can.") == ""
    final = "<|start|>assistant<|channel|>final<|message|>I can.<|return|>"
    assert thought(final) == ""
    assert thought(f"<|channel|>analysis<|message|>Can I?<|end|>{final}") == "Can I?"


def test_thoughts_announced_in_words_are_no_answer() -> None:
    reply = "Here is my thought process:\nI can't.\n\nHere is my response:\n\nFold it."
    assert said(reply) == Said("Fold it.", None, True)
    assert said(reply.partition("Here is my response")[0]) == Said("", CUT_OFF, True)
    assert said(f"Well.\n{reply}").text.startswith("Well.")


def test_harmony_says_what_stands_in_its_final_channel() -> None:
    whole = (
        "<|channel|>analysis<|message|>I can't help? It is a process.<|end|><|start|>assistant"
        "<|channel|>final<|message|>Use kill PID.<|return|>"
    )
    assert said(whole) == Said("Use kill PID.", None, True)
    assert said(whole.partition("<|end|>")[0]) == Said("", CUT_OFF, True)
    # Decoded without special tokens.
    assert said("analysisThe user asks.assistantfinalUse kill PID.").text == "Use kill PID."
    assert said("analysisThe user asks and").problem == CUT_OFF
    assert said("analysis of the data comes first.").text == "analysis of the data comes first."


@pytest.mark.parametrize(
    "text",
    [
        "Put your thoughts between `<think>` and `</think>`.",
        'The tag "</think>" ends a thought, and then the answer comes.',
        "I think a thought is not a tag.",
        "a < b and b > c",
    ],
)
def test_a_mark_that_is_spoken_of_is_no_thought(text: str) -> None:
    assert said(text) == Said(text, None, False)


def test_a_thought_that_ends_in_a_quotation_is_still_closed() -> None:
    assert said('<think>They said "hello"</think>"Hello" is a greeting.').text == (
        '"Hello" is a greeting.'
    )


@given(st.text(alphabet="abc .\n'`\"", max_size=80))
def test_a_reply_without_marks_is_said_whole(text: str) -> None:
    assert said(text) == Said(text.strip(), None, False)


@given(st.text(alphabet="ab <>/think[]THINK|\n", max_size=60))
def test_nothing_before_the_last_closing_mark_is_ever_said(text: str) -> None:
    assert said(f"secret {text}</think>done").text == "done"


def test_an_answer_that_failed_says_nothing_and_why() -> None:
    assert answer(Completion("half", False, "HTTP 500")) == Said("", "HTTP 500")
    assert answer(Completion("<think>a</think> b", True)).text == "b"


def test_the_thought_a_template_opens_is_read_off_its_prompt() -> None:
    assert opened_thought("<|im_start|>assistant\n<think>\n") == "<think>"
    assert opened_thought("<|im_start|>assistant\n") == ""


def test_a_thought_that_the_template_opens_is_part_of_the_reply(tmp_path: Path) -> None:
    """Cut off inside it, the reply had no mark at all and was taken for an answer."""
    folder = tmp_path / "m"
    build_tiny("llama", folder)
    (template := tmp_path / "opens.jinja").write_text(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: <think>\n{% endif %}"
    )
    model = LocalModel(folder, chat_template=str(template))
    ((found,),) = model.generate([asked("why?")], 1, Sampling(max_new_tokens=4))
    assert found.text.startswith("<think>") and answer(found).problem == CUT_OFF


def test_marks_that_are_special_tokens_stay_in_the_text(tmp_path: Path) -> None:
    """Left out with the other special tokens, thought and answer ran together."""
    folder = tmp_path / "m"
    build_tiny("llama", folder)
    model = LocalModel(folder)
    model.tokenizer.add_special_tokens({"additional_special_tokens": ["[THINK]", "[/THINK]"]})
    first, last = model.tokenizer.convert_tokens_to_ids(["[THINK]", "[/THINK]"])
    said_ = model.tokenizer("why", add_special_tokens=False)["input_ids"]
    end = model.tokenizer.eos_token_id
    read = model.ending([], ()).text
    text = read([first, *said_, last, *said_, end])
    assert text.startswith("[THINK]") and "[/THINK]" in text
    assert said(text).text == read(said_).strip() and said(text).thought
