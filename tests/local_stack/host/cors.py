"""CORS as on Flex Consumption: listed origins, without credentials.

Any header and any method are allowed.
"""

from collections.abc import Collection

from tests.local_stack.host.http_messages import Request, Response


def preflight_response(request: Request, origins: Collection[str]) -> Response | None:
    """Return the response to a preflight; None for any other request."""
    method = request.headers.get("access-control-request-method")
    if not origins or request.method != "OPTIONS" or method is None or "origin" not in request.headers:
        return None
    response = Response(204)
    if allow_origin(request, response, origins):
        response.headers.append(("Access-Control-Allow-Methods", method))
        requested = request.headers.get("access-control-request-headers")
        if requested:
            response.headers.append(("Access-Control-Allow-Headers", requested))
    return response


def allow_origin(request: Request, response: Response, origins: Collection[str]) -> bool:
    """Mark a response that the page of the request may read."""
    origin = request.headers.get("origin")
    if origin is None or not ("*" in origins or origin in origins):
        return False
    response.headers.append(("Access-Control-Allow-Origin", "*" if "*" in origins else origin))
    if len(origins) > 1:
        response.headers.append(("Vary", "Origin"))
    return True
