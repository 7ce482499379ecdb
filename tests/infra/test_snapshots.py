"""The committed predictions belong to the committed template."""

from __future__ import annotations

import pytest

from tests.infra.changes import file, predicted
from tests.infra.gate import stale_files
from tests.infra.project import ROOT, Project


@pytest.mark.fails_when(
    file("infra/modules/vault.bicep", "softDeleteRetentionInDays: 7", "softDeleteRetentionInDays: 8"),
    file("infra/queries/mail-expired.kql", "mail_expired", "mail_ended"),
    file("infra/snapshots/usgov.bicepparam", "'usgov'", "'global'"),
    predicted('"httpsOnly": true', '"httpsOnly": false'),
    file("infra/snapshots/SHA256SUMS", "infra/main.bicep", "infra/old.bicep"),
)
def test_snapshots_are_not_stale(project: Project) -> None:
    """`make snapshots` on a machine with Bicep updates them.

    This test fails on machines without Bicep too.
    """
    assert stale_files(project) == []


@pytest.mark.fails_when(predicted('"diagnostics": []', '"diagnostics": ["The name is too long."]'))
def test_predictions_have_no_diagnostics(project: Project) -> None:
    assert {name: azure.diagnostics for name, azure in project.predictions.items() if azure.diagnostics} == {}


@pytest.mark.fails_when(predicted('"mailer"', f'"{ROOT}"'))
def test_predictions_name_no_path_of_this_machine(project: Project) -> None:
    texts = [text for path, text in project.files.items() if path.startswith("infra/snapshots/")]

    assert [text for text in texts if str(ROOT) in text] == []
