"""Preserve what another version of the app stores.

During a deployment, and after a rollback to an older version, there are rows that another version of the app
has written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: The member of a stored enumeration that represents a value unknown to this version.
OTHER_VERSION: Final = "other_version"
#: The key in a field's metadata for its name in storage, if this is another one.
STORED_AS: Final = "stored_as"


def stored_as(name: str) -> Mapping[str, str]:
    """Return the metadata of a field with another name in storage."""
    return {STORED_AS: name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A value that is stored as JSON, or a part of one.

    Attributes:
        additions: members and enumerated values that this version does not know. They are written back
            unchanged, and two values are equal even if these differ.
    """

    additions: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
