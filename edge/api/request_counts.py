"""How many requests were answered, and how."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class RequestCounts:
    """Counts answers by operation and status."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, int], int] = {}

    def count(self, operation: str, status: int) -> None:
        self.answers[operation, status] = self.answers.get((operation, status), 0) + 1


class CountedApp:
    """Counts the answers of *app*, which serves *operation*, in ``app.state.requests``."""

    def __init__(self, app: ASGIApp, operation: str) -> None:
        self._app = app
        self._operation = operation

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        requests: RequestCounts = scope["app"].state.requests

        async def send_and_count(message: Message) -> None:
            if message["type"] == "http.response.start":
                requests.count(self._operation, message["status"])
            await send(message)

        await self._app(scope, receive, send_and_count)
