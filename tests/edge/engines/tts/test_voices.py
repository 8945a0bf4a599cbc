import pytest

from edge.engines.base import InvalidRequest
from edge.engines.tts.voices import Blend, VoiceTable, kokoro_voice

IDS = ["af_bella", "am_adam", "bf_emma", "bm_george", "jf_alpha", "zm_yunxi", "ef_dora", "ff_siwis", "hm_psi"]


@pytest.fixture
def table() -> VoiceTable:
    return VoiceTable(map(kokoro_voice, IDS), {"alloy": "af_bella", "nova": "af_nova"})


def test_an_id_tells_language_accent_gender_and_name() -> None:
    emma = kokoro_voice("bf_emma")
    assert (emma.name, emma.language, emma.accent, emma.gender) == ("Emma", "en-GB", "British", "female")


@pytest.mark.parametrize("name", ["", "bella", "af_", "xf_bella", "ax_bella", "a_bella", "afx_bella"])
def test_another_form_is_no_id(name: str) -> None:
    with pytest.raises(ValueError, match="not the id"):
        kokoro_voice(name)


def test_a_voice_answers_to_its_id_and_its_aliases(table: VoiceTable) -> None:
    assert table.find("af_bella") == table.find("alloy") == Blend(((kokoro_voice("af_bella"), 1.0),))


def test_a_blend_has_its_parts_by_any_of_their_names(table: VoiceTable) -> None:
    assert table.find("alloy(3)+am_adam") == Blend(
        ((kokoro_voice("af_bella"), 0.75), (kokoro_voice("am_adam"), 0.25))
    )


@pytest.mark.parametrize("name", ["af_bella+nova", "nova(2)", "af_bella(2)+jf_alphaa(1)"])
def test_a_blend_of_an_unknown_voice_is_refused_with_some_that_there_are(
    table: VoiceTable, name: str
) -> None:
    with pytest.raises(InvalidRequest, match="it has af_bella") as caught:
        table.find(name)
    assert caught.value.param == "voice"


@pytest.mark.parametrize(
    ("name", "british"),
    [
        ("bf_emma", True),
        ("am_adam", False),
        ("bf_emma(2)+am_adam(1)", True),
        ("bf_emma+am_adam", False),
        ("bf_emma+bm_george+af_bella", True),
        ("jf_alpha", False),
    ],
)
def test_the_larger_part_of_a_voice_says_how_it_pronounces(
    table: VoiceTable, name: str, british: bool
) -> None:
    assert table.find(name).british is british


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
