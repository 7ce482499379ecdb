"""Switches for Microsoft behaviour that varies or is not published.

The likeliest value is the default.
"""

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
        consent_lag: seconds until a grant shows in tokens: a code then gives fewer scopes, a refresh for
            them is refused with 65001, and an app's token has fewer roles.
        app_lag: seconds from the first grant in a tenant until the token endpoint knows the app there
            (700016).
        stale_for: seconds from a grant for which every second token request, except for a code, goes to a
            server that does not know the grant: 65001 and 700016 in turn, or a token with the roles of
            before.
        token_requests_a_minute: how many token requests of an app, for itself or for one account, are
            accepted in a minute, 0 for any number: the next ones are throttled, each for another minute.
        forged_tenant: what `/adminconsent` says in `tenant`, in place of the truth.
        id_token: claims to change in every ID token; None takes one away.
        wanted_claims: a claims request as JSON, which Graph wants in every token: others get a 401 with this
            challenge, as continuous access evaluation does it. Entra puts the claims request into the token.
        wanted_claims_status: of that response: 403 as conditional access gives it, with `accessDenied`.
        claims_problem: the AADSTS number of the response to every token request with claims, 0 for none.
        rights_lag: seconds until Graph and Exchange count a consent, a role, Send As, Send on Behalf or Full
            Access, and until a change of an app's Exchange roles or access policy counts; before that the
            response is 403, as without it.
        opaque_tokens: Graph's tokens are no JWT, and only Graph can read them.
        latency: real seconds that every Graph and upload request takes at least.
        sent_items_lag: seconds from 202 until transport has the mail, and its copy is in Sent Items.
        transit_folder: where the mail is until then.
        replica_lag: seconds after a draft was made or sent, and after an upload session was made, in which
            a call that names it gets 404; lists have it at once.
        in_flight_limit: requests at a time for an app and mailbox.
        in_flight_retry_after: the text of that refusal's Retry-After; None for none.
        calls_limit: calls of an app to a mailbox in `calls_window` seconds, 0 for any number.
        upload_limit: bytes of POST, PUT and PATCH in `upload_window` seconds, 0 for any number; Microsoft's
            limit is 150 MB in 300 seconds.
        mails_limit: mails of an app from a mailbox in `mails_window` seconds, 0 for any number; those that
            are refused do not count. Exchange documents 30 a minute, for SMTP submission only.
        wall: the longest request body of Graph, in bytes.
        largest_post: a file posted in one piece is below this. Microsoft says 3 MB and not which kind,
        smallest_session: so by default a file between the two figures may go either way.
        chunk_limit: the longest chunk of an upload.
        session_lifetime: of an upload session, from its creation; uploading does not prolong it.
        long_subject: what happens to a subject of more than 255 characters.
        large_mailbox: looking for an extended property is not done in time, 504.
        longest_page: how much of a list one response holds, whatever was requested.
        next_range: how a chunk's response spells what comes next: `N`, `N-` or `N-M`.
        pascal_case: `NextExpectedRanges`, as the cloud run by 21Vianet has it.
        too_large_status: of `ErrorMessageSizeExceeded`.
        quota_status: of `ErrorExceededMaxRecipientLimit`.
        range_status: of a chunk that is not the next one.
        permanent_delete: whether messages can be deleted for good, as in the global cloud alone.
        resend_in_transit: whether a second `send` of a draft on its way makes a second mail.
    """

    decline_description: bool = True
    withheld_scopes: frozenset[str] = frozenset()
    consent_lag: float = 0.0
    app_lag: float = 0.0
    stale_for: float = 0.0
    token_requests_a_minute: int = 0
    forged_tenant: str = ""
    id_token: dict[str, Any] = field(default_factory=dict)
    wanted_claims: str = ""
    wanted_claims_status: int = 401
    claims_problem: int = 0
    rights_lag: float = 0.0
    opaque_tokens: bool = False
    latency: float = 0.0
    sent_items_lag: float = 1.0
    transit_folder: Literal["drafts", "outbox"] = "drafts"
    replica_lag: float = 0.0
    in_flight_limit: int = 4
    in_flight_retry_after: str | None = "2.128"
    calls_limit: int = 10_000
    calls_window: float = 600.0
    upload_limit: int = 0
    upload_window: float = 300.0
    mails_limit: int = 0
    mails_window: float = 60.0
    wall: int = 4 * MEGABYTE
    largest_post: int = 3_145_612
    smallest_session: int = 3_000_000
    chunk_limit: int = 4 * MEGABYTE
    session_lifetime: timedelta = timedelta(hours=2)
    long_subject: Literal["cut", "kept", "refused"] = "cut"
    large_mailbox: bool = False
    longest_page: int = 1000
    next_range: Literal["N", "N-", "N-M"] = "N"
    pascal_case: bool = False
    too_large_status: int = 413
    quota_status: int = 400
    range_status: int = 416
    permanent_delete: bool = True
    resend_in_transit: bool = True
