"""Who can speak, alone and blended."""

import httpx
import pytest

from tests.e2e.audio import SENTENCE, from_pcm, word_error_rate
from tests.e2e.errors import assert_error
from tests.e2e.test_round_trip import transcribe

NAMED = {
    "af_bella": ("Bella", "American", "female"),
    "af_sarah": ("Sarah", "American", "female"),
    "am_adam": ("Adam", "American", "male"),
    "am_michael": ("Michael", "American", "male"),
    "bf_emma": ("Emma", "British", "female"),
    "bf_isabella": ("Isabella", "British", "female"),
    "bm_george": ("George", "British", "male"),
    "bm_lewis": ("Lewis", "British", "male"),
}


def speak(http: httpx.Client, voice: str, **fields: object) -> httpx.Response:
    body = {"model": "tts-1", "voice": voice, "input": SENTENCE} | fields
    return http.post("/v1/audio/speech", json=body)


def test_every_voice_is_listed_with_what_it_sounds_like(http: httpx.Client) -> None:
    answer = http.get("/v1/audio/voices").json()
    voices = {voice["id"]: voice for voice in answer["data"]}
    assert answer["object"] == "list"
    assert len(voices) == len(answer["data"]) == 54
    for voice, facts in NAMED.items():
        assert (voices[voice]["name"], voices[voice]["accent"], voices[voice]["gender"]) == facts
    assert all(voice["model"] == "kokoro-82m" for voice in answer["data"])
    assert {"alloy", "echo", "fable", "onyx", "nova", "shimmer"} <= {
        alias for voice in answer["data"] for alias in voice["aliases"]
    }
    assert http.get("/v1/audio/voices", params={"model": "hexgrad/Kokoro-82M"}).json() == answer
    assert_error(http.get("/v1/audio/voices", params={"model": "whisper-1"}), 400, "kokoro-82m can")


def test_a_blend_is_understood(http: httpx.Client) -> None:
    spoken = speak(http, "af_bella(2)+am_adam(1)", response_format="wav")
    assert spoken.status_code == 200, spoken.text
    assert word_error_rate(SENTENCE, transcribe(http, spoken.content)) <= 0.1
    assert spoken.headers["x-pg-characters"] == str(len(SENTENCE))


def test_an_alias_is_its_voice(http: httpx.Client) -> None:
    assert speak(http, "alloy").content == speak(http, "af_alloy").content


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("voice", "says"),
    [
        ("af_bella+nobody", "no voice 'nobody'.*GET /v1/audio/voices"),
        ("af_bella(2", r"af_bella\(2\)\+am_adam\(1\)"),
        ("+".join(["af_bella"] * 9), "at most 8"),
        ("af_bella(0)", "above 0"),
    ],
)
def test_a_blend_that_cannot_be(http: httpx.Client, voice: str, says: str, stream: bool) -> None:
    assert assert_error(speak(http, voice, stream=stream), 502, says)["param"] == "voice"


def test_a_stream_is_the_same_sound_as_the_whole(http: httpx.Client) -> None:
    text = f"{SENTENCE} {SENTENCE}"
    whole = speak(http, "bf_emma", input=text)
    stream = speak(http, "bf_emma", input=text, stream=True)
    assert stream.content == whole.content
    assert float(whole.headers["x-pg-audio-seconds"]) == pytest.approx(
        from_pcm(whole.content).seconds, abs=1e-3
    )
    assert int(stream.headers["x-pg-first-byte-ms"]) > 0
