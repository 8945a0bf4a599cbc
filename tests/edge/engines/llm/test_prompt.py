from typing import Any, cast

import llama_cpp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.engines.base import InvalidRequest
from edge.engines.llama import Model
from edge.engines.llm.prompt import PromptBuilder
from edge.engines.llm.template import ChatTemplate
from edge.workers.messages import Generate
from tests.models import pulled

CONTEXT_TOKENS = 64
BOS, PREFIX, SUFFIX, MIDDLE = 256, 257, 258, 259
SPECIAL = {"<s>": BOS, "<pre>": PREFIX, "<suf>": SUFFIX, "<mid>": MIDDLE}
TEMPLATE = "{{ bos_token }}{% for message in messages %}[{{ message['content'] }}]{% endfor %}"


class Bytes:
    """A model whose tokens are bytes and some control tokens; it is its own vocabulary."""

    def __init__(self, *, infills: bool = True, begins: bool = True, bos: int = BOS) -> None:
        self.vocab = self
        self.bos = bos
        self.begins = begins
        self.infill = (PREFIX, SUFFIX, MIDDLE) if infills else (-1, -1, -1)
        self.pieces = [*(bytes([byte]) for byte in range(256)), *(b"" for _ in SPECIAL)]
        self.vocab_size = len(self.pieces)
        self.longest_piece = 1

    def special_piece(self, token: int) -> str:
        return next((text for text, number in SPECIAL.items() if number == token), "")

    def tokenize(self, text: str, *, add_special: bool, parse_special: bool) -> list[int]:
        tokens = [self.bos] if add_special and self.begins else []
        while text:
            special = next((name for name in SPECIAL if parse_special and text.startswith(name)), None)
            tokens += list(text[0].encode("utf-8", "replace")) if special is None else [SPECIAL[special]]
            text = text[1:] if special is None else text[len(special) :]
        return tokens


@pytest.fixture(autouse=True)
def vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the library's questions about a vocabulary be answered by a model that is its own."""

    def answer(name: str, of: Any) -> None:
        native = getattr(llama_cpp, name)
        monkeypatch.setattr(
            llama_cpp, name, lambda vocab: of(vocab) if isinstance(vocab, Bytes) else native(vocab)
        )

    answer("llama_vocab_bos", lambda vocab: vocab.bos)
    answer("llama_vocab_get_add_bos", lambda vocab: vocab.begins)
    answer("llama_vocab_fim_pre", lambda vocab: vocab.infill[0])
    answer("llama_vocab_fim_suf", lambda vocab: vocab.infill[1])
    answer("llama_vocab_fim_mid", lambda vocab: vocab.infill[2])


def builder(template: str = TEMPLATE, **model: Any) -> PromptBuilder:
    return PromptBuilder(
        cast("Model", Bytes(**model)),
        ChatTemplate(template, bos_token="<s>", eos_token="</s>"),
        None,
        context_tokens=CONTEXT_TOKENS,
    )


def built(prompts: PromptBuilder, **fields: Any) -> list[int]:
    return prompts.build(Generate(**fields)).tokens


def chat(*texts: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text} for text in texts]


def test_a_text_begins_as_the_model_wants() -> None:
    assert built(builder(), prompt="hi") == [BOS, *b"hi"]
    assert built(builder(begins=False), prompt="hi") == [*b"hi"]


@pytest.mark.parametrize("begins", [True, False])
def test_a_beginning_that_is_written_out_is_not_doubled(begins: bool) -> None:
    prompts = builder(begins=begins)
    assert built(prompts, prompt="<s>hi") == [BOS, *b"hi"]
    assert built(prompts, messages=chat("hi")) == [BOS, *b"[hi]"]
    assert built(prompts, prompt="hi<s>")[-1] == BOS


def test_a_template_may_leave_the_beginning_to_the_model() -> None:
    prompts = builder("{% for message in messages %}[{{ message['content'] }}]{% endfor %}")
    assert built(prompts, messages=chat("a", "b")) == [BOS, *b"[a][b]"]


def test_a_model_without_a_beginning_has_none_to_double() -> None:
    assert built(builder(begins=False, bos=-1), messages=chat("hi")) == [BOS, *b"[hi]"]


