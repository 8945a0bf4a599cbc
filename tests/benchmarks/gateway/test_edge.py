from pathlib import Path

import pytest
from starlette.testclient import TestClient

from benchmarks.gateway import edge, homes
from edge.accounts.metering import Metering
from edge.api import operation
from edge.api.guard import Guard
from edge.models import served
from edge.settings import EdgeSettings
from shared.http.drain import Drain
from tests.models import CACHE, pulled


@pytest.mark.parametrize(("kind", "key_opens", "counted"), [(edge.WHOLE, False, 1), (edge.BARE, True, 0)])
def test_the_bare_app_asks_for_no_key_and_counts_nothing(
    kind: str, key_opens: bool, counted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulled(edge.MODEL)
    monkeypatch.setattr(operation, "Guard", Guard)
    monkeypatch.setattr(Metering, "call", Metering.call)
    monkeypatch.setattr(served, "ENGINES", served.ENGINES)
    key = homes.make_home(tmp_path)
    (key_id,) = homes.key_ids(tmp_path)
    settings = EdgeSettings(home=tmp_path, cache=CACHE, edge_models=(edge.MODEL,))
    body = {"model": edge.MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 16}
    with TestClient(edge.app_of(settings, Drain(), kind)) as client:
        assert (client.post("/v1/chat/completions", json=body).status_code == 200) == key_opens
        headers = {"Authorization": f"Bearer {key}"}
        assert client.post("/v1/chat/completions", json=body, headers=headers).status_code == 200
    assert homes.requests_of(tmp_path, key_id) == counted
