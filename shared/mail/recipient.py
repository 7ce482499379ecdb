"""Define a recipient: an address, or an address with a name. Pure."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from shared.mail.fields import Line, MailAddress
from shared.schema import Contract


def _as_recipient(value: object) -> object:
    return {"address": value} if isinstance(value, str) else value


class Recipient(Contract):
    """A mail address with a display name."""

    address: MailAddress = Field(description="Such as cfo@contoso.com.")
    name: Annotated[Line, Field(max_length=256)] | None = Field(None, description="The name shown with it.")


type AnyRecipient = Annotated[
    Recipient, BeforeValidator(_as_recipient, json_schema_input_type=MailAddress | Recipient)
]
