"""Where Microsoft's behaviour varies or is not published: one switch each, the likeliest value set."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from .directory import MEGABYTE


@dataclass
class Behaviour:
    """Switches that a test may set at any time.

    Attributes:
        decline_description: declining carries an `error_description`; sometimes Entra sends none.
        withheld_scopes: permissions that consent pages silently do not grant.
        forged_tenant: what `/adminconsent` says in `tenant`, in place of the truth.
        id_token: claims to change in every ID token; None takes one away.
        latency: real seconds that every Graph and upload request takes at least.
        sent_items_lag: seconds from 202 until the copy is in Sent Items.
        in_flight_limit: requests at a time for an app and mailbox.
        in_flight_retry_after: the text of that refusal's Retry-After; None for none.
        wall: the longest request body of Graph, in bytes.
        largest_post: a file posted in one piece is below this. Microsoft says 3 MB and not which kind,
        smallest_session: so by default a file between the two figures may go either way.
        chunk_limit: the longest chunk of an upload.
        session_lifetime: of an upload session, from its creation; uploading does not prolong it.
        longest_page: how much of a list one answer holds, whatever was asked for.
        next_range: how a chunk's answer spells what comes next: `N`, `N-` or `N-M`.
        pascal_case: `NextExpectedRanges`, as the cloud run by 21Vianet has it.
        too_large_status: of `ErrorMessageSizeExceeded`.
        quota_status: of `ErrorExceededMaxRecipientLimit`.
        range_status: of a chunk that is not the next one.
        resend_in_transit: whether a second `send` of a draft on its way makes a second mail.
    """

    decline_description: bool = True
    withheld_scopes: frozenset[str] = frozenset()
    forged_tenant: str = ""
    id_token: dict[str, Any] = field(default_factory=dict)
    latency: float = 0.0
    sent_items_lag: float = 1.0
    in_flight_limit: int = 4
    in_flight_retry_after: str | None = "2.128"
    wall: int = 4 * MEGABYTE
    largest_post: int = 3 * MEGABYTE
    smallest_session: int = 3_000_000
    chunk_limit: int = 4 * MEGABYTE
    session_lifetime: timedelta = timedelta(hours=2)
    longest_page: int = 1000
    next_range: Literal["N", "N-", "N-M"] = "N"
    pascal_case: bool = False
    too_large_status: int = 413
    quota_status: int = 400
    range_status: int = 416
    resend_in_transit: bool = True
