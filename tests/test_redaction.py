import json
from typing import Any

import msal
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.redaction import redact
from tests.cpu import grows_linearly

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"
REFRESH_TOKEN = "1.AXoAq2-_tq9.AgABAwEAAADnfolhJpSnRYB1SVj-Hgd8AgDs_wUA9P~Bmx"
TICKET = "S3oZqd0rWc6xV2uM8yKfL1tP5nHgJ7bA9eRiYkXwQmE"
OPAQUE = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", min_size=20, max_size=80)
NAMES = [
    "client_secret=",
    "clientSecret: ",
    "code=",
    "?code=",
    "&state=",
    "state = ",
    '"refresh_token": "',
    '\\"secret\\": \\"',
    '\\\\\\"secret\\\\\\": \\\\\\"',
    "'password': '",
    "Bearer ",
    "Authorization: Bearer ",
    "sig=",
    "AccountKey=",
    "SharedAccessSignature=",
    "SharedKey account:",
    "/start?ticket=",
    "/start#ticket=",
    "__Host-consent=",
    "Cookie: a=1; __Secure-consent=",
    "Set-Cookie: session=",
    "Proxy-Authorization: Basic ",
    "'authorization': 'Basic ",
    "x-functions-key: ",
]


def a_cache() -> str:
    """Serialize a token cache as MSAL does after a sign-in."""
    cache = msal.SerializableTokenCache()
    response = {
        "access_token": TOKEN,
        "refresh_token": REFRESH_TOKEN,
        "id_token": f"{TOKEN}x",
        "client_info": "eyJ1aWQiOiJhZGEiLCJ1dGlkIjoiY29udG9zbyJ9",
        "expires_in": 3600,
        "token_type": "Bearer",
    }
    cache.add(
        {
            "client_id": "11111111-2222-4333-8444-555555555555",
            "scope": ["https://graph.microsoft.com/Mail.Send"],
            "token_endpoint": "https://login.microsoftonline.com/contoso/oauth2/v2.0/token",
            "response": {name: value for name, value in response.items() if name != "id_token"},
            "params": {},
            "data": {},
        }
    )
    found: str = cache.serialize()
    return found


@given(OPAQUE, st.sampled_from(NAMES))
def test_a_secret_after_its_name_is_removed(secret: str, name: str) -> None:
    assert secret not in redact(f"failed with {name}{secret} at once")


@pytest.mark.parametrize("name", ['"password": "', "client_secret='", '\\"secret\\": \\"'])
def test_a_quoted_secret_is_removed_up_to_its_closing_quote(name: str) -> None:
    quote = name[-2:] if name.endswith('\\"') else name[-1]

    assert redact(f"{name}two words, & more{quote}, x") == f"{name}[redacted]{quote}, x"


@pytest.mark.parametrize("depth", range(4))
def test_a_token_cache_is_fully_redacted_however_often_it_is_serialized(depth: int) -> None:
    text = a_cache()
    for _ in range(depth):
        text = json.dumps({"kept": text})

    found = redact(f"ValueError: {text}")

    assert REFRESH_TOKEN not in found
    assert REFRESH_TOKEN[10:30] not in found
    assert TOKEN[:20] not in found
    assert "RefreshToken" in found


def test_a_token_cache_is_removed_from_a_python_value_too() -> None:
    assert REFRESH_TOKEN not in redact(repr(json.loads(a_cache())))


@pytest.mark.parametrize(
    "text",
    [
        f"url: /upload/{TOKEN}?x=1",
        f"redirect_uri%3Fid_token%3D{TOKEN}",
        f"got {REFRESH_TOKEN}",
        f"({TICKET})",
        f"https://mailer/api/consent/1/start/{TICKET}",
        f"repr: b'{TICKET}'",
    ],
)
def test_a_token_is_removed_at_every_place(text: str) -> None:
    found = redact(text)

    assert all(secret not in found for secret in (TOKEN, REFRESH_TOKEN, TICKET))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("to cfo@contoso.com, please", "to …@contoso.com, please"),
        ("users/ada%40contoso.com", "…@contoso.com"),
        ("<ada.lovelace+x@mail.contoso.com>", "<…@mail.contoso.com>"),
        ("ada@home@contoso.com", "…@contoso.com"),
        ("ada@", "…@"),
        ("'mary.o'brien@contoso.com'", "'…@contoso.com'"),
        ("Users('mary.o''brien@contoso.com')", "Users('…@contoso.com')"),
        ("user='ada@contoso.com'", "user='…@contoso.com'"),
        ("login_hint%3Dada%2540contoso.com", "…@contoso.com"),
    ],
)
def test_of_an_address_only_the_domain_is_left(text: str, left: str) -> None:
    assert redact(text) == left


@pytest.mark.parametrize(
    "text",
    [
        '{"status": "deferred", "message_id": "sales-weekly:2026-11-23T06:00Z:emea", "attempt": 2}',
        "sales-by-state:2026-11-23T06:00Z:emea, by-code:2026 and reset-password:2026",
        '  File "/home/site/wwwroot/shared/consent/callback.py", line 42, in start',
        "    @blueprint.route('health')",
        "6f1c0000-0000-4000-8000-0000000c0701 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f",
        "The container attachments does not exist",
    ],
)
def test_an_ordinary_text_is_not_changed(text: str) -> None:
    assert redact(text) == text


def test_a_value_ends_at_the_line_end_also_without_a_secret_on_the_next() -> None:
    assert redact("code='never closed\nand the next line") == "code='[redacted]\nand the next line"


HOSTILE: dict[str, Any] = {
    "one word": lambda size: "a" * size,
    "one word of a token's letters": lambda size: "eyJ" * (size // 3),
    "tokens without an end": lambda size: "eyJ." * (size // 4),
    "dots": lambda size: "." * size,
    "backslashes": lambda size: "\\" * size,
    "a name and backslashes": lambda size: 'code"' + "\\" * size,
    "quoted backslashes": lambda size: ('code="' + "\\" * 6) * (size // 12),
    "names": lambda size: "code" * (size // 4),
    "names and spaces": lambda size: ("code" + " " * 96) * (size // 100),
    "one name and spaces": lambda size: "code" + " " * size,
    "one scheme and spaces": lambda size: "bearer" + " " * size,
    "schemes": lambda size: "bearer " * (size // 7),
    "open quotes": lambda size: "code='" * (size // 6),
    "cookies": lambda size: "cookie" * (size // 6),
    "one cookie prefix": lambda size: "__host-" * (size // 7),
    "apostrophes": lambda size: "a'" * (size // 2),
    "at signs": lambda size: "@" * size,
    "encoded at signs": lambda size: "%40" * (size // 3),
    "encoded signs": lambda size: "%25" * (size // 3),
    "addresses": lambda size: "a@b." * (size // 4),
    "a path": lambda size: "/api/consent" * (size // 12),
    "line breaks": lambda size: "\n" * size,
}


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_text_costs_no_more_than_its_length(shape: str) -> None:
    grows_linearly(redact, HOSTILE[shape])


@given(st.text(alphabet="\\\"'=:& \n@.ecodstay-J%40", max_size=300))
def test_any_text_can_be_redacted_and_redacting_it_again_changes_nothing(text: str) -> None:
    once = redact(text)

    assert redact(once) == once
