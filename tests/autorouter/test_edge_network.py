import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import anyio
import httpcore
import pytest
from pydantic import SecretStr

from autorouter import edge_network, poller
from autorouter.edge_client import connector
from autorouter.edge_health import Thresholds
from autorouter.edge_network import FRESH_SECONDS, EdgeNetwork, LookUps, look_up
from autorouter.poller import Poller, Rhythm
from shared.regions import Region
from tests.autorouter import edges
from tests.autorouter.edges import eventually

pytestmark = pytest.mark.anyio


@dataclass
class NameServers:
    """Those of names with ``hung`` in them say nothing before the end of the test; ``gone`` is no name."""

    addresses: Sequence[str] = ("127.0.0.1",)
    asked: Counter[str] = field(default_factory=Counter)
    under_way: int = 0
    hang: Callable[[str], bool] = lambda host: "hung" in host
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, host: str) -> Sequence[str]:
        with self.lock:
            self.asked[host] += 1
            self.under_way += 1
        if self.hang(host):
            self.ended.wait(60)
        with self.lock:
            self.under_way -= 1
        if host == "gone.test":
            raise OSError("no such name")
        return self.addresses


@pytest.fixture
def servers() -> Iterator[NameServers]:
    made = NameServers()
    yield made
    made.ended.set()


def named(edge: edges.Edge, host: str, region_id: str = "a-01") -> Region:
    return replace(edge.region(region_id), url=f"http://{host}:{edge.port}")


async def connect(network: EdgeNetwork, host: str, port: int) -> None:
    with anyio.fail_after(20):
        await (await network.connect_tcp(host, port)).aclose()


async def give_up(network: EdgeNetwork, host: str) -> None:
    with anyio.move_on_after(0.02) as scope:
        await network.connect_tcp(host, 9)
    assert scope.cancelled_caught


async def test_an_edge_is_asked_by_its_name(servers: NameServers) -> None:
    async with edges.edge(edges.well()) as edge:
        asking = connector(SecretStr("s3cret"), look_up=servers)
        async with asking(named(edge, "edge.test"), keep=True) as ask:
            assert await ask() == edges.status()
    assert f"\r\nhost: edge.test:{edge.port}\r\n" in edge.heads[0].lower()
    assert servers.asked == {"edge.test": 1}


async def test_the_system_knows_names() -> None:
    assert "127.0.0.1" in look_up("localhost")
    async with edges.edge(edges.well()) as edge:
        await connect(EdgeNetwork(LookUps()), "localhost", edge.port)


async def test_name_servers_that_hang_take_no_other_edge_down(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poller, "KEPT_CONNECTIONS", 0)
    monkeypatch.setattr(edge_network, "FRESH_SECONDS", 0)
    async with edges.edge(edges.well()) as edge:
        regions = [named(edge, f"hung-{number}.test", f"h-{number}") for number in range(30)]
        asking = connector(SecretStr("s3cret"), look_up=servers)
        it = Poller([*regions, named(edge, "edge.test")], asking, Rhythm(0.02, 0.3), Thresholds(3, 10))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(it.run)
            await eventually(lambda: all(it.counts[region.id].misses > 3 for region in regions))
            await eventually(lambda: it.counts["a-01"].polls > 20)
            tasks.cancel_scope.cancel()
        assert it.counts["a-01"].misses == 0
        assert {name for name, state in it.state.edges.items() if state.up} == {"a-01"}
    assert servers.asked.pop("edge.test") > 20
    assert set(servers.asked.values()) == {1}


async def test_at_most_one_look_up_of_a_name_is_under_way(servers: NameServers) -> None:
    network = EdgeNetwork(LookUps(servers))
    for _ in range(5):
        await give_up(network, "hung.test")
    assert servers.asked == {"hung.test": 1}


async def test_a_look_up_that_was_given_up_still_counts_when_it_ends(servers: NameServers) -> None:
    network = EdgeNetwork(LookUps(servers))
    async with edges.edge(edges.well()) as edge:
        await give_up(network, "hung.test")
        servers.ended.set()
        await connect(network, "hung.test", edge.port)
    assert servers.asked == {"hung.test": 1}


