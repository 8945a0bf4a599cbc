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


def cdn(**more: str) -> AutorouterSettings:
    given = {"autorouter_cdn": "cloudfront,cloudflare", "autorouter_cdn_secret": "s3cret"} | more
    return load(AutorouterSettings, {f"NEAREDGE_{name.upper()}": value for name, value in given.items()})


def test_networks_that_tell_where_callers_are_take_a_secret_or_networks_as_proof() -> None:
    settings = cdn()
    assert settings.autorouter_cdn == ("cloudfront", "cloudflare")
    assert settings.autorouter_cdn_secret is not None
    assert settings.autorouter_cdn_secret.get_secret_value() == "s3cret"
    assert "s3cret" not in repr(settings)
    named = {"NEAREDGE_AUTOROUTER_CDN": "bunny,bunny", "NEAREDGE_AUTOROUTER_CDN_NETWORKS": "192.0.2.0/24"}
    assert load(AutorouterSettings, named).autorouter_cdn == ("bunny",)


def test_without_a_proof_the_start_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^NEAREDGE_AUTOROUTER_CDN: .*NEAREDGE_AUTOROUTER_CDN_SECRET"):
        load(AutorouterSettings, {"NEAREDGE_AUTOROUTER_CDN": "cloudfront"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("autorouter_cdn", "cloudfront,akamai"),
        ("autorouter_cdn", "CloudFront"),
        ("autorouter_cdn", "cloudflare,cloudflare-locations"),
        ("autorouter_cdn_secret", ""),
        ("autorouter_cdn_secret", " s3cret"),
        ("autorouter_cdn_secret", "s3cr et"),
        ("autorouter_cdn_secret", "s3cr\u00e9t"),
        ("autorouter_cdn_secret", "s3cr\net"),
        ("autorouter_cdn_secret_header", ""),
        ("autorouter_cdn_secret_header", "X-Origin-Verify:"),
        ("autorouter_cdn_networks", "cloudfront.net"),
        ("autorouter_cdn_precision", "city"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name_and_no_secret_shown(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"NEAREDGE_{name.upper()}: ") as caught:
        cdn(**{name: value})
    assert "s3cr" not in str(caught.value)
