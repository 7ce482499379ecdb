"""Parts of the local stack as fixtures: each starts once in a test process, and only if a test asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local_stack.azurite import Azurite
from tests.local_stack.certificates import LocalAuthority


@pytest.fixture(scope="session")
def local_authority(tmp_path_factory: pytest.TempPathFactory) -> LocalAuthority:
    return LocalAuthority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite() as running:
        yield running
