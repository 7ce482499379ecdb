"""JSON from outside: what is read, and what is said of bytes that are none."""

import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.json_input import read_json

VALUES = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES, st.sampled_from([b"", b"\xef\xbb\xbf"]))
def test_json_in_utf_8_is_read_with_or_without_a_byte_order_mark(value: Any, mark: bytes) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")

    assert read_json(mark + text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf \n", "is empty"),
        ("{}".encode("utf-16"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-16-be"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-16-le"), "is text in UTF-16, not JSON in UTF-8"),
        ("{}".encode("utf-32-be"), "is text in UTF-32, not JSON in UTF-8"),
        ("{}".encode("utf-32-le"), "is text in UTF-32, not JSON in UTF-8"),
        ("{}".encode("utf-32"), "is text in UTF-32, not JSON in UTF-8"),
        (gzip.compress(b"{}", mtime=0), "is compressed data (gzip), not JSON in UTF-8"),
        (b"PK\x03\x04", "is a zip archive, not JSON in UTF-8"),
        (
            '{"a": "größe"}'.encode("latin-1"),
            "is text in another encoding than UTF-8, not JSON in UTF-8",
        ),
        (b"<report/>", "is not valid JSON (line 1, column 1)"),
        (b'{"a": 1,\n}', "is not valid JSON (line 2, column 1)"),
        (b"{} {}", "is not valid JSON (line 1, column 4)"),
    ],
)
def test_what_is_no_json_is_named(text: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=r"^is ") as refused:
        read_json(text)

    assert str(refused.value) == said
