"""The faults: which request fails next, and how."""

import random
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .vocabulary import vocabulary

type BodyKind = Literal["json", "detailed", "nested", "empty_code", "html", "empty", "raw", "text"]
type Connection = Literal["kept", "closed", "reset", "refused"]


@dataclass(frozen=True)
class Effect:
    """The effect of a fault on a request.

    Attributes:
        status: the response's status; 0 leaves the true response in place.
        code: Graph's error code, or Entra's OAuth error.
        retry_after: the header's text (`2.128`, `10`, an HTTP date); None for no header.
        body: how the error is written: whole, inside a general code (`detailed`), with nested innererror,
            with an empty code, as HTML, not at all, or the message alone, as JSON (`raw`) or text (`text`).
        accepted: the request is carried out all the same, and only its response is wrong.
        delay: real seconds between carrying out and the response.
        connection: `closed` after the response; `reset` after the body was read, without a response;
            `refused` before it was read.
        aadsts: an Entra number, which brings its own error, status and suberror.
        headers: further headers of the response.
        general: the code around a detailed one.
    """

    status: int = 0
    code: str = ""
    message: str = "A fault that was added."
    retry_after: str | None = None
    body: BodyKind = "json"
    accepted: bool = False
    delay: float = 0.0
    connection: Connection = "kept"
    aadsts: int = 0
    suberror: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    general: str = "generalException"


#: The usual ones by name, for people and for `/_control/faults`.
FAULT_EFFECTS = {
    "throttled": Effect(
        429, "ApplicationThrottled", "Application is over its MailboxConcurrency limit.", "2.128"
    ),
    "throttled without Retry-After": Effect(429, "TooManyRequests", "Too many requests."),
    "busy": Effect(503, "ErrorServerBusy", "The server cannot service this request right now.", "5"),
    "busy and closed": Effect(503, "serviceNotAvailable", "Try again.", connection="closed"),
    "internal error": Effect(500, "ErrorInternalServerError", "An internal server error occurred."),
    "bad gateway": Effect(502, "UnknownError", body="html"),
    "timeout": Effect(504, "ErrorTimeoutExpired", "The operation timed out."),
    "timeout but accepted": Effect(504, "ErrorTimeoutExpired", "The operation timed out.", accepted=True),
    "throttled but accepted": Effect(
        429,
        "ApplicationThrottled",
        "Application is over its MailboxConcurrency limit.",
        "2.128",
        accepted=True,
    ),
    "throttled page but accepted": Effect(429, body="html", accepted=True),
    "too many at once but accepted": Effect(
        429, "CommandConcurrencyLimitReached", "The number of concurrent commands is too high.", accepted=True
    ),
    "busy but accepted": Effect(
        503, "ErrorServerBusy", "The server cannot service this request right now.", "5", accepted=True
    ),
    "busy page but accepted": Effect(503, body="html", accepted=True),
    "accepted with Retry-After": Effect(retry_after="10"),
    "reset": Effect(connection="reset"),
    "reset but accepted": Effect(connection="reset", accepted=True),
    "refused": Effect(connection="refused"),
    "slow": Effect(delay=15.0),
    "token expired": Effect(
        401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."
    ),
    "conflict": Effect(
        412, "ErrorIrresolvableConflict", "The send or update operation could not be performed."
    ),
    "access denied": Effect(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    "send as denied": Effect(403, "ErrorSendAsDenied", "The user account doesn't have the right to send as."),
    "recipient refused": Effect(400, "ErrorInvalidRecipients", "At least one recipient isn't valid."),
    "too large": Effect(413, "BadRequest", "The maximum request length supported is 4MB."),
    "mailbox full": Effect(507, "ErrorQuotaExceeded", "The mailbox is full."),
    "daily limit": Effect(403, "ErrorExceededMessageLimit", "Daily Message limit exceeded."),
    "refresh token expired": Effect(aadsts=700082),
    "grant revoked": Effect(aadsts=50173),
    "needs MFA": Effect(aadsts=50076),
    "secret expired": Effect(aadsts=7000222),
    "Entra busy": Effect(aadsts=90033),
    "Entra throttled": Effect(429, message="Too Many Requests", retry_after="60", body="text"),
    "Entra request loop": Effect(aadsts=50196),
    **{name: Effect(**members) for name, members in vocabulary().items()},
}


@dataclass(frozen=True)
class Fault:
    """A matcher and its effect.

    Attributes:
        operation: as in the request log; `token` also matches `token.refresh_token`; `*` matches all.
        mailbox: an address; empty for any.
        nth: the first matching request that is hit, counted from when the fault was added.
        times: how many requests are hit from then on; 0 for all of them.
        chance: how likely a request that is due is hit, 1 for surely; drawn from a seeded sequence.
    """

    operation: str
    effect: Effect
    mailbox: str = ""
    nth: int = 1
    times: int = 1
    chance: float = 1.0

    def matches(self, operation: str, mailbox: str) -> bool:
        """Return whether the fault applies to a request."""
        named = self.operation == "*" or f"{operation}.".startswith(f"{self.operation}.")
        return named and self.mailbox.lower() in ("", mailbox.lower())


@dataclass
class _PendingFault:
    fault: Fault
    seen: int = 0
    hits: int = 0


class Faults:
    """Faults in order; a request takes the first that matches and is due.

    Attributes:
        hits: the number of requests affected so far.
    """

    def __init__(self) -> None:
        self.hits = 0
        self._lock = threading.Lock()
        self._pending: list[_PendingFault] = []
        self._chance = random.Random(0)

    def seed(self, number: int) -> None:
        """Begin another sequence of chances."""
        with self._lock:
            self._chance.seed(number)

    def add(
        self,
        operation: str,
        effect: Effect | str,
        *,
        mailbox: str = "",
        nth: int = 1,
        times: int = 1,
        chance: float = 1.0,
    ) -> Fault:
        """Add a fault: an effect or a name in `FAULT_EFFECTS`, else KeyError."""
        chosen = FAULT_EFFECTS[effect] if isinstance(effect, str) else effect
        fault = Fault(operation, chosen, mailbox, nth, times, chance)
        with self._lock:
            self._pending.append(_PendingFault(fault))
        return fault

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._pending.clear()

    def waiting(self) -> list[Fault]:
        """List the faults that are not used up."""
        with self._lock:
            return [pending.fault for pending in self._pending]

    def take(self, operation: str, mailbox: str) -> Effect | None:
        """Choose the fault of a request and count its use."""
        with self._lock:
            for pending in self._pending:
                if not pending.fault.matches(operation, mailbox):
                    continue
                pending.seen += 1
                if pending.seen >= pending.fault.nth and self._chance.random() < pending.fault.chance:
                    pending.hits += 1
                    self.hits += 1
                    if pending.hits == pending.fault.times:
                        self._pending.remove(pending)
                    return pending.fault.effect
        return None
