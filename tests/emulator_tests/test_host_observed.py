"""HTTP responses equal those of the open-source Functions host.

`functions_host_observed.json` holds what was observed, without what no client depends on: framing, the
`Server` header, the order of headers. `accepted_differences.txt` names the accepted differences.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.emulator_tests.functions_host import RawResponse, SampleHost, sample_host
from tests.local_stack.host_process import CORE_TOOLS, MASTER_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.local_stack.azurite import Azurite

pytestmark = pytest.mark.stack

HERE = Path(__file__).parent
OBSERVED = json.loads((HERE / "functions_host_observed.json").read_text("utf-8"))["http"]
FRAMING = {"content-length", "transfer-encoding", "connection", "keep-alive", "date"}
CHUNK = b"x" * 1_000_000
MAX_ACCEPTED = 10


def accepted() -> dict[str, str]:
    """Read the accepted differences: patterns with their reasons."""
    lines = (HERE / "accepted_differences.txt").read_text("utf-8").splitlines()
    pairs = (line.partition(" # ") for line in lines if line and not line.startswith("#"))
    return {pattern.strip(): reason.strip() for pattern, _, reason in pairs}


def observations(*, long: bool) -> list[Any]:
    """Return observations as parameters; Core Tools require no keys."""
    skip = pytest.mark.skipif(CORE_TOOLS is not None, reason="Core Tools ask for no keys.")
    return [
        pytest.param(each, id=each["name"], marks=[skip] if each["name"].startswith("key: ") else [])
        for each in OBSERVED
        if each.get("long", False) is long
    ]


def send(host: SampleHost, request: dict[str, Any], name: str = "localhost") -> RawResponse:
    """Send the request of an observation."""
    headers = [(each[0], each[1]) for each in request.get("headers", ())]
    headers += [("X-Name", "x" * request["header_size"])] if "header_size" in request else []
    headers += [(f"X-Name-{number}", "x") for number in range(request.get("header_count", 0))]
    headers += [("x-functions-key", MASTER_KEY)] if request.get("key") else []
    target = request["target"] + "x" * request.get("padding", 0)
    chunks = [chunk.encode() for chunk in request["chunks"]] if "chunks" in request else None
    body = request["body"].encode() if "body" in request else None
    if "size" in request:
        body = b"x" * request["size"]
    if request.get("chunked"):
        body, chunks = None, [CHUNK] * (request["size"] // len(CHUNK))
    return host.request(request["method"], target, headers, body, chunks=chunks, host=name, seconds=100)


def shown(response: RawResponse, wanted: dict[str, Any], host: SampleHost) -> dict[str, Any]:
    """Return the parts of a response that an observation contains."""
    headers = {name: value for name, value in response.headers if name.casefold() not in FRAMING}
    if headers.get("Server") == "Kestrel":
        del headers["Server"]
    # The worker package decides how it spells these; how a function spells its own counts.
    headers = {"Content-Type" if name == "content-type" else name: value for name, value in headers.items()}
    every: dict[str, Any] = {
        "status": response.status,
        "headers": headers,
        "closes": response.header("connection") == "close",
        "body": response.body.decode("latin-1"),
        "size": len(response.body),
        "cookies": [value for name, value in response.headers if name.casefold() == "set-cookie"],
    }
    if "seen" in wanted and response.status == 200:
        seen = response.json()
        seen["url"] = seen["url"].removeprefix(host.child.url)
        seen["headers"] = {name: value for name, value in seen["headers"].items() if name != "host"}
        every["seen"] = {name: seen[name] for name in wanted["seen"]}
    return {name: every.get(name) for name in wanted}


@pytest.fixture(scope="module")
def host(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SampleHost]:
    with sample_host(azurite, tmp_path_factory.mktemp("observed")) as running:
        yield running


@pytest.mark.parametrize("observation", observations(long=False))
def test_the_response_is_that_of_the_functions_host(host: SampleHost, observation: dict[str, Any]) -> None:
    response = send(host, observation["request"])

    assert shown(response, observation["response"], host) == observation["response"]


@pytest.mark.long
@pytest.mark.parametrize("observation", observations(long=True))
def test_the_response_to_a_body_of_100_mb_is_that_of_the_functions_host(
    host: SampleHost, observation: dict[str, Any]
) -> None:
    response = send(host, observation["request"])

    assert shown(response, observation["response"], host) == observation["response"]


def test_there_are_at_most_ten_accepted_differences_each_with_a_reason() -> None:
    assert len(accepted()) <= MAX_ACCEPTED
    assert [pattern for pattern, reason in accepted().items() if len(reason.split()) < 3] == []


@pytest.mark.skipif(CORE_TOOLS is not None, reason="The differences are those of the local host.")
@pytest.mark.parametrize("pattern", list(accepted()))
def test_an_accepted_difference_is_still_one(host: SampleHost, pattern: str) -> None:
    fitting = [each for each in OBSERVED if fnmatchcase(each["name"], pattern)]

    found = [shown(send(host, each["request"], "127.0.0.1"), each["response"], host) for each in fitting]

    assert fitting
    assert found != [each["response"] for each in fitting]


def test_the_domain_is_all_that_differs_in_a_cookie_under_another_name(host: SampleHost) -> None:
    cookies = [each for each in OBSERVED if each["name"].startswith("cookie ")]

    for each in cookies:
        found = shown(send(host, each["request"], "127.0.0.1"), each["response"], host)
        without = [cookie.replace("domain=127.0.0.1", "domain=") for cookie in found["cookies"]]
        assert without == each["response"]["cookies"], each["name"]
