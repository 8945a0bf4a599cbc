"""Recorded speech that carries its transcript, from Debian's packages.

``python -m benchmarks.speech.recordings`` fetches what is missing into the cache. Nothing is installed, and
no recording is ever part of the repository.
"""

import gzip
import io
import re
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from benchmarks.processes import BenchmarkError, shown
from nearedge.console import load_settings

RATE = 16_000
FETCH_SECONDS = 600.0
MIN_WORDS = 4
"""Shorter ones are numbers and letters, of which no model could know how they are written."""

PACKAGES = ("asterisk-core-sounds-en", "asterisk-core-sounds-en-g722", "pocketsphinx-testdata")
"""Of the first the transcripts, of the second Allison Smith's recordings for telephone exchanges (16 kHz,
G.722; CC BY-SA 3.0), of the third five passages of LibriVox's "Sense and Sensibility" (public domain)."""

_PROMPTS = Path("usr/share/asterisk/sounds/en_US_f_Allison")
_PROMPT_TEXTS = Path("usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
_BOOK = Path("usr/share/pocketsphinx/test/data/librivox")


@dataclass(frozen=True, slots=True)
class Clip:
    """A WAV file (16 kHz, 16 bits, mono) and what is said in it."""

    name: str
    audio: bytes
    text: str
    seconds: float


def directory(cache: Path) -> Path:
    return cache / "benchmarks" / "recordings"


def load(root: Path) -> list[Clip]:
    """Return every clip below *root*, by name.

    Raises:
        BenchmarkError: they were not fetched.
    """
    if not all((root / package).is_dir() for package in PACKAGES):
        raise BenchmarkError(
            "the recordings are not there; `python -m benchmarks.speech.recordings` fetches them"
        )
    texts, prompts, book = (root / package for package in PACKAGES)
    with gzip.open(texts / _PROMPT_TEXTS, "rt", encoding="utf-8", errors="replace") as file:
        said = dict(prompt_texts(file))
    clips = [
        clip(f"allison/{name}", (prompts / _PROMPTS / f"{name}.g722").read_bytes(), text, form="g722")
        for name, text in sorted(said.items())
        if (prompts / _PROMPTS / f"{name}.g722").exists()
    ]
    lines = (book / _BOOK / "transcription").read_text("utf-8").splitlines()
    clips += [
        clip(f"librivox/{name}", (book / _BOOK / f"{name}.wav").read_bytes(), text, form="wav")
        for name, text in book_texts(lines)
    ]
    return clips


def prompt_texts(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of every prompt that is speech and at least ``MIN_WORDS`` long."""
    for line in lines:
        name, colon, text = line.strip().partition(":")
        effect = "[" in text or line.startswith(";")
        if colon and not effect and len(text.split()) >= MIN_WORDS:
            yield name, text.strip()


def book_texts(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield name and text of every passage."""
    for line in lines:
        found = re.fullmatch(r"<s> (.*) </s> \((.*)\)", line.strip())
        if found:
            yield found[2], found[1]


def clip(name: str, data: bytes, text: str, *, form: str) -> Clip:
    """Return the sound file *data*, which FFmpeg's demuxer *form* reads, as a clip."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(io.BytesIO(data), "r", format=form) as file:
        frames = [piece for frame in file.decode(audio=0) for piece in resampler.resample(frame)]
    frames += resampler.resample(None)
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    return Clip(name, wav(samples.astype("<i2").tobytes()), text, len(samples) / RATE)


def wav(pcm: bytes, rate: int = RATE) -> bytes:
    """Return 16-bit mono *pcm* as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(pcm)
    return file.getvalue()


def joined(clips: Sequence[Clip], seconds: float) -> Clip:
    """Return the first of *clips*, one after the other, as one that lasts *seconds* or little more."""
    pcm, texts = bytearray(), []
    for one in clips:
        if len(pcm) >= seconds * RATE * 2:
            break
        with wave.open(io.BytesIO(one.audio)) as reader:
            pcm += reader.readframes(reader.getnframes())
        texts.append(one.text)
    return Clip(f"{seconds:g} s", wav(bytes(pcm)), " ".join(texts), len(pcm) / (RATE * 2))


def fetch(root: Path) -> None:
    """Fetch the packages that are missing below *root*.

    Raises:
        BenchmarkError: a command fails.
    """
    root.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if (root / package).is_dir():
            continue
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            _run(["apt-get", "download", package], Path(scratch))
            (found,) = Path(scratch).glob("*.deb")
            _run(["dpkg-deb", "-x", found.name, "content"], Path(scratch))
            (Path(scratch) / "content").replace(root / package)


def _run(command: Sequence[str], where: Path) -> None:
    try:
        done = subprocess.run(command, cwd=where, stdout=sys.stderr, timeout=FETCH_SECONDS, check=False)
    except FileNotFoundError:
        raise BenchmarkError(
            f"{command[0]} is not here; the recordings come from Debian's packages"
        ) from None
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"`{shown(command)}` took more than {FETCH_SECONDS:g} s") from None
    if done.returncode != 0:
        raise BenchmarkError(f"`{shown(command)}` failed; `apt-get update` may mend it")


def main() -> int:
    root = directory(load_settings().cache)
    try:
        fetch(root)
        clips = load(root)
    except BenchmarkError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    minutes = sum(one.seconds for one in clips) / 60
    sys.stdout.write(f"{len(clips)} clips, {minutes:.1f} minutes, in {root}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
