import pytest
from pydantic import SecretStr

from shared.settings import CommonSettings, SettingsError, describe, environment_for, load


class WithSecret(CommonSettings):
    optional_key: SecretStr | None = None
    default_key: SecretStr = SecretStr("hunter2")


def test_a_listing_shows_stars() -> None:
    shown = {info.name: info.default for info in describe(WithSecret)}
    assert shown["optional_key"] == "(unset)"
    assert shown["default_key"] == "**********"


@pytest.mark.parametrize("name", ["optional_key", "default_key"])
def test_an_invalid_secret_is_not_told(name: str) -> None:
    with pytest.raises(SettingsError, match=f"NEAREDGE_{name.upper()}: ") as caught:
        load(WithSecret, {}, overrides={name: ["hunter2"]})
    assert "hunter2" not in str(caught.value)


def test_another_service_is_given_the_secret_itself() -> None:
    settings = load(WithSecret, {"NEAREDGE_OPTIONAL_KEY": "hunter2"})
    assert "hunter2" not in repr(settings)
    environ = environment_for({"optional_key": settings.optional_key})
    assert load(WithSecret, {"NEAREDGE_OPTIONAL_KEY": environ["NEAREDGE_OPTIONAL_KEY"]}) == settings


@pytest.mark.parametrize("secret", ["", "two words", "line\n", "schlüssel", "\x7f"])
def test_an_internal_secret_that_no_header_can_carry_is_refused_untold(secret: str) -> None:
    with pytest.raises(SettingsError, match="NEAREDGE_INTERNAL_SECRET: must be printable") as caught:
        load(CommonSettings, {"NEAREDGE_INTERNAL_SECRET": secret})
    assert "got" not in str(caught.value)
