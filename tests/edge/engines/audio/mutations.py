"""``python -m tests.edge.engines.audio.mutations SEED COUNT``: decodes damaged files.

It prints how many were decoded and how many refused; anything else that happens to it is a bug.
"""

import random
import sys

from edge.engines.audio.decoder import decode
from edge.engines.base import InvalidRequest
from tests.edge.engines.audio.files import encoded, muxed, wav
from tests.edge.engines.audio.signals import chirp


def originals() -> list[bytes]:
    sound = chirp(0.6)
    return [
        *(encoded(name, sound) for name in ("wav", "mp3", "opus", "aac", "flac")),
        wav(sound[::2], rate=12_000, channels=6),
        muxed("mp4", "aac", sound),
        muxed("matroska", "libopus", sound, video="mpeg4"),
        muxed("mov", "alac", sound),
        muxed("avi", "libmp3lame", sound, video="mjpeg"),
        muxed("mpegts", "mp2", sound),
        muxed("aiff", "pcm_s16be", sound),
        muxed("ogg", "flac", sound),
        muxed("caf", "pcm_s16le", sound),
    ]


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage *data*, most often its headers: change, cut, repeat or insert bytes, or claim large sizes."""
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 3, 30])):
        place = rng.randrange(min(len(damaged), rng.choice([64, 512, len(damaged)]))) if damaged else 0
        match rng.randrange(6):
            case 0 | 1:
                damaged[place : place + 1] = bytes([rng.randrange(256)])
            case 2:
                damaged[place : place + 4] = rng.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4])
            case 3:
                del damaged[place : place + rng.randrange(200)]
            case 4:
                damaged[place:place] = damaged[place : place + rng.randrange(400)]
            case _:
                damaged[place:place] = rng.randbytes(rng.randrange(100))
    return bytes(damaged)


def main(seed: int, count: int) -> None:
    rng = random.Random(seed)
    files = originals()
    decoded = refused = 0
    for index in range(count):
        try:
            decode(mutate(files[index % len(files)], rng), max_seconds=30, check=lambda: None)
            decoded += 1
        except InvalidRequest:
            refused += 1
    print(decoded, refused)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
