"""Describe responses of the Functions host itself, which have no body.

They were observed on the open-source host 4.1037; the limits are those of its web server
(https://learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST_RESPONSES: Final[Mapping[int, str]] = {
    400: (
        "The request is not valid HTTP, a header contains non-ASCII characters, or the path contains a zero "
        "byte."
    ),
    404: "No operation has this path and method. A wrong method also gets 404, never 405.",
    414: "The URL is longer than 8 KB.",
    431: "The headers have more than 32 KB, or there are more than 100.",
    500: "The body is larger than 1 MB, or the process that handled the request ended.",
    503: "The app is not running, for instance while it starts or because a setting of the host is wrong.",
}
_FROM_THE_HOST: Final = "From the Functions host, without a body"


def with_host_responses(responses: Mapping[str, Any]) -> dict[str, Any]:
    """Add the host's own responses to those of an operation."""
    described = {name: dict(response) for name, response in responses.items()}
    for status, reason in HOST_RESPONSES.items():
        description = f"{_FROM_THE_HOST}: {reason}"
        known = described.setdefault(str(status), {"description": description})
        if known["description"] != description:
            known["description"] += f"\n\n{description}"
    return dict(sorted(described.items()))
