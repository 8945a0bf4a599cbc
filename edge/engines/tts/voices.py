"""Who can speak, and under which names."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edge.engines.base import InvalidRequest
from edge.engines.tts.blends import is_blend, parse_blend

_ACCENTS = {
    "a": ("en-US", "American"),
    "b": ("en-GB", "British"),
    "e": ("es", "Spanish"),
    "f": ("fr", "French"),
    "h": ("hi", "Hindi"),
    "i": ("it", "Italian"),
    "j": ("ja", "Japanese"),
    "p": ("pt-BR", "Brazilian Portuguese"),
    "z": ("zh", "Mandarin"),
}
_GENDERS = {"f": "female", "m": "male"}


@dataclass(frozen=True, slots=True)
class Voice:
    """A speaker. ``language`` is the speaker's own (BCP 47); every voice reads English, with its accent."""

    id: str
    name: str
    language: str
    accent: str
    gender: str


@dataclass(frozen=True, slots=True)
class Blend:
    """Who speaks: voices and their shares, which add up to 1. Mostly it is one voice alone."""

    parts: tuple[tuple[Voice, float], ...]

    @property
    def british(self) -> bool:
        """Whether British pronunciation fits: more than half of the blend is."""
        return sum(share for voice, share in self.parts if voice.language == "en-GB") > 0.5


def kokoro_voice(voice_id: str) -> Voice:
    """Read the facts about a Kokoro voice from its id: language, gender, ``_``, name.

    Raises:
        ValueError: the id is not of that form.
    """
    kind, _, name = voice_id.partition("_")
    if len(kind) != 2 or kind[0] not in _ACCENTS or kind[1] not in _GENDERS or not name:
        raise ValueError(f"{voice_id!r} is not the id of a Kokoro voice")
    language, accent = _ACCENTS[kind[0]]
    return Voice(voice_id, name.capitalize(), language, accent, _GENDERS[kind[1]])


class VoiceTable:
    """The voices of one model. *aliases* maps further names to ids; those of absent voices are dropped."""

    def __init__(self, voices: Iterable[Voice], aliases: Mapping[str, str]) -> None:
        self._voices = {voice.id: voice for voice in voices}
        self._aliases = {alias: id_ for alias, id_ in aliases.items() if id_ in self._voices}

    def find(self, name: str) -> Blend:
        """Return the voice called *name*, or the blend that it asks for.

        Raises:
            InvalidRequest: there is none, and the message names some that there are; or it asks for a blend
                that cannot be.
        """
        shares = parse_blend(name) if is_blend(name) else [(name, 1.0)]
        return Blend(tuple((self._find(part), share) for part, share in shares))

    def _find(self, name: str) -> Voice:
        voice = self._voices.get(self._aliases.get(name, name))
        if voice is None:
            known = [*self._voices][:8]
            more = f" and {len(self._voices) - len(known)} more" if len(self._voices) > len(known) else ""
            raise InvalidRequest(
                f"This model has no voice {name[:60]!r}; it has {', '.join(known)}{more}", param="voice"
            )
        return voice

    @property
    def info(self) -> list[dict[str, Any]]:
        """Every voice with its facts and its aliases, as plain data."""
        names: dict[str, list[str]] = {id_: [] for id_ in self._voices}
        for alias, id_ in self._aliases.items():
            names[id_].append(alias)
        return [{**asdict(voice), "aliases": names[voice.id]} for voice in self._voices.values()]
