import pytest

from autorouter.settings import AutorouterSettings
from shared.settings import SettingsError, load


def test_trusted_proxies_are_networks_or_addresses() -> None:
    settings = load(AutorouterSettings, {"NEAREDGE_AUTOROUTER_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1, ::1"})
    assert settings.autorouter_trusted_proxies == ("10.0.0.0/8", "192.0.2.1", "::1")


@pytest.mark.parametrize("value", ["proxy", "10.0.0.0/8,nonsense", "10.0.0.1/8"])
def test_what_is_no_network_stops_the_start_with_the_name_of_the_setting(value: str) -> None:
    with pytest.raises(SettingsError, match="NEAREDGE_AUTOROUTER_TRUSTED_PROXIES"):
        load(AutorouterSettings, {"NEAREDGE_AUTOROUTER_TRUSTED_PROXIES": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("POLL_SECONDS", "0"),
        ("POLL_SECONDS", "inf"),
        ("POLL_TIMEOUT_SECONDS", "0"),
        ("DOWN_AFTER", "0"),
        ("UP_AFTER", "0"),
        ("UP_AFTER", "1.5"),
    ],
)
def test_a_rhythm_that_cannot_be_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"NEAREDGE_AUTOROUTER_{name}: "):
        load(AutorouterSettings, {f"NEAREDGE_AUTOROUTER_{name}": value})
