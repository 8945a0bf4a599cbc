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
