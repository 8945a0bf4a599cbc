import httpx
import pytest

from benchmarks.autorouter.bare import build_app


@pytest.mark.anyio
async def test_the_bare_app_always_answers_the_same() -> None:
    transport = httpx.ASGITransport(build_app({"region": "yto-01"}))
    async with httpx.AsyncClient(transport=transport, base_url="http://bare") as client:
        for address in ("8.8.8.8", "99.230.0.1"):
            answer = await client.get("/v1/route", headers={"X-Forwarded-For": address})
            assert (answer.status_code, answer.json()) == (200, {"region": "yto-01"})
