"""Build the OpenAPI 3.1 document from the app's models and tables.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from shared.api.openapi import consent, deliveries, settings
from shared.api.openapi import health as web
from shared.api.openapi import test_mail as sending
from shared.api.openapi.host_responses import with_host_responses
from shared.api.openapi.schemas import describe_shapes, words
from shared.api.problem_models import ProblemDocument
from shared.problems import catalogue
from shared.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from shared.api.openapi.operation import DocumentedResponse, Operation, Parameter
    from shared.api.openapi.schemas import References

OPERATIONS: tuple[Operation, ...] = (
    *settings.OPERATIONS,
    *consent.OPERATIONS,
    *sending.OPERATIONS,
    *deliveries.OPERATIONS,
    *web.OPERATIONS,
)
_SECURITY = {
    "workspaceAdmin": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An Entra access token for this API, of a person with the admins' app role.",
    },
    "application": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An Entra access token for this API, of an application with one of these app roles.",
    },
}
_TAGS = {
    "Tenant settings": "The From address, the consent for it, and whether sending works.",
    "Consent": "The consent window, and the state of a consent.",
    "Deliveries": "The status and history of each mail.",
    "Health": "Whether the app runs, and this document.",
}
#: Headers that a problem may have, by its status.
_PROBLEM_HEADERS = {
    401: {"WWW-Authenticate": "`Bearer`: send an Entra access token (RFC 6750)."},
    503: {"Retry-After": "The number of seconds to wait before a retry, if known."},
}
_DESCRIPTION = (
    "Sends an organisation's report mail through Microsoft 365. Some responses come from the Functions host "
    "and have no body, so no problem document either: each operation says which."
)
_BODY_HINT = (
    "Needs a Content-Length: a chunked body (`Transfer-Encoding: chunked`) arrives empty and gets 411. "
    "This was observed on the Functions host; Azure's front end was not tested."
)


@functools.cache
def document_text() -> bytes:
    """Return the document as served."""
    return json.dumps(document(), ensure_ascii=False).encode()


def document() -> dict[str, Any]:
    """Build the document."""
    references, schemas = describe_shapes(OPERATIONS)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _describe(operation, references)
        paths.setdefault(f"/api/{operation.path}", {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Inforiver Mailer",
            "version": VERSION,
            "description": _DESCRIPTION,
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _SECURITY},
    }


def _describe(operation: Operation, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": to_camel(operation.name),
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": _security(operation),
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": _responses(operation, references),
    }
    if operation.body:
        schema = references[operation.body, "validation"]
        content = {"application/json": {"schema": schema}}
        described["requestBody"] = _request_body(content, required=operation.body_required)
    if operation.form:
        fields = {name: {"type": "string", "description": text} for name, text in operation.form.items()}
        schema = {"title": f"{words(operation.name)} form", "type": "object", "properties": fields}
        content = {"application/x-www-form-urlencoded": {"schema": schema}}
        described["requestBody"] = _request_body(content, required=True)
    return described


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    """List who may call an operation, as alternatives.

    In OpenAPI 3.1 a scheme of any type may list roles.
    """
    alternatives: list[dict[str, list[str]]] = []
    if operation.admin:
        alternatives.append({"workspaceAdmin": []})
    if operation.application_roles:
        alternatives.append({"application": list(operation.application_roles)})
    return alternatives


def _request_body(content: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"description": _BODY_HINT, "required": required, "content": content}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    responses = {
        str(status): _response_object(response, references)
        for status, response in operation.responses.items()
    }
    for status, codes in operation.all_problems().items():
        problem = _problem_page(codes) if operation.page else _problem(status, codes, references)
        known = responses.setdefault(str(status), problem)
        if known is not problem:
            known["content"] |= problem["content"]
            known["description"] += f"\n\n{problem['description']}"
            known["headers"] = known.get("headers", {}) | problem.get("headers", {})
    return with_host_responses(responses)


def _response_object(response: DocumentedResponse, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {"description": response.description}
    if response.model:
        described["content"] = {response.media_type: {"schema": references[response.model, "serialization"]}}
    elif response.schema:
        described["content"] = {response.media_type: {"schema": dict(response.schema)}}
    return described | _headers(response.headers)


def _listed(codes: Iterable[str]) -> str:
    """List problem codes with their titles, for readers of the document."""
    return "\n".join(f"- `{code}`: {catalogue()[code].title}" for code in codes)


def _problem_page(codes: Iterable[str]) -> dict[str, Any]:
    return {"description": _listed(codes), "content": {"text/html": {"schema": {"type": "string"}}}}


def _problem(status: int, codes: Iterable[str], references: References) -> dict[str, Any]:
    """Describe the problems with one status, all by the same shape.

    With a more specific shape for each problem, code generators would lose members.
    """
    content = {"application/problem+json": {"schema": references[ProblemDocument, "serialization"]}}
    headers = _headers(_PROBLEM_HEADERS.get(status, {}))
    return {"description": _listed(codes), "content": content} | headers


def _headers(described: Mapping[str, str]) -> dict[str, Any]:
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}
    return {"headers": headers} if headers else {}
