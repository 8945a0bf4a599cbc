import pytest

from edge.engines.base import InvalidRequest
from edge.engines.llm.template import ChatTemplate

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]


def render(source: str | None, *, enable_thinking: bool = False) -> str:
    return ChatTemplate(source, bos_token="<s>", eos_token="</s>").render(
        CHAT, enable_thinking=enable_thinking
    )


def test_without_a_template_chats_are_chatml() -> None:
    assert render(None) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_templates_get_what_model_authors_expect() -> None:
    source = (
        "{{ bos_token }}{% for m in messages %}\n{{ m.role }}:{{ m['content'] }}{% if loop.last %}{% break %}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}|go{% endif %}"
        "{% if enable_thinking %}|think{% endif %}"
    )
    assert render(source) == "<s>system:Be brief.user:Hi|go"
    assert render(source, enable_thinking=True).endswith("|think")


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('roles must alternate') }}",
        "{{ messages[0].missing.deeper }}",
        "{{ 1 + messages }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ messages.__init__.__globals__['__builtins__'].open('/etc/passwd').read() }}",
    ],
)
def test_a_template_that_fails_or_reaches_out_is_refused(source: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        render(source)
    assert caught.value.param == "messages"
