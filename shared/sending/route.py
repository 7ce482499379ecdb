"""How a mail travels: chosen by its sizes and by what was consented to. Pure.

https://learn.microsoft.com/graph/outlook-large-attachments: a whole request may have 4 MB, base64
included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Below Graph's wall whether it counts 4 000 000 or 4 194 304 bytes, with room for the rest of the JSON.
MAX_REQUEST_BYTES = 3_900_000


def encoded_size(size: int) -> int:
    """Return what base64 makes of a file."""
    return (size + 2) // 3 * 4


def check_fits_one_request(message_bytes: int, file_sizes: Iterable[int]) -> None:
    """Refuse a mail that one request can't carry, before anything is read or sent.

    Raises:
        RejectedError: `large_file_attachments_off`.
    """
    sizes = list(file_sizes)
    if message_bytes + sum(encoded_size(size) for size in sizes) > MAX_REQUEST_BYTES:
        raise RejectedError("large_file_attachments_off", size=_megabytes(message_bytes + sum(sizes)))


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:.1f} MB"
