"""polargrid-sdk speaks and listens."""

import io
from pathlib import Path
from typing import Any

import pytest
from polargrid import NotFoundError, PolarGrid, PolarGridSync, ServerError, ValidationError
from polargrid.types import (
    TranscriptionJobInfo,
    TranscriptionJobStatus,
    TranscriptionStreamDelta,
    TranscriptionStreamDone,
    TTSVoice,
)

from tests.e2e.audio import SENTENCE, Sound, decode, from_pcm, word_error_rate
from tests.e2e.grids import Grid

SHORT = "Good morning to you."
SPEAK = {"model": "kokoro-82m", "input": SHORT, "voice": "af_bella"}
MODELS = ["whisper-large-v3-turbo", "openai/whisper-large-v3-turbo", "stt-1b-en_fr", "whisper-1"]
MODELS += ["kyutai/stt-1b-en_fr", "cohere-transcribe-03-2026", "cohere-transcribe"]


@pytest.fixture
def client(grid: Grid, edge_url: str) -> PolarGrid:
    return PolarGrid(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)


@pytest.fixture
def sync_client(grid: Grid, edge_url: str) -> PolarGridSync:
    return PolarGridSync(api_key=grid.inference_key, base_url=edge_url, timeout=120, max_retries=0)


def assert_spoken(sound: Sound) -> None:
    assert 0.8 < sound.seconds < 4
    assert sound.loudness > 0.01


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("wanted", "codec"),
    [("mp3", "mp3"), ("wav", "pcm_s16le"), ("opus", "opus"), ("aac", "aac"), ("flac", "flac")],
)
async def test_text_to_speech(client: PolarGrid, wanted: str, codec: str) -> None:
    sound = decode(await client.text_to_speech({**SPEAK, "response_format": wanted}))

    assert sound.codec.startswith(codec)
    assert sound.rate == (48_000 if wanted == "opus" else 24_000)
    assert_spoken(sound)


@pytest.mark.anyio
async def test_text_to_speech_as_pcm(client: PolarGrid) -> None:
    assert_spoken(from_pcm(await client.text_to_speech({**SPEAK, "response_format": "pcm"})))


@pytest.mark.anyio
async def test_mp3_is_what_the_client_asks_for_by_itself(client: PolarGrid) -> None:
    assert decode(await client.text_to_speech(SPEAK)).container == "mp3"


@pytest.mark.anyio
async def test_speed(client: PolarGrid) -> None:
    slow, fast = [
        from_pcm(await client.text_to_speech({**SPEAK, "response_format": "pcm", "speed": speed}))
        for speed in (0.7, 1.4)
    ]

    assert 0.35 < fast.seconds / slow.seconds < 0.75


@pytest.mark.anyio
@pytest.mark.parametrize("voice", list(TTSVoice))
async def test_every_voice_that_the_client_knows(client: PolarGrid, voice: TTSVoice) -> None:
    spoken = await client.text_to_speech({**SPEAK, "voice": voice, "response_format": "pcm"})

    assert_spoken(from_pcm(spoken))


@pytest.mark.anyio
@pytest.mark.parametrize(
    "model", ["tts-1", "tts-1-hd", "hexgrad/Kokoro-82M", "tada-3b-ml", "HumeAI/tada-3b-ml"]
)
async def test_every_model_that_the_client_knows(client: PolarGrid, model: str) -> None:
    assert await client.text_to_speech({**SPEAK, "model": model, "input": "Yes."})


@pytest.mark.anyio
async def test_streamed_speech(client: PolarGrid) -> None:
    text = {**SPEAK, "input": f"{SHORT} How are you today?"}
    whole = from_pcm(await client.text_to_speech({**text, "response_format": "pcm"}))
    pcm = [chunk async for chunk in client.text_to_speech_stream({**text, "response_format": "pcm"})]
    opus = [chunk async for chunk in client.text_to_speech_stream(text)]

    assert len(pcm) > 1
    assert from_pcm(b"".join(pcm)).seconds == pytest.approx(whole.seconds, abs=0.5)
    sound = decode(b"".join(opus))
    assert (sound.container, sound.codec) == ("ogg", "opus")
    assert sound.seconds == pytest.approx(whole.seconds, abs=0.5)


@pytest.mark.anyio
async def test_an_unknown_voice(client: PolarGrid) -> None:
    with pytest.raises(ServerError, match="nobody") as failed:
        await client.text_to_speech({**SPEAK, "voice": "nobody"})
    assert failed.value.status_code == 502
    with pytest.raises(ServerError, match="nobody"):
        _ = [chunk async for chunk in client.text_to_speech_stream({**SPEAK, "voice": "nobody"})]


@pytest.mark.anyio
@pytest.mark.parametrize("request_fields", [{}, {"stream": False}, {"language": "en", "temperature": 0.0}])
async def test_transcribe(client: PolarGrid, recording: bytes, request_fields: dict[str, Any]) -> None:
    answer = await client.transcribe(recording, {"model": "whisper-1", **request_fields})

    assert word_error_rate(SENTENCE, answer.text) <= 0.1


@pytest.mark.anyio
@pytest.mark.parametrize("model", MODELS)
async def test_every_transcription_model_that_the_client_knows(
    client: PolarGrid, recording: bytes, model: str
) -> None:
    answer = await client.transcribe(recording, {"model": model})

    assert word_error_rate(SENTENCE, answer.text) <= 0.1


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [True, False])
async def test_transcribe_as_text(client: PolarGrid, recording: bytes, stream: bool) -> None:
    text = await client.transcribe(
        recording, {"model": "whisper-1", "response_format": "text", "stream": stream}
    )

    assert isinstance(text, str)
    assert word_error_rate(SENTENCE, text) <= 0.1


