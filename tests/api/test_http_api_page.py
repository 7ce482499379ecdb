"""docs/http-api.md matches the tables of the code."""

from __future__ import annotations

import re
from pathlib import Path

from shared.api.openapi.deliveries import RETRY_MANY
from shared.api.openapi.host_responses import HOST_RESPONSES
from shared.api.request import MAX_BODY_BYTES

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")


def test_the_page_lists_the_responses_of_the_host_without_a_body() -> None:
    listed = re.findall(r"^\| (\d{3}) \| (.*) \|$", PAGE, re.MULTILINE)

    assert {int(status): reason for status, reason in listed} == HOST_RESPONSES


def test_the_page_names_the_largest_body() -> None:
    assert f"at most {MAX_BODY_BYTES // 1024} KB" in PAGE
    assert f"deliveries/retry` {RETRY_MANY.max_body_bytes // 1024} KB" in PAGE
