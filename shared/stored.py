"""What every stored value shares: what another version of the app added to it is kept.

During a deployment, and after going back to an older version, rows of two versions lie beside each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: The member of a stored enumeration under which a value is read that this version does not know.
OTHER_VERSION: Final = "other_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A value that is stored as JSON, or a part of one.

    Attributes:
        additions: members that this version does not know, and enumerated values that it does not know. They
            are written again as they were read. They take no part in comparisons.
    """

    additions: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
