"""The shapes by which many mails are retried in one call."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field, model_validator

from shared.contract import Contract, broken_field
from shared.deliveries.delivery import DeliveryStatus
from shared.deliveries.journey import read_token
from shared.deliveries.retry import REFUSALS
from shared.sending.fields import Moment
from shared.web.contract import ProblemView

#: As many as one call retries within the time that Azure's front end gives it.
MOST_MAILS = 500
_OF_A_PERIOD = ("status", "since", "until", "continuation_token")


class RetryBody(Contract):
    """Which mails to retry: `messageIds`, or a `status` and a period from `since` on.

    The period is of when the mails were queued, as in the list of deliveries; without `until` it goes on
    until now. Its newest mails come first, and `continuationToken` has the next call go on after the answer
    before.
    """

    message_ids: Annotated[tuple[str, ...], Field(min_length=1, max_length=MOST_MAILS)] | None = None
    status: DeliveryStatus | None = None
    since: Moment | None = None
    until: Moment | None = None
    continuation_token: str | None = None

    @model_validator(mode="after")
    def _names_mails_in_one_way(self) -> Self:
        if self.message_ids is None:
            self._check_period()
        elif self.model_fields_set & set(_OF_A_PERIOD):
            raise broken_field("messageIds", "give either messageIds, or status and since")
        return self

    def _check_period(self) -> None:
        if self.status is None:
            raise broken_field("status", "give either messageIds, or status and since")
        if self.status in REFUSALS:
            raise broken_field("status", "mails in this state cannot be retried")
        if self.since is None:
            raise broken_field("since", "is missing")

    @property
    def place(self) -> str | None:
        """Where the page before ended.

        Raises:
            ValueError: the token is none of ours.
        """
        return None if self.continuation_token is None else read_token(self.continuation_token)


class RetryResultView(Contract):
    """What the retry of one mail came to."""

    message_id: str = Field(description="Which mail.")
    retried: bool = Field(description="True if it is queued again.")
    next_attempt_at: datetime | None = Field(description="When it is sent; null where it is not retried.")
    problem: ProblemView | None = Field(description="Why it is not retried; null where it is.")


class RetryListView(Contract):
    """One result for each mail, and the token of the next call, if there may be more mails."""

    results: tuple[RetryResultView, ...]
    continuation_token: str | None
