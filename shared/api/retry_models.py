"""Define the shapes to retry many mails in one call."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.api.deliveries import read_token
from shared.api.problem_models import ProblemView
from shared.deliveries.retry import REFUSAL_CODES
from shared.deliveries.status import DeliveryStatus
from shared.mail.fields import Moment
from shared.schema import Contract, broken_field

#: How many mails one call retries at most, so that it ends before Azure's time limit.
MAX_MAILS = 500
_PERIOD_MEMBERS = ("status", "since", "until", "continuation_token")


class RetryBody(Contract):
    """The mails to retry: `messageIds`, or a `status` and a period.

    The period applies to the time at which the mails were queued, as in the list of deliveries. It begins at
    `since`, and without `until` it ends now. The newest mails are retried first, and `continuationToken`
    continues after the previous response.
    """

    message_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_MAILS)] | None = None
    status: DeliveryStatus | None = None
    since: Moment | None = None
    until: Moment | None = None
    continuation_token: str | None = None

    @model_validator(mode="after")
    def _names_mails_in_one_way(self) -> Self:
        if self.message_ids is None:
            self._check_period()
        elif self.model_fields_set & set(_PERIOD_MEMBERS):
            raise broken_field("messageIds", "give either messageIds, or status and since")
        return self

    def _check_period(self) -> None:
        if self.status is None:
            raise broken_field("status", "give either messageIds, or status and since")
        if self.status in REFUSAL_CODES:
            raise broken_field("status", "mails in this state cannot be retried")
        if self.since is None:
            raise broken_field("since", "is missing")

    @property
    def place(self) -> str | None:
        """The key in the delivery log at which the previous page ended.

        Raises:
            ValueError: the app did not issue the token.
        """
        return None if self.continuation_token is None else read_token(self.continuation_token)


class RetryResultView(Contract):
    """The result of one mail's retry."""

    message_id: str = Field(description="The id of the mail.")
    retried: bool = Field(description="True if the mail is queued again.")
    next_attempt_at: datetime | None = Field(
        description="Time of the next attempt; null if the mail is not retried."
    )
    problem: ProblemView | None = Field(description="Why the mail is not retried; null if it is.")


class RetryListView(Contract):
    """One result per mail, and a token if there may be more mails."""

    results: tuple[RetryResultView, ...]
    continuation_token: str | None
