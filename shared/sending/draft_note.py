"""The note that is kept on a mail's draft, so that an attempt goes on where the last one stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ConfigDict, ValidationError

from shared.contract import Contract
from shared.sending.payload import delivery_key
from shared.sending.upload import Upload

if TYPE_CHECKING:
    from shared.sending.dependencies import Sending


class Draft(Contract):
    """What is kept of a draft.

    Attributes:
        owner: whose mailbox it is in.
        stamp: the content it was begun with.
        draft_id: empty until it is there.
        upload: the large file that is on its way.
        submitted: sending it has been asked for, so it may be on its way out.
        left: older drafts of the mail, which are of no use and could not be removed yet.
        unused: the mail goes without this draft, so only drafts that are `left` are not the mail on its way.
    """

    #: What another version of the app noted stays in the note.
    model_config = ConfigDict(extra="allow")

    owner: str
    stamp: str
    draft_id: str = ""
    upload: Upload | None = None
    submitted: bool = False
    left: tuple[str, ...] = ()
    unused: bool = False


#: What another version of the app has kept: the draft may be on its way out, and nobody goes on with it.
UNREADABLE = Draft(owner="", stamp="", submitted=True)


class DraftNote:
    """The kept note on one mail's draft."""

    def __init__(self, tenant_id: str, message_id: str, ports: Sending) -> None:
        self.key = delivery_key(tenant_id, message_id)
        self._mail = (tenant_id, message_id)
        self._drafts = ports.drafts

    def load(self) -> Draft | None:
        """Return what is kept, or None."""
        text = self._drafts.load(*self._mail)
        if text is None:
            return None
        try:
            return Draft.model_validate_json(text)
        except ValidationError:
            return UNREADABLE

    def keep(self, draft: Draft) -> Draft:
        """Write how far the draft came, and return it."""
        # As earlier versions wrote it, where nothing is left.
        without = {name for name in ("left", "unused") if not getattr(draft, name)}
        self._drafts.keep(*self._mail, draft.model_dump_json(by_alias=True, exclude=without).encode())
        return draft

    def remove(self) -> None:
        """Forget the draft."""
        self._drafts.remove(*self._mail)

    def finish(self) -> None:
        """Forget the draft of a mail that was sent, but for older ones that are still to be removed."""
        draft = self.load()
        if draft is not None and draft.left:
            self.keep(draft.model_copy(update={"unused": True, "submitted": False, "upload": None}))
        else:
            self.remove()
