"""``GET /openapi.json`` and the page at ``/docs`` that shows it."""

from importlib.metadata import version
from pathlib import Path

import swagger_ui
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from shared.errors import NotFound
from shared.http.json import JsonResponse

ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "favicon-32x32.png": "image/png",
}
SWAGGER_VERSION = version("swagger-ui-py")

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nearedge API</title>
<link rel="icon" type="image/png" href="/docs/assets/favicon-32x32.png">
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
</head>
<body>
<div id="api"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#api", deepLinking: true, persistAuthorization: false,
  tryItOutEnabled: true, displayRequestDuration: true, defaultModelsExpandDepth: 0,
});
</script>
</body>
</html>
"""


async def openapi(request: Request) -> Response:
    """Return this API as an OpenAPI 3.1 document."""
    return JsonResponse(request.app.state.openapi)


async def docs(_request: Request) -> Response:
    """Return a page that shows the API and lets one try it. All that it loads comes from this edge."""
    return HTMLResponse(_PAGE)


async def asset(request: Request) -> Response:
    """Return one of the page's files."""
    name = request.path_params["name"]
    if name not in ASSETS:
        raise NotFound(f"There is nothing at GET {request.scope['path']}")
    headers = {"Cache-Control": "max-age=86400", "ETag": f'"{SWAGGER_VERSION}-{name}"'}
    file = Path(swagger_ui.__file__).parent / "static" / name
    return FileResponse(file, headers=headers, media_type=ASSETS[name])
