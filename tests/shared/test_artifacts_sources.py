from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.artifacts import SourceError, parse_source
from shared.artifacts.sources import HubFile, LocalFile, Package, PackageMember, Url, may_fetch


def test_every_form_is_read() -> None:
    assert parse_source("pypi:a-b==1.0#x/y.bin") == PackageMember(Package("a-b", "1.0", True), "x/y.bin")
    assert parse_source("pypi-sdist:a==1.0.post1#m") == PackageMember(Package("a", "1.0.post1", False), "m")
    assert parse_source("hf:owner/repo@main#a/b.onnx") == HubFile("owner/repo", "main", "a/b.onnx")
    assert parse_source("https://example.org/a?b=c") == Url("https://example.org/a?b=c")
    assert parse_source("file:/tmp/a%20b") == LocalFile(Path("/tmp/a b"))
    assert parse_source("file:///tmp/a") == LocalFile(Path("/tmp/a"))


@pytest.mark.parametrize("member", ["../x", "a/../../x", "/etc/passwd", "a\\b", "a//b", "./a", "a/.", "a\0b"])
@pytest.mark.parametrize("head", ["pypi:a==1#", "pypi-sdist:a==1#", "hf:o/r@main#"])
def test_a_member_that_leads_out_of_its_archive_is_refused(head: str, member: str) -> None:
    with pytest.raises(SourceError, match="leads out of its archive"):
        parse_source(head + member)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.gguf",
        "ftp://example.org/a",
        "http://example.org/a",
        "https:///a",
        "file:relative",
        "pypi:a#x",
        "pypi:a==1",
        "pypi:--index-url=x==1#x",
        "pypi:a==-r1#x",
        "hf:repo@main#x",
        "hf:o/r#x",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(SourceError, match="is not a source"):
        parse_source(text)


def test_only_https_leaves_this_machine() -> None:
    assert may_fetch("https://example.org/a")
    assert may_fetch("http://127.0.0.1:8000/a")
    assert may_fetch("http://localhost/a")
    assert may_fetch("http://[::1]:1/a")
    assert not may_fetch("http://10.0.0.1/a")
    assert not may_fetch("http://localhost.example.org/a")
    assert not may_fetch("file:///etc/passwd")


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    shown = str(parse_source("https://user:password@example.org:8443/a/b?key=secret"))
    assert shown == "https://example.org:8443/a/b"


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


@given(names, names, paths, st.booleans())
def test_a_package_source_reads_back_what_it_writes(name: str, version: str, path: str, wheel: bool) -> None:
    source = PackageMember(Package(name, version, wheel), path)
    assert parse_source(str(source)) == source
