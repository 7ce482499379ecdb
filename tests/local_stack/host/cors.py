"""CORS as `func start --cors` has it: the listed origins, any header, any verb, no credentials.

Source: https://github.com/Azure/azure-functions-core-tools/blob/3ee97a63/src/Cli/func/Actions/HostActions/Startup.cs.
"""

from collections.abc import Collection

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware


def allow_origins(origins: Collection[str]) -> Middleware:
    """Make a middleware that answers preflights itself and marks the answers that a page may read."""

    @web.middleware
    async def cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if not origins or origin is None:
            return await handler(request)
        method = request.headers.get("Access-Control-Request-Method")
        preflight = request.method == "OPTIONS" and method is not None
        response = web.Response(status=204) if preflight else await handler(request)
        if origin in origins or "*" in origins:
            response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
            response.headers["Vary"] = "Origin"
            if preflight and method:
                asked = request.headers.get("Access-Control-Request-Headers", "")
                response.headers["Access-Control-Allow-Methods"] = method
                response.headers["Access-Control-Allow-Headers"] = asked
        return response

    return cors
