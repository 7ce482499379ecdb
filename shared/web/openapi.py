"""The API described (OpenAPI 3.1), made from its own models and tables, so that it can't drift.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic.json_schema import models_json_schema

from shared.consent import operations as consent
from shared.deliveries import operations as deliveries
from shared.problems import catalogue
from shared.sending import operations as sending
from shared.settings import operations as settings
from shared.version import VERSION
from shared.web import operations as web
from shared.web.contract import ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.contract import Contract
    from shared.web.operation import Answer, Operation, Parameter

type Mode = Literal["validation", "serialization"]
type References = dict[tuple[type[Contract], Mode], dict[str, Any]]

OPERATIONS: tuple[Operation, ...] = (
    *settings.OPERATIONS,
    *consent.OPERATIONS,
    *sending.OPERATIONS,
    *deliveries.OPERATIONS,
    *web.OPERATIONS,
)
_ADMIN_ONLY = {
    "workspaceAdmin": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An Entra access token for this API, of a person with the admins' app role.",
    }
}


@functools.cache
def document_text() -> bytes:
    """Return the document as it is served."""
    return json.dumps(document(), ensure_ascii=False).encode()


def document() -> dict[str, Any]:
    """Build the document."""
    references, schemas = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        described = _describe(operation, references)
        paths.setdefault(f"/api/{operation.path}", {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Inforiver Mailer",
            "version": VERSION,
            "description": "Sends an organisation's report mail through Microsoft 365.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": _ADMIN_ONLY},
    }


def _schemas() -> tuple[References, dict[str, Any]]:
    """Describe every shape once: bodies as they are read, answers as they are written."""
    wanted: dict[tuple[type[Contract], Mode], None] = {(ProblemDocument, "validation"): None}
    for operation in OPERATIONS:
        if operation.body:
            wanted[operation.body, "validation"] = None
        for answer in operation.answers.values():
            if answer.model:
                wanted[answer.model, "serialization"] = None
    references, found = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    return references, found["$defs"]  # type: ignore[return-value]


def _describe(operation: Operation, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag],
        "security": [{"workspaceAdmin": []}] if operation.admin else [],
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": _responses(operation, references),
    }
    if operation.body:
        schema = references[operation.body, "validation"]
        content = {"application/json": {"schema": schema}}
        described["requestBody"] = {"required": operation.body_required, "content": content}
    if operation.form:
        fields = {name: {"type": "string", "description": text} for name, text in operation.form.items()}
        content = {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": fields}}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


def _responses(operation: Operation, references: References) -> dict[str, Any]:
    responses = {str(status): _answer(answer, references) for status, answer in operation.answers.items()}
    for status, codes in operation.all_problems().items():
        problem = _problem(codes, references)
        known = responses.setdefault(str(status), problem)
        if known is not problem:
            known["content"] |= problem["content"]
            known["description"] += f"\n\n{problem['description']}"
    return dict(sorted(responses.items()))


def _answer(answer: Answer, references: References) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.model:
        described["content"] = {answer.media_type: {"schema": references[answer.model, "serialization"]}}
    elif answer.schema:
        described["content"] = {answer.media_type: {"schema": dict(answer.schema)}}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in answer.headers.items()
        }
    return described


def _problem(codes: Iterable[str], references: References) -> dict[str, Any]:
    """Name each problem with its title, so that a reader need not look for it elsewhere."""
    listed = [f"- `{code}`: {catalogue()[code].title}" for code in codes]
    schema = {
        "allOf": [
            references[ProblemDocument, "validation"],
            {"properties": {"code": {"enum": list(codes)}}},
        ]
    }
    return {"description": "\n".join(listed), "content": {"application/problem+json": {"schema": schema}}}
