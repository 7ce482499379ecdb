"""Chunked bodies are refused, and docs/http-api.md's C# example works."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.api.openapi.document import OPERATIONS
from tests.local_stack.clients import mails_of
from tests.local_stack.loopback import loopback_session
from tests.local_stack.microsoft365.contoso import ADA

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from shared.api.openapi.operation import Operation
    from tests.local_stack.clients import Admin
    from tests.local_stack.stack import LocalStack

pytestmark = pytest.mark.stack

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")
CSHARP = str(re.findall(r"^```csharp\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[0])
WITH_BODY = [operation for operation in OPERATIONS if operation.takes_body]
FLOW_ID = "00000000-0000-4000-8000-000000000001"


def example() -> tuple[str, dict[str, Any]]:
    """Return the path and the body of the C# example."""
    path = re.search(r'PostAsync\("([^"]+)"', CSHARP)
    body = re.search(r"JsonContent\.Create\(new (\{.*?\})\)", CSHARP)
    assert path
    assert body
    return path[1], json.loads(re.sub(r"(\w+) = ", r'"\1": ', body[1]))


def send(
    stack: LocalStack, method: str, path: str, body: Iterator[bytes] | bytes, content_type: str
) -> requests.Response:
    """Send a body with its length, or an iterator in chunks."""
    headers = {
        "Content-Type": content_type,
        "Authorization": f"Bearer {stack.microsoft365.api_token(ADA)}",
    }
    with loopback_session(stack.authority.ca_file) as session:
        url = f"{stack.api_url}/api/{path}"
        return session.request(method, url, data=body, headers=headers, timeout=30, allow_redirects=False)


def test_the_csharp_example_sets_the_length_before_it_sends() -> None:
    assert CSHARP.index("await content.LoadIntoBufferAsync();") < CSHARP.index("PostAsync(")
    assert "AsJsonAsync" not in CSHARP


def test_the_request_of_the_csharp_example_works_with_content_length_only(
    enabled: Admin, stack: LocalStack
) -> None:
    path, content = example()
    text = json.dumps(content).encode()
    known = {each["messageId"] for each in enabled.read("deliveries?limit=200")["deliveries"]}

    refused = send(stack, "POST", path, iter([text]), "application/json")
    sent = send(stack, "POST", path, text, "application/json")

    assert refused.request.headers["Transfer-Encoding"] == "chunked"
    assert (refused.status_code, refused.json()["code"]) == (411, "content_length_required")
    assert "LoadIntoBufferAsync()" in refused.json()["detail"]
    assert sent.request.headers["Content-Length"] == str(len(text))
    assert sent.status_code == 202
    enabled.delivery(sent.json()["messageId"], "accepted")
    (mail,) = mails_of(stack.microsoft365.mails(), sent.json()["messageId"])
    # An empty body would mean the caller.
    assert mail.recipients == [content["to"]]
    queued = {each["messageId"] for each in enabled.read("deliveries?limit=200")["deliveries"]}
    assert queued - known == {sent.json()["messageId"]}


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.name)
def test_no_operation_takes_a_chunked_body_for_none(
    enabled: Admin, stack: LocalStack, operation: Operation
) -> None:
    before = enabled.settings()
    content_type = "application/json" if operation.body else "application/x-www-form-urlencoded"

    response = send(
        stack, operation.method, operation.path.replace("{flowId}", FLOW_ID), iter([b"{}"]), content_type
    )

    assert response.status_code == 411
    assert enabled.settings() == before
