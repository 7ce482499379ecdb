"""Every error of ours; its class says who acts next, its code which sentence explains it.

    MailerError
    ├── InvalidInputError          the caller changes the request
    │   ├── UnauthenticatedError   … and sends a valid token
    │   ├── ForbiddenError         … or asks somebody who may
    │   ├── NotFoundError
    │   ├── ConflictError          … after the state has changed
    │   ├── PayloadTooLargeError   … and makes it smaller
    │   ├── LengthRequiredError    … and says how long it is
    │   └── PreconditionFailedError
    ├── ConsentRequiredError       an admin signs in again (missing, declined, revoked)
    │   └── ConditionalAccessError … or changes a rule of the organisation
    ├── TransientError             wait, then repeat
    │   └── NothingSentError       … Graph was not reached
    ├── ExpiredError               an admin decides whether the mail is still wanted
    ├── RejectedError              Microsoft 365 will never accept this mail
    │   ├── MissingFileError       … unless its file comes within minutes
    │   ├── RefusedRecipientError  … to one of its recipients
    │   └── SenderRefusedError     … nor any other, before the mailbox or a right is mended
    └── OutcomeUnknownError        the request left us, the answer did not arrive
    ConfigurationError             the operator; deliberately outside the family,
                                   so that handling "a mail error" can't hide a broken deployment
    └── TokenRefusedError          … unless Graph takes another token

Codes, sentences and actors stand in `problems.py`. Foreign exceptions become these in `adapters/`
only, always `raise … from` their cause. No error carries a token, a body or Microsoft's own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from shared.problems import Problem, explain, first_of, recorded

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from shared.problems import FieldError


class ProblemError(Exception):
    """Carry a problem; never raised itself.

    Attributes:
        problem: what happened, who acts, in words.
        facts: what the words were filled with.
        request_id: Microsoft's id of the failed call, for their support.
        unseen: what Microsoft's servers do not know, though it may have been given just now.
        confirm_after: how often a mail must end with this error, minutes apart, before it counts.
    """

    unseen: Literal["", "app", "consent", "credential"] = ""
    confirm_after: int = 1

    def __init__(self, code: str, *, request_id: str | None = None, **facts: object) -> None:
        self.problem: Problem = explain(code, **facts)
        self.facts = {name: str(fact) for name, fact in facts.items()}
        self.request_id = request_id
        super().__init__(f"{request_id}: {self.problem}" if request_id else str(self.problem))

    @classmethod
    def recalled(cls, code: str, facts: Mapping[str, str]) -> Self:
        """Raise a stored problem again, which another version of the app may have written."""
        known, complete = recorded(code, facts)
        return cls(known, **complete)  # facts have no parameter's name

    def with_facts(self, **more: object) -> Self:
        """Return the same error with facts by which its sentence says more."""
        same = type(self).__new__(type(self))
        same.__dict__.update(self.__dict__)
        ProblemError.__init__(same, self.code, request_id=self.request_id, **(self.facts | more))
        return same

    @property
    def code(self) -> str:
        """The stable snake_case code."""
        return self.problem.code


class MailerError(ProblemError):
    """Stand for everything that can go wrong with a mail, a consent or a request.

    Attributes:
        maybe_sent: of a refusal to take a mail that was handed over, whether it may be sent all the same.
    """

    maybe_sent = False


class InvalidInputError(MailerError):
    """The caller must change the request; an address that Exchange refuses is a RejectedError.

    Attributes:
        fields: the broken fields. Of many only the first, because they are stored in a row of 64 KB and
            read by a person; the last entry then says how many more there are.
    """

    def __init__(self, code: str, *, fields: Iterable[FieldError] = (), **facts: object) -> None:
        super().__init__(code, request_id=None, **facts)
        self.fields = tuple(first_of(fields))


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


class PayloadTooLargeError(InvalidInputError):
    """The request is larger than this operation reads."""


class LengthRequiredError(InvalidInputError):
    """The request announced a body without its length, and the body did not arrive."""


class ConsentRequiredError(MailerError):
    """An admin must sign in again; an expired client secret is a ConfigurationError."""


class ConditionalAccessError(ConsentRequiredError):
    """Conditional access refuses the tokens at Graph, also those with the claims it asked for."""

    confirm_after = 3


class TransientError(MailerError):
    """Waiting helps; a mail that was handed over may be sent all the same, unless the error says otherwise.

    Attributes:
        retry_after: what the service asked for, or None where it did not say.
    """

    maybe_sent = True

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


class NothingSentError(TransientError):
    """No connection came about, so nothing was handed over."""

    maybe_sent = False


class ExpiredError(MailerError):
    """The mail could not be sent in time."""


class RejectedError(MailerError):
    """Microsoft 365 will never accept this mail.

    Attributes:
        graph_code: Graph's own error code, or None where we refused before asking.
        confirm_after: how often Graph must say so before it counts; it refuses some mail at random.
    """

    def __init__(
        self,
        code: str,
        *,
        graph_code: str | None = None,
        confirm_after: int = 1,
        request_id: str | None = None,
        **facts: object,
    ) -> None:
        shown = {} if graph_code is None else {"graph_code": graph_code}
        super().__init__(code, request_id=request_id, **shown, **facts)
        self.graph_code = graph_code
        self.confirm_after = confirm_after


class SenderRefusedError(RejectedError):
    """Microsoft 365 refuses the mailbox or the right to send from it, whatever the mail is."""


class RefusedRecipientError(RejectedError):
    """Exchange refuses a recipient.

    Attributes:
        mentioned: the addresses in lower case that its answer mentions, unchecked.
    """

    mentioned: tuple[str, ...] = ()


class MissingFileError(RejectedError):
    """A file of the mail is not in the container; it may still come."""

    def __init__(self, blob: str) -> None:
        super().__init__("attachment_not_found", blob=blob)


class OutcomeUnknownError(MailerError):
    """The mail left us and nobody can tell yet whether it was accepted."""


class ConfigurationError(ProblemError):
    """The operator must act; the facts name the setting or the service."""


class TokenRefusedError(ConfigurationError):
    """Graph refuses a token that Entra issued; only Entra says whether a consent is lost.

    Attributes:
        claims: what Graph wants in another token, as JSON; None where it did not say.
        conditional_access: whether the answer says `insufficient_claims`: a sign-in or a rule of the
            organisation is missing, not a setting of the operator.
    """

    confirm_after = 3

    def __init__(
        self,
        code: str,
        *,
        claims: str | None = None,
        conditional_access: bool = False,
        request_id: str | None = None,
        **facts: object,
    ) -> None:
        super().__init__(code, request_id=request_id, **facts)
        self.claims = claims
        self.conditional_access = conditional_access
