"""What is deployed may be used by anybody: the licence of every pinned package is a permissive one."""

import re
from importlib.metadata import metadata

import pytest

from tests.deployment.pins import pins

PINNED = [pin.name for pin in pins("requirements.txt").values() if pin.applies_here]
PERMISSIVE = re.compile(
    r"MIT|Apache|BSD|ISC|Python Software Foundation|PSF|Mozilla Public License 2|MPL-2\.0|Unlicense|CC0"
)


def licence_of(package: str) -> str:
    """Return what a package says of its licence, in whichever of three places it says it."""
    found = metadata(package)
    classifiers = [value for value in found.get_all("Classifier", []) if value.startswith("License")]
    named = [found.get("License-Expression", ""), *classifiers, found.get("License", "")[:100]]
    return "; ".join(str(name) for name in named)


@pytest.mark.parametrize("package", PINNED)
def test_the_licence_of_a_deployed_package_is_permissive(package: str) -> None:
    assert PERMISSIVE.search(licence_of(package)), licence_of(package)
