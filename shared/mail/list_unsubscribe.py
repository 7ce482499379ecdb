"""Validate `listUnsubscribe` and `listUnsubscribePost`. Pure.

RFC 2369 section 3.2 and RFC 8058. Graph accepts only headers whose name begins with `x-`, so the app sets
properties of the mail from which Exchange makes the headers List-Unsubscribe and List-Unsubscribe-Post.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from shared.characters import END
from shared.mail.fields import MAX_LINE

#: PidTagListUnsubscribe (MS-OXPROPS).
UNSUBSCRIBE_PROPERTY: Final = "String 0x1045"
#: Any header of a mail as a property of the set PS_INTERNET_HEADERS (MS-OXCMAIL section 2.1.3.2.10).
UNSUBSCRIBE_POST_PROPERTY: Final = "String {00020386-0000-0000-C000-000000000046} Name List-Unsubscribe-Post"

#: The dollar sign is written as \x24, because some validators replace every `$` in a pattern.
_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_REST = r"(?:[A-Za-z0-9._~:/?#@!\x24&'()*+,;=-]|%[0-9A-Fa-f]{2})*"
_HTTPS = rf"https://{_HOST}(?::[0-9]{{1,5}})?(?:[/?#]{_REST})?"
_MAILTO = rf"mailto:(?:[A-Za-z0-9._~!\x24&'*+=-]|%[0-9A-Fa-f]{{2}})+@{_HOST}(?:\?{_REST})?"
_ADDRESS = f"<(?:{_HTTPS}|{_MAILTO})>"
_ADDRESSES = re.compile(f"{_ADDRESS}(?:, ?{_ADDRESS})*")
#: How an https address begins in the header. RFC 8058 requires such an address for a mail with
#: List-Unsubscribe-Post.
HTTPS_ADDRESS_START: Final = "<https://"
#: This requirement in JSON Schema.
ONE_CLICK_HAS_HTTPS: Final[dict[str, JsonValue]] = {
    "anyOf": [
        {"properties": {"listUnsubscribePost": {"type": "null"}}},
        {
            "required": ["listUnsubscribe"],
            "properties": {"listUnsubscribe": {"type": "string", "pattern": HTTPS_ADDRESS_START}},
        },
    ]
}


def _check_list_unsubscribe(text: str) -> str:
    if not _ADDRESSES.fullmatch(text):
        raise ValueError(
            "use https and mailto addresses in angle brackets, separated by commas, such as "
            "<https://contoso.com/leave?id=1>, <mailto:leave@contoso.com>"
        )
    return text


type ListUnsubscribe = Annotated[
    str,
    StringConstraints(max_length=MAX_LINE),
    AfterValidator(_check_list_unsubscribe),
    Field(json_schema_extra={"pattern": f"^{_ADDRESSES.pattern}{END}"}),
]
