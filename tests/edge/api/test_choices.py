"""Which choices are the likeliest."""

from edge.api.answer import Answer
from edge.api.choices import Choices
from edge.workers.messages import Generated, Text

PROMPT = Text("Once", logprobs=[[1, b"Once", None, []], [2, b" upon", -9.0, []]])


def made(logprob: float) -> Text:
    return Text(" a", tokens=1, logprobs=[[3, b" a", logprob, []]])


def choices(*events: list[Text]) -> Choices:
    """Return choices of one prompt; each ends with a token that has no text and no row."""
    all_of_them = Choices(len(events), len(events), Answer("id", "model", "yto-01"))
    for index, texts in enumerate(events):
        for text in texts:
            all_of_them.keep(index, text)
        all_of_them.keep(index, Generated("stop", 2, len(texts) + 1))
    return all_of_them


def test_an_answer_without_text_is_the_worst() -> None:
    best = choices([], [made(-5.0)]).likeliest(1)
    assert [choice.text for choice in best] == [" a"]


def test_the_rows_of_an_echoed_prompt_do_not_count() -> None:
    best = choices([PROMPT, made(-1.0)], [PROMPT, made(-0.5), made(-0.6)], [PROMPT]).likeliest(2)
    assert [choice.text for choice in best] == ["Once a a", "Once a"]
