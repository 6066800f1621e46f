"""Chat templates: what is rendered, where a reply ends, and that no start token comes twice."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from tiny_models import build_tiny, build_tokenizer, greedy_tokens

from whyfirst.config.errors import ConfigError, DataError, UserError
from whyfirst.models import chat
from whyfirst.models.base import Message, Sampling, asked
from whyfirst.models.local import LocalModel

DIALOGUE = (Message("user", "q1"), Message("assistant", "a1"), Message("user", "q2"))
SYSTEM = (Message("system", "S"), *DIALOGUE)
INST = "{{ bos_token }}{% for m in messages %}{{ '[' + m.role + ']' + m.content }}{% endfor %}"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def with_template(tokenizer: Any, text: str) -> chat.ChatTemplate:
    return chat.ChatTemplate("test", text, tokenizer)


@pytest.mark.parametrize(
    ("name", "plain", "system"),
    [
        (
            "plain",
            "\n\nHuman: q1\n\nAssistant: a1\n\nHuman: q2\n\nAssistant:",
            "\n\nHuman: S\n\nq1\n\nAssistant: a1\n\nHuman: q2\n\nAssistant:",
        ),
        (
            "phi-2",
            "Instruct: q1\nOutput: a1\nInstruct: q2\nOutput:",
            "Instruct: S\n\nq1\nOutput: a1\nInstruct: q2\nOutput:",
        ),
        (
            "llama-2-chat",
            "[INST] q1 [/INST] a1 <|end|>[INST] q2 [/INST]",
            "[INST] <<SYS>>\nS\n<</SYS>>\n\nq1 [/INST] a1 <|end|>[INST] q2 [/INST]",
        ),
        (
            "chatml",
            "<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n"
            "<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\n",
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n"
            "<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n"
            "<|im_start|>assistant\n",
        ),
    ],
)
def test_shipped_templates_write_their_published_format(
    tokenizer: Any, name: str, plain: str, system: str
) -> None:
    template = chat.choose(tokenizer, name)
    assert template.name == name
    assert template.render(DIALOGUE) == plain
    assert template.render(SYSTEM) == system


def test_every_shipped_template_is_tested_above_and_names_its_source() -> None:
    assert chat.shipped() == ["chatml", "llama-2-chat", "phi-2", "plain"]
    for path in Path(chat.__file__).parent.glob("templates/*.jinja"):
        assert path.read_text().startswith("{#- "), path


def test_which_template_applies(tokenizer: Any, tiny_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(tiny_folder)
    file = tmp_path / "mine.jinja"
    file.write_text(INST)
    assert chat.choose(tokenizer).name == "plain"
    assert chat.choose(own).name == "tokenizer"
    assert chat.choose(own, "tokenizer").name == "tokenizer"
    assert chat.choose(own, "chatml").name == "chatml"
    assert chat.choose(own, str(file)).name == "mine.jinja"
    with pytest.raises(UserError, match="no chat template of its own"):
        chat.choose(tokenizer, "tokenizer")
    with pytest.raises(UserError, match=r"no 'chatlm'; did you mean 'chatml'\?"):
        chat.choose(tokenizer, "chatlm")
    with pytest.raises(DataError, match="can't be read"):
        chat.choose(tokenizer, str(tmp_path / "none.jinja"))
    file.write_text("{% for m in messages %}")
    with pytest.raises(ConfigError, match=r"mine\.jinja: line 1"):
        chat.choose(tokenizer, str(file))


@pytest.mark.parametrize(
    ("text", "ends", "stops"),
    [
        ("{% for m in messages %}{{ '\n\n### ' + m.role + ':\n' + m.content }}{% endfor %}", [],
         ("\n\n### user:",)),
        ("{% for m in messages %}{{ m.content + '<|end|>' }}{% endfor %}", [0], ()),
        ("{% for m in messages %}{{ m.content + ' \n<|pad|>u' }}{% endfor %}", [1], ()),
        ("{% for m in messages %}{{ m.content + '\n###<|end|>' }}{% endfor %}", [], ("\n###",)),
        ("{% for m in messages %}{{ m.content + ' ' }}{% endfor %}", [], ()),
        ("{{ raise_exception('no probes here') }}", [], ()),
    ],
)  # fmt: skip
def test_a_reply_ends_where_the_template_ends_a_turn(
    tokenizer: Any, text: str, ends: list[int], stops: tuple[str, ...]
) -> None:
    assert with_template(tokenizer, text).turn_end == (frozenset(ends), stops)


def test_a_system_message_a_template_drops_silently_is_folded_in(tokenizer: Any) -> None:
    drops = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    assert with_template(tokenizer, drops).render(SYSTEM[:2]) == "[user]S\n\nq1"
    assert with_template(tokenizer, INST.replace("{{ bos_token }}", "")).render(
        SYSTEM[:2]
    ) == "[system]S[user]q1"  # fmt: skip


def test_a_template_for_parts_leaves_out_what_the_user_said(tokenizer: Any) -> None:
    """Text was looped over as if it were parts: the model was asked nothing, and trained on it."""
    parts = "{% for m in messages %}[{{ m.role }}]{% for p in m.content %}{{ p.text }}{% endfor %}"
    template = with_template(tokenizer, parts + "{% endfor %}")
    with pytest.raises(UserError, match="leaves out a turn of the chat"):
        template.render(asked("q1"))
    with pytest.raises(UserError, match="leaves out a turn of the chat"):
        template.exchange(DIALOGUE[:2])
    # Writing a turn otherwise is not leaving it out.
    upper = with_template(tokenizer, INST.replace("m.content", "m.content | upper | trim"))
    assert upper.render(asked("q1 ")).endswith("[user]Q1")


def test_several_templates_without_a_default_are_one_message(tokenizer: Any) -> None:
    class Several:
        chat_template: ClassVar = {"chat": INST, "rag": INST}

    with pytest.raises(
        UserError, match="several chat templates \\(chat, rag\\) and none named def"
    ):
        chat.choose(Several())


def test_a_chat_a_template_refuses_is_a_user_error_and_a_wrong_one_a_mistake(
    tokenizer: Any,
) -> None:
    strict = with_template(tokenizer, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(UserError, match="turns user: roles must alternate; name another"):
        strict.render(asked("a"))
    for wrong in ((), DIALOGUE[:2]):
        with pytest.raises(ValueError, match="user's turn"):
            chat.choose(tokenizer).render(wrong)


def starting(folder: Path, to: Path) -> Path:
    """The same model with a tokenizer that sets a start token (id 1) before every text."""
    from tokenizers import Tokenizer, processors
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer.from_file(str(folder / "tokenizer.json"))
    inner.post_processor = processors.TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", 1)]
    )
    build_tiny("llama", to)
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|pad|>", eos_token="<|end|>", pad_token="<|pad|>"
    )
    made.chat_template = None
    made.save_pretrained(to)
    return to


@pytest.mark.parametrize("name", ["plain", "phi-2", "llama-2-chat", "chatml"])
def test_a_start_token_comes_once_whoever_writes_it(
    name: str, tiny_folder: Path, tmp_path: Path
) -> None:
    model = LocalModel(starting(tiny_folder, tmp_path / "m"), device="cpu", chat_template=name)
    (ids,) = model.encode_prompts([asked("hello")])
    assert ids[0] == 1 and ids.count(1) == 1
    (text,) = model.encode_prompts(["hello"])
    assert text[0] == 1 and text.count(1) == 1


def test_a_chat_is_answered_as_its_rendered_text_is(tiny_family: dict[str, Path]) -> None:
    model = LocalModel(tiny_family["llama"], device="cpu")
    assert model.chat_template == "plain"
    rendered = "\n\nHuman: may I?\n\nAssistant:"
    sampling = Sampling(max_new_tokens=20)
    (by_chat,), (by_text,) = model.generate([asked("may I?"), rendered], sampling=sampling)
    assert by_chat.text == by_text.text.partition("\n\nHuman:")[0].removeprefix(" ")
    (scored,), (expected,) = model.loglikelihood(
        [(asked("may I?"), ["Yes."]), (rendered, [" Yes."])]
    )
    assert scored == expected
    (spaced,) = model.loglikelihood([(asked("may I?"), [" Yes.", ""])])
    assert spaced[0] == scored and spaced[1].tokens == 0


def test_what_ends_a_turn_ends_the_reply_to_a_chat_and_no_text(
    tiny_family: dict[str, Path],
) -> None:
    """So a base model does not play both sides."""
    model = LocalModel(tiny_family["llama"], device="cpu")
    prompt, sampling = asked("q"), Sampling(max_new_tokens=20)
    rendered = model.template.render(prompt)
    tokens = greedy_tokens(model.model, model.tokenizer(rendered)["input_ids"], 20)
    model.end_tokens = frozenset([next(t for t in range(320) if t not in tokens)])
    whole, before_third = (
        model.tokenizer.decode(some, skip_special_tokens=True)
        for some in (tokens, tokens[: tokens.index(tokens[3])])
    )
    for ends, stops, expected in (
        (frozenset(), (whole[4:7],), whole[: whole.index(whole[4:7])]),
        (frozenset(tokens[3:4]), (), before_third),
    ):
        vars(model.template)["turn_end"] = ends, stops
        (reply,), (text,) = model.generate([prompt, rendered], sampling=sampling)
        assert text.text == whole
        assert (reply.text, reply.finished) == (expected.removeprefix(" "), True)
