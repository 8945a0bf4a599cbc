from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, SecretStr

from nearedge.settings import Settings
from shared.settings import (
    ByteCount,
    CommonSettings,
    Port,
    SettingsError,
    StringList,
    describe,
    environment_for,
    load,
)
from tests.shared.conftest import Certificate


class Sample(CommonSettings):
    port: Port = Field(default=1, description="A port")
    names: StringList = Field(default=("x", "y"), description="Names")
    limit: ByteCount = Field(default=10, description="A limit")
    licence: SecretStr | None = Field(default=None, description="A secret")
    pin: SecretStr = Field(default=SecretStr("the-default-pin"), description="A secret", min_length=5)


def file_of(folder: Path, text: str) -> Path:
    file = folder / "settings.toml"
    file.write_text(text)
    return file


def refusal(environ: dict[str, str], file: Path | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        load(Sample, environ, file=file)
    return str(raised.value)


def test_override_outweighs_variable_outweighs_file_outweighs_default(tmp_path: Path) -> None:
    file = file_of(tmp_path, 'port = 2\nlimit = 20\nnames = ["file"]')
    environ = {"NEAREDGE_PORT": "3", "NEAREDGE_LIMIT": "30"}
    settings = load(Sample, environ, file=file, overrides={"port": 4, "limit": None})
    assert (settings.port, settings.limit, settings.names) == (4, 30, ("file",))
    assert settings.log_level == "info"


def test_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    file = file_of(tmp_path, "port = 2")
    assert load(Sample, {"NEAREDGE_CONFIG": str(file)}).port == 2
    assert load(Sample, {"NEAREDGE_CONFIG": ""}).port == 1
    other = tmp_path / "other.toml"
    other.write_text("port = 5")
    assert load(Sample, {"NEAREDGE_CONFIG": str(file)}, file=other).port == 5


def test_other_variables_are_left_alone() -> None:
    assert load(Sample, {"PATH": "/bin", "nearedge_port": "9", "NEAREDGEPORT": "9"}).port == 1


@pytest.mark.parametrize(
    "name", ["NEAREDGE_FOO", "NEAREDGE_", "NEAREDGE_PORTS", "NEAREDGE_PORT_", "NEAREDGE_port"]
)
def test_unknown_variable_is_refused_by_name_and_without_its_value(name: str) -> None:
    message = refusal({name: "hunter2"})
    assert name in message
    assert "hunter2" not in message


def test_every_unknown_variable_is_named() -> None:
    assert "NEAREDGE_A, NEAREDGE_B in the environment" in refusal({"NEAREDGE_B": "1", "NEAREDGE_A": "1"})


@pytest.mark.parametrize("text", ["foo = 1", "[foo]\nport = 1", "NEAREDGE_PORT = 1", "config = 'x'"])
def test_unknown_key_of_the_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = file_of(tmp_path, text)
    message = refusal({}, file)
    assert str(file) in message
    assert text.strip("[").split()[0].rstrip("]") in message


@pytest.mark.parametrize("text", ["port", "port = ", "\x00"])
def test_file_that_is_no_toml_is_refused(tmp_path: Path, text: str) -> None:
    assert "is not TOML" in refusal({}, file_of(tmp_path, text))


def test_file_of_bytes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b"\xff\xfe")
    assert "is not TOML" in refusal({}, file)


def test_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in refusal({"NEAREDGE_CONFIG": str(tmp_path / "absent.toml")})
    assert "cannot be read: Is a directory" in refusal({}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "70000"),
        ("PORT", "-1"),
        ("PORT", "eighty"),
        ("PORT", ""),
        ("LIMIT", "0"),
        ("LIMIT", "1.5"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", ""),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "inf"),
        ("DRAIN_SECONDS", "nan"),
        ("BODY_READ_SECONDS", "0"),
    ],
)
def test_invalid_value_is_refused_by_name_and_shown(name: str, value: str) -> None:
    message = refusal({f"NEAREDGE_{name}": value})
    assert message.startswith(f"NEAREDGE_{name}: ")
    assert f"(got {value!r})" in message


