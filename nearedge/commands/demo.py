"""``nearedge demo``."""

import io
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nearedge.console import err, fail, load_settings, out

if TYPE_CHECKING:
    from nearedge.voice_loop import Stage, Turn

app = typer.Typer(no_args_is_help=True, help="What an edge can do, shown from end to end.")

URL_VARIABLE = "POLARGRID_BASE_URL"
KEY_VARIABLE = "POLARGRID_API_KEY"
"""Those that the published client reads."""

MAX_RECORDING_MIB = 48
"""What an edge can be set to take at most."""


# One command alone would swallow its name.
@app.callback()
def _demo() -> None:
    pass


@app.command()
def voice(
    recording: Annotated[
        Path, typer.Argument(metavar="FILE", help="A spoken question: wav, mp3, m4a, ogg, flac…")
    ],
    to: Annotated[Path, typer.Option("--out", help="WAV file that the spoken answer is written to")] = Path(
        "answer.wav"
    ),
    url: Annotated[
        str | None,
        typer.Option(
            envvar=URL_VARIABLE, help="The edge; that of the grid that `nearedge up` runs if not given"
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar=KEY_VARIABLE, help="Its key; without --url one is made for this run", show_envvar=True
        ),
    ] = None,
    home: Annotated[Path | None, typer.Option(help="Directory of the running grid's state")] = None,
    speaker: Annotated[str, typer.Option("--voice", help="Who speaks the answer")] = "alloy",
    stt_model: Annotated[str, typer.Option(help="Model that transcribes")] = "whisper-1",
    chat_model: Annotated[
        str | None, typer.Option(help="Model that answers; the edge's first one if not given")
    ] = None,
    tts_model: Annotated[str, typer.Option(help="Model that speaks")] = "tts-1",
    max_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Longest answer, in tokens")] = 160,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object at the end")] = False,
) -> None:
    """Ask an edge a spoken question and have the answer spoken, each stage streamed into the next.

    The recording is transcribed, the question answered, and each sentence of the answer spoken while the next
    one is written. Shows when each stage began, gave its first piece and ended.
    """
    import anyio

    from nearedge.voice_client import VoiceClient, VoiceError
    from nearedge.voice_loop import Order, VoiceLoop
    from shared.http.json import encode

    order = Order(_read(recording), recording.name, stt_model, chat_model, tts_model, speaker, max_tokens)
    if not to.absolute().parent.is_dir():
        fail(f"--out: there is no directory {to.parent}", code=2)
    tell = _Teller(quiet=as_json)

    async def converse(where: str, opener: str) -> "Turn":
        async with VoiceClient(where, opener) as client:
            return await VoiceLoop(client, tell).run(order)

    try:
        with _edge(url, key, home) as (where, opener):
            turn = anyio.run(converse, where, opener)
        to.write_bytes(as_wav(bytes(turn.sound)))
    except VoiceError as error:
        tell.end()
        fail(str(error))
    except OSError as error:
        fail(f"--out: {to} cannot be written: {error.strerror}")
    tell.end()
    if as_json:
        typer.echo(encode(report(turn, to)))
    else:
        _print(turn, to)


def _read(recording: Path) -> bytes:
    try:
        if recording.stat().st_size > MAX_RECORDING_MIB * 1024 * 1024:
            fail(f"{recording} is larger than {MAX_RECORDING_MIB} MiB, more than an edge takes")
        return recording.read_bytes()
    except OSError as error:
        fail(f"{recording} cannot be read: {error.strerror}", code=2)


@contextmanager
def _edge(url: str | None, key: str | None, home: Path | None) -> Iterator[tuple[str, str]]:
    """Yield the URL of the edge to ask and a key for it; one that was made for this ends with it."""
    from nearedge import local_edge

    if url is not None:
        if key is None:
            fail(f"--key: the edge at {url} wants one; give it, or set {KEY_VARIABLE}", code=2)
        yield url, key
        return
    settings = load_settings(home=home)
    try:
        found = local_edge.url(settings.home)
        if key is not None:
            yield found, key
        else:
            with local_edge.key_for_a_while(settings.home) as made:
                yield found, made
    except local_edge.LocalEdgeError as error:
        fail(str(error))


def as_wav(pcm: bytes) -> bytes:
    """Return *pcm*, 24 kHz 16-bit little-endian mono, as a WAV file."""
    from nearedge.playback import RATE, SAMPLE_BYTES

    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(SAMPLE_BYTES)
        writer.setframerate(RATE)
        writer.writeframes(pcm)
    return file.getvalue()


class _Teller:
    """Writes both sides as they speak."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._speaking: str | None = None

    def __call__(self, who: str, text: str) -> None:
        if self._quiet:
            return
        if who != self._speaking:
            self.end()
            out.print(f"[bold]{who}:[/] ", end="")
            text = text.lstrip()
            self._speaking = who
        out.print(text, end="", markup=False, emoji=False)

    def end(self) -> None:
        if self._speaking is not None:
            out.print()
            self._speaking = None


STAGES = (("transcribe", "hearing"), ("chat", "thinking"), ("speak", "speaking"))


def report(turn: "Turn", to: Path) -> dict[str, Any]:
    """Return the turn as plain data; times in milliseconds since the recording was sent."""
    stages = {name: _times(getattr(turn, attribute)) for name, attribute in STAGES}
    return {
        "question": turn.question.strip(),
        "answer": turn.answer.strip(),
        "not_spoken": turn.unspoken,
        "file": str(to),
        "seconds": round(turn.playback.seconds, 2),
        "stages": stages,
        "first_sound_ms": stages["speak"]["first_ms"],
        "stalled_ms": round(turn.playback.stalled_seconds * 1000),
    }


def _times(stage: "Stage") -> dict[str, int | None]:
    first = None if stage.first is None else round(stage.first * 1000)
    return {"began_ms": round(stage.began * 1000), "first_ms": first, "ended_ms": round(stage.ended * 1000)}


def _print(turn: "Turn", to: Path) -> None:
    from rich import box
    from rich.table import Table

    from nearedge.console import show

    told = report(turn, to)
    table = Table(box=box.SIMPLE, title="Milliseconds since the recording was sent", title_justify="left")
    table.add_column("stage")
    for heading in ("began", "first piece", "ended"):
        table.add_column(heading, justify="right")
    for name, times in told["stages"].items():
        table.add_row(name, *(str(times[part]) for part in ("began_ms", "first_ms", "ended_ms")))
    show(table)
    out.print(
        f"First sound after {told['first_sound_ms']} ms; {told['seconds']} s of it in {to}", markup=False
    )
    for sentence in turn.unspoken:
        err.print(f"Left out, for it cannot be spoken: {sentence}", markup=False, emoji=False)
    if told["stalled_ms"]:
        err.print(f"Played as it came, it would have paused for {told['stalled_ms']} ms.")
