import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response
from starlette.testclient import TestClient

from edge.api.request_counts import CountedApp, RequestCounts


@pytest.mark.parametrize("status", [200, 404])
def test_answers_are_counted_by_operation_and_status(status: int) -> None:
    async def answer(request: Request) -> Response:
        return Response(status_code=status)

    app = Starlette(routes=[Route("/x/{id}", CountedApp(request_response(answer), "GET /x/{id}"))])
    app.state.requests = RequestCounts()
    with TestClient(app) as client:
        client.get("/x/1")
        client.get("/x/2")
    assert app.state.requests.answers == {("GET /x/{id}", status): 2}
