"""What the configurations of deploy/cdn have in their keys is what an answer depends on."""

import re
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from autorouter.formats import JSON, MSGPACK, asked_for
from autorouter.query import Query
from autorouter.settings import AutorouterSettings

FOLDER = Path(__file__).parents[2] / "deploy" / "cdn"
VIEWER = {"CloudFront-Viewer-Country", "CloudFront-Viewer-Country-Region"}
QUESTION = {field.name for field in fields(Query)}


class Loader(yaml.SafeLoader):
    """Reads CloudFormation's tags (`!Ref x`) as what stands behind them."""


def _behind(loader: yaml.SafeLoader, _tag: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    assert isinstance(node, yaml.ScalarNode)
    return loader.construct_scalar(node)


Loader.add_multi_constructor("!", _behind)


def test_cloudfront_keys_by_what_an_answer_depends_on() -> None:
    template = yaml.load((FOLDER / "cloudfront.yaml").read_text(), Loader)
    policy = template["Resources"]["CachePolicy"]["Properties"]["CachePolicyConfig"]
    key = policy["ParametersInCacheKeyAndForwardedToOrigin"]
    assert set(key["HeadersConfig"]["Headers"]) == VIEWER | {"Accept"}
    assert set(key["QueryStringsConfig"]["QueryStrings"]) == QUESTION
    # Else it would keep what is private.
    assert (policy["MinTTL"], policy["DefaultTTL"]) == (0, 0)
    distribution = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    (origin,) = distribution["Origins"]
    (secret,) = origin["OriginCustomHeaders"]
    assert secret["HeaderName"] == "X-Origin-Verify"
    assert all(entry["ErrorCachingMinTTL"] == 0 for entry in distribution["CustomErrorResponses"])


def test_every_spelling_of_the_path_has_cloudfronts_cache() -> None:
    template = yaml.load((FOLDER / "cloudfront.yaml").read_text(), Loader)
    distribution = template["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    (behaviour,) = distribution["CacheBehaviors"]
    for path in ("/v1/route", "/v1/route/", "//v1/route"):
        assert fnmatchcase(path, behaviour["PathPattern"])
    assert not fnmatchcase("/health", behaviour["PathPattern"])


def test_nginx_keys_by_what_it_asks() -> None:
    text = (FOLDER / "nginx" / "route.conf").read_text()
    (question,) = re.findall(r'map "" \$route_query \{\s+default "([^"]+)";', text)
    assert set(re.findall(r"(\w+)=", question)) == QUESTION
    (key,) = re.findall(r'proxy_cache_key "([^"]+)"', text)
    assert key.split() == ["$viewer_country", "$viewer_subdivision", "$route_accept", "$route_query"]
    (asked,) = re.findall(r"proxy_pass http://autorouter/v1/route\?(\S+);", text)
    assert asked == "$route_query"
    # A location with a proxy_set_header of its own would drop those of the server, the viewer's among them.
    locations = re.findall(r"^    location [^{]+\{(.*?)^    \}", text, re.MULTILINE | re.DOTALL)
    assert len(locations) == 4
    assert all("proxy_set_header" not in location for location in locations)


def msgpack_pattern() -> str:
    """Return what both configurations look for in Accept."""
    (ours,) = re.findall(r'"~\*(\S+)" application/msgpack;', (FOLDER / "nginx" / "route.conf").read_text())
    (theirs,) = re.findall(r"MSGPACK = /(.+)/i;", (FOLDER / "cloudfront.yaml").read_text())
    assert ours == theirs.replace("\\/", "/")
    return str(ours)


PATTERN = re.compile(msgpack_pattern(), re.IGNORECASE)


@pytest.mark.parametrize(
    "accept",
    [
        "application/msgpack",
        " Application/X-MsgPack ",
        "application/vnd.msgpack;q=1.0",
        "application/msgpack, */*",
        "application/msgpack, application/json;q=0.9, */*;q=0.1",
        "application/msgpack ; q=1 ,text/html",
        "application/msgpack, application/json",
        "application/msgpack, text/html, application/json;charset=utf-8",
        "application/msgpack;q=0",
        "application/msgpack-seq",
        "application/json, application/msgpack",
        "text/html",
        "",
    ],
)
def test_the_caches_ask_for_the_format_that_the_autorouter_would_give(accept: str) -> None:
    assert (asked_for(accept) is MSGPACK) == (PATTERN.search(accept) is not None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(MSGPACK.names | JSON.names | {"application/*", "*/*", "text/html"})),
            st.sampled_from(["", ";q=1", " ; q=1.000", ";q=0.999", ";q=0", ";q=1.0000", ";charset=utf-8"]),
        ),
        unique_by=lambda entry: entry[0],
    )
)
def test_the_caches_ask_for_msgpack_only_where_the_autorouter_would_give_it(
    entries: list[tuple[str, str]],
) -> None:
    accept = ", ".join(map("".join, entries))
    assert PATTERN.search(accept) is None or asked_for(accept) is MSGPACK


def test_stated_times_are_the_defaults() -> None:
    readme, settings = (FOLDER / "README.md").read_text(), AutorouterSettings()
    for name in ("route_shared_seconds", "route_stale_seconds"):
        (row,) = re.findall(rf"^\|[^|]+\| (\d+) s \| `NEAREDGE_{name.upper()}`", readme, re.MULTILINE)
        assert int(row) == getattr(settings, name)
    assert settings.route_stale_if_error_seconds == 86400
    assert f"more ({settings.route_ttl_seconds})" in readme
