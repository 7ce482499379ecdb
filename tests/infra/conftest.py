"""Each infrastructure rule passes on the project and fails on its faults."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.infra.bicep import Bicep, is_available
from tests.infra.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infra.changes import Change

PROJECT = Project.from_disk()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with `project` on the project and on each faulty copy."""
    if "project" not in metafunc.fixturenames:
        return
    changes = [change for mark in metafunc.definition.iter_markers("fails_when") for change in mark.args]
    if not changes:
        raise pytest.UsageError(f"{metafunc.definition.nodeid} names no fault that it notices (fails_when)")
    must_fail = pytest.mark.xfail(raises=AssertionError, strict=True, reason="a planted fault")
    broken = [pytest.param(change, marks=must_fail, id=str(change)) for change in changes]
    metafunc.parametrize("project", [pytest.param(None, id="as it is"), *broken], indirect=True)


@pytest.fixture
def project(request: pytest.FixtureRequest) -> Project:
    """The project, or a copy of it with one fault."""
    change: Change | None = request.param
    if change is None:
        return PROJECT
    broken = PROJECT.with_change(change.path, change.old, change.new)
    if change.predict_again:
        return broken.predicted_again(request.getfixturevalue("bicep"), change.predict_again)
    return broken


@pytest.fixture(scope="session")
def bicep() -> Iterator[Bicep]:
    """Return Microsoft's compiler; skip the test without it, except in CI."""
    if not is_available() and "GITHUB_ACTIONS" not in os.environ:
        pytest.skip("bicep is not on the PATH")
    with Bicep() as cli:
        yield cli
