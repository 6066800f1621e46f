"""Templates are programs of strangers: what they write, and that they can't hang or fill memory."""

import os
from typing import Any

import pytest

from whyfirst.config.errors import UserError
from whyfirst.models import chat, sandbox
from whyfirst.models.base import Message

SAID = {"messages": [{"role": "user", "content": "h\u00e9 \ud800"}], "eos_token": "<e>"}


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[0].content }}{% if x %}{% endif %}{{ eos_token }}",
        "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
        "{% set n = namespace(a=1) %}{% for m in messages %}{% set n.a = n.a + 1 %}{% endfor %}"
        "{{ n.a }}{{ dict(a=1) | tojson }}{{ messages | tojson }}",
        "  {% if true %}\n  x\n  {% endif %}\ny {%- for i in range(9) %}{% if i == 2 %}{% break %}"
        "{% endif %}{{ i }}{% endfor %}",
    ],
)  # fmt: skip
def test_a_template_writes_another_text_than_transformers_gives(template: str) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    said = {**SAID, "messages": [{"role": "user", "content": "h\u00e9 <b>"}]}
    [[expected], _] = render_jinja_template([said["messages"]], chat_template=template,
                                            eos_token="<e>")  # fmt: skip
    assert sandbox.render(template, said) == expected
    assert sandbox.render(template, said, trusted=True) == expected


def test_half_a_character_is_lost_on_the_way() -> None:
    assert sandbox.render("{{ messages[0].content }}", SAID) == "h\u00e9 \ud800"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ 'aaaa'.center(2000000000) }}",
        "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}"
        "{% endfor %}{{ n.x }}",
        "{% for i in range(99999) %}{{ 'aaaaaaaaaaaaaaaa' * 999 }}{% endfor %}",
    ],
)
def test_a_template_eats_the_memory(template: str) -> None:
    with pytest.raises(sandbox.TemplateError) as found:
        sandbox.render(template, SAID)
    assert found.value.limit
    assert sandbox.render("{{ eos_token }}", SAID) == "<e>"  # the next one is served


def test_a_template_never_ends() -> None:
    loop = "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"
    template = chat.ChatTemplate("hostile", loop, _Tokens())
    with pytest.raises(UserError, match=r"hostile: takes more than 2 s to render a chat; name"):
        template.check()


@pytest.mark.parametrize("template", ["{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}"])
def test_a_template_reaches_out_of_the_sandbox(template: str) -> None:
    with pytest.raises(sandbox.TemplateError, match=r"unsafe|not safely callable"):
        sandbox.render(template, SAID)


def test_a_fork_reads_the_answers_of_its_parent() -> None:
    assert sandbox.render("{{ eos_token }}", SAID) == "<e>"
    child = os.fork()
    if not child:
        right = sandbox.render("{{ 1 + 1 }}", SAID) == "2"
        os._exit(0 if right else 1)
    assert sandbox.render("{{ 1 + 2 }}", SAID) == "3"
    assert os.waitpid(child, 0)[1] == 0


def test_today_is_another_prompt_tomorrow() -> None:
    dated = "{{ strftime_now('%d %b %Y') }}"
    assert sandbox.render(dated, SAID) == "01 Jan 2026"
    reads = chat.ChatTemplate("t", dated, _Tokens()).identity
    assert reads == {"chat_template": dated, "chat_template_date": "2026-01-01"}
    assert chat.ChatTemplate("t", "x", _Tokens()).identity == {"chat_template": "x"}


class _Tokens:
    """What a template needs of a tokenizer."""

    special_tokens_map: dict[str, Any] = {"eos_token": "<e>"}  # noqa: RUF012
    eos_token = "<e>"


TURNS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{% endfor %}" + TURNS
)
DROPS = TURNS.replace("in messages", "in messages if m.role != 'system'")
SYSTEM, FIRST, SECOND = Message("system", "s"), Message("user", "p"), Message("user", "q")
REPLY = Message("assistant", "r")


@pytest.mark.parametrize(
    ("template", "turns", "written"),
    [
        (TURNS, (SYSTEM, FIRST, SECOND), "[system]s[user]p[user]q"),
        (DROPS, (SYSTEM, FIRST, SECOND), "[user]s\n\np[user]q"),
        (ALTERNATE, (FIRST, SECOND), "[user]p\n\nq"),
        (ALTERNATE, (SYSTEM, FIRST, SECOND), "[user]s\n\np\n\nq"),
        (DROPS, (FIRST, REPLY, SYSTEM, SECOND), "[user]p[assistant]r[user]s\n\nq"),
    ],
)
def test_a_turn_is_lost_or_met_otherwise_in_training(
    template: str, turns: tuple[Message, ...], written: str
) -> None:
    made = chat.ChatTemplate("t", template, _Tokens())
    assert made.render(turns) == written
    assert made.exchange((*turns, Message("assistant", "a"))) == (written, "[assistant]a")


def test_the_loss_is_taken_over_something_else_than_the_reply() -> None:
    class Tokens(_Tokens):
        eos_token = "<|im_end|>"

    talk = (SYSTEM, FIRST, REPLY, SECOND, Message("assistant", "a"))
    chatml = chat.ChatTemplate("t", chat.template_text("chatml", _WithStart()), Tokens())
    assert chatml.exchange(talk)[1] == "a<|im_end|>"
    assert chatml.exchange(talk[:3])[1] == "r<|im_end|>"
    # `plain` writes its end token once, after the last reply.
    plain = chat.ChatTemplate("t", chat.template_text("plain", _WithStart()), _Tokens())
    assert [plain.exchange(talk[1:end])[1] for end in (3, 5)] == [" r<e>", " a<e>"]
    # One that writes every turn by how many there are.
    forgets = TURNS.replace("[{{ m.role }}]", "{% if messages|length % 2 %}?{% endif %}")
    with pytest.raises(UserError, match="writes the prompt differently once a reply follows"):
        chat.ChatTemplate("t", forgets, _Tokens()).exchange(talk[1:])


class _WithStart(_Tokens):
    bos_token_id = None

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [len(text)]}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "must be a list of messages"),
        ([], "must be a list of messages"),
        (["a"], "message 1 is no {role, content} but 'a'"),
        ([{"from": "human", "value": "q"}], "ShareGPT's keys; rename from to role"),
        ([{"role": "user", "content": "q"}, {"role": "tool", "content": "x"}], "message 2: role"),
        ([{"role": "user", "content": None}], "message 1: content must be text; found NoneType"),
        ([{"role": "user", "content": [{"type": "image"}]}], "content must be text; found list"),
    ],
)
def test_messages_of_another_shape_pass(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("{", r"\{").replace("}", r"\}")):
        chat.read_turns(value)


def test_text_parts_are_not_joined() -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]
    assert chat.read_turns([{"role": "user", "content": parts}]) == (Message("user", "a b"),)
