"""What a call really used, from what its worker told."""

from collections.abc import Sequence

from edge.accounts.measures import Measures
from edge.workers.messages import Generated, Request, Speak, Spoken, Transcribe, Transcribed, Vectors
from edge.workers.tally import Tally


def measured(orders: Sequence[Request], tally: Tally, *, per_prompt: int = 1) -> Measures:
    """Return what *orders* used; every *per_prompt* in a row share their prompt, which counts once.

    Of a call that broke off, what was made counts.
    """
    prompt = cached = completion = audio_ms = characters = 0
    for number, (order, end, drawn) in enumerate(zip(orders, tally.ends, tally.drawn, strict=True)):
        if isinstance(end, Generated):
            completion += max(end.completion_tokens, drawn)
            if number % per_prompt == 0:
                prompt += end.prompt_tokens
                cached += end.cached_tokens
        elif isinstance(end, Vectors):
            prompt += end.prompt_tokens
        elif isinstance(end, Spoken):
            characters += end.characters
        elif isinstance(end, Transcribed):
            audio_ms += round(end.duration * 1000)
        elif isinstance(order, Transcribe):
            audio_ms += round(tally.heard_seconds * 1000)
        elif isinstance(order, Speak):
            characters += tally.spoken_characters
        else:
            completion += drawn
    return Measures(prompt, cached, completion, audio_ms, characters)
