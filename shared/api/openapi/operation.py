"""Define an operation of the API: what it accepts and returns.

Requests are checked with this definition, and the OpenAPI document is made from it, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from shared.api.request import MAX_BODY_BYTES, MAX_FIELDS
from shared.schema import Contract

#: Problems by their HTTP status.
type Problems = Mapping[int, tuple[str, ...]]

#: Problems of any call that reads the settings of the deployment.
DEPLOYMENT: Final[Problems] = {
    500: (
        "identity_refused",
        "internal_error",
        "setting_invalid",
        "setting_missing",
        "smtp_provider_not_office365",
        "storage_denied",
        "storage_network_denied",
    ),
    503: ("identity_unavailable", "storage_unavailable"),
}
#: Problems of any call, because its size is checked before it is parsed.
LIMITS: Final[Problems] = {413: ("request_too_large", "too_many_fields")}
#: Problems of any call that has a body.
BODY: Final[Problems] = {411: ("content_length_required",)}
#: Problems of any call that only a workspace admin may make.
ADMIN: Final[Problems] = {
    400: ("invalid_request",),
    401: ("token_invalid", "token_missing", "token_version_unsupported"),
    403: (
        "client_not_allowed",
        "scope_required",
        "signed_in_admin_required",
        "workspace_admin_required",
    ),
    500: ("written_by_other_version",),
    503: ("entra_unavailable",),
}

#: Additional problems of a call that an application may make.
APPLICATION: Final[Problems] = {403: ("application_role_required",)}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A part of the path, or a header."""

    name: str
    where: Literal["path", "query", "header"]
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})


@dataclass(frozen=True, slots=True)
class DocumentedResponse:
    """The response of a successful call.

    Attributes:
        model: the shape of the body; a body without a model is described by `schema`. Without both there is
            no body.
        headers: the purpose of each header.
    """

    description: str
    model: type[Contract] | None = None
    schema: Mapping[str, Any] = field(default_factory=dict)
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    Attributes:
        name: the name of the Azure function.
        path: the path below `/api/`, with parameters in braces.
        admin: only a signed-in workspace admin may call the operation, or an application with one of
            `application_roles`.
        configured: the operation needs the settings of the deployment.
        body_required: the request must have a body.
        form: the fields of a urlencoded form, which the operation accepts in place of a JSON body.
        problems: the problems that the operation may return in addition to the common ones.
        max_body_bytes: a longer body is refused before it is parsed.
        max_fields: a form or a query with more fields is refused before it is parsed.
        page: a browser window opens the operation, so that a problem is shown as a page.
        application_roles: app roles with which an application may call without a user. If empty, no
            application may.
    """

    name: str
    method: Literal["GET", "POST", "PUT"]
    path: str
    summary: str
    tag: str
    responses: Mapping[int, DocumentedResponse]
    admin: bool = True
    configured: bool = True
    parameters: tuple[Parameter, ...] = ()
    body: type[Contract] | None = None
    body_required: bool = True
    form: Mapping[str, str] = field(default_factory=dict)
    problems: Problems = field(default_factory=dict)
    max_body_bytes: int = MAX_BODY_BYTES
    max_fields: int = MAX_FIELDS
    page: bool = False
    application_roles: tuple[str, ...] = ()

    @property
    def takes_body(self) -> bool:
        """Whether the operation uses a request body."""
        return self.body is not None or bool(self.form)

    @property
    def query_names(self) -> tuple[str, ...]:
        """The names of the query parameters, as documented."""
        return tuple(each.name for each in self.parameters if each.where == "query")

    def all_problems(self) -> dict[int, tuple[str, ...]]:
        """Return every possible problem by status, in alphabetical order."""
        found: dict[int, set[str]] = {}
        applying = (
            LIMITS,
            BODY if self.takes_body else {},
            DEPLOYMENT if self.configured else {},
            ADMIN if self.admin else {},
            APPLICATION if self.application_roles else {},
            self.problems,
        )
        for some in applying:
            for status, codes in some.items():
                found.setdefault(status, set()).update(codes)
        return {status: tuple(sorted(codes)) for status, codes in sorted(found.items())}


FLOW_ID = Parameter("flowId", "path", "The id of a consent.", {"type": "string", "format": "uuid"})
IF_MATCH = Parameter(
    "If-Match",
    "header",
    "The ETag of the settings that the admin saw; 412 if somebody else changed them since.",
)