async def test_names_that_keep_failing_leave_the_others_their_threads(servers: NameServers) -> None:
    look_ups = LookUps(servers)
    failing = [EdgeNetwork(look_ups) for _ in range(2 * edge_network.LOOK_UPS_AT_ONCE)]
    for network in failing:
        with pytest.raises(httpcore.ConnectError, match="no such name"):
            await network.connect_tcp("gone.test", 9)
    servers.hang = lambda host: host == "gone.test"
    async with anyio.create_task_group() as tasks:
        for network in failing:
            tasks.start_soon(give_up, network, "gone.test")
    assert servers.under_way == edge_network.LATE_LOOK_UPS_AT_ONCE
    async with edges.edge(edges.well()) as edge:
        await connect(EdgeNetwork(look_ups), "edge.test", edge.port)
    for network in failing:
        network.close()


async def test_a_name_that_is_found_again_is_like_any_other(servers: NameServers) -> None:
    now = 0.0
    look_ups = LookUps(servers)
    network = EdgeNetwork(look_ups, lambda: now)
    async with edges.edge(edges.well()) as edge:
        await give_up(network, "hung.test")
        servers.ended.set()
        await connect(network, "hung.test", edge.port)
        servers.ended.clear()
        for number in range(edge_network.LATE_LOOK_UPS_AT_ONCE):
            look_ups.start(f"hung-{number}.test", late=True)
        servers.hang = lambda host: "hung-" in host
        now = FRESH_SECONDS
        await connect(network, "hung.test", edge.port)
    assert servers.asked["hung.test"] == 2


async def test_addresses_are_used_for_a_while(servers: NameServers) -> None:
    times = iter((100.0, 99.0 + FRESH_SECONDS, 100.0 + FRESH_SECONDS, 100.0 + FRESH_SECONDS, 200.0))
    network = EdgeNetwork(LookUps(servers), lambda: next(times))
    async with edges.edge(edges.well()) as edge:
        for _ in range(3):
            await connect(network, "edge.test", edge.port)
    assert servers.asked == {"edge.test": 2}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_no_name(servers: NameServers, host: str) -> None:
    async with await anyio.create_tcp_listener(local_host=host) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        await connect(EdgeNetwork(LookUps(servers)), host, port)
    assert not servers.asked


async def test_an_address_that_refuses_is_passed_over(servers: NameServers) -> None:
    servers.addresses = ("127.0.0.2", "127.0.0.3", "127.0.0.1")
    async with edges.edge(edges.well()) as edge:
        await connect(EdgeNetwork(LookUps(servers)), "edge.test", edge.port)


async def test_an_address_that_says_nothing_is_not_waited_for(
    servers: NameServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = httpcore.AnyIOBackend.connect_tcp

    async def black_hole(
        self: httpcore.AnyIOBackend, host: str, *rest: object
    ) -> httpcore.AsyncNetworkStream:
        if host != "127.0.0.1":
            await anyio.sleep_forever()
        return await system(self, host, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", black_hole)
    servers.addresses = ("127.0.0.2", "127.0.0.1")
    async with edges.edge(edges.well()) as edge:
        with anyio.fail_after(5):
            await connect(EdgeNetwork(LookUps(servers)), "edge.test", edge.port)


@pytest.mark.parametrize("addresses", [(), ("127.0.0.1",), ("127.0.0.1", "127.0.0.2")])
async def test_an_edge_that_is_at_none_of_its_addresses(
    servers: NameServers, addresses: Sequence[str]
) -> None:
    servers.addresses = addresses
    async with edges.edge(edges.well()) as edge:
        port = edge.port
    with pytest.raises(httpcore.ConnectError):
        await EdgeNetwork(LookUps(servers)).connect_tcp("edge.test", port)


async def test_what_cannot_be_a_name(servers: NameServers) -> None:
    with pytest.raises(httpcore.ConnectError):
        await EdgeNetwork(LookUps()).connect_tcp("a" * 70 + ".test", 9)


@pytest.mark.parametrize(("closed", "asked"), [(False, 2), (True, 1)])
async def test_a_look_up_that_has_not_begun_waits_on_unless_its_edge_has_left(
    servers: NameServers, closed: bool, asked: int
) -> None:
    look_ups = LookUps(servers)
    for number in range(edge_network.LATE_LOOK_UPS_AT_ONCE):
        look_ups.start(f"hung-{number}.test", late=True)
    network = EdgeNetwork(look_ups)
    with pytest.raises(httpcore.ConnectError):
        await network.connect_tcp("gone.test", 9)
    await give_up(network, "gone.test")
    if closed:
        network.close()
    last = look_ups.start("last.test", late=True)
    servers.ended.set()
    await eventually(last.done)
    await eventually(lambda: servers.under_way == 0)
    assert servers.asked["gone.test"] == asked