def test_every_invalid_value_is_named() -> None:
    message = refusal({"NEAREDGE_PORT": "x", "NEAREDGE_LIMIT": "0"})
    assert "NEAREDGE_PORT" in message
    assert "NEAREDGE_LIMIT" in message


def test_secret_is_in_no_message_and_no_repr() -> None:
    settings = load(Sample, {"NEAREDGE_LICENCE": "hunter2", "NEAREDGE_PIN": "hunter3"})
    assert settings.licence is not None
    assert settings.licence.get_secret_value() == "hunter2"
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter" not in shown
    message = refusal({"NEAREDGE_PIN": "abc9", "NEAREDGE_PORT": "x"})
    assert "NEAREDGE_PIN: " in message
    assert "abc9" not in message


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters=","), min_size=1).map(str.strip)))
def test_list_in_a_variable_is_split_at_commas(names: list[str]) -> None:
    expected = tuple(name for name in names if name)
    assert load(Sample, {"NEAREDGE_NAMES": " , ".join(names)}).names == expected


@pytest.mark.parametrize("text", ['names = ["a", "b"]', 'names = "a, b,"'])
def test_list_in_the_file(tmp_path: Path, text: str) -> None:
    assert load(Sample, {}, file=file_of(tmp_path, text)).names == ("a", "b")


def test_tls_is_whole_or_absent(certificate: Certificate) -> None:
    for half in ("CERT", "KEY"):
        message = refusal({f"NEAREDGE_TLS_{half}": str(certificate.cert)})
        assert "NEAREDGE_TLS_CERT" in message
        assert "NEAREDGE_TLS_KEY" in message
    whole = load(
        Sample, {"NEAREDGE_TLS_CERT": str(certificate.cert), "NEAREDGE_TLS_KEY": str(certificate.key)}
    )
    assert whole.tls_key == certificate.key


def test_tls_files_that_cannot_serve_are_named_at_the_start(tmp_path: Path, certificate: Certificate) -> None:
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN NOTHING-----")
    good, absent = str(certificate.cert), str(tmp_path / "absent.pem")
    for cert, key, named in (
        (absent, good, f"NEAREDGE_TLS_CERT: {absent} cannot be read"),
        (good, absent, f"NEAREDGE_TLS_KEY: {absent} cannot be read"),
        (good, str(tmp_path), f"NEAREDGE_TLS_KEY: {tmp_path} cannot be read"),
        (good, str(garbage), str(garbage)),
        (str(garbage), str(certificate.key), str(garbage)),
        (good, good, "no pair"),
    ):
        assert named in refusal({"NEAREDGE_TLS_CERT": cert, "NEAREDGE_TLS_KEY": key})


def test_every_setting_is_described() -> None:
    known = list(describe(Settings))
    assert [setting.name for setting in known] == list(Settings.model_fields)
    for setting in known:
        assert setting.variable == f"NEAREDGE_{setting.name.upper()}"
        assert len(setting.description) > 10
        assert "Undefined" not in setting.default


def test_description_shows_defaults_as_they_are_written_but_no_secret() -> None:
    shown = {setting.name: setting.default for setting in describe(Sample)}
    assert (shown["port"], shown["names"], shown["tls_cert"]) == ("1", "x,y", "(unset)")
    assert "the-default-pin" not in shown["pin"]


def test_shown_default_is_a_value_that_means_the_default() -> None:
    for setting in describe(Settings):
        if setting.default != "(unset)":
            loaded = load(Settings, {setting.variable: setting.default})
            assert getattr(loaded, setting.name) == Settings.model_fields[setting.name].default


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(Sample, {}).port = 5


def test_environment_passes_settings_on_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NEAREDGE_PORT", "7")
    monkeypatch.setenv("NEAREDGE_LIMIT", "70")
    passed = environment_for(
        {"port": 8, "names": ("a", "b"), "home": tmp_path, "licence": SecretStr("hunter2"), "limit": None}
    )
    settings = load(Sample, {name: value for name, value in passed.items() if name.startswith("NEAREDGE_")})
    assert (settings.port, settings.names, settings.home, settings.limit) == (8, ("a", "b"), tmp_path, 70)
    assert settings.licence is not None
    assert settings.licence.get_secret_value() == "hunter2"
    assert passed["PATH"]
