import pytest

from edge.accounts.sealing import NotSealedWith, seal, unseal


def test_only_the_same_secret_opens_it() -> None:
    sealed = seal("pg_a", b"data")
    assert b"data" not in sealed
    assert unseal("pg_a", sealed) == b"data"
    with pytest.raises(NotSealedWith):
        unseal("pg_b", sealed)


def test_no_two_are_alike_and_a_changed_one_does_not_open() -> None:
    sealed = seal("pg_a", b"data")
    assert sealed != seal("pg_a", b"data")
    for damaged in (b"", sealed[:5], sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(NotSealedWith):
            unseal("pg_a", damaged)
