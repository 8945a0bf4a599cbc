import pytest

from edge.accounts import Scope, parse_scopes
from edge.settings import EdgeSettings


def test_scopes_are_read_by_their_names() -> None:
    assert parse_scopes(["read", "inference", "read"]) == {Scope.READ, Scope.INFERENCE}
    assert parse_scopes(list(Scope)) == set(Scope)


@pytest.mark.parametrize("words", [[], ["admin"], ["Inference"], ["inference read"], ["read", ""]])
def test_other_words_are_refused_with_those_that_there_are(words: list[str]) -> None:
    with pytest.raises(ValueError, match="inference, read, keys, superadmin"):
        parse_scopes(words)


def test_the_settings_know_every_scope() -> None:
    settings = EdgeSettings.model_validate({"jwt_scopes": ",".join(Scope)})
    assert list(map(Scope, settings.jwt_scopes)) == list(Scope)
