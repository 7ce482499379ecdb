"""The path of a request: CORS, home page, `/admin`, functions, headers."""

import os
from collections.abc import Collection

from tests.local_stack.host.admin import Admin
from tests.local_stack.host.cors import allow_origin, preflight_response
from tests.local_stack.host.http_functions import HttpFunctions
from tests.local_stack.host.http_messages import Request, Response
from tests.local_stack.host.settings import HostSettings

HOME_PAGE_SETTING = "AzureWebJobsDisableHomepage"
HOME_PAGE = b"<!DOCTYPE html><title>Your function app is up and running</title>"
#: As ASP.NET's: a browser would refuse the other ports of these names without TLS then.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


class RequestHandler:
    """Handles every request of the host."""

    def __init__(
        self, functions: HttpFunctions, admin: Admin, settings: HostSettings, origins: Collection[str]
    ) -> None:
        self._functions = functions
        self._admin = admin
        self._settings = settings
        self._origins = origins
        self._has_home_page = os.environ.get(HOME_PAGE_SETTING, "").casefold() != "true"

    async def handle(self, request: Request) -> Response:
        """Return the response to one request."""
        response = preflight_response(request, self._origins)
        if response is None:
            response = await self._route(request)
            allow_origin(request, response, self._origins)
        if self._settings.hsts and request.scheme == "https" and request.host not in LOOPBACK:
            response.set_default("Strict-Transport-Security", self._settings.hsts)
        for name, value in self._settings.custom_headers.items():
            response.set_default(name, value)
        return response

    async def _route(self, request: Request) -> Response:
        if request.path == "/":
            return (
                Response(200, [("Content-Type", "text/html")], HOME_PAGE)
                if self._has_home_page
                else Response(204)
            )
        if request.path.casefold().startswith("/admin/"):
            return await self._admin.handle(request)
        return await self._functions.handle(request)
