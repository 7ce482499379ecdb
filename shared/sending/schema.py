"""The JSON Schema of a queued mail, made from the model that reads it.

python -m shared.sending.schema > docs/mail-message.schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from shared.sending.request import MailRequest


def mail_message_schema() -> dict[str, Any]:
    """Describe a message of `mail-outbox` (JSON Schema 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A mail on the queue mail-outbox",
        **_without_titles(MailRequest.model_json_schema(by_alias=True)),
    }


def _without_titles(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Leave out the titles that pydantic makes of names; a property may be called `title` all the same."""
    if isinstance(value, list):
        return [_without_titles(item) for item in value]
    if isinstance(value, dict):
        return {
            name: _without_titles(item)
            for name, item in value.items()
            if name != "title" or not isinstance(item, str)
        }
    return value


def schema_text() -> str:
    """Write the schema as the file in `docs/` holds it."""
    return json.dumps(mail_message_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
