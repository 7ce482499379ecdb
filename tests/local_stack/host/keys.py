"""Function keys, in `x-functions-key` or the query parameter `code`."""

from dataclasses import dataclass

from tests.local_stack.host.http_messages import Request
from tests.local_stack.host.uris import parse_query


@dataclass(frozen=True)
class Keys:
    """The host's keys; an empty one opens nothing."""

    master: str
    host: str

    def authorizes(self, request: Request, level: str) -> bool:
        """Tell whether a request may call a function of an authorization level."""
        if level.upper() == "ANONYMOUS":
            return True
        accepted = {self.master} if level.upper() == "ADMIN" else {self.master, self.host}
        code = parse_query(request.query).get("code", "")
        return request.headers.get("x-functions-key", code) in accepted - {""}
