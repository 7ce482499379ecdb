"""Every pinned package has a permissive licence."""

import re
from importlib.metadata import metadata

import pytest

from tests.deployment.pins import pins

PINNED = [pin.name for pin in pins("requirements.txt").values() if pin.applies_here]
PERMISSIVE = re.compile(
    r"MIT|Apache|BSD|ISC|Python Software Foundation|PSF|Mozilla Public License 2|MPL-2\.0|Unlicense|CC0"
)


def licence_of(package: str) -> str:
    """Return a package's licence from its metadata."""
    found = metadata(package)
    classifiers = [value for value in found.get_all("Classifier", []) if value.startswith("License")]
    named = [found.get("License-Expression", ""), *classifiers, found.get("License", "")[:100]]
    return "; ".join(str(name) for name in named)


@pytest.mark.parametrize("package", PINNED)
def test_the_licence_of_a_deployed_package_is_permissive(package: str) -> None:
    assert PERMISSIVE.search(licence_of(package)), licence_of(package)
