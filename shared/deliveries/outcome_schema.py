"""Build the JSON Schema of outcome messages from their model.

python -m shared.deliveries.outcome_schema > docs/mail-outcome.schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from shared.deliveries.outcome_message import MailOutcome
from shared.json_schema import PlainJsonSchema, without


def mail_outcome_schema() -> dict[str, Any]:
    """Describe a message of an outcome queue (JSON Schema 2020-12).

    Members may be added within version 1, so a reader ignores those that it does not know.
    """
    schema = MailOutcome.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}", schema_generator=PlainJsonSchema
    )
    schema["definitions"] = schema.pop("$defs")
    for shape in (schema, *schema["definitions"].values()):
        shape.pop("additionalProperties", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://inforiver-mailer.example/mail-outcome:1",
        "title": "How a mail ended",
        **without("title", schema),
    }


def schema_text() -> str:
    """Write the schema as the file in `docs/` contains it."""
    return json.dumps(mail_outcome_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
