"""`/docs` without a network: Swagger UI from a package, started by a script of our own, so that no inline script is allowed."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import FileResponse, HTMLResponse, Response

_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
        " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" href="docs/favicon.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """window.ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
});
"""

routes = APIRouter(include_in_schema=False)


@routes.get("/docs", name="docs")
async def docs(request: Request) -> Response:
    app: FastAPI = request.app
    return HTMLResponse(_PAGE.format(title=app.title), headers=_POLICY)


@routes.get("/docs/start.js", name="docs_start")
async def start() -> Response:
    return Response(_START, media_type="text/javascript", headers=_POLICY)


def _asset(name: str, media_type: str) -> None:
    path = Path(str(files("fastapi_offline"))) / "static" / name

    async def asset() -> Response:
        return FileResponse(
            path, media_type=media_type, headers={**_POLICY, "Cache-Control": "max-age=86400"}
        )

    routes.add_api_route(f"/docs/{name}", asset, name=f"docs_{name}")


for _name, _media_type in _ASSETS.items():
    _asset(_name, _media_type)
