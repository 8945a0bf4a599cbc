import pytest

from edge.engines.base import InvalidRequest
from edge.engines.tts.voices import VoiceTable, kokoro_voice

IDS = ["af_bella", "am_adam", "bf_emma", "bm_george", "jf_alpha", "zm_yunxi", "ef_dora", "ff_siwis", "hm_psi"]


@pytest.fixture
def table() -> VoiceTable:
    return VoiceTable(map(kokoro_voice, IDS), {"alloy": "af_bella", "nova": "af_nova"})


def test_an_id_tells_language_accent_gender_and_name() -> None:
    emma = kokoro_voice("bf_emma")
    assert (emma.name, emma.language, emma.accent, emma.gender) == ("Emma", "en-GB", "British", "female")
    assert emma.british
    assert not kokoro_voice("am_adam").british


@pytest.mark.parametrize("name", ["", "bella", "af_", "xf_bella", "ax_bella", "a_bella", "afx_bella"])
def test_another_form_is_no_id(name: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        kokoro_voice(name)


def test_a_voice_answers_to_its_id_and_its_aliases(table: VoiceTable) -> None:
    assert table.find("af_bella") == table.find("alloy") == kokoro_voice("af_bella")


@pytest.mark.parametrize("name", ["af_sky", "nova", "", "AF_BELLA", "x" * 10_000, "af_bella\0"])
def test_an_unknown_voice_is_refused_with_some_that_there_are(table: VoiceTable, name: str) -> None:
    with pytest.raises(InvalidRequest, match="af_bella, am_adam") as caught:
        table.find(name)
    assert caught.value.param == "voice"
    assert "1 more" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_list_shows_every_voice_once_with_its_aliases(table: VoiceTable) -> None:
    assert [voice["id"] for voice in table.info] == IDS
    assert table.info[0] == {
        "id": "af_bella",
        "name": "Bella",
        "language": "en-US",
        "accent": "American",
        "gender": "female",
        "aliases": ["alloy"],
    }