@pytest.mark.anyio
@pytest.mark.parametrize(("wanted", "opening"), [("srt", "1\n00:00:0"), ("vtt", "WEBVTT\n\n00:00:0")])
async def test_transcribe_as_subtitles(
    client: PolarGrid, recording: bytes, wanted: str, opening: str
) -> None:
    text = await client.transcribe(recording, {"model": "whisper-1", "response_format": wanted})

    assert text.startswith(opening)
    assert " --> 00:00:" in text
    assert "quick brown fox" in text


@pytest.mark.anyio
async def test_transcribe_with_all_details(client: PolarGrid, recording: bytes) -> None:
    answer = await client.transcribe(recording, {"model": "whisper-1", "response_format": "verbose_json"})

    assert (answer.task, answer.language) == ("transcribe", "en")
    assert answer.duration == pytest.approx(decode(recording).seconds, abs=0.2)
    assert "".join(segment.text for segment in answer.segments).strip() == answer.text
    assert [segment.id for segment in answer.segments] == sorted(segment.id for segment in answer.segments)
    for segment in answer.segments:
        assert 0 <= segment.start < segment.end <= answer.duration + 0.5
        assert segment.tokens
        assert segment.avg_logprob < 0
        assert 0 <= segment.no_speech_prob <= 1


@pytest.mark.anyio
async def test_streamed_transcript(client: PolarGrid, recording: bytes) -> None:
    stream = client.transcribe_stream(recording, {"model": "whisper-1"})
    *deltas, done = [event async for event in stream]

    assert deltas
    assert all(isinstance(event, TranscriptionStreamDelta) for event in deltas)
    assert isinstance(done, TranscriptionStreamDone)
    assert "".join(event.delta for event in deltas) == done.text
    assert done.language == "en"
    assert done.duration == pytest.approx(decode(recording).seconds, abs=0.2)


@pytest.mark.anyio
async def test_files_and_paths(client: PolarGrid, recording: bytes, tmp_path: Path) -> None:
    path = tmp_path / "recording.wav"
    path.write_bytes(recording)
    from_path = await client.transcribe(path, {"model": "whisper-1"})
    from_file = await client.transcribe(io.BytesIO(recording), {"model": "whisper-1"})

    assert from_path.text == from_file.text
    assert word_error_rate(SENTENCE, from_path.text) <= 0.1


@pytest.mark.anyio
async def test_errors(client: PolarGrid, recording: bytes) -> None:
    with pytest.raises(NotFoundError, match=r"'whisper-9'.*/v1/models"):
        await client.transcribe(recording, {"model": "whisper-9"})
    with pytest.raises(ValidationError):
        await client.transcribe(b"this is no sound", {"model": "whisper-1"})
    with pytest.raises(ValidationError):
        await client.transcribe(b"this is no sound", {"model": "whisper-1", "stream": False})
    with pytest.raises(ValidationError, match="understands en only"):
        await client.transcribe_async(recording, language="fr")
    with pytest.raises(ValidationError, match="cannot translate"):
        await client.translate(recording, {"model": "whisper-1"})
    with pytest.raises(NotFoundError, match="no job"):
        await client.get_transcription_job("job_transcription_0")


@pytest.mark.anyio
@pytest.mark.parametrize("wanted", ["json", "text", "verbose_json"])
async def test_transcribe_and_wait(client: PolarGrid, recording: bytes, wanted: str) -> None:
    seen: list[TranscriptionJobInfo] = []
    done = await client.transcribe_and_wait(
        recording, response_format=wanted, poll_interval=0.05, on_progress=seen.append
    )

    assert word_error_rate(SENTENCE, done.text) <= 0.1
    assert (done.status, done.language) == ("completed", "en")
    assert done.duration == pytest.approx(decode(recording).seconds, abs=0.2)
    progress = [info.progress or 0.0 for info in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert done.job_id is not None
    assert (await client.get_transcription_result(done.job_id)) == done


@pytest.mark.anyio
async def test_a_job_step_by_step(client: PolarGrid, recording: bytes) -> None:
    accepted = await client.transcribe_async(recording)
    info = await client.get_transcription_job(accepted.job_id)

    assert accepted.status == "accepted"
    assert accepted.metadata.audio_format == "wav"
    assert accepted.metadata.estimated_duration_seconds == pytest.approx(decode(recording).seconds, abs=0.2)
    assert accepted.metadata.model == "whisper-tiny.en"
    assert info.status in (
        *(TranscriptionJobStatus.ACCEPTED, TranscriptionJobStatus.PROCESSING),
        TranscriptionJobStatus.COMPLETED,
    )


@pytest.mark.anyio
async def test_a_job_whose_recording_is_none_fails(client: PolarGrid) -> None:
    with pytest.raises(RuntimeError, match=r"no audio that can be decoded.*invalid_value"):
        await client.transcribe_and_wait(b"this is no sound", poll_interval=0.05)


def test_the_synchronous_client(sync_client: PolarGridSync, recording: bytes) -> None:
    spoken = sync_client.text_to_speech({**SPEAK, "response_format": "wav"})
    streamed = b"".join(sync_client.text_to_speech_stream({**SPEAK, "response_format": "pcm"}))
    heard = sync_client.transcribe(recording, {"model": "whisper-1"})
    exact = sync_client.transcribe(recording, {"model": "whisper-1", "stream": False})

    assert_spoken(decode(spoken))
    assert_spoken(from_pcm(streamed))
    assert heard == exact
    assert word_error_rate(SENTENCE, heard.text) <= 0.1
