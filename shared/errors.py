"""Define the app's errors; the class of an error says who must act.

    MailerError
    ├── InvalidInputError            The caller must change the request.
    │   ├── UnauthenticatedError     The caller has no valid token.
    │   ├── ForbiddenError           The caller may not do this.
    │   ├── NotFoundError            What the request names does not exist.
    │   ├── ConflictError            The request conflicts with the current state.
    │   ├── PayloadTooLargeError     The request is too large.
    │   ├── LengthRequiredError      The request does not say how long its body is.
    │   └── PreconditionFailedError  The state has changed since it was read.
    ├── ConsentRequiredError         An admin must sign in again: the consent is missing, declined or revoked.
    │   └── ConditionalAccessError   An admin must sign in again or change a conditional access policy.
    ├── TransientError               Nobody must act; the app retries.
    │   └── NothingSentError         The same, and Graph was not called.
    ├── ExpiredError                 The time of the mail is over; an admin may send it again.
    ├── RejectedError                Microsoft 365 does not accept this mail.
    │   ├── MissingFileError         An attachment was not uploaded.
    │   ├── RefusedRecipientError    Exchange does not accept a recipient.
    │   └── SenderRefusedError       Microsoft 365 accepts no mail of this sender.
    └── OutcomeUnknownError          The mail was sent to Graph, and no response arrived.
    ConfigurationError               The operator must act. It is not handled like a MailerError.
    └── TokenRefusedError            Graph does not accept Entra's token.

Each error has a code, from which `problems.py` finds its text. `adapters/` turns exceptions of libraries into
these errors, always with `raise … from`. No error contains a token, a body or Microsoft's own text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from shared.problems import Problem, complete_record, explain, limit_fields

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import timedelta

    from shared.problems import FieldError


class ProblemError(Exception):
    """The base class of the app's errors, which is never raised itself.

    Attributes:
        problem: what happened and who must act, as texts.
        params: the parameters of the texts.
        request_id: Microsoft's id of the failed call, for Microsoft's support.
        replicating: what not every server of Microsoft may know yet, because it was just created or granted.
        confirm_after: how often a mail must fail with this error before the app acts on it.
    """

    replicating: Literal["", "app", "consent", "credential"] = ""
    confirm_after: int = 1

    def __init__(self, code: str, *, request_id: str | None = None, **params: object) -> None:
        self.problem: Problem = explain(code, **params)
        self.params = {name: str(value) for name, value in params.items()}
        self.request_id = request_id
        super().__init__(f"{request_id}: {self.problem}" if request_id else str(self.problem))

    @classmethod
    def from_record(cls, code: str, params: Mapping[str, str]) -> Self:
        """Return the error for a stored problem, maybe of another version."""
        known, complete = complete_record(code, params)
        return cls(known, **complete)  # `complete` has no parameter with the name of an argument

    def with_params(self, **more: object) -> Self:
        """Return the same error with parameters that make its text specific."""
        same = type(self).__new__(type(self))
        same.__dict__.update(self.__dict__)
        ProblemError.__init__(same, self.code, request_id=self.request_id, **(self.params | more))
        return same

    @property
    def code(self) -> str:
        """The stable snake_case code."""
        return self.problem.code


class MailerError(ProblemError):
    """Any error of a mail, a consent or a request.

    Attributes:
        maybe_sent_anyway: whether Graph may have sent a mail that it refused with this error.
    """

    maybe_sent_anyway = False


class InvalidInputError(MailerError):
    """The caller must change the request.

    For an address that Exchange refuses, see RejectedError.

    Attributes:
        fields: the first invalid fields; if there are more, the last entry says how many.
    """

    def __init__(
        self, code: str, *, fields: Iterable[FieldError] = (), request_id: str | None = None, **params: object
    ) -> None:
        super().__init__(code, request_id=request_id, **params)
        self.fields = tuple(limit_fields(fields))


class UnauthenticatedError(InvalidInputError):
    """The caller has no valid token."""


class ForbiddenError(InvalidInputError):
    """The caller is known but not allowed to do this."""


class NotFoundError(InvalidInputError):
    """What the request names does not exist for this caller."""


class ConflictError(InvalidInputError):
    """The request conflicts with the current state."""


class PreconditionFailedError(InvalidInputError):
    """The state changed since the caller or the app read it."""


class PayloadTooLargeError(InvalidInputError):
    """The request is larger than this operation accepts."""


class LengthRequiredError(InvalidInputError):
    """A body was announced without a length, and did not arrive."""


class ConsentRequiredError(MailerError):
    """An admin must sign in again."""


class ConditionalAccessError(ConsentRequiredError):
    """Conditional access refuses a token, even with the claims it asked for."""

    confirm_after = 3


class TransientError(MailerError):
    """The app tries again; nobody must act.

    Attributes:
        retry_after: the wait that the service asked for, if any.
    """

    maybe_sent_anyway = True  # unless a subclass says that nothing was sent

    def __init__(
        self,
        code: str,
        *,
        retry_after: timedelta | None = None,
        request_id: str | None = None,
        **params: object,
    ) -> None:
        super().__init__(code, request_id=request_id, **params)
        self.retry_after = retry_after


class NothingSentError(TransientError):
    """Nothing was sent, because no connection was established."""

    maybe_sent_anyway = False


class ExpiredError(MailerError):
    """The mail could not be sent in time."""


class RejectedError(MailerError):
    """Microsoft 365 will never accept this mail.

    Attributes:
        graph_code: Graph's error code, or None if the app refused without a call.
        confirm_after: how often Graph must refuse the mail before this counts; it refuses some at random.
    """

    def __init__(
        self,
        code: str,
        *,
        graph_code: str | None = None,
        confirm_after: int = 1,
        request_id: str | None = None,
        **params: object,
    ) -> None:
        shown = {} if graph_code is None else {"graph_code": graph_code}
        super().__init__(code, request_id=request_id, **shown, **params)
        self.graph_code = graph_code
        self.confirm_after = confirm_after


class SenderRefusedError(RejectedError):
    """Microsoft 365 refuses the mailbox or the permission to send from it."""


class RefusedRecipientError(RejectedError):
    """Exchange refuses a recipient.

    Attributes:
        mentioned: the addresses that the response has, in lower case; not checked.
    """

    mentioned: tuple[str, ...] = ()


class MissingFileError(RejectedError):
    """A file of the mail is not in the container yet."""

    def __init__(self, blob: str) -> None:
        super().__init__("attachment_not_found", blob=blob)


class OutcomeUnknownError(MailerError):
    """The mail was sent, and it is not known whether it was accepted."""


class ConfigurationError(ProblemError):
    """The operator must act; the parameters name the setting or service."""


class TokenRefusedError(ConfigurationError):
    """Graph refuses a token. Only Entra can say that a consent is lost.

    Attributes:
        claims: what Graph requires in another token, as JSON; None if it requires nothing.
        conditional_access: the response has the code `insufficient_claims`, which means that a person must
            sign in again or an admin must change a policy, and not that a setting of the operator is wrong.
    """

    confirm_after = 3

    def __init__(
        self,
        code: str,
        *,
        claims: str | None = None,
        conditional_access: bool = False,
        request_id: str | None = None,
        **params: object,
    ) -> None:
        super().__init__(code, request_id=request_id, **params)
        self.claims = claims
        self.conditional_access = conditional_access
