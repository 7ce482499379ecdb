"""Store the state of a mail's draft, to continue it in a later attempt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import AwareDatetime, ConfigDict, Field, ValidationError

from shared.mail.payload import delivery_key
from shared.schema import Contract
from shared.sending.upload import Upload

if TYPE_CHECKING:
    from shared.sending.ports import SendingServices


class PlannedFile(Contract):
    """The time that is reserved for the upload of one file of the mail."""

    model_config = ConfigDict(extra="allow")

    file_index: int = Field(alias="place")
    at: AwareDatetime


class Draft(Contract):
    """The state of a draft.

    Attributes:
        owner: the owner of the mailbox that has the draft.
        content_hash: the hash of the content with which the draft was created.
        draft_id: Graph's id of the draft; empty until it is created.
        upload: the large file that is being uploaded.
        planned: the large file for whose upload a time is reserved.
        submitted: the draft was submitted, so Exchange may be sending it.
        older_drafts: the ids of older drafts of the mail, which are not used and could not be removed yet.
        unused: the mail is sent without this draft. So a draft that a search finds is the mail itself, unless
            it is one of `older_drafts`.
    """

    #: Members that another version of the app wrote are preserved.
    model_config = ConfigDict(extra="allow")

    owner: str
    content_hash: str = Field(alias="stamp")
    draft_id: str = ""
    upload: Upload | None = None
    planned: PlannedFile | None = None
    submitted: bool = False
    older_drafts: tuple[str, ...] = Field((), alias="left")
    unused: bool = False


#: Stands for a state that another version of the app stored and this one cannot read. Exchange may be sending
#: the draft, so it is not continued.
UNREADABLE = Draft(owner="", content_hash="", submitted=True)


class DraftState:
    """Stores the state of one mail's draft."""

    def __init__(self, tenant_id: str, message_id: str, ports: SendingServices) -> None:
        self.key = delivery_key(tenant_id, message_id)
        self._mail = (tenant_id, message_id)
        self._drafts = ports.drafts

    def load(self) -> Draft | None:
        """Return the stored state, or None."""
        text = self._drafts.load(*self._mail)
        if text is None:
            return None
        try:
            return Draft.model_validate_json(text)
        except ValidationError:
            return UNREADABLE

    def save(self, draft: Draft) -> Draft:
        """Store the state of the draft, and return it."""
        # Members without a value are left out, so that an earlier version of the app can read the state.
        without = {name for name in ("older_drafts", "unused", "planned") if not getattr(draft, name)}
        self._drafts.save(*self._mail, draft.model_dump_json(by_alias=True, exclude=without).encode())
        return draft

    def remove(self) -> None:
        """Delete the state."""
        self._drafts.remove(*self._mail)

    def finish(self) -> None:
        """Delete the state after sending, except for drafts still to be removed."""
        draft = self.load()
        if draft is not None and draft.older_drafts:
            self.save(draft.model_copy(update={"unused": True, "submitted": False, "upload": None}))
        else:
            self.remove()
