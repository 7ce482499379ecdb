"""Keep what another version of the app added to a stored value.

During a deployment, and after a rollback to an older version, rows of two versions exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: The member of a stored enumeration that represents a value unknown to this version.
OTHER_VERSION: Final = "other_version"
#: The key of a field's metadata with its stored name, where that is another one.
STORED_AS: Final = "stored_as"


def stored_as(name: str) -> Mapping[str, str]:
    """Return the metadata of a field with another name in storage."""
    return {STORED_AS: name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A value that is stored as JSON, or a part of one.

    Attributes:
        additions: members that this version does not know, and enumerated values that it does not know. They
            are written back unchanged, and are not compared.
    """

    additions: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
