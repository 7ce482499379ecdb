"""The HTTP functions as WSGI, for tools that call an app without a host."""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import azure.functions as func

from shared.api.openapi.document import OPERATIONS

type StartResponse = Callable[[str, list[tuple[str, str]]], object]
type Application = Callable[[dict[str, Any], StartResponse], Iterable[bytes]]

#: The host itself keeps `{flow_id:guid}` from anything else.
_PATTERNS = {"flowId": "[0-9a-fA-F-]{36}", "messageId": "[^/]+"}
_ROUTE_NAMES = {"flowId": "flow_id", "messageId": "message_id"}


def _pattern(path: str) -> re.Pattern[str]:
    named = re.sub(r"\{(\w+)\}", lambda m: f"(?P<{m[1]}>{_PATTERNS[m[1]]})", path)
    return re.compile(f"/api/{named}")


def wsgi_app(functions: dict[str, Any]) -> Application:
    """Serve functions by the routes that their operations document."""
    routes = [(operation.method, _pattern(operation.path), operation.name) for operation in OPERATIONS]

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        for method, pattern, name in routes:
            found = pattern.fullmatch(environ["PATH_INFO"])
            if found and environ["REQUEST_METHOD"] == method:
                response = functions[name](_request(environ, found.groupdict()))
                start_response(
                    f"{response.status_code} {HTTPStatus(response.status_code).phrase}",
                    list(response.headers.items()),
                )
                return [response.get_body()]
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]

    return application


def _request(environ: dict[str, Any], found: dict[str, str]) -> func.HttpRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").title(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return func.HttpRequest(
        environ["REQUEST_METHOD"],
        f"https://mailer.contoso.com{environ['PATH_INFO']}?{environ['QUERY_STRING']}",
        headers=headers,
        params=dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)),
        route_params={_ROUTE_NAMES[name]: unquote(value) for name, value in found.items()},
        body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
    )
