"""Every error of ours; its class says who acts next, its code which sentence explains it.

    MailerError
    ├── InvalidInputError          the caller changes the request
    │   ├── UnauthenticatedError   … and sends a valid token
    │   ├── ForbiddenError         … or asks somebody who may
    │   ├── NotFoundError
    │   ├── ConflictError          … after the state has changed
    │   └── PreconditionFailedError
    ├── ConsentRequiredError       an admin signs in again (missing, declined, revoked)
    ├── TransientError             wait, then repeat
    ├── ExpiredError               an admin decides whether the mail is still wanted
    ├── RejectedError              Microsoft 365 will never accept this mail
    └── OutcomeUnknownError        the request left us, the answer did not arrive
    ConfigurationError             the operator; deliberately outside the family,
                                   so that handling "a mail error" can't hide a broken deployment

Codes, sentences and actors stand in `problems.py`. Foreign exceptions become these in `adapters/`
only, always `raise … from` their cause. No error carries a token, a body or Microsoft's own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.problems import FieldError, Problem, explain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta


class ProblemError(Exception):
    """Carry a problem; never raised itself.

    Attributes:
        problem: what happened, who acts, in words.
        facts: what the words were filled with.
        request_id: Microsoft's id of the failed call, for their support.
    """

    def __init__(self, code: str, *, request_id: str | None = None, **facts: object) -> None:
        self.problem: Problem = explain(code, **facts)
        self.facts = {name: str(fact) for name, fact in facts.items()}
        self.request_id = request_id
        super().__init__(f"{request_id}: {self.problem}" if request_id else str(self.problem))

    @property
    def code(self) -> str:
        """The stable snake_case code."""
        return self.problem.code


class MailerError(ProblemError):
    """Stand for everything that can go wrong with a mail, a consent or a request."""


class InvalidInputError(MailerError):
    """The caller must change the request; an address that Exchange refuses is a RejectedError."""

    def __init__(self, code: str, *, fields: Iterable[FieldError] = (), **facts: object) -> None:
        super().__init__(code, request_id=None, **facts)
        self.fields = tuple(fields)


class UnauthenticatedError(InvalidInputError):
    """The caller has no valid token."""


class ForbiddenError(InvalidInputError):
    """The caller is known and may not do this."""


class NotFoundError(InvalidInputError):
    """The thing named by the request does not exist for this caller."""


class ConflictError(InvalidInputError):
    """The request contradicts the present state."""


class PreconditionFailedError(InvalidInputError):
    """The state moved on since the caller, or we, read it."""


class ConsentRequiredError(MailerError):
    """An admin must sign in again; an expired client secret is a ConfigurationError.

    Attributes:
        believed_after: how often Graph must say so before it is believed; it may err while Entra, which
            has the consent, still issues tokens.
    """

    def __init__(
        self, code: str, *, believed_after: int = 1, request_id: str | None = None, **facts: object
    ) -> None:
        super().__init__(code, request_id=request_id, **facts)
        self.believed_after = believed_after


class TransientError(MailerError):
    """Waiting helps; nothing was accepted.

    Attributes:
        retry_after: what the service asked for, or None where it did not say.
    """

    def __init__(
        self,
        code: str,
        *,
        retry_after: timedelta | None = None,
        request_id: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(code, request_id=request_id, **facts)
        self.retry_after = retry_after


class ExpiredError(MailerError):
    """The mail could not be sent in time."""


class RejectedError(MailerError):
    """Microsoft 365 will never accept this mail.

    Attributes:
        graph_code: Graph's own error code, or None where we refused before asking.
        believed_after: how often Graph must say so before it is believed; it refuses some mail at random.
    """

    def __init__(
        self,
        code: str,
        *,
        graph_code: str | None = None,
        believed_after: int = 1,
        request_id: str | None = None,
        **facts: object,
    ) -> None:
        shown = {} if graph_code is None else {"graph_code": graph_code}
        super().__init__(code, request_id=request_id, **shown, **facts)
        self.graph_code = graph_code
        self.believed_after = believed_after


class OutcomeUnknownError(MailerError):
    """The mail left us and nobody can tell yet whether it was accepted."""


class ConfigurationError(ProblemError):
    """The operator must act; the facts name the setting or the service."""