@given(st.lists(st.integers(0, 259), min_size=1, max_size=CONTEXT_TOKENS - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_are_taken_as_they_are(tokens: list[int]) -> None:
    asked = tokens.copy()
    made = built(builder(), prompt=asked)
    assert made == tokens
    made.append(1)
    assert asked == tokens


# Filling in


def test_a_model_fills_in_between_a_prompt_and_a_suffix() -> None:
    prompts = builder(begins=False)
    assert prompts.infills
    assert built(prompts, prompt="a", suffix="b") == [PREFIX, *b"a", SUFFIX, *b"b", MIDDLE]
    assert built(prompts, prompt=[7, 8], suffix="b") == [PREFIX, 7, 8, SUFFIX, *b"b", MIDDLE]
    assert built(prompts, prompt="", suffix="b") == [PREFIX, SUFFIX, *b"b", MIDDLE]
    assert built(prompts, prompt="a", suffix="") == [PREFIX, *b"a", SUFFIX, MIDDLE]


@pytest.mark.parametrize("prompt", ["a", "<s>a", [97], [BOS, 97]])
def test_what_begins_a_prompt_stands_once_before_all_that_is_filled_in(prompt: str | list[int]) -> None:
    before = prompt.copy() if isinstance(prompt, list) else prompt
    assert built(builder(), prompt=prompt, suffix="b") == [BOS, PREFIX, *b"a", SUFFIX, *b"b", MIDDLE]
    assert prompt == before


def test_a_model_that_cannot_fill_in_says_so() -> None:
    prompts = builder(infills=False)
    assert not prompts.infills
    with pytest.raises(InvalidRequest, match="leave it out") as caught:
        built(prompts, prompt="a", suffix="b")
    assert caught.value.param == "suffix"
    assert built(prompts, prompt="a") == [BOS, *b"a"]


# What is refused


LONG = "x" * (CONTEXT_TOKENS - 1)


@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"prompt": LONG}, "prompt", "64 tokens long and the model's context holds 64; shorten prompt"),
        ({"prompt": LONG + "xx"}, "prompt", "65 characters cannot fit .* shorten prompt"),
        ({"prompt": [1] * CONTEXT_TOKENS}, "prompt", "64 tokens long"),
        ({"prompt": "\N{GRINNING FACE}" * 16}, "prompt", "65 tokens long"),
        ({"prompt": ""}, "prompt", "prompt holds no text"),
        ({"prompt": []}, "prompt", "prompt holds no text"),
        ({}, "prompt", "prompt holds no text"),
        ({"prompt": [0, 260]}, "prompt", "outside 0 to 259"),
        ({"prompt": [-1]}, "prompt", "outside 0 to 259"),
        ({"messages": chat("x" + "é" * 30)}, "messages", "64 tokens long .* shorten messages"),
        ({"messages": chat("x" * 70)}, "messages", "75 characters cannot fit .* shorten messages"),
        ({"prompt": "x" * 40, "suffix": "y" * 30}, "prompt", "74 tokens long .* shorten prompt"),
        ({"prompt": "x" * 30, "suffix": "y" * 40}, "suffix", "74 tokens long .* shorten suffix"),
        ({"prompt": "x", "suffix": "y" * 70}, "suffix", "70 characters cannot fit .* shorten suffix"),
        ({"prompt": [260], "suffix": "y"}, "prompt", "outside 0 to 259"),
    ],
)
def test_what_cannot_be_served_names_the_field_at_fault(
    fields: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says) as caught:
        built(builder(), **fields)
    assert caught.value.param == param


def test_a_chat_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="messages holds no text") as caught:
        built(builder("{{ '' }}", begins=False), messages=chat("hi"))
    assert caught.value.param == "messages"


def test_the_longest_prompt_leaves_room_for_one_token() -> None:
    assert len(built(builder(begins=False), prompt=LONG)) == CONTEXT_TOKENS - 1
    assert len(built(builder(begins=False), prompt=[1] * (CONTEXT_TOKENS - 1))) == CONTEXT_TOKENS - 1


@given(st.text(max_size=90))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_a_prompt_or_refused(text: str) -> None:
    prompts = builder(begins=False)
    if 0 < len(text.encode("utf-8", "replace")) < CONTEXT_TOKENS:
        assert built(prompts, prompt=text) == list(text.encode("utf-8", "replace"))
        return
    with pytest.raises(InvalidRequest) as caught:
        built(prompts, prompt=text)
    assert caught.value.param == "prompt"


# Tools


def test_functions_are_shown_unless_none_may_be_called() -> None:
    prompts = builder("{% for message in messages %}{{ message['content'][:30] }}{% endfor %}")
    tools = [{"name": "look"}]
    plain = built(prompts, messages=chat("hi"))
    assert built(prompts, messages=chat("hi"), tools=tools, tool_choice="none") == plain
    assert built(prompts, messages=chat("hi"), tools=tools) != plain


# What a prompt reads like


def test_a_prompt_is_echoed_as_text() -> None:
    prompts = builder()
    assert prompts.text("<s>hé") == "<s>hé"
    assert prompts.text([*"hé".encode(), BOS]) == "hé"
    assert prompts.text([0x68, 0xC3]) == "h\N{REPLACEMENT CHARACTER}"


def test_the_real_vocabulary_begins_no_prompt_twice() -> None:
    model = Model(pulled("smollm2-135m-instruct")[1]["model"])
    start = "<|im_start|>"  # which is also what this model's file calls the beginning of all texts
    prompts = PromptBuilder(
        model, ChatTemplate(None, bos_token=start, eos_token=""), None, context_tokens=512
    )
    (begin,) = model.tokenize(start, add_special=False, parse_special=True)
    assert built(prompts, messages=chat("hi")).count(begin) == 2  # the user's turn and the assistant's
    assert begin not in built(prompts, prompt="hi")
    assert not prompts.infills
