"""What the API promises of one function: the row from which its part of the OpenAPI document is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.contract import Contract

#: Problems by their HTTP status.
type Problems = Mapping[int, tuple[str, ...]]

#: What any call may meet that reads the settings of the deployment.
DEPLOYMENT: Final[Problems] = {
    500: (
        "internal_error",
        "setting_invalid",
        "setting_missing",
        "smtp_provider_not_office365",
        "storage_denied",
    ),
    503: ("storage_unavailable",),
}
#: What any call may meet that only a workspace admin may make.
ADMIN: Final[Problems] = {
    401: ("token_invalid", "token_missing"),
    403: ("tenant_not_allowed", "workspace_admin_required"),
    503: ("entra_unavailable",),
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the address, or a header."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered when all is well.

    Attributes:
        model: the shape of the body; `schema` describes one that is none of ours. Neither: no body.
        headers: what each header is for.
    """

    description: str
    model: type[Contract] | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One function of the API.

    Attributes:
        name: the function's name.
        path: below `/api/`, parameters in braces.
        admin: whether only a workspace admin may call.
        configured: whether it needs the settings of the deployment.
        body_required: whether the body may be left out.
        form: the fields of a urlencoded form, in place of a body.
        problems: what this function may answer beside what every function may.
    """

    name: str
    method: Literal["GET", "POST", "PUT"]
    path: str
    summary: str
    tag: str
    answers: Mapping[int, Answer]
    admin: bool = True
    configured: bool = True
    parameters: tuple[Parameter, ...] = ()
    body: type[Contract] | None = None
    body_required: bool = True
    form: Mapping[str, str] = field(default_factory=dict)
    problems: Problems = field(default_factory=dict)

    def all_problems(self) -> dict[int, tuple[str, ...]]:
        """Return every problem that may be answered, by status, in the order of the alphabet."""
        found: dict[int, set[str]] = {}
        for some in (DEPLOYMENT if self.configured else {}, ADMIN if self.admin else {}, self.problems):
            for status, codes in some.items():
                found.setdefault(status, set()).update(codes)
        return {status: tuple(sorted(codes)) for status, codes in sorted(found.items())}


FLOW_ID = Parameter("flowId", "path", "Names a consent.", {"type": "string", "format": "uuid"})
IF_MATCH = Parameter(
    "If-Match",
    "header",
    "The ETag of the settings that the admin saw; 412 if somebody else changed them since.",
)
