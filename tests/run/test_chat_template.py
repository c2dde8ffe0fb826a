from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import BadFile
from harness.run import chat_template
from harness.run.chat_template import render

HI = [{"role": "user", "content": "Hi <b> & é"}]
# The chat template of SmolLM2's instruct models, as their GGUF files carry it.
SMOLLM2 = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)


def test_smollm2_adds_its_system_message_only_where_there_is_none() -> None:
    assert render(SMOLLM2, HI) == (
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
        "<|im_end|>\n<|im_start|>user\nHi <b> & é<|im_end|>\n<|im_start|>assistant\n"
    )
    own = [{"role": "system", "content": "Be brief."}, *HI]
    assert render(SMOLLM2, own, add_generation_prompt=False) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <b> & é<|im_end|>\n"
    )


def test_without_a_template_there_is_no_prompt() -> None:
    with pytest.raises(BadFile, match="no chat template"):
        render("", HI)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% if true %}\n  x\n  {% endif %}\ny", "  x\ny"),  # trim_blocks, lstrip_blocks
        ("{{ messages[0] | tojson }}", '{"role": "user", "content": "Hi <b> & é"}'),
        ("{{ tools | tojson(indent=1) }}", '[\n {\n  "b": 1,\n  "a": 2\n }\n]'),
        ("{{ bos_token }}|{{ eos_token }}|{{ nothing }}", "<s>|</s>|"),
        ("{% for n in range(9) %}{% if n == 2 %}{% break %}{% endif %}{{ n }}{% endfor %}", "01"),
        ("{% generation %}a{{ 1 + 1 }}{% endgeneration %}b", "a2b"),
        ("{{ strftime_now('%d %B %Y') }}", "01 July 2025"),  # the same on every day
    ],
)
def test_like_the_transformers_library(template: str, text: str) -> None:
    tools: list[dict[str, Any]] = [{"b": 1, "a": 2}]
    assert render(template, HI, bos_token="<s>", eos_token="</s>", tools=tools) == text


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{% if %}",
        "{{ 1 / 0 }}",
        "{{ 'a' + 1 }}",
        "{{ messages[0].content() }}",
        "{{ unknown() }}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{% extends 'x' %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__']['__mro__'] }}",
        "{{ (''|attr('__class__')).mro() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ raise_exception.__globals__['json'].dumps(1) }}",
        "{{ '{0.__class__.__mro__}'.format('') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update({'role': 'system'}) }}",
        "{% for a in range(99999999) %}{% endfor %}",
        "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
def test_a_hostile_or_broken_template_gives_no_prompt(template: str) -> None:
    """Either an error or an empty text for what the sandbox hides; messages stay as they were."""
    messages = [dict(HI[0])]
    try:
        assert render(template, messages) == ""
    except BadFile as error:
        assert str(error).startswith("chat template: ")
    assert messages == HI


def test_the_templates_own_complaint_is_passed_on() -> None:
    with pytest.raises(BadFile, match="roles must alternate"):
        render("{{ raise_exception('roles must alternate') }}", HI)


def test_output_is_cut_off() -> None:
    with pytest.raises(BadFile, match=f"more than {chat_template.MAX_CHARS} characters"):
        render("{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", HI)


def test_the_template_above_is_the_one_in_the_model_file() -> None:
    path = _stored_model()
    gguf = pytest.importorskip("gguf")
    field = gguf.GGUFReader(path).get_field("tokenizer.chat_template")
    assert field.contents() == SMOLLM2


def _stored_model() -> Path:
    """The bundled-size model, if some run has already fetched it: a test downloads no 90 MB."""
    from harness import home

    found = sorted(home.cache().rglob("SmolLM2-135M-Instruct.Q4_1.gguf"))
    if not found:
        pytest.skip("SmolLM2 is not in the cache; `harness prepare smollm2` fetches it")
    return found[0]
