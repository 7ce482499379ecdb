"""Build the JSON Schema of a queued mail from its model.

python -m shared.mail.json_schema > docs/mail-message.schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from shared.json_schema import PlainJsonSchema, allow_null, references, without, write_out_refined
from shared.mail.message import MailRequest


def mail_message_schema() -> dict[str, Any]:
    """Describe a message of `mail-outbox` (JSON Schema 2020-12).

    Shared parts are under `definitions`, which every validator supports; NJsonSchema does not support
    `$defs`.
    """
    schema = MailRequest.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}", schema_generator=PlainJsonSchema
    )
    parts = schema["definitions"] = schema.pop("$defs")
    for shape in (schema, *parts.values()):
        write_out_refined(shape, parts)
        allow_null(shape, parts)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        # Only a name: nothing is published at this address. It is no URN because npm's jsonschema cannot
        # resolve references against a URN.
        "$id": "https://inforiver-mailer.example/mail-message:1",
        "title": "A mail on the queue mail-outbox",
        **without("title", _without_unused_definitions(schema)),
    }


def _without_unused_definitions(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove the parts that nothing refers to."""
    used = set(references(schema))
    return schema | {
        "definitions": {name: part for name, part in schema["definitions"].items() if name in used}
    }


def schema_text() -> str:
    """Write the schema as the file in `docs/` contains it."""
    return json.dumps(mail_message_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
